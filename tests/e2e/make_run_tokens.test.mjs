// `make run ARGS="--demo tokens"`: the page of answers, as a person uses it.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { axeFindings } from '../lib/axe.mjs';
import { openPage, startChromium } from '../lib/chromium.mjs';
import { command } from '../lib/command.mjs';
import { ENV, RUN, somePorts, startRun } from '../lib/make_run.mjs';
import { ROOT } from '../lib/paths.mjs';
import { scopeOf } from '../lib/scope.mjs';
import { until } from '../lib/wait.mjs';

const LOOKS = {
    light: { viewport: { width: 1100, height: 900 }, colorScheme: 'light', bypassCSP: true },
    dark: { viewport: { width: 1100, height: 900 }, colorScheme: 'dark', bypassCSP: true },
    phone: { viewport: { width: 360, height: 800 }, colorScheme: 'light', bypassCSP: true, isMobile: true },
};
const textOf = (page) => page.textContent('#answer');
const grows = (page, length) => until(`more than ${length} characters`, async () => (await textOf(page)).length > length, { ms: 30000, every: 50 });

test('an answer goes on when its workers are killed, is the same in a second tab, and is stopped there for both', async (t) => {
    const scope = scopeOf(t);
    const ports = await somePorts();
    const run = await startRun(scope, ports, ['--demo', 'tokens', '--login-port', String(ports.login)]);
    const browser = await startChromium(scope);
    const page = await openPage(scope, browser, `http://127.0.0.1:${ports.port}/`, LOOKS.light);
    await page.click('#demo');
    await page.click('#form .main');
    await page.waitForSelector('[data-state=open]');
    await grows(page, 100);
    const folder = path.join(ROOT, 'run', String(ports.port), 'tmp');
    const pids = () => fs.readdirSync(folder).filter((name) => name.startsWith('worker-')).map((name) => Number(fs.readFileSync(path.join(folder, name), 'utf8')));
    const killed = pids();
    assert.equal(killed.length, 2);
    for (const pid of killed) process.kill(pid, 'SIGKILL');
    await grows(page, (await textOf(page)).length + 300);
    assert.match(run.log(), /worker-\d has ended, and is started anew/);
    assert.ok(pids().every((pid) => !killed.includes(pid)));

    for (const [name, look] of Object.entries(LOOKS)) {
        const other = await openPage(scope, browser, page.url(), look);
        await grows(other, 400);
        assert.deepEqual(await axeFindings(other), [], name);
        assert.ok(await other.evaluate(() => document.documentElement.scrollWidth <= innerWidth), `${name} is wider than the screen`);
        await other.screenshot({ path: `${scope.folder}/${name}.png`, fullPage: true });
    }
    const second = await openPage(scope, browser, page.url(), LOOKS.light);
    await grows(second, 400);
    await second.click('#stop');
    for (const one of [page, second]) await one.waitForFunction(() => document.getElementById('verdict').textContent === 'Stopped, for every tab.');
    assert.equal(await textOf(page), await textOf(second));
    for (const one of [page, second]) await one.waitForSelector('[data-state=closed]'); // answered 204
    await page.screenshot({ path: `${scope.folder}/stopped.png`, fullPage: true });
    assert.match(await textOf(page), /^You asked: What happens when the worker is killed\?\n\nThis answer is written by one program/);
    await page.click('text=Streams');
    await page.waitForSelector('#channels');
    run.signal('SIGINT');
    assert.deepEqual(await run.exit(60000), { code: 0, signal: null });
});

test('a demo that is none, or one with --auth, is an error that says so', async () => {
    for (const [args, said] of [[['--demo', 'chat'], /--demo is tokens, not 'chat'/], [['--demo', 'tokens', '--auth'], /--auth and --demo/]]) {
        const { code, err } = await command(RUN, args, { env: ENV });
        assert.equal(code, 2);
        assert.match(err, said);
    }
});

// The load test of the demo page, in Chromium: the streams are counted as they are, and what limits them is said.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { axeFindings } from '../lib/axe.mjs';
import { openPage, startChromium } from '../lib/chromium.mjs';
import { command } from '../lib/command.mjs';
import { somePorts, startRun } from '../lib/make_run.mjs';
import { ROOT } from '../lib/paths.mjs';
import { scopeOf, sharedScope } from '../lib/scope.mjs';
import { startTier } from '../lib/tier.mjs';
import { until } from '../lib/wait.mjs';

const shared = sharedScope();
const browser = await startChromium(shared);
const ports = await somePorts();
await startRun(shared, ports);
const HTTP1 = `http://127.0.0.1:${ports.port}/`;
const HTTP2 = `https://127.0.0.1:${ports.https}/`;

const figure = async (page, id) => Number((await page.textContent(`#load-${id}`)).replaceAll(',', ''));
const shares = (page) => page.locator('#shares .figure').evaluateAll((cells) => cells.map((cell) => Number.parseInt(cell.textContent.replaceAll(',', ''), 10)));
const sum = (counts) => counts.reduce((all, count) => all + count, 0);

async function loaded(scope, url, streams) {
    const page = await openPage(scope, browser, url, { ignoreHTTPSErrors: true });
    await page.waitForSelector('[data-state=open]');
    await page.fill('#load-count', String(streams));
    await page.click('#load-start');
    return page;
}

test('each gateway gets its share, what is published reaches all', async (t) => {
    const page = await loaded(scopeOf(t), HTTP2, 150);
    await until('150 streams', async () => (await figure(page, 'open')) === 150);
    const counts = await shares(page);
    assert.equal(counts.length, 3);
    assert.equal(sum(counts), 150);
    assert.ok(counts.every((count) => count >= 40), counts.join());
    assert.equal(await page.textContent('#load-limit'), '');
    await command('redis-cli', ['-p', String(ports.redis), 'PUBLISH', 'demo', 'to all']);
    await until('150 events', async () => (await figure(page, 'events')) === 150);
    await page.click('#load-stop');
    await until('all to be closed', async () => (await figure(page, 'open')) === 0);
    assert.deepEqual(await shares(page), []);
    assert.equal(await page.getAttribute('#state', 'data-state'), 'open');
});

test('over HTTP/1.1 the page says why most streams wait, and where to go', async (t) => {
    const page = await loaded(scopeOf(t), HTTP1, 40);
    await until('the limit to be said', async () => /6 connections to a host over HTTP\/1\.1/.test(await page.textContent('#load-limit')));
    assert.deepEqual([await figure(page, 'open'), await figure(page, 'waiting')], [5, 35]);
    assert.ok((await page.getAttribute('#load-limit a', 'href')).startsWith(HTTP2));
    await page.click('#load-stop');
    await until('nothing to be said any more', async () => (await page.textContent('#load-limit')) === '');
});

test('2,000 streams: Chromium opens 256, the page says so and stays fluid', async (t) => {
    const page = await loaded(scopeOf(t), HTTP2, 2000);
    await page.evaluate(() => {
        window.gaps = [];
        let last = performance.now();
        const frame = () => {
            window.gaps.push(performance.now() - last);
            last = performance.now();
            requestAnimationFrame(frame);
        };
        requestAnimationFrame(frame);
    });
    await until('the limit to be said', async () => /Chromium opens 256 streams/.test(await page.textContent('#load-limit')), { ms: 60000 });
    assert.equal(await figure(page, 'open'), 255, 'and the one that is shown above');
    const gaps = (await page.evaluate(() => window.gaps)).sort((a, b) => a - b);
    const usual = gaps[Math.floor(gaps.length * 0.9)];
    assert.ok(usual < 100, `nine of ten frames come within ${usual} ms`);
    await page.click('#load-stop');
    await until('all to be closed', async () => (await figure(page, 'open')) === 0);
});

test('numbers that are none are refused, axe finds nothing, and the page leads to the dashboards', async (t) => {
    const scope = scopeOf(t);
    for (const colorScheme of ['light', 'dark']) {
        const page = await openPage(scope, browser, HTTP2, { ignoreHTTPSErrors: true, bypassCSP: true, colorScheme });
        await page.waitForSelector('[data-state=open]');
        for (const wrong of ['0', '2001', '', '1.5']) {
            await page.fill('#load-count', wrong);
            await page.click('#load-start');
            assert.match(await page.textContent('#load-problem'), /1 to 2,000/);
        }
        await page.fill('#load-count', '6');
        await page.click('#load-start');
        await until('6 streams', async () => (await figure(page, 'open')) === 6);
        assert.deepEqual(await axeFindings(page), []);
        assert.equal(await page.getAttribute('#shares li:nth-child(2) a', 'href'), `http://127.0.0.1:${ports.admin + 1}/dashboard`);
        await page.click('#dashboard');
        await page.waitForSelector('#state[data-state=live]');
        await page.context().close();
    }
});

test('streams whose gateway ends are counted where they come back', async (t) => {
    const scope = scopeOf(t);
    const files = { 'index.html': fs.readFileSync(path.join(ROOT, 'deploy/demo/index.html'), 'utf8') };
    const { gateways, nginx } = await startTier(scope, { gateways: 2, nginx: true, files, args: ['--retry', '300ms'] });
    const page = await loaded(scope, `${nginx.url}/index.html`, 4);
    await until('four streams', async () => (await figure(page, 'open')) === 4);
    const names = await page.locator('#shares .name').allTextContents();
    const moving = (await shares(page))[names.indexOf(gateways[0].id)];
    assert.ok(moving > 0);
    gateways[0].terminate();
    await until('all at the other', async () => (await figure(page, 'open')) === 4 && (await figure(page, 'reconnects')) === moving);
    assert.deepEqual((await shares(page)).sort(), [0, 4]);
    assert.equal(await figure(page, 'refused'), 0);
});

// docs/examples/pages: three pages with the browser's own EventSource, through NGINX.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { openPage, startChromium } from '../lib/chromium.mjs';
import { FORMS, connect, history } from '../lib/durable.mjs';
import { prepare } from '../lib/examples.mjs';
import { startFirefox } from '../lib/firefox.mjs';
import { Gateway } from '../lib/gateway.mjs';
import { ROOT } from '../lib/paths.mjs';
import { scopeOf, sharedScope } from '../lib/scope.mjs';
import { startTier } from '../lib/tier.mjs';
import { until, within } from '../lib/wait.mjs';

const ARGS = ['--retry', '300ms', '--refusal', 'status', '--durable', 'user:*', '--durable', 'answer:*', '--max-message', '4KiB'];
const PAGES = ['notifications.html', 'table.html', 'answer.html'];
const files = Object.fromEntries(PAGES.map((name) => [name, fs.readFileSync(path.join(ROOT, 'docs/examples/pages', name), 'utf8')]));
const TOKENS = Array.from({ length: 400 }, (_, i) => ['The ', 'na\u00efve ', 'answer,\n', '<b>', '\u{1f600}\n\n', ` ${i} `][i % 6]);

const answerPublisher = prepare('pages', 'python', 'answer.py');
const shared = sharedScope();
const chromium = await startChromium(shared);

const start = (scope, more) => startTier(scope, { gateways: 2, nginx: true, files: { ...files, ...more }, args: ARGS });
const shows = (page, what, fact, argument) => until(`the page to show ${what}`, () => page.evaluate(fact, argument), { ms: 30000, every: 50 });

test('notifications: the badge counts what is new, the list outlives a reload, and what was read in one tab is read in all', async (t) => {
    const scope = scopeOf(t);
    const { redis, nginx } = await start(scope);
    const client = connect(scope, redis);
    const notify = (id, text) => FORMS.function(client, 'user:42', JSON.stringify({ id, text }), 'notification');
    const state = (page) => page.evaluate(() => ({
        badge: document.getElementById('badge').hidden ? 0 : Number(document.getElementById('badge').textContent),
        title: document.title,
        items: [...document.querySelectorAll('#list li')].map((item) => (item.className === 'unread' ? '*' : '') + item.textContent),
        open: !document.getElementById('list').hidden,
    }));
    const becomes = async (page, wanted) => {
        await until(`the page to be ${JSON.stringify(wanted)}`, async () => JSON.stringify(await state(page)) === JSON.stringify(wanted)).catch(() => {});
        assert.deepEqual(await state(page), wanted);
    };
    await notify(1, 'one');
    const page = await openPage(scope, chromium, `${nginx.url}/notifications.html?channel=user:42`);
    await becomes(page, { badge: 1, title: '(1) Notifications', items: ['*one'], open: false });
    await notify(2, '<img src=x onerror="document.title=1">');
    await notify(2, '<img src=x onerror="document.title=1">'); // a publisher that could not know whether it had
    const two = ['*<img src=x onerror="document.title=1">', '*one'];
    await becomes(page, { badge: 2, title: '(2) Notifications', items: two, open: false });
    const other = await page.context().newPage();
    await other.goto(page.url());
    await becomes(other, { badge: 2, title: '(2) Notifications', items: two, open: false });
    await page.click('#bell');
    await becomes(page, { badge: 2, title: '(2) Notifications', items: two, open: true });
    const read = two.map((item) => item.slice(1));
    await becomes(other, { badge: 0, title: 'Notifications', items: read, open: false });
    await page.reload();
    await becomes(page, { badge: 0, title: 'Notifications', items: read, open: false });
    await notify(3, 'three');
    await becomes(page, { badge: 1, title: '(1) Notifications', items: ['*three', ...read], open: false });
});

test('a live table is read anew when its stream opens and at each gap, and no change is lost beside that', async (t) => {
    const scope = scopeOf(t);
    const apple = { id: 1, name: 'Apple', price: 1 };
    const pear = { id: 2, name: 'Pear', price: 2 };
    const table = (version, ...rows) => JSON.stringify({ version, rows });
    const { redis, gateways, nginx } = await start(scope, { 'rows.json': table(1, apple, pear) });
    const serve = (text) => fs.writeFileSync(path.join(nginx.folder, 'html/rows.json'), text);
    const page = await openPage(scope, chromium, `${nginx.url}/table.html?channel=prices`);
    const change = (version, id, row) => redis.publish('prices', JSON.stringify({ version, id, row }));
    const becomes = (wanted) => shows(page, wanted, (text) => [...document.querySelectorAll('tbody tr')].map((row) => [...row.cells].map((cell) => cell.textContent).join(' ')).join(', ') === text, wanted);
    await becomes('Apple 1, Pear 2');
    await change(2, 2, { ...pear, price: 3 });
    await becomes('Apple 1, Pear 3');
    await change(3, 1, null);
    await becomes('Pear 3');

    serve(table(10, apple));
    await redis.publish('prices', 'x'.repeat(5000)); // more than --max-message: gateway:gap
    await becomes('Apple 1');

    let answer;
    await page.route('**/rows.json', async (route) => { // holds what was read before the next change
        const response = await route.fetch();
        await new Promise((resolve) => (answer = resolve));
        await route.fulfill({ response });
    });
    await redis.publish('prices', 'x'.repeat(5000));
    await until('the page to read the table', () => answer);
    await change(11, 2, { ...pear, price: 4 });
    await becomes('Apple 1, Pear 4');
    answer();
    await until('the page to have the table', () => page.evaluate(() => loads === 0));
    await becomes('Apple 1, Pear 4');
    await page.unroute('**/rows.json');

    serve(table(20, { ...pear, price: 5 }));
    for (const old of gateways) old.process.signal('SIGKILL');
    await Promise.all(gateways.map((old) => old.process.exit()));
    await Promise.all(gateways.map((old, i) => Gateway.start(scope, { redis, port: old.port, id: `back-${i}`, args: ARGS })));
    await becomes('Pear 5');
});

/** answer.py with a pipe for tokens; `ended` resolves to its status. */
function startAnswer(scope, redis, { program, args, env }, channel) {
    const log = fs.openSync(path.join(scope.folder, 'answer.log'), 'w');
    const child = spawn(program, [...args, channel], { env: { ...process.env, ...env, REDIS_URL: redis.url }, stdio: ['pipe', log, log] });
    fs.closeSync(log);
    scope.defer(() => child.kill('SIGKILL'));
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.stdin.on('error', () => {}); // its status says why it ended
    const write = (line) => new Promise((resolve) => child.stdin.write(`${line}\n`, resolve));
    return { ended, write, say: (token) => write(JSON.stringify(token)), end: () => child.stdin.end() };
}

const BROWSERS = {
    Chromium: async (scope) => (url) => openPage(scope, chromium, url),
    Firefox: async (scope) => (await startFirefox(scope)).open,
};

for (const [name, startBrowser] of Object.entries(BROWSERS)) {
    test(`${name}: an answer is whole after a reload and a killed gateway in its middle, and its last event closes the stream`, async (t) => {
        const publisher = await answerPublisher(t);
        if (!publisher) return;
        const scope = scopeOf(t);
        const { redis, gateways, nginx } = await start(scope);
        const url = `${nginx.url}/answer.html?channel=answer:17`;
        const open = await startBrowser(scope);
        const page = await open(url);
        const reads = (text) => shows(page, 'the answer so far', (wanted) => document.getElementById('answer').textContent === wanted, text);
        const ends = () => shows(page, 'the end', () => document.getElementById('answer').ariaBusy === 'false' && source.readyState === EventSource.CLOSED);
        const answer = startAnswer(scope, redis, publisher, 'answer:17');
        const client = connect(scope, redis);
        const kept = () => history(client, 'answer:17');
        for (let i = 0; i < 200; i += 20) {
            const { length } = await kept();
            for (const token of TOKENS.slice(i, i + 20)) await answer.say(token);
            await until('these tokens to be published', async () => (await kept()).length > length, { every: 1 });
        }
        await reads(TOKENS.slice(0, 200).join(''));
        await page.goto(url);
        await reads(TOKENS.slice(0, 200).join(''));
        const [old] = (await Promise.all(gateways.map(async (g) => [g, await g.metric('connections')]))).find(([, streams]) => streams > 0);
        old.process.signal('SIGKILL');
        await old.process.exit();
        for (const token of TOKENS.slice(200)) await answer.say(token);
        answer.end();
        assert.equal(await within(30000, 'the end of answer.py', answer.ended), 0);
        await ends();
        await reads(TOKENS.join(''));
        const events = await kept();
        assert.deepEqual(events.map((e) => e.event).filter((event) => event !== 'text'), ['done']);
        assert.equal(events.at(-1).event, 'done');
        const pauses = events.slice(1, -2).map((e, i) => e.ms - events[i].ms); // what the model's end brings comes at once
        assert.ok(pauses.length >= 5 && Math.min(...pauses) >= 38, `ms between events: ${pauses.join(' ')}`);
        await page.goto(url); // and when all is over
        await ends();
        await reads(TOKENS.join(''));
    });
}

test('an answer whose model fails says so and closes the stream', async (t) => {
    const publisher = await answerPublisher(t);
    if (!publisher) return;
    const scope = scopeOf(t);
    const { redis, nginx } = await start(scope);
    const page = await openPage(scope, chromium, `${nginx.url}/answer.html?channel=answer:18`);
    const answer = startAnswer(scope, redis, publisher, 'answer:18');
    await answer.say('It is ');
    await shows(page, 'the beginning', () => document.getElementById('answer').textContent === 'It is ');
    await answer.write('no JSON');
    await shows(page, 'what happened', () => document.getElementById('note').textContent.includes('went wrong') && source.readyState === EventSource.CLOSED);
    assert.equal(await answer.ended, 1);
});

// docs/examples/pages: two pages with the browser's own EventSource, through NGINX.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { openPage, startChromium } from '../lib/chromium.mjs';
import { FORMS, connect } from '../lib/durable.mjs';
import { Gateway } from '../lib/gateway.mjs';
import { ROOT } from '../lib/paths.mjs';
import { scopeOf, sharedScope } from '../lib/scope.mjs';
import { startTier } from '../lib/tier.mjs';
import { until } from '../lib/wait.mjs';

const ARGS = ['--retry', '300ms', '--refusal', 'status', '--durable', 'user:*', '--max-message', '4KiB'];
const PAGES = ['notifications.html', 'table.html'];
const files = Object.fromEntries(PAGES.map((name) => [name, fs.readFileSync(path.join(ROOT, 'docs/examples/pages', name), 'utf8')]));

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

// Chromium's own EventSource, through NGINX: what people's tabs see.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { connectInPage, pageFiles } from '../lib/browser_clients.mjs';
import { openPage, startChromium } from '../lib/chromium.mjs';
import { Gateway } from '../lib/gateway.mjs';
import { scopeOf, sharedScope } from '../lib/scope.mjs';
import { countBy, openStreams } from '../lib/streams.mjs';
import { startTier } from '../lib/tier.mjs';
import { DELIVERED, REFUSED } from '../lib/torture.mjs';
import { until } from '../lib/wait.mjs';

const shared = sharedScope();
const browser = await startChromium(shared);
const ARGS = ['--retry', '300ms', '--heartbeat', '1s'];
const start = (scope, options) => startTier(scope, { nginx: true, files: pageFiles(), args: ARGS, ...options });

async function connected(scope, nginx, path, types) {
    const page = await openPage(scope, browser, `${nginx.url}/page.html`);
    const client = await connectInPage(page, 'EventSource', path, types);
    await until('EventSource to be open', async () => (await client.state()) === 'open');
    return { page, client };
}

test('every payload arrives in Chromium as published, or not at all', async (t) => {
    const scope = scopeOf(t);
    const { redis, nginx } = await start(scope);
    const types = [...new Set(['message', 'evil', 'gateway:gap', ...DELIVERED.map((d) => d.type)])];
    const { client } = await connected(scope, nginx, '/stream?channel=torture', types);
    await redis.publishAll([...DELIVERED, ...REFUSED].map(({ payload }) => ['torture', payload]).concat([['torture', 'the end']]));
    await until('the last message', async () => (await client.events()).at(-1)?.data === 'the end', { ms: 30000, every: 200 });
    const all = (await client.events()).slice(0, -1);
    const events = all.filter((e) => e.type !== 'gateway:gap');
    for (const [i, { name, data, type }] of DELIVERED.entries()) {
        assert.equal(events[i]?.type, type, name);
        assert.ok(events[i].data === data, `${name}: got ${JSON.stringify(events[i].data.slice(0, 200))}`);
    }
    assert.equal(events.length, DELIVERED.length, 'none of those that are dropped');
    assert.equal(all.length - events.length, 2, 'each that is too large is told, since a page may have come between them');
});

test('a rolling restart of all gateways: Chromium comes back each time without a reload, and ends on a new one', async (t) => {
    const scope = scopeOf(t);
    const { redis, gateways, nginx } = await start(scope, { gateways: 3 });
    const { page, client } = await connected(scope, nginx, '/stream?channel=a&control=1', ['message', 'gateway:open']);
    await page.evaluate(() => (window.notReloaded = true));
    for (const [i, old] of gateways.entries()) {
        old.terminate();
        assert.equal((await old.process.exit()).code, 0);
        await Gateway.start(scope, { redis, port: old.port, id: `new-${i}`, args: ARGS });
        await until(`to hear of restart ${i}`, async () => {
            await redis.publish('a', `restart ${i}`);
            return (await client.events()).some((e) => e.data === `restart ${i}`);
        }, { every: 100 });
    }
    const gatewaysSeen = (await client.events()).filter((e) => e.type === 'gateway:open').map((e) => JSON.parse(e.data).gateway);
    assert.ok(gatewaysSeen.at(-1).startsWith('new-'), gatewaysSeen.join(' '));
    assert.equal(await page.evaluate(() => window.notReloaded), true);
    assert.equal(await client.state(), 'open');
});

test('the whole tier gone and back: NGINX keeps the tab alive, and it is served again', async (t) => {
    const scope = scopeOf(t);
    const { redis, gateways, nginx } = await start(scope, { gateways: 2 });
    const { client } = await connected(scope, nginx, '/stream?channel=a');
    gateways.forEach((g) => g.process.signal('SIGKILL'));
    await Promise.all(gateways.map((g) => g.process.exit()));
    const opens = await client.opens();
    await until('NGINX to have answered a few times', async () => (await client.opens()) >= opens + 2);
    assert.notEqual(await client.state(), 'closed');
    await Promise.all(gateways.map((g, i) => Gateway.start(scope, { redis, port: g.port, id: `back-${i}`, args: ARGS })));
    await until('a message', async () => {
        await redis.publish('a', 'x');
        return (await client.events()).length > 0;
    }, { every: 100 });
});

test('a page of another origin reads streams where --cors-origin names it, and only there', async (t) => {
    const scope = scopeOf(t);
    const { nginx: site, redis } = await start(scope);
    const allowed = await Gateway.start(scope, { redis, args: [...ARGS, '--cors-origin', site.url] });
    const refused = await Gateway.start(scope, { redis, args: [...ARGS, '--cors-origin', 'https://other.example'] });
    const page = await openPage(scope, browser, `${site.url}/page.html`);
    const good = await connectInPage(page, 'EventSource', `http://127.0.0.1:${allowed.port}/stream?channel=a`);
    const bad = await connectInPage(page, 'EventSource', `http://127.0.0.1:${refused.port}/stream?channel=a`);
    const fetched = await connectInPage(page, 'fetchEventSource', `http://127.0.0.1:${allowed.port}/stream?channel=a`);
    await until('the states', async () => (await good.state()) === 'open' && (await fetched.state()) === 'open' && (await bad.state()) !== 'open');
    await redis.publish('a', 'x');
    await until('the message', async () => (await good.events()).length === 1 && (await fetched.events()).length === 1);
    assert.deepEqual(await bad.events(), []);
});

test('a tab beside 300 other streams gets each message once, wherever it is', async (t) => {
    const scope = scopeOf(t);
    const { redis, nginx } = await start(scope, { gateways: 3 });
    const others = await openStreams(scope, Array(300).fill({ port: nginx.port, path: '/stream?channel=a' }));
    const { client } = await connected(scope, nginx, '/stream?channel=a');
    await redis.publishAll(Array.from({ length: 20 }, (_, i) => ['a', String(i)]));
    await until('20 messages', async () => (await client.events()).length >= 20);
    await redis.publish('a', 'end');
    await until('the end', async () => (await client.events()).at(-1).data === 'end');
    assert.deepEqual((await client.events()).map((e) => e.data), [...Array.from({ length: 20 }, (_, i) => String(i)), 'end']);
    await Promise.all(others.map((s) => s.count(21)));
    assert.deepEqual([...countBy(others.map((s) => s.events.length))], [[21, 300]]);
});

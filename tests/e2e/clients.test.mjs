// The same promises to each client that others wrote: in Node.js, in Chromium and in Firefox, through NGINX.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { connectInPage, pageFiles } from '../lib/browser_clients.mjs';
import { openPage, startChromium } from '../lib/chromium.mjs';
import { connect as connectRedis, FORMS, load } from '../lib/durable.mjs';
import { openFirefoxPage } from '../lib/firefox.mjs';
import { NODE_CLIENTS } from '../lib/node_clients.mjs';
import { scopeOf, sharedScope } from '../lib/scope.mjs';
import { startTier } from '../lib/tier.mjs';
import { until } from '../lib/wait.mjs';

const shared = sharedScope();
const browser = await startChromium(shared);
const start = (scope, options) => startTier(scope, { nginx: true, files: pageFiles(), args: ['--retry', '300ms', '--heartbeat', '1s'], ...options });
const tier = await start(shared, { gateways: 2 });

/** All kinds of clients: connect(scope, nginx, path, types) resolves to a client whose answers may be promises. */
const CLIENTS = {};
for (const [name, connect] of Object.entries(NODE_CLIENTS)) {
    CLIENTS[name] = async (scope, nginx, path, types) => {
        const client = connect(nginx.url + path, types);
        scope.defer(() => client.close());
        return { ...client, events: () => client.events };
    };
}
for (const kind of ['EventSource', 'fetchEventSource']) {
    CLIENTS[`${kind} in Chromium`] = async (scope, nginx, path, types) => {
        const page = await openPage(scope, browser, `${nginx.url}/page.html`);
        return connectInPage(page, kind, path, types);
    };
}

const inFirefox = (kind) => async (scope, nginx, path, types) =>
    connectInPage(await openFirefoxPage(scope, `${nginx.url}/page.html`), kind, path, types);
const WITH_FIREFOX = { ...CLIENTS, 'EventSource in Firefox': inFirefox('EventSource'), 'fetchEventSource in Firefox': inFirefox('fetchEventSource') };

const isOpen = (client) => until('the client to be open', async () => (await client.state()) === 'open');
const channelOf = (t) => `e2e:${t.name.replace(/[^a-z0-9]+/gi, '-')}`.slice(0, 100);

async function hears(client, count) {
    return until(`${count} events`, async () => {
        const events = await client.events();
        if (events.length < count) throw new Error(JSON.stringify(events).slice(0, 300));
        return events;
    });
}

/** Publishes `text` again and again until the client has heard it: it is connected to where messages come. */
async function isBack(redis, channel, client, text) {
    await until(`the client to hear ${text}`, async () => {
        await redis.publishAll([[channel, text]]);
        return (await client.events()).some((e) => e.data === text);
    }, { ms: 30000, every: 100 });
}

for (const [name, connect] of Object.entries(CLIENTS)) {
    describe(name, () => {
        test(`${name}: messages, names, ids and line ends arrive as they were published`, async (t) => {
            const scope = scopeOf(t);
            const channel = channelOf(t);
            const client = await connect(scope, tier.nginx, `/stream?channel=${channel}`, ['message', 'order']);
            await isOpen(client);
            await tier.redis.publishAll([
                [channel, 'hello'],
                [channel, 'two\nlines'],
                [channel, '{"a":"\u00e4\u20ac\u{1f600}"}'],
                [channel, '\x1eSSE/1\nevent: order\nid: 42\n\n{"total":3}'],
                [channel, 'a\0b'], // dropped
                [channel, 'a\n\nevent: order\ndata: forged'],
                [channel, ''],
                [channel, 'end'],
            ]);
            const events = await until('the last message', async () => {
                const events = await client.events();
                return events.at(-1)?.data === 'end' && events;
            });
            assert.deepEqual(events.map(({ type, data }) => ({ type, data })), [
                { type: 'message', data: 'hello' },
                { type: 'message', data: 'two\nlines' },
                { type: 'message', data: '{"a":"\u00e4\u20ac\u{1f600}"}' },
                { type: 'order', data: '{"total":3}' },
                { type: 'message', data: 'a\n\nevent: order\ndata: forged' },
                { type: 'message', data: '' },
                { type: 'message', data: 'end' },
            ]);
            assert.equal(events[3].lastEventId, '42');
        });

        test(`${name}: 500 messages in a burst arrive in order`, async (t) => {
            const scope = scopeOf(t);
            const channel = channelOf(t);
            const client = await connect(scope, tier.nginx, `/stream?channel=${channel}`);
            await isOpen(client);
            await tier.redis.publishAll(Array.from({ length: 500 }, (_, i) => [channel, String(i)]));
            const events = await hears(client, 500);
            assert.deepEqual(events.map((e) => Number(e.data)), Array.from({ length: 500 }, (_, i) => i));
        });

        test(`${name}: heartbeats fire nothing and keep the stream open`, async (t) => {
            const scope = scopeOf(t);
            const channel = channelOf(t);
            const client = await connect(scope, tier.nginx, `/stream?channel=${channel}`);
            await isOpen(client);
            await Promise.all(tier.gateways.map(async (gateway) => {
                const before = await gateway.metric('heartbeats_total');
                const streams = await gateway.metric('connections');
                await until('two heartbeats for each stream', async () => (await gateway.metric('heartbeats_total')) >= before + 2 * streams);
            }));
            await tier.redis.publish(channel, 'after');
            const events = await hears(client, 1);
            assert.deepEqual(events.map((e) => e.data), ['after']);
            assert.equal(await client.state(), 'open');
        });

        test(`${name}: is back on another gateway after SIGTERM`, async (t) => {
            const scope = scopeOf(t);
            const { redis, gateways, nginx } = await start(scope, { gateways: 2 });
            const client = await connect(scope, nginx, '/stream?channel=a&control=1', ['message', 'gateway:open', 'gateway:close']);
            const [open] = await hears(client, 1);
            const first = JSON.parse(open.data).gateway;
            const [leaving, staying] = gateways[0].id === first ? gateways : [...gateways].reverse();
            leaving.terminate();
            assert.equal((await leaving.process.exit()).code, 0);
            await isBack(redis, 'a', client, 'again');
            const controls = (await client.events()).filter((e) => e.type !== 'message');
            assert.deepEqual(controls.map((e) => e.type), ['gateway:open', 'gateway:close', 'gateway:open']);
            assert.equal(JSON.parse(controls[2].data).gateway, staying.id);
            assert.equal(await client.state(), 'open');
        });

        test(`${name}: is back after its gateway was killed`, async (t) => {
            const scope = scopeOf(t);
            const { redis, gateways, nginx } = await start(scope, { gateways: 2 });
            const client = await connect(scope, nginx, '/stream?channel=a&control=1', ['message', 'gateway:open']);
            const [open] = await hears(client, 1);
            const serving = gateways.find((g) => g.id === JSON.parse(open.data).gateway);
            serving.process.signal('SIGKILL');
            await serving.process.exit();
            await isBack(redis, 'a', client, 'again');
        });

        test(`${name}: survives a Redis outage that began before it connected`, async (t) => {
            const scope = scopeOf(t);
            const { redis, gateway, nginx } = await start(scope);
            await redis.kill();
            await until('not ready', async () => !(await gateway.ready()));
            const client = await connect(scope, nginx, '/stream?channel=a');
            await until('two refusals', async () => (await client.opens()) >= 2);
            assert.notEqual(await client.state(), 'closed');
            await redis.run();
            await gateway.process.ready('is ready again', () => gateway.ready());
            await isBack(redis, 'a', client, 'first');
            // Two clients take the blank line after `retry` for an empty message; without that line undici would not heed it.
            const firesEmpty = /^(fetch|extended)/.test(name);
            const others = (await client.events()).filter((e) => e.data !== 'first' && !(e.data === '' && firesEmpty));
            assert.deepEqual(others, [], 'refusals fire nothing');
        });
    });
}

for (const [name, connect] of Object.entries(WITH_FIREFOX)) {
    test(`${name}: cut before its first event, it misses no durable event`, async (t) => {
        const scope = scopeOf(t);
        const { redis, gateways, nginx } = await start(scope, { gateways: 2 });
        const publisher = connectRedis(scope, redis);
        await load(publisher);
        await FORMS.function(publisher, 'a', 'old');
        const client = await connect(scope, nginx, '/stream?channel=a', ['message', 'gateway:gap']);
        await isOpen(client);
        const counts = await Promise.all(gateways.map((gateway) => gateway.metric('connections')));
        const serving = gateways[counts.indexOf(1)];
        serving.process.signal('SIGSTOP'); // what is published now reaches the client from its next gateway or never
        await FORMS.function(publisher, 'a', 'away');
        serving.process.signal('SIGKILL');
        await serving.process.exit();
        await until('the client to be back', async () => (await client.opens()) >= 2, { ms: 30000 });
        await FORMS.function(publisher, 'a', 'new');
        const events = await until('the newest event', async () => {
            const events = (await client.events()).filter((e) => ['message', 'gateway:gap'].includes(e.type));
            return events.at(-1)?.data === 'new' && events;
        });
        assert.deepEqual(events.map((e) => e.data), ['away', 'new']);
    });
}

// The EventSource that Chromium and Firefox have, on channels that end: one more request, 204, and never another one.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { connectInPage, pageFiles } from '../lib/browser_clients.mjs';
import { openPage, startChromium } from '../lib/chromium.mjs';
import { connect, load } from '../lib/durable.mjs';
import { openFirefoxPage } from '../lib/firefox.mjs';
import { Gateway } from '../lib/gateway.mjs';
import { scopeOf } from '../lib/scope.mjs';
import { startTier } from '../lib/tier.mjs';
import { until } from '../lib/wait.mjs';

const TYPES = ['message', 'gateway:end', 'gateway:gap'];
const CLOCK_TURNS = 4; // of a second each: time for some 20 requests of an EventSource that has not given up

const browsers = {
    Chromium: async (scope, url) => openPage(scope, await startChromium(scope), url),
    Firefox: openFirefoxPage,
};

for (const [name, open] of Object.entries(browsers)) {
    test(`${name}: after the end it asks once more, is answered 204, and never asks again, of this origin and of another`, async (t) => {
        const scope = scopeOf(t);
        const args = ['--retry', '50ms', '--retry-jitter', '0', '--durable', '*'];
        const { redis, nginx, gateway } = await startTier(scope, { nginx: true, files: pageFiles(), args });
        const other = await Gateway.start(scope, { redis, args: [...args, '--cors-origin', '*'] });
        const aging = await Gateway.start(scope, { redis, args: [...args, '--cors-origin', '*', '--max-stream-age', '1s'] });
        const client = connect(scope, redis);
        await load(client);
        const publish = (data, ...more) => client.call('FCALL', 'sse_publish', '1', 'answer', data, '', '', ...more);

        const page = await open(scope, `${nginx.url}/page.html`);
        const streams = [];
        for (const base of [nginx.url, `http://127.0.0.1:${other.port}`]) streams.push(await connectInPage(page, 'EventSource', `${base}/stream?channel=answer`, TYPES));
        const clock = await connectInPage(page, 'EventSource', `http://127.0.0.1:${aging.port}/stream?channel=quiet`);
        for (const { port } of [gateway, other]) await until('a stream', async () => (await [gateway, other].find((g) => g.port === port).metric('connections')) === 1);
        await publish('one');
        await publish('two');
        await publish('three', 'end', '600');
        for (const stream of streams) await until('the EventSource to give up', async () => (await stream.state()) === 'closed');

        const before = await clock.opens();
        await until('the clock to come back again and again', async () => (await clock.opens()) >= before + CLOCK_TURNS, { ms: 60000 });
        for (const stream of streams) {
            assert.deepEqual((await stream.events()).map((e) => (e.type === 'message' ? e.data : `${e.type} ${e.data}`)), ['one', 'two', 'three', 'gateway:end {"channel":"answer"}']);
            assert.deepEqual([await stream.opens(), await stream.state()], [1, 'closed']);
        }
        for (const g of [gateway, other]) {
            assert.equal(await g.metric('connections_total'), 1, 'one stream');
            assert.equal(await g.metric('closes_total', { reason: 'ended' }), 2, 'which ended, and one 204');
        }

        // Who loads the page later: all that is kept and the end again, or nothing.
        const late = await connectInPage(page, 'EventSource', '/stream?channel=answer&last_event_id=earliest', TYPES);
        const later = await connectInPage(page, 'EventSource', '/stream?channel=answer', TYPES);
        for (const stream of [late, later]) await until('the EventSource to give up', async () => (await stream.state()) === 'closed');
        assert.deepEqual((await late.events()).map((e) => e.type), ['message', 'message', 'message', 'gateway:end']);
        assert.deepEqual([await later.events(), await later.opens()], [[], 0]);
        await gateway.metricIs('closes_total', 5, { labels: { reason: 'ended' } });
    });
}

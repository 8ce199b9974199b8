// A drain over time: --drain-delay, --drain-window, what it says meanwhile, and what bounds it.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Client } from '../chaos/client.mjs';
import { eventText } from '../chaos/history.mjs';
import { Random } from '../chaos/random.mjs';
import { command } from '../lib/command.mjs';
import { connect, load } from '../lib/durable.mjs';
import { Gateway } from '../lib/gateway.mjs';
import { GATEWAY } from '../lib/paths.mjs';
import { scopeOf } from '../lib/scope.mjs';
import { Stream } from '../lib/stream.mjs';
import { openStream, openStreams } from '../lib/streams.mjs';
import { startTier } from '../lib/tier.mjs';
import { startTls } from '../lib/tls.mjs';
import { sleep, until } from '../lib/wait.mjs';

const onAdmin = (gateway, path) => gateway.get(path, { port: gateway.adminPort });

/** Notes when each stream ends, in milliseconds from now. */
function timeEnds(streams) {
    const from = performance.now();
    for (const stream of streams) stream.closed.then(() => (stream.endedAt = performance.now() - from));
}

/** Publishes 0, 1, 2 .. to `channel` until it is stopped; resolves to how many. */
function publishing(redis, channel) {
    let wanted = true;
    const done = (async () => {
        let n = 0;
        for (; wanted; n++) {
            await redis.publish(channel, String(n));
            await sleep(20);
        }
        return n;
    })();
    return { stop: () => ((wanted = false), done) };
}

const mean = (numbers) => numbers.reduce((a, b) => a + b, 0) / numbers.length;

const COUNT = 300;
const WINDOW = 3000;
const PARTS = 5;

for (const [name, workers, secure] of [['1 worker', 1, false], ['2 workers', 2, false], ['2 workers, TLS', 2, true]]) {
    test(`streams end evenly over --drain-window, in random order, and get what is published until then (${name})`, async (t) => {
        const scope = scopeOf(t);
        const options = { workers, args: ['--drain-window', `${WINDOW}ms`] };
        const tier = secure ? await startTls(scope, options) : await startTier(scope, options);
        const { redis, gateway } = tier;
        const wanted = { port: gateway.port, path: '/stream?channel=a&control=1', keep: true, ...(secure && { tls: tier.secure }) };
        const streams = await openStreams(scope, Array(COUNT).fill(wanted));
        await Promise.all(streams.map((s) => s.count(1)));
        const publisher = publishing(redis, 'a');
        gateway.terminate();
        timeEnds(streams);
        await Promise.all(streams.map((s) => s.ended()));
        assert.deepEqual(await gateway.process.exit(), { code: 0, signal: null });
        const published = await publisher.stop();

        const ends = streams.map((s) => s.endedAt);
        t.diagnostic(`first end after ${Math.round(Math.min(...ends))} ms, last after ${Math.round(Math.max(...ends))} ms`);
        assert.ok(Math.max(...ends) > WINDOW * 0.9 && Math.max(...ends) < WINDOW + 1500);
        const parts = Array.from({ length: PARTS }, (_, i) => ends.filter((at) => Math.min(PARTS - 1, Math.floor((at * PARTS) / WINDOW)) === i).length);
        t.diagnostic(`ended in each ${WINDOW / PARTS} ms: ${parts.join(' ')}`);
        for (const part of parts) assert.ok(part > COUNT / PARTS / 2 && part < COUNT / PARTS * 1.7, parts.join(' '));

        // The order of opening says nothing: the mean of half of 0..299, drawn at random, is 149.5 with a deviation of 5.
        const order = streams.map((s, i) => [s.endedAt, i]).sort(([a], [b]) => a - b).map(([, i]) => i);
        const first = mean(order.slice(0, COUNT / 2));
        assert.ok(Math.abs(first - 149.5) < 35, `${first}`);

        for (const stream of streams) {
            assert.equal(stream.end, 'clean');
            assert.equal(stream.fault, undefined);
            for (const chunk of stream.chunks.slice(1)) assert.ok(chunk.subarray(-2).equals(Buffer.from('\n\n')), 'a chunk of whole events');
            const events = stream.events.slice(1); // behind gateway:open
            assert.deepEqual(JSON.parse(events.pop().data), { reason: 'drain' });
            assert.deepEqual(events.map((e) => e.data), events.map((_, i) => String(i)), 'no event is missing before the end');
            assert.ok(stream.retry >= 2000 && stream.retry <= 4000, `${stream.retry}`);
        }
        const got = streams.map((s) => s.events.length).sort((a, b) => a - b);
        assert.ok(got.at(-1) > 2 * got[Math.floor(COUNT / 4)], `the last streams got events until the end: ${got.at(-1)} of ${published}, the first quarter up to ${got[COUNT / 4]}`);
        assert.ok(new Set(streams.map((s) => s.retry)).size > COUNT / 3, 'each has a retry of its own');
    });
}

test('a gateway exits as soon as no stream is left, long before the window is over', async (t) => {
    const scope = scopeOf(t);
    const { gateway } = await startTier(scope, { args: ['--drain-window', '20s'] });
    const streams = await openStreams(scope, Array(20).fill({ port: gateway.port, path: '/stream?channel=a' }));
    gateway.terminate();
    await until('drain', async () => (await onAdmin(gateway, '/health/ready')).status === 404, { every: 1 });
    streams.forEach((s) => s.close());
    assert.deepEqual(await gateway.process.exit(5000), { code: 0, signal: null });
});

for (const [refusal, status] of [['retry', 200], ['status', 503]]) {
    test(`--drain-delay: not ready at once, streams go on, new ones are refused by ${refusal}; then the listeners close`, async (t) => {
        const scope = scopeOf(t);
        const { redis, gateway } = await startTier(scope, { args: ['--drain-delay', '2s', '--drain-window', '500ms', '--refusal', refusal] });
        const streams = await openStreams(scope, Array(10).fill({ port: gateway.port, path: '/stream?channel=a' }));
        const asked = performance.now();
        gateway.terminate();
        timeEnds(streams);
        await until('404 on the public listener', async () => (await gateway.get('/health/ready')).status === 404, { every: 1 });
        assert.ok(performance.now() - asked < 1000);
        await redis.publish('a', 'x');
        await Promise.all(streams.map((s) => s.count(1)));
        const refused = await Stream.open(gateway.port, '/stream?channel=a');
        assert.equal(refused.status, status);
        assert.equal(await refused.ended(), 'clean');
        if (status === 200) assert.ok(refused.retry >= 2000 && refused.retry <= 4000);
        else assert.ok(Number(refused.headers['retry-after']) >= 1);
        assert.ok(streams.every((s) => s.open));
        assert.ok(performance.now() - asked < 2000, 'this machine was too slow for this test');
        await Promise.all(streams.map((s) => s.ended()));
        assert.ok(streams.every((s) => s.end === 'clean' && s.endedAt > 1900 && s.endedAt < 4500), streams.map((s) => Math.round(s.endedAt)).join(' '));
        assert.deepEqual(await gateway.process.exit(), { code: 0, signal: null });
    });
}

test('progress is to be seen in the log and in the metrics', async (t) => {
    const scope = scopeOf(t);
    const { gateway } = await startTier(scope, { args: ['--drain-window', '3s', '--drain-timeout', '12s'] });
    const streams = await openStreams(scope, Array(60).fill({ port: gateway.port, path: '/stream?channel=a' }));
    const before = await gateway.metrics();
    assert.equal(before.sum('sse_gateway_draining'), 0);
    assert.equal(before.sum('sse_gateway_drained_connections_total'), 0);
    assert.equal(before.sum('sse_gateway_drain_seconds_left'), 0);
    gateway.terminate();
    await until('half of them to have ended', async () => (await gateway.metric('drained_connections_total')) >= 30);
    const now = await gateway.metrics();
    assert.equal(now.sum('sse_gateway_draining'), 1);
    assert.equal(now.sum('sse_gateway_drain_streams'), 60);
    assert.ok(now.sum('sse_gateway_connections') <= 30 && now.sum('sse_gateway_connections') > 0);
    assert.ok(now.sum('sse_gateway_drain_seconds_left') > 5 && now.sum('sse_gateway_drain_seconds_left') < 12);
    await Promise.all(streams.map((s) => s.ended()));
    await gateway.process.exit();
    const log = gateway.process.log();
    assert.match(log, /SIGTERM: draining 60 streams: after 0 ms they end over 3000 ms, and the gateway at the latest in 12000 ms/);
    const lines = [...log.matchAll(/(\d+) of 60 streams are open after \d+ ms/g)].map((m) => Number(m[1]));
    assert.ok(lines.length >= 2 && lines.length <= 5, `${lines}`);
    assert.deepEqual(lines, [...lines].sort((a, b) => b - a));
    assert.match(log, /every stream has ended after \d+ ms: of 60 the drain ended 60/);
});

/** Opens streams that read nothing, and fills them until bytes wait in the gateway for each. */
async function blockedStreams(scope, { redis, gateway }, count) {
    const streams = await openStreams(scope, Array.from({ length: count }, (_, i) => ({ port: gateway.port, path: `/stream?channel=blocked:${i}` })));
    streams.forEach((s) => s.socket.pause());
    await until('bytes that wait', async () => {
        await redis.publishAll(streams.map((_, i) => [`blocked:${i}`, 'x'.repeat(500_000)]));
        return (await gateway.metric('writes_blocked_total')) >= count;
    });
    return streams;
}

test('clients that read nothing are cut at --drain-timeout, and the others have ended in the window before', async (t) => {
    const scope = scopeOf(t);
    const tier = await startTier(scope, { args: ['--drain-window', '1s', '--drain-timeout', '3s', '--queue-limit', '64MiB'] });
    await blockedStreams(scope, tier, 5);
    const streams = await openStreams(scope, Array(20).fill({ port: tier.gateway.port, path: '/stream?channel=a' }));
    const asked = performance.now();
    tier.gateway.terminate();
    timeEnds(streams);
    assert.equal((await tier.gateway.process.exit(10000)).code, 0);
    const took = performance.now() - asked;
    assert.ok(took > 2900 && took < 5000, `${Math.round(took)} ms`);
    assert.ok(streams.every((s) => s.end === 'clean' && s.endedAt < 2500));
    assert.match(tier.gateway.process.log(), /--drain-timeout is over: 5 connections are cut/);
});

for (const [phase, args] of [['delay', ['--drain-delay', '20s', '--drain-window', '1s']], ['window', ['--drain-window', '20s']]]) {
    test(`a second signal in the ${phase} ends at once`, async (t) => {
        const scope = scopeOf(t);
        const { gateway } = await startTier(scope, { args });
        const streams = await openStreams(scope, Array(20).fill({ port: gateway.port, path: '/stream?channel=a' }));
        gateway.terminate();
        await until('drain', async () => (await onAdmin(gateway, '/health/ready')).status === 404, { every: 1 });
        const asked = performance.now();
        gateway.process.signal('SIGINT');
        assert.deepEqual(await gateway.process.exit(5000), { code: 0, signal: null });
        assert.ok(performance.now() - asked < 2000);
        await Promise.all(streams.map((s) => s.ended()));
    });
}

test('a window that does not fit into --drain-timeout is refused with one line', async () => {
    const run = await command(GATEWAY, ['--anonymous', '*', '--drain-delay', '25s', '--drain-window', '10s', '--check-config'], { ok: false });
    assert.equal(run.code, 2);
    assert.equal(run.err, 'sse-gateway: --drain-delay and --drain-window together leave less than 100 ms of --drain-timeout: streams would be cut; raise --drain-timeout\n');
});

test('durable events that are published throughout a rolling restart come once and in order to clients that come back', async (t) => {
    const scope = scopeOf(t);
    const args = ['--drain-window', '2s', '--retry', '200ms', '--refusal', 'status'];
    const { redis, gateways, nginx } = await startTier(scope, { gateways: 2, nginx: true, args });
    const store = connect(scope, redis);
    await load(store);
    const clients = Array.from({ length: 60 }, (_, i) => new Client({ name: `c${i}`, port: nginx.port, channels: ['d'], random: new Random(7, `c${i}`), onEvent: () => {} }));
    scope.defer(() => Promise.all(clients.map((c) => c.stop())));
    let published = 0;
    let wanted = true;
    const publisher = (async () => {
        while (wanted) {
            await store.fcall('sse_publish', 1, 'd', eventText('d', published + 1, 40));
            published++;
            await sleep(5);
        }
    })();
    clients.forEach((c) => c.start());
    await until('all streams', () => clients.every((c) => c.newest('d') > 0));
    for (const gateway of gateways) {
        gateway.terminate();
        await gateway.process.exit();
        const { port, adminPort, id } = gateway;
        await Gateway.start(scope, { redis, port, adminPort, id, args });
    }
    wanted = false;
    await publisher;
    await until('the newest event everywhere', () => clients.every((c) => c.newest('d') === published), { ms: 20000 });
    t.diagnostic(`${published} events, ${clients.reduce((n, c) => n + c.connects, 0)} connects of ${clients.length} clients`);
    for (const client of clients) {
        assert.deepEqual(client.faults, []);
        assert.deepEqual(client.got.get('d').map((item) => item.number), Array.from({ length: published }, (_, i) => i + 1));
        assert.ok(client.cuts >= 1);
    }
});

test('--max-stream-age ends each stream at about that age, with the reason, a short retry and a clean end', async (t) => {
    const scope = scopeOf(t);
    const { redis, gateway } = await startTier(scope, { args: ['--max-stream-age', '3s'] });
    const streams = await openStreams(scope, Array(40).fill({ port: gateway.port, path: '/stream?channel=a&control=1' }));
    timeEnds(streams);
    await Promise.all(streams.map((s) => s.count(1)));
    await redis.publish('a', 'x');
    await Promise.all(streams.map((s) => s.ended()));
    for (const stream of streams) {
        assert.equal(stream.end, 'clean');
        assert.deepEqual(stream.events.map((e) => e.type), ['gateway:open', 'message', 'gateway:close']);
        assert.deepEqual(JSON.parse(stream.events.at(-1).data), { reason: 'age' });
        assert.ok(stream.retry >= 500 && stream.retry <= 1000, `${stream.retry}`);
        assert.ok(stream.endedAt > 2200 && stream.endedAt < 5000, `${stream.endedAt}`);
    }
    await gateway.metricIs('closes_total', 40, { labels: { reason: 'age' } });
    const next = await openStream(scope, gateway.port, '/stream?channel=a');
    await redis.publish('a', 'y');
    await next.count(1);
});

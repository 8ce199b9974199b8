// SIGTERM: every stream ends cleanly and whole, the gateway says that it drains, and exits 0.

import assert from 'node:assert/strict';
import net from 'node:net';
import { test } from 'node:test';
import { RawConnection } from '../lib/raw_http.mjs';
import { scopeOf } from '../lib/scope.mjs';
import { openStream, openStreams } from '../lib/streams.mjs';
import { startTier } from '../lib/tier.mjs';
import { until } from '../lib/wait.mjs';

const onAdmin = (gateway, path) => gateway.get(path, { port: gateway.adminPort });

/** A tier with a stream that reads nothing, filled until bytes wait in the gateway: it holds a drain up. `blocked`: its connection. */
async function startBlocked(scope, args = []) {
    // Several events may come to the gateway between two looks at it.
    const tier = await startTier(scope, { args: ['--queue-limit', '64MiB', ...args] });
    const { redis, gateway } = tier;
    const connection = new RawConnection(gateway.port);
    scope.defer(() => connection.close());
    connection.send('GET /stream?channel=blocked HTTP/1.1\r\nHost: a\r\n\r\n');
    await until('the head', () => connection.text.includes('retry'));
    connection.socket.pause();
    await until('bytes that wait', async () => {
        await redis.publishAll([['blocked', 'x'.repeat(500_000)]]);
        return (await gateway.metric('queued_bytes')) > 0;
    }, { every: 1 });
    return { ...tier, blocked: connection };
}

test('SIGTERM ends 500 streams with whole events, a jittered retry and a clean last chunk, and exits 0', async (t) => {
    const scope = scopeOf(t);
    const { redis, gateway } = await startTier(scope);
    const streams = await openStreams(scope, Array.from({ length: 500 }, (_, i) => ({ port: gateway.port, path: `/stream?channel=a&channel=c:${i}`, keep: true })));
    await redis.publish('a', 'before');
    await Promise.all(streams.map((s) => s.count(1)));
    gateway.terminate();
    await Promise.all(streams.map((s) => s.ended()));
    assert.deepEqual(await gateway.process.exit(), { code: 0, signal: null });

    for (const stream of streams) {
        assert.equal(stream.end, 'clean');
        assert.equal(stream.fault, undefined);
        assert.deepEqual(stream.events.map((e) => e.data), ['before']);
        assert.match(stream.chunks.at(-1).toString(), /^retry: \d+\n\n$/);
    }
    const retries = streams.map((s) => s.retry);
    assert.ok(new Set(retries).size > 100, `${new Set(retries).size} different times to come back`);
    assert.ok(Math.min(...retries) >= 1000 && Math.max(...retries) <= 8000, `${Math.min(...retries)} to ${Math.max(...retries)} ms`);
    assert.ok(Math.max(...retries) - Math.min(...retries) > 1000, 'spread over a good part of --retry');
});

for (const signal of ['SIGINT', 'SIGQUIT']) {
    test(`${signal} does the same`, async (t) => {
        const scope = scopeOf(t);
        const { gateway } = await startTier(scope);
        const stream = await openStream(scope, gateway.port, '/stream?channel=a');
        gateway.process.signal(signal);
        assert.equal(await stream.ended(), 'clean');
        assert.equal((await gateway.process.exit()).code, 0);
    });
}

test('SIGHUP, SIGUSR1, SIGUSR2 and SIGALRM end nothing, and the log says that they are ignored', async (t) => {
    const scope = scopeOf(t);
    const { redis, gateway } = await startTier(scope);
    const stream = await openStream(scope, gateway.port, '/stream?channel=a');
    for (const signal of ['SIGHUP', 'SIGUSR1', 'SIGUSR2', 'SIGALRM']) {
        gateway.process.signal(signal);
        await gateway.process.ready('says so', () => gateway.process.log().includes(`${signal} is ignored`));
    }
    await redis.publish('a', 'x');
    await stream.count(1);
    assert.ok(await gateway.ready());
});

test('with no stream open, SIGTERM exits at once', async (t) => {
    const scope = scopeOf(t);
    const { gateway } = await startTier(scope);
    const started = performance.now();
    gateway.terminate();
    assert.equal((await gateway.process.exit()).code, 0);
    assert.ok(performance.now() - started < 3000);
});

test('messages that were being delivered when SIGTERM came end whole', async (t) => {
    const scope = scopeOf(t);
    const { redis, gateway } = await startTier(scope, { args: ['--queue-limit', '64MiB'] });
    const streams = await openStreams(scope, Array(10).fill({ port: gateway.port, path: '/stream?channel=a', keep: true }));
    const body = 'y'.repeat(5000);
    const publishing = redis.publishAll(Array.from({ length: 2000 }, (_, i) => ['a', `${i} ${body}`]));
    await until('the first events', () => streams.every((s) => s.events.length > 0), { every: 1 });
    gateway.terminate();
    await Promise.all([publishing, ...streams.map((s) => s.ended())]);
    for (const stream of streams) {
        assert.equal(stream.end, 'clean');
        for (const chunk of stream.chunks.slice(1)) assert.ok(chunk.subarray(-2).equals(Buffer.from('\n\n')), 'a chunk of whole events');
        assert.deepEqual(stream.events.map((e) => e.data.split(' ')[0]), stream.events.map((_, i) => String(i)), 'no event is missing before the end');
    }
    assert.equal((await gateway.process.exit()).code, 0);
});

test('control=1 brings gateway:close with the reason; others do not get it', async (t) => {
    const scope = scopeOf(t);
    const { gateway } = await startTier(scope);
    const [told, plain] = await openStreams(scope, ['&control=1', ''].map((more) => ({ port: gateway.port, path: `/stream?channel=a${more}` })));
    gateway.terminate();
    await Promise.all([told.ended(), plain.ended()]);
    const close = told.events.at(-1);
    assert.equal(close.type, 'gateway:close');
    assert.equal(JSON.parse(close.data).reason, 'drain');
    assert.deepEqual(plain.events, []);
});

test('HTTP/1.0 streams end too', async (t) => {
    const scope = scopeOf(t);
    const { redis, gateway } = await startTier(scope);
    const connection = new RawConnection(gateway.port);
    scope.defer(() => connection.close());
    connection.send('GET /stream?channel=a HTTP/1.0\r\n\r\n');
    await until('the head', () => connection.text.includes('retry'));
    await redis.publish('a', 'x');
    await until('the event', () => connection.text.includes('data: x\n\n'));
    gateway.terminate();
    await connection.closed;
    assert.match(connection.answer().body, /^retry: 2000\ndata: x\n\nretry: \d+\n\n$/);
    assert.equal(connection.reset, false);
    assert.equal((await gateway.process.exit()).code, 0);
});

test('through NGINX, streams end whole, and the next ones go to the gateways that are left', async (t) => {
    const scope = scopeOf(t);
    const { redis, gateways, nginx } = await startTier(scope, { gateways: 2, nginx: true });
    const wanted = Array(40).fill({ port: nginx.port, path: '/stream?channel=a' });
    const streams = await openStreams(scope, wanted);
    const [leaving, staying] = gateways;
    leaving.terminate();
    const gone = streams.filter((s) => s.gateway === leaving.id);
    assert.equal(gone.length, 20);
    await Promise.all(gone.map((s) => s.ended()));
    assert.ok(gone.every((s) => s.end === 'clean'));
    assert.equal((await leaving.process.exit()).code, 0);
    const next = await openStreams(scope, wanted);
    assert.ok(next.every((s) => s.gateway === staying.id));
    await redis.publish('a', 'x');
    await Promise.all([...next, ...streams.filter((s) => !gone.includes(s))].map((s) => s.count(1)));
});

test('while it drains: ready is 404, live is 200, the listener is closed, connections that are open are refused for now', async (t) => {
    const scope = scopeOf(t);
    const { gateway, blocked } = await startBlocked(scope);
    const kept = new RawConnection(gateway.port);
    scope.defer(() => kept.close());
    kept.send('GET /health/ready HTTP/1.1\r\nHost: a\r\n\r\n');
    await until('an answer', () => kept.text.includes('200 OK'));

    gateway.terminate();
    await until('404 on the admin listener', async () => (await onAdmin(gateway, '/health/ready')).status === 404, { every: 1 });
    kept.send('GET /stream?channel=b HTTP/1.1\r\nHost: a\r\n\r\n');
    assert.equal((await onAdmin(gateway, '/health/live')).status, 200);
    assert.equal(JSON.parse((await onAdmin(gateway, '/metrics/sse')).body).draining, true);
    await until('the listener to be closed', () => isRefused(gateway.port));
    await kept.closed;
    const answers = kept.text.split(/(?=HTTP\/1\.1 )/);
    if (answers.length > 1) {
        assert.match(answers[1], /^HTTP\/1\.1 200 /);
        assert.match(answers[1], /\r\n\r\n[0-9a-f]+\r\nretry: \d+\n\n\r\n0\r\n\r\n$/);
    }
    blocked.close();
    assert.equal((await gateway.process.exit()).code, 0);
});

function isRefused(port) {
    return new Promise((resolve) => {
        const socket = net.connect(port, '127.0.0.1');
        socket.once('connect', () => {
            socket.destroy();
            resolve(false);
        });
        socket.once('error', (error) => resolve(error.code === 'ECONNREFUSED'));
    });
}

test('a second SIGTERM ends at once', async (t) => {
    const scope = scopeOf(t);
    const { gateway } = await startBlocked(scope);
    gateway.terminate();
    await until('drain', async () => (await onAdmin(gateway, '/health/ready')).status === 404, { every: 1 });
    const asked = performance.now();
    gateway.terminate();
    const end = await gateway.process.exit(5000);
    assert.ok(performance.now() - asked < 2000);
    assert.equal(end.signal, null);
});

test('a second SIGTERM in the midst of a flood of messages ends without a crash', async (t) => {
    const scope = scopeOf(t);
    const { redis, gateway } = await startTier(scope, { workers: 4, args: ['--queue-limit', '64MiB'] });
    const streams = await openStreams(scope, Array.from({ length: 80 }, (_, i) => ({ port: gateway.port, path: `/stream?channel=a&channel=c:${i}`, onEvent: () => {} })));
    const flood = redis.publishAll(Array.from({ length: 20000 }, (_, i) => [i % 2 ? 'a' : `c:${i % 80}`, 'x'.repeat(500)]));
    gateway.terminate();
    await until('drain', () => streams.some((s) => !s.open), { every: 1 });
    gateway.terminate();
    const end = await gateway.process.exit(10000); // a crash, or a report of a sanitizer, fails the test when the scope ends
    assert.equal(end.signal, null);
    await flood;
});

test('a client that reads slowly gets the rest and a clean last chunk after SIGTERM, though it takes its time', async (t) => {
    const scope = scopeOf(t);
    const { redis, gateway } = await startTier(scope, { args: ['--queue-limit', '64MiB'] });
    const stream = await openStream(scope, gateway.port, '/stream?channel=a');
    stream.socket.pause();
    let sent = 0;
    await until('bytes that wait', async () => {
        // A gateway that is busy may lag: Redis cuts off one that it would have to keep 32 MB for.
        if (sent - (await gateway.metric('deliveries_total')) < 50) await redis.publishAll([['a', `${sent++} ${'x'.repeat(200_000)}`]]);
        return (await gateway.metric('queued_bytes')) > 20_000_000;
    }, { every: 1, ms: 30000 });
    // What Redis has taken may still be on its way to the gateway, which owes only what it has got.
    await gateway.metricIs('deliveries_total', sent, { ms: 30000 });
    gateway.terminate();
    // At most 64 KB each 15 ms: more than five seconds for what waits, and always some progress.
    stream.socket.on('data', () => {
        stream.socket.pause();
        setTimeout(() => stream.socket.resume(), 15);
    });
    stream.socket.resume();
    assert.equal(await stream.ended(25000), 'clean');
    assert.deepEqual(stream.events.map((e) => Number(e.data.split(' ')[0])), Array.from({ length: sent }, (_, i) => i));
    assert.equal((await gateway.process.exit()).code, 0);
});

test('--drain-timeout bounds the wait for a client that does not read', async (t) => {
    const scope = scopeOf(t);
    const { gateway } = await startBlocked(scope, ['--drain-timeout', '1s']);
    const asked = performance.now();
    gateway.terminate();
    assert.equal((await gateway.process.exit(10000)).code, 0);
    const took = performance.now() - asked;
    assert.ok(took > 900 && took < 4000, `${Math.round(took)} ms`);
});

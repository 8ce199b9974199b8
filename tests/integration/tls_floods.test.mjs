// Clients that begin handshake after handshake, and those that come between them.

import assert from 'node:assert/strict';
import net from 'node:net';
import { test } from 'node:test';
import tls from 'node:tls';
import { scopeOf } from '../lib/scope.mjs';
import { openStream } from '../lib/streams.mjs';
import { ask, handshake, startTls } from '../lib/tls.mjs';
import { until, within } from '../lib/wait.mjs';

/** The first message of a client, as bytes. */
async function clientHello(options = {}) {
    const server = net.createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => server.once('listening', resolve));
    const client = tls.connect({ port: server.address().port, host: '127.0.0.1', ...options }).on('error', () => {});
    const socket = await new Promise((resolve) => server.once('connection', resolve));
    const hello = await new Promise((resolve) => socket.once('data', resolve));
    for (const end of [client, socket, server]) (end.destroy ?? end.close).call(end);
    return hello;
}

/** A connection that has sent `hello` and never answers; `answered` is set once the gateway has. */
async function begin(scope, port, hello) {
    const socket = net.connect({ port, host: '127.0.0.1' }).on('error', () => {});
    scope.defer(() => socket.destroy());
    socket.once('data', () => (socket.answered = performance.now()));
    await new Promise((resolve) => socket.once('connect', resolve));
    socket.write(hello);
    return socket;
}

test('handshakes are served in the order in which they came, however many there are', async (t) => {
    const scope = scopeOf(t);
    const { gateway } = await startTls(scope, { workers: 1 });
    const hello = await clientHello();
    // So that connections are accepted many a turn.
    (await Promise.all(Array.from({ length: 100 }, () => handshake(gateway.port)))).forEach((s) => s.destroy());
    await gateway.metricIs('sockets', 1);
    gateway.process.signal('SIGSTOP');
    const sockets = [];
    for (let i = 0; i < 60; i++) sockets.push(await begin(scope, gateway.port, hello));
    gateway.process.signal('SIGCONT');
    await until('all answers', () => sockets.every((s) => s.answered));
    const order = sockets.map((s, i) => [s.answered, i]).toSorted((a, b) => a[0] - b[0]).map(([, i]) => i);
    const displaced = order.map((i, place) => Math.abs(i - place));
    assert.ok(Math.max(...displaced) < 20, `served in the order ${order}`);
});

test('handshakes on their way are bounded, and so is their memory; those that do not go on make way', async (t) => {
    const scope = scopeOf(t);
    const limited = { there: '127.0.0.1', via: ['prlimit', '--nofile=1000:1000'] };
    const { gateway } = await startTls(scope, { workers: 1, args: ['--max-connections', '500'], netns: limited });
    const hello = await clientHello();
    const sockets = await Promise.all(Array.from({ length: 600 }, () => begin(scope, gateway.port, hello)));
    await until('the gateway has answered', () => sockets.filter((s) => s.answered).length >= 60);
    const bytes = await within(10000, 'the memory at rest', (async () => {
        for (let last = -1; ; ) {
            const now = await gateway.metric('connection_bytes');
            if (now === last) return now;
            last = now;
            await new Promise((resolve) => setTimeout(resolve, 600));
        }
    })());
    assert.ok(bytes < 60 * 75_000 + 500_000, `${bytes} bytes`);
    const honest = await handshake(gateway.port);
    await ask(honest);
    honest.destroy();
    assert.ok((await gateway.metric('tls_handshake_failures_total', { reason: 'crowded' })) > 0);
});

/** The slowest of a stream's opening, and of an event's delivery to an open stream, in ms, of 30 in a row. */
async function slowest(scope, { redis, gateway, secure }) {
    const open = await openStream(scope, gateway.port, '/stream?channel=a', { tls: secure });
    const worst = { opening: 0, delivery: 0 };
    for (let i = 0; i < 30; i++) {
        const began = performance.now();
        const stream = await openStream(scope, gateway.port, '/stream?channel=b', { tls: secure });
        worst.opening = Math.max(worst.opening, performance.now() - began);
        stream.socket.destroy();
        const published = performance.now();
        await redis.publish('a', String(i));
        await open.count(i + 1);
        worst.delivery = Math.max(worst.delivery, performance.now() - published);
    }
    open.socket.destroy();
    return worst;
}

test('under a flood of handshakes clients get their streams, and streams their events', async (t) => {
    const scope = scopeOf(t);
    const tier = await startTls(scope, { workers: 1 });
    const hello = await clientHello();
    const calm = await slowest(scope, tier);
    let begun = 0;
    const flood = new Set();
    const timer = setInterval(() => {
        for (let i = 0; i < 4; i++) {
            const socket = net.connect(tier.gateway.port, '127.0.0.1').on('error', () => {}).on('close', () => flood.delete(socket));
            socket.write(hello);
            flood.add(socket);
            begun++;
        }
    }, 10);
    scope.defer(() => (clearInterval(timer), flood.forEach((s) => s.destroy())));
    await until('the flood', () => begun > 400);
    const flooded = await slowest(scope, tier);
    t.diagnostic(`${begun} handshakes begun; ms at most: calm ${JSON.stringify(calm)}, flooded ${JSON.stringify(flooded)}`);
    assert.ok(flooded.opening < calm.opening + 3000, JSON.stringify({ calm, flooded }));
    assert.ok(flooded.delivery < calm.delivery + 1000, JSON.stringify({ calm, flooded }));
});

test('--connect-rate bounds the handshakes of one address, too', async (t) => {
    const scope = scopeOf(t);
    const { gateway } = await startTls(scope, { args: ['--connect-rate', '1', '--connect-burst', '5'] });
    const hello = await clientHello();
    const sockets = await Promise.all(Array.from({ length: 40 }, () => begin(scope, gateway.port, hello)));
    await until('an end for those that are too many', () => sockets.filter((s) => s.closed).length >= 10);
    await until('answers for the others', () => sockets.filter((s) => s.answered).length >= 15);
    assert.ok((await gateway.metric('tls_handshake_failures_total', { reason: 'connect_rate' })) >= 10);
});

// Clients that mean ill, or are broken in ways that look like it, cost a bounded amount and disturb nobody.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { RawConnection } from '../lib/raw_http.mjs';
import { scopeOf } from '../lib/scope.mjs';
import { openStream } from '../lib/streams.mjs';
import { startTier } from '../lib/tier.mjs';
import { until, within } from '../lib/wait.mjs';

const MiB = 1 << 20;

/** Sends `bytes` again and again until the server takes no more, or `limit` is reached; resolves to what was sent. */
async function flood(connection, bytes, limit) {
    let sent = 0;
    while (sent < limit && !connection.socket.destroyed) {
        sent += bytes.length;
        if (connection.socket.write(bytes)) continue;
        const taken = within(1500, 'the server to read on', Promise.race([once(connection.socket, 'drain'), connection.closed]));
        if (!(await taken.then(() => true, () => false))) break;
    }
    return sent;
}

test('a client that asks for page after page and reads none costs a bounded amount, and is let go in the end', async (t) => {
    const scope = scopeOf(t);
    const { redis, gateway } = await startTier(scope, { env: { ASAN_OPTIONS: 'detect_leaks=1:quarantine_size_mb=1' } });
    const stream = await openStream(scope, gateway.port, '/stream?channel=a');
    const before = await gateway.metric('resident_memory_bytes');
    const connection = new RawConnection(gateway.port);
    scope.defer(() => connection.close());
    connection.socket.pause();
    const requests = Buffer.from('GET /health/detailed HTTP/1.1\r\nHost: a\r\n\r\n'.repeat(1000));
    await flood(connection, requests, 16 * MiB);
    const grown = (await gateway.metric('resident_memory_bytes')) - before;
    assert.ok(grown < 8 * MiB, `${(grown / MiB).toFixed(1)} MiB more`);
    await redis.publish('a', 'x');
    await stream.count(1, { ms: 2000 });
});

test('bytes that nobody asked for do not pile up behind a stream', async (t) => {
    const scope = scopeOf(t);
    const { redis, gateway } = await startTier(scope, { env: { ASAN_OPTIONS: 'detect_leaks=1:quarantine_size_mb=1' } });
    const before = await gateway.metric('resident_memory_bytes');
    const connection = new RawConnection(gateway.port);
    scope.defer(() => connection.close());
    connection.send('GET /stream?channel=a HTTP/1.1\r\nHost: a\r\n\r\n');
    await until('the stream', () => connection.text.includes('retry'));
    await flood(connection, Buffer.alloc(64 * 1024, 'x'), 16 * MiB);
    const grown = (await gateway.metric('resident_memory_bytes')) - before;
    assert.ok(grown < 8 * MiB, `${(grown / MiB).toFixed(1)} MiB more`);
    const stream = await openStream(scope, gateway.port, '/stream?channel=a');
    await redis.publish('a', 'x');
    await stream.count(1);
});

test('a page and then an HTTP/1.0 stream on one connection are each framed as their version says', async (t) => {
    const scope = scopeOf(t);
    const { gateway } = await startTier(scope);
    await openStream(scope, gateway.port, '/stream?channel=a');
    const connection = new RawConnection(gateway.port);
    scope.defer(() => connection.close());
    connection.send('GET /health/live HTTP/1.1\r\nHost: a\r\n\r\nGET /stream?channel=a HTTP/1.0\r\nHost: a\r\n\r\n');
    await until('both answers', () => connection.text.includes('retry'));
    const [, second] = connection.text.split(/(?<=live\n)/);
    assert.match(second, /^HTTP\/1\.[01] 200 /);
    assert.ok(second.endsWith('\r\n\r\nretry: 2000\n'), second);
    await gateway.metricIs('queued_bytes', 0);
});

test('a hundred clients that hang in their heads do not keep others out', async (t) => {
    const scope = scopeOf(t);
    const { redis, gateway } = await startTier(scope);
    for (let i = 0; i < 100; i++) {
        const connection = new RawConnection(gateway.port);
        scope.defer(() => connection.close());
        connection.send('GET /stream?channel=a HTTP/1.1\r\nHost');
    }
    const stream = await openStream(scope, gateway.port, '/stream?channel=a', { ms: 2000 });
    await redis.publish('a', 'x');
    await stream.count(1, { ms: 2000 });
    await gateway.metricIs('sockets', 1 + 1, { ms: 30000 }); // the stream, and the one that asks
});

test('storms of streams on names that nobody uses again leave no more than a bounded number of subscriptions', async (t) => {
    const scope = scopeOf(t);
    const { redis, gateway } = await startTier(scope);
    const names = (i) => Array.from({ length: 64 }, (_, j) => `channel=storm:${i}:${j}`).join('&');
    let most = 0;
    for (let i = 0; i < 600; i++) {
        const connection = new RawConnection(gateway.port);
        connection.send(`GET /stream?${names(i)} HTTP/1.1\r\nHost: a\r\n\r\n`);
        await until('an answer', () => connection.text.includes('\r\n\r\n'), { every: 1 });
        connection.close();
        if (i % 50 === 0) most = Math.max(most, await gateway.metric('subscriptions'));
    }
    assert.ok(most <= 20000, `${most} subscriptions`);
    await gateway.metricIs('subscriptions', 0, { ms: 20000 });
    const stream = await openStream(scope, gateway.port, '/stream?channel=after');
    await redis.publish('after', 'x');
    await stream.count(1);
});

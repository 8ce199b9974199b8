// Clients that come and go, in all the ways in which they go, leave nothing behind.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import { test } from 'node:test';
import { RawConnection } from '../lib/raw_http.mjs';
import { scopeOf } from '../lib/scope.mjs';
import { Stream } from '../lib/stream.mjs';
import { openStream } from '../lib/streams.mjs';
import { startTier } from '../lib/tier.mjs';
import { until } from '../lib/wait.mjs';

const ROUND = 1000;
const MiB = 1 << 20;

const WAYS = [
    (s) => s.close(), // FIN
    (s) => s.socket.resetAndDestroy(), // RST
    (s) => s.socket.end(), // half-closed, and then the gateway's turn
];

async function churn(port, redis) {
    let next = 0;
    const one = async () => {
        while (next < ROUND) {
            const i = next++;
            const stream = await Stream.open(port, `/stream?channel=c:${i % 50}&channel=own:${i}`);
            WAYS[i % WAYS.length](stream);
            await stream.closed;
        }
    };
    const publishing = redis.publishAll(Array.from({ length: 500 }, (_, i) => [`c:${i % 50}`, 'x'.repeat(1000)]));
    await Promise.all([publishing, ...Array.from({ length: 50 }, one)]);
}

async function abort(port) {
    const beginnings = ['', 'G', 'GET /stream?channel=a HTTP/1.1\r\n', 'GET /stream?channel=a HTTP/1.1\r\nHost: a\r\n\r\n', '\0\0\0'];
    for (let i = 0; i < 200; i++) {
        const connection = new RawConnection(port);
        await new Promise((resolve) => connection.socket.once('connect', resolve));
        connection.send(beginnings[i % beginnings.length]);
        i % 2 ? connection.socket.resetAndDestroy() : connection.close();
    }
}

test('after thousands of clients came and went, no connection, subscription, descriptor or memory is left', async (t) => {
    const scope = scopeOf(t);
    const { redis, gateway } = await startTier(scope, { env: { ASAN_OPTIONS: 'detect_leaks=1:quarantine_size_mb=1' } });
    const descriptors = () => fs.readdirSync(`/proc/${gateway.process.pid}/fd`).length;
    const before = descriptors();
    const settle = async () => {
        await gateway.metricIs('connections', 0);
        await gateway.metricIs('sockets', 1, { ms: 20000 }); // the one that asks
        await gateway.metricIs('queued_bytes', 0);
    };

    for (let warm = 0; warm < 2; warm++) await churn(gateway.port, redis);
    await abort(gateway.port);
    await settle();
    const rss = await gateway.metric('resident_memory_bytes');
    for (let round = 0; round < 4; round++) await churn(gateway.port, redis);
    await abort(gateway.port);
    await settle();
    await gateway.metricIs('subscriptions', 0, { ms: 20000 });
    // The gateway lets go of the connection that asked a moment after its answer.
    await until(`no more than the ${before} descriptors of before`, () => descriptors() <= before);
    const grown = (await gateway.metric('resident_memory_bytes')) - rss;
    assert.ok(grown < 8 * MiB, `${(grown / MiB).toFixed(1)} MiB more after 4,000 more clients`);

    const total = await gateway.metric('connections_total');
    assert.ok(total >= 6 * ROUND, `${total} streams counted`);
    const stream = await openStream(scope, gateway.port, '/stream?channel=c:1');
    await redis.publish('c:1', 'x');
    await stream.count(1);
});

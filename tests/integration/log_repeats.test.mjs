// What clients or Redis cause again and again does not fill the log.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Keys } from '../lib/bearer.mjs';
import { Gateway } from '../lib/gateway.mjs';
import { exchange } from '../lib/raw_http.mjs';
import { Redis } from '../lib/redis.mjs';
import { scopeOf } from '../lib/scope.mjs';
import { Stream } from '../lib/stream.mjs';
import { startTier } from '../lib/tier.mjs';
import { until } from '../lib/wait.mjs';

test('an ACL that forbids 200 channels is a few lines in the log, and one that counts the others', async (t) => {
    const scope = scopeOf(t);
    const redis = await Redis.start(scope);
    await redis.cli(['ACL', 'SETUSER', 'gw', 'on', '>secret', '+@all', '~*', 'resetchannels', '&ok*', '&sse:*']);
    const gateway = await Gateway.start(scope, { redisUrl: `redis://gw:secret@127.0.0.1:${redis.port}` });
    const streams = Array.from({ length: 200 }, (_, i) => {
        const stream = new Stream();
        scope.defer(() => stream.close());
        stream.start(gateway.port, '127.0.0.1', `GET /stream?channel=bad:${i} HTTP/1.1\r\nHost: a\r\n\r\n`);
        return stream;
    });
    await Promise.all(streams.map((s) => s.ended(20000)));
    gateway.terminate(); // at the end it says what it has left out, too
    assert.equal((await gateway.process.exit()).code, 0);
    const lines = gateway.process.log().split('\n').filter((line) => line.includes('cannot subscribe to bad:'));
    const counted = lines.map((line) => Number(line.match(/"(\d+) more lines in \d+ s like/)?.[1] ?? 1));
    assert.ok(lines.length <= 45, `${lines.length} lines`); // of a period or two
    assert.ok(counted.some((n) => n > 100), `${lines.length} lines tell of ${counted}`);
});

/** What `line` was said of, and left out of: written lines, and all of them with those that a later line counts. */
function saidOf(log, line) {
    const lines = log.split('\n').filter((l) => l.includes(line));
    const all = lines.reduce((sum, l) => sum + Number(l.match(/(\d+) more lines in \d+ s like/)?.[1] ?? 1), 0);
    return { lines: lines.length, all };
}

test('each fault that a client, a publisher or another gateway can repeat is a few lines in the log, and one that counts the others', async (t) => {
    const scope = scopeOf(t);
    const keys = new Keys(scope);
    const { redis, gateway } = await startTier(scope, { workers: 1, args: keys.args });
    const { gateway: proxied } = await startTier(scope, { workers: 1, args: ['--proxy-protocol', 'v2'], ready: false });
    await until('the other one to be ready', async () => (await proxied.get('/health/ready', { port: proxied.adminPort })).status === 200);
    const stream = await Stream.open(gateway.port, '/stream?channel=news');
    scope.defer(() => stream.close());
    const N = 100;
    const faults = [ // what is done, how the line begins, of which gateway, lines at most: 20 in 10 s, and what counts the others
        [() => exchange(gateway.port, Buffer.from([0x16, 3, 1, 2, 0, 1])), 'speaks TLS to a port without TLS', gateway, 45],
        [() => exchange(proxied.port, 'GET / HTTP/1.1\r\nHost: a\r\n\r\n'), 'it began with no PROXY header', proxied, 45],
        [() => redis.publish('sse:gateways', 'junk'), 'was no announcement', gateway, 45],
        [() => redis.publish('__sse:revoke', 'junk'), 'was not understood', gateway, 45],
        [() => redis.publish('news', Buffer.from([0xff])), 'dropped a message', gateway, 1], // others are in the metrics
    ];
    for (const [fault, , ,] of faults) for (let i = 0; i < N; i += 20) await Promise.all(Array.from({ length: 20 }, fault));
    await gateway.metricIs('messages_dropped_total', N, { labels: { reason: 'not_text' } });
    for (const { process } of [gateway, proxied]) {
        process.signal('SIGTERM');
        assert.equal((await process.exit()).code, 0);
    }
    for (const [, line, { process }, most] of faults) {
        const { lines, all } = saidOf(process.log(), line);
        assert.ok(lines >= 1 && lines <= most, `${line}: ${lines} lines`);
        if (most > 1) assert.equal(all, N, `${line}: ${lines} lines tell of ${all}`);
    }
});

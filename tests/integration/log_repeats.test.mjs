// What clients or Redis cause again and again does not fill the log.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Gateway } from '../lib/gateway.mjs';
import { Redis } from '../lib/redis.mjs';
import { scopeOf } from '../lib/scope.mjs';
import { Stream } from '../lib/stream.mjs';

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

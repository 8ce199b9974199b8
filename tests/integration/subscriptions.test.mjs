// When the gateway subscribes and unsubscribes in Redis.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { scopeOf } from '../lib/scope.mjs';
import { openStream, openStreams } from '../lib/streams.mjs';
import { Stream } from '../lib/stream.mjs';
import { startTier } from '../lib/tier.mjs';
import { until } from '../lib/wait.mjs';

/** How often Redis was asked for a command. */
async function calls(redis, command) {
    const stats = await redis.cli(['INFO', 'commandstats']);
    return Number(stats.match(new RegExp(`^cmdstat_${command}:calls=(\\d+)`, 'm'))?.[1] ?? 0);
}

test('a stream that has its 200 has its subscription: what is published then always arrives', async (t) => {
    const scope = scopeOf(t);
    const { redis, gateway } = await startTier(scope);
    const ROUNDS = 400;
    let next = 0;
    const one = async () => {
        while (next < ROUNDS) {
            const channels = [`new:${next++}`, `new2:${next}`];
            const stream = await Stream.open(gateway.port, `/stream?${channels.map((c) => `channel=${c}`).join('&')}`);
            scope.defer(() => stream.close());
            await redis.publishAll(channels.map((c) => [c, c]));
            await stream.count(2, { ms: 5000, every: 1 });
            stream.close();
        }
    };
    await Promise.all(Array.from({ length: 20 }, one));
});

test('a stream gets no answer before Redis has confirmed its channels', async (t) => {
    const scope = scopeOf(t);
    const { redis, gateway } = await startTier(scope, { workers: 1 });
    await openStream(scope, gateway.port, '/stream?channel=known');
    process.kill(redis.process.pid, 'SIGSTOP');
    scope.defer(() => redis.process.running && process.kill(redis.process.pid, 'SIGCONT'));
    const fresh = Stream.open(gateway.port, '/stream?channel=fresh');
    // Streams that come later, one after the other, and need no word from Redis, are answered by the same worker.
    for (let i = 0; i < 5; i++) await openStream(scope, gateway.port, '/stream?channel=known');
    assert.ok((await Promise.race([fresh, null])) === null, 'an answer before Redis could have confirmed');
    process.kill(redis.process.pid, 'SIGCONT');
    const stream = await fresh;
    scope.defer(() => stream.close());
    await redis.publish('fresh', 'x');
    await stream.count(1);
});

test('many streams that ask for the same new channel at once all have it', async (t) => {
    const scope = scopeOf(t);
    const { redis, gateway } = await startTier(scope);
    const streams = await openStreams(scope, Array(200).fill({ port: gateway.port, path: '/stream?channel=popular' }));
    await redis.publish('popular', 'x');
    await Promise.all(streams.map((s) => s.count(1)));
    assert.equal((await redis.numsub('popular')).get('popular'), 1, 'one subscription a gateway');
});

test('after the last stream left, and not before, the channel is unsubscribed', async (t) => {
    const scope = scopeOf(t);
    const { redis, gateway } = await startTier(scope);
    const path = '/stream?channel=a&channel=b';
    const [first, second] = await openStreams(scope, [{ port: gateway.port, path }, { port: gateway.port, path: '/stream?channel=a' }]);
    first.close();
    await redis.subscribed('b', 0);
    assert.equal((await redis.numsub('a')).get('a'), 1);
    await redis.publish('a', 'still');
    await second.count(1);
    second.close();
    await redis.subscribed('a', 0);
    await gateway.metricIs('subscriptions', 0);
    assert.equal(await redis.cli(['PUBSUB', 'CHANNELS', 'a*']), '');
});

test('streams that leave and come back within seconds do not flap the subscription', async (t) => {
    const scope = scopeOf(t);
    const { redis, gateway } = await startTier(scope);
    const wanted = Array.from({ length: 100 }, (_, i) => ({ port: gateway.port, path: `/stream?channel=flap:${i % 10}` }));
    (await openStreams(scope, wanted)).forEach((s) => s.close());
    await gateway.metricIs('connections', 0);
    const subscribed = await calls(redis, 'subscribe');
    const closed = await gateway.metric('uptime_seconds');
    await until('two seconds without a stream', async () => (await gateway.metric('uptime_seconds')) >= closed + 2, { every: 100 });
    const streams = await openStreams(scope, wanted);
    assert.equal(await calls(redis, 'subscribe'), subscribed);
    assert.equal(await calls(redis, 'unsubscribe'), 0);
    await redis.publishAll(Array.from({ length: 10 }, (_, i) => [`flap:${i}`, 'x']));
    await Promise.all(streams.map((s) => s.count(1)));
});

test('a channel that is unsubscribed and asked for again in the same moment works', async (t) => {
    const scope = scopeOf(t);
    const { redis, gateway } = await startTier(scope);
    for (let round = 0; round < 2; round++) {
        const stream = await openStream(scope, gateway.port, '/stream?channel=again');
        await redis.publish('again', 'x');
        await stream.count(1);
        stream.close();
        await redis.subscribed('again', 0, { every: 1 });
    }
});

test('a client that leaves before its subscription is confirmed leaves nothing behind', async (t) => {
    const scope = scopeOf(t);
    const { redis, gateway } = await startTier(scope);
    for (let i = 0; i < 100; i++) {
        const stream = new Stream();
        stream.start(gateway.port, '127.0.0.1', `GET /stream?channel=gone:${i} HTTP/1.1\r\nHost: a\r\n\r\n`);
        stream.answered.catch(() => {});
        await new Promise((resolve) => stream.socket.once('connect', () => setImmediate(resolve)));
        stream.close();
    }
    await gateway.metricIs('connections', 0);
    await gateway.metricIs('subscriptions', 0);
    assert.equal(await redis.cli(['PUBSUB', 'CHANNELS', 'gone*']), '');
});

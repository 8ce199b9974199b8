// A client that does not read delays nobody, costs a bounded queue, and is ended.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import { test } from 'node:test';
import { Process } from '../lib/process.mjs';
import { scopeOf } from '../lib/scope.mjs';
import { openStream, openStreams } from '../lib/streams.mjs';
import { startTier } from '../lib/tier.mjs';
import { until } from '../lib/wait.mjs';

const CHUNK = 200_000;

test('a client that never reads does not delay others, and is ended beyond --queue-limit', async (t) => {
    const scope = scopeOf(t);
    const { redis, gateway } = await startTier(scope, { args: ['--queue-limit', '128KiB'] });
    const slow = await openStream(scope, gateway.port, '/stream?channel=a&channel=b', { keep: true });
    slow.socket.pause();
    const others = await openStreams(scope, Array(20).fill({ port: gateway.port, path: '/stream?channel=a' }));

    let sent = 0;
    await until('the slow one to be ended', async () => {
        await redis.publishAll([['a', `${sent++} ${'x'.repeat(CHUNK)}`]]);
        await Promise.all(others.map((s) => s.count(sent, { ms: 5000, every: 2 })));
        return (await gateway.metric('closes_total', { reason: 'slow' })) === 1;
    }, { ms: 60000, every: 0 });
    assert.ok(sent > 1);
    await gateway.metricIs('connections', others.length);
    for (const stream of others) {
        assert.ok(stream.open);
        assert.deepEqual(stream.events.map((e) => Number(e.data.split(' ')[0])), Array.from({ length: sent }, (_, i) => i));
    }

    slow.socket.resume(); // what it gets is a beginning of the messages, whole and without a hole
    await slow.ended();
    assert.deepEqual(slow.events.map((e) => Number(e.data.split(' ')[0])), slow.events.map((_, i) => i));
    await gateway.metricIs('queued_bytes', 0);
});

test('a client that reads slowly, but reads, gets everything', async (t) => {
    const scope = scopeOf(t);
    const { redis, gateway } = await startTier(scope, { args: ['--queue-limit', '8MiB'] });
    const stream = await openStream(scope, gateway.port, '/stream?channel=a');
    stream.socket.pause();
    let sent = 0;
    await until('bytes that wait in the gateway', async () => {
        await redis.publishAll([['a', `${sent++} ${'x'.repeat(CHUNK)}`]]);
        return (await gateway.metric('queued_bytes')) > 1_000_000;
    }, { every: 0, ms: 30000 });
    const trickle = setInterval(() => {
        stream.socket.resume();
        setTimeout(() => stream.socket.pause(), 2);
    }, 4);
    t.after(() => clearInterval(trickle));
    await stream.count(sent, { ms: 60000 });
    assert.deepEqual(stream.events.map((e) => Number(e.data.split(' ')[0])), Array.from({ length: sent }, (_, i) => i));
    await gateway.metricIs('queued_bytes', 0);
});

test('a slow client of one channel does not hold up Redis: other channels flow', async (t) => {
    const scope = scopeOf(t);
    const { redis, gateway } = await startTier(scope, { args: ['--queue-limit', '64MiB'] });
    const slow = await openStream(scope, gateway.port, '/stream?channel=big');
    slow.socket.pause();
    const other = await openStream(scope, gateway.port, '/stream?channel=small');
    for (let i = 0; i < 40; i++) {
        await redis.publishAll([['big', 'x'.repeat(500_000)], ['small', String(i)]]);
        await other.count(i + 1, { ms: 5000, every: 1 });
    }
    assert.ok(slow.open);
    slow.close();
    await gateway.metricIs('connections', 1);
    await gateway.metricIs('queued_bytes', 0);
});

// Half of the burst may wait: room for a client that a busy machine does not run for a moment, not for one that nobody writes to.
test('a burst of 30 MB does not make a client slow that reads as fast as it can', async (t) => {
    const scope = scopeOf(t);
    const { redis, gateway } = await startTier(scope, { args: ['--queue-limit', '16MiB'] });
    const curl = new Process(scope, 'curl', 'curl', ['-sSN', `http://127.0.0.1:${gateway.port}/stream?channel=a`]);
    await redis.subscribed('a', 1);
    const body = 'x'.repeat(10_000);
    await redis.publishAll([...Array.from({ length: 3000 }, () => ['a', body]), ['a', 'the end']]);
    await until('the last message', () => curl.log().endsWith('data: the end\n\n'), { ms: 30000, every: 200 });
    assert.equal(curl.log().split(`data: ${body}\n\n`).length - 1, 3000);
    assert.equal(await gateway.metric('closes_total', { reason: 'slow' }), 0);
    fs.truncateSync(curl.logFile); // 30 MB that nobody wants to see
});

test('--slow-client drop-oldest: the stream stays, and gateway:gap stands where events are missing', async (t) => {
    const scope = scopeOf(t);
    const { redis, gateway } = await startTier(scope, { args: ['--queue-limit', '256KiB', '--slow-client', 'drop-oldest'] });
    const stream = await openStream(scope, gateway.port, '/stream?channel=a&channel=b');
    stream.socket.pause();
    let sent = 0;
    await until('events to be dropped', async () => {
        await redis.publishAll([['a', `${sent++} ${'x'.repeat(50_000)}`]]);
        return (await gateway.metric('gaps_total')) > 0 && sent > 100;
    }, { every: 0, ms: 30000 });
    stream.socket.resume();
    await redis.publishAll([['b', 'other'], ['a', `${sent} end`]]);
    await until('the last event', () => stream.events.at(-1)?.data === `${sent} end`);

    let expected = 0;
    let gap = false;
    let holes = 0;
    for (const { type, data } of stream.events) {
        if (type === 'gateway:gap') {
            assert.equal(JSON.parse(data).channel, 'a');
            gap = true;
        } else if (data !== 'other') {
            const number = Number(data.split(' ')[0]);
            if (number !== expected) {
                assert.ok(gap, `events ${expected} to ${number - 1} are missing without a word`);
                holes++;
            }
            assert.ok(number >= expected, 'in order');
            expected = number + 1;
            gap = false;
        }
    }
    assert.ok(holes > 0);
    assert.ok(stream.open && stream.events.some((e) => e.data === 'other'));
    await gateway.metricIs('queued_bytes', 0);
});

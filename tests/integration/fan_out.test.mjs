// Every stream gets the messages of its channels: all of them, no others, in order.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { scopeOf } from '../lib/scope.mjs';
import { openStreams } from '../lib/streams.mjs';
import { startTier } from '../lib/tier.mjs';
import { until } from '../lib/wait.mjs';

const STREAMS = 2000;
const CHANNELS = 500;
const MESSAGES = 20000;

/** Small, seeded, and so repeatable: a failure can be run again (mulberry32). */
function random(seed) {
    return (below) => {
        seed = (seed + 0x6d2b79f5) | 0;
        let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
        t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
        return ((t ^ (t >>> 14)) >>> 0) % below;
    };
}

test('2,000 streams on 500 channels, 20,000 messages at random: each stream gets exactly its own, in order', async (t) => {
    const scope = scopeOf(t);
    const seed = Number(process.env.SEED ?? Date.now() % 1e9);
    t.diagnostic(`SEED=${seed}`);
    const pick = random(seed);
    const { redis, gateway } = await startTier(scope);

    // One to four channels a stream; the first 500 streams make sure that every channel has one.
    const wants = Array.from({ length: STREAMS }, (_, i) => new Set([i % CHANNELS, ...Array.from({ length: pick(4) }, () => pick(CHANNELS))]));
    const streams = await openStreams(scope, wants.map((set) => ({
        port: gateway.port,
        path: `/stream?${[...set].map((c) => `channel=c:${c}`).join('&')}`,
    })));
    await gateway.metricIs('subscriptions', CHANNELS);

    const sent = Array.from({ length: CHANNELS }, () => []);
    const messages = Array.from({ length: MESSAGES }, (_, i) => {
        const channel = pick(CHANNELS);
        sent[channel].push(i);
        return [`c:${channel}`, `${channel} ${i}`];
    });
    const last = Array.from({ length: CHANNELS }, (_, c) => [`c:${c}`, `${c} end`]);
    await redis.publishAll([...messages, ...last]);

    await until('the last message of each channel at each stream',
        () => streams.every((s, i) => s.events.filter((e) => e.data.endsWith('end')).length === wants[i].size), { ms: 60000, every: 200 });
    for (const [i, stream] of streams.entries()) {
        assert.ok(stream.open && !stream.fault, `stream ${i}: ${stream.end} ${stream.fault}`);
        const got = new Map([...wants[i]].map((c) => [c, []]));
        for (const event of stream.events) {
            const [channel, number] = event.data.split(' ');
            assert.ok(got.has(Number(channel)), `stream ${i} of ${[...wants[i]]} got ${event.data} (SEED=${seed})`);
            got.get(Number(channel)).push(number === 'end' ? number : Number(number));
        }
        for (const [channel, numbers] of got) {
            assert.deepEqual(numbers, [...sent[channel], 'end'], `stream ${i}, channel ${channel} (SEED=${seed})`);
        }
    }
    assert.equal(await gateway.metric('messages_dropped_total'), 0);
});

test('a stream of 64 channels gets the messages of all, in the order of publishing', async (t) => {
    const scope = scopeOf(t);
    const { redis, gateway } = await startTier(scope);
    const names = Array.from({ length: 64 }, (_, i) => `many:${i}`);
    const [stream] = await openStreams(scope, [{ port: gateway.port, path: `/stream?${names.map((n) => `channel=${n}`).join('&')}` }]);
    const messages = Array.from({ length: 640 }, (_, i) => [names[(i * 7) % 64], String(i)]);
    await redis.publishAll(messages);
    await stream.count(messages.length);
    assert.deepEqual(stream.events.map((e) => Number(e.data)), messages.map((_, i) => i));
});

test('a channel that is named twice in one request delivers once', async (t) => {
    const scope = scopeOf(t);
    const { redis, gateway } = await startTier(scope);
    const [stream] = await openStreams(scope, [{ port: gateway.port, path: '/stream?channel=a&channel=b&channel=a' }]);
    await redis.publishAll([['a', '1'], ['b', '2'], ['a', '3']]);
    await stream.count(3);
    assert.deepEqual(stream.events.map((e) => e.data), ['1', '2', '3']);
});

test('channels whose names differ in one letter, or where one begins like the other, stay apart', async (t) => {
    const scope = scopeOf(t);
    const { redis, gateway } = await startTier(scope);
    const names = ['user:1', 'user:11', 'User:1', 'user:1:', 'user', 'u'.repeat(128), 'u'.repeat(127)];
    const streams = await openStreams(scope, names.map((name) => ({ port: gateway.port, path: `/stream?channel=${name}` })));
    await redis.publishAll(names.map((name) => [name, name]));
    await redis.publishAll(names.map((name) => [name, 'end']));
    await Promise.all(streams.map((s) => s.count(2)));
    assert.deepEqual(streams.map((s) => s.events.map((e) => e.data)), names.map((name) => [name, 'end']));
});

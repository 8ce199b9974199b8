// Whatever bytes are published, a stream holds only whole, valid events; and a client sees the text that was published.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { scopeOf, sharedScope } from '../lib/scope.mjs';
import { openStream } from '../lib/streams.mjs';
import { startTier } from '../lib/tier.mjs';
import { DELIVERED, REFUSED } from '../lib/torture.mjs';

const shared = sharedScope();
const { redis, gateway } = await startTier(shared);

async function deliver(t, payloads, options) {
    const scope = scopeOf(t);
    const stream = await openStream(scope, gateway.port, '/stream?channel=torture', { keep: true, ...options });
    await redis.publishAll([...payloads.map((payload) => ['torture', payload]), ['torture', 'the end']]);
    await stream.count(1, { ms: 30000 });
    while (stream.events.at(-1).data !== 'the end') await stream.count(stream.events.length + 1, { ms: 30000 });
    assert.equal(stream.fault, undefined);
    return { stream, events: stream.events.slice(0, -1) };
}

for (const { name, payload, data, type, id = '', retry } of DELIVERED) {
    test(`${name} arrives`, async (t) => {
        const { stream, events } = await deliver(t, [payload]);
        assert.equal(events.length, 1, `${events.length} events: ${JSON.stringify(events).slice(0, 500)}`);
        assert.equal(events[0].type, type);
        assert.equal(events[0].lastEventId, id);
        assert.ok(events[0].data === data, `got ${JSON.stringify(events[0].data.slice(0, 200))}, not ${JSON.stringify(data.slice(0, 200))}`);
        assert.equal(stream.retry, retry ?? 2000);
    });
}

const GAP = '{"channel":"torture","from":null,"to":null}';

for (const { name, payload, announced } of REFUSED) {
    test(`${name} is dropped and counted${announced ? ', and its loss is told' : ''}`, async (t) => {
        const before = await gateway.metric('messages_dropped_total');
        const { events } = await deliver(t, [payload]);
        assert.deepEqual(events.map((e) => [e.type, e.data]), announced ? [['gateway:gap', GAP]] : []);
        assert.equal(await gateway.metric('messages_dropped_total'), before + 1);
    });
}

test('one chunk holds whole events: each ends with a blank line', async (t) => {
    const { stream } = await deliver(t, DELIVERED.map((d) => d.payload));
    const [first, ...others] = stream.chunks;
    assert.equal(first.toString(), 'retry: 2000\n');
    for (const chunk of others) assert.ok(chunk.toString('latin1').endsWith('\n\n'), JSON.stringify(chunk.toString().slice(-80)));
});

test('JSON arrives byte for byte, as one data line', async (t) => {
    const json = '{ "b" : [1,2.50 , 1e3],"a":"\\u00e4\\n\u00e4" }';
    const { stream } = await deliver(t, [json]);
    assert.ok(stream.body.includes(`\n\ndata: ${json}\n\n`) || stream.body.startsWith(`retry: 2000\ndata: ${json}\n\n`), stream.body);
});

test('after all of that, the messages of a channel still come in order', async (t) => {
    const { events } = await deliver(t, [...DELIVERED, ...REFUSED].flatMap((d, i) => [d.payload, `n ${i}`]));
    const numbers = events.map((e) => e.data.match(/^n (\d+)$/)?.[1]).filter(Boolean).map(Number);
    assert.deepEqual(numbers, [...DELIVERED, ...REFUSED].map((_, i) => i));
});

test('messages that are dropped are logged once, not each time', async (t) => {
    await deliver(t, Array(50).fill('a\0b'));
    const log = gateway.process.log();
    const lines = log.split('\n').filter((line) => /NUL|UTF-8|text/i.test(line) && /drop/i.test(line));
    assert.ok(lines.length >= 1 && lines.length <= 3, `${lines.length} lines:\n${lines.slice(0, 5).join('\n')}`);
});

test('--payload text lets an envelope through as data; --payload envelope lets nothing else in', async (t) => {
    const scope = scopeOf(t);
    const { redis, gateway } = await startTier(scope, { args: ['--payload', 'raw:*=text', '--payload', 'strict:*=envelope'] });
    const stream = await openStream(scope, gateway.port, '/stream?channel=raw:1&channel=strict:1');
    const envelope = '\x1eSSE/1\nevent: x\n\nbody';
    await redis.publishAll([['raw:1', envelope], ['strict:1', 'plain'], ['strict:1', envelope], ['raw:1', 'end']]);
    await stream.count(3);
    assert.deepEqual(stream.events.map((e) => [e.type, e.data]), [['message', envelope], ['x', 'body'], ['message', 'end']]);
    assert.equal(await gateway.metric('messages_dropped_total'), 1);
});

test('--max-message sets what is too large', async (t) => {
    const scope = scopeOf(t);
    const { redis, gateway } = await startTier(scope, { args: ['--max-message', '1000'] });
    const stream = await openStream(scope, gateway.port, '/stream?channel=a');
    await redis.publishAll([['a', 'x'.repeat(1001)], ['a', 'y'.repeat(1000)], ['a', 'z'.repeat(5_000_000)], ['a', 'end']]);
    await stream.count(4);
    assert.deepEqual(stream.events.map((e) => (e.type === 'message' ? e.data : e.type)), ['gateway:gap', 'y'.repeat(1000), 'gateway:gap', 'end']);
    assert.equal(await gateway.metric('messages_dropped_total', { reason: 'too_large' }), 2);
});

test('a --max-message below the length of a channel name leaves the connection to Redis whole', async (t) => {
    const scope = scopeOf(t);
    const { redis, gateway } = await startTier(scope, { args: ['--max-message', '16'] });
    const channel = 'c'.repeat(128);
    const stream = await openStream(scope, gateway.port, `/stream?channel=${channel}`);
    await redis.publishAll(Array.from({ length: 3000 }, (_, i) => [channel, i % 3 ? String(i) : 'longer than sixteen bytes']));
    await stream.count(3000); // for each that is too large, a gap
    assert.deepEqual(stream.events.filter((e) => e.type === 'message').map((e) => e.data), Array.from({ length: 3000 }, (_, i) => String(i)).filter((_, i) => i % 3));
    assert.equal(await gateway.metric('redis_connects_total'), 1);
});

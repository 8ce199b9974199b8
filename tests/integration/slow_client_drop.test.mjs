// What a slow client loses, and how it learns of that. --slow-client drop-oldest: whole events, the oldest, told by one
// gateway:gap for each channel and hole. --slow-client close: the stream, with all that was begun.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Ledger } from '../lib/ledger.mjs';
import { scopeOf } from '../lib/scope.mjs';
import { openStream, openStreams } from '../lib/streams.mjs';
import { startTier } from '../lib/tier.mjs';
import { until } from '../lib/wait.mjs';

const KiB = 1 << 10;
const MiB = 1 << 20;
const LIMIT = 256 * KiB;

const limits = (policy, limit = LIMIT) => ['--queue-limit', String(limit), '--slow-client', policy];
const dropped = (gateway) => gateway.metric('events_dropped_total', { reason: 'slow_client' });

/** Publishes what `batch` gives, again and again, until the gateway has dropped `more` events than before. */
async function publishUntilDropped({ redis, gateway }, batch, more) {
    const goal = (await dropped(gateway)) + more;
    await until(`${more} events to be dropped`, async () => {
        await redis.publishAll(batch());
        return (await dropped(gateway)) >= goal;
    }, { every: 0, ms: 60000 });
}

/** Opens streams that keep up, and resolves to a function that checks that they did. */
async function readers(scope, gateway, ledger, channels) {
    const streams = await openStreams(scope, Array(10).fill({ port: gateway.port, path: `/stream?${channels.map((c) => `channel=${c}`).join('&')}` }));
    return async () => {
        await until('the newest events at the others', () => streams.every((s) => ledger.isCurrent(s.events, channels)), { ms: 30000 });
        for (const stream of streams) {
            assert.ok(stream.open);
            ledger.assertComplete(stream, channels);
        }
    };
}

test('drop-oldest: a client that pauses again and again loses whole events only, the oldest, and each hole is told', async (t) => {
    const scope = scopeOf(t);
    const tier = await startTier(scope, { args: limits('drop-oldest') });
    const { redis, gateway } = tier;
    const ledger = new Ledger();
    const channels = ['a', 'b', 'c'];
    const othersKeptUp = await readers(scope, gateway, ledger, channels);
    const slow = await openStream(scope, gateway.port, '/stream?channel=a&channel=b&channel=c');

    let round = 0; // uneven sizes and an uneven mix of channels: b has half of all events, c few
    const batch = () => [...'babcbab'].filter((c) => c !== 'c' || round % 5 === 0).map((c) => ledger.next(c, 2000 + ((round++ * 7919) % 30000)));
    for (let pause = 0; pause < 4; pause++) {
        slow.socket.pause();
        await publishUntilDropped(tier, batch, 60);
        const before = Object.fromEntries(channels.map((c) => [c, ledger.count(c)]));
        slow.socket.resume();
        await redis.publishAll(channels.map((c) => ledger.next(c))); // the last one of c may be among what was dropped
        await until('the newest events', () => ledger.isCurrent(slow.events), { ms: 30000 });
        await gateway.metricIs('queued_bytes', 0);
        // As much as fits stays: from the last hole on, everything up to the last event before it read again.
        const { completeFrom } = ledger.assertHolesTold(slow);
        const kept = channels.reduce((sum, c) => sum + ledger.wireBytes(c, completeFrom.get(c), before[c]), 0);
        assert.ok(kept >= LIMIT - 3 * 32000 && kept <= LIMIT + 5 * MiB, `${kept} bytes after the hole`);
    }
    const { missing, gaps } = ledger.assertHolesTold(slow);
    assert.equal(missing, await dropped(gateway), 'every event that did not come is counted');
    assert.equal(gaps, await gateway.metric('gaps_total'));
    assert.ok(gaps >= 8, `${gaps} gaps`);
    assert.ok(slow.open);
    assert.equal(await gateway.metric('closes_total', { reason: 'slow' }), 0);
    await othersKeptUp();
});

test('drop-oldest: while one large event is on its way, the newest small ones are kept, as many as --queue-limit holds', async (t) => {
    const scope = scopeOf(t);
    const limit = 64 * KiB;
    const tier = await startTier(scope, { args: limits('drop-oldest', limit) });
    const { redis, gateway } = tier;
    const ledger = new Ledger();
    const othersKeptUp = await readers(scope, gateway, ledger, ['big', 'small']);
    const slow = await openStream(scope, gateway.port, '/stream?channel=big&channel=small');
    slow.socket.pause();
    // Each is larger than the limit; the one that the socket takes in part stays.
    await publishUntilDropped(tier, () => [ledger.next('big', 900 * KiB)], 2);
    const kept = 50;
    await redis.publishAll(Array.from({ length: kept }, () => ledger.next('small', 1000)));
    await until('the small ones to be delivered', async () => (await gateway.metric('queued_bytes')) > kept * 1000);
    const before = await dropped(gateway);
    await publishUntilDropped(tier, () => [ledger.next('small', 1000)], 1);
    const lost = (await dropped(gateway)) - before;
    assert.ok(lost <= 2, `${lost} events dropped, where one or two made room`);
    await redis.publishAll(Array.from({ length: 300 }, () => ledger.next('small', 1000)));
    await othersKeptUp();
    const published = ledger.count('small');

    slow.socket.resume();
    await gateway.metricIs('queued_bytes', 0); // or the next large one could be among what is dropped
    await redis.publishAll([ledger.next('big', 900 * KiB), ledger.next('small')]);
    await until('the newest events', () => ledger.isCurrent(slow.events), { ms: 30000 });
    const { completeFrom } = ledger.assertHolesTold(slow);
    const bytes = ledger.wireBytes('small', completeFrom.get('small'), published);
    assert.ok(bytes > limit - 3000 && bytes <= limit, `${bytes} of ${limit} bytes kept`);
    await gateway.metricIs('queued_bytes', 0);
});

test('drop-oldest: an event larger than --queue-limit reaches a client that reads', async (t) => {
    const scope = scopeOf(t);
    const { redis, gateway } = await startTier(scope, { args: limits('drop-oldest', 16 * KiB) });
    const ledger = new Ledger();
    const stream = await openStream(scope, gateway.port, '/stream?channel=a');
    for (let i = 0; i < 5; i++) {
        await redis.publishAll([ledger.next('a', 1000 * KiB)]);
        await until('the event', () => ledger.isCurrent(stream.events));
    }
    ledger.assertComplete(stream);
});

test('drop-oldest: clients that never read cost a bounded amount of memory for as long as messages flow', async (t) => {
    const scope = scopeOf(t);
    const clients = 10;
    const size = 50_000;
    const tier = await startTier(scope, { args: limits('drop-oldest'), env: { ASAN_OPTIONS: 'detect_leaks=1:quarantine_size_mb=1' } });
    const { redis, gateway } = tier;
    const ledger = new Ledger();
    const othersKeptUp = await readers(scope, gateway, ledger, ['tick']);
    const channels = Array.from({ length: clients }, (_, i) => `c:${i}`);
    const slow = await openStreams(scope, channels.map((c) => ({ port: gateway.port, path: `/stream?channel=${c}&channel=tick` })));
    slow.forEach((s) => s.socket.pause());
    const flow = async (rounds) => {
        let most = 0;
        for (let i = 0; i < rounds; i++) {
            await redis.publishAll([...channels.map((c) => ledger.next(c, size)), ledger.next('tick')]);
            const metrics = await gateway.metrics();
            const queued = metrics.sum('sse_gateway_queued_bytes');
            assert.ok(queued <= clients * (LIMIT + size + 1000), `${queued} bytes queued for ${clients} clients`);
            most = Math.max(most, metrics.sum('sse_gateway_resident_memory_bytes'));
        }
        return most;
    };
    await publishUntilDropped(tier, () => channels.map((c) => ledger.next(c, size)), 10 * clients); // every queue is full
    const first = await flow(40);
    const later = await flow(200); // 100 MB in all
    // What is lost on the way is 100 MB; AddressSanitizer's allocator alone wanders by a dozen.
    assert.ok(later - first < 24 * MiB, `${((later - first) / MiB).toFixed(1)} MiB more`);
    await othersKeptUp();
    assert.ok(slow.every((s) => s.open));

    slow[0].socket.resume();
    await until('the newest events', () => ledger.isCurrent(slow[0].events, ['c:0', 'tick']), { ms: 30000 });
    ledger.assertHolesTold(slow[0], ['c:0', 'tick']);
    slow.forEach((s) => s.close());
    await gateway.metricIs('queued_bytes', 0);
});

for (const control of [true, false]) {
    const what = control ? 'gateway:close with the reason, retry' : 'retry';
    test(`close: a client that reads again in time gets whole events without a hole, ${what} and a clean last chunk`, async (t) => {
        const scope = scopeOf(t);
        const tier = await startTier(scope, { args: limits('close') });
        const { gateway } = tier;
        const ledger = new Ledger();
        const othersKeptUp = await readers(scope, gateway, ledger, ['a']);
        const slow = await openStream(scope, gateway.port, `/stream?channel=a${control ? '&control=1' : ''}`, { keep: true });
        slow.socket.pause();
        await publishUntilDropped(tier, () => [ledger.next('a', 50_000)], 1);
        slow.socket.resume();
        assert.equal(await slow.ended(), 'clean');
        assert.equal(slow.fault, undefined);
        await gateway.metricIs('closes_total', 1, { labels: { reason: 'slow' } });
        assert.match(slow.chunks.at(-1).toString(), /^retry: \d+\n\n$/);
        for (const chunk of slow.chunks.slice(1)) assert.ok(chunk.subarray(-2).equals(Buffer.from('\n\n')), 'a chunk of whole events');

        const types = slow.events.map((e) => e.type);
        const data = slow.events.filter((e) => e.type === 'message').map((e) => e.data);
        assert.deepEqual(data.map((d) => Number(d.split(' ')[1])), data.map((_, i) => i), 'a beginning of what was sent');
        assert.ok(data.every((d) => d.length === 50_000) && data.length < ledger.count('a'));
        if (control) {
            assert.deepEqual([types[0], types.at(-1)], ['gateway:open', 'gateway:close']);
            assert.deepEqual(JSON.parse(slow.events.at(-1).data), { reason: 'slow' });
        } else {
            assert.ok(types.every((type) => type === 'message'));
        }
        await gateway.metricIs('queued_bytes', 0);
        await othersKeptUp();
    });
}

test('close: a client that does not read again is let go, with all that waited for it', async (t) => {
    const scope = scopeOf(t);
    const tier = await startTier(scope, { args: limits('close') });
    const { gateway } = tier;
    const ledger = new Ledger();
    const othersKeptUp = await readers(scope, gateway, ledger, ['a']);
    const slow = await openStream(scope, gateway.port, '/stream?channel=a');
    slow.socket.pause();
    await publishUntilDropped(tier, () => [ledger.next('a', 50_000)], 1);
    await gateway.metricIs('closes_total', 1, { labels: { reason: 'slow' }, ms: 12000 });
    await gateway.metricIs('queued_bytes', 0);
    await gateway.metricIs('connections', 10);
    slow.socket.resume();
    assert.equal(await slow.ended(), 'cut');
    await othersKeptUp();
});

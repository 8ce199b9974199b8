// Several events in one message (sse_append): events like any others to streams, and one write to each.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { connect, load } from '../lib/durable.mjs';
import { scopeOf } from '../lib/scope.mjs';
import { openStream, openStreams } from '../lib/streams.mjs';
import { startTier } from '../lib/tier.mjs';

async function start(t, options) {
    const scope = scopeOf(t);
    const tier = await startTier(scope, options);
    const client = connect(scope, tier.redis);
    await load(client);
    const append = (channel, events, ...rest) =>
        client.call('FCALL', 'sse_append', '1', channel, String(events.length), ...events.flatMap((e) => (Array.isArray(e) ? e : ['', e])), ...rest);
    return { scope, ...tier, client, append };
}

const query = (channels, id) => `/stream?${channels.map((c) => `channel=${c}`).join('&')}${id ? `&last_event_id=${id}` : ''}`;
const said = (stream) => stream.events.map((e) => (e.type === 'message' ? e.data : `${e.type} ${e.data}`));
const numbers = (from, count) => Array.from({ length: count }, (_, i) => String(from + i));

for (const workers of [2, 1]) {
    test(`16 events in one message are one write to each stream, of one channel or of several, with ${workers} workers`, async (t) => {
        const { scope, gateway, append } = await start(t, { workers });
        const streams = await openStreams(scope, Array.from({ length: 40 }, (_, i) => ({ port: gateway.port, path: query(i % 2 ? ['a'] : ['a', 'b']) })));
        await append('a', ['first']);
        for (const stream of streams) await stream.count(1);
        const before = await gateway.metric('writes_total');
        const rounds = 10;
        for (let round = 0; round < rounds; round++) {
            await append('a', numbers(16 * round, 16));
            for (const stream of streams) await stream.count(1 + 16 * (round + 1));
        }
        const writes = (await gateway.metric('writes_total')) - before;
        assert.ok(writes <= rounds * streams.length + 3, `${writes} writes for ${rounds} messages to ${streams.length} streams`);
        for (const stream of streams) assert.deepEqual(said(stream), ['first', ...numbers(0, 16 * rounds)]);
        assert.equal(await gateway.metric('deliveries_total'), streams.length * (1 + 16 * rounds), 'events are counted');
        assert.equal(await gateway.metric('history_reads_total'), 0, 'nothing had to be read');
    });
}

test('each event of a message is an event for itself: its name, its text, an id to go on from', async (t) => {
    const { scope, gateways, append } = await start(t, { gateways: 2 });
    const events = [['', 'plain'], ['tick', '50% of\r\nall\n'], ['a b%', ''], ['', '%0A é'], ['last', 'the end']];
    const stream = await openStream(scope, gateways[0].port, query(['a', 'b']));
    await append('a', events);
    await append('b', ['1', '2']);
    await stream.count(7);
    const expected = [['message', 'plain'], ['tick', '50% of\nall\n'], ['a b%', ''], ['message', '%0A é'], ['last', 'the end']];
    assert.deepEqual(stream.events.slice(0, 5).map((e) => [e.type, e.data]), expected);
    for (let i = 0; i < 5; i++) {
        const again = await openStream(scope, gateways[i % 2].port, query(['a', 'b'], stream.events[i].lastEventId));
        await again.count(6 - i);
        assert.deepEqual(again.events.filter((e) => !/^\d$/.test(e.data)).map((e) => [e.type, e.data]), expected.slice(i + 1));
        again.close();
    }
});

test('256 events of 1,000 bytes, which are more than a message holds, come whole and in order', async (t) => {
    const { scope, gateway, append } = await start(t);
    const streams = await openStreams(scope, Array.from({ length: 5 }, () => ({ port: gateway.port, path: query(['a']) })));
    const datas = numbers(0, 256).map((n) => n.padStart(1000, '%'));
    for (let i = 0; i < 3; i++) await append('a', datas);
    for (const stream of streams) {
        await stream.count(768);
        assert.deepEqual(said(stream), [...datas, ...datas, ...datas]);
    }
    assert.equal(await gateway.metric('history_reads_total'), 0);
});

test('--max-message bounds each event, and not the message', async (t) => {
    const { scope, gateway, append } = await start(t, { args: ['--max-message', '1KiB', '--durable', '*'] });
    const stream = await openStream(scope, gateway.port, query(['a']));
    const fits = 'x'.repeat(1024);
    await append('a', [fits, fits, fits]);
    await stream.count(3);
    assert.equal(await gateway.metric('history_reads_total'), 0);
    await append('a', ['4', `${fits}y`, '6', fits]);
    await stream.count(7);
    assert.deepEqual(said(stream), [fits, fits, fits, '4', 'gateway:gap {"channel":"a","from":5,"to":5}', '6', fits]);
});

test('an event of a message that is no text is a gap, and the others are delivered', async (t) => {
    const { scope, gateway, append } = await start(t);
    const stream = await openStream(scope, gateway.port, query(['a']));
    await append('a', ['1', Buffer.from('\xff', 'latin1'), '3', '4']);
    await stream.count(4);
    assert.deepEqual(said(stream), ['1', 'gateway:gap {"channel":"a","from":2,"to":2}', '3', '4']);
    assert.ok((await gateway.metric('messages_dropped_total', { reason: 'not_text' })) > 0);
});

test('a stream that resumes while messages of several events come gets each event once', async (t) => {
    const { scope, gateways, append } = await start(t, { gateways: 2 });
    await append('a', numbers(0, 10));
    const first = await openStream(scope, gateways[0].port, `${query(['a'])}&last_event_id=earliest`);
    await first.count(10);
    let next = 10;
    const streams = [];
    for (let round = 0; round < 30; round++) {
        const appended = append('a', numbers(next, 7));
        const id = first.events[Math.floor((first.events.length - 1) * (round / 30))].lastEventId;
        streams.push([first.events.findIndex((e) => e.lastEventId === id), await openStream(scope, gateways[round % 2].port, query(['a'], id))]);
        await appended;
        next += 7;
    }
    await first.count(next);
    for (const [from, stream] of streams) {
        await stream.count(next - from - 1);
        assert.deepEqual(said(stream), numbers(from + 1, next - from - 1));
    }
});

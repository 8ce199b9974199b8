// Durable channels: who comes back with its last event id goes on where it was, at any gateway, and is told what is gone.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { connect, FORMS, keyOf, LIBRARY, LIBRARY_VERSION, load } from '../lib/durable.mjs';
import { Gateway } from '../lib/gateway.mjs';
import { Redis } from '../lib/redis.mjs';
import { scopeOf } from '../lib/scope.mjs';
import { openStream, openStreams } from '../lib/streams.mjs';
import { startTier } from '../lib/tier.mjs';
import { until } from '../lib/wait.mjs';

async function startDurable(t, options) {
    const scope = scopeOf(t);
    const tier = await startTier(scope, options);
    const client = connect(scope, tier.redis);
    await load(client);
    const publish = (channel, data, ...rest) => FORMS.function(client, channel, data, ...rest);
    const publishAll = async (channel, from, to) => {
        for (let i = from; i <= to; i++) await publish(channel, `${channel} ${i}`);
    };
    return { scope, ...tier, client, publish, publishAll };
}

const query = (channels, id) => `/stream?${channels.map((c) => `channel=${c}`).join('&')}${id ? `&last_event_id=${id}` : ''}`;
const datas = (stream) => stream.events.map((e) => (e.type === 'gateway:gap' ? `gap ${e.data}` : e.data));
const range = (channel, from, to) => Array.from({ length: to - from + 1 }, (_, i) => `${channel} ${from + i}`);
const gap = (channel, from, to) => `gap {"channel":"${channel}","from":${from},"to":${to}}`;

/**
 * Reads until `count` events are there, and closes. Resolves when the gateway has let go of the stream: until then its
 * worker remembers more than Redis keeps.
 */
async function read(scope, gateway, path, count, options) {
    const others = await gateway.metric('connections');
    const stream = await openStream(scope, gateway.port, path, options);
    await stream.count(count);
    stream.close();
    await until('the stream to be gone', async () => (await gateway.metric('connections')) <= others);
    return stream;
}

test('a stream that comes back, at whichever gateway, gets what it missed, once and in order, channel by channel', async (t) => {
    const { scope, gateways, publishAll } = await startDurable(t, { gateways: 2 });
    const channels = ['a', 'b', 'plain'];
    await publishAll('a', 1, 3);
    const first = await openStream(scope, gateways[0].port, query(channels));
    await until('an id before any event', () => first.lastEventId !== '');
    first.close();
    await publishAll('a', 4, 6);
    await publishAll('b', 1, 2);

    const second = await read(scope, gateways[1], query(channels, first.lastEventId), 5);
    assert.deepEqual(datas(second).filter((d) => d.startsWith('a')), range('a', 4, 6));
    assert.deepEqual(datas(second).filter((d) => d.startsWith('b')), range('b', 1, 2));
    // Each event's id is enough to go on behind just this one.
    for (const [i, { lastEventId }] of second.events.entries()) {
        const rest = second.events.length - i - 1;
        const again = await read(scope, gateways[i % 2], query(channels, lastEventId), rest);
        assert.deepEqual(datas(again).sort(), datas(second).slice(i + 1).sort());
    }
});

test('two channels that share the short hash of their names go on each where it was', async (t) => {
    const { scope, gateways, publishAll } = await startDurable(t, { gateways: 2 });
    const channels = ['room:1655', 'room:5650']; // the first pair of this form (gateway/fanout/cursor.h)
    await publishAll(channels[0], 1, 2);
    await publishAll(channels[1], 1, 7);
    const first = await openStream(scope, gateways[0].port, query(channels));
    await until('an id before any event', () => first.lastEventId !== '');
    first.close();
    await publishAll(channels[0], 3, 5);
    await publishAll(channels[1], 8, 9);
    const second = await read(scope, gateways[1], query(channels, first.lastEventId), 5);
    assert.deepEqual(datas(second).filter((d) => d.includes(channels[0])), range(channels[0], 3, 5));
    assert.deepEqual(datas(second).filter((d) => d.includes(channels[1])), range(channels[1], 8, 9));
});

test('the header counts before the query, and earliest is all that is kept', async (t) => {
    const { scope, gateway, publishAll, client, publish } = await startDurable(t);
    await publishAll('a', 1, 4);
    const all = await read(scope, gateway, query(['a'], 'earliest'), 4);
    assert.deepEqual(datas(all), range('a', 1, 4));
    const two = await read(scope, gateway, query(['a'], 'earliest'), 2, { headers: { 'Last-Event-ID': all.events[1].lastEventId } });
    assert.deepEqual(datas(two), range('a', 3, 4));
    // What is kept may begin later: earliest asks for no more than that, so nothing is missing.
    await publish('a', 'a 5', '', '', 'maxlen', '2');
    assert.deepEqual(datas(await read(scope, gateway, query(['a'], 'earliest'), 2)), range('a', 4, 5));
    await client.del(keyOf('b'));
    const none = await openStream(scope, gateway.port, query(['b'], 'earliest'));
    await publishAll('b', 1, 1);
    assert.deepEqual(datas(await none.count(1).then(() => none)), range('b', 1, 1));
});

test('what was trimmed is announced with its offsets, and what is kept follows', async (t) => {
    const { scope, gateway, publishAll, publish } = await startDurable(t);
    await publishAll('a', 1, 2);
    const { lastEventId } = await read(scope, gateway, query(['a'], 'earliest'), 2);
    for (let i = 3; i <= 10; i++) await publish('a', `a ${i}`, '', '', 'maxlen', '3');
    const back = await read(scope, gateway, query(['a'], lastEventId), 4);
    assert.deepEqual(datas(back), [gap('a', 3, 7), ...range('a', 8, 10)]);
    // The gap is told once: its own id stands behind it.
    assert.deepEqual(datas(await read(scope, gateway, query(['a'], back.events[0].lastEventId), 3)), range('a', 8, 10));
    // All but the next one are gone, and yet nothing is missing.
    assert.deepEqual(datas(await read(scope, gateway, query(['a'], back.events[1].lastEventId), 2)), range('a', 9, 10));
});

test('garbage, ids of others, of the future and of another life of the channel: a gap, and on with what is live', async (t) => {
    const { scope, gateway, client, publish, publishAll } = await startDurable(t);
    await publishAll('a', 1, 3);
    const { lastEventId } = await read(scope, gateway, query(['a'], 'earliest'), 3);
    const live = async (id, expected, channel = 'a') => {
        const stream = await openStream(scope, gateway.port, query([channel], id));
        await stream.count(1);
        await publish(channel, 'live');
        await stream.count(2);
        assert.deepEqual(datas(stream), [expected, 'live'], id);
        stream.close();
    };
    const monitor = await client.monitor();
    scope.defer(() => monitor.disconnect());
    const heard = [];
    monitor.on('monitor', (_, args) => heard.push(args.join(' ')));
    for (const id of ['42', 'a.7', '0-0', '%0aFLUSHALL', 'A'.repeat(1024), 'B'.repeat(2000), lastEventId.slice(0, -1), `${lastEventId}A`]) {
        await live(id, gap('a', null, null));
    }
    assert.equal(heard.filter((line) => /FLUSHALL|AAAA|BBBB|a\.7|xrange/i.test(line)).length, 0, 'nothing of that reached Redis');
    await live('nonsense', gap('plain', null, null), 'plain');

    await until('the clients to be gone', async () => (await gateway.metric('connections')) === 0); // else what they had is at hand
    await client.del(keyOf('a'));
    const lost = await openStream(scope, gateway.port, query(['a'], lastEventId));
    await lost.count(1);
    assert.deepEqual(datas(lost), [gap('a', 4, null)], 'the history is gone');
    await publishAll('a', 1, 2);
    await lost.count(3);
    assert.deepEqual(datas(lost).slice(1), range('a', 1, 2));
    const other = await read(scope, gateway, query(['a'], lastEventId), 3);
    assert.deepEqual(datas(other), [gap('a', 4, null), ...range('a', 1, 2)], 'another life');
});

test('gateway:open says of each channel whether it is fresh, resumed or has a gap', async (t) => {
    const { scope, gateway, publish, publishAll } = await startDurable(t);
    await publishAll('a', 1, 1);
    for (let i = 1; i <= 4; i++) await publish('b', `b ${i}`);
    const { lastEventId } = await read(scope, gateway, query(['a', 'b'], 'earliest'), 5);
    await until('the client to be gone', async () => (await gateway.metric('connections')) === 0); // else its events are still at hand
    for (let i = 5; i <= 9; i++) await publish('b', `b ${i}`, '', '', 'maxlen', '2');
    const back = await openStream(scope, gateway.port, `${query(['a', 'b', 'c'], lastEventId)}&control=1`);
    await back.count(4);
    assert.equal(back.events[0].type, 'gateway:open');
    assert.deepEqual(JSON.parse(back.events[0].data).channels, { a: 'resumed', b: 'gap', c: 'fresh' });
});

for (const [how, args, more] of [['a channel that --durable names', ['--durable', 'a'], ''], ['a stream with control=1', [], '&control=1']])
    test(`${how} has an id before the first event ever: who is away then misses not even that one`, async (t) => {
        const { scope, gateway, publishAll } = await startDurable(t, { args });
        const first = await openStream(scope, gateway.port, `${query(['a'])}${more}`);
        await until('an id', () => first.lastEventId !== '');
        first.close();
        await publishAll('a', 1, 2);
        const back = await read(scope, gateway, query(['a'], first.lastEventId), 2);
        assert.deepEqual(datas(back), range('a', 1, 2));
    });

test('a channel without history that nobody named is a plain one: its stream has no id', async (t) => {
    const { scope, gateway } = await startDurable(t);
    const stream = await openStream(scope, gateway.port, query(['a']), { keep: true });
    await until('the first line', () => stream.body !== '');
    assert.equal(stream.body, 'retry: 2000\n');
    const named = await startTier(scope, { args: ['--durable', 'b'] });
    const other = await openStream(scope, named.gateway.port, query(['a']), { keep: true });
    await until('the first line', () => other.body !== '');
    assert.equal(other.body, 'retry: 2000\n');
});

test('an id of 64 channels has at most 1,024 characters of A-Z a-z 0-9 - _ . ~, and resumes all', async (t) => {
    const { scope, gateway, publish } = await startDurable(t);
    const channels = Array.from({ length: 64 }, (_, i) => `channel:with:a:long:name:${i}`);
    for (const c of channels) for (let i = 1; i <= 3; i++) await publish(c, `${c} ${i}`);
    const first = await read(scope, gateway, query(channels, 'earliest'), 192);
    assert.match(first.lastEventId, /^[A-Za-z0-9_.~-]{1,1024}$/);
    for (const c of channels) await publish(c, `${c} 4`);
    const back = await read(scope, gateway, query(channels, first.lastEventId), 64);
    assert.deepEqual(datas(back).sort(), channels.map((c) => `${c} 4`).sort());
});

test('an id of a publisher does not take the place of what the client needs to come back', async (t) => {
    const { scope, redis, gateway, publishAll } = await startDurable(t);
    await publishAll('a', 1, 1);
    const stream = await openStream(scope, gateway.port, query(['a', 'p']));
    await redis.publish('p', '\x1eSSE/1\nid: 4711\n\nmine');
    await stream.count(1);
    stream.close();
    await publishAll('a', 2, 3);
    assert.deepEqual(datas(await read(scope, gateway, query(['a', 'p'], stream.lastEventId), 2)), range('a', 2, 3));
    // With nothing durable it is the publisher's own affair.
    const plain = await openStream(scope, gateway.port, query(['p']));
    await redis.publish('p', '\x1eSSE/1\nid: 4711\n\nmine');
    await plain.count(1);
    assert.equal(plain.lastEventId, '4711');
});

test('an entry that no stream can carry is a gap of one', async (t) => {
    const { scope, gateway, client, publish } = await startDurable(t);
    await publish('a', 'a 1');
    await publish('a', Buffer.from([0xff, 0xfe]));
    await publish('a', 'a 3');
    const back = await read(scope, gateway, query(['a'], 'earliest'), 3);
    assert.deepEqual(datas(back), ['a 1', gap('a', 2, 2), 'a 3']);
    await client.set(keyOf('s'), 'a string');
    const odd = await openStream(scope, gateway.port, query(['s'], back.lastEventId));
    assert.equal(odd.status, 200, 'a key of another type costs the history, not the stream');
});

test('a gateway brings the function library along where it may', async (t) => {
    const scope = scopeOf(t);
    const { redis, gateway } = await startTier(scope);
    const client = connect(scope, redis);
    await until('the library', () => client.call('FCALL_RO', 'sse_version', '0').then((version) => version === LIBRARY_VERSION));
    const stream = await openStream(scope, gateway.port, query(['a']));
    const [id, receivers] = await FORMS.function(client, 'a', 'hello');
    assert.match(id, /^\d+\.1$/);
    assert.equal(receivers, 1);
    await stream.count(1);
});

test('a gateway brings an older function library up to date, and histories go on', async (t) => {
    const scope = scopeOf(t);
    const redis = await Redis.start(scope);
    const client = connect(scope, redis);
    await client.call('FUNCTION', 'LOAD', LIBRARY.replace(/^local VERSION = .*$/m, `local VERSION = ${LIBRARY_VERSION - 1}`));
    const [first] = await FORMS.function(client, 'a', 'before');
    const gateway = await Gateway.start(scope, { redis });
    await until('the library', () => client.call('FCALL_RO', 'sse_version', '0').then((version) => version === LIBRARY_VERSION));
    assert.equal((await FORMS.function(client, 'a', 'after'))[0], first.replace(/1$/, '2'));
    const stream = await openStream(scope, gateway.port, query(['a'], 'earliest'));
    await stream.count(2);
    assert.deepEqual(datas(stream), ['before', 'after']);
});

test('five hundred that resume at once share a few reads, and each gets its own part once', async (t) => {
    const { scope, gateway, publishAll } = await startDurable(t, { workers: 1 });
    await publishAll('a', 1, 300);
    const first = await read(scope, gateway, query(['a'], 'earliest'), 300);
    const before = await gateway.metric('history_reads_total');
    const streams = await openStreams(scope, Array.from({ length: 500 }, (_, i) => ({
        port: gateway.port, path: query(['a'], first.events[i % 299].lastEventId),
    })));
    await Promise.all(streams.map((s, i) => s.count(299 - (i % 299))));
    for (const [i, s] of streams.entries()) assert.deepEqual(datas(s), range('a', (i % 299) + 2, 300));
    assert.ok((await gateway.metric('history_reads_total')) - before <= 20);
    await publishAll('a', 301, 301);
    await Promise.all(streams.map((s, i) => s.count(300 - (i % 299))));
});

test('a client that does not read while it resumes gets all in the end, and the others wait for nobody', async (t) => {
    const { scope, gateway, client } = await startDurable(t, { workers: 1, args: ['--heartbeat', '60s'] });
    const big = 'x'.repeat(20000);
    for (let i = 1; i <= 900; i++) await FORMS.function(client, 'a', `${i} ${big}`);
    const slow = await openStream(scope, gateway.port, query(['a'], 'earliest'));
    slow.socket.pause();
    const quick = await read(scope, gateway, query(['a'], 'earliest'), 900);
    assert.deepEqual(quick.events.map((e) => Number(e.data.split(' ')[0])), Array.from({ length: 900 }, (_, i) => i + 1));
    assert.ok((await gateway.metric('queued_bytes')) < 4 << 20, 'what it does not take is not kept for it');
    slow.socket.resume();
    await slow.count(900);
    assert.deepEqual(slow.events.map((e) => e.data), quick.events.map((e) => e.data));
});

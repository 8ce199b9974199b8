// A snapshot (option `snapshot 1`) stands for all events before it: streams begin with it, without a gap.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { connect, FORMS, keyOf, load } from '../lib/durable.mjs';
import { scopeOf } from '../lib/scope.mjs';
import { openStream } from '../lib/streams.mjs';
import { startTier } from '../lib/tier.mjs';
import { until } from '../lib/wait.mjs';

async function start(t, options) {
    const scope = scopeOf(t);
    const tier = await startTier(scope, options);
    const client = connect(scope, tier.redis);
    await load(client);
    const publish = (channel, data, ...rest) => FORMS.function(client, channel, data, '', '', ...rest);
    const snapshot = (channel, data, ...rest) => publish(channel, data, 'snapshot', '1', ...rest);
    const append = (channel, datas, ...rest) =>
        client.call('FCALL', 'sse_append', '1', channel, String(datas.length), ...datas.flatMap((d) => ['', d]), ...rest);
    const open = (path, ...rest) => openStream(scope, tier.gateway.port, path, ...rest);
    return { scope, ...tier, client, publish, snapshot, append, open };
}

const query = (channels, id) => `/stream?${channels.map((c) => `channel=${c}`).join('&')}${id ? `&last_event_id=${id}` : ''}`;
const events = (stream) => stream.events.filter((e) => e.type !== 'gateway:open');
const said = (stream) => events(stream).map((e) => (e.type === 'message' ? e.data : `${e.type} ${e.data}`));
const has = (stream, count) => until(`${count} events`, () => events(stream).length >= count);
const standing = (stream) => JSON.parse(stream.events.find((e) => e.type === 'gateway:open').data).channels;
const idle = (gateway) => until('the clients to be gone', async () => (await gateway.metric('connections')) === 0);

async function read(open, path, count, options) {
    const stream = await open(path, options);
    await has(stream, count);
    stream.close();
    return stream;
}

test('who begins now gets the newest snapshot and what came since, then what is live', async (t) => {
    const { gateway, publish, snapshot, open } = await start(t);
    for (const data of ['1', '2']) await publish('a', data);
    await snapshot('a', 'so far: 12');
    await publish('a', '3');
    const stream = await open(`${query(['a'])}&control=1`, { keep: true });
    await has(stream, 2);
    await publish('a', '4');
    await has(stream, 3);
    assert.deepEqual(said(stream), ['so far: 12', '3', '4']);
    assert.deepEqual(standing(stream), { a: 'fresh' });
    assert.match(stream.body, /\nid: \S+\nsnapshot: 1\ndata: so far: 12\n\n/);
    assert.equal(stream.body.match(/snapshot: 1/g).length, 1);
    // Live, too.
    await snapshot('a', 'so far: 1234');
    await has(stream, 4);
    assert.match(stream.body, /\nid: \S+\nsnapshot: 1\ndata: so far: 1234\n\n/);
    const late = await open(query(['a', 'b']), { keep: true });
    await has(late, 1);
    assert.match(late.body, /\nid: \S+\nsnapshot: 1\ndata: so far: 1234\n\n/);
    const sourced = await open(`${query(['a'])}&source=1`, { keep: true });
    await has(sourced, 1);
    assert.match(sourced.body, /\nid: \S+\nsource: a \d+-6\nsnapshot: 1\ndata: so far: 1234\n\n/);
    assert.equal(await gateway.metric('gaps_total'), 0);
});

test('an old cursor, one of another life, garbage and earliest get the snapshot first and no gap; those behind it go on', async (t) => {
    const { gateway, client, publish, snapshot, open } = await start(t);
    for (let i = 1; i <= 3; i++) await publish('a', `a life ago ${i}`);
    const other = await read(open, query(['a'], 'earliest'), 3);
    await client.del(keyOf('a'));
    for (let i = 1; i <= 3; i++) await publish('a', String(i));
    const old = await read(open, query(['a'], 'earliest'), 3);
    await snapshot('a', 'so far: 123');
    await publish('a', '4');
    await publish('a', '5');
    await idle(gateway);
    for (const id of [old.events[0].lastEventId, old.events[2].lastEventId, other.events[2].lastEventId, other.events[0].lastEventId,
        'garbage', '42', 'earliest']) {
        const stream = await read(open, `${query(['a'], id)}&control=1`, 3);
        assert.deepEqual(said(stream), ['so far: 123', '4', '5'], id);
        assert.deepEqual(standing(stream), { a: 'resumed' }, id);
        await idle(gateway);
        assert.deepEqual(said(await read(open, query(['a'], events(stream)[1].lastEventId), 1)), ['5']);
        assert.deepEqual(said(await read(open, query(['a'], events(stream)[0].lastEventId), 2)), ['4', '5']);
    }
    assert.equal(await gateway.metric('gaps_total'), 0);
});

test('a snapshot that was trimmed stands for nothing: old cursors get a gap, who begins now what is live', async (t) => {
    const { publish, snapshot, open } = await start(t);
    await publish('a', '1');
    const { lastEventId } = await read(open, query(['a'], 'earliest'), 1);
    await snapshot('a', 'so far: 1');
    for (let i = 2; i <= 5; i++) await publish('a', String(i), 'maxlen', '2');
    const fresh = await open(query(['a']));
    const garbage = await open(query(['a'], 'garbage'));
    const old = await open(query(['a'], lastEventId));
    await has(old, 3);
    await has(garbage, 1);
    await publish('a', '6');
    for (const stream of [fresh, garbage, old]) await until('the live event', () => said(stream).includes('6'));
    assert.deepEqual(said(fresh), ['6']);
    assert.deepEqual(said(garbage), ['gateway:gap {"channel":"a","from":null,"to":null}', '6']);
    assert.deepEqual(said(old), ['gateway:gap {"channel":"a","from":2,"to":4}', '4', '5', '6']);
});

test('several channels: each begins with its own snapshot, one without begins now', async (t) => {
    const { publish, snapshot, append, open } = await start(t);
    await publish('a', 'a 1');
    await append('a', ['a so far', 'a 3', 'a 4'], 'snapshot', '1');
    await publish('b', 'b 1');
    await snapshot('c', 'c so far');
    const stream = await open(query(['a', 'b', 'c']));
    await has(stream, 4);
    assert.deepEqual(said(stream).filter((d) => d.startsWith('a')), ['a so far', 'a 3', 'a 4']);
    assert.deepEqual(said(stream).filter((d) => !d.startsWith('a')), ['c so far']);
    for (const { lastEventId } of events(stream)) {
        const rest = await open(query(['a', 'b', 'c'], lastEventId));
        await publish('b', 'end');
        await until('the end', () => said(rest).includes('end'));
        const from = events(stream).findIndex((e) => e.lastEventId === lastEventId) + 1;
        assert.deepEqual(said(rest).filter((d) => /^[ac] /.test(d)).sort(), said(stream).slice(from).filter((d) => /^[ac] /.test(d)).sort());
        rest.close();
    }
});

test('a slow stream skips to the snapshot that came while it lagged', async (t) => {
    const { gateway, publish, snapshot, append, open } = await start(t);
    const text = 'x'.repeat(20000);
    for (let i = 0; i < 50; i++) await append('a', Array.from({ length: 20 }, (_, n) => `${20 * i + n} ${text}`));
    const live = await open(query(['a']));
    const slow = await open(query(['a'], 'earliest'));
    slow.socket.pause();
    await until('the slow one to be full', async () => (await gateway.metric('writes_blocked_total')) > 0);
    await snapshot('a', 'so far');
    await publish('a', 'next');
    await has(live, 2);
    slow.socket.resume();
    await until('the slow one to have caught up', () => said(slow).at(-1) === 'next');
    const got = said(slow);
    assert.deepEqual(got.slice(-2), ['so far', 'next']);
    assert.ok(got.length < 1000, `${got.length} events`);
    for (const [i, data] of got.slice(0, -2).entries()) assert.equal(data, `${i} ${text}`);
    assert.equal(await gateway.metric('gaps_total'), 0);
});

test('streams that come and go while snapshots do: each begins with one and misses nothing', async (t) => {
    const { gateways, scope, publish, snapshot } = await start(t, { gateways: 2 });
    await snapshot('a', 's 0');
    const streams = [];
    for (let i = 1; i <= 60; i++) {
        const opened = openStream(scope, gateways[i % 2].port, query(['a'], i % 3 ? undefined : 'garbage'));
        await (i % 7 ? publish('a', `e ${i}`) : snapshot('a', `s ${i}`));
        streams.push(await opened);
    }
    await publish('a', 'e 61');
    for (const stream of streams) {
        await until('the last event', () => said(stream).at(-1) === 'e 61');
        const got = said(stream);
        assert.match(got[0], /^s /, got.join());
        const first = Number(got[0].slice(2));
        assert.deepEqual(got.map((d) => Number(d.slice(2))), Array.from({ length: 62 - first }, (_, i) => first + i));
    }
});

test('a failover that loses a snapshot is told to who had it; one that keeps it, to who is ahead of it', async (t) => {
    const { scope, redis, gateway, client, publish, snapshot, open } = await start(t, { args: ['--durable', 'a'] });
    const forget = (before) => client.restore(keyOf('a'), 0, before, 'REPLACE').then(() => client.call('CLIENT', 'KILL', 'TYPE', 'pubsub'));
    for (const data of ['1', '2']) await publish('a', data);
    const without = await client.dumpBuffer(keyOf('a'));
    const had = await open(query(['a'], 'earliest'));
    await snapshot('a', 'so far: 12');
    await has(had, 3);
    await forget(without);
    await redis.subscribed('a', 1);
    await until('the gateway to be ready', () => gateway.ready());
    const fresh = await open(query(['a']));
    await publish('a', '3');
    await has(had, 5);
    await has(fresh, 1);
    assert.deepEqual(said(had).map((d) => d.split(' {')[0]), ['1', '2', 'so far: 12', 'gateway:gap', '3']);
    assert.deepEqual(said(fresh), ['3'], 'there is no snapshot any more');

    await snapshot('a', 'so far: 123');
    const with_it = await client.dumpBuffer(keyOf('a'));
    for (const data of ['never 1', 'never 2']) await publish('a', data);
    await has(had, 8);
    const ahead = had.events.at(-1).lastEventId;
    const behind = had.events[1].lastEventId;
    for (const stream of [had, fresh]) stream.close();
    await idle(gateway);
    await forget(with_it);
    await until('the gateway to be ready', () => gateway.ready());
    assert.deepEqual(said(await read(open, query(['a']), 1)), ['so far: 123']);
    assert.deepEqual(said(await read(open, query(['a'], behind), 1)), ['so far: 123']);
    const told = await openStream(scope, gateway.port, query(['a'], ahead));
    await publish('a', '4');
    await has(told, 2);
    assert.deepEqual(said(told).map((d) => d.split(' {')[0]), ['gateway:gap', '4']);
});

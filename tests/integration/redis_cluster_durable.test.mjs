// Durable channels on a Redis Cluster: every event once and in order while slots move and nodes change roles.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Cluster } from 'ioredis';
import { connect, keyOf, load } from '../lib/durable.mjs';
import { Gateway } from '../lib/gateway.mjs';
import { RedisCluster, slotOf } from '../lib/redis_cluster.mjs';
import { scopeOf } from '../lib/scope.mjs';
import { openStream, openStreams } from '../lib/streams.mjs';
import { until } from '../lib/wait.mjs';

const DURABLE = ['d:*', 'f:*', 'k:*'].flatMap((pattern) => ['--durable', pattern]); // they have durable events only

async function startDurable(t, { gateway: options = {}, ...rest } = {}) {
    const scope = scopeOf(t);
    const cluster = await RedisCluster.start(scope, rest);
    for (const node of [...cluster.masters, ...cluster.spare]) await load(connect(scope, node));
    const gateway = await Gateway.start(scope, { redisUrl: cluster.url, args: DURABLE, ...options });
    const client = new Cluster(cluster.nodes.map((node) => ({ host: '127.0.0.1', port: node.port })), {
        retryDelayOnFailover: 50,
        retryDelayOnMoved: 10,
        slotsRefreshTimeout: 2000,
    });
    client.on('error', () => {}); // every call says so, too
    scope.defer(() => client.disconnect());
    const publish = (channel, data, ...more) => client.call('FCALL', 'sse_publish', '1', keyOf(channel), String(data), '', '', ...more);
    return { scope, cluster, gateway, client, publish };
}

const numbers = (stream, channel) => stream.events.filter((e) => e.type !== 'message' || e.data.startsWith(`${channel} `))
    .map((e) => (e.type === 'message' ? Number(e.data.split(' ')[1]) : `${e.type} ${e.data}`));
const range = (from, to) => Array.from({ length: to - from + 1 }, (_, i) => from + i);

/** Channels of as many different slots of one node. */
async function channelsAt(cluster, node, count) {
    const channels = [];
    for (let i = 0; channels.length < count; i++) {
        if ((await cluster.ownerOf(slotOf(`d:${i}`))) === node) channels.push(`d:${i}`);
    }
    return channels;
}

test('several events in one message and snapshots are on a cluster what they are elsewhere', async (t) => {
    const { scope, cluster, gateway, client, publish } = await startDurable(t, { spare: 1 });
    const append = (channel, ...datas) =>
        client.call('FCALL', 'sse_append', '1', keyOf(channel), String(datas.length), ...datas.flatMap((data) => ['', data]));
    const [channel] = await channelsAt(cluster, cluster.masters[0], 1);
    const path = `/stream?channel=${channel}`;
    const live = await openStream(scope, gateway.port, path);
    await append(channel, '1', '2', '3');
    await publish(channel, 'so far: 123', 'snapshot', '1');
    await live.count(4);
    await cluster.moveSlot(slotOf(channel), cluster.spare[0]);
    await append(channel, '4', '5');
    await live.count(6);
    const said = (stream) => stream.events.map((e) => (e.type === 'message' ? e.data : `${e.type} ${e.data}`));
    assert.deepEqual(said(live), ['1', '2', '3', 'so far: 123', '4', '5']);
    for (const id of ['', '&last_event_id=garbage', `&last_event_id=${live.events[0].lastEventId}`, '&last_event_id=earliest']) {
        const stream = await openStream(scope, gateway.port, path + id);
        await stream.count(3);
        assert.deepEqual(said(stream), ['so far: 123', '4', '5'], id);
        stream.close();
    }
});

test('slots that move to and fro under publishing: every durable event once, in order, and no gap', async (t) => {
    const { scope, cluster, gateway, publish } = await startDurable(t, { spare: 1 });
    const channels = await channelsAt(cluster, cluster.masters[0], 4);
    const path = `/stream?${channels.map((c) => `channel=${c}`).join('&')}`;
    const streams = await openStreams(scope, Array.from({ length: 10 }, () => ({ port: gateway.port, path })));
    const targets = [cluster.masters[1], cluster.spare[0], cluster.masters[0], cluster.masters[2]];
    let published = 0;
    let moving = true;
    const publishing = (async () => {
        while (moving) {
            published++;
            await Promise.all(channels.map((c) => publish(c, `${c} ${published}`)));
        }
    })();
    for (const target of targets) {
        const before = published;
        for (const channel of channels) await cluster.moveSlot(slotOf(channel), target);
        await until('some to be published there', () => published > before + 30, { ms: 20000 });
    }
    moving = false;
    await publishing;
    for (const stream of streams) {
        await stream.count(published * channels.length, { ms: 30000 });
        for (const channel of channels) assert.deepEqual(numbers(stream, channel), range(1, published));
    }
    t.diagnostic(`${published} events on each of ${channels.length} channels over ${targets.length} moves`);

    // What was published meanwhile is there for who comes back with an id from before, too.
    const last = streams[0].lastEventId;
    for (const channel of channels) await publish(channel, `${channel} ${published + 1}`);
    const back = await openStream(scope, gateway.port, path, { headers: { 'Last-Event-ID': last } });
    await back.count(channels.length);
    for (const channel of channels) assert.deepEqual(numbers(back, channel), [published + 1]);
});

/** Channels of a slot. */
function* plains(slot) {
    for (let i = 0; ; i++) if (slotOf(`plain:${i}`) === slot) yield `plain:${i}`;
}

test('a slot that stays in the middle of its move: streams open, resume and read history; what is published comes when the move is over, if not before', async (t) => {
    const { scope, cluster, gateway, publish } = await startDurable(t, { spare: 1 });
    const [target] = cluster.spare; // owns nothing: no gateway has a way to it yet
    const [channel] = await channelsAt(cluster, cluster.masters[0], 1);
    const slot = slotOf(channel);
    const path = `/stream?channel=${channel}`;
    const send = async (first, last) => {
        for (const n of range(first, last)) await publish(channel, `${channel} ${n}`);
    };
    const opens = async (at, url, lastEventId, count) => {
        const stream = await openStream(scope, at.port, url, { headers: lastEventId ? { 'Last-Event-ID': lastEventId } : {}, ms: 2000 });
        await stream.count(count, { ms: 2000 });
        return stream;
    };
    const live = await openStream(scope, gateway.port, path);
    await send(1, 300);
    await live.count(300);

    const other = await Gateway.start(scope, { redisUrl: cluster.url, args: DURABLE });
    const from = await cluster.beginMove(slot, target);
    await cluster.moveKeys(slot, from, target);
    await send(301, 600);
    const stuck = performance.now();
    let newest;
    // Longer than a stream waits for its channels. A plain channel has no history, hence no key at the slot's owner.
    for (const plain of plains(slot)) {
        if (performance.now() - stuck > 7000) break;
        await opens(other, `/stream?channel=${plain}`, undefined, 0);
        const back = await opens(other, path, live.lastEventId, 300);
        assert.deepEqual(numbers(back, channel), range(301, 600));
        const all = await opens(other, `${path}&channel=${plain}&last_event_id=earliest`, undefined, 600);
        assert.deepEqual(numbers(all, channel), range(1, 600));
        newest = back.lastEventId;
        back.close();
        all.close();
    }
    // What this gateway has not heard of yet is no reason to doubt it.
    const ahead = await opens(gateway, path, newest, 0);

    await cluster.endMove(slot, from, target);
    await send(601, 610);
    await live.count(610);
    await ahead.count(10);
    assert.deepEqual(numbers(live, channel), range(1, 610));
    assert.deepEqual(numbers(ahead, channel), range(601, 610));
});

test('where the gateway may not ask at the node that a slot moves to, its streams wait for the end of the move, and it says so once', async (t) => {
    const user = ['--user', 'gateway', 'on', '>secret', '~*', '&*', '+@all', '-asking'];
    const { scope, cluster, publish } = await startDurable(t, { spare: 1, config: user });
    const gateway = await Gateway.start(scope, { redisUrl: cluster.url.replace('://', '://gateway:secret@'), args: DURABLE });
    const [channel] = await channelsAt(cluster, cluster.masters[0], 1);
    const path = `/stream?channel=${channel}`;
    const live = await openStream(scope, gateway.port, path);
    for (const n of range(1, 10)) await publish(channel, `${channel} ${n}`);
    await live.count(10);

    const other = await Gateway.start(scope, { redisUrl: cluster.url.replace('://', '://gateway:secret@'), args: DURABLE });
    const from = await cluster.beginMove(slotOf(channel), cluster.spare[0]);
    await cluster.moveKeys(slotOf(channel), from, cluster.spare[0]);
    for (const n of range(11, 20)) await publish(channel, `${channel} ${n}`);
    const pending = openStream(scope, other.port, path, { headers: { 'Last-Event-ID': live.lastEventId } });
    await other.process.logged(/what is in a slot that moves cannot be read until it has moved: NOPERM.*asking/);
    await cluster.endMove(slotOf(channel), from, cluster.spare[0]);
    const back = await pending;
    await back.count(10);
    await live.count(20);
    assert.deepEqual(numbers(back, channel), range(11, 20));
    assert.deepEqual(numbers(live, channel), range(1, 20));
    assert.equal(other.process.log().match(/cannot be read until it has moved/g).length, 1);
});

test('the node that a slot was moving to is gone: who asked there is answered once the owner keeps the slot', async (t) => {
    const { scope, cluster, gateway } = await startDurable(t, { spare: 1 });
    const [channel] = await channelsAt(cluster, cluster.masters[0], 1);
    const from = await cluster.beginMove(slotOf(channel), cluster.spare[0]);
    await cluster.kill(cluster.spare[0]);
    const pending = openStream(scope, gateway.port, `/stream?channel=${channel}`);
    // The guest: a connection of ours that nobody answers.
    await until('the owner to be asked', async () => /cmdstat_xrevrange:.*(rejected|failed)_calls=[1-9]/.test(await from.cli(['INFO', 'commandstats'])));
    await from.cli(['CLUSTER', 'SETSLOT', String(slotOf(channel)), 'STABLE']);
    const stream = await pending;
    assert.equal(stream.status, 200);
    await until('an event', async () => {
        await cluster.publish(channel, `${channel} 1`);
        return stream.events.length > 0;
    });
});

test('replicas that take over under publishing: every durable event once, in order, and no gap', async (t) => {
    const { scope, cluster, gateway, publish } = await startDurable(t, { replicas: 1 });
    const channels = Array.from({ length: 12 }, (_, i) => `f:${i}`);
    const stream = await openStream(scope, gateway.port, `/stream?${channels.map((c) => `channel=${c}`).join('&')}`);
    // A channel that has never had a durable event is told of a possible hole like any plain one.
    let published = 1;
    for (const channel of channels) await publish(channel, `${channel} 1`);
    await stream.count(channels.length);
    let on = true;
    const publishing = (async () => {
        while (on) {
            published++;
            await Promise.all(channels.map((c) => publish(c, `${c} ${published}`)));
        }
    })();
    for (const replica of cluster.replicas) {
        const before = published;
        await cluster.failover(replica);
        await until('some to be published there', () => published > before + 30, { ms: 20000 });
    }
    on = false;
    await publishing;
    await stream.count(published * channels.length, { ms: 30000 });
    for (const channel of channels) assert.deepEqual(numbers(stream, channel), range(1, published));
    t.diagnostic(`${published} events on each of ${channels.length} channels`);
});

test('a master killed: what its replica has is there, and what is published to the heir follows without a gap', async (t) => {
    const { scope, cluster, gateway, publish } = await startDurable(t, { replicas: 1 });
    const [victim] = cluster.masters;
    const [channel] = await channelsAt(cluster, victim, 1);
    const stream = await openStream(scope, gateway.port, `/stream?channel=${channel}`);
    for (let i = 1; i <= 20; i++) await publish(channel, `${channel} ${i}`);
    // WAIT is about what its own connection wrote.
    await victim.cli([], { input: `SET written:{${channel}} 1\nWAIT 1 10000\n` });
    await cluster.kill(victim);
    const heir = cluster.replicas.find((r) => r.masterOf === victim);
    await cluster.isMaster(heir, { ms: 20000 });
    for (let i = 21; i <= 40; i++) await publish(channel, `${channel} ${i}`);
    await stream.count(40, { ms: 20000 });
    assert.deepEqual(numbers(stream, channel), range(1, 40));
});

test('--pubsub classic: histories are read where they are, whichever node the channels are subscribed at', async (t) => {
    const { scope, cluster, gateway, publish } = await startDurable(t, { gateway: { args: ['--pubsub', 'classic'] } });
    const channels = Array.from({ length: 12 }, (_, i) => `k:${i}`);
    for (const channel of channels) for (let i = 1; i <= 3; i++) await publish(channel, `${channel} ${i}`, 'pubsub', 'classic');
    const path = `/stream?${channels.map((c) => `channel=${c}`).join('&')}`;
    const stream = await openStream(scope, gateway.port, `${path}&last_event_id=earliest`);
    await stream.count(3 * channels.length);
    for (const channel of channels) await publish(channel, `${channel} 4`, 'pubsub', 'classic');
    await stream.count(4 * channels.length);
    for (const channel of channels) assert.deepEqual(numbers(stream, channel), range(1, 4));
    const owners = new Set(await Promise.all(channels.map((c) => cluster.ownerOf(slotOf(c)))));
    assert.equal(owners.size, 3);
});

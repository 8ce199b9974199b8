// Channels that have ended, while masters are replaced and slots move.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Cluster } from 'ioredis';
import { connect, keyOf, load } from '../lib/durable.mjs';
import { Gateway } from '../lib/gateway.mjs';
import { RedisCluster, slotOf } from '../lib/redis_cluster.mjs';
import { scopeOf } from '../lib/scope.mjs';
import { Watched } from '../lib/sentinel.mjs';
import { Stream } from '../lib/stream.mjs';
import { openStream } from '../lib/streams.mjs';
import { until } from '../lib/wait.mjs';

const ARGS = ['--durable', '*', '--refusal', 'status']; // 200 is a stream, then, and no refusal
const query = (channels, id) => `/stream?${channels.map((c) => `channel=${c}`).join('&')}${id ? `&last_event_id=${id}` : ''}`;
const words = (stream) => stream.events.map((e) => (e.type === 'message' ? e.data : `${e.type.slice('gateway:'.length)} ${JSON.parse(e.data).channel}`));

/** Waits for an answer that is no refusal: the master of the channel may be away. */
async function answer(scope, port, path) {
    return until(`an answer to ${path}`, async () => {
        const stream = await Stream.open(port, path);
        if (stream.status === 503) return false;
        scope.defer(() => stream.close());
        return stream;
    }, { ms: 30000, every: 50 });
}

/** At `port`, `channel` has ended with event `last`: who has read all gets 204, who has not gets the rest. */
async function assertEnded(scope, port, channel, ids) {
    const last = ids.length;
    assert.equal((await answer(scope, port, query([channel], ids[last - 1]))).status, 204);
    assert.equal((await answer(scope, port, query([channel]))).status, 204);
    const rest = await answer(scope, port, query([channel], ids[0]));
    assert.equal(rest.status, 200);
    assert.equal(await rest.ended(), 'clean');
    assert.deepEqual(words(rest), [...ids.slice(1).map((_, i) => `${channel} ${i + 2}`), `end ${channel}`]);
}

async function startCluster(t, options) {
    const scope = scopeOf(t);
    const cluster = await RedisCluster.start(scope, options);
    for (const node of [...cluster.masters, ...cluster.spare]) await load(connect(scope, node));
    const gateway = await Gateway.start(scope, { redisUrl: cluster.url, args: ARGS });
    const client = new Cluster(cluster.nodes.map(({ port }) => ({ host: '127.0.0.1', port })), { retryDelayOnFailover: 50, retryDelayOnMoved: 10, slotsRefreshTimeout: 2000 });
    client.on('error', () => {}); // every call says so, too
    scope.defer(() => client.disconnect());
    return { scope, cluster, gateway, publish: (channel, data, ...more) => client.call('FCALL', 'sse_publish', '1', keyOf(channel), data, '', '', ...more) };
}

/** Publishes three events, the last of which ends the channel; resolves to the ids that a stream was given. */
async function endChannel(scope, gateway, publish, channel) {
    const stream = await openStream(scope, gateway.port, query([channel]));
    for (const i of [1, 2]) await publish(channel, `${channel} ${i}`);
    await publish(channel, `${channel} 3`, 'end', '600');
    assert.equal(await stream.ended(), 'clean');
    assert.deepEqual(words(stream), [...[1, 2, 3].map((i) => `${channel} ${i}`), `end ${channel}`]);
    return stream.events.slice(0, 3).map((e) => e.lastEventId);
}

test('Cluster: a master is killed, and its replica knows the end', async (t) => {
    const { scope, cluster, gateway, publish } = await startCluster(t, { replicas: 1 });
    const [victim] = cluster.masters;
    const channels = { ended: '', open: '' };
    for (let i = 0; !channels.ended || !channels.open; i++) {
        if ((await cluster.ownerOf(slotOf(`c:${i}`))) === victim) channels.ended ||= `c:${i}`;
        else channels.open ||= `c:${i}`;
    }
    const mixed = await openStream(scope, gateway.port, query([channels.ended, channels.open]));
    const ids = await endChannel(scope, gateway, publish, channels.ended);
    await mixed.count(4);
    await victim.cli([], { input: `SET written:{${channels.ended}} 1\nWAIT 1 10000\n` });
    await cluster.kill(victim);
    await cluster.isMaster(cluster.replicas.find((r) => r.masterOf === victim), { ms: 20000 });
    await assertEnded(scope, gateway.port, channels.ended, ids);
    await publish(channels.open, 'last', 'end', '600');
    assert.equal(await mixed.ended(), 'clean');
    assert.deepEqual(words(mixed).filter((w) => !w.startsWith(`end ${channels.ended}`)), [1, 2, 3].map((i) => `${channels.ended} ${i}`).concat('last', `end ${channels.open}`));
});

test('Cluster: the slot of a channel that has ended moves', async (t) => {
    const { scope, cluster, gateway, publish } = await startCluster(t, { spare: 1 });
    const ids = await endChannel(scope, gateway, publish, 'answer');
    const mixed = await openStream(scope, gateway.port, query(['answer', 'open']));
    await mixed.count(1);
    await cluster.moveSlot(slotOf('answer'), cluster.spare[0]);
    await assertEnded(scope, gateway.port, 'answer', ids);
    // And a new life begins there.
    await publish('answer', 'answer anew');
    await until('the new life', () => words(mixed).at(-1) === 'answer anew');
    assert.ok(mixed.open);
    const old = await answer(scope, gateway.port, query(['answer'], ids[2]));
    await old.count(2);
    assert.deepEqual(words(old), ['gap answer', 'answer anew']);
});

test('Sentinel: after a failover the new master knows the end, and no stream is ended on a guess', async (t) => {
    const scope = scopeOf(t);
    const tier = await Watched.start(scope);
    const client = connect(scope, tier.master);
    await load(client);
    const publish = (channel, data, ...more) => client.call('FCALL', 'sse_publish', '1', channel, data, '', '', ...more);
    const gateway = await Gateway.start(scope, { redisUrl: tier.url, args: ARGS });
    const mixed = await openStream(scope, gateway.port, query(['a', 'open']));
    const ids = await endChannel(scope, gateway, publish, 'a');
    await publish('open', 'open 1');
    await mixed.count(5);
    await tier.master.cli([], { input: 'SET written 1\nWAIT 1 10000\n' });
    const old = tier.master;
    await old.kill();
    const master = await tier.elected(old);
    await until('the new master', async () => /role:master/.test(await master.cli(['INFO', 'replication'])));
    await assertEnded(scope, gateway.port, 'a', ids);
    assert.ok(mixed.open);
    const heir = connect(scope, master);
    await until('the library at the new master', () => load(heir).then(() => true, () => false), { ms: 20000 });
    await heir.call('FCALL', 'sse_publish', '1', 'open', 'open 2', '', '', 'end', '600');
    assert.equal(await mixed.ended(), 'clean');
    assert.deepEqual(words(mixed).filter((w) => w !== 'end a'), ['a 1', 'a 2', 'a 3', 'open 1', 'open 2', 'end open']);
});

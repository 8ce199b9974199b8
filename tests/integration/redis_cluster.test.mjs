// Redis Cluster: sharded Pub/Sub over every shard, slots that move, nodes that die, and classic Pub/Sub when asked.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Gateway } from '../lib/gateway.mjs';
import { RedisCluster, slotOf } from '../lib/redis_cluster.mjs';
import { scopeOf } from '../lib/scope.mjs';
import { openStream, openStreams } from '../lib/streams.mjs';
import { until } from '../lib/wait.mjs';

/** A channel whose slot a node owns: `name:0`, or the first after it that fits. */
async function channelAt(cluster, node, name) {
    for (let i = 0; ; i++) {
        const channel = `${name}:${i}`;
        if ((await cluster.ownerOf(slotOf(channel))) === node) return channel;
    }
}

/** `count` channels whose slots are among `slots`, evenly. */
function namesOf(slots, count, name) {
    const bySlot = new Map([...slots].map((s) => [s, []]));
    const each = count / slots.size;
    let found = 0;
    for (let i = 0; found < count; i++) {
        const own = bySlot.get(slotOf(`${name}:${i}`));
        if (own && own.length < each) {
            own.push(`${name}:${i}`);
            found++;
        }
    }
    return Array.from({ length: count }, (_, i) => [...bySlot.values()][i % slots.size][Math.floor(i / slots.size)]);
}

async function startCluster(scope, { gateway: options = {}, ...rest } = {}) {
    const cluster = await RedisCluster.start(scope, rest);
    const gateway = await Gateway.start(scope, { redisUrl: cluster.url, ...options });
    return { cluster, gateway };
}

const channelOf = (event) => (event.type === 'gateway:gap' ? JSON.parse(event.data).channel : event.data);

/** Publishes to the channels over and over until `streams` have all that `fact` asks for. */
async function publishUntil(cluster, channels, what, fact, { verb, ...options } = {}) {
    await until(what, async () => {
        for (const channel of channels) await cluster.publish(channel, channel, verb).catch(() => {});
        return fact();
    }, { ms: 20000, every: 20, ...options });
}

test('SPUBLISH reaches the streams of every shard, each event once and in order', async (t) => {
    const scope = scopeOf(t);
    const { cluster, gateway } = await startCluster(scope);
    const channels = Array.from({ length: 60 }, (_, i) => `shard:${i}`);
    const streams = await openStreams(scope, channels.map((c) => ({ port: gateway.port, path: `/stream?channel=${c}` })));
    const all = await openStream(scope, gateway.port, `/stream?${channels.map((c) => `channel=${c}`).join('&')}`);
    const ROUNDS = 20;
    await cluster.publishAll(Array.from({ length: ROUNDS }, (_, round) => channels.map((c) => [c, `${c} ${round}`])).flat());
    await all.count(ROUNDS * channels.length);
    for (const [i, stream] of streams.entries()) {
        await stream.count(ROUNDS);
        const wanted = Array.from({ length: ROUNDS }, (_, round) => `${channels[i]} ${round}`);
        assert.deepEqual(stream.events.map((e) => e.data), wanted);
        assert.deepEqual(all.events.map((e) => e.data).filter((d) => d.startsWith(`${channels[i]} `)), wanted);
    }
    const owners = new Set(await Promise.all(channels.map((c) => cluster.ownerOf(slotOf(c)))));
    assert.equal(owners.size, 3, 'the channels are on all shards');
    assert.equal(await gateway.metric('redis_connected'), 3, 'one subscriber connection for each owner');
    assert.equal(await gateway.metric('gaps_total'), 0);
    streams.concat(all).forEach((s) => s.close());
    await until('all to be unsubscribed', async () => (await cluster.shardNumsub(channels[0])) === 0);
    await gateway.metricIs('subscriptions', 0);
});

test('a slot that moves takes its channels along: streams stay open, are told of the possible hole, and no other is', async (t) => {
    const scope = scopeOf(t);
    const { cluster, gateway } = await startCluster(scope, { spare: 1 });
    const [from, to] = cluster.masters;
    const moving = await channelAt(cluster, from, 'moving');
    const brother = namesOf(new Set([slotOf(moving)]), 1, 'brother')[0];
    const staying = await channelAt(cluster, from, 'staying');
    const channels = [moving, brother, staying];
    const streams = await openStreams(scope, channels.map((c) => ({ port: gateway.port, path: `/stream?channel=${c}` })));
    // There and back, then to a node that nobody has owned a slot of.
    for (const target of [to, from, cluster.spare[0]]) {
        streams.forEach((s) => s.events.splice(0));
        await cluster.moveSlot(slotOf(moving), target);
        assert.equal(await cluster.ownerOf(slotOf(moving), target), target);
        await publishUntil(cluster, channels, 'all channels to deliver, long before the map is asked for in turn',
            () => streams.every((s, i) => s.events.some((e) => e.data === channels[i])), { ms: 5000 });
        assert.deepEqual(streams.slice(0, 2).map((s) => s.events.slice(0, 2).map((e) => e.type)), Array(2).fill(['gateway:gap', 'message']));
        assert.ok(streams[2].events.every((e) => e.type === 'message'), 'nothing happened to its slot');
        assert.ok(streams.every((s) => s.open && !s.fault));
        const numsub = await cluster.shardNumsub(moving);
        assert.equal(numsub, 1, 'subscribed at one node');
    }
    assert.equal(await gateway.metric('redis_connected'), 4);
    await until('ready', () => gateway.ready());
});

test('a channel whose slot has moved unseen is found by way of MOVED', async (t) => {
    const scope = scopeOf(t);
    const { cluster, gateway } = await startCluster(scope);
    const [from, to] = cluster.masters;
    // Slots without a subscriber: nobody tells the gateway that they move.
    const channels = [];
    for (let i = 0; channels.length < 10; i++) {
        if ((await cluster.ownerOf(slotOf(`moved:${i}`))) === from) channels.push(`moved:${i}`);
    }
    for (const channel of channels) await cluster.moveSlot(slotOf(channel), to);
    const opened = performance.now();
    const streams = await openStreams(scope, channels.map((c) => ({ port: gateway.port, path: `/stream?channel=${c}` })));
    assert.ok(performance.now() - opened < 3000, 'answered long before the map is asked for in turn');
    await cluster.publishAll(channels.map((c) => [c, c]));
    for (const [i, stream] of streams.entries()) assert.equal((await stream.count(1))[0].data, channels[i]);
});

test('a master killed and its replica promoted: its channels come back with a gap, the others never noticed', async (t) => {
    const scope = scopeOf(t);
    const { cluster, gateway } = await startCluster(scope, { replicas: 1 });
    const [victim] = cluster.masters;
    const channels = [];
    for (const node of cluster.masters) channels.push(await channelAt(cluster, node, 'c'));
    const streams = await openStreams(scope, channels.map((c) => ({ port: gateway.port, path: `/stream?channel=${c}` })));
    await cluster.kill(victim);
    const killed = performance.now();
    await until('not ready', async () => !(await gateway.ready()), { ms: 5000 });
    const heir = cluster.replicas.find((r) => r.masterOf === victim);
    await cluster.isMaster(heir, { ms: 20000 });
    const promoted = performance.now();
    await publishUntil(cluster, channels, 'every channel to deliver', () => streams.every((s, i) => s.events.some((e) => e.data === channels[i])));
    const back = performance.now();
    t.diagnostic(`promoted after ${Math.round(promoted - killed)} ms, heard ${Math.round(back - promoted)} ms later`);
    await until('ready', () => gateway.ready(), { ms: 5000 });
    assert.ok(streams.every((s) => s.open && !s.fault));
    assert.deepEqual(streams[0].events.slice(0, 2).map((e) => e.type), ['gateway:gap', 'message']);
    for (const stream of streams.slice(1)) assert.ok(stream.events.every((e) => e.type === 'message'));
    for (const [i, s] of streams.entries()) assert.ok(s.events.every((e) => channelOf(e) === channels[i]));
    assert.equal(await gateway.metric('redis_connected'), 3);
});

test('a master that stands still is left for its replica, and is not heard again when it wakes', async (t) => {
    const scope = scopeOf(t);
    const { cluster, gateway } = await startCluster(scope, { replicas: 1 });
    const [victim] = cluster.masters;
    const channel = await channelAt(cluster, victim, 'still');
    const stream = await openStream(scope, gateway.port, `/stream?channel=${channel}`);
    process.kill(victim.process.pid, 'SIGSTOP');
    scope.defer(() => victim.process.running && process.kill(victim.process.pid, 'SIGCONT'));
    const heir = cluster.replicas.find((r) => r.masterOf === victim);
    await cluster.isMaster(heir, { ms: 20000 });
    const publish = (payload) => heir.cli(['SPUBLISH', channel, payload]);
    await until('the event by way of the heir', async () => {
        await publish('x');
        return stream.events.some((e) => e.data === 'x');
    }, { ms: 15000, every: 50 });
    await until('ready', () => gateway.ready(), { ms: 15000 });
    process.kill(victim.process.pid, 'SIGCONT');
    await until('the old master to follow', async () => /role:slave/.test(await victim.cli(['INFO', 'replication'])));
    await cluster.settled();
    await publish('once');
    await publish('last');
    await until('the last event', () => stream.events.some((e) => e.data === 'last'));
    assert.equal(stream.events.filter((e) => e.data === 'once').length, 1);
    assert.equal(stream.events.filter((e) => e.type === 'gateway:gap').length, 1);
    assert.ok(stream.open && !stream.fault);
    assert.equal(await gateway.metric('redis_connected'), 3);
});

test('a replica that takes over while its master lives: no stream closes, all channels deliver', async (t) => {
    const scope = scopeOf(t);
    const { cluster, gateway } = await startCluster(scope, { replicas: 1 });
    const channels = Array.from({ length: 30 }, (_, i) => `f:${i}`);
    const streams = await openStreams(scope, channels.map((c) => ({ port: gateway.port, path: `/stream?channel=${c}` })));
    for (const replica of cluster.replicas) await cluster.failover(replica);
    await cluster.settled();
    await until('a subscriber of each channel at its owner', async () => {
        for (const channel of channels) {
            const owner = await cluster.ownerOf(slotOf(channel));
            if ((await owner.cli(['PUBSUB', 'SHARDNUMSUB', channel])) !== `${channel}\n1`) throw new Error(channel);
        }
        return true;
    });
    await until('ready', () => gateway.ready());
    streams.forEach((s) => s.events.splice(0, s.events.length));
    await cluster.publishAll(channels.map((c) => [c, c]));
    await until('an event each', () => streams.every((s, i) => s.events.filter((e) => e.data === channels[i]).length === 1));
    assert.ok(streams.every((s) => s.open));
});

test('5,000 channels are subscribed again after every connection was cut, those of one slot in one command', async (t) => {
    const scope = scopeOf(t);
    const { cluster, gateway } = await startCluster(scope);
    const CHANNELS = 5000;
    const PER_STREAM = 50;
    const SLOTS_USED = 200;
    // 25 channels in each of 200 slots over the whole cluster, mixed in the order in which they are wanted.
    const slots = new Set(Array.from({ length: SLOTS_USED }, (_, i) => i * 80));
    const channels = namesOf(slots, CHANNELS, 'c');
    const streams = await openStreams(scope, Array.from({ length: CHANNELS / PER_STREAM }, (_, i) => ({
        port: gateway.port,
        path: `/stream?${channels.slice(i * PER_STREAM, (i + 1) * PER_STREAM).map((c) => `channel=${c}`).join('&')}`,
    })));
    await gateway.metricIs('subscriptions', CHANNELS);
    for (const node of cluster.nodes) await node.cli(['CONFIG', 'RESETSTAT']);
    const cut = performance.now();
    for (const node of cluster.nodes) await node.cli(['CLIENT', 'KILL', 'TYPE', 'pubsub']);
    await until('all to be subscribed again', async () => {
        const up = await gateway.metric('redis_connects_total');
        const now = await gateway.metric('subscriptions');
        return up >= 6 && now === CHANNELS;
    }, { ms: 10000 });
    t.diagnostic(`subscribed again after ${Math.round(performance.now() - cut)} ms`);
    let calls = 0;
    for (const node of cluster.nodes) {
        const stats = await node.cli(['INFO', 'commandstats']);
        calls += Number(stats.match(/^cmdstat_ssubscribe:calls=(\d+)/m)?.[1] ?? 0);
        assert.doesNotMatch(stats, /cmdstat_ssubscribe:.*(failed_calls=[1-9]|rejected_calls=[1-9])/);
    }
    assert.ok(calls <= SLOTS_USED + 4, `${calls} commands for ${SLOTS_USED} slots, a canary for each node, and the announcements`);
    await cluster.publishAll(channels.map((c) => [c, c]));
    await until('every event', () => streams.every((s) => s.events.filter((e) => e.type === 'message').length === PER_STREAM));
    assert.ok(streams.every((s) => s.events.filter((e) => e.type === 'gateway:gap').length === PER_STREAM));
});

test('--pubsub classic on a cluster: PUBLISH at any node arrives once, and another node is found when it dies', async (t) => {
    const scope = scopeOf(t);
    const { cluster, gateway } = await startCluster(scope, { replicas: 1, gateway: { args: ['--pubsub', 'classic'] } });
    const channels = ['a', 'b', 'c'];
    const stream = await openStream(scope, gateway.port, `/stream?${channels.map((c) => `channel=${c}`).join('&')}`);
    for (const [i, node] of cluster.masters.entries()) await node.publish(channels[i], `from ${i}`);
    await stream.count(3);
    assert.deepEqual(stream.events.map((e) => e.data).sort(), ['from 0', 'from 1', 'from 2']);
    const holders = async () => {
        const counts = await Promise.all(cluster.running.map(async (node) => (await node.numsub('a')).get('a')));
        return cluster.running.filter((_, i) => counts[i] > 0);
    };
    const [home, ...more] = await holders();
    assert.equal(more.length, 0, 'subscribed at one node');
    stream.events.splice(0);
    await cluster.kill(home);
    await until('another node to have it', async () => (await holders()).length === 1, { ms: 15000 });
    await until('ready', () => gateway.ready(), { ms: 5000 });
    const other = cluster.running[0];
    await other.publish('a', 'after');
    await until('the event', () => stream.events.some((e) => e.data === 'after'));
    assert.ok(stream.open);
    assert.ok(stream.events.some((e) => e.type === 'gateway:gap'));
});

test('a cluster that is down is not ready, and its streams go on when it is whole again', async (t) => {
    const scope = scopeOf(t);
    const { cluster, gateway } = await startCluster(scope);
    const [victim, other] = cluster.masters;
    const channels = [await channelAt(cluster, victim, 'gone'), await channelAt(cluster, other, 'there')];
    const streams = await openStreams(scope, channels.map((c) => ({ port: gateway.port, path: `/stream?channel=${c}` })));
    await cluster.kill(victim); // no replica: its slots have no owner that answers
    await until('not ready', async () => !(await gateway.ready()), { ms: 5000 });
    await until('the others to call the cluster down', async () => /cluster_state:fail/.test(await other.cli(['CLUSTER', 'INFO'])));
    await victim.run();
    await cluster.settled();
    await until('ready', () => gateway.ready(), { ms: 15000 });
    await publishUntil(cluster, channels, 'both to deliver', () => streams.every((s, i) => s.events.some((e) => e.data === channels[i])));
    assert.ok(streams.every((s) => s.open));
    assert.deepEqual(streams[0].events.slice(0, 2).map((e) => e.type), ['gateway:gap', 'message']);
    assert.ok(streams[1].events.every((e) => e.type === 'message'));
});

test('a user with no more rights than docs/security.md gives it', async (t) => {
    const scope = scopeOf(t);
    const cluster = await RedisCluster.start(scope);
    const rights = 'resetchannels &a:* &sse:canary:* &sse:gateways %R~sse:{a:* -@all +ssubscribe +sunsubscribe +spublish +asking +cluster|slots +cluster|info '
        + '+xrange +xrevrange +ping +select +client|setname';
    for (const node of cluster.nodes) await node.cli(['ACL', 'SETUSER', 'gateway', 'on', '>secret', ...rights.split(' ')]);
    const redisUrl = cluster.url.replace('://', '://gateway:secret@');
    const gateway = await Gateway.start(scope, { redisUrl });
    const channels = Array.from({ length: 12 }, (_, i) => `a:${i}`);
    const stream = await openStream(scope, gateway.port, `/stream?${channels.map((c) => `channel=${c}`).join('&')}`);
    await cluster.publishAll(channels.map((c) => [c, c]));
    await stream.count(12);
    // In a slot that moves, a channel without a history has no key at the owner.
    const owner = await cluster.ownerOf(slotOf('a:0'));
    await cluster.beginMove(slotOf('a:0'), cluster.masters.find((node) => node !== owner));
    const moving = await openStream(scope, gateway.port, `/stream?channel=${namesOf(new Set([slotOf('a:0')]), 1, 'a:new')[0]}`, { ms: 2000 });
    for (const s of [stream, moving]) s.close();
    await gateway.metricIs('subscriptions', 0);
    assert.doesNotMatch(gateway.process.log(), /NOPERM/);
});

test('a cluster with a password, and a gateway that knows one node of it', async (t) => {
    const scope = scopeOf(t);
    const cluster = await RedisCluster.start(scope, { password: 'p@ss:w/rd' });
    const redisUrl = `redis+cluster://:${encodeURIComponent(cluster.password)}@127.0.0.1:${cluster.nodes[2].port}`;
    const gateway = await Gateway.start(scope, { redisUrl });
    const channels = Array.from({ length: 12 }, (_, i) => `p:${i}`);
    const stream = await openStream(scope, gateway.port, `/stream?${channels.map((c) => `channel=${c}`).join('&')}`);
    await cluster.publishAll(channels.map((c) => [c, c]));
    await stream.count(12);
    assert.ok(!gateway.process.log().includes('p@ss'), 'no password in the log');
});

test('detailed has each owner of slots with its connections, and with classic Pub/Sub says which one is used', async (t) => {
    const scope = scopeOf(t);
    const { cluster, gateway } = await startCluster(scope);
    const classic = await Gateway.start(scope, { redisUrl: cluster.url, args: ['--pubsub', 'classic'] });
    const nodes = async (of) => JSON.parse((await of.get('/health/detailed', { port: of.adminPort })).body).redis.nodes;
    const isWell = (n) => n.fault === '' && n.canary_age_ms !== null && n.connections.every((c) => c.connected && c.address === n.address);
    await until('three that deliver', async () => (await nodes(gateway)).filter((n) => n.used && isWell(n)).length === 3);
    assert.equal(new Set((await nodes(gateway)).map((n) => n.address)).size, 3);
    await until('one of three is used', async () => (await nodes(classic)).filter((n) => n.used).length === 1 && (await nodes(classic)).length === 3);
    assert.ok((await classic.metric('canary_age_seconds')) < 10);
});

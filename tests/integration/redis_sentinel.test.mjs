// redis+sentinel://: the master is found, left and found again, with real servers and real sentinels.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { LIBRARY } from '../lib/durable.mjs';
import { Gateway } from '../lib/gateway.mjs';
import { freePort } from '../lib/ports.mjs';
import { Redis } from '../lib/redis.mjs';
import { scopeOf } from '../lib/scope.mjs';
import { gatewaysAt, Sentinel, watching, Watched } from '../lib/sentinel.mjs';
import { openStream } from '../lib/streams.mjs';
import { until } from '../lib/wait.mjs';

const RECONNECTED_WITHIN = 3000; // after a sentinel has named the new master; the one that is listened to may be later
const TOLD_WITHIN = 1500; // after that very one has

/** Publishes at `redis` until the stream hears it; resolves to the milliseconds that took. */
async function hears(stream, redis, channel, options) {
    const from = performance.now();
    const text = `${channel} ${from}`;
    await until('the stream to hear', async () => {
        await redis.publish(channel, text);
        return stream.events.some((e) => e.data === text);
    }, { every: 20, ...options });
    return performance.now() - from;
}

/** All of the gateway's connections are at `master`, and none is left anywhere else. */
async function allAt(tier, master) {
    await until('all connections at the master', async () => {
        const counts = await Promise.all(tier.nodes.filter((n) => n.process.running).map(async (n) => [n, await gatewaysAt(n)]));
        return counts.every(([node, count]) => (node === master ? count >= 2 : count === 0));
    }, { ms: 10000 });
}

/** Waits until the replicas have all that the node has; resolves to how many have. */
async function inSync(node) {
    return until('the replica', async () => {
        const info = await node.cli(['INFO', 'replication']);
        const offset = /master_repl_offset:(\d+)/.exec(info)[1];
        return [...info.matchAll(/slave\d+:.*offset=(\d+)/g)].filter(([, has]) => has === offset).length;
    });
}

const lines = (gateway, pattern) => gateway.process.log().split('\n').filter((line) => pattern.test(line)).length;

test('SENTINEL FAILOVER: streams stay open, say gateway:gap, and hear from the new master', async (t) => {
    const scope = scopeOf(t);
    const tier = await Watched.start(scope, { replicas: 2 });
    const gateway = await Gateway.start(scope, { redisUrl: tier.url });
    const stream = await openStream(scope, gateway.port, '/stream?channel=a');
    await hears(stream, tier.master, 'a');
    await allAt(tier, tier.master);
    let old = tier.master;
    for (let round = 0; round < 2; round++) {
        const gaps = stream.events.filter((e) => e.type === 'gateway:gap').length;
        assert.equal(await tier.sentinels[round].cli(['SENTINEL', 'FAILOVER', tier.name]), 'OK');
        const master = await tier.elected(old);
        const took = await hears(stream, master, 'a');
        assert.ok(took < RECONNECTED_WITHIN, `${Math.round(took)} ms`);
        await allAt(tier, master);
        await gateway.process.ready('is ready', () => gateway.ready());
        assert.ok(stream.events.filter((e) => e.type === 'gateway:gap').length > gaps, 'the possible hole is announced');
        // A failover may begin only when the last one is over for all.
        await until('the sentinels to agree', async () => {
            const known = await Promise.all(tier.sentinels.map((s) => s.master(tier.name)));
            return known.every((k) => Number(k.port) === master.port && k.flags === 'master' && Number(k['num-slaves']) === 2);
        }, { ms: 30000, every: 100 });
        old = master;
    }
    assert.ok(stream.open && !stream.fault);
});

for (const [how, fail] of [
    ['SENTINEL FAILOVER', (tier) => tier.sentinels[0].cli(['SENTINEL', 'FAILOVER', tier.name])],
    ['kill -9 of the master', (tier) => tier.master.kill()],
]) {
    test(`durable events that the new master has come once, in order and without a gap: ${how}`, async (t) => {
        const scope = scopeOf(t);
        const tier = await Watched.start(scope);
        await tier.master.cli(['-x', 'FUNCTION', 'LOAD', 'REPLACE'], { input: LIBRARY });
        const gateway = await Gateway.start(scope, { redisUrl: tier.url, args: ['--durable', 'd'] });
        const stream = await openStream(scope, gateway.port, '/stream?channel=d');
        const publish = async (redis, from, to) => {
            for (let i = from; i < to; i++) await redis.cli(['FCALL', 'sse_publish', '1', 'd', String(i)]);
        };
        await publish(tier.master, 0, 40);
        assert.equal(await inSync(tier.master), 1, 'the replica has them');
        await fail(tier);
        const master = await tier.elected(tier.master);
        await publish(master, 40, 80); // at once, whether the gateway is there already or not
        await until('all events', () => stream.events.at(-1)?.data === '79', { ms: 20000 });
        assert.deepEqual(stream.events.map((e) => `${e.type} ${e.data}`), Array.from({ length: 80 }, (_, i) => `message ${i}`));
        const late = await openStream(scope, gateway.port, '/stream?channel=d&last_event_id=earliest');
        await late.count(80);
        assert.deepEqual(late.events.map((e) => e.data), stream.events.map((e) => e.data));
    });
}

test('kill -9 of the master; and the old one, when it comes back, is left alone', async (t) => {
    const scope = scopeOf(t);
    const tier = await Watched.start(scope);
    const old = tier.master;
    const gateway = await Gateway.start(scope, { redisUrl: tier.url });
    const stream = await openStream(scope, gateway.port, '/stream?channel=a');
    await hears(stream, old, 'a');
    await old.kill();
    await until('not ready', async () => !(await gateway.ready()));
    const master = await tier.elected(old);
    const took = await hears(stream, master, 'a');
    assert.ok(took < RECONNECTED_WITHIN, `${Math.round(took)} ms`);
    await gateway.process.ready('is ready', () => gateway.ready());
    const connects = await gateway.metric('redis_connects_total');

    await old.run(); // a master for as long as no sentinel has seen it
    await until('the old master to follow the new one', async () => /role:slave[^]*master_link_status:up/.test(await old.cli(['INFO', 'replication'])),
        { ms: 30000, every: 100 });
    await hears(stream, master, 'a');
    await allAt(tier, master);
    assert.equal(await gateway.metric('redis_connects_total'), connects, 'nobody left the new master');
    assert.ok(stream.open);
});

test('the master hangs: the gateway leaves it, though it never closed a connection', async (t) => {
    const scope = scopeOf(t);
    const tier = await Watched.start(scope, { sentinels: 1 });
    const gateway = await Gateway.start(scope, { redisUrl: tier.url });
    const stream = await openStream(scope, gateway.port, '/stream?channel=a');
    await hears(stream, tier.master, 'a');
    process.kill(tier.master.process.pid, 'SIGSTOP');
    scope.defer(() => process.kill(tier.master.process.pid, 'SIGCONT'));
    const master = await tier.elected(tier.master);
    const took = await hears(stream, master, 'a');
    // No timeout is waited for, nor the next time that the sentinel is asked.
    assert.ok(took < TOLD_WITHIN, `${Math.round(took)} ms`);
    assert.equal(lines(gateway, /subscriber connection.*the master is another one now/), 1);
});

test('a sentinel that is down is passed over, at the start and when it was the one that is listened to', async (t) => {
    const scope = scopeOf(t);
    const tier = await Watched.start(scope);
    await tier.sentinels[0].kill();
    const gateway = await Gateway.start(scope, { redisUrl: tier.url });
    const stream = await openStream(scope, gateway.port, '/stream?channel=a');
    await hears(stream, tier.master, 'a');
    await tier.sentinels[0].run();
    await tier.sentinels[1].kill();
    await hears(stream, tier.master, 'a');
    await until('the others to agree', async () => (await tier.sentinels[0].master(tier.name)).flags === 'master');
    await tier.master.kill();
    const master = await tier.elected(tier.master);
    await hears(stream, master, 'a', { ms: 20000 });
    await allAt(tier, master);
    assert.ok(stream.open);
});

test('all sentinels down: said at the start; and while the master is well, said once and nothing else happens', async (t) => {
    const scope = scopeOf(t);
    const tier = await Watched.start(scope);
    for (const sentinel of tier.sentinels) await sentinel.kill();
    const gateway = await Gateway.start(scope, { redisUrl: tier.url, ready: 'live' });
    await gateway.process.logged(/subscriber connection to redis\+sentinel:.*none of the 3 sentinels answers; the last, at 127\.0\.0\.1:\d+: Connection refused; trying again/);
    assert.equal((await gateway.get('/health/ready')).status, 503);
    for (const sentinel of tier.sentinels) await sentinel.run();
    await gateway.process.ready('is ready', () => gateway.ready());

    const stream = await openStream(scope, gateway.port, '/stream?channel=a');
    for (const sentinel of tier.sentinels) await sentinel.kill();
    await gateway.process.logged(/cannot watch for a failover: none of the 3 sentinels answers/, { ms: 20000 });
    await hears(stream, tier.master, 'a');
    assert.ok(await gateway.ready());
    assert.equal(await gateway.metric('redis_connects_total'), 1);

    await tier.master.kill(); // now it is news again, for another reason
    await gateway.process.logged(/subscriber connection to redis\+sentinel:[^]*subscriber connection to redis\+sentinel:.*none of the 3 sentinels answers/);
    await tier.master.run();
    for (const sentinel of tier.sentinels) await sentinel.run();
    await hears(stream, tier.master, 'a');
    assert.ok(stream.open);
});

test('a name that the sentinels do not know is said, and served once they do', async (t) => {
    const scope = scopeOf(t);
    const tier = await Watched.start(scope, { sentinels: 1, replicas: 0 });
    const gateway = await Gateway.start(scope, { redisUrl: tier.url.replace('/main', '/other'), ready: 'live' });
    await gateway.process.logged(/the sentinel at 127\.0\.0\.1:\d+ knows no master of the name \\?"other\\?"; trying again/);
    assert.equal((await gateway.get('/health/ready')).status, 503);
    assert.equal(await tier.sentinels[0].cli(['SENTINEL', 'MONITOR', 'other', '127.0.0.1', String(tier.master.port), '1']), 'OK');
    await gateway.process.ready('is ready', () => gateway.ready());
    assert.equal(lines(gateway, /knows no master/), 1);
});

test('a name that one of the sentinels knows is enough', async (t) => {
    const scope = scopeOf(t);
    const redis = await Redis.start(scope);
    const ignorant = await Sentinel.start(scope);
    const knowing = await Sentinel.start(scope, { lines: watching('main', redis.port, { quorum: 1 }) });
    const gateway = await Gateway.start(scope, { redisUrl: `redis+sentinel://127.0.0.1:${ignorant.port},127.0.0.1:${knowing.port}/main` });
    const stream = await openStream(scope, gateway.port, '/stream?channel=a');
    await hears(stream, redis, 'a');
});

test('something that is no sentinel is said', async (t) => {
    const scope = scopeOf(t);
    const redis = await Redis.start(scope);
    const gateway = await Gateway.start(scope, { redisUrl: `redis+sentinel://127.0.0.1:${redis.port}/main`, ready: 'live' });
    await gateway.process.logged(/the sentinel at 127\.0\.0\.1:\d+ is no sentinel: ERR unknown command/);
});

test('a node that is named as the master and is none is not used: first it says so, then its sentinel', async (t) => {
    const scope = scopeOf(t);
    const other = await Redis.start(scope);
    const redis = await Redis.start(scope);
    const sentinel = await Sentinel.start(scope, { lines: watching('main', redis.port, { quorum: 2, downAfter: 60000 }) });
    const gateway = await Gateway.start(scope, { redisUrl: `redis+sentinel://127.0.0.1:${sentinel.port}/main` });
    await redis.cli(['REPLICAOF', '127.0.0.1', String(other.port)]);
    await redis.cli(['CLIENT', 'KILL', 'TYPE', 'pubsub']);
    await gateway.process.logged(new RegExp(`127\\.0\\.0\\.1:${redis.port} is named as the master, but says that it is not; trying again`));
    await gateway.process.logged(new RegExp(`the sentinel at 127\\.0\\.0\\.1:${sentinel.port} says that 127\\.0\\.0\\.1:${redis.port}, its master, is a replica now`), { ms: 30000 });
    assert.equal((await gateway.get('/health/ready')).status, 503);
    await redis.cli(['REPLICAOF', 'NO', 'ONE']);
    await gateway.process.ready('is ready', () => gateway.ready(), { ms: 30000 });
});

test('a sentinel that is cut off from the others and names an old master is corrected, and does not win later', async (t) => {
    const scope = scopeOf(t);
    const tier = await Watched.start(scope);
    assert.equal(await tier.sentinels[0].cli(['SENTINEL', 'FAILOVER', tier.name]), 'OK');
    const master = await tier.elected(tier.master);
    // As far as it goes, this one knows no failover: its word is of epoch 0.
    const stray = await Redis.start(scope);
    const lonely = await Sentinel.start(scope, { lines: watching('main', stray.port, { quorum: 1 }) });
    for (const sentinel of tier.sentinels) await sentinel.kill();
    const gateway = await Gateway.start(scope, { redisUrl: tier.url.replace('//', `//127.0.0.1:${lonely.port},`) });
    const stream = await openStream(scope, gateway.port, '/stream?channel=a');
    await hears(stream, stray, 'a');
    for (const sentinel of tier.sentinels) await sentinel.run();
    await hears(stream, master, 'a', { ms: 30000 });
    await until('all connections at the right master', async () => (await gatewaysAt(master)) >= 2 && (await gatewaysAt(stray)) === 0);
    const asked = await lonely.connections();
    const received = async (redis) => Number(/total_connections_received:(\d+)/.exec(await redis.cli(['INFO', 'stats']))[1]);
    const before = await received(stray);
    let polls = 0; // each is a connection, too
    await until('it to be asked again', async () => (await lonely.connections()) - asked > ++polls, { ms: 60000, every: 200 });
    for (let i = 0; i < 20; i++) await hears(stream, master, 'a'); // time enough to believe it
    assert.equal((await received(stray)) - before, 1, 'nobody came there but redis-cli');
    assert.equal(await gateway.metric('redis_connects_total'), 2);
});

test('passwords: one for the master in the URL, one for the sentinels in a file', async (t) => {
    const scope = scopeOf(t);
    const redis = await Redis.start(scope, { password: 'of-redis' });
    const sentinel = await Sentinel.start(scope, {
        password: 'of-sentinel', lines: [...watching('main', redis.port, { quorum: 1 }), 'sentinel auth-pass main of-redis'],
    });
    const redisUrl = `redis+sentinel://:of-redis@127.0.0.1:${sentinel.port}/main/3`;
    const file = path.join(scope.folder, 'sentinel-password.txt');
    fs.writeFileSync(file, 'of-sentinel\n', { mode: 0o600 });

    const without = await Gateway.start(scope, { redisUrl, ready: 'live' });
    await without.process.logged(/the sentinel at 127\.0\.0\.1:\d+ refuses: NOAUTH.*see --redis-sentinel-password-file/);
    fs.writeFileSync(`${file}.wrong`, 'wrong\n');
    const wrong = await Gateway.start(scope, { redisUrl, ready: 'live', args: ['--redis-sentinel-password-file', `${file}.wrong`] });
    await wrong.process.logged(/the sentinel at 127\.0\.0\.1:\d+ refuses: WRONGPASS/);

    const gateway = await Gateway.start(scope, { redisUrl, args: ['--redis-sentinel-password-file', file] });
    const stream = await openStream(scope, gateway.port, '/stream?channel=a');
    await redis.publish('a', 'x');
    await stream.count(1);
    assert.match(await redis.cli(['CLIENT', 'LIST']), / name=sse-gateway .* db=3 /);
    assert.ok(!/of-redis|of-sentinel/.test(gateway.process.log()));
});

test('an ACL that allows no more than is needed: a user of the master, and one of the sentinels', async (t) => {
    const scope = scopeOf(t);
    const redis = await Redis.start(scope);
    await redis.cli(['ACL', 'SETUSER', 'gw', 'on', '>secret', 'resetchannels', '&*', '%R~sse:{*', '-@all', '+subscribe', '+unsubscribe', '+publish',
        '+xrange', '+xrevrange', '+ping', '+select', '+role', '+client|setname']);
    const sentinel = await Sentinel.start(scope, { lines: watching('main', redis.port, { quorum: 1 }) });
    assert.equal(await sentinel.cli(['ACL', 'SETUSER', 'default', 'resetchannels', '&+switch-master', '-@all', '+auth', '+ping', '+info', '+subscribe',
        '+sentinel|get-master-addr-by-name', '+sentinel|master', '+acl|setuser']), 'OK');
    const gateway = await Gateway.start(scope, { redisUrl: `redis+sentinel://gw:secret@127.0.0.1:${sentinel.port}/main` });
    const stream = await openStream(scope, gateway.port, '/stream?channel=a');
    await redis.publish('a', 'x');
    await stream.count(1);
    assert.equal(lines(gateway, /NOPERM/), 0);
    // What the gateway may not ask, it says.
    await redis.cli(['ACL', 'SETUSER', 'gw', '-role']);
    await redis.cli(['CLIENT', 'KILL', 'TYPE', 'pubsub']);
    await gateway.process.logged(/Redis refuses: NOPERM.*role/);
});

test('a name instead of an address, for a sentinel', async (t) => {
    const scope = scopeOf(t);
    const redis = await Redis.start(scope);
    const sentinel = await Sentinel.start(scope, { lines: watching('main', redis.port, { quorum: 1 }) });
    const dead = await freePort();
    const gateway = await Gateway.start(scope, { redisUrl: `redis+sentinel://localhost:${dead},localhost:${sentinel.port}/main` });
    const stream = await openStream(scope, gateway.port, '/stream?channel=a');
    await redis.publish('a', 'x');
    await stream.count(1);
});

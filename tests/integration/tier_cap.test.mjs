// --user-cap-scope tier: one cap per user over all gateways, by leases in Redis; and what becomes of them when a
// gateway dies, or Redis does.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { bearer, Keys, ticketOf } from '../lib/bearer.mjs';
import { command } from '../lib/command.mjs';
import { Gateway } from '../lib/gateway.mjs';
import { GATEWAY } from '../lib/paths.mjs';
import { RedisCluster } from '../lib/redis_cluster.mjs';
import { scopeOf } from '../lib/scope.mjs';
import { Stream } from '../lib/stream.mjs';
import { startTier } from '../lib/tier.mjs';
import { until } from '../lib/wait.mjs';

const CAP = ['--max-connections-per-user', '3', '--user-cap-scope', 'tier', '--refusal', 'status'];
const ARGS = [...CAP, '--user-cap-policy', 'refuse'];
const NEWEST = [...CAP, '--user-cap-policy', 'oldest'];

async function start(scope, options = {}) {
    const keys = new Keys(scope);
    return { keys, ...(await startTier(scope, { gateways: 3, anonymous: ['open'], ...options, args: [...keys.args, ...(options.args ?? ARGS)] })) };
}

async function open(scope, gateway, token) {
    const stream = await Stream.open(gateway.port, '/stream?control=1&channel=user:ann', { headers: bearer(token) });
    scope.defer(() => stream.close());
    if (stream.status === 200) await stream.count(1);
    return stream;
}

const leases = async (redis) => Number(await redis.cli(['ZCARD', 'sse:lease:ann']));
const openOf = (streams) => streams.filter((stream) => stream.status === 200);

for (const workers of [1, 2]) {
    test(`of ten streams of one user over three gateways exactly three are let in (${workers} workers)`, async (t) => {
        const scope = scopeOf(t);
        const { keys, redis, gateways } = await start(scope, { workers });
        const token = keys.token('ann');
        const streams = await Promise.all(Array.from({ length: 10 }, (_, i) => open(scope, gateways[i % 3], token)));
        assert.deepEqual(streams.map((stream) => stream.status).sort(), [200, 200, 200, ...Array(7).fill(429)]);
        assert.equal(await leases(redis), 3);
        const bob = await Stream.open(gateways[0].port, '/stream?channel=user:bob', { headers: bearer(keys.token('bob')) });
        scope.defer(() => bob.close());
        assert.equal(bob.status, 200, 'another user is not concerned');
        openOf(streams)[0].close();
        await until('the lease of the stream that ended to be given back', async () => (await leases(redis)) === 2);
        assert.equal((await open(scope, gateways[2], token)).status, 200);
        assert.equal((await open(scope, gateways[1], token)).status, 429);
    });
}

test('on a cluster the cap holds, too', async (t) => {
    const scope = scopeOf(t);
    const keys = new Keys(scope);
    const cluster = await RedisCluster.start(scope);
    const gateways = await Promise.all([1, 2, 3].map(() => Gateway.start(scope, { redisUrl: cluster.url, anonymous: [], args: [...keys.args.slice(0, 2), ...ARGS] })));
    const streams = await Promise.all(Array.from({ length: 10 }, (_, i) => open(scope, gateways[i % 3], keys.token('ann'))));
    assert.equal(openOf(streams).length, 3);
});

test('the leases of a gateway that was killed expire within a minute, and its user gets in again', async (t) => {
    const scope = scopeOf(t);
    const { keys, redis, gateways } = await start(scope, { gateways: 2 });
    const token = keys.token('ann');
    for (let i = 0; i < 3; i++) await open(scope, gateways[0], token);
    gateways[0].process.signal('SIGKILL');
    await gateways[0].process.exit();
    assert.equal((await open(scope, gateways[1], token)).status, 429);
    const [seconds] = (await redis.cli(['TIME'])).split('\n');
    const members = (await redis.cli(['ZRANGE', 'sse:lease:ann', '0', '-1', 'WITHSCORES'])).split('\n');
    for (let i = 1; i < members.length; i += 2) assert.ok(Number(members[i]) <= (Number(seconds) + 61) * 1000);
    // As if that minute had passed.
    for (let i = 0; i < members.length; i += 2) await redis.cli(['ZADD', 'sse:lease:ann', String(Number(seconds) * 1000 - 1), members[i]]);
    assert.equal((await open(scope, gateways[1], token)).status, 200);
    assert.equal(await leases(redis), 1);
});

test('leases are renewed: a Redis that has lost them has those of all open streams again', async (t) => {
    const scope = scopeOf(t);
    const { keys, redis, gateways } = await start(scope);
    const streams = await Promise.all(gateways.map((gateway) => open(scope, gateway, keys.token('ann'))));
    await redis.kill();
    await until('all to be unready', async () => !(await Promise.all(gateways.map((gateway) => gateway.ready()))).some((ready) => ready));
    assert.equal((await open(scope, gateways[0], keys.token('ann'))).status, 503, 'a gateway that is cut off lets nobody in');
    assert.ok(streams.every((stream) => stream.open), 'and keeps who is in');
    await redis.run();
    await until('the leases of all open streams', async () => (await leases(redis)) === 3, { ms: 40000 });
    assert.equal((await open(scope, gateways[0], keys.token('ann'))).status, 429);
    await redis.cli(['DEL', 'sse:lease:ann']); // and no gateway notices
    await until('the next renewal', async () => (await leases(redis)) === 3, { ms: 30000, every: 200 });
});

const isReplaced = (stream) => stream.events.at(-1).type === 'gateway:close' && /replaced/.test(stream.events.at(-1).data);

/** Ten streams of one user, one after the other: the last three stay. */
async function checkNewest(scope, gateways, token) {
    const streams = [];
    for (let i = 0; i < 10; i++) {
        streams.push(await open(scope, gateways[i % 3], token));
        assert.equal(streams[i].status, 200);
        if (i >= 3) {
            await streams[i - 3].ended();
            assert.ok(isReplaced(streams[i - 3]), JSON.stringify(streams[i - 3].events));
        }
    }
    assert.deepEqual(streams.map((stream) => stream.open), [...Array(7).fill(false), true, true, true]);
    return streams.slice(7);
}

for (const workers of [1, 2]) {
    test(`with --user-cap-policy oldest the last three streams over three gateways stay, and the others end as replaced (${workers} workers)`, async (t) => {
        const scope = scopeOf(t);
        const { keys, redis, gateways } = await start(scope, { workers, args: NEWEST });
        const bob = await Stream.open(gateways[0].port, '/stream?channel=user:bob', { headers: bearer(keys.token('bob')) });
        scope.defer(() => bob.close());
        const [first, ...others] = await checkNewest(scope, gateways, keys.token('ann'));
        first.close();
        await until('the lease of the stream that ended to be given back', async () => (await leases(redis)) === 4); // each has two members
        const next = await open(scope, gateways[0], keys.token('ann'));
        assert.ok([bob, next, ...others].every((stream) => stream.open));
    });
}

for (const pubsub of ['sharded', 'classic']) {
    test(`on a cluster with ${pubsub} Pub/Sub the newest streams stay, too`, async (t) => {
        const scope = scopeOf(t);
        const keys = new Keys(scope);
        const cluster = await RedisCluster.start(scope);
        const args = [...keys.args, ...NEWEST, '--pubsub', pubsub];
        const gateways = await Promise.all([1, 2, 3].map(() => Gateway.start(scope, { redisUrl: cluster.url, anonymous: [], args })));
        await checkNewest(scope, gateways, keys.token('ann'));
        await checkNewest(scope, gateways, keys.token('ann'));
    });
}

test('a stream whose gateway does not hear that it was replaced ends with its next renewal', async (t) => {
    const scope = scopeOf(t);
    const { keys, redis, gateways } = await start(scope, { args: NEWEST });
    const streams = [];
    for (const gateway of gateways) streams.push(await open(scope, gateway, keys.token('ann')));
    const [place] = (await redis.cli(['ZRANGE', 'sse:lease:ann', '0', '0'])).split('\n');
    await redis.cli(['ZREM', 'sse:lease:ann', place, place.slice(1)]);
    await redis.cli(['ZADD', 'sse:lease:ann', '9000000000000000', 'newer:1', '-1', '<newer:1']);
    await streams[0].ended(30000);
    assert.ok(isReplaced(streams[0]));
    assert.ok(streams[1].open && streams[2].open);
});

test('with --user-cap-policy oldest a Redis that has lost the leases ends no stream', async (t) => {
    const scope = scopeOf(t);
    const { keys, redis, gateways } = await start(scope, { args: NEWEST });
    const streams = await Promise.all(gateways.map((gateway) => open(scope, gateway, keys.token('ann'))));
    await redis.kill();
    await until('all to be unready', async () => !(await Promise.all(gateways.map((gateway) => gateway.ready()))).some((ready) => ready));
    await redis.run();
    await until('the leases of all open streams', async () => (await leases(redis)) === 6, { ms: 40000 });
    assert.ok(streams.every((stream) => stream.open));
});

for (const scopeOfCap of ['gateway', 'tier']) {
    test(`neither a ticket that was spent nor a token that was revoked replaces a stream (--user-cap-scope ${scopeOfCap})`, async (t) => {
        const scope = scopeOf(t);
        const { keys, redis, gateway } = await start(scope, { gateways: 1, args: [...NEWEST, '--user-cap-scope', scopeOfCap] });
        const ticket = await ticketOf(gateway, keys.token('ann'));
        const stolen = keys.token('ann', { jti: 'stolen' });
        const { status } = await Stream.open(gateway.port, `/stream?channel=user:ann&ticket=${ticket}`).then((stream) => (stream.close(), stream));
        assert.equal(status, 200);
        await redis.cli(['SET', 'sse:revoked:jti:stolen', '9000000000']);
        await redis.cli(['PUBLISH', '__sse:revoke', 'jti 9000000000 stolen']);
        await until('the revocation to be known', () => open(scope, gateway, stolen).then((stream) => (stream.close(), stream.status === 401)));
        const streams = [];
        for (let i = 0; i < 3; i++) streams.push(await open(scope, gateway, keys.token('ann', { jti: `t${i}` })));
        for (let i = 0; i < 6; i++) {
            assert.equal((await gateway.get(`/stream?channel=user:ann&ticket=${ticket}`)).status, 401);
            assert.equal((await open(scope, gateway, stolen)).status, 401);
        }
        assert.ok(streams.every((stream) => stream.open));
        assert.equal((await open(scope, gateway, keys.token('ann'))).status, 200);
        await streams[0].ended();
        assert.deepEqual(streams.map((stream) => stream.open), [false, true, true]);
    });
}

test('at the cap of the tier a ticket of a stream that is refused is not spent', async (t) => {
    const scope = scopeOf(t);
    const { keys, gateways } = await start(scope);
    const streams = await Promise.all(gateways.map((gateway) => open(scope, gateway, keys.token('ann'))));
    const target = `/stream?channel=user:ann&ticket=${await ticketOf(gateways[0], keys.token('ann'))}`;
    assert.equal((await gateways[0].get(target)).status, 429);
    streams[2].close();
    await until('a place', async () => {
        const stream = await Stream.open(gateways[0].port, target);
        scope.defer(() => stream.close());
        if (stream.status !== 200) throw new Error(`status ${stream.status}`);
        return true;
    });
});

test('a cap for the tier wants a number', async (t) => {
    const run = await command(GATEWAY, ['--check-config', ...new Keys(scopeOf(t)).args, '--user-cap-scope', 'tier']);
    assert.deepEqual([run.code, /say how many/.test(run.err)], [2, true], run.err);
});

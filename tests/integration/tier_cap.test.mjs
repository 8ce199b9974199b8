// --user-cap-scope tier: one cap per user over all gateways, by leases in Redis; and what becomes of them when a
// gateway dies, or Redis does.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { bearer, Keys } from '../lib/bearer.mjs';
import { command } from '../lib/command.mjs';
import { Gateway } from '../lib/gateway.mjs';
import { GATEWAY } from '../lib/paths.mjs';
import { RedisCluster } from '../lib/redis_cluster.mjs';
import { scopeOf } from '../lib/scope.mjs';
import { Stream } from '../lib/stream.mjs';
import { startTier } from '../lib/tier.mjs';
import { until } from '../lib/wait.mjs';

const ARGS = ['--max-connections-per-user', '3', '--user-cap-scope', 'tier', '--refusal', 'status'];

async function start(scope, options = {}) {
    const keys = new Keys(scope);
    return { keys, ...(await startTier(scope, { gateways: 3, anonymous: ['open'], ...options, args: [...keys.args.slice(0, 2), ...ARGS] })) };
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

test('a cap for the tier wants a number, and is for new streams to be refused', async (t) => {
    const scope = scopeOf(t);
    const folder = new Keys(scope);
    for (const [args, problem] of [
        [['--user-cap-scope', 'tier'], /say how many/],
        [[...ARGS, '--user-cap-policy', 'oldest'], /oldest is for the scope of one gateway/],
    ]) {
        const run = await command(GATEWAY, ['--check-config', ...folder.args, ...args]);
        assert.deepEqual([run.code, problem.test(run.err)], [2, true], run.err);
    }
});

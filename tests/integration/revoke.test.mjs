// Revoking a user or a token: open streams end on all gateways, new ones are refused until the given time, and a
// revocation that no gateway has heard is found nevertheless.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { bearer, Keys, now } from '../lib/bearer.mjs';
import { command } from '../lib/command.mjs';
import { Gateway } from '../lib/gateway.mjs';
import { PUBLISH } from '../lib/paths.mjs';
import { RedisCluster, slotOf } from '../lib/redis_cluster.mjs';
import { Redis } from '../lib/redis.mjs';
import { scopeOf } from '../lib/scope.mjs';
import { Stream } from '../lib/stream.mjs';
import { startTier } from '../lib/tier.mjs';
import { until, within } from '../lib/wait.mjs';

const OLD = () => now() - 60; // issued a minute ago

async function start(scope, options = {}) {
    const keys = new Keys(scope);
    const tier = { keys, ...(await startTier(scope, { anonymous: ['open'], ...options, args: ['--refusal', 'status', ...keys.args.slice(0, 2), ...(options.args ?? [])] })) };
    if (!options.args) await Promise.all(tier.gateways.map(knows));
    return tier;
}

/** The gateway has loaded what is revoked. */
const knows = (gateway) => gateway.metricIs('revocations_known', 1, { ms: 15000 });

const wasAsked = async (redis) => /getrange/.test(await redis.cli(['INFO', 'commandstats']));

async function open(scope, gateway, token, channel) {
    const stream = await Stream.open(gateway.port, `/stream?control=1&channel=${channel}`, { headers: token ? bearer(token) : {} });
    scope.defer(() => stream.close());
    assert.equal(stream.status, 200);
    await stream.count(1);
    return stream;
}

/** What a stream gets in the end: one that is asked for in the moment of a revocation may be told to come back (503). */
const statusOf = async (gateway, token, channel) => {
    let status;
    await until('an answer that is final', async () => {
        const stream = await Stream.open(gateway.port, `/stream?channel=${channel}`, { headers: bearer(token) });
        stream.close();
        return (status = stream.status) !== 503;
    });
    return status;
};

/** From another worker than that whose stream has ended the answer may be the old one for a moment, and for a second at most. */
const isRefused = (gateway, token, channel) => until('the token to be refused', async () => (await statusOf(gateway, token, channel)) === 401, { ms: 1000 });

const revoke = (url, ...args) => command(PUBLISH, ['--redis', url, ...args]);

async function endsAsRevoked(stream, ms = 1000) {
    assert.equal(await stream.ended(ms), 'clean');
    assert.deepEqual(JSON.parse(stream.events.at(-1).data), { reason: 'revoked' });
    assert.ok(stream.retry > 0);
}

for (const workers of [1, 2]) {
    test(`all streams of a revoked user end within a second on three gateways, and no others (${workers} workers)`, async (t) => {
        const scope = scopeOf(t);
        const { keys, redis, gateways } = await start(scope, { gateways: 3, workers });
        const [ann, bob] = [keys.token('ann', { iat: OLD() }), keys.token('bob', { iat: OLD() })];
        const at = (token, channel) => Promise.all(gateways.flatMap((gateway) => [1, 2].map(() => open(scope, gateway, token, channel))));
        const [anns, bobs, anonymous] = await Promise.all([at(ann, 'user:ann'), at(bob, 'user:bob'), at(null, 'open')]);
        const began = Date.now();
        const run = await revoke(redis.url, '--revoke-subject', 'ann', '--for', '1h');
        assert.equal(run.code, 0, run.err);
        assert.match(run.out, /^ann: revoked until \d+, 3 gateways\n$/);
        await within(1000, 'the end of all streams', Promise.all(anns.map((stream) => endsAsRevoked(stream))));
        t.diagnostic(`ended ${Date.now() - began} ms after sse-publish was started`);
        assert.ok([...bobs, ...anonymous].every((stream) => stream.open));
        for (const gateway of gateways) {
            await isRefused(gateway, ann, 'user:ann');
            assert.equal(await statusOf(gateway, bob, 'user:bob'), 200);
            assert.equal(await gateway.metric('closes_total', { reason: 'revoked' }), 2);
        }
        assert.ok(Number(await redis.cli(['TTL', 'sse:revoked:sub:ann'])) > 3500);
    });
}

test('a token that was issued later is let in, one that does not say when is not, until the time is over', async (t) => {
    const scope = scopeOf(t);
    const { keys, redis, gateway } = await start(scope);
    const undated = keys.token('ann', { iat: undefined });
    const stream = await open(scope, gateway, undated, 'user:ann');
    const run = await revoke(redis.url, '--revoke-subject', 'ann', '--until', String(now() + 3), '--json');
    assert.equal(run.code, 0, run.err);
    assert.equal(JSON.parse(run.out).subject, 'ann');
    await endsAsRevoked(stream);
    assert.equal(await statusOf(gateway, keys.token('ann', { iat: now() + 2 }), 'user:ann'), 200);
    assert.equal(await statusOf(gateway, undated, 'user:ann'), 401);
    await until('the end of the revocation', async () => (await statusOf(gateway, undated, 'user:ann')) === 200);
});

test('one token of a user is revoked, the others stay', async (t) => {
    const scope = scopeOf(t);
    const { keys, redis, gateway } = await start(scope);
    const [one, two] = ['t1', 't2'].map((jti) => keys.token('ann', { jti, iat: OLD() }));
    const streams = [await open(scope, gateway, one, 'user:ann'), await open(scope, gateway, two, 'user:ann')];
    assert.equal((await revoke(redis.url, '--revoke-token', 't1')).code, 0);
    await endsAsRevoked(streams[0]);
    assert.equal(await statusOf(gateway, one, 'user:ann'), 401);
    assert.equal(await statusOf(gateway, two, 'user:ann'), 200);
    assert.ok(streams[1].open);
});

test('any client of Redis revokes with two commands', async (t) => {
    const scope = scopeOf(t);
    const { keys, redis, gateway } = await start(scope);
    const subject = 'a b{c}é';
    const token = keys.token(subject, { iat: OLD(), channels: ['x'] });
    const stream = await open(scope, gateway, token, 'x');
    const time = String(now());
    await redis.cli(['SET', `sse:revoked:sub:${subject}`, time, 'EX', '86400']);
    await redis.cli(['PUBLISH', '__sse:revoke', `sub ${time} ${subject}`]);
    await endsAsRevoked(stream);
    assert.equal(await statusOf(gateway, token, 'x'), 401);
});

test('what is no revocation ends nothing and is logged', async (t) => {
    const scope = scopeOf(t);
    const { keys, redis, gateway } = await start(scope);
    const stream = await open(scope, gateway, keys.token('ann'), 'user:ann');
    for (const text of ['', 'sub', 'sub ann', 'sub x ann', 'sub -5 ann', 'sub 5', 'sub 99999999999999999999 ann', 'all 1 ann', 'sub  ', 'SUB 9999999999 ann'])
        await redis.cli(['PUBLISH', '__sse:revoke', text]);
    await gateway.process.logged(/__sse:revoke was not understood/);
    await redis.publish('user:ann', 'still here');
    await stream.count(2);
});

// No gateway is subscribed when the message is published: it is in one transaction with the loss of the connections.
test('a revocation that was published while gateways were cut off ends streams all the same', async (t) => {
    const scope = scopeOf(t);
    const { keys, redis, gateways } = await start(scope, { gateways: 2 });
    const [ann, bob] = [keys.token('ann', { iat: OLD() }), keys.token('bob', { iat: OLD() })];
    const many = await Promise.all(Array.from({ length: 150 }, (_, i) => open(scope, gateways[i % 2], keys.token(`u${i}`, { iat: OLD() }), `user:u${i}`)));
    const anns = await Promise.all(gateways.map((gateway) => open(scope, gateway, ann, 'user:ann')));
    const other = await open(scope, gateways[0], bob, 'user:bob');
    const time = String(now());
    const said = await redis.cli([], { input: `MULTI\nCLIENT KILL TYPE pubsub\nSET sse:revoked:sub:ann ${time} EX 100\nPUBLISH __sse:revoke "sub ${time} ann"\nEXEC\n` });
    assert.match(said, /\n0$/, 'nobody heard it');
    await Promise.all(anns.map((stream) => endsAsRevoked(stream, 15000)));
    await redis.publish('user:bob', 'x');
    await other.count(2);
    assert.ok(many.every((stream) => stream.open));
    await Promise.all(gateways.map(knows));
    for (const gateway of gateways) await isRefused(gateway, ann, 'user:ann');
});

test('what was revoked before the gateway started is refused, whatever else there is, and tokens that are not revoked cost no question', async (t) => {
    const scope = scopeOf(t);
    const keys = new Keys(scope);
    const redis = await Redis.start(scope);
    const time = String(now());
    const others = Array.from({ length: 30000 }, (_, i) => `SET other:${i} x\n`).join('');
    await redis.cli([], { input: `${others}SET sse:revoked:sub:ann ${time}\nSET sse:revoked:jti:t1 ${time}\nSET sse:revoked:sub:${'x'.repeat(9000)} 1\nSET sse:revoked:other 1\n` });
    const gateway = await Gateway.start(scope, { redis, anonymous: [], args: keys.args });
    await knows(gateway);
    const bob = (claims) => statusOf(gateway, keys.token('bob', { iat: OLD(), ...claims }), 'user:bob');
    assert.deepEqual([await bob(), await bob({ jti: 't2' }), await wasAsked(redis)], [200, 200, false]);
    assert.equal(await bob({ jti: 't1' }), 401);
    assert.equal(await statusOf(gateway, keys.token('ann', { iat: OLD() }), 'user:ann'), 401);
    assert.equal(await statusOf(gateway, keys.token('ann', { iat: now() + 2 }), 'user:ann'), 200);
    assert.equal(await gateway.metric('redis_errors_total'), 0);
});

test('a revocation that is taken back with DEL refuses nobody any more', async (t) => {
    const scope = scopeOf(t);
    const { keys, redis, gateway } = await start(scope);
    const ann = keys.token('ann', { iat: OLD() });
    assert.equal((await revoke(redis.url, '--revoke-subject', 'ann')).code, 0);
    assert.equal(await statusOf(gateway, ann, 'user:ann'), 401);
    await redis.cli(['DEL', 'sse:revoked:sub:ann']);
    assert.equal(await statusOf(gateway, ann, 'user:ann'), 200);
});

test('while the channel of revocations is not heard, Redis is asked about each token', async (t) => {
    const scope = scopeOf(t);
    const { keys, redis, gateway } = await start(scope);
    const ann = keys.token('ann', { iat: OLD() });
    assert.deepEqual([await statusOf(gateway, ann, 'user:ann'), await wasAsked(redis)], [200, false]);
    await redis.cli(['ACL', 'SETUSER', 'default', 'resetchannels', '&user:*', '&sse:canary:*']); // Redis drops the connection
    await gateway.process.logged(/cannot subscribe to __sse:revoke: NOPERM/);
    await gateway.metricIs('revocations_known', 0);
    await redis.cli(['SET', 'sse:revoked:sub:ann', String(now())]);
    await until('a gateway that is ready', async () => (await statusOf(gateway, keys.token('bob'), 'user:bob')) === 200);
    assert.equal(await statusOf(gateway, ann, 'user:ann'), 401);
    await redis.cli(['ACL', 'SETUSER', 'default', 'allchannels']);
    await knows(gateway);
    assert.equal(await statusOf(gateway, ann, 'user:ann'), 401);
});

test('where an ACL denies SCAN, Redis is asked about each token, and the log says so once', async (t) => {
    const scope = scopeOf(t);
    const keys = new Keys(scope);
    const redis = await Redis.start(scope);
    await redis.cli(['ACL', 'SETUSER', 'gw', 'on', '>secret', '+@all', '-scan', '~*', '&*']);
    const gateway = await Gateway.start(scope, { redisUrl: `redis://gw:secret@127.0.0.1:${redis.port}`, anonymous: [], args: keys.args });
    await gateway.process.logged(/cannot load what is revoked: NOPERM/);
    assert.equal((await revoke(redis.url, '--revoke-subject', 'ann')).code, 0);
    assert.equal(await statusOf(gateway, keys.token('ann', { iat: OLD() }), 'user:ann'), 401);
    assert.equal(await statusOf(gateway, keys.token('bob'), 'user:bob'), 200);
    assert.deepEqual([await wasAsked(redis), await gateway.metric('revocations_known')], [true, 0]);
});

test('with --revocation off Redis is not asked, and nobody listens', async (t) => {
    const scope = scopeOf(t);
    const { keys, redis, gateway } = await start(scope, { args: ['--revocation', 'off'] });
    const token = keys.token('ann', { iat: OLD() });
    await open(scope, gateway, token, 'user:ann');
    const run = await revoke(redis.url, '--revoke-subject', 'ann');
    assert.match(run.out, / 0 gateways\n$/);
    assert.equal(await statusOf(gateway, token, 'user:ann'), 200);
    assert.ok(!/getrange|scan/.test(await redis.cli(['INFO', 'commandstats'])));
});

test('streams without a token cost no question', async (t) => {
    const scope = scopeOf(t);
    const { redis, gateway } = await start(scope);
    await open(scope, gateway, null, 'open');
    assert.equal(await wasAsked(redis), false);
});

for (const pubsub of ['sharded', 'classic']) {
    test(`on a cluster with ${pubsub} Pub/Sub a revocation reaches all gateways, and its key is found wherever it is`, async (t) => {
        const scope = scopeOf(t);
        const keys = new Keys(scope);
        const cluster = await RedisCluster.start(scope);
        const gateways = await Promise.all([1, 2].map(() => Gateway.start(scope, { redisUrl: cluster.url, anonymous: [], args: [...keys.args, '--pubsub', pubsub] })));
        await Promise.all(gateways.map(knows));
        for (const name of ['a', 'b', 'c', 'd']) {
            const token = keys.token(name, { iat: OLD(), jti: `t-${name}` });
            const streams = await Promise.all(gateways.map((gateway) => open(scope, gateway, token, `user:${name}`)));
            const how = name < 'c' ? ['--revoke-subject', name] : ['--revoke-token', `t-${name}`];
            const run = await revoke(cluster.url, ...how, '--pubsub', pubsub);
            assert.equal(run.code, 0, run.err);
            await Promise.all(streams.map((stream) => endsAsRevoked(stream)));
            for (const gateway of gateways) await isRefused(gateway, token, `user:${name}`);
        }
    });
}

test('on a cluster gateways load what is revoked from all masters, and anew when slots move', async (t) => {
    const scope = scopeOf(t);
    const keys = new Keys(scope);
    const cluster = await RedisCluster.start(scope);
    const names = Array.from({ length: 12 }, (_, i) => `old${i}`);
    for (const name of names) {
        const key = `sse:revoked:sub:${name}`;
        await (await cluster.ownerOf(slotOf(key))).cli(['SET', key, String(now())]);
    }
    const gateway = await Gateway.start(scope, { redisUrl: cluster.url, anonymous: [], args: keys.args });
    const statuses = () => Promise.all([...names, 'new'].map((name) => statusOf(gateway, keys.token(name, { iat: OLD() }), `user:${name}`)));
    const expected = [...names.map(() => 401), 200];
    await knows(gateway);
    assert.deepEqual(await statuses(), expected);
    const slot = slotOf('sse:revoked:sub:old0');
    const from = await cluster.ownerOf(slot);
    await cluster.moveSlot(slot, cluster.masters.find((node) => node !== from));
    assert.deepEqual(await statuses(), expected);
    await knows(gateway);
    assert.deepEqual(await statuses(), expected);
});

test('where an ACL denies what revoking needs, streams with tokens are refused and the log says why', async (t) => {
    const scope = scopeOf(t);
    const keys = new Keys(scope);
    const redis = await Redis.start(scope);
    await redis.cli(['ACL', 'SETUSER', 'gw', 'on', '>secret', '+@all', '~sse:{*', 'resetchannels', '&user:*', '&sse:canary:*']);
    const gateway = await Gateway.start(scope, { redisUrl: `redis://gw:secret@127.0.0.1:${redis.port}`, anonymous: [], args: [...keys.args, '--refusal', 'status'] });
    const refused = await Stream.open(gateway.port, '/stream?channel=user:ann', { headers: bearer(keys.token('ann')) });
    assert.equal(refused.status, 503);
    await gateway.process.logged(/cannot ask for sse:revoked:\*: NOPERM/);
    await gateway.process.logged(/cannot subscribe to __sse:revoke: NOPERM/);
});

test('sse-publish says what is wrong with a revocation', async (t) => {
    const scope = scopeOf(t);
    const redis = await Redis.start(scope);
    for (const [args, problem] of [
        [['--revoke-subject', 'a', 'channel'], /publish nothing/],
        [['--revoke-subject', 'a', '--revoke-token', 'b'], /one at a time/],
        [['--revoke-subject', 'a', '--for', '1h', '--until', '9999999999'], /one of the two/],
        [['--revoke-subject', 'a', '--until', '1000'], /past/],
        [['--revoke-subject', ''], /empty/],
        [['--revoke-token', 'x'.repeat(297)], /too long/],
        [['--for', '1h', 'channel', 'x'], /are for --revoke/],
    ]) {
        const run = await revoke(redis.url, ...args);
        assert.deepEqual([run.code, problem.test(run.err)], [2, true], `${args}: ${run.err}`);
    }
    await redis.cli(['ACL', 'SETUSER', 'p', 'on', '>secret', '+@all', '-set', '~*', '&*']);
    const denied = await revoke(`redis://p:secret@127.0.0.1:${redis.port}`, '--revoke-subject', 'a');
    assert.equal(denied.code, 1);
    assert.match(denied.err, /\+set and ~sse:revoked:\*/);
    await redis.cli(['ACL', 'SETUSER', 'p', '+set', 'resetchannels']);
    const deaf = await revoke(`redis://p:secret@127.0.0.1:${redis.port}`, '--revoke-subject', 'a');
    assert.equal(deaf.code, 1);
    assert.match(deaf.err, /the key is set, but gateways were not told/);
});

// One-time tickets: what they let in, that each is good for one stream of the whole tier, and what a client gets
// where Redis cannot say.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { bearer, Keys, now, post, ticketOf } from '../lib/bearer.mjs';
import { command } from '../lib/command.mjs';
import { Gateway } from '../lib/gateway.mjs';
import { PUBLISH } from '../lib/paths.mjs';
import { Redis } from '../lib/redis.mjs';
import { RedisCluster } from '../lib/redis_cluster.mjs';
import { scopeOf } from '../lib/scope.mjs';
import { Stream } from '../lib/stream.mjs';
import { openStream } from '../lib/streams.mjs';
import { startTier } from '../lib/tier.mjs';
import { until } from '../lib/wait.mjs';

const pathOf = (channel, ticket) => `/stream?control=1&channel=${channel}&ticket=${ticket}`;

async function start(scope, options = {}) {
    const keys = new Keys(scope);
    return { keys, ...(await startTier(scope, { anonymous: [], ...options, args: [...keys.args, ...(options.args ?? [])] })) };
}

/** Asks for a stream and resolves to its status: 200 once it is open. */
async function statusOf(scope, gateway, target) {
    const stream = await Stream.open(gateway.port, target);
    scope.defer(() => stream.close());
    if (stream.status === 200) await stream.count(1);
    return stream.status;
}

for (const workers of [1, 2]) {
    test(`a ticket opens one stream with the rights of its token, and is spent for every gateway (${workers} workers)`, async (t) => {
        const scope = scopeOf(t);
        const { keys, redis, gateways } = await start(scope, { gateways: 2, workers });
        const ticket = await ticketOf(gateways[0], keys.token('ann'));
        const stream = await openStream(scope, gateways[1].port, pathOf('user:ann:1', ticket));
        await stream.count(1); // gateway:open
        await redis.publish('user:ann:1', 'hello');
        assert.equal((await stream.count(2))[1].data, 'hello');
        for (const gateway of gateways) {
            const again = await Stream.open(gateway.port, pathOf('user:ann:1', ticket));
            await again.ended();
            assert.equal(again.status, 401);
            assert.match(again.headers['www-authenticate'], /^Bearer /);
        }
        assert.equal(await statusOf(scope, gateways[0], pathOf('user:bob:1', await ticketOf(gateways[0], keys.token('ann')))), 403);
        assert.ok(stream.open);
    });
}

test('of thirty clients that come with one ticket at once, at three gateways, one is let in', async (t) => {
    const scope = scopeOf(t);
    const { keys, gateways } = await start(scope, { gateways: 3 });
    const ticket = await ticketOf(gateways[0], keys.token('ann'));
    const statuses = await Promise.all(Array.from({ length: 30 }, (_, i) => statusOf(scope, gateways[i % 3], pathOf('user:ann', ticket))));
    assert.deepEqual(statuses.sort(), [200, ...Array(29).fill(401)]);
});

test('POST /ticket counts for --connect-rate, by the client\'s address, with or without a good token', async (t) => {
    const { keys, gateway } = await start(scopeOf(t), { args: ['--connect-rate', '1', '--connect-burst', '4', '--trusted-proxy', '127.0.0.1'] });
    const ask = (from, token) => post(gateway, '/ticket', { headers: { ...bearer(token), 'X-Forwarded-For': from } });
    const statuses = [];
    for (let i = 0; i < 6; i++) statuses.push((await ask('192.0.2.1', i % 2 ? 'no token' : keys.token('ann'))).status);
    assert.deepEqual(statuses.slice(0, 4), [200, 401, 200, 401]);
    assert.ok(statuses.slice(4).includes(429), statuses.join());
    assert.equal((await ask('192.0.2.2', keys.token('ann'))).status, 200);
    assert.ok((await gateway.metric('refusals_total', { reason: 'connect_rate' })) > 0);
});

test('POST /ticket wants a token, says how long the ticket is good, and is stored nowhere; it names no more channels than it was asked for', async (t) => {
    const scope = scopeOf(t);
    const { keys, gateway } = await start(scope, { args: ['--cors-origin', 'https://app.example', '--anonymous', 'public'] });
    const token = keys.token('ann');
    const answer = await post(gateway, '/ticket', { headers: { ...bearer(token), Origin: 'https://app.example' } });
    assert.equal(answer.status, 200);
    assert.equal(answer.headers['cache-control'], 'no-store');
    assert.equal(answer.headers['access-control-allow-origin'], 'https://app.example');
    assert.match(answer.headers['content-type'], /^application\/json/);
    assert.deepEqual(Object.keys(JSON.parse(answer.body)), ['ticket', 'expires_in']);
    assert.equal(JSON.parse(answer.body).expires_in, 30);
    assert.equal((await post(gateway, '/ticket')).status, 401);
    assert.equal((await post(gateway, '/ticket', { headers: bearer(`${token}x`) })).status, 401);
    assert.equal((await post(gateway, '/ticket', { headers: bearer(keys.token('ann', { exp: now() - 120 })) })).status, 401);
    assert.equal((await post(gateway, '/ticket?channel=user:bob', { headers: bearer(token) })).status, 403);
    for (const bad of ['channel=__x', 'channel=%zz', 'channel=%00', 'channel'])
        assert.equal((await post(gateway, `/ticket?${bad}`, { headers: bearer(token) })).status, 400, bad);
    assert.equal((await post(gateway, '/ticket', { headers: bearer(token), body: '{"a":1}' })).status, 200);
    const get = await gateway.get('/ticket');
    assert.deepEqual([get.status, get.headers.allow], [405, 'OPTIONS, POST']);
    const one = '?channel=user:ann:1';
    assert.equal(await statusOf(scope, gateway, pathOf('user:ann:2', await ticketOf(gateway, token, one))), 403);
    assert.equal(await statusOf(scope, gateway, pathOf('user:ann:1', await ticketOf(gateway, token, one))), 200);
    assert.equal(await statusOf(scope, gateway, `${pathOf('user:ann:1', await ticketOf(gateway, token))}&channel=public`), 200);
});

test('a text that is no ticket is refused for good, and without keys there are no tickets', async (t) => {
    const scope = scopeOf(t);
    const { keys, redis, gateway } = await start(scope);
    const ticket = await ticketOf(gateway, keys.token('ann'));
    for (const bad of ['', 'x', ticket.slice(1), `${ticket}A`, ticket.slice(0, -2), 'A'.repeat(5000)])
        assert.equal((await gateway.get(pathOf('user:ann', bad))).status, 401, bad);
    const other = await Gateway.start(scope, { redis, anonymous: ['*'] });
    assert.equal((await post(other, '/ticket', { headers: bearer(keys.token('ann')) })).status, 404);
});

test('with --user-cap-policy oldest a ticket that was spent, or a token that was revoked, ends no stream of its user', async (t) => {
    const scope = scopeOf(t);
    const { keys, redis, gateway } = await start(scope, { args: ['--max-connections-per-user', '1', '--user-cap-policy', 'oldest'] });
    const revoked = keys.token('ann', { jti: 'stolen', iat: now() - 60 });
    assert.equal((await command(PUBLISH, ['--redis', redis.url, '--revoke-token', 'stolen', '--for', '1h'])).code, 0);
    const ticket = await ticketOf(gateway, keys.token('ann'));
    const stream = await openStream(scope, gateway.port, pathOf('user:ann', ticket));
    await stream.count(1);
    assert.equal(await statusOf(scope, gateway, pathOf('user:ann', ticket)), 401);
    assert.equal((await gateway.get('/stream?channel=user:ann', { headers: bearer(revoked) })).status, 401);
    await redis.publish('user:ann', 'x');
    assert.equal((await stream.count(2))[1].data, 'x');
    assert.equal(await statusOf(scope, gateway, pathOf('user:ann', await ticketOf(gateway, keys.token('ann')))), 200);
    assert.equal(await stream.ended(), 'clean');
});

test('while Redis is away a ticket is refused for a while and not spent', async (t) => {
    const scope = scopeOf(t);
    const { keys, redis, gateway } = await start(scope);
    const ticket = await ticketOf(gateway, keys.token('ann'));
    await redis.kill();
    await until('a refusal', async () => !(await gateway.ready()));
    const refused = await Stream.open(gateway.port, pathOf('user:ann', ticket), { keep: true });
    assert.equal(await refused.ended(), 'clean');
    assert.equal(refused.status, 200);
    assert.ok(refused.retry > 0);
    await redis.run();
    await until('ready again', () => gateway.ready());
    assert.equal(await statusOf(scope, gateway, pathOf('user:ann', ticket)), 200);
});

test('a stream that a ticket has opened ends when its token expires', async (t) => {
    const scope = scopeOf(t);
    const { keys, gateway } = await start(scope);
    const ticket = await ticketOf(gateway, keys.token('ann', { exp: now() + 3 }));
    const stream = await openStream(scope, gateway.port, pathOf('user:ann', ticket));
    assert.equal(await stream.ended(), 'clean');
    assert.match(stream.events.at(-1).data, /expired/);
});

test('a gateway with a new key in front takes the tickets of those that do not have it yet as the first', async (t) => {
    const scope = scopeOf(t);
    const { keys, redis, gateway } = await start(scope);
    const [older, newer] = [randomBytes(32).toString('hex'), randomBytes(32).toString('hex')];
    const jwt = keys.args.slice(0, 2);
    const gateways = await Promise.all([[older, newer], [newer, older]].map((lines, i) =>
        Gateway.start(scope, { redis, anonymous: [], args: [...jwt, '--ticket-key-file', keys.write(`rotated.${i}`, ...lines)] })));
    for (const [from, to] of [gateways, [...gateways].reverse()])
        assert.equal(await statusOf(scope, to, pathOf('user:ann', await ticketOf(from, keys.token('ann')))), 200);
    assert.equal((await gateway.get(pathOf('user:ann', await ticketOf(gateways[0], keys.token('ann'))))).status, 401);
});

test('SIGHUP reads the keys of tickets again, and keeps them where that fails', async (t) => {
    const scope = scopeOf(t);
    const { keys, gateway } = await start(scope);
    const before = await ticketOf(gateway, keys.token('ann'));
    keys.write('ticket.key', 'too short');
    gateway.process.signal('SIGHUP');
    await gateway.process.logged(/keys of tickets stay as they were: .*less than 32 bytes/);
    assert.equal(await statusOf(scope, gateway, pathOf('user:ann', await ticketOf(gateway, keys.token('ann')))), 200);
    keys.write('ticket.key', randomBytes(32).toString('hex'));
    gateway.process.signal('SIGHUP');
    await gateway.process.logged(/keys of tickets were read again/);
    assert.equal(await statusOf(scope, gateway, pathOf('user:ann', before)), 401);
    assert.equal(await statusOf(scope, gateway, pathOf('user:ann', await ticketOf(gateway, keys.token('ann')))), 200);
});

test('neither a ticket nor its nonce stands in a log', async (t) => {
    const scope = scopeOf(t);
    const { keys, gateway } = await start(scope, { args: ['--log-level', 'debug'] });
    const ticket = await ticketOf(gateway, keys.token('ann'));
    const path = pathOf('user:ann', ticket);
    assert.equal(await statusOf(scope, gateway, path), 200);
    assert.equal((await gateway.get(path)).status, 401);
    await gateway.process.logged(/connection ended/);
    assert.ok(!gateway.process.log().includes(ticket.slice(20, 60)));
    assert.ok(!gateway.process.log().includes(Buffer.from(ticket, 'base64url').subarray(12, 28).toString('hex')));
});

for (const pubsub of ['sharded', 'classic']) {
    test(`on a cluster with ${pubsub} Pub/Sub tickets are spent wherever their keys are`, async (t) => {
        const scope = scopeOf(t);
        const keys = new Keys(scope);
        const cluster = await RedisCluster.start(scope);
        const gateways = await Promise.all([1, 2].map(() => Gateway.start(scope, { redisUrl: cluster.url, anonymous: [], args: [...keys.args, '--pubsub', pubsub] })));
        for (let i = 0; i < 12; i++) {
            const path = pathOf('user:ann', await ticketOf(gateways[0], keys.token('ann', { jti: `t${i}` })));
            assert.equal(await statusOf(scope, gateways[i % 2], path), 200);
            assert.equal((await gateways[(i + 1) % 2].get(path)).status, 401);
        }
    });
}

test('where an ACL denies the key of tickets, they are refused for a while and the log says why', async (t) => {
    const scope = scopeOf(t);
    const keys = new Keys(scope);
    const redis = await Redis.start(scope);
    await redis.cli(['ACL', 'SETUSER', 'gw', 'on', '>secret', '+@all', '~sse:{*', '~sse:revoked:*', '&*']);
    const gateway = await Gateway.start(scope, { redisUrl: `redis://gw:secret@127.0.0.1:${redis.port}`, anonymous: [], args: [...keys.args, '--refusal', 'status'] });
    const path = pathOf('user:ann', await ticketOf(gateway, keys.token('ann')));
    assert.equal((await gateway.get(path)).status, 503);
    await gateway.process.logged(/cannot ask for sse:ticket:\*: NOPERM/);
});

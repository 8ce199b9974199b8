// One call fails while a ticket is asked for, a user is revoked, or keys are fetched: what was asked for may be refused for a
// while, and everything else works.

import '../lib/plain_build.mjs';
import assert from 'node:assert/strict';
import fs from 'node:fs';
import https from 'node:https';
import path from 'node:path';
import { before, test } from 'node:test';
import { bearer, Keys, post, ticketOf } from '../lib/bearer.mjs';
import { buildPlain, Calls } from '../lib/calls.mjs';
import { Authority } from '../lib/certificates.mjs';
import { connect } from '../lib/durable.mjs';
import { Gateway } from '../lib/gateway.mjs';
import { Redis } from '../lib/redis.mjs';
import { scopeOf } from '../lib/scope.mjs';
import { Stream } from '../lib/stream.mjs';
import { openStream } from '../lib/streams.mjs';
import { Issuer } from '../lib/tokens.mjs';
import { until } from '../lib/wait.mjs';

const EAGAIN = 11;
const ENOMEM = 12;
const EMFILE = 24;
const ECONNRESET = 104;
const SETTLE_MS = 20000;

before(() => buildPlain());

/** A gateway with keys, of which `fail` (options of Calls) fails once `calls.arm()` was called. */
async function start(t, fail, options = {}) {
    const scope = scopeOf(t);
    const keys = new Keys(scope);
    const redis = options.redis ?? (await Redis.start(scope));
    const calls = new Calls(path.join(scope.folder, 'calls'), { error: ENOMEM, nth: 1, leaks: true, ...fail });
    const gateway = await Gateway.start(scope, { redis, env: calls.env, anonymous: ['open'], ...options, args: [...keys.args, ...(options.args ?? [])] });
    return { scope, keys, redis, calls, gateway };
}

const descriptorsOf = (gateway) => fs.readdirSync(`/proc/${gateway.process.pid}/fd`).length;

/** A stream that has nothing to do with what fails; `holds()` when all is over: it is served, nothing is left, and SIGTERM ends the gateway. */
async function bystander({ scope, redis, calls, gateway }) {
    const stream = await openStream(scope, gateway.port, '/stream?channel=open');
    const atStart = descriptorsOf(gateway);
    return async () => {
        calls.again(0);
        await redis.publish('open', 'still there');
        assert.equal((await stream.count(1))[0].data, 'still there');
        stream.close();
        await until('the descriptors of the start', () => descriptorsOf(gateway) < atStart, { ms: SETTLE_MS });
        gateway.terminate();
        assert.deepEqual(await gateway.process.exit(), { code: 0, signal: null });
        assert.equal(calls.left, 0, calls.trace);
    };
}

for (const [what, fail] of Object.entries({
    'no random number': { fail: 'getrandom', place: 'ticket_keys_sign', error: EAGAIN },
    'no memory for its signature': { fail: 'malloc', place: 'hmac_sign', nth: 3 },
})) {
    test(`POST /ticket with ${what} is 503, counted and logged, and given when it is asked for again`, async (t) => {
        const { scope, keys, calls, gateway } = await start(t, fail);
        const token = keys.token('ann');
        calls.arm();
        const answer = await post(gateway, '/ticket', { headers: bearer(token) });
        assert.equal(calls.counted > 0, true);
        assert.equal(answer.status, 503, answer.body);
        assert.match(answer.headers['retry-after'], /^\d+$/);
        await gateway.metricIs('tickets_failed_total', 1);
        await gateway.process.logged(/cannot sign a ticket/);
        const stream = await openStream(scope, gateway.port, `/stream?channel=user:ann&ticket=${await ticketOf(gateway, token)}`);
        assert.equal(stream.status, 200);
    });
}

test('POST /ticket while one allocation fails, the first, the second ..: a ticket, 503 or no answer; other streams are served', async (t) => {
    const tier = await start(t, { fail: 'malloc', nth: 0, place: 'request_read' });
    const { keys, calls, gateway } = tier;
    const holds = await bystander(tier);
    const seen = new Set();
    let nth = 0;
    do {
        calls.again(++nth);
        const status = await post(gateway, '/ticket', { headers: bearer(keys.token('ann')) }).then((answer) => answer.status, () => 'none');
        seen.add(status);
        assert.ok([200, 503, 'none'].includes(status), `${status} with allocation ${nth}: ${calls.trace}`);
    } while (calls.counted >= nth);
    t.diagnostic(`${nth - 1} allocations: ${[...seen].join()}`);
    assert.ok(nth > 10 && seen.has(503));
    await holds();
});

test('revoking while one allocation fails, the first, the second ..: the streams of the user end all the same, and no others', async (t) => {
    const tier = await start(t, { fail: 'malloc', nth: 0 });
    const { scope, keys, redis, calls, gateway } = tier;
    const client = connect(scope, redis);
    const holds = await bystander(tier);
    const other = await openStream(scope, gateway.port, '/stream?channel=user:other', { headers: bearer(keys.token('other')) });
    for (let nth = 1; nth <= 20; nth++) {
        const user = `u${nth}`;
        const streams = await Promise.all([1, 2].map(() => openStream(scope, gateway.port, `/stream?channel=user:${user}`, { headers: bearer(keys.token(user)) })));
        const now = String(Math.floor(Date.now() / 1000));
        calls.again(nth);
        await client.call('SET', `sse:revoked:sub:${user}`, now, 'EX', '60');
        await client.call('PUBLISH', '__sse:revoke', `sub ${now} ${user}`);
        await until(`the streams of ${user} to end`, () => streams.every((stream) => !stream.open), { ms: SETTLE_MS });
        calls.again(0);
        const refused = await Stream.open(gateway.port, `/stream?channel=user:${user}`, { headers: bearer(keys.token(user, { iat: Number(now) })) });
        refused.close();
        assert.equal(refused.status, 401);
    }
    await redis.publish('user:other', 'hello');
    await other.count(1);
    other.close();
    await holds();
});

/** A key set at https://localhost, for `issuer`. */
async function serveKeys(scope, issuer) {
    const ca = await Authority.create(scope);
    const { cert, key } = await ca.sign('localhost');
    const body = JSON.stringify({ keys: [issuer.jwk] });
    const server = https.createServer({ cert: fs.readFileSync(cert), key: fs.readFileSync(key) }, (_, response) => response.end(body));
    await new Promise((resolve) => server.listen(0, 'localhost', resolve));
    scope.defer(() => (server.closeAllConnections(), server.close()));
    return { ca, url: `https://localhost:${server.address().port}/jwks` };
}

async function startFetching(t, fail, options) {
    const scope = scopeOf(t);
    const issuer = await Issuer.create(scope, 'ES256', { kid: 'k' });
    const { ca, url } = await serveKeys(scope, issuer);
    const redis = await Redis.start(scope);
    const calls = new Calls(path.join(scope.folder, 'calls'), { nth: 0, leaks: true, ...fail });
    if (fail.nth) calls.arm();
    const gateway = await Gateway.start(scope, { redis, env: calls.env, anonymous: ['open'], args: ['--jwks', url, '--jwks-ca', ca.cert, '--refusal', 'status'], ...options });
    return { scope, issuer, redis, calls, gateway };
}

const FETCHES = {
    malloc: { error: ENOMEM, most: 60 }, socket: { error: EMFILE }, connect: { error: ECONNRESET }, send: { error: ECONNRESET }, recv: { error: ECONNRESET },
    SSL_new: { error: ENOMEM },
};
for (const [fail, { error, most = 4 }] of Object.entries(FETCHES)) {
    test(`fetching keys while one ${fail} fails, the first, the second ..: the keys that are there stay in use, and the next fetch brings new ones`, async (t) => {
        const tier = await startFetching(t, { fail, error, place: 'https_get' });
        const { scope, issuer, calls, gateway } = tier;
        await gateway.metricIs('jwks_fetches_total', 1);
        const holds = await bystander(tier);
        const done = async () => (await gateway.metric('jwks_fetches_total')) + (await gateway.metric('jwks_fetch_failures_total'));
        const fetchOnce = async (nth) => {
            const before = await done();
            calls.again(nth);
            gateway.process.signal('SIGHUP');
            await until('a fetch to end', async () => (await done()) > before, { ms: SETTLE_MS, every: 10 });
        };
        await fetchOnce(0);
        const all = calls.counted;
        assert.ok(all > 0);
        for (let i = 1; i <= Math.min(all, most); i++) {
            await fetchOnce(Math.ceil((i * all) / Math.min(all, most)));
            const stream = await openStream(scope, gateway.port, '/stream?channel=news', { headers: bearer(await issuer.token({ sub: 'ann', channels: ['news'] })) });
            stream.close();
        }
        t.diagnostic(`${all} calls, ${await gateway.metric('jwks_fetch_failures_total')} fetches that failed`);
        const good = await gateway.metric('jwks_fetches_total');
        await fetchOnce(0);
        assert.equal(await gateway.metric('jwks_fetches_total'), good + 1);
        await holds();
    });
}

test('a thread for --jwks that cannot be created is said, and the gateway does not start', async (t) => {
    const { gateway } = await startFetching(t, { fail: 'pthread_create', error: EAGAIN, nth: 1, place: 'jwks_fetch_start' }, { ready: false });
    assert.equal((await gateway.process.exit()).code, 1);
    assert.match(gateway.process.log(), /cannot start a thread that fetches the keys of --jwks/);
});

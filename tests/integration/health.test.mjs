// Health pages, on both listeners.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Gateway } from '../lib/gateway.mjs';
import { RawConnection, exchange } from '../lib/raw_http.mjs';
import { Redis } from '../lib/redis.mjs';
import { scopeOf, sharedScope } from '../lib/scope.mjs';
import { openStreams } from '../lib/streams.mjs';
import { startTier } from '../lib/tier.mjs';
import { sleep, until } from '../lib/wait.mjs';

const shared = sharedScope();
const { gateway } = await startTier(shared);

for (const listener of ['public', 'admin']) {
    const port = listener === 'public' ? gateway.port : gateway.adminPort;

    test(`live, ready and detailed on the ${listener} listener`, async () => {
        assert.equal((await gateway.get('/health/live', { port })).status, 200);
        assert.equal((await gateway.get('/health/ready', { port })).status, 200);
        const detailed = await gateway.get('/health/detailed', { port });
        assert.equal(detailed.status, 200);
        assert.match(detailed.headers['content-type'], /^application\/json/);
        assert.match(detailed.headers['cache-control'], /no-store/);
        const json = JSON.parse(detailed.body);
        assert.equal(json.id, gateway.id);
        assert.equal(json.ready, true);
        assert.equal(json.draining, false);
    });

    test(`one connection serves many health checks on the ${listener} listener, also pipelined`, async (t) => {
        const connection = new RawConnection(port);
        t.after(() => connection.close());
        const check = 'GET /health/live HTTP/1.1\r\nHost: a\r\n\r\n';
        connection.send(check + check);
        await until('two answers', () => connection.text.split('200 OK').length === 3);
        connection.send(check);
        await until('a third', () => connection.text.split('200 OK').length === 4);
        connection.send('GET /health/live HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
        await connection.closed;
        assert.equal(connection.text.split('200 OK').length, 5);
    });

    test(`HEAD and HTTP/1.0 work for health checks on the ${listener} listener`, async () => {
        const head = await exchange(port, 'HEAD /health/ready HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
        assert.equal(head.status, 200);
        assert.equal(head.body, '');
        const old = await exchange(port, 'GET /health/ready HTTP/1.0\r\n\r\n');
        assert.equal(old.status, 200);
        assert.equal(Number(old.headers['content-length']), old.body.length);
    });
}

test('POST to a health page is 405, an unknown page 404', async () => {
    assert.equal((await exchange(gateway.port, 'POST /health/live HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n')).status, 405);
    assert.equal((await exchange(gateway.adminPort, 'GET /health/nothing HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')).status, 404);
});

test('streams are not served on the admin listener', async () => {
    const answer = await exchange(gateway.adminPort, 'GET /stream?channel=a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
    assert.equal(answer.status, 404);
});

test('health is answered under many streams and messages', async (t) => {
    const scope = scopeOf(t);
    const { redis, gateway } = await startTier(scope, { args: ['--queue-limit', '16MiB'] });
    await openStreams(scope, Array(100).fill({ port: gateway.port, path: '/stream?channel=a' }));
    const busy = redis.publishAll(Array.from({ length: 1000 }, () => ['a', 'x'.repeat(100)]));
    for (let i = 0; i < 20; i++) assert.equal((await gateway.get('/health/ready', { ms: 2000 })).status, 200);
    await busy;
});

test('as soon as delivery is not proven the reason is there, and as soon as it is proven the reason is gone', async (t) => {
    const scope = scopeOf(t);
    const { redis, gateway } = await startTier(scope);
    const wrong = [];
    const isProven = async () => {
        const { delivery_proven: proven, fault } = JSON.parse((await gateway.get('/health/detailed', { port: gateway.adminPort })).body).redis;
        if ((fault === '') !== proven) wrong.push(`${proven}: ${fault}`);
        return proven;
    };
    assert.ok(await isProven());
    await redis.kill();
    await until('the proof to be gone', async () => !(await isProven()));
    await redis.run();
    await until('the proof', isProven);
    assert.deepEqual(wrong, []);
});

test('detailed says on the admin listener, and nowhere else, how each connection to Redis is, and what the tier is', async (t) => {
    const scope = scopeOf(t);
    const password = 'xyzzy-secret';
    const redis = await Redis.start(scope, { password });
    const port = String(redis.port);
    const [one, two] = await Promise.all([1, 2].map(() => Gateway.start(scope, { redis })));
    const read = async (listener) => (await one.get('/health/detailed', { port: listener })).body;
    const inside = async () => JSON.parse(await read(one.adminPort));
    await until('both are in the tier', async () => (await inside()).tier.peers.length === 2);
    await until('a canary', async () => (await inside()).redis.nodes[0].canary_age_ms < 4000);
    const { redis: { nodes, ...outer }, tier, drain, threads } = await inside();
    assert.deepEqual(outer, { connected: true, delivery_proven: true, fault: '', subscriptions: outer.subscriptions });
    assert.equal(nodes.length, 1);
    assert.deepEqual({ address: nodes[0].address, used: nodes[0].used, fault: nodes[0].fault }, { address: `127.0.0.1:${port}`, used: true, fault: '' });
    assert.deepEqual(nodes[0].connections.map((c) => [c.for, c.address, c.connected, c.last_error, c.last_error_age_ms]),
        ['subscriber', 'canary', 'history'].map((what) => [what, `127.0.0.1:${port}`, true, '', null]));
    assert.deepEqual(tier.peers.map((p) => p.id).sort(), [one.id, two.id].sort());
    assert.equal(drain, null);
    assert.deepEqual(Object.keys(threads).sort(), ['bus', 'main', 'worker0', 'worker1']);
    for (const text of [await read(one.port), await read(one.adminPort)]) assert.ok(!text.includes(password));
    for (const secret of [port, two.id, 'nodes', 'tier', 'threads']) assert.ok(!(await read(one.port)).includes(secret), `the public reads ${secret}`);
    await redis.kill();
    await until('the error of each connection, and when', async () => (await inside()).redis.nodes[0].connections.every((c) =>
        !c.connected && /refused|closed|reset/i.test(c.last_error) && c.last_error_age_ms < 5000));
});

test('a loop that stood still says for how long, and so does one that stands still now', async (t) => {
    const { gateway } = await startTier(scopeOf(t), { workers: 1 });
    const lag = async (thread) => (await gateway.metrics()).sum('sse_gateway_loop_lag_seconds', { thread });
    await gateway.metricIs('ready', 1);
    assert.ok((await lag('worker0')) < 0.5);
    gateway.process.signal('SIGSTOP');
    await sleep(1200); // the time that is to be found
    gateway.process.signal('SIGCONT');
    await until('the lag of each thread', async () => {
        const lags = [await lag('worker0'), await lag('main')];
        if (lags.every((seconds) => seconds > 0.8)) return true;
        throw new Error(lags.join(' '));
    });
    assert.equal((await gateway.metrics()).samples.filter((s) => s.name === 'sse_gateway_loop_lag_seconds').length, 2);
});

test('a gateway that Redis has not proven yet is live and not ready', async (t) => {
    const scope = scopeOf(t);
    const redis = await Redis.start(scope);
    await redis.kill();
    const gateway = await Gateway.start(scope, { redis, ready: 'live' });
    for (const port of [gateway.port, gateway.adminPort]) {
        assert.equal((await gateway.get('/health/ready', { port })).status, 503);
        assert.equal((await gateway.get('/health/live', { port })).status, 200);
        await until('the reason', async () => {
            const { ready, redis } = JSON.parse((await gateway.get('/health/detailed', { port })).body);
            return !ready && redis.fault === 'Connection refused';
        });
    }
});

// sse-publish over TLS: to Redis and to sentinels, with a certificate of its own, and what it says of what it does not trust.

import assert from 'node:assert/strict';
import net from 'node:net';
import { test } from 'node:test';
import { Authority, redisTls } from '../lib/certificates.mjs';
import { command } from '../lib/command.mjs';
import { connect, history } from '../lib/durable.mjs';
import { PUBLISH } from '../lib/paths.mjs';
import { freePort } from '../lib/ports.mjs';
import { Redis } from '../lib/redis.mjs';
import { scopeOf } from '../lib/scope.mjs';
import { Sentinel, watching } from '../lib/sentinel.mjs';

/** A Redis with TLS on `tls`, beside the plain port that the test itself uses. */
async function start(t, { clients = false, ...options } = {}) {
    const scope = scopeOf(t);
    const ca = await Authority.create(scope);
    const tls = await freePort();
    const redis = await Redis.start(scope, { config: redisTls(tls, ca, await ca.sign('redis', options), { clients }) });
    return { scope, ca, tls, redis };
}

const run = (url, args, options) => command(PUBLISH, ['--redis', url, ...args], options);

async function refused(url, args, said) {
    const result = await run(url, [...args, 'news', 'x']);
    assert.equal(result.code, 1, result.out);
    assert.match(result.err, /^sse-publish: [^\n]+\n$/);
    assert.match(result.err, said);
}

test('plain and durable events, one and 20,000, go out by TLS', async (t) => {
    const { scope, ca, tls, redis } = await start(t);
    for (const host of ['localhost', '127.0.0.1']) {
        const result = await run(`rediss://${host}:${tls}`, ['--redis-ca', ca.cert, '--json', 'news', 'x']);
        assert.equal(result.out, '{"channel":"news","receivers":0}\n', result.err);
    }
    const lines = Array.from({ length: 20000 }, (_, i) => `line ${i} ${'x'.repeat(i % 1000 === 0 ? 100000 : 10)}`);
    const env = { SSE_PUBLISH_REDIS: `rediss://localhost:${tls}`, SSE_PUBLISH_REDIS_CA: ca.cert };
    const result = await command(PUBLISH, ['--durable', '--lines', '--keep', '20000', 'news'], { env, input: lines.join('\n'), ms: 60000 });
    assert.equal(result.code, 0, result.err);
    const entries = await history(connect(scope, redis), 'news');
    assert.equal(entries.findIndex((e, i) => e.data !== lines[i]), -1);
    assert.equal(entries.length, lines.length);
});

test('a server that wants a certificate gets ours', async (t) => {
    const { ca, tls } = await start(t, { clients: true });
    const own = await ca.sign('publisher');
    const with_it = ['--redis-ca', ca.cert, '--redis-cert', own.cert, '--redis-key', own.key];
    assert.equal((await run(`rediss://localhost:${tls}`, [...with_it, '--json', 'news', 'x'])).code, 0);
    await refused(`rediss://localhost:${tls}`, ['--redis-ca', ca.cert], /client certificate: --redis-cert and --redis-key/);
});

test('what is not trusted is not talked to', async (t) => {
    const { scope, ca, tls, redis } = await start(t, { names: ['DNS:localhost'] });
    const other = await Authority.create(scope, 'other');
    await refused(`rediss://localhost:${tls}`, [], /--redis-ca/);
    await refused(`rediss://localhost:${tls}`, ['--redis-ca', other.cert], /--redis-ca/);
    await refused(`rediss://127.0.0.1:${tls}`, ['--redis-ca', ca.cert], /not for 127\.0\.0\.1/);
    await refused(`rediss://localhost:${tls}`, ['--redis-ca', '/nowhere'], /--redis-ca: cannot use \/nowhere/);
    await refused(`rediss://localhost:${redis.port}`, ['--redis-ca', ca.cert, '--timeout', '300ms'], /a server without TLS is redis:\/\//);
});

test('a server that accepts and says nothing is given up after --timeout', async (t) => {
    const scope = scopeOf(t);
    const mute = net.createServer(() => {}).listen(0, '127.0.0.1');
    scope.defer(() => mute.close());
    await new Promise((resolve) => mute.once('listening', resolve));
    const sockets = [];
    mute.on('connection', (socket) => sockets.push(socket.on('error', () => {})));
    scope.defer(() => sockets.forEach((socket) => socket.destroy()));
    await refused(`rediss://127.0.0.1:${mute.address().port}`, ['--timeout', '200ms'], /no answer from rediss:\S+ within 200 ms/);
});

test('sentinels, and the master that they name, by TLS', async (t) => {
    const { scope, ca, tls } = await start(t);
    const port = await freePort();
    const { cert, key } = await ca.sign('sentinel');
    const sentinel = await Sentinel.start(scope, {
        lines: [...watching('main', tls), 'tls-replication yes', `tls-port ${port}`, `tls-cert-file ${cert}`, `tls-key-file ${key}`,
            `tls-ca-cert-file ${ca.cert}`, 'tls-auth-clients no'],
    });
    const result = await run(`rediss+sentinel://127.0.0.1:${port}/main`, ['--redis-ca', ca.cert, '--json', 'news', 'x']);
    assert.equal(result.out, '{"channel":"news","receivers":0}\n', result.err);
    assert.ok(sentinel.process.running);
});

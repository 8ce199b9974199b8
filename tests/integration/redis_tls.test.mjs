// rediss://: what is trusted, what is not and how that is said, and that TLS delivers as well as a plain socket.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { test } from 'node:test';
import { Authority, redisTls } from '../lib/certificates.mjs';
import { command } from '../lib/command.mjs';
import { Gateway } from '../lib/gateway.mjs';
import { GATEWAY } from '../lib/paths.mjs';
import { freePort } from '../lib/ports.mjs';
import { Redis } from '../lib/redis.mjs';
import { scopeOf } from '../lib/scope.mjs';
import { Sentinel, watching } from '../lib/sentinel.mjs';
import { openStream, openStreams } from '../lib/streams.mjs';
import { until, within } from '../lib/wait.mjs';

/** A Redis with TLS, and a plain port for the test's own use; { redis, ca, url, args }. */
async function start(scope, { names, days, clients, config = [] } = {}) {
    const ca = await Authority.create(scope);
    const port = await freePort();
    const redis = await Redis.start(scope, { config: [...redisTls(port, ca, await ca.sign('redis', { names, days }), { clients }), ...config] });
    return { redis, ca, port, url: `rediss://localhost:${port}`, args: ['--redis-ca', ca.cert] };
}

async function works(scope, redis, gateway) {
    const stream = await openStream(scope, gateway.port, '/stream?channel=a');
    await redis.publish('a', 'x');
    await stream.count(1);
}

/** The gateway is not ready, and says why in one line, once, however often it tries. */
async function saysOnce(gateway, redis, pattern) {
    await gateway.process.logged(pattern);
    await until('several attempts', async () => (await gateway.metric('uptime_seconds')) >= 3, { every: 100 });
    const lines = gateway.process.log().split('\n').filter((line) => /subscriber connection/.test(line));
    assert.equal(lines.length, 1, lines.join('\n'));
    assert.match(lines[0], pattern);
    assert.equal((await gateway.get('/health/ready')).status, 503);
    if (redis) assert.ok(!/name=sse-gateway/.test(await redis.cli(['CLIENT', 'LIST'])));
}

test('a certificate of a CA that is given, by name and by address', async (t) => {
    const scope = scopeOf(t);
    const { redis, port, args } = await start(scope);
    for (const host of ['localhost', '127.0.0.1']) {
        const gateway = await Gateway.start(scope, { redisUrl: `rediss://${host}:${port}`, args });
        await works(scope, redis, gateway);
        const theirs = (await redis.cli(['CLIENT', 'LIST'])).split('\n').filter((line) => / name=sse-gateway /.test(line));
        assert.ok(theirs.length >= 2 && theirs.every((line) => line.includes(`laddr=127.0.0.1:${port}`)), theirs.join('\n'));
    }
});

test('the CAs of the system count where none is given', async (t) => {
    const scope = scopeOf(t);
    const { redis, ca, url } = await start(scope);
    const gateway = await Gateway.start(scope, { redisUrl: url, env: { SSL_CERT_FILE: ca.cert } });
    await works(scope, redis, gateway);
});

test('TLS 1.2 alone, with user, password and database', async (t) => {
    const scope = scopeOf(t);
    const { redis, port, args } = await start(scope, { config: ['--tls-protocols', 'TLSv1.2', '--user', 'gw', 'on', '>secret', '+@all', '~*', '&*'] });
    const gateway = await Gateway.start(scope, { redisUrl: `rediss://gw:secret@localhost:${port}/2`, args });
    await works(scope, redis, gateway);
    assert.match(await redis.cli(['CLIENT', 'LIST']), / name=sse-gateway .* db=2 .* user=gw /);
});

test('a client certificate, where Redis wants one; the files named by flags, in the environment, in a file', async (t) => {
    const scope = scopeOf(t);
    const { redis, ca, url, args } = await start(scope, { clients: true });
    const own = await ca.sign('gateway', { names: ['DNS:gateway'] });
    const flags = await Gateway.start(scope, { redisUrl: url, args: [...args, '--redis-cert', own.cert, '--redis-key', own.key] });
    await works(scope, redis, flags);
    const env = { SSE_GATEWAY_REDIS_CA: ca.cert, SSE_GATEWAY_REDIS_CERT: own.cert, SSE_GATEWAY_REDIS_KEY: own.key };
    await works(scope, redis, await Gateway.start(scope, { redisUrl: url, env }));
    const file = path.join(ca.folder, 'gateway.ini');
    fs.writeFileSync(file, `redis-ca = ${ca.cert}\nredis-cert = ${own.cert}\nredis-key = ${own.key}\n`);
    await works(scope, redis, await Gateway.start(scope, { redisUrl: url, args: ['--config', file] }));
});

for (const protocol of ['TLSv1.2', 'TLSv1.3']) {
    test(`no client certificate where Redis wants one (${protocol})`, async (t) => {
        const scope = scopeOf(t);
        const { redis, url, args } = await start(scope, { clients: true, config: ['--tls-protocols', protocol] });
        const gateway = await Gateway.start(scope, { redisUrl: url, args, ready: 'live' });
        await saysOnce(gateway, redis, /client certificate: --redis-cert and --redis-key/);
    });
}

test('a client certificate of a CA that Redis does not trust', async (t) => {
    const scope = scopeOf(t);
    const { redis, url, args } = await start(scope, { clients: true });
    const own = await (await Authority.create(scope, 'other')).sign('gateway');
    const gateway = await Gateway.start(scope, { redisUrl: url, args: [...args, '--redis-cert', own.cert, '--redis-key', own.key], ready: 'live' });
    await saysOnce(gateway, redis, /does not trust the CA of --redis-cert/);
});

test('an unknown CA', async (t) => {
    const scope = scopeOf(t);
    const { redis, url } = await start(scope);
    const gateway = await Gateway.start(scope, { redisUrl: url, ready: 'live' });
    await saysOnce(gateway, redis, /from a CA that is not trusted here; name that CA with --redis-ca/);
});

test('a CA of the same name and another key', async (t) => {
    const scope = scopeOf(t);
    const { redis, url } = await start(scope);
    const other = await Authority.create(scope);
    const gateway = await Gateway.start(scope, { redisUrl: url, args: ['--redis-ca', other.cert], ready: 'live' });
    await saysOnce(gateway, redis, /certificate/);
});

test('a wrong name', async (t) => {
    const scope = scopeOf(t);
    const { redis, url, args } = await start(scope, { names: ['DNS:redis.example', 'DNS:*.localhost'] });
    const gateway = await Gateway.start(scope, { redisUrl: url, args, ready: 'live' });
    await saysOnce(gateway, redis, /its certificate is not for localhost/);
});

test('a name that is right, where an address is asked for', async (t) => {
    const scope = scopeOf(t);
    const { redis, port, args } = await start(scope, { names: ['DNS:localhost', 'DNS:127.0.0.1', 'IP:127.0.0.2'] });
    const gateway = await Gateway.start(scope, { redisUrl: `rediss://127.0.0.1:${port}`, args, ready: 'live' });
    await saysOnce(gateway, redis, /its certificate is not for 127\.0\.0\.1/);
});

test('an expired certificate, and a new one without a restart of the gateway', async (t) => {
    const scope = scopeOf(t);
    const { redis, ca, url, args } = await start(scope, { days: -1 });
    const gateway = await Gateway.start(scope, { redisUrl: url, args, ready: 'live' });
    await saysOnce(gateway, redis, /has expired/);
    const { cert, key } = await ca.sign('new');
    await redis.cli(['CONFIG', 'SET', 'tls-cert-file', cert, 'tls-key-file', key]);
    await gateway.process.ready('is ready', () => gateway.ready());
    await works(scope, redis, gateway);
});

test('a plain server behind rediss://', async (t) => {
    const scope = scopeOf(t);
    const redis = await Redis.start(scope);
    const gateway = await Gateway.start(scope, { redisUrl: `rediss://127.0.0.1:${redis.port}`, ready: 'live' });
    await gateway.process.logged(/does not speak TLS/);
    assert.equal((await gateway.get('/health/ready')).status, 503);
});

test('a server that ends every handshake, and one that answers with something else', async (t) => {
    const scope = scopeOf(t);
    for (const [answer, said] of [['', /closed by the server|reset/i], ['HTTP/1.1 400 Bad Request\r\n\r\n', /does not speak TLS/]]) {
        const port = await freePort();
        const server = net.createServer((socket) => {
            socket.on('error', () => {});
            socket.once('data', () => socket.end(answer));
        });
        await new Promise((resolve) => server.listen(port, '127.0.0.1', resolve));
        scope.defer(() => server.close());
        const gateway = await Gateway.start(scope, { redisUrl: `rediss://127.0.0.1:${port}`, ready: 'live' });
        await gateway.process.logged(said);
    }
});

test('a plain client of a port with TLS', async (t) => {
    const scope = scopeOf(t);
    const { port } = await start(scope);
    const gateway = await Gateway.start(scope, { redisUrl: `redis://127.0.0.1:${port}`, ready: 'live' });
    await gateway.process.logged(/subscriber connection.*trying again/);
    assert.equal((await gateway.get('/health/ready')).status, 503);
});

test('files that cannot be used are said at the start', async (t) => {
    const scope = scopeOf(t);
    const ca = await Authority.create(scope);
    const own = await ca.sign('gateway');
    const other = await ca.sign('other');
    const empty = path.join(ca.folder, 'empty');
    fs.writeFileSync(empty, '');
    const encrypted = path.join(ca.folder, 'encrypted.key');
    await command('openssl', ['ec', '-in', own.key, '-aes128', '-passout', 'pass:secret', '-out', encrypted]);
    for (const [args, said] of [
        [['--redis-ca', '/nonexistent'], '--redis-ca: cannot use /nonexistent: No such file or directory'],
        [['--redis-ca', empty], `--redis-ca: cannot use ${empty}: no certificate or crl found`],
        [['--redis-cert', own.cert], '--redis-cert: --redis-cert and --redis-key belong together'],
        [['--redis-key', own.key], '--redis-key: --redis-cert and --redis-key belong together'],
        [['--redis-cert', own.cert, '--redis-key', other.key], `--redis-key: cannot use ${other.key}: key values mismatch`],
        [['--redis-cert', own.cert, '--redis-key', encrypted], `--redis-key: cannot use ${encrypted}: `],
        [['--redis-cert', empty, '--redis-key', own.key], `--redis-cert: cannot use ${empty}: `],
    ]) {
        const run = await command(GATEWAY, ['--check-config', '--anonymous', 'a', '--redis', 'rediss://localhost', ...args]);
        assert.equal(run.code, 2);
        assert.ok(run.err.startsWith(`sse-gateway: ${said}`) && run.err.trim().split('\n').length === 1, run.err);
    }
    const plain = await command(GATEWAY, ['--check-config', '--anonymous', 'a', '--redis-ca', ca.cert]);
    assert.equal(plain.code, 2);
    assert.match(plain.err, /--redis-ca: the URL of --redis is not one of TLS; write it rediss:/);
});

test('Redis restarts behind TLS: every channel is heard again', async (t) => {
    const scope = scopeOf(t);
    const { redis, url, args } = await start(scope);
    const gateway = await Gateway.start(scope, { redisUrl: url, args });
    const streams = await openStreams(scope, Array.from({ length: 200 }, (_, i) => ({ port: gateway.port, path: `/stream?channel=c:${i}` })));
    await redis.kill();
    await until('not ready', async () => !(await gateway.ready()));
    await redis.run();
    await gateway.process.ready('is ready', () => gateway.ready());
    await redis.publishAll(streams.map((_, i) => [`c:${i}`, 'x']));
    await until('a message at each stream', () => streams.every((s) => s.events.some((e) => e.data === 'x')));
    assert.ok(streams.every((s) => s.open && !s.fault));
});

const text = (n, len) => `${String(n).padStart(8, '0')}${'x'.repeat(len)}`;

test('a flood of small messages, of large ones, and of both arrives whole and in order', async (t) => {
    const scope = scopeOf(t);
    const { redis, url, args } = await start(scope, { config: ['--client-output-buffer-limit', 'pubsub 0 0 0'] });
    const gateway = await Gateway.start(scope, { redisUrl: url, args: [...args, '--queue-limit', '256MiB', '--backlog-limit', '1GiB'] });
    const stream = await openStream(scope, gateway.port, '/stream?channel=a');
    const sizes = [
        ...Array.from({ length: 20000 }, () => 1),
        ...Array.from({ length: 16 }, () => 1 << 19),
        ...Array.from({ length: 1000 }, (_, i) => (i % 100 === 0 ? 300000 : 16384 - 60 + (i % 120))), // about a record's size
    ];
    await redis.publishAll(sizes.map((len, i) => ['a', text(i, len)]));
    await stream.count(sizes.length, { ms: 60000 });
    assert.equal(stream.events.length, sizes.length);
    const wrong = stream.events.findIndex((e, i) => e.data.length !== 8 + sizes[i] || Number(e.data.slice(0, 8)) !== i);
    assert.equal(wrong, -1, `event ${wrong}: ${stream.events[wrong]?.type} ${stream.events[wrong]?.data.slice(0, 30)}`);
    assert.ok(await gateway.ready());
    assert.equal(await gateway.metric('redis_connects_total'), 1);
});

/** Publishes one message at a time, each when the one before was answered: so each is a record of its own for TLS. */
async function publishOneByOne(redis, channel, count) {
    const socket = net.connect(redis.port, '127.0.0.1');
    const send = (i) => socket.write(`*3\r\n$7\r\nPUBLISH\r\n$${channel.length}\r\n${channel}\r\n$8\r\n${text(i, 0)}\r\n`);
    await within(30000, `${count} messages`, new Promise((resolve, reject) => {
        let i = 0;
        socket.on('error', reject);
        socket.on('data', () => (++i < count ? send(i) : resolve()));
        send(0);
    }));
    socket.destroy();
}

test('thousands of small records that wait at once are read at once, not a few at each new one', async (t) => {
    const scope = scopeOf(t);
    const { redis, url, args } = await start(scope);
    const gateway = await Gateway.start(scope, { redisUrl: url, args });
    const stream = await openStream(scope, gateway.port, '/stream?channel=a');
    process.kill(gateway.process.pid, 'SIGSTOP');
    scope.defer(() => gateway.process.running && process.kill(gateway.process.pid, 'SIGCONT'));
    await publishOneByOne(redis, 'a', 3000);
    process.kill(gateway.process.pid, 'SIGCONT');
    await stream.count(3000, { ms: 1500 });
    assert.ok(stream.events.every((e, i) => e.data === text(i, 0)));
});

test('thousands of channels are subscribed through TLS', async (t) => {
    const scope = scopeOf(t);
    const { redis, url, args } = await start(scope);
    const gateway = await Gateway.start(scope, { redisUrl: url, args });
    const name = (s, i) => `a-rather-long-name-of-a-channel:${s}:${i}`;
    const streams = await openStreams(scope, Array.from({ length: 100 }, (_, s) => ({
        port: gateway.port,
        path: `/stream?${Array.from({ length: 50 }, (__, i) => `channel=${name(s, i)}`).join('&')}`,
    })));
    await redis.publishAll(streams.flatMap((_, s) => Array.from({ length: 50 }, (__, i) => [name(s, i), 'x'])));
    await until('every message', () => streams.every((s) => s.events.length === 50));
    await redis.cli(['CLIENT', 'KILL', 'TYPE', 'pubsub']);
    await gateway.metricIs('redis_connects_total', 2); // before, the count is that of the lost connection
    await until('all 5,000 again', async () => (await gateway.metric('subscriptions')) === 5000);
    await redis.publishAll([[name(99, 49), 'y']]);
    await until('the message', () => streams[99].events.some((e) => e.data === 'y'));
});

test('rediss+sentinel://: TLS to the sentinels and to the master that they name', async (t) => {
    const scope = scopeOf(t);
    const ca = await Authority.create(scope);
    const server = await ca.sign('redis');
    const port = await freePort();
    const redis = await Redis.start(scope, { config: [...redisTls(port, ca, server), '--tls-replication', 'yes'] });
    const sentinelPort = await freePort();
    const lines = redisTls(sentinelPort, ca, server).join('\n').replaceAll(/--(.*)\n/g, '$1 ').split(/ (?=tls-)/);
    await Sentinel.start(scope, { lines: [...lines, 'tls-replication yes', ...watching('main', port, { quorum: 1 })] });
    const gateway = await Gateway.start(scope, {
        redisUrl: `rediss+sentinel://localhost:${sentinelPort}/main`, args: ['--redis-ca', ca.cert],
    });
    await works(scope, redis, gateway);
    const theirs = (await redis.cli(['CLIENT', 'LIST'])).split('\n').filter((line) => / name=sse-gateway /.test(line));
    assert.ok(theirs.length >= 2 && theirs.every((line) => line.includes(`laddr=127.0.0.1:${port}`)), theirs.join('\n'));
});

// Ways to reach Redis, and what a person is told where it cannot be reached.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { Gateway } from '../lib/gateway.mjs';
import { freePort } from '../lib/ports.mjs';
import { Redis } from '../lib/redis.mjs';
import { scopeOf } from '../lib/scope.mjs';
import { openStream } from '../lib/streams.mjs';
import { until } from '../lib/wait.mjs';

async function works(scope, redis, gateway) {
    const stream = await openStream(scope, gateway.port, '/stream?channel=a');
    await redis.publish('a', 'x');
    await stream.count(1);
}

const clients = async (redis) => (await redis.cli(['CLIENT', 'LIST'])).split('\n').filter((line) => !/cmd=client/.test(line));

test('a password in the URL', async (t) => {
    const scope = scopeOf(t);
    const redis = await Redis.start(scope, { password: 'p@ss:/ w%rd' });
    const gateway = await Gateway.start(scope, { redis });
    await works(scope, redis, gateway);
    assert.ok(!gateway.process.log().includes('p%40ss') && !gateway.process.log().includes('p@ss'), 'the password is in no log');
});

test('a user and a password of an ACL', async (t) => {
    const scope = scopeOf(t);
    const redis = await Redis.start(scope);
    await redis.cli(['ACL', 'SETUSER', 'gw', 'on', '>secret', '+@pubsub', '+@connection', '+ping', '+select', '+role', '+info', '+@scripting', '&*', '~*']);
    await redis.cli(['ACL', 'SETUSER', 'default', '-@pubsub', '+pubsub|numsub', '+publish']);
    const gateway = await Gateway.start(scope, { redisUrl: `redis://gw:secret@127.0.0.1:${redis.port}` });
    await works(scope, redis, gateway);
});

test('a password from --redis-password-file', async (t) => {
    const scope = scopeOf(t);
    const redis = await Redis.start(scope, { password: 'from-a-file' });
    const file = path.join(scope.folder, 'password.txt');
    fs.writeFileSync(file, 'from-a-file\n', { mode: 0o600 });
    const gateway = await Gateway.start(scope, { redisUrl: `redis://127.0.0.1:${redis.port}`, args: ['--redis-password-file', file] });
    await works(scope, redis, gateway);
});

test('a database in the URL', async (t) => {
    const scope = scopeOf(t);
    const redis = await Redis.start(scope);
    const gateway = await Gateway.start(scope, { redisUrl: `${redis.url}/3` });
    await works(scope, redis, gateway);
    const theirs = await clients(redis);
    assert.ok(theirs.length >= 1);
    for (const line of theirs) assert.match(line, /\bdb=3\b/);
});

test('a unix socket', async (t) => {
    const scope = scopeOf(t);
    const redis = await Redis.start(scope);
    const gateway = await Gateway.start(scope, { redisUrl: `redis+unix://${redis.socket}` });
    await works(scope, redis, gateway);
    for (const line of await clients(redis)) assert.ok(line.includes(redis.socket), line);
});

test('a unix socket, with a user of an ACL that has no more rights than it needs', async (t) => {
    const scope = scopeOf(t);
    const redis = await Redis.start(scope);
    await redis.cli(['ACL', 'SETUSER', 'gw', 'on', '>s:e@c/ret', 'resetchannels', '&a', '&sse:canary:*', '&sse:gateways', '%R~sse:{*', '-@all', '+subscribe', '+unsubscribe', '+publish',
        '+xrange', '+xrevrange', '+ping', '+select', '+client|setname']);
    const gateway = await Gateway.start(scope, { redisUrl: `redis+unix://gw:s%3Ae%40c%2Fret@${redis.socket}?db=1` });
    await works(scope, redis, gateway);
    const theirs = await clients(redis);
    assert.ok(theirs.length >= 2);
    for (const line of theirs) assert.match(line, / db=1 .* user=gw /);
    assert.ok(!/NOPERM/.test(gateway.process.log()), gateway.process.log());
});

test('a host name', async (t) => {
    const scope = scopeOf(t);
    const redis = await Redis.start(scope);
    const gateway = await Gateway.start(scope, { redisUrl: `redis://localhost:${redis.port}` });
    await works(scope, redis, gateway);
});

/** How many lines match once the gateway is 3 s old: its backoff begins at far less, so that is several attempts. */
async function timesSaid(gateway, pattern) {
    await gateway.process.logged(pattern);
    await until('several attempts', async () => (await gateway.metric('uptime_seconds')) >= 3, { every: 100 });
    return gateway.process.log().split('\n').filter((line) => pattern.test(line)).length;
}

test('a wrong password is said once, is not ready, and is tried again', async (t) => {
    const scope = scopeOf(t);
    const redis = await Redis.start(scope, { password: 'right' });
    const gateway = await Gateway.start(scope, { redisUrl: `redis://:wrong@127.0.0.1:${redis.port}`, ready: 'live' });
    assert.equal(await timesSaid(gateway, /WRONGPASS|password/i), 1, gateway.process.log());
    assert.equal((await gateway.get('/health/ready')).status, 503);
    assert.ok(!/:wrong|wrong@/.test(gateway.process.log()));
    await redis.cli(['CONFIG', 'SET', 'requirepass', 'wrong']);
    redis.password = 'wrong';
    await gateway.process.ready('is ready', () => gateway.ready());
    await works(scope, redis, gateway);
});

test('a Redis that has all the clients it may have is said once, and used when one leaves', async (t) => {
    const scope = scopeOf(t);
    const redis = await Redis.start(scope, { config: ['--maxclients', '3'] });
    const others = [];
    for (let i = 0; i < 3; i++) {
        const socket = redis.connect();
        socket.on('error', () => {});
        scope.defer(() => socket.destroy());
        await new Promise((resolve) => socket.write('PING\r\n') && socket.once('data', resolve));
        others.push(socket);
    }
    const gateway = await Gateway.start(scope, { redis, ready: 'live' });
    assert.equal(await timesSaid(gateway, /Redis refuses: ERR max number of clients reached/), 1, gateway.process.log());
    assert.ok(!/ is up/.test(gateway.process.log()), gateway.process.log());
    for (const socket of others) socket.destroy();
    await gateway.process.ready('is ready', () => gateway.ready(), { ms: 5000 });
    await gateway.process.logged(/ is up/);
    assert.equal(gateway.process.log().match(/ is up/g).length, 1);
});

test('no password where one is needed is said, and not ready', async (t) => {
    const scope = scopeOf(t);
    const redis = await Redis.start(scope, { password: 'right' });
    const gateway = await Gateway.start(scope, { redisUrl: `redis://127.0.0.1:${redis.port}`, ready: 'live' });
    await gateway.process.logged(/NOAUTH|password/i);
    assert.equal((await gateway.get('/health/ready')).status, 503);
});

test('a gateway starts without Redis, says so once, and is ready when Redis appears', async (t) => {
    const scope = scopeOf(t);
    const redis = await Redis.start(scope);
    await redis.kill();
    const gateway = await Gateway.start(scope, { redis, ready: 'live' });
    const refused = new RegExp(`127\\.0\\.0\\.1:${redis.port}.*(refused|unreachable|cannot|failed)`, 'i');
    assert.equal(await timesSaid(gateway, refused), 1, gateway.process.log());
    assert.equal((await gateway.get('/health/ready')).status, 503);
    await redis.run();
    await gateway.process.ready('is ready', () => gateway.ready(), { ms: 5000 });
    await works(scope, redis, gateway);
});

test('something that is not Redis is not ready, and said', async (t) => {
    const scope = scopeOf(t);
    const { createServer } = await import('node:net');
    const port = await freePort();
    const server = createServer((socket) => {
        socket.on('error', () => {});
        socket.end('HTTP/1.1 400 Bad Request\r\n\r\n');
    });
    await new Promise((resolve) => server.listen(port, '127.0.0.1', resolve));
    scope.defer(() => server.close());
    const gateway = await Gateway.start(scope, { redisUrl: `redis://127.0.0.1:${port}`, ready: 'live' });
    await gateway.process.logged(new RegExp(`"(warn|error)".*127\\.0\\.0\\.1:${port}`));
    assert.equal((await gateway.get('/health/ready')).status, 503);
});

test('a server that accepts and never answers does not hang the gateway', async (t) => {
    const scope = scopeOf(t);
    const { createServer } = await import('node:net');
    const port = await freePort();
    let connects = 0;
    const server = createServer((socket) => {
        connects++;
        socket.on('error', () => {});
        scope.defer(() => socket.destroy());
    });
    await new Promise((resolve) => server.listen(port, '127.0.0.1', resolve));
    scope.defer(() => server.close());
    const gateway = await Gateway.start(scope, { redisUrl: `redis://127.0.0.1:${port}`, ready: 'live' });
    await until('it gives up and tries again', () => connects > 4, { ms: 30000 });
    assert.equal((await gateway.get('/health/ready')).status, 503);
});

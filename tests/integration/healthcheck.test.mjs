// sse-gateway --healthcheck: 0 where the gateway is ready, 1 and one line where it is not, 2 where nothing can be asked.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { test } from 'node:test';
import { command } from '../lib/command.mjs';
import { Gateway } from '../lib/gateway.mjs';
import { GATEWAY } from '../lib/paths.mjs';
import { freePort } from '../lib/ports.mjs';
import { Redis } from '../lib/redis.mjs';
import { scopeOf } from '../lib/scope.mjs';
import { tempFolder } from '../lib/temp.mjs';
import { startTier } from '../lib/tier.mjs';
import { until } from '../lib/wait.mjs';

const check = (args, options) => command(GATEWAY, ['--healthcheck', ...args], { ms: 8000, ...options });

function says(result, code, text) {
    assert.equal(result.code, code, result.err);
    assert.equal(result.out, '');
    if (code === 0) assert.equal(result.err, '');
    else assert.match(result.err, /^sse-gateway: [^\n]+\n$/, 'one line');
    assert.match(result.err, text);
}

/** A server on a port of its own that does `serve(socket)`. */
async function pretender(scope, serve) {
    const server = net.createServer(serve);
    const sockets = new Set();
    server.on('connection', (socket) => sockets.add(socket.on('error', () => {})));
    await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
    scope.defer(() => (sockets.forEach((socket) => socket.destroy()), server.close()));
    return `127.0.0.1:${server.address().port}`;
}

test('the admin listener is asked, as flags, environment and file say; also at all addresses and at a unix socket', async (t) => {
    const scope = scopeOf(t);
    const { gateway } = await startTier(scope);
    const admin = `127.0.0.1:${gateway.adminPort}`;
    const folder = tempFolder(scope, 'healthcheck');
    const ini = path.join(folder, 'gateway.ini');
    fs.writeFileSync(ini, `admin-listen = ${admin}\n`);
    says(await check(['--admin-listen', admin]), 0, /^$/);
    says(await check([], { env: { SSE_GATEWAY_ADMIN_LISTEN: admin } }), 0, /^$/);
    says(await check(['--config', ini]), 0, /^$/);
    says(await check(['--admin-listen', `0.0.0.0:${gateway.adminPort}`]), 0, /^$/);
    says(await check(['--admin-listen', 'off', '--listen', `127.0.0.1:${gateway.port}`]), 0, /^$/);
    const other = await Gateway.start(scope, { redisUrl: 'redis://127.0.0.1:1', ready: 'live', args: ['--admin-listen', `unix:${folder}/admin.sock`] });
    says(await check(['--admin-listen', `unix:${folder}/admin.sock`]), 1, /unix:.*: not ready: no proof that Redis delivers/);
    other.terminate();
});

test('files that the gateway has read are not read again: that they are being replaced is no fault of the gateway', async (t) => {
    const { gateway } = await startTier(scopeOf(t));
    const gone = ['--tls-cert', '/nonexistent', '--tls-key', '/nonexistent', '--jwks', '/nonexistent', '--redis-password-file', '/nonexistent'];
    says(await check(['--admin-listen', `127.0.0.1:${gateway.adminPort}`, ...gone]), 0, /^$/);
});

test('a gateway without Redis is not ready, and ready again with it', async (t) => {
    const scope = scopeOf(t);
    const redis = await Redis.start(scope);
    await redis.kill();
    const gateway = await Gateway.start(scope, { redis, ready: 'live' });
    const ask = () => check(['--admin-listen', `127.0.0.1:${gateway.adminPort}`]);
    says(await ask(), 1, /: not ready: no proof that Redis delivers$/m);
    await redis.run();
    await until('ready', async () => (await ask()).code === 0);
});

test('nobody there, another program there, and one that never answers or trickles: 1 within 3 s and a little', async (t) => {
    const scope = scopeOf(t);
    says(await check(['--admin-listen', `127.0.0.1:${await freePort()}`]), 1, /Connection refused; is that the --admin-listen of the gateway\?$/m);
    says(await check(['--admin-listen', 'unix:/nonexistent/admin.sock']), 1, /No such file/);
    says(await check(['--admin-listen', await pretender(scope, (s) => s.end('220 mail.example ESMTP\r\n'))]), 1, /no gateway/);
    says(await check(['--admin-listen', await pretender(scope, (s) => s.end())]), 1, /without an answer|reset/);
    says(await check(['--admin-listen', await pretender(scope, (s) => s.end('HTTP/1.1 200 OK\r\n\r\nready\n'))]), 0, /^$/);
    const from = performance.now();
    const [silent, slow] = await Promise.all([
        pretender(scope, () => {}),
        pretender(scope, (s) => {
            const timer = setInterval(() => s.write('x'), 100);
            s.on('close', () => clearInterval(timer));
        }),
    ].map(async (address) => check(['--admin-listen', await address])));
    const took = performance.now() - from;
    says(silent, 1, /no answer within 3 s/);
    says(slow, 1, /no answer within 3 s/);
    assert.ok(took >= 2900 && took < 6000, `${took} ms`);
});

test('2 where the options are wrong, or no listener can be asked', async () => {
    says(await check(['--admin-listen', 'nowhere']), 2, /nowhere/);
    says(await check(['--admin-listen', '127.0.0.1:0']), 2, /port/);
    says(await check(['--admin-listen', 'off', '--tls-cert', '/a', '--tls-key', '/b']), 2, /--admin-listen/);
    says(await check(['--admin-listen', 'off', '--proxy-protocol', 'any']), 2, /--admin-listen/);
    says(await check(['more']), 2, /more/);
});

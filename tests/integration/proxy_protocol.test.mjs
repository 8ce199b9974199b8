// --proxy-protocol behind a real NGINX (stream) and a real HAProxy, and what connections without a header get.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { test } from 'node:test';
import { freePort } from '../lib/ports.mjs';
import { Process } from '../lib/process.mjs';
import { RawConnection, exchange } from '../lib/raw_http.mjs';
import { scopeOf } from '../lib/scope.mjs';
import { startTier } from '../lib/tier.mjs';
import { tempFolder } from '../lib/temp.mjs';
import { until, within } from '../lib/wait.mjs';

const ASK = 'GET /stream?channel=news&control=1 HTTP/1.1\r\nHost: a\r\n';

/** A gateway whose public port answers nobody without a header. */
async function startGateway(scope, args) {
    const tier = await startTier(scope, { ready: false, args: ['--refusal', 'status', ...args] });
    await until('the gateway to be ready', async () => (await tier.gateway.get('/health/ready', { port: tier.gateway.adminPort })).status === 200);
    return tier;
}

async function startNginx(scope, gateway) {
    const port = await freePort();
    const folder = tempFolder(scope, 'nginx');
    fs.writeFileSync(path.join(folder, 'nginx.conf'), `load_module /usr/lib/nginx/modules/ngx_stream_module.so;
        daemon off; pid nginx.pid; error_log stderr; events { }
        stream { server { listen 127.0.0.1:${port}; proxy_pass 127.0.0.1:${gateway.port}; proxy_protocol on; } }\n`);
    new Process(scope, 'nginx', 'nginx', ['-p', `${folder}/`, '-c', 'nginx.conf', '-e', 'stderr']);
    await until('NGINX to listen', () => connects(port));
    return port;
}

/** `server`: the words of its server line, behind the address. */
async function startHaproxy(scope, gateway, server) {
    const port = await freePort(), stats = await freePort();
    const file = path.join(tempFolder(scope, 'haproxy'), 'haproxy.cfg');
    fs.writeFileSync(file, `defaults\n    timeout connect 5s\n    timeout client 60s\n    timeout server 60s\n
        frontend in\n    mode tcp\n    bind 127.0.0.1:${port}\n    default_backend gateways\n
        frontend stats\n    mode http\n    bind 127.0.0.1:${stats}\n    stats enable\n    stats uri /\n
        backend gateways\n    mode tcp\n    option httpchk GET /health/ready\n    server gw 127.0.0.1:${gateway.port} ${server} check inter 100ms rise 1 fall 1\n`.replace(/^ {8}/gm, ''));
    const haproxy = new Process(scope, 'haproxy', 'haproxy', ['-db', '-f', file]);
    haproxy.wantedEnd = true; // on SIGTERM its status says so
    await until('HAProxy to call the gateway up', async () => {
        const line = (await (await fetch(`http://127.0.0.1:${stats}/;csv`)).text()).split('\n').find((l) => l.startsWith('gateways,gw,'));
        return /,L7OK,/.test(line); // its own health check has come through
    });
    return port;
}

function connects(port) {
    return new Promise((resolve, reject) => {
        const socket = net.connect({ port, host: '127.0.0.1' }, () => { socket.destroy(); resolve(true); });
        socket.on('error', reject);
    });
}

/** The status of a stream that is asked for from `from`, an address of 127.0.0.0/8; it stays open. */
async function ask(scope, port, from, headers = '') {
    const socket = net.connect({ port, host: '127.0.0.1', localAddress: from });
    scope.defer(() => socket.destroy());
    socket.on('error', () => {});
    socket.write(`${ASK}${headers}\r\n`);
    const first = await within(15000, `an answer to ${from}`, new Promise((resolve) => socket.once('data', resolve)));
    return Number(String(first).split(' ')[1]);
}

async function checkAddresses(scope, port) {
    assert.equal(await ask(scope, port, '127.0.0.2'), 200);
    assert.equal(await ask(scope, port, '127.0.0.3'), 200);
    assert.equal(await ask(scope, port, '127.0.0.2'), 429);
    assert.equal(await ask(scope, port, '127.0.0.3', 'X-Forwarded-For: 1.1.1.1\r\nForwarded: for=1.1.1.1\r\n'), 429);
}

const CAP = ['--max-connections-per-ip', '1', '--trusted-proxy', '127.0.0.1'];

test('NGINX stream with proxy_protocol on: each client counts by its own address', async (t) => {
    const scope = scopeOf(t);
    const { gateway } = await startGateway(scope, ['--proxy-protocol', 'v1', ...CAP]);
    await checkAddresses(scope, await startNginx(scope, gateway));
});

for (const [version, server] of [['v1', 'send-proxy'], ['v2', 'send-proxy-v2'], ['any', 'send-proxy-v2 proxy-v2-options crc32c,unique-id'], ['any', 'send-proxy']]) {
    test(`HAProxy with ${server}, --proxy-protocol ${version}: its health checks come through, and each client counts by its own address`, async (t) => {
        const scope = scopeOf(t);
        const { gateway } = await startGateway(scope, ['--proxy-protocol', version, ...CAP]);
        await checkAddresses(scope, await startHaproxy(scope, gateway, server));
        assert.equal(await gateway.metric('closes_total', { reason: 'proxy_header' }), 0);
    });
}

test('a connection with no header, the wrong version, or junk gets no answer, and is counted', async (t) => {
    const scope = scopeOf(t);
    const { gateway, redis } = await startGateway(scope, ['--proxy-protocol', 'v2']);
    const junk = [`${ASK}\r\n`, `PROXY TCP4 1.1.1.1 2.2.2.2 1 2\r\n${ASK}\r\n`, '\x16\x03\x01\x02', '\r\n\r\n\0\r\nQUIT\n\x21\x11\xff\xff'];
    for (const bytes of junk) assert.equal((await exchange(gateway.port, bytes)).text, '');
    await gateway.metricIs('closes_total', junk.length, { labels: { reason: 'proxy_header' } });
    const good = new RawConnection(gateway.port);
    scope.defer(() => good.close());
    good.send(`\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\x01\x01\x01\x01\x02\x02\x02\x02\0\x01\0\x02${ASK}\r\n`);
    await until('the stream', () => good.text.includes('gateway:open'));
    await redis.publish('news', 'x');
    await until('the event', () => good.text.includes('data: x'));
});

test('a header from an address that is no trusted proxy is not believed: the connection is closed', async (t) => {
    const scope = scopeOf(t);
    const { gateway } = await startGateway(scope, ['--proxy-protocol', 'any', '--trusted-proxy', '10.0.0.0/8', '--channels-header', 'X-Channels']);
    assert.equal((await exchange(gateway.port, `PROXY TCP4 10.0.0.1 10.0.0.2 1 2\r\n${ASK}X-Channels: *\r\n\r\n`)).text, '');
    await gateway.metricIs('closes_total', 1, { labels: { reason: 'proxy_header' } });
});

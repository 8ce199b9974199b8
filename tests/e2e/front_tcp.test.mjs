// HAProxy with deploy/haproxy/haproxy-tcp.cfg: gateways end TLS and know their clients' addresses.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Audience } from '../lib/audience.mjs';
import { startChromium } from '../lib/chromium.mjs';
import { certificate } from '../lib/front.mjs';
import { Gateway } from '../lib/gateway.mjs';
import { Haproxy } from '../lib/haproxy.mjs';
import { Redis } from '../lib/redis.mjs';
import { scopeOf, sharedScope } from '../lib/scope.mjs';
import { openStreams } from '../lib/streams.mjs';
import { until } from '../lib/wait.mjs';

const ARGS = ['--retry', '300ms', '--heartbeat', '1s', '--durable', '*', '--proxy-protocol', 'v2', '--trusted-proxy', '127.0.0.1'];
const tls = await certificate(sharedScope());

async function start(scope, more = []) {
    const redis = await Redis.start(scope);
    const args = [...ARGS, ...more];
    const gateways = await Promise.all([1, 2, 3].map(() => Gateway.start(scope, { redis, tls, args, ready: false })));
    const front = await Haproxy.startTcp(scope, { gateways });
    for (const name of ['gw1', 'gw2', 'gw3']) await until(`${name} to be up by its own check`, async () => /L7OK/.test((await front.server(name)).check_status));
    return { redis, gateways, front, args, start: { tls, ready: false } };
}

const wanted = (front, n) => Array.from({ length: n }, () => ({ port: front.port, path: '/stream?channel=a', tls: { rejectUnauthorized: false } }));

test('behind HAProxy in TCP mode, deploys and a reload lose and double nothing, and no client is closed', async (t) => {
    const scope = scopeOf(t);
    const tier = await start(scope);
    const audience = await Audience.open(scope, tier);
    await audience.heard();
    await audience.deploy();
    await audience.heard();
});

test('behind HAProxy in TCP mode, with all gateways away for a moment, each client comes back and gets each event once', async (t) => {
    const scope = scopeOf(t);
    const tier = await start(scope);
    const audience = await Audience.open(scope, { ...tier, browser: await startChromium(scope) });
    await audience.allAway();
    await audience.heard();
});

test('HAProxy in TCP mode spreads streams evenly over gateways, and a drained one gets no new stream', async (t) => {
    const scope = scopeOf(t);
    const { front, gateways } = await start(scope);
    const connections = () => Promise.all(gateways.map((g) => g.metric('connections')));
    await openStreams(scope, wanted(front, 12));
    assert.deepEqual(await connections(), [4, 4, 4]);
    await front.admin('set server sse/gw1 state drain');
    await openStreams(scope, wanted(front, 4));
    assert.deepEqual(await connections(), [4, 6, 6]);
});

test('a gateway behind HAProxy in TCP mode sees the address of each client', async (t) => {
    const scope = scopeOf(t);
    const { front, gateways } = await start(scope, ['--max-connections-per-ip', '1']);
    const from = (localAddress) => openStreams(scope, wanted(front, 3).map((w) => ({ ...w, tls: { ...w.tls, localAddress } })));
    for (const address of ['127.0.0.2', '127.0.0.3']) await from(address);
    const refused = await from('127.0.0.2');
    await until('the fourth to sixth stream of an address to be refused', () => refused.every((s) => s.end === 'clean'));
    assert.deepEqual(await Promise.all(gateways.map((g) => g.metric('connections'))), [2, 2, 2]);
});

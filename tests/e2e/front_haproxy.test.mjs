// HAProxy with deploy/haproxy/haproxy.cfg: no client is gone for good, whatever is away for a moment.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Audience } from '../lib/audience.mjs';
import { startChromium } from '../lib/chromium.mjs';
import { ARGS, certificate, checkHeaders, checkOwnAnswers, checkRefusal, get, killOne, startApplication } from '../lib/front.mjs';
import { Gateway } from '../lib/gateway.mjs';
import { Haproxy } from '../lib/haproxy.mjs';
import { scopeOf, sharedScope } from '../lib/scope.mjs';
import { openStreams } from '../lib/streams.mjs';
import { startTier } from '../lib/tier.mjs';
import { until } from '../lib/wait.mjs';

const shared = sharedScope();
const pair = await certificate(shared);
const browser = await startChromium(shared);

async function start(scope, { args = ARGS, ...options } = {}) {
    const tier = await startTier(scope, { gateways: 3, args });
    const front = await Haproxy.start(scope, { ...tier, pair, ...options });
    return { args, front, ...tier };
}

const tls = { rejectUnauthorized: false };
const streams = (scope, front, n, options) => openStreams(scope, Array.from({ length: n }, () => ({ port: front.port, path: '/stream?channel=a', tls, ...options })));

test('behind HAProxy, deploys and a reload lose and double nothing, and no client is closed, h2 and TLS in front', async (t) => {
    const scope = scopeOf(t);
    const { port: application } = await startApplication(scope);
    const tier = await start(scope, { application });
    const audience = await Audience.open(scope, { ...tier, browser });
    await audience.heard();
    await audience.deploy();
    await audience.heard();
});

test('behind HAProxy, with all gateways away for a moment, each client comes back and gets each event once', async (t) => {
    const scope = scopeOf(t);
    const { port: application } = await startApplication(scope);
    const audience = await Audience.open(scope, { ...(await start(scope, { application })), browser });
    await audience.allAway();
    await audience.heard();
});

test('behind HAProxy, a client that comes in a Redis outage is served when it is over', async (t) => {
    const scope = scopeOf(t);
    const tier = await start(scope);
    await tier.redis.kill();
    await until('no gateway to be ready', async () => (await Promise.all(tier.gateways.map((g) => g.ready()))).every((ready) => !ready));
    const audience = await Audience.create(scope, { ...tier, load: false });
    await audience.all('to be told to come back', (c) => c.turns() >= 1);
    await tier.redis.run();
    await audience.all('to be open', async () => (await audience.spread()).reduce((a, b) => a + b) === audience.clients.length);
    await audience.load();
    await audience.heard();
});

test('what HAProxy answers for gateways that are away brings browsers back, at different times, and pages of other origins may read it', async (t) => {
    const tier = await start(scopeOf(t));
    await checkOwnAnswers(tier);
});

test('a refusal of all gateways brings browsers back, and an answer that is final stays as it is', async (t) => {
    const scope = scopeOf(t);
    const { front } = await start(scope, { args: [...ARGS, '--max-connections-per-ip', '1'] });
    await streams(scope, front, 3);
    await checkRefusal(front);
});

test('HAProxy spreads streams evenly over gateways', async (t) => {
    const scope = scopeOf(t);
    const { front, gateways } = await start(scope);
    await streams(scope, front, 30);
    assert.deepEqual(await Promise.all(gateways.map((g) => g.metric('connections'))), [10, 10, 10]);
});

test('a request that meets a gateway which is full is sent by HAProxy to another', async (t) => {
    const scope = scopeOf(t);
    const { redis, gateways } = await startTier(scope, { gateways: 3, args: ARGS });
    const full = await Gateway.start(scope, { redis, args: [...ARGS, '--max-connections', '1'] });
    const front = await Haproxy.start(scope, { gateways: [full, ...gateways], pair });
    await streams(scope, front, 13);
    assert.deepEqual(await Promise.all([full, ...gateways].map((g) => g.metric('connections'))), [1, 4, 4, 4]);
});

test('a request that meets a gateway which was just killed is sent by HAProxy to another', async (t) => {
    const scope = scopeOf(t);
    const tier = await start(scope);
    await killOne(tier);
    const open = await streams(scope, tier.front, 8);
    assert.ok(open.every((s) => s.headers['x-sse-gateway'] !== undefined), 'a gateway answered each');
});

test('HAProxy passes on no header by which a client would speak for a proxy, and sends pages to HTTPS', async (t) => {
    const scope = scopeOf(t);
    const { port: application, asked } = await startApplication(scope);
    const { front } = await start(scope, { application });
    await checkHeaders(front, asked);
    assert.equal((await get(`${front.url}/ticket`, { method: 'POST' })).headers['content-type'], 'application/problem+json'); // a gateway's
    const plain = await get(`http://127.0.0.1:${front.plainPort}/page`);
    assert.deepEqual([plain.status, plain.headers.location], [301, `https://127.0.0.1:${front.plainPort}/page`]);
});

test('a gateway that the admin socket drains keeps its streams and gets no new one, until it is ready again', async (t) => {
    const scope = scopeOf(t);
    const { front, gateways } = await start(scope);
    const open = await streams(scope, front, 9);
    assert.equal(await front.admin('set server sse/gw1 state drain'), '');
    for (const backend of ['sse', 'ticket']) assert.match((await front.server('gw1', backend)).status, /^DRAIN/);
    await streams(scope, front, 8);
    assert.deepEqual(await Promise.all(gateways.map((g) => g.metric('connections'))), [3, 7, 7]);
    assert.ok(open.every((s) => s.end === undefined));
    await front.admin('set server sse/gw1 state ready');
    await streams(scope, front, 4);
    await gateways[0].metricIs('connections', 7);
});

test('a gateway that drains gets no new stream from HAProxy once its 404 was seen, and keeps its streams until then', async (t) => {
    const scope = scopeOf(t);
    const { redis, gateways } = await startTier(scope, { gateways: 2, args: ARGS });
    const leaving = await Gateway.start(scope, { redis, args: [...ARGS, '--drain-delay', '20s', '--drain-window', '0s'] });
    const front = await Haproxy.start(scope, { gateways: [leaving, ...gateways], pair });
    const open = await streams(scope, front, 6);
    leaving.terminate();
    await until('HAProxy to take it out', async () => (await front.server('gw1')).status.startsWith('NOLB'), { ms: 5000 });
    await streams(scope, front, 4);
    assert.deepEqual(await Promise.all([leaving, ...gateways].map((g) => g.metric('connections'))), [2, 4, 4]);
    assert.ok(open.every((s) => s.end === undefined));
    leaving.terminate(); // the second signal ends it at once
    await leaving.process.exit();
});

test("HAProxy's stats are there for people and for Prometheus", async (t) => {
    const scope = scopeOf(t);
    const { front } = await start(scope);
    await streams(scope, front, 3);
    assert.match(await (await fetch(`http://127.0.0.1:${front.stats}/`)).text(), /Statistics Report/);
    assert.match(await (await fetch(`http://127.0.0.1:${front.stats}/metrics`)).text(), /^haproxy_server_current_sessions\{proxy="sse",server="gw1"\} 1$/m);
});

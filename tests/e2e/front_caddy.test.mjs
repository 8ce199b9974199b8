// Caddy with deploy/caddy/Caddyfile: no client is gone for good, whatever is away for a moment.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Audience } from '../lib/audience.mjs';
import { Caddy } from '../lib/caddy.mjs';
import { startChromium } from '../lib/chromium.mjs';
import { connect, FORMS, load } from '../lib/durable.mjs';
import { ARGS, certificate, checkHeaders, checkOwnAnswers, checkRefusal, get, killOne, startApplication } from '../lib/front.mjs';
import { scopeOf, sharedScope } from '../lib/scope.mjs';
import { openStreams } from '../lib/streams.mjs';
import { startTier } from '../lib/tier.mjs';
import { until } from '../lib/wait.mjs';

const shared = sharedScope();
const pair = await certificate(shared);
const browser = await startChromium(shared);

async function start(scope, { args = ARGS, ...options } = {}) {
    const tier = await startTier(scope, { gateways: 3, args });
    const front = await Caddy.start(scope, { ...tier, pair, ...options });
    return { args, front, ...tier };
}

const tls = { rejectUnauthorized: false, servername: 'localhost' };
const streams = (scope, front, n, options) => openStreams(scope, Array.from({ length: n }, () => ({ port: front.port, path: '/stream?channel=a', tls, headers: { Host: `localhost:${front.port}` }, ...options })));

test('behind Caddy, deploys and a reload lose and double nothing, and no client is closed, h2 and TLS in front', async (t) => {
    const scope = scopeOf(t);
    const { port: application } = await startApplication(scope);
    const tier = await start(scope, { application });
    const audience = await Audience.open(scope, { ...tier, browser });
    await audience.heard();
    await audience.deploy();
    await audience.heard();
});

test('behind Caddy, with all gateways away for a moment, each client comes back and gets each event once', async (t) => {
    const scope = scopeOf(t);
    const { port: application } = await startApplication(scope);
    const audience = await Audience.open(scope, { ...(await start(scope, { application })), browser });
    await audience.allAway();
    await audience.heard();
});

test('what Caddy answers for gateways that are away brings browsers back, at different times, and pages of other origins may read it', async (t) => {
    const tier = await start(scopeOf(t));
    await checkOwnAnswers(tier);
});

test('behind Caddy, a refusal brings browsers back, and an answer that is final stays as it is', async (t) => {
    const scope = scopeOf(t);
    const { front } = await start(scope, { args: [...ARGS, '--max-connections-per-ip', '1'] });
    await streams(scope, front, 3);
    await checkRefusal(front);
});

test('Caddy spreads streams evenly over gateways, and passes on no header by which a client would speak for a proxy', async (t) => {
    const scope = scopeOf(t);
    const { port: application, asked } = await startApplication(scope);
    const { front, gateways } = await start(scope, { application });
    for (let i = 0; i < 12; i++) await streams(scope, front, 1);
    assert.deepEqual(await Promise.all(gateways.map((g) => g.metric('connections'))), [4, 4, 4]);
    await checkHeaders(front, asked);
    assert.equal((await get(`${front.url}/ticket`, { method: 'POST' })).headers['content-type'], 'application/problem+json'); // a gateway's
});

test('a request that meets a gateway which was just killed is sent by Caddy to another', async (t) => {
    const scope = scopeOf(t);
    const tier = await start(scope);
    await killOne(tier);
    const open = await streams(scope, tier.front, 8);
    assert.ok(open.every((s) => s.headers['x-sse-gateway'] !== undefined), 'a gateway answered each');
});

test('Caddy hands on each event at once, also to a client that comes back and takes gzip', async (t) => {
    const scope = scopeOf(t);
    const { front, redis } = await start(scope);
    const publisher = connect(scope, redis);
    await load(publisher);
    await FORMS.function(publisher, 'a', 'x'.repeat(2000));
    const [stream] = await streams(scope, front, 1, { headers: { Host: `localhost:${front.port}`, 'Accept-Encoding': 'gzip', 'Last-Event-ID': 'earliest' } });
    await until('the event of before', () => stream.events.length === 1);
    for (let i = 2; i <= 20; i++) {
        const at = performance.now();
        await FORMS.function(publisher, 'a', `event ${i}`);
        await until(`event ${i}`, () => stream.events.length === i, { every: 1 });
        assert.ok(performance.now() - at < 500, 'within half a second');
    }
});

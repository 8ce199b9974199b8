// --max-connections: who comes when all places are taken is told to come back.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { exchange } from '../lib/raw_http.mjs';
import { scopeOf } from '../lib/scope.mjs';
import { openStream, openStreams } from '../lib/streams.mjs';
import { startTier } from '../lib/tier.mjs';
import { until } from '../lib/wait.mjs';

const CAP = 10;
const args = ['--max-connections', String(CAP)];
const fill = (scope, port, count = CAP) => openStreams(scope, Array(count).fill({ port, path: '/stream?channel=a' }));

test('the stream after the last place is told to come back, counted, and served once a place is free', async (t) => {
    const scope = scopeOf(t);
    const { redis, gateway } = await startTier(scope, { args });
    const streams = await fill(scope, gateway.port);
    await until('not ready, since full', async () => (await gateway.get('/health/ready')).status === 503);
    assert.equal((await gateway.get('/health/live')).status, 200);

    const refused = await openStream(scope, gateway.port, '/stream?channel=a', { keep: true });
    assert.equal(await refused.ended(), 'clean');
    assert.match(refused.body, /^retry: \d+\n\n$/);
    await gateway.metricIs('closes_total', 1, { labels: { reason: 'refused' } });
    await gateway.metricIs('refusals_total', 1, { labels: { reason: 'full' } });
    assert.equal(await gateway.metric('refusals_total', { reason: 'not_ready' }), 0);
    await gateway.metricIs('connections', CAP);
    await redis.publish('a', 'x');
    await Promise.all(streams.map((s) => s.count(1)));

    streams[0].close();
    await until('ready again', () => gateway.ready());
    const served = await openStream(scope, gateway.port, '/stream?channel=a');
    await redis.publish('a', 'y');
    await served.count(1);
});

test('--refusal status answers 503 when full', async (t) => {
    const scope = scopeOf(t);
    const { gateway } = await startTier(scope, { args: [...args, '--refusal', 'status'] });
    await fill(scope, gateway.port);
    const answer = await exchange(gateway.port, 'GET /stream?channel=a HTTP/1.1\r\nHost: a\r\n\r\n');
    assert.equal(answer.status, 503);
    assert.match(answer.headers['retry-after'], /^[1-9]\d*$/);
});

test('of many that come at once, as many as there are places are served', async (t) => {
    const scope = scopeOf(t);
    const { redis, gateway } = await startTier(scope, { args: ['--max-connections', '50'], workers: 4 });
    const streams = await fill(scope, gateway.port, 200);
    await gateway.metricIs('connections', 50);
    await until('the others to have ended', () => streams.filter((s) => s.open).length === 50);
    await redis.publish('a', 'x');
    await Promise.all(streams.filter((s) => s.open).map((s) => s.count(1)));
});

test('behind NGINX, --refusal status sends those who find a gateway full to the next', async (t) => {
    const scope = scopeOf(t);
    const { gateways, nginx } = await startTier(scope, { gateways: 2, nginx: true, args: ['--max-connections', '20', '--refusal', 'status'] });
    await openStreams(scope, Array(15).fill({ port: gateways[0].port, path: '/stream?channel=a' }));
    const streams = await openStreams(scope, Array(25).fill({ port: nginx.port, path: '/stream?channel=a' }));
    assert.ok(streams.every((s) => s.open && s.gateway), 'all 25 found a place');
});

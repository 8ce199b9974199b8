// What the gateway counts is what happened.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { scopeOf } from '../lib/scope.mjs';
import { openStreams } from '../lib/streams.mjs';
import { startTier } from '../lib/tier.mjs';

const PLANNED = {
    sse_gateway_connections: 'gauge',
    sse_gateway_connections_total: 'counter',
    sse_gateway_messages_received_total: 'counter',
    sse_gateway_messages_dropped_total: 'counter',
    sse_gateway_deliveries_total: 'counter',
    sse_gateway_closes_total: 'counter',
    sse_gateway_redis_connected: 'gauge',
    sse_gateway_subscriptions: 'gauge',
};

test('/metrics is Prometheus text with the names that dashboards rely on, each with HELP and TYPE once', async (t) => {
    const { gateway } = await startTier(scopeOf(t));
    const answer = await gateway.get('/metrics', { port: gateway.adminPort });
    assert.match(answer.headers['content-type'], /^text\/plain; version=0\.0\.4/);
    const metrics = await gateway.metrics(); // throws on a line that is none
    for (const [name, type] of Object.entries(PLANNED)) {
        assert.ok(metrics.has(name), name);
        assert.equal(metrics.types.get(name), type, name);
        assert.ok(metrics.help.get(name)?.length > 5, name);
    }
    const types = answer.body.match(/^# TYPE \S+/gm);
    assert.equal(new Set(types).size, types.length, 'one TYPE for each name');
    const series = metrics.samples.map((s) => s.name + JSON.stringify(s.labels));
    assert.equal(new Set(series).size, series.length, 'one line for each series');
    for (const { name, value } of metrics.samples) {
        assert.match(name, /^sse_gateway_/);
        assert.ok(Number.isFinite(value) && value >= 0, `${name} ${value}`);
        assert.ok(metrics.types.has(name), `${name} has a TYPE`);
    }
});

test('connections, messages, deliveries and closes are counted', async (t) => {
    const scope = scopeOf(t);
    const { redis, gateway } = await startTier(scope);
    const streams = await openStreams(scope, Array.from({ length: 30 }, (_, i) => ({ port: gateway.port, path: `/stream?channel=${i % 2 ? 'odd' : 'even'}` })));
    await gateway.metricIs('connections', 30);
    await gateway.metricIs('subscriptions', 2);
    const received = await gateway.metric('messages_received_total');
    await redis.publishAll([['odd', '1'], ['even', '2'], ['odd', '3'], ['nobody', '4'], ['even', 'a\0b']]);
    await Promise.all(streams.map((s, i) => s.count(i % 2 ? 2 : 1)));
    await gateway.metricIs('deliveries_total', 15 + 15 + 15);
    await gateway.metricIs('messages_dropped_total', 1);
    const more = (await gateway.metric('messages_received_total')) - received;
    assert.ok(more >= 4 && more < 10, `${more} messages received (of which some may be canaries)`);

    streams.slice(0, 10).forEach((s) => s.close());
    await gateway.metricIs('connections', 20);
    await gateway.metricIs('connections_total', 30);
    const closes = await gateway.metric('closes_total');
    assert.ok(closes >= 10, `${closes} closes`);
    assert.equal(await gateway.metric('redis_connected'), 1);
});

test('/metrics/sse says what a load balancer wants to know', async (t) => {
    const scope = scopeOf(t);
    const { gateway } = await startTier(scope);
    await openStreams(scope, Array(3).fill({ port: gateway.port, path: '/stream?channel=a' }));
    const answer = await gateway.get('/metrics/sse', { port: gateway.adminPort });
    assert.match(answer.headers['content-type'], /^application\/json/);
    const { id, connections, capacity, draining, load } = JSON.parse(answer.body);
    assert.deepEqual({ id, connections, draining }, { id: gateway.id, connections: 3, draining: false });
    assert.ok(capacity > 1000 && load > 0 && load < 1 && Math.abs(load - connections / capacity) < 0.001, answer.body);
});

test('--admin-listen off gives no metrics to anybody', async (t) => {
    const scope = scopeOf(t);
    const { gateway } = await startTier(scope, { args: ['--admin-listen', 'off'] });
    await assert.rejects(gateway.get('/metrics', { port: gateway.adminPort }), /ECONNREFUSED/);
    assert.equal((await gateway.get('/metrics')).status, 404);
});

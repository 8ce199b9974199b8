// What the gateway counts is what happened.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { command } from '../lib/command.mjs';
import { connect, load } from '../lib/durable.mjs';
import { parseMetrics } from '../lib/metrics.mjs';
import { scopeOf } from '../lib/scope.mjs';
import { openStream, openStreams } from '../lib/streams.mjs';
import { startTier } from '../lib/tier.mjs';
import { until } from '../lib/wait.mjs';

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
        assert.match(name, /^(sse_gateway|process)_/);
        assert.ok(Number.isFinite(value) && value >= 0, `${name} ${value}`);
        assert.ok(metrics.types.has(name) || metrics.types.get(name.replace(/_(bucket|sum|count)$/, '')) === 'histogram', `${name} has a TYPE`);
    }
});

const PROMETHEUS_ACCEPT = 'application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1';
// The strictest reader there is: it knows the rules of names, suffixes, units and order.
const PARSE = `
import json, sys
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse
print(json.dumps([{'name': f.name, 'type': f.type, 'unit': f.unit, 'samples': [[s.name, s.labels, s.value] for s in f.samples]} for f in parse(sys.stdin.read())]))`;

test('/metrics is OpenMetrics for a client that asks for it, and has the same samples', async (t) => {
    const { gateway } = await startTier(scopeOf(t));
    const [answer, text] = await Promise.all([{ Accept: PROMETHEUS_ACCEPT }, {}].map((headers) => gateway.get('/metrics', { port: gateway.adminPort, headers })));
    assert.equal(answer.headers['content-type'], 'application/openmetrics-text; version=1.0.0; charset=utf-8');
    assert.match(text.headers['content-type'], /^text\/plain; version=0\.0\.4/);
    assert.ok(answer.body.endsWith('\n# EOF\n'));
    const parsed = await command('/usr/bin/python3', ['-c', PARSE], { input: answer.body });
    assert.equal(parsed.code, 0, parsed.err);
    const families = JSON.parse(parsed.out);
    const family = (name) => families.find((f) => f.name === name);
    assert.equal(family('sse_gateway_sent_bytes').type, 'counter');
    assert.equal(family('sse_gateway_sent_bytes').unit, 'bytes');
    assert.equal(family('sse_gateway_build').type, 'info');
    assert.equal(family('sse_gateway_delivery_latency_seconds').type, 'histogram');
    const names = families.flatMap((f) => f.samples.map(([name, labels]) => name + JSON.stringify(labels)));
    assert.deepEqual(names, parseMetrics(text.body).samples.map((s) => s.name + JSON.stringify(s.labels)));
    const metrics = await gateway.metrics();
    assert.ok(metrics.sum('process_cpu_seconds_total') > 0 && metrics.sum('process_resident_memory_bytes') > 1e6);
    assert.ok(metrics.sum('process_open_fds') > 10 && metrics.sum('process_open_fds') < metrics.sum('process_max_fds'));
    assert.ok(Math.abs(Date.now() / 1000 - metrics.sum('process_start_time_seconds')) < 60);
});

for (const workers of [1, 3])
    test(`each message is timed from Redis to its last stream, once for each of ${workers} workers that has one`, async (t) => {
        const scope = scopeOf(t);
        const { redis, gateway } = await startTier(scope, { workers });
        const streams = await openStreams(scope, Array(60).fill({ port: gateway.port, path: '/stream?channel=a' }));
        const from = performance.now();
        for (let i = 1; i <= 5; i++) {
            await redis.publishAll([['a', '1'], ['a', '2'], ['nobody', 'x']]);
            await Promise.all(streams.map((s) => s.count(2 * i)));
        }
        const wall = (performance.now() - from) / 1000;
        await gateway.metricIs('delivery_latency_seconds_count', 10 * workers); // all have some of 60 streams, but for one in 10^10 runs
        const metrics = await gateway.metrics();
        const sum = (name) => metrics.sum(`sse_gateway_${name}`);
        assert.equal(metrics.sum('sse_gateway_delivery_latency_seconds_bucket', { le: '+Inf' }), 10 * workers);
        assert.ok(sum('fanout_duration_seconds_count') >= 5 * workers && sum('fanout_duration_seconds_count') <= 10 * workers);
        assert.ok(sum('fanout_duration_seconds_sum') > 0 && sum('delivery_latency_seconds_sum') > sum('fanout_duration_seconds_sum'));
        assert.ok(sum('delivery_latency_seconds_sum') < wall * 10 * workers, `${sum('delivery_latency_seconds_sum')} s of ${wall} s`);
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

test('streams are counted by how they began, those that wait while they wait, and the canary has an age', async (t) => {
    const scope = scopeOf(t);
    const { redis, gateway } = await startTier(scope);
    const client = connect(scope, redis);
    await load(client);
    const publish = (n) => client.call('FCALL', 'sse_publish', '1', 'd', String(n));
    await publish(1);
    const began = async () => Object.fromEntries(await Promise.all(['resumed', 'gap', 'fresh'].map(async (result) => [result, await gateway.metric('resumes_total', { result })])));
    const first = await openStream(scope, gateway.port, '/stream?channel=d&channel=plain');
    assert.deepEqual(await began(), { resumed: 0, gap: 0, fresh: 2 });
    await publish(2);
    const id = (await first.count(1))[0].lastEventId;
    const second = await openStream(scope, gateway.port, `/stream?channel=d&last_event_id=${id}`);
    assert.deepEqual(await began(), { resumed: 1, gap: 0, fresh: 2 });
    await client.del('sse:{d}');
    await publish(3);
    await Promise.all([first.count(2), second.count(1)]); // each worker that has the channel knows of the new history
    await openStream(scope, gateway.port, `/stream?channel=d&last_event_id=${id}`);
    assert.deepEqual(await began(), { resumed: 1, gap: 1, fresh: 2 });
    assert.equal(await gateway.metric('admissions_waiting'), 0);
    redis.process.signal('SIGSTOP');
    scope.defer(() => redis.process.signal('SIGCONT'));
    void openStream(scope, gateway.port, '/stream?channel=unheard').catch(() => {});
    await gateway.metricIs('admissions_waiting', 1, { labels: { on: 'subscription' } });
    const age = await gateway.metric('canary_age_seconds');
    await until('the canary to be older', async () => (await gateway.metric('canary_age_seconds')) > Math.max(age, 3));
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

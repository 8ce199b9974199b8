// One event followed through the tier: `traceparent` in the log, and sse-publish --trace.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import { test } from 'node:test';
import { command } from '../lib/command.mjs';
import { Gateway } from '../lib/gateway.mjs';
import { PUBLISH } from '../lib/paths.mjs';
import { Redis } from '../lib/redis.mjs';
import { RedisCluster } from '../lib/redis_cluster.mjs';
import { scopeOf } from '../lib/scope.mjs';
import { openStream, openStreams } from '../lib/streams.mjs';
import { startTier } from '../lib/tier.mjs';
import { until } from '../lib/wait.mjs';

const ID = '4bf92f3577b34da6a3ce929d0e0e4736';
const sampled = (id = ID) => `00-${id}-00f067aa0ba902b7-01`;
const envelope = (body, ...fields) => `\x1eSSE/1\n${fields.map((f) => `${f}\n`).join('')}\n${body}`;
const traced = (gateway) => gateway.process.log().split('\n').filter((l) => l.includes('"module":"trace"')).map((l) => JSON.parse(l));
const at = (gateway, count = 1) => Array(count).fill({ port: gateway.port, path: '/stream?channel=news' });
const followOf = (url) => async (...args) => {
    const { code, out, err } = await command(PUBLISH, ['--redis', url, '--trace', ...args]);
    return { code, err, out, json: args.includes('--json') ? JSON.parse(out) : undefined };
};

/** A subscriber that is no gateway. */
async function listenAt(scope, port, channel) {
    const socket = net.connect(port, '127.0.0.1');
    scope.defer(() => socket.destroy());
    socket.write(`SUBSCRIBE ${channel}\r\n`);
    await once(socket, 'data');
}

for (const workers of [1, 2]) {
    test(`an event with a sampled traceparent is one line of each worker that delivers it, and the stream has nothing of it (${workers} workers)`, async (t) => {
        const scope = scopeOf(t);
        const { redis, gateways } = await startTier(scope, { gateways: 2, workers });
        const streams = await openStreams(scope, [...at(gateways[0], 5), ...at(gateways[1], 3)].map((s) => ({ ...s, keep: true })));
        await redis.publish('news', envelope('hello', 'event: order', `traceparent: ${sampled()}`));
        await Promise.all(streams.map((s) => s.count(1)));
        for (const [gateway, count] of [[gateways[0], 5], [gateways[1], 3]]) {
            const lines = await until('the lines', () => {
                const found = traced(gateway);
                return found.reduce((sum, l) => sum + l.streams, 0) === count && found;
            });
            assert.ok(lines.length <= workers);
            for (const line of lines) {
                assert.deepEqual([line.level, line.msg, line.trace_id, line.channel], ['info', 'event delivered', ID, 'news']);
                assert.ok(line.duration_us >= 0 && line.duration_us < 5e6, line.duration_us);
            }
        }
        for (const { body } of streams) assert.ok(!body.includes('trace') && !body.includes(ID), body);
    });
}

test('an event without a trace, with one that is not sampled, or with one that is odd is delivered, and not logged; odd ones are counted', async (t) => {
    const scope = scopeOf(t);
    const { redis, gateway } = await startTier(scope);
    const stream = await openStream(scope, gateway.port, '/stream?channel=news');
    const odd = ['', 'x', `00-${ID}-00f067aa0ba902b7`, `00-${'0'.repeat(32)}-00f067aa0ba902b7-01`, sampled().toUpperCase()];
    const fields = [[], [`traceparent: 00-${ID}-00f067aa0ba902b7-00`], ...odd.map((v) => [`traceparent: ${v}`])];
    for (const f of fields) await redis.publish('news', envelope('hello', ...f));
    await redis.publish('news', envelope('last', `traceparent: ${sampled('1'.repeat(32))}`));
    await stream.count(fields.length + 1);
    await until('the line of the last', () => traced(gateway).length > 0);
    assert.deepEqual(traced(gateway).map((l) => l.trace_id), ['1'.repeat(32)]);
    await gateway.metricIs('traces_dropped_total', odd.length, { labels: { reason: 'invalid' } });
    await gateway.process.logged(/the traceparent or trace-to of an event on channel news is ignored/);
});

test('a channel for reports that is none of sse:trace:, and 32 digits, gets nothing', async (t) => {
    const scope = scopeOf(t);
    const { redis, gateway } = await startTier(scope);
    const victims = ['user:42', 'sse:gateways', '__sse:revoke', `sse:trace:${ID}x`, 'sse:trace:', `sse:trace:${ID.toUpperCase()}`];
    const stream = await openStream(scope, gateway.port, '/stream?channel=user:42&channel=news');
    for (const victim of victims) await redis.publish('news', envelope('hello', `trace-to: ${victim}`));
    await stream.count(victims.length);
    await gateway.metricIs('traces_dropped_total', victims.length, { labels: { reason: 'invalid' } });
    await redis.publish('user:42', 'last');
    const events = await stream.count(victims.length + 1);
    assert.deepEqual(events.map((e) => e.data), [...victims.map(() => 'hello'), 'last']);
    await gateway.metricIs('announcements_dropped_total', 0);
});

test('of a flood of traced events some are logged and reported each second, and the others are counted', async (t) => {
    const scope = scopeOf(t);
    const { redis, gateway } = await startTier(scope, { workers: 1 });
    const stream = await openStream(scope, gateway.port, '/stream?channel=news');
    const N = 1000;
    await redis.publishAll(Array.from({ length: N }, (_, i) => ['news', envelope(String(i), `traceparent: ${sampled()}`, `trace-to: sse:trace:${ID}`)]));
    await stream.count(N);
    await until('each is logged or counted', async () => {
        const logged = traced(gateway).length, left = await gateway.metric('traces_dropped_total', { reason: 'limit' });
        if (logged + left === N && logged < N / 2) return true;
        throw new Error(`${logged} and ${left}`);
    });
});

test('sse-publish --trace says which gateways delivered the event, to how many streams, and how long it took; durable ones, too', async (t) => {
    const scope = scopeOf(t);
    const { redis, gateways } = await startTier(scope, { gateways: 3 });
    await openStreams(scope, [...at(gateways[0], 7), ...at(gateways[1], 2)]);
    const follow = followOf(redis.url);
    for (const how of [[], ['--durable', '--event', 'order']]) {
        const { code, json, err } = await follow('--json', ...how, 'news', 'hello');
        assert.equal(code, 0, err);
        const streams = {};
        for (const d of json.deliveries) {
            streams[d.gateway] = (streams[d.gateway] ?? 0) + d.streams;
            assert.ok(d.duration_us >= 0 && d.duration_us < 5e6 && Math.abs(d.read_after_us) < 5e6, JSON.stringify(d));
        }
        assert.deepEqual(streams, { [gateways[0].id]: 7, [gateways[1].id]: 2 });
        assert.deepEqual([json.channel, json.receivers, json.gateways, json.streams], ['news', 2, 2, 9]);
        assert.match(json.trace_id, /^[0-9a-f]{32}$/);
        assert.equal(err, '');
        for (const gateway of gateways.slice(0, 2)) await gateway.process.logged(new RegExp(json.trace_id));
    }
    const { out } = await follow('news', 'hello');
    assert.match(out, /^published in \d+ us to 2 gateways, trace [0-9a-f]{32}\ngateway +worker +streams +read after +read to last write\n/);
    assert.match(out, new RegExp(`\n${gateways[1].id} +\\d +\\d +-?\\d+ us +\\d+ us\n`));
    assert.match(out, /\n2 gateways reported, 9 streams\n$/);
});

test('--trace waits for what does not report as long as --trace-timeout says, and for nobody where there is nobody', async (t) => {
    const scope = scopeOf(t);
    const { redis, gateway } = await startTier(scope);
    const follow = followOf(redis.url);
    assert.equal((await follow('--json', 'nobody', 'x')).json.gateways, 0);
    await openStreams(scope, at(gateway, 2));
    await listenAt(scope, redis.port, 'news');
    const began = Date.now();
    const { code, json, err } = await follow('--json', '--trace-timeout', '300ms', 'news', 'x');
    assert.ok(Date.now() - began >= 300);
    assert.deepEqual([code, json.receivers, json.gateways, json.streams], [0, 2, 1, 2]);
    assert.equal(err, '');
    assert.match((await follow('--trace-timeout', '50ms', 'news', 'x')).err, /1 of 2 did not report within --trace-timeout: their last stream of the channel has just ended, [^\n]*no gateways\n$/);
});

test('a gateway without the right to report says so once, and announces itself as before', async (t) => {
    const scope = scopeOf(t);
    const redis = await Redis.start(scope);
    await redis.cli(['ACL', 'SETUSER', 'gw', 'on', '>secret', '+@all', '~*', 'resetchannels', '&news', '&sse:canary:*', '&sse:gateways']);
    const gateway = await Gateway.start(scope, { redisUrl: `redis://gw:secret@127.0.0.1:${redis.port}` });
    await openStreams(scope, at(gateway, 2));
    const follow = followOf(redis.url);
    for (let i = 0; i < 2; i++) assert.equal((await follow('--json', '--trace-timeout', '100ms', 'news', 'x')).json.gateways, 0);
    await gateway.process.logged(/cannot report a traced event at sse:trace:\*: NOPERM/);
    assert.equal(gateway.process.log().split('cannot report a traced event').length, 2);
    assert.ok(!gateway.process.log().includes('cannot announce'));
    await redis.cli(['ACL', 'SETUSER', 'gw', '&sse:trace:*']);
    assert.equal((await follow('--json', 'news', 'x')).json.streams, 2);
});

for (const pubsub of ['sharded', 'classic']) {
    test(`on a cluster with ${pubsub} Pub/Sub an event is followed, too`, async (t) => {
        const scope = scopeOf(t);
        const cluster = await RedisCluster.start(scope);
        const args = ['--pubsub', pubsub];
        const gateway = await Gateway.start(scope, { redisUrl: cluster.url, args });
        await openStreams(scope, at(gateway, 4));
        const { json, code, err } = await followOf(cluster.url)(...args, '--json', '--trace-timeout', '1s', 'news', 'x');
        assert.deepEqual([code, json?.gateways, json?.streams], [0, 1, 4], err);
    });
}

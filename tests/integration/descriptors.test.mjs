// Descriptors: the gateway holds as many streams as the limit of open files allows, and keeps for itself what it needs.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Gateway } from '../lib/gateway.mjs';
import { Redis } from '../lib/redis.mjs';
import { scopeOf } from '../lib/scope.mjs';
import { openStream } from '../lib/streams.mjs';
import { until } from '../lib/wait.mjs';

test('with many workers and every place taken, Redis is reached again after a loss and events are delivered', async (t) => {
    const scope = scopeOf(t);
    const redis = await Redis.start(scope);
    const limited = { there: '127.0.0.1', via: ['prlimit', '--nofile=400:400'] };
    const gateway = await Gateway.start(scope, { redis, workers: 24, netns: limited });
    const places = await gateway.metric('capacity');
    assert.ok(places >= 100, `${places} places`);
    // One after the other: connections without a stream have a share of their own, which is small here.
    const streams = [];
    while (streams.length < places) streams.push(await openStream(scope, gateway.port, '/stream?channel=a'));
    await gateway.metricIs('connections', places);

    const before = await gateway.metric('redis_connects_total');
    await redis.cli(['client', 'kill', 'type', 'pubsub']);
    await redis.cli(['client', 'kill', 'type', 'normal', 'skipme', 'yes']);
    await until('three connections to Redis', async () => (await gateway.metric('redis_connects_total')) >= before + 1 &&
        (await gateway.metric('redis_connected')) === 1 && /"delivery_proven": true/.test((await gateway.get('/health/detailed')).body));
    await redis.publish('a', 'x');
    await Promise.all(streams.map((s) => s.count(1)));

    assert.equal(await gateway.metric('accept_pauses_total'), 0);
    streams[0].close();
    await gateway.metricIs('connections', places - 1);
    await openStream(scope, gateway.port, '/stream?channel=a');
});

// Durable channels: what an open stream would miss is read from the channel's history before anything newer is sent.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { connect, FORMS, load } from '../lib/durable.mjs';
import { scopeOf } from '../lib/scope.mjs';
import { openStream, openStreams } from '../lib/streams.mjs';
import { startTier } from '../lib/tier.mjs';
import { until } from '../lib/wait.mjs';

const AOF = ['--appendonly', 'yes', '--appendfsync', 'always'];

const NAMED = ['--durable', 'a', '--durable', 'b']; // they have durable events only

async function startDurable(t, { args = NAMED, ...options } = {}) {
    const scope = scopeOf(t);
    const tier = await startTier(scope, { args, ...options });
    const durable = { scope, ...tier };
    durable.reconnect = async () => {
        durable.client = connect(scope, tier.redis);
        await until('Redis to answer', () => durable.client.ping());
    };
    durable.publish = (channel, data, ...rest) => FORMS.function(durable.client, channel, data, ...rest);
    await durable.reconnect();
    await load(durable.client);
    return durable;
}

/** Kills one of the connections that the gateway has: its subscriber, canary and reader of histories in turn. */
async function killOne(client, turn) {
    const ours = (await client.client('LIST')).split('\n').filter((line) => line.includes(' name=sse-gateway '));
    if (ours.length > 0) await client.client('KILL', 'ID', /id=(\d+)/.exec(ours[Math.floor(turn) % ours.length])[1]);
}

const numbers = (stream) => stream.events.map((e) => (e.type === 'gateway:gap' ? e.data : Number(e.data)));
const range = (from, to) => Array.from({ length: to - from + 1 }, (_, i) => from + i);

test('connections to Redis that are killed again and again under publishing: every event once, in order, and no gap', async (t) => {
    const { scope, client, gateway, publish } = await startDurable(t);
    const streams = await openStreams(scope, [
        ...Array.from({ length: 20 }, () => ({ port: gateway.port, path: '/stream?channel=a' })),
        ...Array.from({ length: 20 }, () => ({ port: gateway.port, path: '/stream?channel=a&channel=b&channel=p' })),
    ]);
    for (let i = 1; i <= 600; i++) {
        await Promise.all([publish('a', String(i)), publish('b', String(10000 + i))]);
        if (i % 60 === 30) await killOne(client, i / 60);
    }
    await Promise.all(streams.map((s, i) => s.count(i < 20 ? 600 : 1200, { ms: 30000 })));
    const durable = (s) => s.events.filter((e) => !(e.type === 'gateway:gap' && JSON.parse(e.data).channel === 'p'));
    for (const [i, s] of streams.entries()) {
        const got = durable(s).map((e) => Number(e.data));
        assert.ok(got.every(Number.isFinite), 'no gap of a durable channel');
        assert.deepEqual(got.filter((n) => n < 10000), range(1, 600));
        if (i >= 20) assert.deepEqual(got.filter((n) => n > 10000), range(10001, 10600));
    }
});

test('Redis killed and started again with its history: what was published before the gateway is back arrives first', async (t) => {
    const durable = await startDurable(t, { redis: { config: AOF } });
    const { scope, redis, gateway, publish } = durable;
    const stream = await openStream(scope, gateway.port, '/stream?channel=a');
    for (let i = 1; i <= 5; i++) await publish('a', String(i));
    await stream.count(5);
    await redis.kill();
    await redis.run();
    await durable.reconnect();
    for (let i = 6; i <= 400; i++) await publish('a', String(i));
    await stream.count(400);
    assert.deepEqual(numbers(stream), range(1, 400));
});

test('Redis comes back empty: the loss is told at once, with the offset from which on, and the stream goes on', async (t) => {
    const durable = await startDurable(t);
    const { scope, redis, gateway, publish } = durable;
    const stream = await openStream(scope, gateway.port, '/stream?channel=a');
    for (let i = 1; i <= 5; i++) await publish('a', String(i));
    await stream.count(5);
    await redis.kill();
    await redis.run();
    await stream.count(6);
    assert.equal(stream.events[5].type, 'gateway:gap');
    assert.deepEqual(JSON.parse(stream.events[5].data), { channel: 'a', from: 6, to: null });
    await durable.reconnect();
    await load(durable.client);
    for (let i = 1; i <= 3; i++) await publish('a', String(i));
    await stream.count(9);
    assert.deepEqual(numbers(stream).slice(6), range(1, 3));
});

test('a history that expires or is deleted under an open stream is no loss to it', async (t) => {
    const { scope, gateway, publish, client } = await startDurable(t);
    const stream = await openStream(scope, gateway.port, '/stream?channel=a');
    for (let i = 1; i <= 3; i++) await publish('a', String(i));
    await client.del('sse:{a}');
    for (let i = 4; i <= 6; i++) await publish('a', String(i));
    await stream.count(6);
    assert.deepEqual(numbers(stream), range(1, 6));
    stream.close();
});

test('more than was kept is published while the gateway is cut off: the gap says which, and what is kept follows', async (t) => {
    const durable = await startDurable(t);
    const { scope, gateway, publish } = durable;
    const stream = await openStream(scope, gateway.port, '/stream?channel=a');
    await publish('a', '1', '', '', 'maxlen', '10');
    await stream.count(1);
    // In one transaction with the end of its subscription: it cannot be back in between.
    const pipeline = durable.client.multi().client('KILL', 'TYPE', 'pubsub');
    for (let i = 2; i <= 50; i++) pipeline.call('FCALL', 'sse_publish', '1', 'a', String(i), '', '', 'maxlen', '10');
    await pipeline.exec();
    await stream.count(12);
    assert.deepEqual(numbers(stream), [1, '{"channel":"a","from":2,"to":40}', ...range(41, 50)]);
});

test('a worker that falls too far behind reads what it had no room for', async (t) => {
    const { scope, gateway, client, publish } = await startDurable(t, { workers: 1, args: [...NAMED, '--backlog-limit', '1MiB'] });
    const stream = await openStream(scope, gateway.port, '/stream?channel=a');
    await publish('a', '1');
    await stream.count(1); // from now on the channel is known to have a history
    const big = ' '.repeat(200000);
    const pipeline = client.pipeline();
    for (let i = 2; i <= 300; i++) pipeline.call('FCALL', 'sse_publish', '1', 'a', `${i}${big}`);
    gateway.process.signal('SIGSTOP');
    await pipeline.exec();
    gateway.process.signal('SIGCONT');
    await stream.count(300, { ms: 30000 });
    assert.deepEqual(numbers(stream), range(1, 300));
    await publish('a', '301');
    await stream.count(301);
});

for (const [how, args, told] of [['a channel of which nobody said that it has durable events only', [], true], ['a channel that --durable names', NAMED, false]]) {
    test(`${how}: a plain message that is lost in an outage, the first one of the channel, is ${told ? 'announced' : 'not looked for'}`, async (t) => {
        const { scope, gateway, publish, client } = await startDurable(t, { args });
        const stream = await openStream(scope, gateway.port, '/stream?channel=a');
        await publish('a', '1');
        await stream.count(1);
        await client.multi().client('KILL', 'TYPE', 'pubsub').publish('a', '2').exec();
        await until('the subscription to be back', async () => (await gateway.metric('redis_connects_total')) > 1 && (await client.publish('a', '3')) > 0);
        await until('what came after the loss', () => stream.events.some((e) => e.data === '3'));
        const gaps = numbers(stream).filter((n) => typeof n === 'string');
        assert.deepEqual(gaps, told ? ['{"channel":"a","from":null,"to":null}'] : []);
    });
}

// Redis goes away, hangs, or drops connections: streams stay, and /health/ready tells the truth.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { scopeOf } from '../lib/scope.mjs';
import { openStream, openStreams } from '../lib/streams.mjs';
import { startTier } from '../lib/tier.mjs';
import { sleep, until } from '../lib/wait.mjs';

const STREAMS = 1000;
const CHANNELS = 200;
const BACK_WITHIN = 3000;

/** Asks /health/ready all the time; `answers` are [when, status]. */
function watchReady(scope, gateway) {
    const answers = [];
    let on = true;
    const done = (async () => {
        while (on) {
            const asked = performance.now();
            const { status } = await gateway.get('/health/ready');
            answers.push([asked, status]);
            await sleep(20);
        }
    })();
    done.catch(() => {});
    scope.defer(() => (on = false));
    return {
        answers,
        async stop() {
            on = false;
            await done;
        },
    };
}

const becomes = (gateway, status, options) => until(`/health/ready of ${gateway.id} answers ${status}`,
    async () => (await gateway.get('/health/ready')).status === status, options);

test('Redis killed and started again under 1,000 streams: none closes, all channels are back within 3 s, ready told the truth', async (t) => {
    const scope = scopeOf(t);
    const { redis, gateway } = await startTier(scope);
    const streams = await openStreams(scope, Array.from({ length: STREAMS }, (_, i) => ({
        port: gateway.port,
        path: `/stream?channel=c:${i % CHANNELS}&channel=all`,
    })));
    const watch = watchReady(scope, gateway);

    await redis.kill();
    const killed = performance.now();
    await becomes(gateway, 503, { ms: 5000 });
    const noes = () => watch.answers.filter(([, status]) => status === 503).length;
    await until('it to have said so many times', () => noes() >= 20);
    assert.ok((await gateway.get('/health/live')).status === 200, 'alive without Redis');
    assert.equal(await gateway.metric('redis_connected'), 0);

    await redis.run();
    const back = performance.now();
    // From now on each channel gets a message each 50 ms; a stream is back with the first that it sees.
    const channels = Array.from({ length: CHANNELS }, (_, i) => `c:${i}`).concat('all');
    await until('every stream to hear from both of its channels', async () => {
        await redis.publishAll(channels.map((c) => [c, c]));
        return streams.every((s, i) => {
            const datas = s.events.map((e) => e.data);
            return datas.includes('all') && datas.includes(`c:${i % CHANNELS}`);
        });
    }, { ms: 30000, every: 50 });
    const took = performance.now() - back;
    assert.ok(took <= BACK_WITHIN, `all channels were back after ${Math.round(took)} ms`);
    await becomes(gateway, 200, { ms: 5000 });
    await watch.stop();

    assert.equal(streams.filter((s) => !s.open || s.fault).length, 0, 'streams that closed');
    for (const [i, { events }] of streams.entries()) {
        // What was published meanwhile is lost, so each channel says so once, before its next message.
        for (const channel of [`c:${i % CHANNELS}`, 'all']) {
            const own = events.filter((e) => (e.type === 'gateway:gap' ? JSON.parse(e.data).channel : e.data) === channel);
            assert.deepEqual(own.slice(0, 2).map((e) => e.type), ['gateway:gap', 'message']);
            assert.equal(own.filter((e) => e.type === 'gateway:gap').length, 1);
        }
    }
    const during = watch.answers.filter(([when]) => when > killed && when < back);
    const firstNo = during.findIndex(([, status]) => status === 503);
    assert.ok(during.slice(firstNo).every(([, status]) => status === 503), 'not ready, and then ready while Redis was down');
    assert.equal(await gateway.metric('redis_connected'), 1);
});

test('ready after a restart means that every channel delivers', async (t) => {
    const scope = scopeOf(t);
    const { redis, gateway } = await startTier(scope);
    const streams = await openStreams(scope, Array.from({ length: 200 }, (_, i) => ({ port: gateway.port, path: `/stream?channel=c:${i}` })));
    for (let round = 0; round < 3; round++) {
        await redis.kill();
        await becomes(gateway, 503, { ms: 5000 });
        await redis.run();
        await becomes(gateway, 200, { ms: 10000, every: 2 });
        await redis.publishAll(streams.map((_, i) => [`c:${i}`, `round ${round}`]));
        await until('the round at each stream', () => streams.every((s) => s.events.some((e) => e.data === `round ${round}`)), { ms: 5000 });
    }
});

test('streams that come while Redis is down are told to come back, and are served once it is there', async (t) => {
    const scope = scopeOf(t);
    const { redis, gateway } = await startTier(scope);
    await redis.kill();
    await becomes(gateway, 503, { ms: 5000 });
    const refused = await openStream(scope, gateway.port, '/stream?channel=a', { keep: true });
    assert.equal(await refused.ended(), 'clean');
    assert.match(refused.body, /^retry: \d+\n\n$/);
    await redis.run();
    await becomes(gateway, 200, { ms: 10000 });
    const stream = await openStream(scope, gateway.port, '/stream?channel=a');
    await redis.publish('a', 'x');
    await stream.count(1);
});

test('a Redis that hangs is noticed by the canary, and streams survive it', async (t) => {
    const scope = scopeOf(t);
    const { redis, gateway } = await startTier(scope);
    const stream = await openStream(scope, gateway.port, '/stream?channel=a');
    process.kill(redis.process.pid, 'SIGSTOP');
    scope.defer(() => redis.process.running && process.kill(redis.process.pid, 'SIGCONT'));
    await becomes(gateway, 503, { ms: 12000 });
    process.kill(redis.process.pid, 'SIGCONT');
    await becomes(gateway, 200, { ms: 10000 });
    await redis.publish('a', 'x');
    await until('the message', () => stream.events.some((e) => e.data === 'x'));
    assert.ok(stream.open);
});

test('connections that Redis drops are made again, with all subscriptions', async (t) => {
    const scope = scopeOf(t);
    const { redis, gateway } = await startTier(scope);
    const streams = await openStreams(scope, Array.from({ length: 100 }, (_, i) => ({ port: gateway.port, path: `/stream?channel=c:${i}` })));
    for (let round = 0; round < 5; round++) {
        await redis.cli(['CLIENT', 'KILL', 'TYPE', 'pubsub']);
        await redis.cli(['CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes']);
        await until('all subscriptions', async () => {
            const counts = await redis.numsub(...streams.map((_, i) => `c:${i}`));
            return [...counts.values()].every((n) => n === 1);
        }, { ms: 5000 });
    }
    await redis.publishAll(streams.map((_, i) => [`c:${i}`, 'x']));
    await until('a message at each stream', () => streams.every((s) => s.events.filter((e) => e.data === 'x').length === 1));
    assert.ok(streams.every((s) => s.open));
});

test('a stream that came when a loss had been told is told of the next one, though nothing was published in between', async (t) => {
    const scope = scopeOf(t);
    const { redis, gateway } = await startTier(scope, { workers: 1 });
    const gaps = (stream) => stream.events.filter((e) => e.type === 'gateway:gap').length;
    const early = await openStream(scope, gateway.port, '/stream?channel=quiet');
    await redis.cli(['CLIENT', 'KILL', 'TYPE', 'pubsub']);
    await until('the first loss to be told', () => gaps(early) === 1);
    await until('delivery to be proven again', () => gateway.ready()); // until then streams are refused
    const late = await openStream(scope, gateway.port, '/stream?channel=quiet');
    await redis.cli(['CLIENT', 'KILL', 'TYPE', 'pubsub']);
    await until('the second loss to be told', () => gaps(late) === 1);
});

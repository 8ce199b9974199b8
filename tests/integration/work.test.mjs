// How much work it is: system calls, allocations and bytes, counted, not timed. What stands here is what makes the gateway
// fast; a change that adds a call to each delivery, or bytes to each stream, fails here and not only in a benchmark.

import '../lib/plain_build.mjs';
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { Keys } from '../lib/bearer.mjs';
import { buildPlain } from '../lib/calls.mjs';
import { Crowd, descriptorsAllowed } from '../lib/crowd.mjs';
import { scopeOf } from '../lib/scope.mjs';
import { startTier } from '../lib/tier.mjs';
import { sleep, until } from '../lib/wait.mjs';
import { counting, ownMemory, show } from '../lib/work.mjs';

const WORKERS = 2;
// Beside the work that is counted, each second brings a canary, a few ticks of every loop, now and then a PING, and the gateway's
// announcement, which comes back from Redis and is read: some 30 allocations for its JSON.
const BESIDE = 60;

before(() => buildPlain());

async function start(t, args = ['--heartbeat', '60s']) {
    const scope = scopeOf(t);
    const { env, calls } = counting(scope);
    const tier = await startTier(scope, { args, env, workers: WORKERS });
    const crowd = new Crowd(scope);
    let number = 0;

    async function open(path, count) {
        const { open: already } = await crowd.stats();
        await crowd.open(tier.gateway.port, path, count);
        await crowd.until(`${count} more streams`, (s) => s.open === already + count, { every: 10 });
    }
    // `rounds` times: on each of the channels `perChannel` messages, all in one pipeline, and then wait until every stream has them.
    async function publish(rounds, channels, perChannel = 1) {
        for (let i = 0; i < rounds; i++) {
            const messages = Array.from({ length: perChannel }, () => String(number++));
            await tier.redis.publishAll(messages.flatMap((n) => channels.map((c) => [c, n])));
            await crowd.until('the newest message at every stream', (s) => s.broken === 0 && s.lasts.every((n) => n === number - 1), { every: 1 });
        }
    }
    return { scope, calls, crowd, open, publish, ...tier };
}

test('one channel, 1000 streams: one write for each delivery, one frame for each message, and nothing else', async (t) => {
    const { calls, open, publish, gateway } = await start(t);
    const streams = 1000;
    const messages = 100;
    await open('/stream?channel=a', streams);
    await publish(5, ['a']);
    const from = await gateway.metric('writes_total');
    const made = await calls.during(() => publish(messages, ['a']));
    t.diagnostic(`for each message: ${show(made, messages)}`);
    const deliveries = streams * messages;
    assert.ok(made.writes <= deliveries + BESIDE, `${made.writes} writes for ${deliveries} deliveries`);
    assert.ok(made.allocations <= 2 * messages + BESIDE, `${made.allocations} allocations for ${messages} messages`);
    assert.ok(made.write <= WORKERS * messages + BESIDE, `${made.write} wake-ups for ${messages} messages`);
    assert.ok(made.systems <= 1.02 * deliveries, `${made.systems} system calls for ${deliveries} deliveries`);
    const told = (await gateway.metric('writes_total')) - from;
    assert.ok(told >= deliveries && told <= made.writes + 2, `${told} writes, as /metrics counts them (with its own answers)`);
});

test('bursts of 10 messages, 1000 streams: at most 0.3 writes and next to no allocation for each delivery', async (t) => {
    const { calls, open, publish } = await start(t);
    const streams = 1000;
    const bursts = 50;
    await open('/stream?channel=a', streams);
    await publish(5, ['a'], 10);
    const made = await calls.during(() => publish(bursts, ['a'], 10));
    const deliveries = streams * bursts * 10;
    t.diagnostic(`for each delivery: ${show(made, deliveries)}`);
    assert.ok(made.writes <= 0.3 * deliveries, `${made.writes} writes for ${deliveries} deliveries`);
    assert.ok(made.systems <= 0.35 * deliveries, `${made.systems} system calls for ${deliveries} deliveries`);
    // Queues come from a pool, which grows once, and gives back what nobody has used for a while.
    assert.ok(made.allocations <= 0.02 * deliveries, `${made.allocations} allocations for ${deliveries} deliveries`);
});

test('500 channels with a stream each: one write, one frame and few other calls for each delivery', async (t) => {
    const { calls, open, publish } = await start(t);
    const streams = 500;
    const rounds = 20;
    const channels = Array.from({ length: streams }, (_, i) => `c:${i}`);
    await open('/stream?channel=c:%', streams);
    await publish(2, channels);
    const made = await calls.during(() => publish(rounds, channels));
    const deliveries = streams * rounds;
    t.diagnostic(`for each delivery: ${show(made, deliveries)}`);
    assert.ok(made.writes <= deliveries + BESIDE, `${made.writes} writes for ${deliveries} deliveries`);
    assert.ok(made.allocations <= 1.1 * deliveries + BESIDE, `${made.allocations} allocations for ${deliveries} deliveries`);
    assert.ok(made.systems <= 1.25 * deliveries + BESIDE, `${made.systems} system calls for ${deliveries} deliveries`);
});

test('1000 idle streams cost no system call and no allocation between heartbeats', async (t) => {
    const { calls, open } = await start(t);
    await open('/stream?channel=a', 1000);
    await calls.settled();
    const made = await calls.during(() => sleep(2000)); // nothing is to happen, so there is nothing to wait for
    t.diagnostic(show(made));
    assert.ok(made.systems <= 100, `${made.systems} system calls in 2 s`);
    assert.ok(made.allocations <= 100, `${made.allocations} allocations in 2 s`);
});

test('a heartbeat is one write for each stream, without an allocation; a stream that has events needs none', async (t) => {
    const { calls, open, publish, gateway } = await start(t, ['--heartbeat', '1s']);
    const streams = 1000;
    await open('/stream?channel=a', streams);
    const beats = (count) => {
        const goal = calls.now().send + count;
        return until(`${count} heartbeats`, () => calls.now().send >= goal, { every: 100 });
    };
    await beats(2 * streams); // by now the pool has its queues
    const from = await gateway.metric('heartbeats_total');
    const made = await calls.during(() => beats(3 * streams));
    const told = (await gateway.metric('heartbeats_total')) - from;
    t.diagnostic(`${told} heartbeats: ${show(made)}`);
    assert.ok(made.writes <= told + 2 * BESIDE, `${made.writes} writes for ${told} heartbeats`);
    assert.ok(made.systems <= 1.2 * told + 4 * BESIDE, `${made.systems} system calls for ${told} heartbeats`);
    assert.ok(made.allocations <= 4 * BESIDE, `${made.allocations} allocations for ${told} heartbeats`);

    const before = await gateway.metric('heartbeats_total');
    for (const end = performance.now() + 3000; performance.now() < end;) {
        await publish(1, ['a']);
        await sleep(100);
    }
    const more = (await gateway.metric('heartbeats_total')) - before;
    assert.ok(more <= streams, `${more} heartbeats to ${streams} streams that had an event each 100 ms for 3 s`);
});

test('opening and closing a stream is a bounded number of calls', async (t) => {
    const { calls, crowd, open } = await start(t);
    const streams = 1000;
    await open('/stream?channel=a', 1);
    const known = await calls.during(() => open('/stream?channel=a', streams));
    t.diagnostic(`a known channel: ${show(known, streams)}`);
    assert.ok(known.writes <= streams + BESIDE, 'the head and the first bytes are one write');
    assert.ok(known.epoll_ctl <= 1.1 * streams, `${known.epoll_ctl} epoll_ctl`);
    assert.ok(known.setsockopt === 0, 'what all sockets need they inherit');
    assert.ok(known.systems <= 7 * streams, `${known.systems} system calls`);
    assert.ok(known.allocations <= 5 * streams, `${known.allocations} allocations`);

    const fresh = await calls.during(() => open('/stream?channel=c:%', streams));
    t.diagnostic(`a new channel: ${show(fresh, streams)}`);
    assert.ok(fresh.systems <= 15 * streams, `${fresh.systems} system calls`);
    assert.ok(fresh.allocations <= 13 * streams, `${fresh.allocations} allocations`);

    const gone = await calls.during(async () => {
        await crowd.close();
        await calls.settled();
    });
    t.diagnostic(`closing: ${show(gone, 2 * streams)}`);
    assert.ok(gone.systems <= 5 * 2 * streams, `${gone.systems} system calls`);
});

test('checking a token takes few allocations, and no question to Redis for each', async (t) => {
    const scope = scopeOf(t);
    const keys = new Keys(scope);
    const { calls, open, gateway } = await start(t, ['--heartbeat', '60s', ...keys.args, '--token-query', 'token']);
    const streams = 500;
    const path = `/stream?channel=a&token=${keys.token('ann', { iss: 'https://login.example', jti: 'aZ3kT9', channels: ['a'] })}`;
    const known = () => gateway.metric('revocations_known');
    await until('revocations known', async () => (await known()) === 1);
    await open('/stream?channel=a', 1);
    const without = await calls.during(() => open('/stream?channel=a', streams));
    await open(path, 1);
    const made = await calls.during(() => open(path, streams));
    t.diagnostic(`without: ${show(without, streams)}`);
    t.diagnostic(`with a token: ${show(made, streams)}`);
    assert.ok(made.allocations <= without.allocations + 35 * streams, `${(made.allocations - without.allocations) / streams} allocations for a token`);
    assert.ok(made.write <= without.write + BESIDE, `${made.write} wake-ups for ${streams} tokens`);
});

test('an idle plain stream costs at most 512 bytes, by our own account and by the kernel\'s, which agree', async (t) => {
    const scope = scopeOf(t);
    const { gateway } = await startTier(scope, { args: ['--heartbeat', '60s'], workers: WORKERS });
    const crowd = new Crowd(scope, { processes: 2 });
    const some = 1000;
    const all = Math.min(9000, descriptorsAllowed() - 500);
    const look = async (count) => {
        for (let { asked } = await crowd.stats(); asked < count; asked = (await crowd.stats()).asked) {
            const more = Math.min(500, count - asked);
            await crowd.open(gateway.port, '/stream?channel=a', more);
            await crowd.until('streams', (s) => s.open === asked + more, { every: 10 });
        }
        // Queues that were lent for the first bytes go back to the allocator within seconds.
        let last = 0;
        await until('memory at rest', async () => {
            const before = last;
            last = await gateway.metric('connection_bytes');
            return last === before;
        }, { every: 600 });
        return { own: ownMemory(gateway.process.pid), counted: last };
    };
    // What a crowd leaves behind when it goes is there for the next one, so two that are there are compared.
    const first = await look(some);
    const second = await look(all);
    const own = (second.own - first.own) / (all - some);
    const counted = second.counted / all;
    t.diagnostic(`${own.toFixed(0)} bytes by the kernel's account, ${counted.toFixed(0)} by ours`);
    assert.ok(own <= 512, `${own} bytes by the kernel's account`);
    assert.ok(counted <= 512, `${counted} bytes by our own`);
    assert.ok(Math.abs(own - counted) <= 0.25 * own, `${own.toFixed(0)} bytes by the kernel's account, ${counted.toFixed(0)} by our own`);

    // All gone, and come again: nothing is lost on the way.
    await crowd.close();
    await gateway.metricIs('connections', 0);
    const again = await look(all);
    assert.ok(again.own - second.own < 0.1 * second.own, `${again.own} bytes after ${second.own}`);
});

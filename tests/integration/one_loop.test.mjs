// One worker, one loop: the connection to Redis and the clients share a thread. What that saves is counted; what it must
// not cost is shown: Redis is drained whatever clients do, and no channel holds back another for good.

import '../lib/plain_build.mjs';
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { buildPlain } from '../lib/calls.mjs';
import { Crowd, descriptorsAllowed } from '../lib/crowd.mjs';
import { scopeOf } from '../lib/scope.mjs';
import { startTier } from '../lib/tier.mjs';
import { until } from '../lib/wait.mjs';
import { counting, show } from '../lib/work.mjs';

const BESIDE = 60; // calls for canaries and ticks while the work is counted

before(() => buildPlain());

test('a message that comes alone is one wait, one read and one write: it crosses no thread', async (t) => {
    const scope = scopeOf(t);
    const { env, calls } = counting(scope);
    const { redis, gateway } = await startTier(scope, { env, workers: 1, args: ['--heartbeat', '60s'] });
    const crowd = new Crowd(scope);
    const streams = 50;
    const rounds = 20;
    await crowd.open(gateway.port, '/stream?channel=c:%', streams);
    await crowd.until('streams', (s) => s.open === streams, { every: 10 });
    let number = 0;
    const round = async () => {
        for (let i = 0; i < streams; i++) {
            const before = await gatewayDeliveries(calls);
            await redis.publishAll([[`c:${i}`, String(number)]]);
            await until('its delivery', async () => (await gatewayDeliveries(calls)) > before, { every: 0 });
        }
        number++;
        await crowd.until('all', (s) => s.broken === 0 && s.lasts.every((n) => n === number - 1), { every: 1 });
    };
    await round();
    const made = await calls.during(async () => {
        for (let i = 0; i < rounds; i++) await round();
    });
    const messages = streams * rounds;
    t.diagnostic(`for each message: ${show(made, messages)}`);
    assert.ok(made.writes <= messages + BESIDE, `${made.writes} writes to sockets for ${messages} messages`);
    assert.ok(made.write <= BESIDE, `${made.write} wake-ups of threads for ${messages} messages`);
    assert.ok(made.systems <= 3 * messages + 8 * BESIDE, `${made.systems} system calls for ${messages} messages`);
});

/** Writes to sockets so far: one for each message that comes alone. */
async function gatewayDeliveries(calls) {
    const now = calls.now();
    return now.send + now.sendmsg;
}

test('a fan-out to as many streams as there may be is no loss to a second channel, and Redis is drained meanwhile', async (t) => {
    const scope = scopeOf(t);
    const { redis, gateway } = await startTier(scope, { workers: 1, args: ['--heartbeat', '60s'] });
    const many = Math.min(18_000, descriptorsAllowed() - 1500);
    const crowd = new Crowd(scope, { processes: 2 });
    const second = new Crowd(scope);
    for (let open = 0; open < many; open += 1000) {
        await crowd.open(gateway.port, '/stream?channel=wide', Math.min(1000, many - open));
        await crowd.until('streams', (s) => s.open === Math.min(open + 1000, many), { every: 10 });
    }
    await second.open(gateway.port, '/stream?channel=narrow', 1);
    await second.until('the second channel', (s) => s.open === 1, { every: 10 });
    const reconnects = await gateway.metric('redis_connects_total');
    // More at once than the wide channel can be served in a second, each followed by one for the narrow channel.
    const rounds = 30;
    const filler = '.'.repeat(2000);
    const messages = [];
    for (let i = 0; i < rounds; i++) {
        messages.push(['wide', String(i)], ['narrow', String(i)]);
        for (let k = 0; k < 200; k++) messages.push(['nobody', filler]); // what nobody wants is not even sent here
    }
    await redis.publishAll(messages);
    await second.until('every message of the second channel', (s) => s.lasts[0] === rounds - 1 && s.broken === 0, { every: 5 });
    await crowd.until('every message of the wide channel', (s) => s.lasts.every((n) => n === rounds - 1) && s.broken === 0, { every: 50 });
    assert.equal(await gateway.metric('redis_connects_total'), reconnects, 'Redis has cut nobody off');
    assert.equal(await gateway.metric('gaps_total'), 0);
    assert.equal(await gateway.metric('ready'), 1);
});

test('a flood that the clients cannot take is dropped and announced; Redis is drained all the same, and the gateway stays ready', async (t) => {
    const scope = scopeOf(t);
    const { redis, gateway } = await startTier(scope, { workers: 1, args: ['--heartbeat', '60s', '--backlog-limit', '1MiB'] });
    const crowd = new Crowd(scope);
    const streams = 2000;
    await crowd.open(gateway.port, '/stream?channel=wide', streams);
    await crowd.until('streams', (s) => s.open === streams, { every: 10 });
    const reconnects = await gateway.metric('redis_connects_total');
    const flood = Array.from({ length: 1000 }, (_, i) => ['wide', `${i}${' '.repeat(900)}`]);
    const floods = 80; // together more than twice what Redis keeps for one subscriber (32 MB)
    for (let i = 0; i < floods; i++) {
        await redis.publishAll(flood);
        // Redis cuts off a subscriber that has no processor for a second, too: that is the machine, and not what is promised.
        await until('room at Redis', async () => (await redis.queuedForSubscribers()) < 8 << 20, { ms: 60000, every: 5 });
    }
    await until('all that was published', async () => (await gateway.metric('messages_received_total')) >= floods * flood.length, { ms: 60000 });
    // Read though the clients have not taken it: most of it is dropped, which delivers none of it.
    assert.ok((await gateway.metric('messages_dropped_total', { reason: 'backlog' })) > (floods * flood.length) / 2);
    await until('the loss to be announced', async () => (await gateway.metric('gaps_total')) > 0, { ms: 60000 });
    assert.equal(await gateway.metric('redis_connects_total'), reconnects, 'Redis has cut nobody off');
    await until('ready', async () => (await gateway.metric('ready')) === 1);
});

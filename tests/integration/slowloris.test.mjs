// Slow clients by the thousand, whose request never ends (slowloris): streams beside them notice nothing, new ones are let in,
// and what the slow ones cost is bounded.

import '../lib/plain_build.mjs';
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { buildPlain } from '../lib/calls.mjs';
import { Crowd, descriptorsAllowed } from '../lib/crowd.mjs';
import { scopeOf } from '../lib/scope.mjs';
import { startTier } from '../lib/tier.mjs';
import { sleep } from '../lib/wait.mjs';
import { ownMemory } from '../lib/work.mjs';

before(() => buildPlain());

const SLOW = Math.min(10000, descriptorsAllowed() - 2000);
const HONEST = 1000;
const EARLY = 700; // the others come while the slow ones are there
const HEAD_TIMEOUT_MS = 10000;
const KiB = 1024;

/** Numbers are published all the time; `attack(crowd)` resolves when it is over. `cap`: connections without a stream that there may be. */
async function besides(t, { args = [], held, cap }) {
    const scope = scopeOf(t);
    const { redis, gateway } = await startTier(scope, { args, workers: 2 });
    const honest = new Crowd(scope);
    const slow = new Crowd(scope, { processes: 2 });
    let published = 0;
    let over = false;
    const publishing = (async () => {
        for (; !over; await sleep(200)) await redis.publishAll([['a', String(published++)]]);
    })();
    await honest.open(gateway.port, '/stream?channel=a', EARLY);
    await honest.until('early streams', (s) => s.open === EARLY);
    const before = ownMemory(gateway.process.pid);

    const began = performance.now();
    await slow.slow(gateway.port, SLOW);
    await slow.until('slow clients', (s) => s.held >= held, { every: 200 });
    await honest.open(gateway.port, '/stream?channel=a', HONEST - EARLY);
    await honest.until('streams that came later', (s) => s.open === HONEST);
    let streamless = 0;
    let memory = 0;
    while (performance.now() - began < HEAD_TIMEOUT_MS + 2000) {
        streamless = Math.max(streamless, (await gateway.metric('sockets')) - HONEST);
        memory = Math.max(memory, ownMemory(gateway.process.pid) - before);
        await sleep(500);
    }
    await slow.until('each of them was cut', (s) => s.cuts >= SLOW, { every: 200 });
    over = true;
    await publishing;
    await honest.until('the newest message at every stream', (s) => s.lasts.every((n) => n === published - 1));
    const { broken, ended, firsts } = await honest.stats();
    t.diagnostic(`${published} messages, ${streamless} connections without a stream, ${Math.round(memory / KiB)} KiB more`);
    assert.deepEqual({ broken, ended }, { broken: 0, ended: 0 });
    assert.ok(firsts.slice(0, EARLY).every((n) => n < 20), 'early streams have all messages from their first on');
    assert.ok(streamless <= cap, `${streamless} connections without a stream`);
    assert.ok(memory <= streamless * KiB + 4096 * KiB, `${memory} bytes for ${streamless} slow clients`);
    assert.equal(await gateway.metric('connections'), HONEST);
    assert.equal(await gateway.metric('closes_total', { reason: 'slow_client' }), 0);
}

test(`${SLOW} slow clients that there is room for: each is cut after 10 s, and ${HONEST} streams get everything`, async (t) => {
    await besides(t, { held: SLOW, cap: SLOW + 20 });
});

test(`${SLOW} slow clients that there is no room for: the oldest make way, and ${HONEST} streams get everything`, async (t) => {
    const most = 1024 + 100; // places for connections without a stream, and those that streams leave free
    await besides(t, { args: ['--max-connections', String(HONEST + 100)], held: 500, cap: most + 50 });
});

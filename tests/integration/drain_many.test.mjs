// SIGTERM under load, over and over, each time at another moment: the gateway ends with 0 within its deadline. All moments
// follow from SSE_SEED; SSE_KILLS says how many there are.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Random } from '../chaos/random.mjs';
import { Gateway } from '../lib/gateway.mjs';
import { Redis } from '../lib/redis.mjs';
import { scopeOf } from '../lib/scope.mjs';
import { Stream } from '../lib/stream.mjs';
import { sleep, within } from '../lib/wait.mjs';

const KILLS = Number(process.env.SSE_KILLS ?? 20);
const SEED = process.env.SSE_SEED ?? '1';
const AT_ONCE = 4; // gateways that run beside each other
const STREAMS = 40;
const TIMEOUT = 3000;
const LATE = 1500; // of a machine that does all this at once, beyond the deadline
const BUSY = 30000; // of this process: it may see the end of a gateway late

/** Streams that come back when they end, until the gateway is gone; some read nothing. */
class Load {
    streams = [];
    #wanted = true;

    constructor(port, random) {
        const blocked = random.pick([0, 4]);
        this.running = Promise.all(Array.from({ length: STREAMS }, (_, i) => this.#client(port, `/stream?channel=all&channel=c:${random.int(1, 5)}&control=1`, i < blocked)));
    }

    async #client(port, path, isBlocked) {
        while (this.#wanted) {
            const stream = new Stream();
            stream.onEvent = () => {};
            stream.start(port, '127.0.0.1', `GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`);
            this.streams.push(stream);
            await stream.answered.then(() => isBlocked && stream.socket.pause(), () => {});
            await stream.closed;
            await sleep(20);
        }
    }

    async stop() {
        this.#wanted = false;
        this.streams.forEach((s) => s.close());
        await this.running;
    }
}

/** Publishes without a pause until it is stopped. */
function flood(redis) {
    let wanted = true;
    const done = (async () => {
        for (let n = 0; wanted; n++) {
            await redis.publishAll(Array.from({ length: 20 }, (_, i) => [i % 4 ? `c:${(i % 5) + 1}` : 'all', `${n} ${'x'.repeat(i * 40)}`]));
            await sleep(2);
        }
    })();
    return async () => {
        wanted = false;
        await done;
    };
}

/** By the gateway's own log: this process may be too busy to see it in time. */
function stoppedAt(gateway) {
    const last = gateway.process.log().trim().split('\n').map((line) => JSON.parse(line)).findLast((line) => line.msg === 'stopped');
    return Date.parse(last.ts);
}

async function killOne(scope, redis, round) {
    const random = new Random(SEED, round);
    const window = random.pick([0, 100, 700, 2500]);
    const delay = random.pick([0, 0, 0, 200]);
    const args = ['--drain-delay', `${delay}ms`, '--drain-window', `${window}ms`, '--drain-timeout', `${TIMEOUT}ms`, '--retry', '50ms'];
    const gateway = await Gateway.start(scope, { redis, id: `kill-${round}`, workers: random.int(1, 2), args });
    const load = new Load(gateway.port, random);
    scope.defer(() => load.stop());
    await sleep(random.between(0, 400)); // no wait for a fact: any moment is right
    const asked = Date.now();
    gateway.terminate();
    const end = await within(BUSY, `the end of kill ${round} (window ${window} ms)`, gateway.process.ended);
    await load.stop();
    assert.deepEqual(end, { code: 0, signal: null }, `kill ${round}`);
    const took = stoppedAt(gateway) - asked;
    assert.ok(took < TIMEOUT + LATE, `kill ${round} (delay ${delay} ms, window ${window} ms) took ${took} ms`);
    const broken = load.streams.filter((s) => s.fault).map((s) => s.fault);
    assert.deepEqual(broken, [], `kill ${round}`);
    return took;
}

test(`${KILLS} SIGTERMs in a row under load, seed ${SEED}: each gateway ends with 0 within its deadline`, { timeout: 60000 + KILLS * 5000 }, async (t) => {
    const scope = scopeOf(t);
    const redis = await Redis.start(scope);
    const stop = flood(redis);
    scope.defer(stop);
    const ends = [];
    let next = 0;
    await Promise.all(Array.from({ length: AT_ONCE }, async () => {
        while (next < KILLS) ends.push(await killOne(scope, redis, next++));
    }));
    await stop();
    const sorted = ends.sort((a, b) => a - b);
    const at = (part) => Math.round(sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))]);
    t.diagnostic(`${ends.length} ends: median ${at(0.5)} ms, 9 of 10 within ${at(0.9)} ms, the slowest ${at(1)} ms of ${TIMEOUT} ms`);
    assert.equal(ends.length, KILLS);
});

// Cases that run beside each other: each lane has a Redis of its own, since a case kills connections.

import { Authority } from '../lib/certificates.mjs';
import { connect, load } from '../lib/durable.mjs';
import { Redis } from '../lib/redis.mjs';
import { CALLS, runCase } from './scenario.mjs';

/** Numbers from 1 to `calls`: all, those of a range, or not more than `most` that are spread evenly. */
function numbers(calls, { from, to, most = Infinity }) {
    const first = from ?? 1;
    const last = Math.min(calls, to ?? Infinity);
    const step = from ?? to ? 1 : Math.max(1, calls / most);
    const all = [];
    for (let n = first; n <= last; n += step) all.push(Math.floor(n));
    return all;
}

/** The cases of a call: how many calls there are is counted in a run in which none fails. */
export async function casesOf(run, call, workers, { from, to, times = 1, places = [''] } = {}) {
    const cases = [];
    for (const workerCount of workers) {
        for (const place of places) {
            const { calls, faults } = await run({ call, nth: 0, workers: workerCount, place });
            if (faults.length > 0) throw new Error(`${call}: where nothing fails: ${faults.join('; ')}`);
            if (CALLS[call].trickle) cases.push({ call, nth: 0, workers: workerCount });
            for (const error of Object.values(CALLS[call].errors ?? {}))
                for (const nth of numbers(calls, { from, to, most: CALLS[call].most })) cases.push({ call, error, nth, times, workers: workerCount, place });
        }
    }
    return cases;
}

/**
 * For as long as `ms`: of each call that may fail the first, the second, the third, and then numbers that are spread over all that
 * there are. `tls`: of the calls of a gateway that speaks TLS with Redis, else of all others.
 */
export async function* sample(run, { tls = false, ms, workers = 2 }) {
    const { calls: allocations, made, faults } = await run({ call: tls ? 'tls_malloc' : 'malloc', nth: 0, workers });
    if (faults.length > 0) throw new Error(`where nothing fails: ${faults.join('; ')}`);
    const end = performance.now() + ms;
    const totals = { ...made, malloc: allocations, eventfd_write: made.write };
    const calls = Object.entries(CALLS).filter(([, c]) => Boolean(c.tls) === tls && !c.trickle);
    for (let round = 1; ; round++) {
        for (const [call, { call: fail = call, errors }] of calls) {
            if (performance.now() >= end) return;
            const nth = round <= 3 ? round : 1 + Math.floor(((round * 0.618) % 1) * totals[fail]);
            const error = Object.values(errors)[round % Object.keys(errors).length];
            yield { call, error, nth, workers: 1 + (round % workers) };
        }
    }
}

async function startServer(scope, tls) {
    const ca = tls && (await Authority.create(scope));
    const redis = await Redis.start(scope, { secure: tls && { ca, ...(await ca.sign('redis')) } });
    const client = connect(scope, redis);
    await load(client);
    return { redis, client, args: tls ? ['--redis-ca', ca.cert] : [] };
}

/** `plan(run)` resolves to cases (an iterable), which run in `count` lanes; `tell` is called with each result. `tls`: to Redis. */
export async function inLanes(scope, count, plan, tell, { tls = false } = {}) {
    const servers = await Promise.all(Array.from({ length: count }, () => startServer(scope, tls)));
    const cases = await plan((one) => runCase(scope, servers[0], one));
    const next = cases[Symbol.asyncIterator]?.() ?? cases[Symbol.iterator]();
    await Promise.all(servers.map(async (server) => {
        for (let one; !(one = await next.next()).done; ) tell(await runCase(scope, server, one.value));
    }));
}

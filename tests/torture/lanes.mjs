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

async function startServer(scope, tls) {
    const ca = tls && (await Authority.create(scope));
    const redis = await Redis.start(scope, { secure: tls && { ca, ...(await ca.sign('redis')) } });
    const client = connect(scope, redis);
    await load(client);
    return { redis, client, args: tls ? ['--redis-ca', ca.cert] : [] };
}

/** `plan(run)` resolves to cases, which run in `count` lanes; `tell` is called with each result. `tls`: to Redis. */
export async function inLanes(scope, count, plan, tell, { tls = false } = {}) {
    const servers = await Promise.all(Array.from({ length: count }, () => startServer(scope, tls)));
    const cases = await plan((one) => runCase(scope, servers[0], one));
    await Promise.all(servers.map(async (server) => {
        for (let one; (one = cases.shift()); ) tell(await runCase(scope, server, one));
    }));
}

// Cases that run beside each other: each lane has a Redis of its own, since a case kills connections.

import crypto from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
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
 * there are. `shape`: of the calls that CALLS has for that; undefined: of all others.
 */
export async function* sample(run, { shape, ms, workers = 2 }) {
    const { calls: allocations, made, faults } = await run({ call: { 'redis-tls': 'tls_malloc', tokens: 'tokens_malloc', tls: 'clients_malloc' }[shape] ?? 'malloc', nth: 0, workers });
    if (faults.length > 0) throw new Error(`where nothing fails: ${faults.join('; ')}`);
    const end = performance.now() + ms;
    const totals = { ...made, malloc: allocations, eventfd_write: made.write };
    const calls = Object.entries(CALLS).filter(([, c]) => c.shape === shape && !c.trickle);
    for (let round = 1; ; round++) {
        for (const [call, { call: fail = call, errors }] of calls) {
            if (performance.now() >= end) return;
            const nth = round <= 3 ? round : 1 + Math.floor(((round * 0.618) % 1) * totals[fail]);
            const error = Object.values(errors)[round % Object.keys(errors).length];
            yield { call, error, nth, workers: 1 + (round % workers) };
        }
    }
}

/** A token of HS256 that opens all channels. */
function token(secret) {
    const encode = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
    const signed = `${encode({ alg: 'HS256' })}.${encode({ sub: 'torture', channels: ['*'], exp: Math.floor(Date.now() / 1000) + 86400 })}`;
    return `${signed}.${crypto.createHmac('sha256', secret).update(signed).digest('base64url')}`;
}

/** { redis, client } with the function library, and what a gateway of that shape is given: { args, anonymous, tls }, its clients: { headers, clientTls }. */
async function startServer(scope, shape) {
    const ca = shape?.includes('tls') && (await Authority.create(scope));
    const pair = ca && (await ca.sign('localhost'));
    const redis = await Redis.start(scope, { secure: shape === 'redis-tls' && { ca, ...pair } });
    const client = connect(scope, redis);
    await load(client);
    if (shape?.startsWith('tls')) {
        const clientTls = { ca: fs.readFileSync(ca.cert), ...(shape === 'tls1.2' && { maxVersion: 'TLSv1.2' }) };
        return { redis, client, args: [], tls: { ...pair, ca: ca.cert }, clientTls };
    }
    if (shape !== 'tokens') return { redis, client, args: ca ? ['--redis-ca', ca.cert] : [] };
    const secret = crypto.randomBytes(32).toString('hex');
    const file = path.join(scope.folder, `secret-${redis.port}`);
    fs.writeFileSync(file, secret, { mode: 0o600 });
    return { redis, client, args: ['--jwt-secret-file', file], anonymous: [], headers: `Authorization: Bearer ${token(secret)}\r\n` };
}

/** `plan(run)` resolves to cases (an iterable), which run in `count` lanes; `tell` is called with each result. `shape`: as in CALLS. */
export async function inLanes(scope, count, plan, tell, { shape } = {}) {
    const servers = await Promise.all(Array.from({ length: count }, () => startServer(scope, shape)));
    const cases = await plan((one) => runCase(scope, servers[0], one));
    const next = cases[Symbol.asyncIterator]?.() ?? cases[Symbol.iterator]();
    await Promise.all(servers.map(async (server) => {
        for (let one; !(one = await next.next()).done; ) tell(await runCase(scope, server, one.value));
    }));
}

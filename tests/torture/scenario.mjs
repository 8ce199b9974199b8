// One gateway of which one call fails: streams on plain and durable channels, a resume, killed connections to Redis, SIGTERM.
// What its clients saw is judged: durable events once and in order or a gap, no silent stream, an end in time.

import fs from 'node:fs';
import path from 'node:path';
import { Calls } from '../lib/calls.mjs';
import { FORMS } from '../lib/durable.mjs';
import { Gateway } from '../lib/gateway.mjs';
import { sleep, until } from '../lib/wait.mjs';
import { Source } from './source.mjs';

const EVENTS = 20;
const SETTLE_MS = 15000; // a refused stream has waited 5 s before it comes back, and pages are asked for again after a second
const END_MS = 8000;

/** Calls and the errors with which each of them is to fail. `from`: the moment from which calls are counted; `most`: how many of
 * them a sweep takes, if not all; `shape`: what the gateway is set up for (lanes.mjs). `trickle`: nothing fails, and bytes come one by one. */
export const CALLS = {
    malloc: { errors: { ENOMEM: 12 }, from: 'ready' },
    epoll_ctl: { errors: { ENOMEM: 12, ENOSPC: 28 }, from: 'start' },
    eventfd_write: { errors: { EAGAIN: 11 }, from: 'start' },
    accept4: { errors: { EMFILE: 24, ECONNABORTED: 103, ENOMEM: 12 }, most: 20, from: 'start' },
    socket: { errors: { EMFILE: 24, ENOBUFS: 105 }, most: 20, from: 'start' },
    connect: { errors: { ENETUNREACH: 101, EADDRNOTAVAIL: 99 }, most: 20, from: 'start' },
    recv: { errors: { ECONNRESET: 104, EINTR: 4, ENOMEM: 12 }, most: 20, from: 'ready' },
    send: { errors: { EPIPE: 32, EINTR: 4, EAGAIN: 11, ENOBUFS: 105 }, most: 20, from: 'ready' },
    sendmsg: { errors: { ECONNRESET: 104, EAGAIN: 11 }, most: 20, from: 'ready' },
    epoll_wait: { errors: { EINTR: 4 }, most: 20, from: 'ready' },
    getsockopt: { errors: { ENOBUFS: 105 }, most: 20, from: 'start' },
    setsockopt: { errors: { ENOBUFS: 105, EINVAL: 22 }, most: 20, from: 'start' },
    shutdown: { errors: { ENOTCONN: 107 }, most: 20, from: 'ready' },
    pthread_create: { errors: { EAGAIN: 11 }, from: 'start' },
    open: { errors: { EMFILE: 24 }, most: 20, from: 'start' },
    getrandom: { errors: { EINTR: 4, ENOSYS: 38 }, from: 'start' },
    eventfd: { errors: { EMFILE: 24, ENOMEM: 12 }, from: 'start' },
    read: { errors: { ECONNRESET: 104, EINTR: 4, EAGAIN: 11 }, most: 60, from: 'ready', shape: 'redis-tls' },
    write: { errors: { EPIPE: 32, EINTR: 4, EAGAIN: 11 }, most: 60, from: 'ready', shape: 'redis-tls' },
    SSL_new: { errors: { ENOMEM: 12 }, from: 'start', shape: 'redis-tls' },
    SSL_do_handshake: { errors: { ENOMEM: 12, ECONNRESET: 104 }, from: 'start', shape: 'redis-tls' },
    SSL_read_ex: { errors: { ENOMEM: 12, ECONNRESET: 104 }, most: 60, from: 'start', shape: 'redis-tls' },
    SSL_write_ex: { errors: { ENOMEM: 12, EPIPE: 32 }, most: 60, from: 'start', shape: 'redis-tls' },
    tls_malloc: { call: 'malloc', errors: { ENOMEM: 12 }, most: 500, from: 'ready', shape: 'redis-tls' },
    tokens_malloc: { call: 'malloc', errors: { ENOMEM: 12 }, from: 'ready', shape: 'tokens' },
    tokens_send: { call: 'send', errors: { EPIPE: 32, EAGAIN: 11 }, most: 20, from: 'ready', shape: 'tokens' },
    tokens_sendmsg: { call: 'sendmsg', errors: { ECONNRESET: 104, EAGAIN: 11 }, most: 20, from: 'ready', shape: 'tokens' },
    tokens_recv: { call: 'recv', errors: { ECONNRESET: 104, ENOMEM: 12 }, most: 20, from: 'ready', shape: 'tokens' },
    clients_recv: { call: 'recv', errors: { ECONNRESET: 104, EINTR: 4, EAGAIN: 11, ENOMEM: 12 }, most: 60, from: 'ready', shape: 'tls' },
    clients_send: { call: 'send', errors: { EPIPE: 32, EINTR: 4, EAGAIN: 11, ENOBUFS: 105 }, most: 60, from: 'ready', shape: 'tls' },
    clients_SSL_new: { call: 'SSL_new', errors: { ENOMEM: 12 }, from: 'ready', shape: 'tls' },
    clients_SSL_do_handshake: { call: 'SSL_do_handshake', errors: { ENOMEM: 12, ECONNRESET: 104 }, from: 'ready', shape: 'tls' },
    clients_malloc: { call: 'malloc', errors: { ENOMEM: 12 }, most: 500, from: 'ready', shape: 'tls' },
    clients_malloc_1_2: { call: 'malloc', errors: { ENOMEM: 12 }, most: 500, from: 'ready', shape: 'tls1.2' },
    trickle: { trickle: true, from: 'start' },
    clients_trickle: { trickle: true, from: 'start', shape: 'tls' },
    tokens_trickle: { trickle: true, from: 'start', shape: 'tokens' },
    tls_trickle: { trickle: true, from: 'start', shape: 'redis-tls' },
};

class Scenario {
    faults = [];
    sources = [];
    published = new Map(); // channel -> how many

    constructor(name, { redis, client, headers, clientTls, gateway }) {
        Object.assign(this, { redis, client, headers, clientTls, gateway });
        this.channels = { d1: `d1:${name}`, d2: `d2:${name}`, p1: `p1:${name}`, p2: `p2:${name}` };
    }

    open(settings) {
        const source = new Source(this.gateway.port, { ...settings, headers: this.headers, tls: this.clientTls }).start();
        this.sources.push(source);
        return source;
    }

    async publish(kind) {
        const channel = this.channels[kind];
        const number = (this.published.get(channel) ?? 0) + 1;
        this.published.set(channel, number);
        const data = `${channel} ${number}`;
        await (kind.startsWith('d') ? FORMS.function(this.client, channel, data) : this.client.publish(channel, data));
    }

    async publishAll() {
        await Promise.all(Object.keys(this.channels).map((kind) => this.publish(kind)));
        await sleep(3);
    }

    /** Every stream that is open has the newest of each of its channels; plain ones may have to hear of it by a further event. */
    async settle() {
        const { p1, p2 } = this.channels;
        let beat = performance.now();
        const behind = () => this.sources.flatMap((s) => s.channels.filter((c) => s.newest.get(c) !== this.published.get(c)).map((c) => `${s.path} has ${c} ${s.newest.get(c)}`));
        await until('the newest event of each channel', async () => {
            if (performance.now() - beat > 400) {
                beat = performance.now();
                await Promise.all([this.publish('p1'), this.publish('p2')]);
                await sleep(100);
            }
            const late = behind();
            if (late.length === 0) return true;
            throw new Error(`${late.join('; ')} of ${[p1, p2, this.channels.d1, this.channels.d2].map((c) => this.published.get(c))}`);
        }, { ms: SETTLE_MS });
    }

    async kill(...types) {
        for (const type of types) await this.client.call('CLIENT', 'KILL', 'TYPE', type, 'SKIPME', 'yes');
    }

    async run() {
        const { d1, d2, p1, p2 } = this.channels;
        this.open({ plain: [p1], query: '&control=1' });
        const resumed = this.open({ durable: [d1] });
        this.open({ durable: [d1, d2], plain: [p1] });
        this.open({ durable: [d2], plain: [p2], query: '&control=1' });
        this.open({ durable: [d1], query: '&control=1&last_event_id=earliest' });
        await until('five streams', () => this.sources.every((s) => s.open), { ms: SETTLE_MS });
        for (let i = 1; i <= EVENTS; i++) {
            if (i === 6) await resumed.stop();
            await this.publishAll();
            if (i === 12) await this.kill('pubsub');
            if (i === 14) resumed.start();
            if (i === 16) await this.kill('normal');
        }
        await this.settle();
    }

    /** Each stream has one descriptor, and everything else not more than at the start. */
    async descriptors(atStart) {
        const wanted = atStart + this.sources.length;
        await until(`at most ${wanted} descriptors`, () => {
            const held = descriptorsOf(this.gateway);
            if (held <= wanted) return true;
            throw new Error(String(held));
        }, { ms: SETTLE_MS, every: 50 });
    }

    async drain() {
        for (const source of this.sources) source.leave();
        this.gateway.terminate();
        const { code, signal } = await this.gateway.process.exit(END_MS);
        if (signal === 'SIGABRT') throw new Error(`it ended with ${signal} on SIGTERM`); // which may be documented
        if (code !== 0) this.faults.push(`it ended with ${signal ?? code} on SIGTERM`);
    }

    async close() {
        await Promise.all(this.sources.map((source) => source.stop()));
        for (const source of this.sources) this.faults.push(...source.faults.map((fault) => `${source.path}: ${fault}`));
    }
}

const descriptorsOf = (gateway) => fs.readdirSync(`/proc/${gateway.process.pid}/fd`).length;

/** When what asked whether it is ready has been closed. */
async function descriptorsAtRest(gateway) {
    const counts = [];
    await until('descriptors at rest', () => {
        counts.push(descriptorsOf(gateway));
        return counts.length > 3 && new Set(counts.slice(-3)).size === 1;
    }, { every: 20 });
    return counts.at(-1);
}

// libev's own end, where it cannot allocate; and a start that says why there is none.
function isDocumentedEnd(process, armed) {
    const { code, signal } = process.end;
    if (signal === 'SIGABRT' && /libev/.test(process.log())) return true;
    return code === 1 && /"level":"error"/.test(process.log()) && (!armed || /cannot be woken/.test(process.log()));
}

/**
 * Runs one case. `server`: of startServer (lanes.mjs). `call`: a name of CALLS; `nth` 0: nothing fails; `times`: calls in a row that fail.
 * `place`: the function from within which it is made, if that matters.
 * Resolves to { calls, made, faults, end, trace }: `made` has the calls of all functions since the start; `end` is 'documented' where the gateway ended as it says that it would.
 */
export async function runCase(scope, server, { call, error = 0, nth, times = 1, workers, place }) {
    const { call: fail = call, trickle, from } = CALLS[call];
    const name = `${call}-${error}-${nth}-${workers}${place ? `-${place}` : ''}`;
    const folder = fs.mkdtempSync(path.join(scope.folder, `${name}-`));
    const control = new Calls(path.join(folder, 'calls'), { fail, trickle, error, nth, times, place, leaks: true });
    if (from === 'start') control.arm();
    const own = { folder, undo: [], defer(f) { this.undo.push(f); } };
    const args = ['--retry', '100ms', '--drain-timeout', '3s', '--log-level', 'debug', ...server.args];
    const redisUrl = server.redis.url.replace('127.0.0.1', 'localhost'); // a name, which has to be looked up
    const gateway = await Gateway.start(own, { redisUrl, env: control.env, args, anonymous: server.anonymous, workers, ready: false, tls: server.tls });
    const { process } = gateway;
    const scenario = new Scenario(path.basename(folder), { ...server, gateway });
    let end = 'drained';
    let started = false;
    try {
        await process.ready('is ready', () => gateway.ready(), { ms: 20000 });
        started = true;
        const atStart = await descriptorsAtRest(gateway);
        for (let i = 1; i <= 3; i++) await Promise.all([scenario.publish('d1'), scenario.publish('d2')]);
        control.arm();
        await Promise.race([scenario.run(), process.ended.then((how) => Promise.reject(new Error(`it ended with ${how.signal ?? how.code}`)))]);
        await scenario.descriptors(atStart);
        await scenario.drain();
        if (control.left > 0) scenario.faults.push(`${control.left} bytes are left`);
    } catch (failure) {
        if (!process.running && isDocumentedEnd(process, started)) end = 'documented';
        else scenario.faults.push(failure.message);
    }
    await scenario.close();
    if (process.running) process.signal('SIGKILL');
    await process.ended;
    const result = { name, nth, calls: control.counted, made: control.now(), faults: end === 'documented' ? [] : scenario.faults, end, trace: control.trace };
    if (result.faults.length > 0) fs.writeFileSync(path.join(folder, 'diary'), scenario.sources.map((s) => `${s.path}\n  ${s.diary.join('\n  ')}\n`).join(''));
    else fs.rmSync(folder, { recursive: true });
    return result;
}

// More streams than one process may hold, or streams elsewhere than in this process: held by processes of their own.

import { spawn } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { until, within } from './wait.mjs';

const PROGRAM = fileURLToPath(new URL('crowd_process.mjs', import.meta.url));
const live = new Set();
process.on('exit', () => live.forEach((child) => child.kill('SIGKILL')));

/** How many files a process may have open here at most. */
export function descriptorsAllowed() {
    const hard = fs.readFileSync('/proc/self/limits', 'utf8').match(/^Max open files +\S+ +(\S+)/m)[1];
    return hard === 'unlimited' ? Infinity : Number(hard);
}

export class Crowd {
    #children;
    #asked = 0;
    #waiting = new Map();
    #next = 0;

    /** Starts `processes`; each through the command `via` (say, ip netns exec NAME) where there is one. */
    constructor(scope, { processes = 1, via = [] } = {}) {
        const log = fs.openSync(path.join(scope.folder, 'crowd.log'), 'a');
        const [program, ...args] = [...via, process.execPath, PROGRAM];
        this.#children = Array.from({ length: processes }, () => {
            const child = spawn(program, args, { stdio: ['ignore', log, log, 'ipc'] });
            live.add(child);
            child.once('exit', () => live.delete(child));
            child.on('message', ({ id, stats }) => this.#waiting.get(id)(stats));
            return child;
        });
        fs.closeSync(log);
        scope.defer(() => this.end());
    }

    get pids() {
        return this.#children.map((c) => c.pid);
    }

    #ask(child, name, options = {}) {
        const id = this.#next++;
        const answer = new Promise((resolve) => this.#waiting.set(id, resolve));
        child.send({ id, name, ...options });
        return within(30000, `the crowd to answer to ${name}`, answer).finally(() => this.#waiting.delete(id));
    }

    /** Asks for `count` streams at once, shared among the processes; % in `path` becomes the number of the stream. */
    async open(port, path, count, { host = '127.0.0.1' } = {}) {
        const share = Math.ceil(count / this.#children.length);
        await Promise.all(this.#children.map((child, i) => {
            const from = Math.min(i * share, count);
            const options = { count: Math.min(share, count - from), host, port, path, from: this.#asked + from };
            return this.#ask(child, 'open', options);
        }));
        this.#asked += count;
    }

    /** `count` slow clients, shared among the processes: each sends a byte of a request's head `every` so many ms, comes back where it is cut. */
    async slow(port, count, { host = '127.0.0.1', every = 2000 } = {}) {
        const share = Math.ceil(count / this.#children.length);
        await Promise.all(this.#children.map((child, i) => this.#ask(child, 'slow', { count: Math.max(0, Math.min(share, count - i * share)), host, port, every })));
    }

    /** Closes the oldest `count` streams of each process, or all. */
    async close(count = Infinity) {
        await Promise.all(this.#children.map((child) => this.#ask(child, 'close', { count: Math.min(count, 1e9) })));
    }

    /** { asked, connected, open, ended, broken, errors } and, of slow clients, { held, cuts } in sum, and { firsts, lasts }: the first and last number that each got. */
    async stats() {
        const all = await Promise.all(this.#children.map((child) => this.#ask(child, 'stats')));
        const sum = { asked: 0, connected: 0, open: 0, ended: 0, broken: 0, held: 0, cuts: 0, firsts: [], lasts: [], errors: {} };
        for (const stats of all) {
            for (const name of ['asked', 'connected', 'open', 'ended', 'broken', 'held', 'cuts']) sum[name] += stats[name];
            sum.firsts.push(...stats.firsts);
            sum.lasts.push(...stats.lasts);
            for (const [code, n] of Object.entries(stats.errors)) sum.errors[code] = (sum.errors[code] ?? 0) + n;
        }
        return sum;
    }

    /** Waits until `fact(stats)` holds. */
    async until(what, fact, { ms = 60000, every = 50 } = {}) {
        await until(`${what} (crowd)`, async () => {
            const stats = await this.stats();
            if (fact(stats)) return true;
            throw new Error(JSON.stringify({ ...stats, firsts: undefined, lasts: undefined }));
        }, { ms, every });
    }

    signal(signal) {
        this.#children.forEach((child) => child.kill(signal));
    }

    async end() {
        const running = this.#children.filter((child) => child.exitCode === null && child.signalCode === null);
        const ends = running.map((child) => new Promise((resolve) => child.once('exit', resolve)));
        running.forEach((child) => child.kill('SIGKILL'));
        await Promise.all(ends);
    }
}

// A gateway whose work is counted: its system calls and allocations (count_calls.c), and its memory.

import fs from 'node:fs';
import path from 'node:path';
import { command } from './command.mjs';
import { BUILD, ROOT } from './paths.mjs';
import { tempFolder } from './temp.mjs';
import { sleep } from './wait.mjs';

const LIBRARY = path.join(BUILD, 'tests/count_calls.so');
const RECORD = 32; // bytes: a name, filled up with zeros, and a count
const NAME = 24;

export const KINDS = {
    write: ['send', 'sendto', 'sendmsg', 'sendmmsg', 'writev'], // to sockets; wake-ups of threads are write()
    allocation: ['malloc', 'calloc', 'realloc'],
    free: ['free'],
    system: ['send', 'sendto', 'sendmsg', 'sendmmsg', 'write', 'writev', 'recv', 'recvmsg', 'read', 'epoll_wait', 'epoll_ctl', 'accept4',
        'shutdown', 'setsockopt', 'ioctl', 'close'],
};

/** Builds what is measured, and what is loaded into it. */
export async function buildPlain(library = 'count_calls') {
    const env = { MAKEFLAGS: '', MAKELEVEL: '', MFLAGS: '', SANITIZER: '' };
    const { code, out, err } = await command('make', ['-C', ROOT, 'BUILD=build', 'all', `build/tests/${library}.so`], { env, ms: 300000 });
    if (code !== 0) throw new Error(`make: ${out}${err}`);
}

/** For Gateway.start: { env } that makes it count, and what reads the counts. */
export function counting(scope) {
    const file = path.join(tempFolder(scope, 'calls'), 'calls');
    return { env: { LD_PRELOAD: LIBRARY, COUNT_CALLS: file }, calls: new Calls(file) };
}

class Calls {
    constructor(file) {
        this.file = file;
    }

    now() {
        const bytes = fs.readFileSync(this.file);
        const calls = {};
        for (let at = 0; at < bytes.length; at += RECORD) {
            const name = bytes.toString('latin1', at, bytes.indexOf(0, at));
            calls[name] = Number(bytes.readBigUInt64LE(at + NAME));
        }
        return calls;
    }

    /** What `work` (awaited) made the gateway call, by function and in sum by kind. */
    async during(work) {
        const before = this.now();
        await work();
        await this.settled();
        const after = this.now();
        const calls = Object.fromEntries(Object.keys(after).map((name) => [name, after[name] - before[name]]));
        for (const [kind, names] of Object.entries(KINDS)) calls[`${kind}s`] = names.reduce((sum, name) => sum + calls[name], 0);
        return calls;
    }

    /** Waits until next to nothing is called any more. */
    async settled() {
        for (let before = this.now(), after; ; before = after) {
            await sleep(60);
            after = this.now();
            if (Object.keys(after).reduce((sum, name) => sum + after[name] - before[name], 0) < 50) return;
        }
    }
}

/** Memory of a process that is its own and touched, in bytes (RssAnon of proc(5)). */
export function ownMemory(pid) {
    return Number(fs.readFileSync(`/proc/${pid}/status`, 'utf8').match(/^RssAnon:\s+(\d+) kB$/m)[1]) * 1024;
}

export const show = (calls, per = 1) => Object.entries(calls).filter(([, n]) => n > 0).map(([name, n]) => `${name} ${Math.round((n / per) * 1000) / 1000}`).join(', ');

// A gateway whose work is counted: its system calls and allocations (calls.c), and its memory.

import fs from 'node:fs';
import path from 'node:path';
import { Calls } from './calls.mjs';
import { tempFolder } from './temp.mjs';
import { sleep } from './wait.mjs';

export const KINDS = {
    write: ['send', 'sendto', 'sendmsg', 'sendmmsg', 'writev'], // to sockets; wake-ups of threads are write()
    allocation: ['malloc', 'calloc', 'realloc'],
    free: ['free'],
    system: ['send', 'sendto', 'sendmsg', 'sendmmsg', 'write', 'writev', 'recv', 'recvmsg', 'read', 'epoll_wait', 'epoll_ctl', 'accept4',
        'shutdown', 'setsockopt', 'ioctl', 'close'],
};

/** For Gateway.start: { env } that makes it count, and what reads the counts. */
export function counting(scope) {
    const calls = new Work(path.join(tempFolder(scope, 'calls'), 'calls'));
    return { env: calls.env, calls };
}

class Work extends Calls {
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
            if (KINDS.system.reduce((sum, name) => sum + after[name] - before[name], 0) < 50) return;
        }
    }
}

/** Memory of a process that is its own and touched, in bytes (RssAnon of proc(5)). */
export function ownMemory(pid) {
    return Number(fs.readFileSync(`/proc/${pid}/status`, 'utf8').match(/^RssAnon:\s+(\d+) kB$/m)[1]) * 1024;
}

export const show = (calls, per = 1) => Object.entries(calls).filter(([, n]) => n > 0).map(([name, n]) => `${name} ${Math.round((n / per) * 1000) / 1000}`).join(', ');

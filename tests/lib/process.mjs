// One process that a test started: its log file, its end, and what the sanitizers had to say.

import { spawn } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { until, within } from './wait.mjs';

const REPORT = /ERROR: \w+Sanitizer|WARNING: ThreadSanitizer|runtime error:|SUMMARY: \w+Sanitizer|FATAL: ThreadSanitizer/;

// A test file that is ended before its time (a timeout, an early exit) must not leave its processes behind.
const live = new Set();
process.on('exit', () => live.forEach((child) => child.kill('SIGKILL')));
for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP']) process.on(signal, () => process.exit(1));

export class Process {
    /** Starts `program`; both its outputs (or not `stderr`, a descriptor) go to NAME.log in the scope's folder. It is ended with the scope. */
    constructor(scope, name, program, args, { env = {}, cwd, input, stderr } = {}) {
        this.name = name;
        this.logFile = uniqueFile(scope.folder, name);
        const log = fs.openSync(this.logFile, 'w');
        this.child = spawn(program, args, { cwd, env: { ...process.env, ...env }, stdio: [input ?? 'ignore', log, stderr ?? log] });
        fs.closeSync(log);
        live.add(this.child);
        this.wantedEnd = false;
        this.ended = new Promise((resolve) => {
            this.child.once('error', (error) => resolve({ error }));
            this.child.once('exit', (code, signal) => resolve({ code, signal }));
        }).then((end) => {
            live.delete(this.child);
            return (this.end = end);
        });
        scope.defer(() => this.close());
    }

    get pid() {
        return this.child.pid;
    }

    get running() {
        return this.end === undefined;
    }

    log() {
        return fs.readFileSync(this.logFile, 'utf8');
    }

    /** Waits until `fact` holds; fails at once, with the log, where the process ended before that. */
    async ready(what, fact, options) {
        return until(`${this.name}: ${what}`, async () => {
            if (!this.running) {
                const error = new Error(`${this.name} ended with ${describe(this.end)}:\n${this.log()}`);
                error.fatal = true;
                throw error;
            }
            return fact();
        }, options);
    }

    logged(pattern, options) {
        return until(`${this.name} logs ${pattern}`, () => this.log().match(pattern), options);
    }

    signal(signal) {
        this.wantedEnd = true;
        if (this.running) process.kill(this.pid, signal);
    }

    async exit(ms = 15000) {
        this.wantedEnd = true;
        return within(ms, `the end of ${this.name}`, this.ended);
    }

    /** Ends the process politely, then not; throws where it crashed, ended by itself, or a sanitizer reported. */
    async close() {
        const endedAlone = !this.running && !this.wantedEnd;
        let stuck = false;
        if (this.running) {
            this.signal('SIGTERM');
            await this.exit(20000).catch(() => (stuck = true));
            if (stuck) {
                this.signal('SIGKILL');
                await this.ended;
            }
        }
        const report = sanitizerReport(this.log());
        if (report) throw new Error(`${this.name}: a sanitizer reported:\n${report}`);
        if (stuck) throw new Error(`${this.name} did not end on SIGTERM`);
        if (endedAlone) throw new Error(`${this.name} ended by itself with ${describe(this.end)}`);
        if (['SIGSEGV', 'SIGABRT', 'SIGBUS', 'SIGILL', 'SIGFPE'].includes(this.end.signal)) {
            throw new Error(`${this.name} crashed with ${this.end.signal}`);
        }
    }
}

export function describe(end) {
    if (end.error) return end.error.message;
    return end.signal ? `signal ${end.signal}` : `status ${end.code}`;
}

/** The first sanitizer report in a text, cut to a readable length, or null. */
export function sanitizerReport(text) {
    const at = text.search(REPORT);
    return at < 0 ? null : text.slice(at, at + 4000);
}

function uniqueFile(folder, name) {
    for (let i = 1; ; i++) {
        const file = path.join(folder, i === 1 ? `${name}.log` : `${name}-${i}.log`);
        if (!fs.existsSync(file)) return file;
    }
}

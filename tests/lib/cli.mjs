// sse-publish as it runs: what it has printed so far, and how it ends.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { command } from './command.mjs';
import { PUBLISH } from './paths.mjs';
import { until } from './wait.mjs';

/** Asserts that these arguments are wrong usage, of which one line says what to do; it has `mention` in it. */
export async function isUsageError(args, mention) {
    const { code, out, err } = await command(PUBLISH, args);
    assert.deepEqual([code, out], [2, '']);
    assert.match(err, /^sse-publish: [^\n]+\n$/);
    assert.ok(err.includes(mention), err);
}

export class Running {
    constructor(scope, args, { env = {}, stdout = 'pipe' } = {}) {
        this.out = '';
        this.err = '';
        this.child = spawn(PUBLISH, args, { env: { ...process.env, ...env }, stdio: ['ignore', stdout, 'pipe'] });
        this.child.stdout?.on('data', (data) => (this.out += data));
        this.child.stderr.on('data', (data) => (this.err += data));
        this.ended = new Promise((resolve) => this.child.once('close', (code, signal) => resolve(code ?? signal)));
        scope.defer(() => this.child.kill('SIGKILL'));
    }

    get lines() {
        return this.out.split('\n').slice(0, -1);
    }

    /** Resolves when what it printed, on standard output and then on standard error, matches. */
    async says(pattern, options) {
        await until(`sse-publish to say ${pattern}; it said ${this.out}${this.err}`, () => pattern.test(this.out + this.err), options);
    }

    signal(name) {
        this.child.kill(name);
    }
}

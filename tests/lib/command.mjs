// A program run to its end: its status and what it printed.

import { spawn } from 'node:child_process';
import { sanitizerReport } from './process.mjs';

/** Resolves to { code, signal, out, err }; `input` (string or Buffer) is its standard input. */
export function command(program, args, { input = '', env = {}, ms = 20000, cwd } = {}) {
    return new Promise((resolve, reject) => {
        const child = spawn(program, args, { env: { ...process.env, ...env }, cwd, stdio: ['pipe', 'pipe', 'pipe'] });
        const out = [];
        const err = [];
        const timer = setTimeout(() => {
            child.kill('SIGKILL');
            reject(new Error(`${program} ${args.join(' ')} took more than ${ms} ms; it said: ${Buffer.concat(err)}`));
        }, ms);
        child.stdout.on('data', (data) => out.push(data));
        child.stderr.on('data', (data) => err.push(data));
        child.stdin.on('error', () => {}); // it may end without reading all of its input
        child.stdin.end(input);
        child.once('error', (error) => {
            clearTimeout(timer);
            reject(error);
        });
        child.once('close', (code, signal) => {
            clearTimeout(timer);
            const result = { code, signal, out: Buffer.concat(out).toString(), err: Buffer.concat(err).toString() };
            const report = sanitizerReport(result.err);
            if (report) reject(new Error(`${program}: a sanitizer reported:\n${report}`));
            else resolve(result);
        });
    });
}

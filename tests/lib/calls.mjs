// What tests say to calls.c and hear from it, which is loaded into the gateway: calls counted, one that fails, bytes that trickle.

import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { command } from './command.mjs';
import { BUILD, GATEWAY, ROOT } from './paths.mjs';

const LIBRARY = path.join(BUILD, 'tests/calls.so');
// struct control of calls.c, in words of 8 bytes; records (a name of 24 bytes and a count) stand behind it.
const WORDS = ['armed', 'nth', 'error', 'calls', 'times', 'trickle'];
const HEAD = 64;
const RECORD = 32;

/** Builds what is measured, and what tests load into it; one test file after the other, where several run at once. */
export async function buildPlain() {
    const env = { MAKEFLAGS: '', MAKELEVEL: '', MFLAGS: '', SANITIZER: '' };
    const { code, out, err } = await command('flock', [path.join(ROOT, 'Makefile'), 'make', '-C', ROOT, 'BUILD=build', 'all', 'build/tests/calls.so', 'build/tests/intruder.so'], { env, ms: 300000 });
    if (code !== 0) throw new Error(`make: ${out}${err}`);
}

/** Addresses of a function of the gateway: of one that the compiler has left as it stands in the source. */
function placeOf(name) {
    const lines = execFileSync('nm', ['-S', GATEWAY]).toString().split('\n').filter((l) => / [tT] /.test(l) && l.endsWith(` ${name}`));
    if (lines.length !== 1) throw new Error(`the gateway has ${lines.length} functions ${name}`);
    const [from, size] = lines[0].split(' ').slice(0, 2).map((word) => BigInt(`0x${word}`));
    return `${from.toString(16)} ${(from + size).toString(16)}`;
}

export class Calls {
    /**
     * `file` is new. `fail`: the function whose call number `nth` (0: none) fails with the errno `error`, and `times` in a row; `place`:
     * the function from within which it is called, if that matters. `trickle`: one byte a read and write. `leaks`: blocks are noted.
     */
    constructor(file, { fail = '', nth = 0, error = 0, times = 1, place, trickle = false, leaks = false } = {}) {
        this.file = file;
        fs.writeFileSync(file, new BigUint64Array([0n, BigInt(nth), BigInt(error), 0n, BigInt(times), BigInt(trickle), 0n, 0n]));
        this.env = { LD_PRELOAD: LIBRARY, CALLS_FILE: file, CALLS_FAIL: fail, ...(place && { CALLS_PLACE: placeOf(place) }), ...(leaks && { CALLS_LEAKS: '1' }) };
    }

    /** From now on calls count, and fail or trickle. */
    arm() {
        this.#write('armed', 1);
    }

    #write(name, value) {
        const fd = fs.openSync(this.file, 'r+');
        fs.writeSync(fd, new BigUint64Array([BigInt(value)]), 0, 8, 8 * WORDS.indexOf(name));
        fs.closeSync(fd);
    }

    /** Counts from 1 again, and has call number `nth` fail (0: none). */
    again(nth) {
        this.#write('nth', 0);
        this.#write('calls', 0);
        this.#write('nth', nth);
        this.#write('armed', 1);
    }

    #word(name) {
        return Number(fs.readFileSync(this.file).readBigUInt64LE(8 * WORDS.indexOf(name)));
    }

    /** Calls of what is to fail, since `arm`. */
    get counted() {
        return this.#word('calls');
    }

    /** Bytes that the gateway itself had allocated and not freed at its exit, which does not wait for a look-up of a name. */
    get left() {
        const file = `${this.file}.leaks`;
        const lines = fs.existsSync(file) ? fs.readFileSync(file, 'utf8').split('\n').filter(Boolean) : [];
        if (lines.length === 0) return 0;
        const [from, to] = placeOf('lookup_start').split(' ').map((word) => parseInt(word, 16));
        const kept = lines.map((line) => line.split(' ')).filter(([, address]) => !(Number(address) > from && Number(address) <= to));
        return kept.reduce((sum, words) => sum + Number(words.at(-1)), 0);
    }

    /** Who made the call that failed, innermost first, or left the blocks: lines of "file offset name". */
    get trace() {
        return ['trace', 'leaks'].map((kind) => `${this.file}.${kind}`).filter(fs.existsSync).map((file) => fs.readFileSync(file, 'utf8')).join('');
    }

    /** How often each function was called since the start. */
    now() {
        const bytes = fs.readFileSync(this.file);
        const calls = {};
        for (let at = HEAD; at < bytes.length; at += RECORD) {
            const name = bytes.toString('latin1', at, bytes.indexOf(0, at));
            calls[name] = Number(bytes.readBigUInt64LE(at + RECORD - 8));
        }
        return calls;
    }
}

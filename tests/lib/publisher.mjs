// sse-publish with its standard input open, and what it publishes at a time.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { PUBLISH } from './paths.mjs';

export class Publisher {
    constructor(scope, url, args) {
        this.child = spawn(PUBLISH, ['--redis', url, ...args], { stdio: ['pipe', 'pipe', 'pipe'] });
        scope.defer(() => this.child.kill('SIGKILL'));
        this.out = '';
        this.err = '';
        this.child.stdout.on('data', (data) => (this.out += data));
        this.child.stderr.on('data', (data) => (this.err += data));
        this.child.stdin.on('error', () => {}); // its status says why it ended
        this.ended = new Promise((resolve) => this.child.once('close', resolve));
    }

    write(text) {
        this.child.stdin.write(text);
    }

    async ends(code, out, err) {
        this.child.stdin.end();
        assert.equal(await this.ended, code, this.err);
        assert.match(this.out, out);
        assert.match(this.err, err);
    }
}

const UNESCAPED = { '%25': '%', '%0D': '\r', '%0A': '\n' };

/** The data of the events that one published message (a Buffer) holds: those before its last one stand in lines of their own. */
export function textsOf(message) {
    const text = message.toString();
    if (!text.startsWith('\x1eSSE/1\n')) return [text];
    const end = text.indexOf('\n\n');
    const earlier = text.slice(0, end).split('\n').filter((line) => line.startsWith('earlier: '));
    return [...earlier.map((line) => line.slice(line.indexOf(' ', 9) + 1).replace(/%(25|0D|0A)/g, (code) => UNESCAPED[code])), text.slice(end + 2)];
}

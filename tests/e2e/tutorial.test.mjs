// docs/tutorial.md, typed: its blocks in their order in one shell, and what each prints held to the block below it.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { BUILD, ROOT } from '../lib/paths.mjs';
import { freePort, freePorts } from '../lib/ports.mjs';
import { scopeOf } from '../lib/scope.mjs';
import { tempFolder } from '../lib/temp.mjs';
import { until, within } from '../lib/wait.mjs';

const PAGE = fs.readFileSync(path.join(ROOT, 'docs/tutorial.md'), 'utf8');
const BLOCKS = [...PAGE.matchAll(/^```sh\n(.*?)^```\n(?:```text\n(.*?)^```\n)?/gms)].map(([, typed, printed]) => ({ typed, printed }));

/** What stands on the page -> what is typed here: ports that are free, a folder of the test's own, the build under test. */
async function mapping(scope) {
    const [redis, nginx, [first], [admin]] = [await freePort(), await freePort(), await freePorts(3), await freePorts(3)];
    const folder = path.join(tempFolder(scope, 'tutorial'), 'tier');
    const count = (port) => Object.fromEntries([1, 2, 3].map((n) => [n, String(port + n - 1)]));
    return {
        folder,
        words: [
            [/^deploy\/local\/dependencies .*$|^make$/gm, ':'], // tests/run has done both
            ['$PWD/build', BUILD],
            [/\b6390\b/g, String(redis)],
            [/:8000\b/g, `:${nginx}`],
            ['808$1', `$((${first - 1} + $1))`],
            ['918$1', `$((${admin - 1} + $1))`],
            [/\b808([123])\b/g, (_, n) => count(first)[n]],
            [/\b918([123])\b/g, (_, n) => count(admin)[n]],
            [/\btier(?=[/ \n])/g, folder],
        ],
    };
}

/** A shell that keeps what a block leaves behind for the next; type() resolves to what the block printed. */
class Shell {
    constructor(scope) {
        this.child = spawn('bash', [], { cwd: ROOT, env: { ...process.env, ASAN_OPTIONS: 'detect_leaks=0' }, stdio: ['pipe', 'pipe', 'pipe'], detached: true });
        this.text = '';
        for (const stream of [this.child.stdout, this.child.stderr]) stream.on('data', (bytes) => (this.text += bytes));
        this.ended = new Promise((resolve) => this.child.once('exit', resolve));
        scope.defer(async () => {
            fs.writeFileSync(path.join(scope.folder, 'shell.txt'), this.text);
            try {
                process.kill(-this.child.pid, 'SIGKILL'); // all that it started, where the page did not come to its end
            } catch {} // there is nothing left
            await this.ended;
        });
    }

    async type(block, ms) {
        const [from, end] = [this.text.length, `the end of a block ${this.text.length}`];
        this.child.stdin.write(`${block}\necho "${end}"\n`);
        await until(`the end of:\n${block}`, () => this.text.includes(`${end}\n`), { ms });
        return this.text.slice(from).replace(`${end}\n`, '');
    }
}

const pattern = (printed) => new RegExp(`^${printed.split('..').map((text) => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')).join('.*')}$`);

test('the tutorial, typed as it stands, prints what it says that it prints, and leaves nothing behind', async (t) => {
    assert.ok(BLOCKS.length >= 12);
    const scope = scopeOf(t);
    const { folder, words } = await mapping(scope);
    const shell = new Shell(scope);
    for (const { typed, printed } of BLOCKS) {
        const block = words.reduce((text, [from, to]) => text.replaceAll(from, to), typed);
        // What the shell itself says of a program that was killed belongs to no block.
        const said = (await shell.type(block, 60000)).replace(/^\w+: line \d+: +\d+ Killed.*\n/gm, '').replace(/\n+$/, '\n');
        if (printed !== undefined) assert.match(said, pattern(printed), typed);
        else assert.equal(said.replace(/^OK\n/, ''), '', typed);
    }
    assert.equal(fs.existsSync(folder), false);
    shell.child.stdin.end();
    assert.equal(await within(10000, 'the end of the shell', shell.ended), 0);
});

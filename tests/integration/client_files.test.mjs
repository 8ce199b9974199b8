// The files of deploy/client: small, typed, and as their README says.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { minify } from 'terser';
import { command } from '../lib/command.mjs';
import { ROOT } from '../lib/paths.mjs';
import { scopeOf } from '../lib/scope.mjs';
import { tempFolder } from '../lib/temp.mjs';

const FOLDER = path.join(ROOT, 'deploy/client');
const TSC = path.join(ROOT, 'tests/node_modules/typescript/bin/tsc');
const LIMIT = 3 * 1024;
const read = (name) => fs.readFileSync(path.join(FOLDER, name), 'utf8');

test('the helper is under 3 KB minified and compressed, and says how much', async () => {
    const source = read('sse-client.js');
    assert.doesNotMatch(source, /^import /m);
    const { code } = await minify(source, { module: true });
    const size = gzipSync(code, { level: 9 }).length;
    assert.ok(size < LIMIT, `${size} bytes, ${code.length} before compression`);
    assert.equal(`${(size / 1024).toFixed(1)} KB minified`, read('README.md').match(/[\d.]+ KB\s+minified/)[0].replace(/\s+/g, ' '));
});

const PAGE = `import { connect, type ChannelEvent, type Gap } from './sse-client.js';
declare function currentToken(): Promise<string>;
declare function load(channel?: string): void;
declare function done(channel: string): void;
declare function show(text: string): void;
declare const user: { id: number };
`;

// Each line is one that tsc must not take.
const WRONG = [
    "connect('/s').on('a', (event: MessageEvent) => event.ports);",
    "connect('/s', { ticket: () => 'x' });",
    "connect('/s', { tickets: 1 });",
    "connect('/s').onGap = ({ from }: Gap) => from + 1;",
    "connect('/s').onState = (state, status) => status.toFixed();",
    "connect('/s').on('a', ({ data }: ChannelEvent) => data.total);",
];

test('the types take the page of the README, which has 20 lines at most, and refuse what is wrong', async (t) => {
    const page = read('README.md').match(/```js\n([^]*?)```/)[1].replace(/^import .*\n/m, '');
    assert.ok(page.split('\n').length <= 20);
    const folder = tempFolder(scopeOf(t), 'types');
    for (const name of ['sse-client.js', 'sse-client.d.ts']) fs.copyFileSync(path.join(FOLDER, name), path.join(folder, name));
    fs.writeFileSync(path.join(folder, 'page.ts'), PAGE + page);
    fs.writeFileSync(path.join(folder, 'wrong.ts'), PAGE + WRONG.join('\n'));
    const { out } = await command(process.execPath, [TSC, '--strict', '--exactOptionalPropertyTypes', '--noEmit', '--target', 'es2022', '--module', 'es2022', 'page.ts', 'wrong.ts'],
        { cwd: folder, ms: 120000 });
    const before = PAGE.split('\n').length;
    const lines = [...out.matchAll(/^wrong\.ts\((\d+),/gm)].map(([, line]) => Number(line) - before);
    assert.doesNotMatch(out, /^page\.ts/m);
    assert.deepEqual([...new Set(lines)].sort(), WRONG.map((_, i) => i), out);
});

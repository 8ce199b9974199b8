// Runs test files in the order in which they are named, so many at once:
//
//   run_files.mjs JOBS FILE.test.mjs...
//
// `node --test` sorts its files by name; where the longest come last, most of the machine idles at the end. How long each
// file took is in $SSE_TEST_LOGS/seconds.txt, the longest first.

import fs from 'node:fs';
import path from 'node:path';
import { run } from 'node:test';
import reporter from './reporter.mjs';

const TEST_LIMIT_MS = 300_000; // a file's

const [jobs, ...files] = process.argv.slice(2);
const seconds = new Map();

const events = run({ files: files.map((file) => path.resolve(file)), concurrency: Number(jobs), timeout: TEST_LIMIT_MS });
events.on('test:fail', () => { process.exitCode = 1; });
events.on('test:complete', ({ name, file, details }) => {
    if (name === file) seconds.set(path.relative('.', file), details.duration_ms / 1000);
});
for await (const text of events.compose(reporter)) process.stdout.write(text);

const folder = process.env.SSE_TEST_LOGS;
if (folder) {
    const longest = [...seconds].sort((a, b) => b[1] - a[1]);
    fs.mkdirSync(folder, { recursive: true });
    fs.writeFileSync(path.join(folder, 'seconds.txt'), longest.map(([file, s]) => `${s.toFixed(1).padStart(7)}  ${file}\n`).join(''));
}

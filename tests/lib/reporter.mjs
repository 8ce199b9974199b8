// The reporter of tests/run: a line for each test (with the reason where it was skipped), for each failure the error and
// the logs of that test's processes, and the sums at the end, as `sums: P F`.

import fs from 'node:fs';
import path from 'node:path';
import { inspect } from 'node:util';
import { logFolder } from './paths.mjs';

const TAIL = 60; // lines shown of each log

export default async function* reporter(source) {
    let passed = 0;
    let failed = 0;
    for await (const { type, data } of source) {
        if (type === 'test:stderr') yield indent(data.message.trimEnd());
        if (type !== 'test:pass' && type !== 'test:fail') continue;
        if (data.skip) yield `skip             ${data.name}: ${data.skip}\n`; // in neither sum
        if (data.details?.type === 'suite' || data.skip || data.todo) continue;
        const ms = `${String(Math.round(data.details.duration_ms)).padStart(6)} ms`;
        if (type === 'test:pass') {
            if (isFile(data)) continue;
            passed++;
            yield `ok   ${ms}  ${data.name}\n`;
        } else {
            if (data.details.error?.failureType === 'subtestsFailed') continue; // its subtests were counted
            failed++;
            yield `FAIL ${ms}  ${data.name}\n${describe(data.details.error)}${logs(data)}\n`;
        }
    }
    yield `sums: ${passed} ${failed}\n`;
}

/** A file reports itself as a test only where it failed as a whole or held no tests. */
function isFile(data) {
    return data.nesting === 0 && data.file !== undefined && path.resolve(data.name) === data.file;
}

function describe(error) {
    const cause = error?.cause ?? error;
    return indent(typeof cause?.stack === 'string' ? cause.stack : inspect(cause, { depth: 3 }));
}

function logs(data) {
    let text = '';
    for (const folder of folders(data)) {
        if (!fs.existsSync(folder)) continue;
        const files = fs.readdirSync(folder, { withFileTypes: true }).filter((entry) => entry.isFile());
        for (const { name } of files.sort((a, b) => (a.name < b.name ? -1 : 1))) {
            const lines = fs.readFileSync(path.join(folder, name), 'utf8').trimEnd().split('\n');
            const cut = lines.length > TAIL ? ` (last ${TAIL} of ${lines.length} lines)` : '';
            text += `    --- ${path.relative('.', path.join(folder, name))}${cut}\n${indent(lines.slice(-TAIL).join('\n'))}`;
        }
    }
    return text;
}

/** The folders that hold the logs of what failed: a test's own and its file's shared one, or all of a file's. */
function folders(data) {
    const named = String(data.details.error?.cause?.message).match(/\(logs: (.*)\)/);
    if (named) return [named[1]];
    if (!data.file) return [];
    if (!isFile(data)) return [logFolder(data.file, data.name), logFolder(data.file, 'shared')];
    const all = path.dirname(logFolder(data.file, 'shared'));
    return fs.existsSync(all) ? fs.readdirSync(all).map((name) => path.join(all, name)) : [];
}

function indent(text) {
    return text.split('\n').map((line) => `    ${line}\n`).join('');
}

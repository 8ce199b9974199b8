// The configurations that deploy/ ships, with the values of a test on the lines that are marked "site:" and on no others.

import fs from 'node:fs';
import path from 'node:path';
import { ROOT } from './paths.mjs';

/** `values`: mark -> the lines that take the place of all lines with this mark; each mark of `file` (a path from the root of the tree) has its value. */
export function fillSite(file, values) {
    const left = new Map(Object.entries(values));
    const done = new Set();
    const lines = fs.readFileSync(path.join(ROOT, file), 'utf8').split('\n').flatMap((line) => {
        const [, indent, mark] = line.match(/^(\s*).*# site: (.+?)$/) ?? [];
        if (!mark || done.has(mark)) return mark ? [] : [line];
        if (!left.has(mark)) throw new Error(`${file}: a line is marked "site: ${mark}", for which there is no value`);
        done.add(mark);
        return left.get(mark).map((text) => indent + text);
    });
    const unused = [...left.keys()].filter((mark) => !done.has(mark));
    if (unused.length > 0) throw new Error(`${file}: no line is marked "site: ${unused}"`);
    return lines.join('\n');
}

// Documents held to types of TypeScript: a key that the type does not know, one that is missing, and a value of another type are
// faults.

import fs from 'node:fs';
import path from 'node:path';
import { command } from './command.mjs';
import { ROOT } from './paths.mjs';
import { tempFolder } from './temp.mjs';

const TSC = path.join(ROOT, 'tests/node_modules/typescript/bin/tsc');

/** What the compiler has against each of the `lines`, each of which is a statement: an array of messages for each, by one run. */
export async function typeFaults(scope, lines) {
    const folder = tempFolder(scope, 'types');
    fs.writeFileSync(path.join(folder, 'documents.ts'), `${lines.join('\n')}\nexport {};\n`);
    const run = await command(process.execPath, [TSC, '--noEmit', '--strict', '--skipLibCheck', '--pretty', 'false',
        '--module', 'commonjs', '--moduleResolution', 'node10', '--target', 'es2022', 'documents.ts'], { cwd: folder, ms: 60000 });
    const faults = lines.map(() => []);
    for (const line of run.out.split('\n').filter((text) => /^\S/.test(text))) {
        const [, at, what] = line.match(/^documents\.ts\((\d+),\d+\): error (.*)$/) ?? [];
        if (!at) throw new Error(`tsc: ${run.out}`);
        faults[at - 1].push(what);
    }
    if ((run.code !== 0) !== faults.some((f) => f.length > 0)) throw new Error(`tsc ended with ${run.code}: ${run.out}${run.err}`);
    return faults;
}

/** Each key of `value`, of any depth, with a copy in which it is misspelt, but for those in `exempt` and those below `free`. */
export function misspellings(value, { exempt = [], free = [] } = {}) {
    const keys = (part, place) => Object.keys(part).flatMap((key) => {
        const at = [...place, key];
        const below = part[key] && typeof part[key] === 'object' && !free.includes(key) ? keys(part[key], at) : [];
        return Array.isArray(part) || exempt.includes(key) ? below : [at, ...below];
    });
    return keys(value, []).map((at) => ({ at, copy: renamed(value, at) }));
}

function renamed(value, at) {
    const copy = structuredClone(value);
    const parent = at.slice(0, -1).reduce((part, key) => part[key], copy);
    parent[`${at.at(-1)}x`] = parent[at.at(-1)];
    delete parent[at.at(-1)];
    return copy;
}

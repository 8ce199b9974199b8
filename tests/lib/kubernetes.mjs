// Documents of Kubernetes, held to the types that are made from its API (and from the operator's of Prometheus): a key that
// the API does not know, one that is missing, and a value of another type are faults.

import fs from 'node:fs';
import path from 'node:path';
import { command } from './command.mjs';
import { ROOT } from './paths.mjs';
import { tempFolder } from './temp.mjs';

const MODULES = path.join(ROOT, 'tests/node_modules');

/** The file of types of a document's kind. */
function typesOf({ apiVersion, kind }) {
    const [group, version] = apiVersion.includes('/') ? apiVersion.split('/') : ['', apiVersion];
    const folder = group === 'monitoring.coreos.com' ? '@kubernetes-models/prometheus-operator/monitoring.coreos.com' : `kubernetes-models/${group}`;
    return path.join(MODULES, folder, version, kind);
}

/** What is wrong with each of the documents: an array of messages for each, all found by one run of the compiler. */
export async function faultsOf(scope, documents) {
    const folder = tempFolder(scope, 'kubernetes');
    const lines = documents.map((document, i) => {
        const types = typesOf(document);
        if (!fs.existsSync(`${types}.d.ts`)) return `const d${i}: never = "there is no kind ${document.kind} of ${document.apiVersion}";`;
        return `const d${i}: import(${JSON.stringify(types)}).I${document.kind} = ${JSON.stringify(document)};`;
    });
    fs.writeFileSync(path.join(folder, 'documents.ts'), `${lines.join('\n')}\nexport {};\n`);
    const run = await command(process.execPath, [path.join(MODULES, 'typescript/bin/tsc'), '--noEmit', '--strict', '--skipLibCheck', '--pretty', 'false',
        '--module', 'commonjs', '--moduleResolution', 'node10', '--target', 'es2022', 'documents.ts'], { cwd: folder, ms: 60000 });
    const faults = documents.map(() => []);
    for (const line of run.out.split('\n').filter((text) => /^\S/.test(text))) {
        const [, at, what] = line.match(/^documents\.ts\((\d+),\d+\): error (.*)$/) ?? [];
        if (!at) throw new Error(`tsc: ${run.out}`);
        faults[at - 1].push(what);
    }
    if ((run.code !== 0) !== faults.some((f) => f.length > 0)) throw new Error(`tsc ended with ${run.code}: ${run.out}${run.err}`);
    return faults;
}

/** Each copy of the document in which one key, of any depth, is misspelt. */
export function misspelt(document) {
    // What is in these has keys of the user's own.
    const FREE = ['labels', 'matchLabels', 'requests', 'limits', ...(document.kind === 'Service' ? ['selector'] : [])];
    const keys = (value, place) => Object.keys(value).flatMap((key) => {
        const at = [...place, key];
        const below = value[key] && typeof value[key] === 'object' && !FREE.includes(key) ? keys(value[key], at) : [];
        return Array.isArray(value) || ['apiVersion', 'kind'].includes(key) ? below : [at, ...below];
    });
    return keys(document, []).map((at) => ({ at, copy: renamed(document, at) }));
}

function renamed(document, at) {
    const copy = structuredClone(document);
    const parent = at.slice(0, -1).reduce((value, key) => value[key], copy);
    parent[`${at.at(-1)}x`] = parent[at.at(-1)];
    delete parent[at.at(-1)];
    return copy;
}

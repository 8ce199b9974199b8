// Documents of Kubernetes, held to the types that are made from its API (and from the operator's of Prometheus).

import fs from 'node:fs';
import path from 'node:path';
import { ROOT } from './paths.mjs';
import { misspellings, typeFaults } from './types.mjs';

const MODULES = path.join(ROOT, 'tests/node_modules');

/** The file of types of a document's kind. */
function typesOf({ apiVersion, kind }) {
    const [group, version] = apiVersion.includes('/') ? apiVersion.split('/') : ['', apiVersion];
    const folder = group === 'monitoring.coreos.com' ? '@kubernetes-models/prometheus-operator/monitoring.coreos.com' : `kubernetes-models/${group}`;
    return path.join(MODULES, folder, version, kind);
}

/** What is wrong with each of the documents: an array of messages for each. */
export function faultsOf(scope, documents) {
    return typeFaults(scope, documents.map((document, i) => {
        const types = typesOf(document);
        if (!fs.existsSync(`${types}.d.ts`)) return `const d${i}: never = "there is no kind ${document.kind} of ${document.apiVersion}";`;
        return `const d${i}: import(${JSON.stringify(types)}).I${document.kind} = ${JSON.stringify(document)};`;
    }));
}

/** Each copy of the document in which one key, of any depth, is misspelt. What is in `free` has keys of the user's own. */
export function misspelt(document) {
    return misspellings(document, { exempt: ['apiVersion', 'kind'],
        free: ['labels', 'matchLabels', 'requests', 'limits', ...(document.kind === 'Service' ? ['selector'] : [])] });
}

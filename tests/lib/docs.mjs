// Code that stands in the documents, so that tests run the very words that users copy.

import fs from 'node:fs';
import path from 'node:path';
import { ROOT } from './paths.mjs';

/** The one fenced block of `document` (a path from the root of the tree) that holds `text`. */
export function snippet(document, text) {
    const blocks = [...fs.readFileSync(path.join(ROOT, document), 'utf8').matchAll(/^```\w*\n(.*?)^```$/gms)].map(([, code]) => code);
    const found = blocks.filter((code) => code.includes(text));
    if (found.length !== 1) throw new Error(`${document} has ${found.length} code blocks with ${text}, not 1`);
    return found[0];
}

// The clients of page.html, driven from a test, with the face of node_clients.mjs.

import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { snippet } from './docs.mjs';

const here = path.dirname(fileURLToPath(import.meta.url));
const library = path.join(here, '../node_modules/@microsoft/fetch-event-source/lib/esm');

/** What NGINX is to serve for page.html. */
export function pageFiles() {
    const files = { 'page.html': fs.readFileSync(path.join(here, 'page.html')) };
    // Made for bundlers: its imports name files without their extension.
    for (const name of ['index.js', 'fetch.js', 'parse.js']) {
        const text = fs.readFileSync(path.join(library, name), 'utf8');
        files[`fetch-event-source/${name}`] = text.replace(/ from '(\.\/\w+)'/g, " from '$1.js'");
    }
    files['fetch-event-source/words.js'] = snippet('docs/subscribing.md', 'fetchEventSource(').replace(/^import .*$/gm, '');
    return files;
}

let count = 0;

/** `kind`: EventSource or fetchEventSource. */
export async function connectInPage(page, kind, url, types = ['message']) {
    const name = `s${++count}`;
    await page.waitForFunction(() => window.ready);
    await page.evaluate(([kind, name, url, types]) => window.connect[kind](name, url, types), [kind, name, url, types]);
    const ask = (what) => page.evaluate(([name, what]) => {
        const value = window.streams[name][what];
        return typeof value === 'function' ? value() : value;
    }, [name, what]);
    return { events: () => ask('events'), state: () => ask('state'), opens: () => ask('opens'), close: () => ask('close') };
}

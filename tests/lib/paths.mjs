// Where things are. SSE_BUILD names the build under test (build, build/address, build/thread).

import path from 'node:path';
import { fileURLToPath } from 'node:url';

export const ROOT = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');
export const BUILD = path.resolve(ROOT, process.env.SSE_BUILD ?? 'build');
export const LOGS = path.resolve(ROOT, process.env.SSE_TEST_LOGS ?? 'build/test-logs/by-hand');
export const GATEWAY = path.join(BUILD, 'sse-gateway');
export const PUBLISH = path.join(BUILD, 'sse-publish');

/** The folder of one test's logs: the same for the test that writes and for the reporter that shows. */
export function logFolder(file, test) {
    const name = path.basename(file).replace(/\.test\.mjs$/, '');
    return path.join(LOGS, name, slug(test));
}

function slug(text) {
    return text.toLowerCase().replace(/[^a-z0-9]+/g, '-').replace(/^-|-$/g, '').slice(0, 80) || 'test';
}

// The function library `sse`, as the build puts it into the programs: the files of common/sse/ in the order of their names.

import fs from 'node:fs';
import path from 'node:path';
import { ROOT } from './paths.mjs';

const folder = path.join(ROOT, 'common/sse');
const files = fs.readdirSync(folder).filter((name) => name.endsWith('.lua')).sort();

export const LIBRARY = files.map((name) => fs.readFileSync(path.join(folder, name), 'utf8')).join('');
/** What FCALL_RO sse_version answers once LIBRARY is loaded. */
export const LIBRARY_VERSION = Number(LIBRARY.match(/^local VERSION = (\d+)$/m)[1]);
/** For EVAL, with the keys and arguments of sse_publish. */
export const SCRIPT = LIBRARY.slice(LIBRARY.indexOf('\n') + 1);
/** Version 4: what gateways and publishers before batches, ends, keys and snapshots load. */
export const LIBRARY_4 = fs.readFileSync(path.join(ROOT, 'tests/fixtures/sse-4.lua'), 'utf8');

// The gateway and the command as they were before version 5 of the function library, built from the history of this
// repository: what runs beside the new ones while a tier is upgraded.

import fs from 'node:fs';
import path from 'node:path';
import { command } from './command.mjs';
import { ROOT } from './paths.mjs';

const FOLDER = path.join(ROOT, 'build/old');
const NEEDED = ['Makefile', 'common', 'deploy', 'gateway', 'publisher-cli'];
const BUILD_MS = 240000;

/**
 * Resolves to { gateway, publish }, two programs, or to { why } where there is no history to build them from. What was built
 * once is there for the next run.
 */
export async function oldBuild() {
    const commit = await lastOfVersion4();
    if (!commit) return { why: 'this is no clone of the repository with its history before version 5 of the library' };
    const folder = path.join(FOLDER, commit.slice(0, 12));
    const old = { gateway: path.join(folder, 'build/sse-gateway'), publish: path.join(folder, 'build/sse-publish') };
    if (!fs.existsSync(old.gateway) || !fs.existsSync(old.publish)) await build(commit, folder);
    return old;
}

/** The commit before the one that made it version 5; undefined where it is not to be had. */
async function lastOfVersion4() {
    const found = await command('git', ['-C', ROOT, 'log', '--reverse', '--format=%P', '-Slocal VERSION = 5', '--', 'common/sse.lua']).catch(() => ({ code: 1 }));
    const commit = found.code === 0 && found.out.split(/\s/)[0];
    if (!commit) return undefined;
    const text = await command('git', ['-C', ROOT, 'show', `${commit}:common/sse.lua`]);
    return text.code === 0 && /^local VERSION = 4$/m.test(text.out) ? commit : undefined;
}

async function build(commit, folder) {
    fs.rmSync(folder, { recursive: true, force: true });
    fs.mkdirSync(folder, { recursive: true });
    // Variables of the make that runs the tests are not for this one.
    const script = 'git -C "$1" archive "$2" -- "${@:4}" | tar -x -C "$3"; unset MAKEFLAGS MFLAGS MAKELEVEL SANITIZER BUILD;'
        + ' make -C "$3" -j2 OPT=-O1 build/sse-gateway build/sse-publish';
    const made = await command('bash', ['-euo', 'pipefail', '-c', script, 'build', ROOT, commit, folder, ...NEEDED], { ms: BUILD_MS });
    if (made.code !== 0) throw new Error(`the build of ${commit}: ${made.err.slice(-2000)}`);
}

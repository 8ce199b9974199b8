// Host names that one process sees in place of this machine's: /etc/hosts of a mount namespace of its own.

import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { tempFolder } from './temp.mjs';

const within = (file) => ['unshare', '--mount', '--propagation', 'private', 'sh', '-c', 'mount --bind "$0" /etc/hosts && exec "$@"', file];

/** Why no process can have names of its own here; undefined where one can. */
export function noNames() {
    const [program, ...args] = [...within('/dev/null'), 'true'];
    const run = spawnSync(program, args, { encoding: 'utf8' });
    return run.status === 0 ? undefined : `mount namespaces are not to be had here (${run.error?.message ?? run.stderr.trim()})`;
}

export class Names {
    constructor(scope) {
        this.file = path.join(tempFolder(scope, 'names'), 'hosts');
        this.known = new Map([['localhost', ['127.0.0.1']]]);
        this.write();
    }

    /** The command that runs another one with these names. */
    get via() {
        return within(this.file);
    }

    /** From now on `name` is at `addresses`; without any, nobody knows it. */
    set(name, ...addresses) {
        this.known.set(name, addresses);
        this.write();
    }

    // In place: what is mounted is the file, not its name.
    write() {
        fs.writeFileSync(this.file, [...this.known].flatMap(([name, all]) => all.map((address) => `${address} ${name}\n`)).join(''));
    }
}

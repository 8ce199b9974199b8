// A network namespace with one link to this one: a client's machine, whose cable can be pulled.

import { spawnSync } from 'node:child_process';

const made = new Map(); // name of the namespace -> the link's end here, if any
process.on('exit', () => made.forEach(remove));
let count = 0;

function remove(link, name) {
    if (link) ip(['link', 'del', link]); // a namespace goes in the background: its link would stay for a while
    made.delete(name);
    return ip(['netns', 'del', name]);
}

function ip(args) {
    const run = spawnSync('ip', args, { encoding: 'utf8' });
    return { ok: run.status === 0, out: run.stdout ?? '', err: run.error?.message ?? run.stderr.trim() };
}

export function must(...args) {
    const { ok, out, err } = ip(args);
    if (!ok) throw new Error(`ip ${args.join(' ')}: ${err}`);
    return out;
}

/** `ip ARGS` with the end of the scope, at the latest with this process. */
export function removeWith(scope, ...args) {
    const undo = () => {
        process.removeListener('exit', undo);
        must(...args);
    };
    process.on('exit', undo);
    scope.defer(undo);
}

/** Why there can be no namespace with a link here; undefined where there can. */
export function noNetns() {
    const name = `sse-${process.pid}-try`;
    try {
        must('netns', 'add', name);
        made.set(name, undefined);
        must('-n', name, 'link', 'add', 'try0', 'type', 'veth', 'peer', 'name', 'try1');
        must('netns', 'exec', name, 'true');
        return undefined;
    } catch (error) {
        return `network namespaces are not to be had here (${error.message})`;
    } finally {
        if (made.has(name)) remove(undefined, name);
    }
}

export class Netns {
    /** `here` and `there`: the addresses of the link's two ends; `road`: another one of the end here. It all goes with the scope. */
    constructor(scope) {
        const tag = `${process.pid.toString(36)}-${count++}`;
        const link = `sse${tag}`;
        this.name = `sse-${tag}`;
        must('netns', 'add', this.name);
        made.set(this.name, link);
        scope.defer(() => {
            const { ok, err } = remove(link, this.name);
            if (!ok) throw new Error(`ip netns del ${this.name}: ${err}`);
        });
        must('link', 'add', link, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', this.name);
        const net = freeNet();
        this.here = `${net}.1`;
        this.there = `${net}.2`;
        this.road = `${net}.3`;
        for (const address of [this.here, this.road]) must('addr', 'add', `${address}/29`, 'dev', link);
        must('link', 'set', link, 'up');
        must('-n', this.name, 'link', 'set', 'lo', 'up');
        must('-n', this.name, 'addr', 'add', `${this.there}/29`, 'dev', 'eth0');
        this.link('up');
        // What comes from where no answer could go is dropped: so that a road can be closed both ways.
        must('netns', 'exec', this.name, 'sh', '-c', 'echo 1 >/proc/sys/net/ipv4/conf/all/rp_filter');
    }

    /** The command that runs another one there. */
    get via() {
        return ['ip', 'netns', 'exec', this.name];
    }

    link(state) {
        must('-n', this.name, 'link', 'set', 'eth0', state);
    }

    /** Nothing there reaches `road` any more, nor the other way round; all else stays as it is. */
    closeRoad() {
        must('-n', this.name, 'route', 'add', 'blackhole', `${this.road}/32`);
    }

    openRoad() {
        must('-n', this.name, 'route', 'del', 'blackhole', `${this.road}/32`);
    }
}

/** Three numbers of a net that nobody here uses, of those set aside for tests between networks (RFC 2544). */
export function freeNet() {
    const used = must('-4', '-o', 'addr');
    for (;;) {
        const net = `198.${18 + Math.floor(Math.random() * 2)}.${Math.floor(Math.random() * 256)}`;
        if (!used.includes(`inet ${net}.`)) return net;
    }
}

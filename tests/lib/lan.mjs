// A network of several machines, each a network namespace, and this one: a bridge with a cable to each.

import { freeNet, must, noNetns, removeWith } from './netns.mjs';

let count = 0;

/** Why there can be no such network here; undefined where there can. */
export function noLan() {
    const name = `sse${process.pid.toString(36)}try`;
    try {
        const why = noNetns();
        if (why) return why;
        must('link', 'add', name, 'type', 'bridge');
        must('link', 'del', name);
        return undefined;
    } catch (error) {
        return `bridges are not to be had here (${error.message})`;
    }
}

export class Lan {
    #hosts = 0;

    /** `here`: this machine's address; `spare`: one that is nobody's yet. It all goes with the scope. */
    constructor(scope) {
        this.scope = scope;
        this.tag = `${process.pid.toString(36)}b${count++}`;
        this.bridge = `sse${this.tag}`;
        must('link', 'add', this.bridge, 'type', 'bridge');
        removeWith(scope, 'link', 'del', this.bridge);
        this.net = freeNet();
        this.here = `${this.net}.1`;
        this.spare = `${this.net}.9`;
        must('addr', 'add', `${this.here}/28`, 'dev', this.bridge);
        must('link', 'set', this.bridge, 'up');
    }

    /** One more machine, in the manner of Netns: `there` is its address, `via` the command that runs another one there. */
    host() {
        const i = ++this.#hosts;
        const name = `sse-${this.tag}-${i}`;
        const cable = `${this.bridge}-${i}`;
        const there = `${this.net}.${i + 1}`;
        must('netns', 'add', name);
        removeWith(this.scope, 'netns', 'del', name);
        must('link', 'add', cable, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', name);
        removeWith(this.scope, 'link', 'del', cable);
        must('link', 'set', cable, 'master', this.bridge, 'up');
        must('-n', name, 'link', 'set', 'lo', 'up');
        must('-n', name, 'addr', 'add', `${there}/28`, 'dev', 'eth0');
        must('-n', name, 'link', 'set', 'eth0', 'up');
        return { name, there, via: ['ip', 'netns', 'exec', name], has: (address) => must('-n', name, '-4', '-o', 'addr').includes(`inet ${address}/`) };
    }
}

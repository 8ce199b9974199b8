// One process of a crowd (crowd.mjs): many streams over bare sockets, told by its parent what to do. The messages of such
// streams are numbers, each one more than the last.

import net from 'node:net';

const members = [];

class Member {
    status = 0; // of the answer; 0 until it is there
    ended = false;
    first = -1; // numbers of the first and the last event
    last = -1;
    broken = false; // an event out of order
    #rest = '';

    constructor(host, port, path) {
        const socket = (this.socket = net.connect({ host, port }, () => (this.connected = true)));
        socket.setEncoding('latin1');
        socket.write(`GET ${path} HTTP/1.1\r\nHost: ${host}:${port}\r\n\r\n`);
        socket.on('data', (text) => this.#take(text));
        socket.on('error', (error) => (this.error = error.code));
        socket.on('close', () => (this.ended = true));
    }

    #take(text) {
        const lines = (this.#rest + text).split('\n');
        this.#rest = lines.pop();
        for (const line of lines) {
            if (this.status === 0) this.status = Number(line.match(/^HTTP\/1\.1 (\d+)/)?.[1] ?? -1);
            else if (line.startsWith('data: ')) this.#takeNumber(Number(line.slice(6)));
        }
    }

    #takeNumber(number) {
        if (this.first < 0) this.first = number;
        else if (number !== this.last + 1) this.broken = true;
        this.last = number;
    }
}

function stats() {
    const count = (test) => members.filter(test).length;
    const errors = {};
    for (const { error } of members) if (error) errors[error] = (errors[error] ?? 0) + 1;
    return {
        asked: members.length,
        connected: count((m) => m.connected),
        open: count((m) => m.status === 200 && !m.ended),
        ended: count((m) => m.ended),
        broken: count((m) => m.broken),
        firsts: members.map((m) => m.first),
        lasts: members.map((m) => m.last),
        errors,
    };
}

const commands = {
    open({ count, host, port, path, from }) {
        for (let i = 0; i < count; i++) members.push(new Member(host, port, path.replace('%', from + i)));
    },
    close({ count }) {
        members.splice(0, count).forEach((m) => m.socket.destroy());
    },
    stats() {},
};

process.on('message', ({ id, name, ...options }) => {
    commands[name](options);
    process.send({ id, stats: stats() });
});
process.on('disconnect', () => process.exit());

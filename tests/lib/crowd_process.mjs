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

const BACK_MS = 5000; // until a slow client that was cut comes again
const TICKS = 20; // slices in which slow clients send their byte

/** Sends a request's head byte by byte, which never ends (slowloris); comes back where it is cut. */
class Slow {
    cuts = 0;
    #sent = 0;

    constructor(host, port) {
        Object.assign(this, { host, port });
        this.#connect();
    }

    #connect() {
        this.held = false;
        this.#sent = 0;
        this.socket = net.connect({ host: this.host, port: this.port }, () => (this.held = true));
        this.socket.on('data', () => {}).on('error', () => {});
        this.socket.on('close', () => {
            if (this.held) this.cuts++;
            this.held = false;
            setTimeout(() => this.#connect(), BACK_MS);
        });
    }

    drip() {
        const head = 'GET /stream?channel=a HTTP/1.1\r\nHost: slow\r\nX-';
        if (this.held) this.socket.write(head[this.#sent++] ?? 'x');
    }
}

const slow = [];
let tick = 0;

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
        held: slow.filter((s) => s.held).length,
        cuts: slow.reduce((sum, s) => sum + s.cuts, 0),
    };
}

const commands = {
    open({ count, host, port, path, from }) {
        for (let i = 0; i < count; i++) members.push(new Member(host, port, path.replace('%', from + i)));
    },
    close({ count }) {
        members.splice(0, count).forEach((m) => m.socket.destroy());
    },
    slow({ count, host, port, every }) {
        for (let i = 0; i < count; i++) slow.push(new Slow(host, port));
        setInterval(() => {
            for (let i = tick++ % TICKS; i < slow.length; i += TICKS) slow[i].drip();
        }, every / TICKS);
    },
    stats() {},
};

process.on('message', ({ id, name, ...options }) => {
    commands[name](options);
    process.send({ id, stats: stats() });
});
process.on('disconnect', () => process.exit());

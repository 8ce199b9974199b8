// A connection to Redis that never tries anything twice: whoever asked learns whether Redis answered, refused, or whether
// nobody knows (the connection was lost first).

import net from 'node:net';

export class Lost extends Error {}
export class Refused extends Error {}

export class Connection {
    #waiting = []; // those who wait for an answer, oldest first
    #bytes = Buffer.alloc(0);

    static open({ host = '127.0.0.1', port }, ms = 2000) {
        return new Promise((resolve, reject) => {
            const connection = new Connection();
            connection.address = `${host}:${port}`;
            const socket = (connection.socket = net.connect({ host, port, noDelay: true }));
            const timer = setTimeout(() => connection.lose(`no connection to ${host}:${port} within ${ms} ms`), ms);
            socket.once('connect', () => {
                clearTimeout(timer);
                connection.local = `${socket.localAddress}:${socket.localPort}`;
                resolve(connection);
            });
            socket.on('data', (bytes) => connection.#take(bytes));
            socket.on('error', (error) => connection.lose(error.message));
            socket.on('close', () => {
                clearTimeout(timer);
                connection.lose('closed');
                reject(new Lost(connection.why));
            });
        });
    }

    /** Sends a command; what is called before it is answered follows in the same order. */
    call(...args) {
        if (this.why) return Promise.reject(new Lost(this.why));
        const parts = args.map((arg) => {
            const bytes = Buffer.from(String(arg));
            return Buffer.concat([Buffer.from(`$${bytes.length}\r\n`), bytes, Buffer.from('\r\n')]);
        });
        return new Promise((resolve, reject) => {
            this.#waiting.push({ resolve, reject });
            this.socket.write(Buffer.concat([Buffer.from(`*${args.length}\r\n`), ...parts]));
        });
    }

    /** The same, but the connection is given up where there is no answer within `ms`. */
    async callWithin(ms, ...args) {
        const timer = setTimeout(() => this.lose(`no answer to ${args[0]} within ${ms} ms`), ms);
        return this.call(...args).finally(() => clearTimeout(timer));
    }

    lose(why = 'given up') {
        this.why ??= why;
        this.socket.destroy();
        for (const { reject } of this.#waiting.splice(0)) reject(new Lost(this.why));
    }

    #take(bytes) {
        this.#bytes = this.#bytes.length === 0 ? bytes : Buffer.concat([this.#bytes, bytes]);
        let at = 0;
        for (;;) {
            const reply = parse(this.#bytes, at);
            if (!reply) break;
            at = reply.end;
            const { resolve, reject } = this.#waiting.shift();
            if (reply.value instanceof Refused) reject(reply.value);
            else resolve(reply.value);
        }
        this.#bytes = this.#bytes.subarray(at);
    }
}

/** One reply of RESP2 at `at`: { value, end }, or null where it is not all there. */
function parse(bytes, at) {
    const line = bytes.indexOf('\r\n', at);
    if (line < 0) return null;
    const text = bytes.toString('utf8', at + 1, line);
    const end = line + 2;
    switch (String.fromCharCode(bytes[at])) {
    case '+': return { value: text, end };
    case '-': return { value: new Refused(text), end };
    case ':': return { value: Number(text), end };
    case '$': return parseBulk(bytes, Number(text), end);
    case '*': return parseArray(bytes, Number(text), end);
    default: throw new Error(`not RESP: ${JSON.stringify(bytes.toString('latin1', at, at + 40))}`);
    }
}

function parseBulk(bytes, length, at) {
    if (length < 0) return { value: null, end: at };
    if (bytes.length < at + length + 2) return null;
    return { value: bytes.toString('utf8', at, at + length), end: at + length + 2 };
}

function parseArray(bytes, length, at) {
    if (length < 0) return { value: null, end: at };
    const value = [];
    for (let i = 0; i < length; i++) {
        const reply = parse(bytes, at);
        if (!reply) return null;
        value.push(reply.value);
        at = reply.end;
    }
    return { value, end: at };
}

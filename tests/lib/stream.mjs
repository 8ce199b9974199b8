// One event stream over a bare socket. Light enough for thousands, and strict: the framing, the UTF-8 and the end of the
// stream are checked, not repaired.

import net from 'node:net';
import tls from 'node:tls';
import { ChunkedDecoder } from './chunked.mjs';
import { SseDecoder } from './sse_decoder.mjs';
import { until, within } from './wait.mjs';

export class Stream {
    status = 0;
    headers = {};
    events = [];
    /** How it ended: undefined while open, 'clean' (last chunk, then FIN; or all of its length), 'cut' (FIN or RST before that), 'closed' (by us). */
    end = undefined;
    /** What was wrong with the bytes, if anything: a broken framing, invalid UTF-8, a NUL. */
    fault = undefined;
    /** Payload of each chunk and all bytes of the body, where `keep` was asked for. */
    chunks = [];
    body = '';

    #head = Buffer.alloc(0);
    #listensToOpen = false; // as a page does not: gateway:open is left out where it was not asked for
    #decoder = new SseDecoder((event) => this.#event(event));
    #strict = new TextDecoder('utf-8', { fatal: true });
    #chunked = null;
    #left = NaN; // bytes of a body with a Content-Length
    #chunk = [];

    /**
     * Connects and asks for `path`. `keep`: keep chunks and body. `tls`: options of tls.connect, for TLS. `from`: the address that it connects from. `onEvent`: takes the events instead of the list.
     * Resolves when the head of the answer is there.
     */
    static async open(port, path, { headers = {}, host = '127.0.0.1', ms = 30000, ...options } = {}) {
        const stream = new Stream();
        Object.assign(stream, options);
        const lines = Object.entries({ Host: `${host}:${port}`, Accept: 'text/event-stream', ...headers }).map(([k, v]) => `${k}: ${v}\r\n`);
        stream.start(port, host, `GET ${path} HTTP/1.1\r\n${lines.join('')}\r\n`);
        await within(ms, `an answer to GET ${path}`, stream.answered);
        return stream;
    }

    /** `lastEventId`: of the connection before, as an event source keeps it. `onFault`, where set, is told of what breaks the stream. */
    start(port, host, request, lastEventId = '') {
        this.#listensToOpen = request.includes('control=1');
        this.#decoder.resume(lastEventId);
        this.answered = new Promise((resolve, reject) => Object.assign(this, { resolve, reject }));
        this.closed = new Promise((resolve) => (this.onClosed = resolve));
        this.answered.catch(() => {});
        const connect = this.tls ? tls.connect : net.connect;
        const socket = (this.socket = connect({ port, host, localAddress: this.from, noDelay: true, ...this.tls }, () => socket.write(request)));
        socket.on('data', (bytes) => this.#take(bytes));
        socket.on('end', () => this.#ended());
        socket.on('error', (error) => this.#ended(error));
        socket.on('close', () => this.#ended());
    }

    #event(event) {
        if (event.type === 'gateway:open' && !this.#listensToOpen) return;
        if (this.onEvent) this.onEvent(event);
        else this.events.push(event);
    }

    get retry() {
        return this.#decoder.retry;
    }

    get lastEventId() {
        return this.#decoder.lastEventId;
    }

    get open() {
        return this.end === undefined;
    }

    get gateway() {
        return this.headers['x-sse-gateway'];
    }

    close() {
        this.end ??= 'closed';
        this.socket.destroy();
    }

    /** Resolves when `count` events are there; throws where the stream ends or breaks before. */
    async count(count, options) {
        await until(`${count} events`, () => {
            if (this.fault) throw fatal(this.fault);
            if (this.events.length >= count) return true;
            if (!this.open) throw fatal(`the stream ended (${this.end}) after ${this.events.length} of ${count} events`);
            throw new Error(`${this.events.length} events`);
        }, options);
        return this.events;
    }

    async ended(ms = 15000) {
        await within(ms, 'the end of the stream', this.closed);
        return this.end;
    }

    #take(bytes) {
        if (this.fault) return;
        try {
            if (this.status === 0) bytes = this.#takeHead(bytes);
            if (bytes.length > 0) this.#chunked ? this.#chunked.push(bytes) : this.#payload(bytes);
            if (this.#chunked || this.status === 0) return;
            this.#left -= bytes.length; // not a number where the answer has no length
            if (this.#left === 0) setImmediate(() => this.#ended()); // NGINX would wait for another request
        } catch (error) {
            this.fault = error.message;
            this.reject(error);
            this.onFault?.(error);
        }
    }

    #takeHead(bytes) {
        this.#head = Buffer.concat([this.#head, bytes]);
        const end = this.#head.indexOf('\r\n\r\n');
        if (end < 0) return Buffer.alloc(0);
        const [first, ...lines] = this.#head.subarray(0, end).toString('latin1').split('\r\n');
        for (const line of lines) {
            const colon = line.indexOf(':');
            this.headers[line.slice(0, colon).toLowerCase()] = line.slice(colon + 1).trim();
        }
        this.status = Number(first.split(' ')[1]);
        if (this.headers['transfer-encoding'] === 'chunked') {
            this.#chunked = new ChunkedDecoder({
                data: (part) => this.#payload(part),
                chunk: () => this.#wholeChunk(),
                // A connection that stays open for more requests (NGINX does that) ends its stream here.
                last: () => /close/i.test(this.headers.connection ?? '') || setImmediate(() => this.#ended()),
            });
        }
        else this.#left = Number(this.headers['content-length'] ?? NaN);
        const rest = this.#head.subarray(end + 4);
        this.#head = null;
        this.resolve(this);
        return rest;
    }

    #payload(bytes) {
        if (bytes.includes(0)) throw new Error('a NUL in the stream');
        const text = this.#strict.decode(bytes, { stream: true }); // throws where it is not UTF-8
        if (this.keep) {
            this.body += text;
            this.#chunk.push(Buffer.from(bytes));
        }
        this.#decoder.push(bytes);
    }

    #wholeChunk() {
        if (!this.keep) return;
        this.chunks.push(Buffer.concat(this.#chunk));
        this.#chunk = [];
    }

    #ended(error) {
        this.end ??= !error && (this.#chunked?.done || this.#left === 0) ? 'clean' : 'cut';
        this.socket.destroy();
        this.reject(error ?? new Error('the connection ended before the answer'));
        this.onClosed();
    }
}

function fatal(message) {
    return Object.assign(new Error(message), { fatal: true });
}

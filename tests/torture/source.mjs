// What an EventSource does: connects, keeps the last id, comes back. And a verdict on what it got of numbered events.

import { Stream } from '../lib/stream.mjs';
import { sleep } from '../lib/wait.mjs';

const FIRST_RETRY_MS = 100;

export class Source {
    /** What no stream may do. */
    faults = [];
    /** channel -> the newest number that came. */
    newest = new Map();
    /** What it did and got, for whoever looks for a fault. */
    diary = [];
    lastEventId = '';
    opened = 0;

    #next = new Map(); // channel -> the number that has to come; undefined: any
    #told = new Set(); // channels with a gap since their last event
    #wanted = false;
    #began = false;
    #retry = FIRST_RETRY_MS;

    /** `durable` and `plain`: its channels. `query`: what its URL has beside them; `headers`: lines of its head; `tls`: options of tls.connect, for TLS. */
    constructor(port, { durable = [], plain = [], query = '', headers = '', tls }) {
        Object.assign(this, { port, durable, plain, headers, tls });
        this.channels = [...durable, ...plain];
        this.path = `/stream?${this.channels.map((c) => `channel=${c}`).join('&')}${query}`;
    }

    start() {
        this.#wanted = true;
        this.done = this.#run();
        return this;
    }

    /** Does not come back any more. */
    leave() {
        this.#wanted = false;
    }

    async stop() {
        this.leave();
        this.stream?.close();
        await this.done;
    }

    /** A stream, and no refusal, is there: it began with gateway:open (which Stream leaves out without &control=1, but for its id). */
    get open() {
        return this.stream?.open && (this.#began || this.stream.lastEventId !== '');
    }

    async #run() {
        while (this.#wanted) {
            await this.#connect();
            if (this.#wanted) await sleep(Math.min(this.#retry, 1000));
        }
    }

    async #connect() {
        const stream = (this.stream = Object.assign(new Stream(), { tls: this.tls }));
        stream.onEvent = (event) => this.#take(event);
        stream.onFault = (error) => {
            this.#fault(`a broken stream: ${error.message}`);
            stream.close();
        };
        // Plain events of the time between two streams are not owed, nor durable ones to a client that was told no id.
        for (const channel of this.lastEventId ? this.plain : this.channels) this.#next.delete(channel);
        this.#told.clear();
        this.#began = false;
        this.diary.push(`connects with '${this.lastEventId}'`);
        const id = this.lastEventId ? `Last-Event-ID: ${this.lastEventId}\r\n` : '';
        stream.start(this.port, '127.0.0.1', `GET ${this.path} HTTP/1.1\r\nHost: torture\r\nAccept: text/event-stream\r\n${this.headers}${id}\r\n`, this.lastEventId);
        await stream.answered.then(() => this.#answered(stream), (error) => this.diary.push(`no answer: ${error.message}`));
        await stream.closed;
        this.lastEventId = stream.lastEventId;
        this.#retry = stream.retry ?? this.#retry;
        this.diary.push(`ended: ${stream.end}`);
    }

    #answered(stream) {
        this.opened++;
        if (stream.status === 200 && stream.headers['content-type']?.startsWith('text/event-stream')) return;
        this.#fault(`an answer that ends an EventSource for good: ${stream.status}`);
        stream.close();
    }

    #take({ type, data }) {
        this.diary.push(type === 'message' ? data : `${type} ${data}`);
        if (type === 'gateway:gap') this.#told.add(JSON.parse(data).channel);
        this.#began ||= type === 'gateway:open';
        if (type.startsWith('gateway:')) return;
        const [channel, text] = data.split(' ');
        const number = Number(text);
        const next = this.#next.get(channel);
        if (!this.channels.includes(channel) || !(number > 0)) this.#fault(`an event that nobody published: ${data}`);
        else if (next && number < next) this.#fault(`${channel} ${number} came again, or late`);
        else if (next && number > next && !this.#told.has(channel)) this.#fault(`${channel} ${number} came after ${next - 1}, and no gap was told`);
        this.#told.delete(channel);
        this.#next.set(channel, number + 1);
        this.newest.set(channel, number);
    }

    #fault(what) {
        this.diary.push(`!!! ${what}`);
        this.faults.push(what);
    }
}

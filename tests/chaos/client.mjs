// What an EventSource does, and notes of all that it got: connects, keeps the last id, comes back after the time it was told.

import { Stream } from '../lib/stream.mjs';
import { sleep } from '../lib/wait.mjs';
import { numberIn } from './history.mjs';

const FIRST_RETRY_MS = 500;

export class Client {
    /**
     * channel -> { number, at } of each event, { gap, at } of each gateway:gap, { ended: true, at } of each gateway:end, as they came; with the number of the stream.
     * Where a number is missing before an event: had, the last event id before that.
     */
    got = new Map();
    /** What it did, for whoever looks for a fault: connected, to which gateway, with which id, how it ended. */
    diary = [];
    /** What no stream may do: { at, what } */
    faults = [];
    connects = 0;
    /** The numbers of the streams that ended cleanly. */
    clean = new Set();
    cuts = 0; // streams of a gateway that it did not end itself
    lastEventId = '';

    #wanted = false;
    #wake = () => {};
    #retry = FIRST_RETRY_MS;
    #newest = new Map(); // channel -> { number, id } of the last event

    /** `onEvent(client, channel, number, at)`: for each event, where it is given. */
    constructor({ name, port, channels, random, onEvent = () => {} }) {
        Object.assign(this, { name, port, channels, random, onEvent });
        for (const channel of channels) this.got.set(channel, []);
        this.path = `/stream?${channels.map((c) => `channel=${c}&`).join('')}control=1&last_event_id=earliest`;
    }

    start() {
        this.#wanted = true;
        this.wantedSince = performance.now();
        this.done = this.#run();
    }

    async stop() {
        this.#wanted = false;
        this.stream?.close();
        this.#wake();
        await this.done;
    }

    /** The newest number that it has of a channel. */
    newest(channel) {
        return this.got.get(channel).findLast((item) => item.number)?.number ?? 0;
    }

    async #run() {
        while (this.#wanted) {
            await this.#connect();
            if (!this.#wanted) return;
            await Promise.race([sleep(this.#retry * this.random.between(1, 1.3)), new Promise((resolve) => (this.#wake = resolve))]);
        }
    }

    async #connect() {
        const stream = (this.stream = new Stream());
        stream.onEvent = (event) => this.#take(event);
        stream.onFault = (error) => {
            this.#fault(`broken stream: ${error.message}`);
            stream.close();
        };
        this.connects++;
        const id = this.lastEventId === '' ? '' : `Last-Event-ID: ${this.lastEventId}\r\n`;
        stream.start(this.port, '127.0.0.1', `GET ${this.path} HTTP/1.1\r\nHost: chaos\r\nAccept: text/event-stream\r\n${id}\r\n`, this.lastEventId);
        const note = { id: this.lastEventId, at: performance.now(), ...this.onTry() };
        this.diary.push(note);
        await stream.answered.then(() => this.#answered(stream, note), (error) => (note.error = error.message));
        await stream.closed;
        note.ended = performance.now();
        note.end = stream.end;
        if (stream.gateway && stream.end !== 'closed') this.cuts++;
        if (stream.end === 'clean') this.clean.add(this.connects);
        this.lastEventId = stream.lastEventId;
        this.#retry = stream.retry ?? this.#retry;
    }

    #answered(stream, note) {
        note.gateway = stream.gateway ?? 'nginx';
        note.status = stream.status;
        if (this.onAnswer(stream, note)) {
            this.#wanted = false;
            return stream.close();
        }
        const type = stream.headers['content-type'];
        if (stream.status === 200 && type?.startsWith('text/event-stream')) return;
        this.#fault(`an answer that ends an EventSource for good: ${stream.status} ${type}`);
        stream.close();
    }

    #take({ type, data, lastEventId }) {
        const at = performance.now();
        if (type === 'gateway:gap') return this.#takeGap(JSON.parse(data), at);
        if (type === 'gateway:end') return this.#takeEnd(JSON.parse(data), at);
        if (type.startsWith('gateway:')) return (this.diary.at(-1)[type] = data);
        const channel = data.slice(0, data.indexOf(' '));
        const number = this.got.has(channel) ? numberIn(channel, data) : NaN;
        if (Number.isNaN(number)) return this.#fault(`an event that nobody published: ${JSON.stringify(data.slice(0, 100))}`);
        const before = this.#newest.get(channel);
        this.got.get(channel).push({ number, at, stream: this.connects, ...(number !== before?.number + 1 && { had: before?.id }) });
        this.#newest.set(channel, { number, id: lastEventId });
        this.onNumber();
        this.onEvent(this, channel, number, at);
    }

    #takeGap(gap, at) {
        if (this.got.has(gap.channel)) this.got.get(gap.channel).push({ gap, at, stream: this.connects });
        else this.#fault(`gateway:gap of a channel that is not its own: ${JSON.stringify(gap)}`);
    }

    #takeEnd({ channel }, at) {
        if (this.got.has(channel)) this.got.get(channel).push({ ended: true, at, stream: this.connects });
        else this.#fault(`gateway:end of a channel that is not its own: ${channel}`);
    }

    /** For a reader of channels that end: what it notes of a try, whether an answer ends it for good, and what it does at an event. */
    onTry() {}

    onAnswer() {
        return false;
    }

    onNumber() {}

    #fault(what) {
        this.faults.push({ at: performance.now(), what });
    }
}

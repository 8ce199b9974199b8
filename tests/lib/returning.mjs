// Streams that come back as an EventSource does, many of them, each on one durable channel whose events are numbers from 1
// on: what each of them got, and how often it was moved.

import { Stream } from './stream.mjs';
import { countBy } from './streams.mjs';
import { sleep } from './wait.mjs';

const FIRST_RETRY_MS = 500;
const AT_ONCE = 100; // connects in flight at the start

class Returning {
    last = 0; // number of the newest event
    moves = 0; // ends for `rebalance`
    faults = [];
    #stopped = false;
    #retry = FIRST_RETRY_MS;
    #lastEventId = '';

    constructor(port, channel) {
        Object.assign(this, { port, channel });
    }

    async run() {
        for (;;) {
            const stream = (this.stream = new Stream());
            stream.onEvent = (event) => this.#take(event);
            stream.onFault = (error) => this.faults.push(error.message);
            const id = this.#lastEventId && `Last-Event-ID: ${this.#lastEventId}\r\n`;
            stream.start(this.port, '127.0.0.1', `GET /stream?channel=${this.channel}&last_event_id=earliest&control=1 HTTP/1.1\r\nHost: a\r\n${id}\r\n`, this.#lastEventId);
            stream.answered.then(() => this.onOpen?.(), () => {});
            await stream.closed;
            if (this.#stopped) return;
            if (stream.gateway && stream.end !== 'clean') this.faults.push(`a stream ended ${stream.end}`);
            this.#lastEventId = stream.lastEventId;
            this.#retry = stream.retry ?? this.#retry;
            await sleep(this.#retry);
            if (this.#stopped) return;
        }
    }

    #take({ type, data }) {
        if (type === 'gateway:close' && JSON.parse(data).reason === 'rebalance') this.moves++;
        if (type === 'gateway:gap') this.faults.push(`gateway:gap ${data}`);
        if (type !== 'message') return;
        if (Number(data) !== this.last + 1) this.faults.push(`${data} after ${this.last}`);
        this.last = Number(data);
    }

    stop() {
        this.#stopped = true;
        this.stream?.close();
    }
}

export class Fleet {
    members = [];

    /** Opens `count` streams at `port`, and resolves when all are open; member i has `channels[i % channels.length]`. */
    static async open(scope, port, count, channels) {
        const fleet = new Fleet();
        scope.defer(() => fleet.members.forEach((member) => member.stop()));
        let next = 0;
        const worker = async () => {
            while (next < count) {
                const member = new Returning(port, channels[next++ % channels.length]);
                fleet.members.push(member);
                const open = new Promise((resolve) => (member.onOpen = resolve));
                member.run();
                await open;
            }
        };
        await Promise.all(Array.from({ length: AT_ONCE }, worker));
        return fleet;
    }

    /** Open streams of each gateway, by its id. */
    counts() {
        return countBy(this.members.filter(({ stream }) => stream.open && stream.gateway).map(({ stream }) => stream.gateway));
    }

    get open() {
        return this.members.filter(({ stream }) => stream.open && stream.gateway).length;
    }

    get moved() {
        return this.members.reduce((sum, { moves }) => sum + moves, 0);
    }

    get mostMoves() {
        return Math.max(...this.members.map(({ moves }) => moves));
    }

    get faults() {
        return this.members.flatMap(({ faults, channel }) => faults.map((fault) => `${channel}: ${fault}`));
    }
}

/** Publishes 1, 2, 3 .. to each of `channels`, `rate` times a second, until stop(). `client`: of durable.mjs connect(). */
export class Numbers {
    #last = 0;
    #running = true;

    constructor(publish, channels, rate) {
        this.done = (async () => {
            while (this.#running) {
                this.#last++;
                await Promise.all(channels.map((channel) => publish(channel, String(this.#last))));
                await sleep(1000 / rate);
            }
        })();
    }

    get last() {
        return this.#last;
    }

    async stop() {
        this.#running = false;
        await this.done;
        return this.#last;
    }
}

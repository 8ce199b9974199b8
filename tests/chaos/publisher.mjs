// Publishes numbered durable events on one channel, one batch at a time. It never sends an event twice: one whose outcome
// is unknown stays unknown, and nothing newer is sent until it can no longer be carried out.

import { ACKED, eventText, MAYBE, REFUSED } from './history.mjs';
import { ANSWER_MS, ELSEWHERE, inShort, Link, NOT_DONE } from './link.mjs';
import { Lost, Refused } from './resp.mjs';

const IDLE_MS = 1000;

export class Publisher {
    #asked = []; // bursts that somebody wants
    #wake = () => {};
    #link;
    #stopped = false;
    /** True: publishes only what `burst` asks for. */
    resting = false;
    errors = new Map(); // what Redis said -> how often

    /** `rate`: batches a second. `shape` knows where the channel's events go to. `options`: of the function, as it takes them. */
    constructor({ shape, channel, history, random, rate, options }) {
        Object.assign(this, { shape, channel, history, random, rate, options });
        this.#link = new Link({ shape, channel, kills: true });
    }

    start() {
        this.done = this.#run();
    }

    async stop() {
        this.#stopped = true;
        this.#wake();
        await this.done;
        this.#link.lose();
    }

    /**
     * Publishes `count` events at once, as soon as it can; resolves when their outcomes are known. `together`: in one
     * transaction, so that Redis writes to no subscriber before the last of them.
     */
    burst(count, size, { together = false } = {}) {
        return new Promise((resolve) => {
            this.#asked.push({ count, size, together, resolve });
            this.#wake();
        });
    }

    async #run() {
        while (!this.#stopped || this.#asked.length > 0) {
            if (this.#asked.length === 0) await this.#pause(this.resting ? IDLE_MS : -Math.log(1 - this.random.next()) * 1000 / this.rate);
            if (this.resting && this.#asked.length === 0) continue;
            const { count, size, together, resolve } = this.#asked.shift() ?? this.#usual();
            await this.#publish(count, size, together);
            resolve?.();
        }
    }

    #usual() {
        return { count: this.random.chance(0.1) ? this.random.int(2, 20) : 1, size: this.random.chance(0.02) ? 3000 : this.random.int(0, 100) };
    }

    async #pause(ms) {
        let timer;
        await new Promise((resolve) => {
            this.#wake = resolve;
            timer = setTimeout(resolve, ms);
        });
        clearTimeout(timer);
    }

    async #publish(count, size, together) {
        const connection = await this.#link.get(() => this.#stopped);
        if (!connection) return;
        const timer = setTimeout(() => connection.lose('no answer to a publish'), ANSWER_MS);
        const calls = together ? this.#sendTogether(connection, count, size) : Array.from({ length: count }, () => this.#send(connection, size));
        const safe = this.shape.replicas > 0 ? connection.call('WAIT', 1, 1000).catch(() => 0) : 1;
        await Promise.all(calls.map(({ event, answer }) => answer.then(async ([id]) => {
            event.id = id;
            // What no replica has, a failover may lose: not acknowledged in the sense of a publisher who cares.
            event.state = (await safe) ? ACKED : MAYBE;
        }, (error) => this.#failed(event, error))));
        clearTimeout(timer);
    }

    #send(connection, size) {
        const number = this.history.next(this.channel);
        const type = number % 3 === 0 ? 'tick' : '';
        const answer = connection.call('FCALL', 'sse_publish', 1, this.channel, eventText(this.channel, number, size), type, '', ...this.options);
        return { event: this.history.event(this.channel, number), answer };
    }

    /** The same as `count` sends; the answers come with the one to EXEC. */
    #sendTogether(connection, count, size) {
        const begun = connection.call('MULTI').catch((error) => Promise.reject(new Lost(error.message))); // then they may have been done one by one
        const queued = Array.from({ length: count }, () => this.#send(connection, size));
        const done = connection.call('EXEC');
        // What Redis refuses it refuses at once, with the reason; the answer to EXEC only says that there was one.
        const answers = Promise.all([done, begun, ...queued.map(({ answer }) => answer)].reverse()).then((all) => all.at(-1));
        return queued.map(({ event }, i) => ({ event, answer: answers.then((all) => valueOf(all[i])) }));
    }

    #failed(event, error) {
        if (!(error instanceof Refused)) return; // nobody knows
        const said = inShort(error.message);
        this.errors.set(said, (this.errors.get(said) ?? 0) + 1);
        if (NOT_DONE.test(error.message)) event.state = REFUSED;
        if (ELSEWHERE.test(error.message)) this.#link.lose(error.message);
    }
}

/** One of the answers to EXEC: it holds what was refused among the others. */
function valueOf(answer) {
    if (answer instanceof Refused) throw answer;
    return answer;
}

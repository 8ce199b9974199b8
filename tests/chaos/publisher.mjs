// Publishes numbered durable events on one channel, one batch at a time. It never sends an event twice: one whose outcome
// is unknown stays unknown, and nothing newer is sent until it can no longer be carried out.

import { LIBRARY } from '../lib/library.mjs';
import { sleep } from '../lib/wait.mjs';
import { ACKED, eventText, MAYBE, REFUSED } from './history.mjs';
import { Connection, Lost, Refused } from './resp.mjs';

const ANSWER_MS = 4000;
const IDLE_MS = 1000;
const NOT_DONE = /^(LOADING|READONLY|MOVED|ASK|TRYAGAIN|CLUSTERDOWN|MASTERDOWN|NOREPLICAS|OOM|MISCONF|BUSY|ERR Function not found)/;
const ELSEWHERE = /^(LOADING|READONLY|MOVED|CLUSTERDOWN|MASTERDOWN|ERR Function not found)/;

export class Publisher {
    #asked = []; // bursts that somebody wants
    #wake = () => {};
    #connection = null;
    #stopped = false;
    /** True: publishes only what `burst` asks for. */
    resting = false;
    errors = new Map(); // what Redis said -> how often

    /** `rate`: batches a second. `shape` knows where the channel's events go to. `options`: of the function, as it takes them. */
    constructor({ shape, channel, history, random, rate, options }) {
        Object.assign(this, { shape, channel, history, random, rate, options });
    }

    start() {
        this.done = this.#run();
    }

    async stop() {
        this.#stopped = true;
        this.#wake();
        await this.done;
        this.#connection?.lose();
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
        const connection = await this.#connected();
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
        const said = error.message.replace(/^(MOVED|ASK) .*/, '$1').split(' ').slice(0, 12).join(' ');
        this.errors.set(said, (this.errors.get(said) ?? 0) + 1);
        if (NOT_DONE.test(error.message)) event.state = REFUSED;
        if (ELSEWHERE.test(error.message)) this.#connection.lose(error.message);
    }

    /** The connection, made again where it was lost; null where the publisher is to stop before there is one. */
    async #connected() {
        while (!this.#connection || this.#connection.why) {
            try {
                this.#connection = await this.#connect(this.#connection);
            } catch (error) {
                if (!(error instanceof Lost) && !(error instanceof Refused)) throw error;
                if (this.#stopped) return null;
                await sleep(50);
            }
        }
        return this.#connection;
    }

    async #connect(old) {
        const connection = await Connection.open(await this.shape.owner(this.channel));
        try {
            // What an old connection still has in a buffer of Redis must not come after what this one sends.
            if (old?.address === connection.address) await connection.callWithin(ANSWER_MS, 'CLIENT', 'KILL', 'ADDR', old.local).catch(noSuchClient);
            await connection.callWithin(ANSWER_MS, 'FCALL_RO', 'sse_version', 0)
                .catch(() => connection.callWithin(ANSWER_MS, 'FUNCTION', 'LOAD', 'REPLACE', LIBRARY));
            return connection;
        } catch (error) {
            connection.lose();
            throw error;
        }
    }
}

/** One of the answers to EXEC: it holds what was refused among the others. */
function valueOf(answer) {
    if (answer instanceof Refused) throw answer;
    return answer;
}

function noSuchClient(error) {
    if (!/^ERR No such client/.test(error.message)) throw error;
}

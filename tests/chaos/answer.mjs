// One channel that ends: the answer of a model as a worker streams it, in batches, and those who read it. It may begin again
// after its end, which is another life of its channel.

import { sleep } from '../lib/wait.mjs';
import { ACKED, MAYBE } from './history.mjs';
import { Link } from './link.mjs';
import { Lost, Refused } from './resp.mjs';
import { DONE, FENCED, newestEntry, STOPPED, Writer } from './writer.mjs';

const END_SECONDS = 86400;
const RIVAL_CHANCE = 0.08; // before a batch of a fenced answer
const SNAPSHOT_CHANCE = 0.2; // of a batch of an answer with snapshots

export class Answer {
    life = 0;
    readers = [];
    /** When Redis was found to have forgotten that it had ended: { from, to }. */
    forgotten = [];

    #ended; // when its writer learned of it

    /** `options`: { shape, channel, history, random, counts, errors, isStopped, pauseMs: between two batches }. */
    constructor(options) {
        Object.assign(this, options);
        const { random } = options;
        this.fenced = random.chance(0.5);
        this.snapshots = random.chance(0.4);
        this.bounds = !this.snapshots && random.chance(0.3) ? random.pick([['maxlen', 30], ['maxbytes', 4000]]) : ['maxlen', 1000000];
        this.history.add(this.channel, this.bounds[0] === 'maxlen' ? this.bounds[1] : 0);
    }

    /** The number of its last event, where it has ended and has not begun again; else 0. */
    get end() {
        return this.#ended === undefined ? 0 : this.history.newest(this.channel, ({ end }) => end);
    }

    get kind() {
        return [this.fenced ? 'after' : 'key', this.snapshots && 'snapshots', this.bounds.join(' ')].filter(Boolean).join(', ');
    }

    /** Publishes one life of the channel: `batches` of them, the last with the end. `onBatch(left)` is called before each. */
    async write(batches, onBatch = () => {}) {
        await this.#isForgotten(); // before this life hides it
        this.#ended = undefined;
        this.life++;
        let writer = await this.#newWriter();
        for (let left = batches; left > 0;) {
            await sleep(this.random.between(0, 2 * this.pauseMs));
            onBatch(left);
            if (this.fenced && left > 1 && this.random.chance(RIVAL_CHANCE)) writer = await this.#contest(writer);
            const outcome = await this.#append(writer, left === 1);
            if (outcome === STOPPED) break;
            if (outcome === DONE) left--;
            else writer = await this.#replaced(writer);
        }
        writer.lose();
        if (!this.isStopped()) this.#ended = performance.now();
    }

    /** Another writer takes the channel over while the old one goes on: no more than one of them may get its batch in. */
    async #contest(writer) {
        const rival = await this.#newWriter();
        const outcomes = await Promise.all([writer, rival].map((each) => this.#append(each, false)));
        if (outcomes.every((outcome) => outcome === DONE)) this.onFault(`two writers have both appended behind the same event of ${this.channel}`);
        this.counts.rivals++;
        if (outcomes[1] === DONE) {
            writer.lose();
            return rival;
        }
        rival.lose();
        return outcomes[0] === FENCED ? this.#replaced(writer) : writer;
    }

    #replaced(writer) {
        this.counts.replaced++;
        writer.lose();
        return this.#newWriter();
    }

    async #newWriter() {
        const { shape, channel, history, random, fenced, counts, errors, isStopped } = this;
        const writer = new Writer({ shape, channel, history, random, fenced, counts, errors, isStopped });
        if (fenced) await writer.takeOver();
        return writer;
    }

    #append(writer, isLast) {
        const { random, history, channel, life } = this;
        const large = random.chance(0.04); // a batch that is several messages
        const count = large ? 30 : random.chance(0.05) ? random.int(100, 256) : random.int(1, random.pick([2, 5, 16]));
        const sizes = Array.from({ length: count }, () => (large ? 3000 : random.int(0, 60)));
        const snapshot = this.snapshots && random.chance(SNAPSHOT_CHANCE);
        const numbers = sizes.map((_, i) => history.next(channel, { life, snapshot: snapshot && i === 0, end: isLast && i === count - 1 }));
        if (snapshot) this.counts.snapshots++;
        return writer.append(numbers, sizes, ['maxage', 86400, ...this.bounds, ...(snapshot ? ['snapshot', 1] : []), ...(isLast ? ['end', END_SECONDS] : [])]);
    }

    get unfinished() {
        return this.readers.filter((reader) => !reader.finished && !reader.gone);
    }

    /** Redis may have been made to forget that the channel has ended: then it ends once more, as whoever began the work would see to. */
    async sweep() {
        if (await this.#isForgotten()) await this.write(1);
    }

    async #isForgotten() {
        if (this.#ended === undefined || this.isStopped() || (await this.#hasEnd())) return false;
        this.forgotten.push({ from: this.#ended, to: performance.now() });
        this.counts.forgotten++;
        this.#ended = undefined;
        return true;
    }

    async #hasEnd() {
        const link = new Link(this);
        try {
            const connection = await link.get(this.isStopped);
            return !connection || Boolean((await newestEntry(connection, this.channel))?.end);
        } catch (error) {
            if (!(error instanceof Lost) && !(error instanceof Refused)) throw error;
            return true; // nobody knows
        } finally {
            link.lose();
        }
    }

    /** What a 204 says of this channel now: the last end that may be meant, and the newest event that Redis is known to have. */
    get newestEnd() {
        return this.history.newest(this.channel, ({ end, state }) => end && (state === ACKED || state === MAYBE));
    }

    get newestKnown() {
        return this.history.newest(this.channel, ({ state }) => state === ACKED);
    }
}

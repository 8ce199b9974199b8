// The answers of a round: so many at once, each in its channel, one after the other, with their readers.

import { sleep, until } from '../lib/wait.mjs';
import { Answer } from './answer.mjs';
import { seen } from './effects.mjs';
import { Random } from './random.mjs';
import { Reader } from './reader.mjs';

const SWEEP_MS = 1000;
const AGAIN_CHANCE = 0.35; // that a channel begins again after its end
const OTHER_CHANCE = 0.25; // that a reader reads another answer, too

export class Answers {
    all = [];
    readers = [];
    faults = [];
    /** What was seen of the traffic: how often. */
    counts = { answers: 0, lives: 0, cut: 0, again: 0, fenced: 0, mine: 0, rivals: 0, replaced: 0, snapshots: 0, forgotten: 0, 'old cursors': 0 };
    errors = new Map(); // what Redis said -> how often

    #writing = new Set();
    #resting = false;
    #stopped = false;

    /** `count`: how many are written at once. */
    constructor(tier, { count, pauseMs = 150 }) {
        Object.assign(this, { tier, count, pauseMs });
    }

    /** Of those that are written now. */
    get channels() {
        return [...this.#writing].map(({ channel }) => channel);
    }

    start() {
        this.slots = Promise.all(Array.from({ length: this.count }, () => this.#slot()));
        this.sweeps = this.#sweep();
    }

    /** No answer begins any more; resolves when those that there are have ended, and every reader was answered 204. */
    async finish(ms) {
        this.#resting = true;
        await this.slots;
        await until('every reader to be answered 204', () => {
            const open = this.readers.filter((reader) => !reader.finished);
            if (open.length > 0) throw new Error(`${open.length} were not, such as ${open.slice(0, 3).map(({ name, channels }) => `${name} of ${channels.join(' and ')}`).join(', ')}`);
            return true;
        }, { ms, every: 100 });
    }

    async stop() {
        this.#resting = this.#stopped = true;
        await Promise.all([this.slots, this.sweeps, ...this.readers.map((reader) => reader.stop())]);
    }

    async #slot() {
        while (!this.#resting) await this.#run(this.#create()).catch((error) => this.faults.push(error.message));
    }

    #create() {
        const { shape, history, seed } = this.tier;
        const channel = `chaos:answer:${this.all.length + 1}`;
        this.counts.answers++;
        const answer = new Answer({
            shape, channel, history, random: new Random(seed, channel), counts: this.counts, errors: this.errors, pauseMs: this.pauseMs,
            isStopped: () => this.#stopped, onFault: (what) => this.faults.push(what),
        });
        this.all.push(answer);
        return answer;
    }

    async #run(answer) {
        const { random } = answer;
        this.#writing.add(answer);
        do {
            this.counts.lives++;
            const batches = random.int(5, 25);
            const late = random.int(1, batches);
            if (answer.life > 0) this.#comeWithOldCursor(answer);
            for (let i = random.int(1, 2); i > 0; i--) this.#join(answer);
            await answer.write(batches, (left) => left === late && this.#join(answer));
            await seen('its readers to be done', () => answer.unfinished.length === 0, random.between(500, 6000));
        } while (!this.#resting && random.chance(AGAIN_CHANCE));
        this.#writing.delete(answer);
    }

    #join(answer) {
        const { random } = answer;
        const others = [...this.#writing].filter((other) => other !== answer);
        this.#read([answer, ...(random.chance(OTHER_CHANCE) ? random.sample(others, 1) : [])]);
    }

    /** Somebody who has had a whole life of this channel comes back after all, with the cursor from then. */
    #comeWithOldCursor(answer) {
        const old = answer.readers.find((reader) => reader.finished && reader.answers.length === 1 && reader.newest(answer.channel) > 0);
        if (!old) return;
        this.counts['old cursors']++;
        this.#read([answer], { lastEventId: old.lastEventId, had: new Map([[answer.channel, old.newest(answer.channel)]]) });
    }

    #read(answers, from) {
        const name = `reader-${this.readers.length + 1}`;
        const reader = new Reader({ name, answers, from, port: this.tier.nginx.port, random: new Random(this.tier.seed, name) });
        this.readers.push(reader);
        reader.start();
    }

    async #sweep() {
        while (!this.#stopped) {
            await sleep(SWEEP_MS);
            const left = this.all.filter((answer) => !this.#writing.has(answer) && answer.unfinished.length > 0);
            await Promise.all(left.map((answer) => answer.sweep().catch((error) => this.faults.push(error.message))));
        }
    }
}

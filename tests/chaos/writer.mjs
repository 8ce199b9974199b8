// Writes the batches of one answer, each exactly once, whatever happens to its connection: a batch whose outcome is unknown is
// sent again, with the same key, or with the same `after`.
//
// `after 0` passes behind an end, too: where the whole life is one batch, a second try of it would begin another one. Such a
// batch has a key as well.
//
// A refusal with FENCED after an attempt whose outcome is unknown does not say whose event is in the way: it may be the
// writer's own, of that attempt. So it reads the newest entry: where that has the offset and the text of its own last event,
// the batch went through, and else another one writes this channel now.

import { sleep } from '../lib/wait.mjs';
import { ACKED, eventText, REFUSED } from './history.mjs';
import { ANSWER_MS, ELSEWHERE, inShort, Link, NOT_DONE } from './link.mjs';
import { Lost, Refused } from './resp.mjs';

/** What became of a batch: published; another one writes this channel; nobody knows, since the writer was stopped. */
export const [DONE, FENCED, STOPPED] = ['done', 'fenced', 'stopped'];

const CUT_CHANCE = 0.08; // of cutting the connection between a batch and its answer

export class Writer {
    #link;
    #offset = 0; // of the channel's last event, as this writer knows it

    /** `counts`: where it counts what it met: { cut, again, fenced, mine }. `errors`: what Redis said -> how often. */
    constructor({ shape, channel, history, random, fenced, counts, errors, isStopped }) {
        Object.assign(this, { shape, channel, history, random, fenced, counts, errors, isStopped });
        this.#link = new Link({ shape, channel });
    }

    /** Another one may have written the channel: goes on behind its newest event. Resolves to false where it was stopped before that. */
    async takeOver() {
        const newest = await this.#newest();
        if (newest === undefined) return false;
        this.#offset = offsetOf(newest);
        return true;
    }

    /** Publishes the events with these numbers and sizes; `options` as the function takes them. */
    async append(numbers, sizes, options) {
        const events = numbers.map((number) => this.history.event(this.channel, number));
        const args = numbers.flatMap((number, i) => [number % 3 === 0 ? 'tick' : '', eventText(this.channel, number, sizes[i])]);
        const key = ['key', `${this.channel} ${numbers.at(-1)}`];
        const guard = this.fenced ? ['after', this.#offset, ...(this.#offset === 0 && options.includes('end') ? key : [])] : key;
        const command = ['FCALL', 'sse_append', 1, `sse:{${this.channel}}`, numbers.length, ...args, ...options, ...guard];
        for (let tries = 1, unknown = false; ; tries++) {
            const connection = await this.#link.get(this.isStopped);
            if (!connection) return STOPPED;
            for (const event of events) event.sent = tries;
            if (tries > 1) this.counts.again++;
            try {
                const id = await this.#send(connection, command).catch((error) => this.#mine(error, connection, events.length, args.at(-1), unknown));
                if (!id) return this.#fencedOut(events, unknown);
                unknown = true;
                if (await this.#isSafe(connection)) return this.#done(events, id);
            } catch (error) {
                if (error instanceof Lost) unknown = true;
                else await this.#refused(error);
            }
        }
    }

    lose() {
        this.#link.lose();
    }

    async #send(connection, command) {
        const answer = connection.callWithin(ANSWER_MS, ...command); // it is in the kernel's buffers now
        if (this.random.chance(CUT_CHANCE)) {
            this.counts.cut++;
            connection.lose('cut before the answer');
        }
        return (await answer)[0];
    }

    /** Where it was FENCED: the id of its last event, if an attempt before was what is in the way; else null. */
    async #mine(error, connection, count, text, unknown) {
        if (!(error instanceof Refused) || !error.message.startsWith('FENCED ')) throw error;
        this.counts.fenced++;
        const newest = unknown ? await newestEntry(connection, this.channel) : null;
        if (newest?.data !== text || newest.offset !== this.#offset + count) return null;
        this.counts.mine++;
        return `${newest.epoch}.${newest.offset}`;
    }

    /**
     * Has every replica what was written so far? Any one of them may be the next master, and while one is made that, the old
     * master goes on with the others. A write of this connection makes WAIT wait for those of another.
     */
    async #isSafe(connection) {
        const { replicas } = this.shape;
        if (replicas === 0) return true;
        const [, count] = await Promise.all([
            connection.callWithin(ANSWER_MS, 'SET', `written:{${this.channel}}`, this.#offset),
            connection.callWithin(ANSWER_MS, 'WAIT', replicas, 1000).catch(notAsMaster),
        ]);
        return count >= replicas;
    }

    #done(events, id) {
        const [epoch, offset] = id.split('.');
        this.#offset = Number(offset);
        for (const [i, event] of events.entries()) Object.assign(event, { id: `${epoch}.${offset - (events.length - 1 - i)}`, state: ACKED, acked: performance.now() });
        return DONE;
    }

    #fencedOut(events, unknown) {
        // Where an attempt may have gone through and been lost again, streams may have got it.
        if (!unknown) for (const event of events) event.state = REFUSED;
        return FENCED;
    }

    async #refused(error) {
        if (!(error instanceof Refused)) throw error;
        const said = inShort(error.message);
        this.errors.set(said, (this.errors.get(said) ?? 0) + 1);
        if (!NOT_DONE.test(error.message)) throw error;
        if (ELSEWHERE.test(error.message)) this.#link.lose(error.message);
        await sleep(50);
    }

    /** The newest entry as Redis has it; null where there is none, undefined where the writer was stopped before that was known. */
    async #newest() {
        for (;;) {
            const connection = await this.#link.get(this.isStopped);
            if (!connection) return undefined;
            try {
                return await newestEntry(connection, this.channel);
            } catch (error) {
                if (!(error instanceof Lost)) await this.#refused(error);
            }
        }
    }
}

/** A server that is made a replica while a client waits there says so, and nothing of what its replicas have. */
function notAsMaster(error) {
    if (!/^UNBLOCKED/.test(error.message)) throw error;
    return 0;
}

/** { id, offset, epoch, prev, event, retry, data .. }, or null. */
export async function newestEntry(connection, channel) {
    const [entry] = await connection.callWithin(ANSWER_MS, 'XREVRANGE', `sse:{${channel}}`, '+', '-', 'COUNT', 1);
    if (!entry) return null;
    const [id, fields] = entry;
    return { id, offset: Number(id.split('-')[1]), ...Object.fromEntries(fields.flatMap((field, i) => (i % 2 ? [] : [[field, fields[i + 1]]]))) };
}

/** What `after` compares with: behind an end the offsets begin again. */
const offsetOf = (entry) => (entry && !entry.end ? entry.offset : 0);

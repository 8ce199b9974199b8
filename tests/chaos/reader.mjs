// Who reads answers: a client that reloads its page now and then, and stops for good when it is answered 204.

import { Client } from './client.mjs';

const RELOAD_CHANCE = 0.004; // at each event
const COME_BACK_MS = 200;

export class Reader extends Client {
    /** When it was answered 204, and per channel: { end: the number of its newest end then, known: the newest acknowledged event when it asked }. */
    finished = undefined;
    /** Every try that a gateway answered: { at, status, complete: it had everything of channels that have all ended, stream: of which number }. */
    tries = [];
    reloads = 0;

    /** `answers`: those it reads. `from`: the last id of another one that had read the same, and what it had: channel -> number. */
    constructor({ answers, from, ...options }) {
        super({ ...options, channels: answers.map(({ channel }) => channel) });
        this.answers = answers;
        this.startedAfter = from?.had ?? new Map();
        this.lastEventId = from?.lastEventId ?? '';
        for (const answer of answers) answer.readers.push(this);
    }

    /** Has it everything there is, of channels that have all ended? */
    get complete() {
        return this.answers.every(({ channel, end }) => end > 0 && Math.max(this.newest(channel), this.startedAfter.get(channel) ?? 0) === end);
    }

    onTry() {
        const known = new Map(this.answers.map(({ channel, newestKnown }) => [channel, newestKnown]));
        return { at: performance.now(), complete: this.complete, known };
    }

    onAnswer({ status, gateway }, note) {
        // NGINX itself answers 200 and a time to come back where no gateway does.
        if ((status === 200 && gateway) || status === 204) this.tries.push({ at: note.at, status, complete: note.complete && this.complete, stream: this.connects });
        if (status !== 204) return false;
        this.finished = { at: performance.now(), channels: new Map(this.answers.map(({ channel, newestEnd }) => [channel, { end: newestEnd, known: note.known.get(channel) }])) };
        return true;
    }

    onNumber() {
        if (!this.random.chance(RELOAD_CHANCE)) return;
        this.reloads++;
        setTimeout(() => this.stream.close(), this.random.between(0, COME_BACK_MS));
    }
}

// Holds what each client got against what was published and what Redis has kept. Pure: histories in, findings out.
//
// An event is owed to a client when Redis acknowledged it, or was seen to have it. The findings, by name:
//   lost        owed, and not delivered: at the end of the history, or announced although Redis still had it
//   unannounced owed, not delivered, something newer was, and no gateway:gap stands between
//   duplicated  delivered twice
//   reordered   delivered after a newer one
// What is legitimate is counted, too:
//   announced   a gateway:gap, with how many events were missing there
//   untold      Redis acknowledged it and lost it without a trace (no gateway can know): nothing in the ids of the events before
//               and after the hole says that there was something between

import { ACKED } from './history.mjs';

const NOTHING = { at: Infinity, kept: new Map() }; // where Redis could not be asked any more
export const FAILURES = ['lost', 'unannounced', 'duplicated', 'reordered'];

/**
 * `history`: History. `kept`: channel -> Map of number -> id, what Redis has in the end. `clients`: [{ name, got }].
 * Returns { findings: [{ kind, client, channel, numbers, after, before, at }], delivered, gaps, emptyGaps: when each of them came }.
 */
export function check({ history, snapshots, clients }) {
    const result = { findings: [], delivered: 0, gaps: 0, emptyGaps: [] };
    for (const client of clients) {
        for (const [channel, items] of client.got) {
            const { events } = history.channels.get(channel);
            const kept = (snapshots.length > 0 ? snapshots : [NOTHING]).map((snapshot) => ({ at: snapshot.at, numbers: snapshot.kept.get(channel) ?? new Map() }));
            new Walk({ client: client.name, left: client.left, channel, items, events, kept }, result).all();
        }
    }
    return result;
}

/** One client's history of one channel, from its first item to its last. */
class Walk {
    #last = 0; // the highest number so far
    #seen = new Set();
    #gaps = []; // when a gateway:gap came since then

    constructor(given, result) {
        Object.assign(this, given, { result });
        this.delivered = new Set(this.items.map((item) => item.number)); // what comes late is not missing
    }

    all() {
        for (const item of this.items) item.number ? this.#event(item) : this.#gap(item);
        if (!this.left) this.#hole(this.events.length, undefined);
    }

    #gap({ at }) {
        this.#gaps.push(at);
        this.result.gaps++;
    }

    #event({ number, at }) {
        this.result.delivered++;
        if (this.#seen.has(number)) return this.#find('duplicated', [number], { at });
        this.#seen.add(number);
        if (number < this.#last) return this.#find('reordered', [number], { at });
        this.#hole(number, at);
        this.#last = number;
        this.#gaps = [];
    }

    /** What lies between the highest number so far and `next`. */
    #hole(next, at) {
        const ended = at === undefined;
        const missing = [];
        for (let n = this.#last + 1; n < next; n++) if (this.#owed(n) && !this.delivered.has(n)) missing.push(n);
        const { numbers } = this.kept.find((snapshot) => snapshot.at > at) ?? this.kept.at(-1);
        const gone = missing.filter((n) => !numbers.has(n));
        const there = missing.filter((n) => numbers.has(n));
        if (missing.length === 0) {
            this.result.emptyGaps.push(...this.#gaps);
        } else if (this.#gaps.length > 0) {
            if (there.length > 0) this.#find('lost', there, { at, next, announced: true });
            if (gone.length > 0) this.#find('announced', gone, { at, next });
        } else if (this.#last === 0) {
            // It asked for all that is kept: what was gone before it came is not its loss.
            if (there.length > 0) this.#find('lost', there, { at, next });
        } else if (!ended && there.length === 0 && this.#untellable(next)) {
            this.#find('untold', gone, { at, next });
        } else {
            this.#find(ended ? 'lost' : 'unannounced', missing, { at, next });
        }
    }

    #owed(number) {
        return this.events[number].state === ACKED || this.kept.some(({ numbers }) => numbers.has(number));
    }

    /** Both ids known, of one life of the stream, and neighbours: a failover has rewritten what was between. */
    #untellable(next) {
        const before = this.#id(this.#last);
        const after = this.#id(next);
        return Boolean(before && after) && before.epoch === after.epoch && after.offset === before.offset + 1;
    }

    #id(number) {
        return parseId(this.events[number].id ?? this.kept.find(({ numbers }) => numbers.has(number))?.numbers.get(number));
    }

    #find(kind, numbers, { at, next, announced }) {
        const before = next < this.events.length ? next : undefined;
        this.result.findings.push({ kind, client: this.client, channel: this.channel, numbers, after: this.#last, before, at, announced });
    }
}

function parseId(id) {
    if (!id) return null;
    const [epoch, offset] = id.split('.');
    return { epoch, offset: Number(offset) };
}

/** How many events each kind of finding is about. */
export function sums(findings) {
    const sum = { lost: 0, unannounced: 0, duplicated: 0, reordered: 0, announced: 0, untold: 0 };
    for (const { kind, numbers } of findings) sum[kind] += numbers.length;
    return sum;
}

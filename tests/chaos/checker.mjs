// Holds what each client got against what was published and what Redis has kept. Pure: histories in, findings out.
//
// An event is owed to a client when Redis acknowledged it, or was seen to have it. The findings, by name:
//   lost        owed, and not delivered: at the end of the history, or announced although Redis still had it
//   unannounced owed, not delivered, something newer was, and no gateway:gap stands between
//   duplicated  delivered twice
//   reordered   delivered after a newer one
//   refused     delivered, though Redis had refused it
//   open        a stream that gave the last event of a channel's life, and neither said gateway:end nor was cut off; a client that had
//               everything of channels that had all ended, and was not answered 204 when it came back
//   early       gateway:end, or 204, before the last event
// What is legitimate is counted, too:
//   announced   a gateway:gap, with how many events were missing there. Redis may have them: where a failover has lost the
//               newest events that a client had, others with offsets below the newest of those are taken for such as it had
//   untold      Redis acknowledged it and lost it without a trace (no gateway can know): nothing in the ids of the events before
//               and after the hole says that there was something between
//   collided    a failover has lost events that were delivered, and the new master has others, the newest of the same millisecond
//               and offset: no id tells the two apart
//   superseded  was there before a snapshot that was delivered: nobody needs it any more
//   again       delivered a second time, behind a gateway:gap, since Redis lost it and its publisher sent it again; or since a failover
//               has taken the channel back to an earlier life, and a cursor does not say of which life it is; or by another gateway,
//               that still reads from the old master what the new one, and so the gap, knows nothing of

import { ACKED, REFUSED } from './history.mjs';
import { placesIn } from './cursor.mjs';

const NOTHING = { at: Infinity, kept: new Map() }; // where Redis could not be asked any more
export const FAILURES = ['lost', 'unannounced', 'duplicated', 'reordered', 'refused', 'open', 'early'];
const AROUND = 8; // items before and after a finding that are shown with it
const LEGITIMATE = ['announced', 'untold', 'collided', 'superseded', 'again'];

/**
 * `failsOver`: Redis may lose what it has acknowledged. `history`: History. `kept`: channel -> Map of number -> id, what Redis has in the end. `clients`: [{ name, got }],
 * and of readers of channels that end (reader.mjs) what they noted, too.
 * Returns { findings: [{ kind, client, channel, numbers, after, before, at }], delivered, gaps, emptyGaps: when each of them came, snapshotGaps: of these, those right before a snapshot }.
 */
export function check({ history, snapshots, clients, failsOver = false }) {
    const result = { findings: [], delivered: 0, gaps: 0, emptyGaps: [], snapshotGaps: 0 };
    for (const client of clients) {
        for (const [channel, items] of client.got) {
            const { events } = history.channels.get(channel);
            const finish = client.finished?.channels.get(channel);
            if (finish && finish.known > finish.end) result.findings.push({ kind: 'early', client: client.name, channel, numbers: [finish.known], after: finish.end, at: client.finished.at });
            const kept = (snapshots.length > 0 ? snapshots : [NOTHING]).map((snapshot) => ({ at: snapshot.at, numbers: snapshot.kept.get(channel) ?? new Map() }));
            const last = client.startedAfter?.get(channel) ?? 0;
            new Walk({ client: client.name, left: client.left, channel, items, events, kept, failsOver, last, clean: client.clean, opened: client.diary?.map(({ at }) => at), upTo: finish?.end }, result).all();
        }
        result.findings.push(...notEnded(client));
    }
    return result;
}

/**
 * With everything of channels that have all ended, the next answer is 204, or the one after that: a gateway that cannot read the
 * history at the moment answers 200, since it does not know. `forgotten`: when Redis had lost an end.
 */
function notEnded({ name, tries = [], answers = [] }) {
    const excused = ({ at }) => answers.some(({ forgotten }) => forgotten.some(({ from, to }) => at >= from && at <= to));
    const stillOpen = (one) => one.status === 200 && one.complete && !excused(one);
    return tries.filter((one, i) => stillOpen(one) && (i + 1 === tries.length || stillOpen(tries[i + 1])))
        .map(({ at }) => ({ kind: 'open', client: name, channel: answers.map(({ channel }) => channel).join(' and '), numbers: [0], after: 0, at }));
}

/** One client's history of one channel, from its first item to its last. */
class Walk {
    #last; // the highest number so far
    #lastStream; // where it came from
    #seen = new Set();
    #gaps = []; // when a gateway:gap came since then
    #gapStream; // which stream the last of them came from
    #gapFrom = 0; // the highest offset from which on one of them says that events are missing
    #unsaid; // the item with an end that gateway:end has not followed yet

    constructor(given, result) {
        Object.assign(this, given, { result });
        this.#last = this.last ?? 0;
        this.delivered = new Set(this.items.map((item) => item.number)); // what comes late is not missing
    }

    all() {
        for (const [index, item] of this.items.entries()) {
            this.index = index;
            if (item.ended) this.#end(item);
            else item.number ? this.#event(item) : this.#gap(item);
        }
        if (this.#unsaid && this.clean?.has(this.#unsaid.stream)) this.#find('open', [this.#unsaid.number], this.#unsaid);
        if (this.upTo !== undefined) this.#hole(this.upTo + 1, undefined);
        else if (!this.left) this.#hole(this.events.length, undefined);
    }

    /** gateway:end: right behind the last event of a life of the channel. */
    #end({ at }) {
        if (!this.events[this.#last]?.end && !this.#gapHidesEnd()) this.#find('early', [this.#last], { at });
        this.#unsaid = undefined;
    }

    /** A failover has lost the newest events that the client had, and the gap stands for those in their place, the last one of this life among them. */
    #gapHidesEnd() {
        const life = this.events[this.#last]?.life;
        return this.failsOver && this.#gapFrom > 0 && this.events.some((event, n) => n > this.#last && event.end && event.life === life && event.state !== REFUSED);
    }

    /** Something else came: on the same stream, there should have been a gateway:end. */
    #behindEnd({ stream }) {
        if (this.#unsaid?.stream === stream && stream !== undefined) this.#find('open', [this.#unsaid.number], this.#unsaid);
        this.#unsaid = undefined;
    }

    #gap(item) {
        this.#behindEnd(item);
        this.#gaps.push(item.at);
        this.#gapFrom = Math.max(this.#gapFrom, item.gap.from ?? 0);
        this.#gapStream = item.stream;
        this.result.gaps++;
    }

    #event(item) {
        const { number, at } = item;
        const event = this.events[number];
        this.#behindEnd(item);
        this.result.delivered++;
        if (event.state === REFUSED) return this.#find('refused', [number], { at });
        if (number <= this.#last && this.#gaps.length > 0 && this.#mayComeAgain(event, item.stream)) this.#again(number, at);
        if (this.#seen.has(number)) return this.#find('duplicated', [number], { at });
        this.#seen.add(number);
        if (number < this.#last) return this.#find('reordered', [number], { at });
        this.#hole(number, at, item.had);
        if (this.#isUntoldLife(item)) this.#find('unannounced', [number], { at });
        this.#last = number;
        this.#lastStream = item.stream;
        this.#gaps = [];
        this.#gapFrom = 0;
        if (event.end) this.#unsaid = item;
    }

    /** Behind a gap. `stream`: where it comes from: for a while after a failover gateways may read from two masters. */
    #mayComeAgain(event, stream) {
        return event.sent > 1 || (this.failsOver && (event.life < this.events[this.#last].life || (this.#gapFrom > 0 && stream !== this.#gapStream)));
    }

    /** Redis has lost events that were delivered, and goes on with `number`. */
    #again(number, at) {
        this.#find('again', [number], { at });
        for (let n = number; n <= this.#last; n++) this.#seen.delete(n);
        this.#last = number - 1;
    }

    /** A client that comes back with a cursor of another life of the channel than there is by then is told so. */
    #isUntoldLife({ number, stream }) {
        const [before, event] = [this.events[this.#last], this.events[number]];
        if (!before || this.#gaps.length > 0 || event.snapshot || !(event.life > before.life)) return false;
        return stream !== this.#lastStream && event.acked < this.opened?.[stream - 1];
    }

    /** What lies between the highest number so far and `next`. */
    #hole(next, at, had) {
        const ended = at === undefined;
        const missing = this.#needed(this.#last + 1, next, ended, at);
        const { numbers } = this.kept.find((snapshot) => snapshot.at > at) ?? this.kept.at(-1);
        const gone = missing.filter((n) => !numbers.has(n));
        const there = missing.filter((n) => numbers.has(n));
        if (missing.length === 0) {
            this.result.emptyGaps.push(...this.#gaps);
            if (!ended && this.events[next].snapshot) this.result.snapshotGaps += this.#gaps.length;
        } else if (this.#gaps.length > 0) {
            const hidden = there.filter((n) => this.#takenForHad(n, numbers));
            const lost = there.filter((n) => !hidden.includes(n));
            if (lost.length > 0) this.#find('lost', lost, { at, next, announced: true });
            if (gone.length + hidden.length > 0) this.#find('announced', [...gone, ...hidden], { at, next });
        } else if (this.#last === 0) {
            // It asked for all that is kept: what was gone before it came is not its loss.
            if (there.length > 0) this.#find('lost', there, { at, next });
        } else if (!ended && there.length === 0 && this.#untellable(gone, next)) {
            this.#find('untold', gone, { at, next });
        } else if (had && this.#hasCollided(missing, numbers, had)) {
            this.#find('collided', missing, { at, next });
        } else {
            this.#find(ended ? 'lost' : 'unannounced', missing, { at, next, had });
        }
    }

    /** The events that are missing between `from` and `next`, but for those that a later snapshot stands for. */
    #needed(from, next, ended, at) {
        const missing = [];
        for (let n = from; n < next; n++) if (this.#owed(n) && !this.delivered.has(n)) missing.push(n);
        const snapshot = !ended && this.events[next].snapshot ? next : (missing.findLast((n) => this.events[n].snapshot) ?? 0);
        const superseded = missing.filter((n) => n < snapshot);
        if (superseded.length > 0) this.#find('superseded', superseded, { at, next });
        return missing.filter((n) => n >= snapshot);
    }

    /** What came around here, as words; | where another stream begins. */
    #words() {
        const from = Math.max(0, this.index - AROUND);
        const word = (item) => item.number ?? (item.ended ? 'end' : `gap${item.gap?.from ? `(offsets ${item.gap.from} to ${item.gap.to})` : ''}`);
        const isNew = (i) => i > 0 && this.items[i].stream !== this.items[i - 1].stream;
        return this.items.slice(from, this.index + AROUND).map((item, i) => `${isNew(from + i) ? '| ' : ''}${word(item)}`).join(' ');
    }

    #owed(number) {
        return this.events[number].state === ACKED || this.kept.some(({ numbers }) => numbers.has(number));
    }

    /**
     * A failover has lost the newest events that the client had, and what is kept as `number` has a lower offset than the last of
     * them: their offsets go on from that of the newest one that it had and that is kept.
     */
    #takenForHad(number, numbers) {
        if (!this.failsOver || numbers.has(this.#last)) return false;
        let [kept, lost] = [this.#last, 0];
        for (; kept > 0 && !numbers.has(kept); kept--) lost += Number(this.delivered.has(kept));
        return kept > 0 && parseId(numbers.get(number)).offset < parseId(numbers.get(kept)).offset + lost;
    }

    /**
     * The events before and after the hole are neighbours of one life of the stream: a failover has rewritten what was between.
     * Where nobody was told the id of the one before, those of the missing events must show that `next` stands in their place.
     */
    #untellable(missing, next) {
        const [before, after] = [this.#id(this.#last), this.#id(next)];
        if (!after) return false;
        if (before) return before.epoch === after.epoch && after.offset === before.offset + 1;
        const ids = missing.map((n) => this.#id(n));
        return ids.every((id) => id && id.epoch === after.epoch && id.offset >= after.offset);
    }

    /** The client's last event is lost, and its last event id has the place of the newest one that is missing, behind all others. */
    #hasCollided(missing, numbers, had) {
        const ids = missing.map((n) => parseId(numbers.get(n)));
        const { offset, ms } = ids.at(-1) ?? {};
        return this.failsOver && !numbers.has(this.#last) && ids.every((id) => id && id.epoch === ids[0].epoch && id.offset <= offset) &&
            placesIn(had).some((place) => place.offset === offset && place.ms === ms);
    }

    #id(number) {
        return parseId(this.events[number].id ?? this.kept.find(({ numbers }) => numbers.has(number))?.numbers.get(number));
    }

    #find(kind, numbers, { at, next, announced, had }) {
        const before = next < this.events.length ? next : undefined;
        this.result.findings.push({ kind, client: this.client, channel: this.channel, numbers, after: this.#last, before, at, announced, ...(had && { places: placesIn(had) }), words: this.#words() });
    }
}

function parseId(id) {
    if (!id) return null;
    const [epoch, offset, ms] = id.split('.');
    return { epoch, offset: Number(offset), ms: Number(ms) };
}

/** How many events each kind of finding is about. */
export function sums(findings) {
    const sum = Object.fromEntries([...FAILURES, ...LEGITIMATE].map((kind) => [kind, 0]));
    for (const { kind, numbers } of findings) sum[kind] += numbers.length;
    return sum;
}

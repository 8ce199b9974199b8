// Which fault was when, what it did, and how long deliveries took during each.

const AFTER_MS = 3000; // a delivery so long after a fault may still be its doing
const LATE_MS = 100; // a delivery is on time in a few
const RECENT = 10; // faults that may be meant: they come one after the other

export class Journal {
    start = performance.now();
    faults = []; // { index, kind, from, to, error, seen: { what was counted: how many } }
    kinds = new Map(); // kind -> { runs, deliveries, late, worst, at }

    constructor() {
        this.kind('none');
    }

    kind(name) {
        if (!this.kinds.has(name)) this.kinds.set(name, { runs: 0, deliveries: 0, late: 0, worst: 0, at: undefined });
        return this.kinds.get(name);
    }

    begin(index, kind) {
        const fault = { index, kind, from: performance.now(), to: Infinity };
        this.faults.push(fault);
        this.kind(kind).runs++;
        return fault;
    }

    /**
     * The faults that a delivery is put down to: the one that lasted, or was just over, for the most of the time from publishing
     * to arrival (the newest of such), and its twin if it had one.
     */
    blame(from, to) {
        let [longest, blamed] = [-1, undefined];
        const near = this.#near(to);
        for (const fault of near.toReversed()) {
            const shared = Math.min(to, fault.to + AFTER_MS) - Math.max(from, fault.from);
            if (shared > longest && shared >= 0) [longest, blamed] = [shared, fault];
        }
        return near.filter(({ index }) => index === blamed?.index);
    }

    /** The last faults that had begun at that time. */
    #near(time) {
        let end = this.faults.length;
        while (end > 0 && this.faults[end - 1].from > time) end--;
        return this.faults.slice(Math.max(0, end - RECENT), end);
    }

    /** The kinds of those, or none. */
    blamedKinds(from, to) {
        const kinds = this.blame(from, to).map(({ kind }) => kind);
        return kinds.length > 0 ? kinds : ['none'];
    }

    delivered(from, to) {
        for (const kind of this.blamedKinds(from, to)) this.#count(this.kind(kind), from, to);
    }

    #count(stats, from, to) {
        stats.deliveries++;
        if (to - from > LATE_MS) stats.late++;
        if (to - from <= stats.worst) return;
        stats.worst = to - from;
        stats.at = to - this.start;
    }

    /**
     * What all faults of a kind were seen to do: { what was counted: how many }. One that counts nothing itself can only be
     * seen in deliveries that came late.
     */
    seen(kind) {
        const own = this.faults.filter((fault) => fault.kind === kind && fault.seen);
        if (own.length === 0) return { late: this.kind(kind).late };
        const sum = {};
        for (const { seen } of own) for (const [what, count] of Object.entries(seen)) sum[what] = (sum[what] ?? 0) + count;
        return sum;
    }

    /** The kinds that ran, and did nothing at all that could be seen. */
    get without() {
        return [...this.kinds.keys()].filter((kind) => this.kind(kind).runs > 0 && !Object.values(this.seen(kind)).some((count) => count > 0));
    }

    get current() {
        return this.faults.slice(-2).filter((fault) => fault.to === Infinity).map((fault) => `${fault.kind} (#${fault.index})`);
    }

    seconds(at) {
        return ((at - this.start) / 1000).toFixed(2);
    }
}

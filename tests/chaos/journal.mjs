// Which fault was when, and how long deliveries took during each.

const AFTER_MS = 3000; // a delivery so long after a fault may still be its doing
const LONG_AGO_MS = 60000;

export class Journal {
    start = performance.now();
    faults = []; // { index, kind, from, to, error }
    kinds = new Map(); // kind -> { runs, deliveries, worst, at }

    constructor() {
        this.kind('none');
    }

    kind(name) {
        if (!this.kinds.has(name)) this.kinds.set(name, { runs: 0, deliveries: 0, worst: 0, at: undefined });
        return this.kinds.get(name);
    }

    begin(index, kind) {
        const fault = { index, kind, from: performance.now(), to: Infinity };
        this.faults.push(fault);
        this.kind(kind).runs++;
        return fault;
    }

    /** The faults that a delivery is put down to: the newest that lasted, or was just over, between publishing and arrival, and its twin. */
    blame(from, to) {
        const blamed = [];
        for (let i = this.faults.length - 1; i >= 0; i--) {
            const fault = this.faults[i];
            if (blamed.length > 0 && fault.index !== blamed[0].index) break;
            if (fault.from <= to && from <= fault.to + AFTER_MS) blamed.push(fault);
            if (fault.to + LONG_AGO_MS < from) break;
        }
        return blamed;
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
        if (to - from <= stats.worst) return;
        stats.worst = to - from;
        stats.at = to - this.start;
    }

    get current() {
        return this.faults.slice(-2).filter((fault) => fault.to === Infinity).map((fault) => `${fault.kind} (#${fault.index})`);
    }

    seconds(at) {
        return ((at - this.start) / 1000).toFixed(2);
    }
}

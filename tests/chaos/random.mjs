// Random choices that can be made again: all of a run's follow from its seed.

/** A generator of its own for `seed` and, where given, a part of the run (its name or number). */
export class Random {
    #state;

    constructor(seed, part = '') {
        this.#state = hash(`${seed}/${part}`);
    }

    /** 0 <= x < 1 (mulberry32: small, fast, and the same everywhere). */
    next() {
        this.#state = (this.#state + 0x6d2b79f5) | 0;
        let t = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
        t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
        return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
    }

    between(low, high) {
        return low + this.next() * (high - low);
    }

    int(low, high) {
        return Math.floor(this.between(low, high + 1));
    }

    chance(probability) {
        return this.next() < probability;
    }

    pick(list) {
        return list[Math.floor(this.next() * list.length)];
    }

    /** Some of the list, in any order. */
    sample(list, count) {
        const left = [...list];
        const taken = [];
        while (taken.length < count && left.length > 0) taken.push(left.splice(Math.floor(this.next() * left.length), 1)[0]);
        return taken;
    }
}

function hash(text) {
    let h = 2166136261;
    for (const c of text) h = Math.imul(h ^ c.charCodeAt(0), 16777619);
    return h;
}

// What a gateway does about its surplus: gateway/process/balance.c, function by function, so that the two are easily
// compared; balance.test.mjs feeds both the same views of a tier and holds each step of one to the other's.
//
// A view has now, isAllowed, own, ownCapacity, others, allCapacity, lowest, lowestCapacity, members, oldestNews and moved;
// settings are tolerance, rate, settle and returns. Times in ms.

export const SURPLUS_MIN = 3;
const IN_VAIN_MAX = 6;
const AGE_SETTLES = 6;
const STEP_MAX_MS = 250;
const COUNT_LATE_MS = 3000;

const NOTHING = { end: 0, minAge: 0, event: 'none' };

function shareOf(all, capacity, allCapacity) {
    return Math.ceil(all * (allCapacity ? capacity / allCapacity : 1) - 1e-6);
}

export class Balance {
    target = 0;
    surplus = 0;
    running = false;
    left = 0;
    keep = 0;
    credit = 0;
    last = 0;
    begunWith = 0;
    begunMoved = 0;
    unproved = false;
    inVain = 0;
    quietUntil = 0;
    imbalance = 0;
    members = 0;
    window = 0;
    most = 0;
    mostBefore = 0;

    constructor(settings) {
        this.settings = settings;
    }

    #allStreams(v) {
        const window = this.settings.returns + COUNT_LATE_MS;
        if (v.now - this.window >= window) {
            this.mostBefore = v.now - this.window >= 2 * window ? 0 : this.most;
            this.most = 0;
            this.window = v.now;
        }
        this.most = Math.max(this.most, v.own + v.others);
        return Math.max(this.most, this.mostBefore);
    }

    #isImbalance(v, all) {
        const { tolerance } = this.settings;
        const lowest = shareOf(all, v.lowestCapacity, v.allCapacity);
        return this.surplus >= SURPLUS_MIN &&
            (v.own > this.target * (1 + tolerance) || (v.lowest + SURPLUS_MIN <= lowest && v.lowest < lowest * (1 - tolerance)));
    }

    #weigh(v) {
        const all = this.#allStreams(v);
        this.target = shareOf(all, v.ownCapacity, v.allCapacity);
        this.surplus = Math.max(0, v.own - this.target);
        if (this.running) return;
        if (!this.#isImbalance(v, all)) this.imbalance = 0;
        else if (this.imbalance === 0) this.imbalance = v.now;
    }

    #beQuiet(v, ms) {
        this.quietUntil = Math.max(this.quietUntil, v.now + ms);
    }

    #endRound(v, event) {
        this.running = false;
        this.#beQuiet(v, this.settings.settle + this.settings.returns);
        return { ...NOTHING, event };
    }

    #minAge(now) {
        const { settle } = this.settings;
        const imbalance = this.imbalance ? now - this.imbalance : 0;
        return Math.max(settle, Math.min(imbalance, AGE_SETTLES * settle));
    }

    #goOn(v) {
        this.keep = Math.max(this.keep, this.target);
        if (this.left === 0 || v.own <= this.keep) return this.#endRound(v, 'done');
        const passed = Math.min(v.now - this.last, STEP_MAX_MS);
        this.last = v.now;
        this.credit += (this.settings.rate * passed) / 1000;
        const end = Math.min(Math.floor(this.credit), this.left, v.own - this.keep);
        this.credit -= Math.floor(this.credit);
        this.left -= end;
        this.unproved ||= end > 0;
        return { end, minAge: this.#minAge(v.now), event: 'none' };
    }

    #begin(v) {
        Object.assign(this, { running: true, left: this.surplus, keep: this.target, credit: 0, last: v.now, begunWith: v.own, begunMoved: v.moved });
        return { ...NOTHING, event: 'begun' };
    }

    #wasInVain(v) {
        if (!this.unproved) return false;
        this.unproved = false;
        const inVain = v.own + Math.floor((v.moved - this.begunMoved) / 8) > this.begunWith;
        if (!inVain) this.inVain = 0;
        else if (this.inVain < IN_VAIN_MAX) this.inVain++;
        return inVain;
    }

    #rest(v) {
        const { settle } = this.settings;
        if (v.now < this.quietUntil || v.oldestNews < this.quietUntil) return NOTHING;
        if (this.imbalance === 0) {
            this.inVain = 0;
            this.unproved = false;
        }
        if (this.imbalance === 0 || v.now - this.imbalance < settle) return NOTHING;
        if (this.#wasInVain(v)) {
            this.#beQuiet(v, settle * 2 ** this.inVain);
            return { ...NOTHING, event: 'in vain' };
        }
        return this.inVain < IN_VAIN_MAX ? this.#begin(v) : NOTHING;
    }

    step(v) {
        const isOtherTier = v.members !== this.members;
        if (!v.isAllowed || isOtherTier) this.most = this.mostBefore = 0;
        this.#weigh(v);
        if (v.isAllowed && !isOtherTier) return this.running ? this.#goOn(v) : this.#rest(v);
        if (isOtherTier) {
            this.members = v.members;
            this.inVain = 0;
            this.quietUntil = v.now;
        }
        this.#beQuiet(v, this.settings.settle);
        return this.running ? this.#endRound(v, 'stopped') : NOTHING;
    }
}

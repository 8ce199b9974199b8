// What a gateway does about its surplus: gateway/process/balance.c, function by function, so that the two are easily
// compared; balance.test.mjs feeds both the same views of a tier and holds each step of one to the other's.
//
// A view: now, isAllowed, own, ownCapacity, others, allCapacity, least, members, oldestNews, moved. Times in ms.

export const SURPLUS_MIN = 5;
const IN_VAIN_MAX = 6;
const AGE_SETTLES = 6;
const STEP_MAX_MS = 250;

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

    /** settings: { tolerance, rate, settle, returns } and `lacking`: whether a gateway that lacks streams is a reason, too. */
    constructor(settings) {
        this.settings = settings;
    }

    #isUneven(v) {
        const { tolerance, lacking } = this.settings;
        if (lacking && this.surplus > 0 && v.least * v.ownCapacity < this.target * (1 - tolerance)) return true;
        return this.surplus >= SURPLUS_MIN && v.own > this.target * (1 + tolerance);
    }

    #weigh(v) {
        const part = v.allCapacity ? v.ownCapacity / v.allCapacity : 1;
        this.target = Math.ceil((v.own + v.others) * part - 1e-6);
        this.surplus = Math.max(0, v.own - this.target);
        if (!this.#isUneven(v)) this.imbalance = this.running ? this.imbalance : 0;
        else if (this.imbalance === 0) this.imbalance = v.now;
    }

    #beQuiet(v, ms) {
        this.quietUntil = Math.max(this.quietUntil, v.now + ms);
    }

    #endRound(v, event) {
        this.running = false;
        this.unproved = v.moved > this.begunMoved;
        this.#beQuiet(v, this.settings.settle + this.settings.returns);
        return { end: 0, minAge: 0, event };
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
        return { end, minAge: this.#minAge(v.now), event: 'none' };
    }

    #begin(v) {
        Object.assign(this, { running: true, left: this.surplus, keep: this.target, credit: 0, last: v.now, begunWith: v.own, begunMoved: v.moved });
        return { end: 0, minAge: 0, event: 'begun' };
    }

    #wasInVain(v) {
        if (!this.unproved) return false;
        this.unproved = false;
        const inVain = v.own + Math.floor((v.moved - this.begunMoved) / 2) > this.begunWith;
        if (!inVain) this.inVain = 0;
        else if (this.inVain < IN_VAIN_MAX) this.inVain++;
        return inVain;
    }

    #rest(v) {
        const none = { end: 0, minAge: 0, event: 'none' };
        if (v.now < this.quietUntil || v.oldestNews < this.quietUntil) return none;
        if (!this.#isUneven(v)) {
            this.inVain = 0;
            this.unproved = false;
            return none;
        }
        if (this.#wasInVain(v)) {
            this.#beQuiet(v, this.settings.settle * 2 ** this.inVain);
            return { end: 0, minAge: 0, event: 'in vain' };
        }
        return this.#begin(v);
    }

    step(v) {
        this.#weigh(v);
        if (v.isAllowed && v.members === this.members) return this.running ? this.#goOn(v) : this.#rest(v);
        this.members = v.members;
        this.#beQuiet(v, this.settings.settle);
        if (this.running) return this.#endRound(v, 'stopped');
        return { end: 0, minAge: 0, event: 'none' };
    }
}

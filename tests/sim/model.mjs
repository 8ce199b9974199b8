// A tier as numbers: gateways that hold streams, streams that wait until their `retry` is over, and a front that places
// them. Streams are counted, not followed: per gateway and kind, in steps of some 10 ms. A run follows from its seed.
//
// Kind of a stream: the view of it (which of several independent balancers it comes by; with ip_hash, its gateway), and
// whether rebalancing has moved it before.

import { Random } from '../chaos/random.mjs';
import { binomial, withdraw } from './draws.mjs';
import { FRONTS } from './fronts.mjs';
import { Balance } from './rebalance.mjs';

const DEFAULTS = {
    seed: 1,
    step: 0.1, // seconds
    gateways: 3,
    joiners: 0, // places for gateways that start later
    streams: 6000,
    capacity: () => 1, // by gateway; the front's weight, too
    front: 'least_conn',
    views: 1, // independent balancers, or worker processes that share no zone
    retry: 2, // --retry; a stream that is ended cleanly waits from one to two of it
    cutRetry: [1, 1], // times --retry: how long one waits that was cut, and knows only what came with its head
    frontRetry: [2, 5.9], // what the front answers while no gateway accepts
    drain: { delay: 0, window: 10, timeout: 30 },
    restart: 2, // from the end of a gateway to when its successor is ready
    rebalance: null, // or settings over REBALANCE
    announce: (gateways) => Math.max(1, gateways / 100), // period in seconds
    churn: 0, // share of the streams that end each second as users leave and others come
    own: 1, // channels that a stream has for itself
    shared: 1, // channels that all gateways have
    publish: 0, // messages a second on each shared channel
};

// Values of gateway/process: --rebalance-*, and how long a moved stream waits (times --retry).
const REBALANCE = { tolerance: 0.1, rate: 50, settle: 5000, retry: [1, 2] };
const MISSED = 3; // announcements, and then GRACE: a peer is gone
const GRACE = 0.5;
const AGES = 64; // seconds for which it is known when streams came
const CANARY_EVERY = 2;

export class Model {
    constructor(options) {
        Object.assign(this, DEFAULTS, options);
        this.drain = { ...DEFAULTS.drain, ...options.drain };
        if (this.rebalance) {
            this.rebalance = { ...REBALANCE, ...this.rebalance };
            this.rebalance.returns = Math.round(this.rebalance.retry[1] * this.retry * 1000);
        }
        this.random = new Random(this.seed);
        this.room = this.gateways + this.joiners;
        if (this.front === 'ip_hash') this.views = this.room;
        this.kinds = this.views * 2; // kind = view * 2 + moved
        const all = Array.from({ length: this.room }, (_, g) => g);
        this.weight = all.map((g) => this.capacity(g));
        this.open = new Int32Array(this.room * this.kinds);
        this.count = new Int32Array(this.room);
        this.came = [0, 1].map(() => new Int32Array(this.room * AGES)); // moved or not: by gateway and second
        this.nodes = all.map((g) => this.#node(g < this.gateways ? 'up' : 'off'));
        this.members = 0; // changes when gateways come or go
        const longest = Math.max(4 * this.retry, this.frontRetry[1], ...this.cutRetry.map((x) => x * this.retry)) + 1;
        this.slots = Array.from({ length: Math.ceil(longest / this.step) }, () => new Int32Array(this.kinds));
        this.waiting = 0;
        this.redis = true;
        this.turn = { next: 0 };
        this.at = 0; // steps
        this.seconds = [];
        this.total = { ended: 0, moved: 0, movedTwice: 0, returned: 0, failed: 0 };
        this.#begin();
    }

    get now() {
        return this.at * this.step;
    }

    accepts(g) {
        const { state } = this.nodes[g];
        return this.redis && (state === 'up' || (state === 'draining' && this.now < this.nodes[g].closesAt));
    }

    #node(state, said = null) {
        return { state, said, balance: new Balance(this.rebalance ?? {}), moved: 0 };
    }

    /** `n` streams of users that nothing is known of: as many by each view. */
    #users(n) {
        const counts = new Array(this.kinds).fill(0);
        const first = Math.floor(this.random.next() * this.views);
        for (let v = 0; v < this.views; v++) counts[((first + v) % this.views) * 2] = Math.floor(n / this.views) + (v < n % this.views ? 1 : 0);
        return counts;
    }

    /** All streams, at the start, as the front would place them. */
    #begin() {
        const counts = this.#users(this.streams);
        this.#account();
        this.#arrive(counts);
        for (const came of this.came) came.fill(0); // they have been there for long
        for (const g of this.up) this.#announce(g, -this.random.next() * this.announce(this.gateways));
        this.#account(); // what came before the first second counts for nothing
    }

    // ---- what a scenario does

    /** SIGTERM. */
    terminate(g) {
        const { delay, window, timeout } = this.drain;
        Object.assign(this.nodes[g], { state: 'draining', began: this.now, closesAt: this.now + delay, from: 0, left: 0, window, cutAt: this.now + timeout });
        this.#announce(g, this.now);
    }

    /** kill -9, or the end of a drain: streams that are left are cut. */
    kill(g) {
        this.#end(g, this.count[g], this.cutRetry);
        this.nodes[g] = this.#node('off', this.nodes[g].said);
    }

    start(g) {
        this.nodes[g] = this.#node('up', null);
        this.#announce(g, this.now);
    }

    /** While Redis is away, no gateway lets streams in; those that are open stay. When it is back, all channels are subscribed again. */
    setRedis(there) {
        this.redis = there;
        if (!there) return;
        const channels = this.count.reduce((a, b) => a + b, 0) * this.own;
        this.second.subscribes += channels + this.up.length * this.shared;
        this.second.reads += channels;
        for (const g of this.up) this.nodes[g].next = this.now;
    }

    isOff(g) {
        return this.nodes[g].state === 'off';
    }

    get up() {
        return this.nodes.flatMap(({ state }, g) => (state === 'up' ? [g] : []));
    }

    // ---- streams

    #leave(g, kind, n) {
        this.open[g * this.kinds + kind] -= n;
        this.count[g] -= n;
    }

    #countEnded(n) {
        this.total.ended += n;
        this.second.unsubscribes += n * this.own;
    }

    /** Ends `n` streams of `g`, which come back after range[0] to range[1] times --retry. */
    #end(g, n, range) {
        const from = g * this.kinds;
        withdraw(this.random, n, this.open, from, from + this.kinds, this.count[g], (i, count) => {
            this.#leave(g, i - from, count);
            this.#wait(i - from, count, ...range.map((x) => x * this.retry));
        });
        this.#countEnded(n);
    }

    /** `n` streams come back evenly between `low` and `high` seconds from now. */
    #wait(kind, n, low, high) {
        this.waiting += n;
        const first = Math.max(1, Math.round(low / this.step));
        const bins = Math.max(1, Math.round((high - low) / this.step));
        const slot = (b) => this.slots[(this.at + first + b) % this.slots.length];
        if (n < 2 * bins) {
            for (; n > 0; n--) slot(Math.floor(this.random.next() * bins))[kind]++;
            return;
        }
        for (let b = 0; b < bins; b++) {
            const here = binomial(this.random, n, 1 / (bins - b));
            slot(b)[kind] += here;
            n -= here;
        }
    }

    /** Streams by kind ask the front for a gateway. */
    #arrive(counts) {
        const second = Math.floor(this.now);
        const ok = this.nodes.flatMap((_, g) => (this.accepts(g) ? [g] : []));
        for (let view = 0; view < this.views; view++) {
            const moved = counts[view * 2 + 1];
            let n = counts[view * 2] + moved;
            if (n === 0) continue;
            if (ok.length === 0) {
                this.total.failed += n;
                this.second.failed += n;
                for (const kind of [view * 2, view * 2 + 1]) this.#wait(kind, counts[kind], ...this.frontRetry);
                continue;
            }
            let movedLeft = moved;
            let left = n;
            const load = (g) => this.open[g * this.kinds + view * 2] + this.open[g * this.kinds + view * 2 + 1];
            const given = [];
            FRONTS[this.front]({ ok, load, weight: this.weight, random: this.random, turn: this.turn, view, accepts: (g) => this.accepts(g) }, n,
                (g, count) => given.push([g, count]));
            for (const [g, count] of given) {
                const ofThem = Math.min(count, movedLeft, Math.max(movedLeft - (left - count), binomial(this.random, count, movedLeft / left)));
                this.open[g * this.kinds + view * 2 + 1] += ofThem;
                this.open[g * this.kinds + view * 2] += count - ofThem;
                this.count[g] += count;
                this.came[0][g * AGES + (second % AGES)] += count - ofThem;
                this.came[1][g * AGES + (second % AGES)] += ofThem;
                this.second.accepts[g] += count;
                movedLeft -= ofThem;
                left -= count;
                n -= count;
            }
        }
    }

    #comeBack() {
        const slot = this.slots[this.at % this.slots.length];
        const counts = Array.from(slot);
        const n = counts.reduce((a, b) => a + b, 0);
        if (n === 0) return;
        slot.fill(0);
        this.waiting -= n;
        const failed = this.total.failed;
        this.#arrive(counts);
        const returned = n - (this.total.failed - failed);
        this.total.returned += returned;
        this.second.returned += returned;
        this.second.steepest = Math.max(this.second.steepest, returned / this.step);
        this.second.subscribes += returned * this.own;
        this.second.reads += returned * this.own * 2; // where the channel's history has got, and what was missed
    }

    /** Users leave, and as many others come. */
    #churn() {
        if (this.churn === 0) return;
        let n = 0;
        for (let g = 0; g < this.room; g++) {
            const from = g * this.kinds;
            const here = binomial(this.random, this.count[g], this.churn * this.step);
            withdraw(this.random, here, this.open, from, from + this.kinds, this.count[g], (i, count) => this.#leave(g, i - from, count));
            n += here;
        }
        this.second.unsubscribes += n * this.own;
        this.second.subscribes += n * this.own;
        this.second.reads += n * this.own;
        const before = this.total.failed;
        if (n > 0) this.#arrive(this.#users(n));
        this.second.fresh += n - (this.total.failed - before);
    }

    // ---- drain

    /** Ends the streams of a gateway that drains evenly over its window. */
    #pace(g) {
        const node = this.nodes[g];
        if (this.now < node.closesAt) return;
        if (!node.closed) Object.assign(node, { closed: true, from: this.count[g] });
        const window = Math.max(node.window, this.step);
        const due = Math.ceil(node.from * Math.min(1, (this.now - node.closesAt + this.step) / window));
        const ended = node.from - this.count[g];
        if (due > ended) this.#end(g, due - ended, [1, 2]);
        if (this.count[g] === 0 || this.now >= node.cutAt) {
            this.kill(g);
            this.nodes[g].said = null; // a gateway that ends in order says so
            this.members++;
        }
    }

    // ---- rebalance

    /** The gateway `g` tells the others what it holds. Those that are up hear it at once. */
    #announce(g, at) {
        const node = this.nodes[g];
        const live = this.nodes.filter((n) => n.state !== 'off').length;
        const period = this.announce(live);
        if (!node.said || node.said.draining !== (node.state === 'draining')) this.members++;
        node.said = { count: this.count[g], draining: node.state === 'draining', at, period };
        node.next = at + period;
        this.second.publishes++;
        this.second.messages += live;
    }

    /** Announcements that are due, and those of gateways that are gone expire. */
    #talk() {
        if (!this.redis) return;
        for (let g = 0; g < this.room; g++) {
            const node = this.nodes[g];
            if (node.state !== 'off' && this.now >= node.next) this.#announce(g, this.now);
            if (node.said && this.now > node.said.at + MISSED * node.said.period + GRACE) {
                node.said = null;
                this.members++;
            }
        }
    }

    /** Sums over what was announced, as peers_sum of the gateway. */
    #survey() {
        const sum = { count: 0, capacity: 0, lowest: 0, lowestCapacity: 0, oldest: Infinity, draining: false };
        this.nodes.forEach(({ said }, g) => {
            if (!said) return;
            if (said.draining) {
                sum.draining = true;
                return;
            }
            sum.count += said.count;
            sum.capacity += this.weight[g];
            if (sum.lowestCapacity === 0 || said.count * sum.lowestCapacity < sum.lowest * this.weight[g]) {
                Object.assign(sum, { lowest: said.count, lowestCapacity: this.weight[g] });
            }
            sum.oldest = Math.min(sum.oldest, said.at);
        });
        return sum;
    }

    /** Each gateway looks at its peers, and ends what it then has to. */
    #level() {
        if (!this.rebalance) return;
        const tier = this.#survey();
        for (const g of this.up) {
            const node = this.nodes[g];
            const view = {
                now: Math.round(this.now * 1000), isAllowed: this.redis && !tier.draining, own: this.count[g], ownCapacity: this.weight[g],
                others: tier.count - node.said.count, allCapacity: tier.capacity, lowest: tier.lowest, lowestCapacity: tier.lowestCapacity, members: this.members,
                oldestNews: Math.round(tier.oldest * 1000), moved: node.moved,
            };
            const { end, minAge } = node.balance.step(view);
            if (end > 0) node.moved += this.#endOld(g, end, minAge / 1000);
        }
    }

    /** Ends up to `n` streams for others to get them, none that came less than `age` seconds ago. Returns how many. */
    #endOld(g, n, age) {
        const from = g * this.kinds;
        const young = [0, 0];
        for (let t = Math.max(0, Math.floor(this.now - age)); t <= this.now; t++) {
            for (const moved of [0, 1]) young[moved] += this.came[moved][g * AGES + (t % AGES)];
        }
        const all = [0, 0];
        for (let i = 0; i < this.kinds; i++) all[i % 2] += this.open[from + i];
        const old = Array.from({ length: this.kinds }, (_, i) => Math.floor(this.open[from + i] * Math.max(0, 1 - young[i % 2] / Math.max(1, all[i % 2]))));
        const total = old.reduce((a, b) => a + b, 0);
        n = Math.min(n, total);
        withdraw(this.random, n, old, 0, this.kinds, total, (kind, count) => {
            this.total.moved += count;
            if (kind % 2 === 1) this.total.movedTwice += count;
            this.#leave(g, kind, count);
            this.#wait(kind | 1, count, ...this.rebalance.retry.map((x) => x * this.retry));
        });
        this.#countEnded(n);
        return n;
    }

    // ---- a step, and the figures of a second

    step1() {
        if (this.at % Math.round(1 / this.step) === 0) this.#beginSecond();
        this.#comeBack();
        this.#churn();
        for (let g = 0; g < this.room; g++) if (this.nodes[g].state === 'draining') this.#pace(g);
        this.#talk();
        this.#level();
        this.at++;
        if (this.at % Math.round(1 / this.step) === 0) this.#close();
    }

    #beginSecond() {
        const second = Math.round(this.now) % AGES;
        for (const came of this.came) for (let g = 0; g < this.room; g++) came[g * AGES + second] = 0;
    }

    /** Runs until `seconds`; `script(model)` is asked at each step what happens. */
    run(seconds, script = () => {}) {
        const last = Math.round(seconds / this.step);
        while (this.at < last) {
            script(this);
            this.step1();
        }
        return this;
    }

    #account() {
        return (this.second = {
            returned: 0, fresh: 0, failed: 0, steepest: 0, accepts: new Int32Array(this.room),
            subscribes: 0, unsubscribes: 0, reads: 0, publishes: 0, messages: 0,
        });
    }

    #close() {
        const s = this.second;
        const up = this.up;
        const live = this.nodes.filter((n) => n.state !== 'off').length;
        const canaries = this.redis ? live / CANARY_EVERY : 0;
        s.publishes += canaries;
        s.messages += canaries + this.publish * this.shared * live;
        let capacity = 0;
        let held = 0;
        for (const g of up) {
            capacity += this.weight[g];
            held += this.count[g];
        }
        const mean = held / capacity;
        let off = 0;
        for (const g of up) off = Math.max(off, Math.abs(this.count[g] / this.weight[g] / mean - 1));
        const accepts = s.accepts.reduce((a, b) => Math.max(a, b), 0);
        const open = this.count.reduce((a, b) => a + b, 0);
        this.seconds.push({
            ...s, t: this.now, accepts, off: up.length ? off : 1, open, waiting: this.waiting, up: up.length,
            most: this.count.reduce((a, b) => Math.max(a, b), 0), loads: this.room <= 16 ? Array.from(this.count) : undefined,
            subscriptions: open * this.own + live * (this.shared + 3),
        });
        this.#account();
    }
}

/** The time from `since` until all gateways are within `tolerance` of the mean, and stay so; undefined where that never comes. */
export function timeToLevel(model, since, tolerance) {
    let level;
    for (const s of model.seconds) {
        if (s.t <= since) continue;
        if (s.off > tolerance || s.waiting > 0.05 * (s.open + s.waiting)) level = undefined;
        else level ??= s.t - since;
    }
    return level;
}

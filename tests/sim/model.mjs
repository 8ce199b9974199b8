// A tier as numbers: gateways that hold streams, streams that wait until their `retry` is over, and a front that places
// them. Streams are counted, not followed: per gateway and kind, in steps of some 10 ms. A run follows from its seed.
//
// Kind of a stream: the view of it (which of several independent balancers it comes by; with ip_hash, its gateway), and
// whether rebalancing has moved it before.

import { Random } from '../chaos/random.mjs';
import { announce, announceAll, firstAnnouncement, forget, survey } from './announcements.mjs';
import { binomial, withdraw } from './draws.mjs';
import { FRONTS } from './fronts.mjs';
import { Balance } from './rebalance.mjs';
import { closeSecond, newSecond } from './record.mjs';

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
    notices: Infinity, // seconds until the front believes the 404 of a gateway that drains: NGINX does not ask for it
    restart: 2, // from the end of a gateway to when its successor is ready
    rebalance: null, // or settings over REBALANCE
    announce: (gateways) => Math.max(1, gateways / 100), // period in seconds
    churn: 0, // share of the streams that end each second as users leave and others come
    own: 1, // channels that a stream has for itself
    shared: 1, // channels that all gateways have
    publish: 0, // messages a second on each shared channel
};

// Values of gateway/process: --rebalance-*, and how long a moved stream waits (times --retry).
const REBALANCE = { tolerance: 0.1, rate: 50, settle: 10_000, retry: [1, 2] };
const TABLE_AGE = 3; // for as long one that has just begun to listen decides nothing
const AGES = 64; // seconds for which it is known when streams came

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
        this.at = 0; // steps
        this.nodes = all.map((g) => this.#node(g < this.gateways ? 'up' : 'off'));
        this.members = 0; // changes when gateways come or go
        const longest = Math.max(4 * this.retry, this.frontRetry[1], ...this.cutRetry.map((x) => x * this.retry)) + 1;
        this.slots = Array.from({ length: Math.ceil(longest / this.step) }, () => new Int32Array(this.kinds));
        this.waiting = 0;
        this.redis = true;
        this.turn = { next: 0 };
        this.seconds = [];
        this.total = { ended: 0, moved: 0, movedTwice: 0, returned: 0, failed: 0, late: 0 };
        this.#begin();
    }

    get now() {
        return this.at * this.step;
    }

    accepts(g) {
        const { state, began, closesAt } = this.nodes[g];
        return this.redis && (state === 'up' || (state === 'draining' && this.now < Math.min(closesAt, began + this.notices)));
    }

    #node(state, said = null) {
        return { state, said, next: firstAnnouncement(this), since: this.now, balance: new Balance(this.rebalance ?? {}), moved: 0 };
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
        this.second = newSecond(this.room);
        this.#arrive(counts);
        for (const came of this.came) came.fill(0); // they have been there for long
        for (const g of this.up) announce(this, g, -this.random.next() * this.announce(this.gateways));
        this.second = newSecond(this.room); // what came before the first second counts for nothing
    }

    // ---- what a scenario does

    /** SIGTERM. */
    terminate(g) {
        const { delay, window, timeout } = this.drain;
        Object.assign(this.nodes[g], { state: 'draining', began: this.now, closesAt: this.now + delay, from: 0, window, cutAt: this.now + timeout });
    }

    /** kill -9, or the end of a drain: streams that are left are cut. */
    kill(g) {
        this.#end(g, this.count[g], this.cutRetry);
        this.nodes[g] = this.#node('off', this.nodes[g].said);
    }

    start(g) {
        this.nodes[g] = this.#node('up');
    }

    /** While Redis is away, no gateway lets streams in; those that are open stay. When it is back, all channels are subscribed again. */
    setRedis(there) {
        this.redis = there;
        if (!there) return;
        const channels = this.count.reduce((a, b) => a + b, 0) * this.own;
        this.second.subscribes += channels + this.up.length * this.shared;
        this.second.reads += channels;
        for (const g of this.up) {
            forget(this, g);
            Object.assign(this.nodes[g], { since: this.now, next: firstAnnouncement(this) });
        }
    }

    isOff(g) {
        return this.nodes[g].state === 'off';
    }

    /** How many gateways run. */
    get live() {
        return this.nodes.reduce((n, { state }) => n + (state === 'off' ? 0 : 1), 0);
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
        const ok = this.nodes.flatMap((_, g) => (this.accepts(g) ? [g] : []));
        for (let view = 0; view < this.views; view++) {
            const [fresh, moved] = [counts[view * 2], counts[view * 2 + 1]];
            if (fresh + moved === 0) continue;
            if (ok.length > 0) this.#place(ok, view, fresh, moved);
            else for (const [kind, n] of [[view * 2, fresh], [view * 2 + 1, moved]]) this.#refuse(kind, n);
        }
    }

    #refuse(kind, n) {
        this.total.failed += n;
        this.second.failed += n;
        this.#wait(kind, n, ...this.frontRetry);
    }

    /** The front shares streams of a view out among the gateways `ok`: whichever were moved before are among those of each. */
    #place(ok, view, fresh, moved) {
        const kind = view * 2;
        const load = (g) => this.open[g * this.kinds + kind] + this.open[g * this.kinds + kind + 1];
        const parts = [];
        const { weight, random, turn } = this;
        FRONTS[this.front]({ ok, load, weight, random, turn, view, accepts: (g) => this.accepts(g) }, fresh + moved, (g, n) => parts.push([g, n]));
        const left = [fresh, moved];
        for (const [g, n] of parts) {
            const all = left[0] + left[1];
            withdraw(random, n, [...left], 0, 2, all, (i, count) => {
                left[i] -= count;
                this.open[g * this.kinds + kind + i] += count;
                this.came[i][g * AGES + (Math.floor(this.now) % AGES)] += count;
            });
            this.count[g] += n;
            if (this.nodes[g].state === 'draining') this.total.late += n;
            this.second.accepts[g] += n;
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
            forget(this, g); // a gateway that ends in order says so
        }
    }

    // ---- rebalance

    /** Each gateway looks at its peers, and ends what it then has to. */
    #level() {
        if (!this.rebalance) return;
        const tier = survey(this);
        for (const g of this.up) {
            const node = this.nodes[g];
            if (!node.said) continue;
            const isFresh = node.since + TABLE_AGE <= this.now;
            const view = {
                now: Math.round(this.now * 1000), isAllowed: isFresh && this.redis && !tier.draining, own: this.count[g], ownCapacity: this.weight[g],
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

    #next() {
        if (this.at % Math.round(1 / this.step) === 0) this.#beginSecond();
        this.#comeBack();
        this.#churn();
        for (let g = 0; g < this.room; g++) if (this.nodes[g].state === 'draining') this.#pace(g);
        announceAll(this);
        this.#level();
        this.at++;
        if (this.at % Math.round(1 / this.step) === 0) closeSecond(this);
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
            this.#next();
        }
        return this;
    }
}

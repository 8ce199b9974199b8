// How balancers share new streams out: each takes the load of every gateway that accepts, and how many streams are to be
// placed, and gives each gateway its part.

import { share } from './draws.mjs';

/**
 * As water finds its level: each stream goes to the least loaded for its weight. `load` and `weight` by gateway, `ok` lists
 * those that accept.
 */
function leastConn({ ok, load, weight, random }, n, give) {
    let low = Infinity;
    let total = n;
    let weights = 0;
    for (const g of ok) {
        low = Math.min(low, load(g) / weight[g]);
        total += load(g);
        weights += weight[g];
    }
    let high = Math.max(low, total / weights) + (n + 1) / Math.min(...ok.map((g) => weight[g]));
    const taken = (level) => ok.reduce((sum, g) => sum + Math.max(0, Math.floor(level * weight[g]) - load(g)), 0);
    for (let i = 0; i < 50; i++) {
        const middle = (low + high) / 2;
        if (taken(middle) <= n) low = middle;
        else high = middle;
    }
    const lowest = [];
    for (const g of ok) {
        const count = Math.max(0, Math.floor(low * weight[g]) - load(g));
        if (count > 0) give(g, count);
        n -= count;
        if (load(g) < high * weight[g]) lowest.push(g);
    }
    // What whole numbers leave over: one each to gateways at the water line, from a random one on.
    for (let i = Math.floor(random.next() * lowest.length); n > 0; n--, i++) give(lowest[i % lowest.length], 1);
}

function evenly({ ok, weight, random }, n, give) {
    const weights = ok.map((g) => weight[g]);
    share(random, n, weights, weights.reduce((a, b) => a + b, 0), (i, count) => give(ok[i], count));
}

/**
 * Two at random, and of these the less loaded: of k gateways the one of rank r (0: least loaded) gets 2 (k - r) - 1 of k squared.
 * In portions, since each stream changes the ranks for those that follow.
 */
function bestOfTwo({ ok, load, weight, random }, n, give) {
    const added = new Map(ok.map((g) => [g, 0]));
    const weights = ok.map((_, r) => 2 * (ok.length - r) - 1);
    const portion = Math.max(1, Math.ceil(n / 200));
    const full = (g) => (load(g) + added.get(g)) / weight[g];
    for (let left = n; left > 0; left -= portion) {
        const ranked = [...ok].sort((a, b) => full(a) - full(b) || a - b);
        share(random, Math.min(left, portion), weights, ok.length ** 2, (r, count) => added.set(ranked[r], added.get(ranked[r]) + count));
    }
    for (const [g, count] of added) if (count > 0) give(g, count);
}

function roundRobin({ ok, turn }, n, give) {
    const each = Math.floor(n / ok.length);
    for (let i = 0; i < ok.length; i++) {
        const count = each + ((i - turn.next + 2 * ok.length) % ok.length < n % ok.length ? 1 : 0);
        if (count > 0) give(ok[i], count);
    }
    turn.next = (turn.next + n) % ok.length;
}

/** All streams of one view have one gateway, `view`; while that one is away they are strewn over the others. */
function ipHash(tier, n, give) {
    if (tier.accepts(tier.view)) give(tier.view, n);
    else evenly(tier, n, give);
}

export const FRONTS = {
    'least_conn': leastConn,
    'random': evenly,
    'random two least_conn': bestOfTwo,
    'round robin': roundRobin,
    'ip_hash': ipHash,
};

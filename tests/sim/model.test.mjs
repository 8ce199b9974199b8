// The model is a model: streams are neither made nor lost, counts never fall below zero, and a seed says all.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Random } from '../chaos/random.mjs';
import { binomial } from './draws.mjs';
import { FRONTS } from './fronts.mjs';
import { Model } from './model.mjs';
import { allKilled, joins, leaves, once, redisAway, rolling, several } from './scripts.mjs';

const SCRIPTS = {
    'a rolling restart': () => rolling({ at: 2, together: 2 }),
    'two that join, and leave again': () => several(joins(2, 2), once(20, (m) => [3, 4].forEach((g) => m.terminate(g)))),
    'all killed, and Redis away': () => several(allKilled({ at: 2, away: 5 }), redisAway({ at: 15, away: 10 })),
    'most of them drained': () => leaves(2, 3),
};

function play(options, script, check = () => {}) {
    return new Model({ gateways: 4, joiners: 2, streams: 2000, churn: 0.002, rebalance: {}, ...options }).run(60, (model) => {
        script(model);
        check(model);
    });
}

for (const front of Object.keys(FRONTS)) {
    for (const [name, script] of Object.entries(SCRIPTS)) {
        test(`${front}, ${name}: streams are conserved and never negative`, () => {
            play({ front, views: 3 }, script(), (model) => {
                assert.ok(model.open.every((n) => n >= 0), 'a count below zero');
                assert.ok(model.slots.every((slot) => slot.every((n) => n >= 0)), 'fewer than none wait');
                const waiting = model.slots.reduce((sum, slot) => sum + slot.reduce((a, b) => a + b, 0), 0);
                assert.equal(waiting, model.waiting);
                assert.deepEqual(model.count, Int32Array.from(model.count, (_, g) => model.open.subarray(g * model.kinds, (g + 1) * model.kinds).reduce((a, b) => a + b, 0)));
                assert.equal(model.count.reduce((a, b) => a + b, 0) + waiting, 2000);
                for (const g of model.nodes.keys()) if (model.isOff(g)) assert.equal(model.count[g], 0, 'streams at a gateway that is off');
            });
        });
    }
}

test('the same seed gives the same run, another seed another', () => {
    const run = (seed) => JSON.stringify(play({ seed, front: 'random' }, rolling({ at: 2 })).seconds);
    assert.equal(run(5), run(5));
    assert.notEqual(run(5), run(6));
});

test('draws have the mean and the spread of a binomial, where they are few and where they are many', () => {
    const random = new Random(3);
    for (const [n, p] of [[10, 0.3], [1000, 0.004], [1000, 0.2], [100_000, 0.7], [50, 0.98]]) {
        const draws = Array.from({ length: 4000 }, () => binomial(random, n, p));
        assert.ok(draws.every((x) => x >= 0 && x <= n));
        const mean = draws.reduce((a, b) => a + b) / draws.length;
        const variance = draws.reduce((a, b) => a + (b - mean) ** 2, 0) / draws.length;
        assert.ok(Math.abs(mean - n * p) < 5 * Math.sqrt((n * p * (1 - p)) / draws.length), `mean of ${n} x ${p}: ${mean}`);
        assert.ok(Math.abs(variance / (n * p * (1 - p)) - 1) < 0.15, `variance of ${n} x ${p}: ${variance}`);
    }
});

test('least_conn fills the emptiest by weight to one level, whatever the numbers', () => {
    const random = new Random(4);
    for (let i = 0; i < 300; i++) {
        const size = random.int(1, 12);
        const ok = Array.from({ length: size }, (_, g) => g);
        const weight = ok.map(() => random.pick([0.25, 1, 2, 5]));
        const before = ok.map(() => random.int(0, 300));
        const after = [...before];
        const n = random.int(1, 3000);
        FRONTS.least_conn({ ok, load: (g) => before[g], weight, random }, n, (g, count) => (after[g] += count));
        assert.equal(after.reduce((a, b) => a + b) - before.reduce((a, b) => a + b), n);
        const level = Math.max(...ok.filter((g) => after[g] > before[g]).map((g) => (after[g] - 1) / weight[g]));
        for (const g of ok) assert.ok((after[g] + 1) / weight[g] >= level, `gateway ${g} of ${JSON.stringify({ before, after, weight, n })}`);
    }
});

test('a drain ends its streams evenly over the window, and they are back before the longest retry is over', () => {
    const model = new Model({ gateways: 10, streams: 100_000, retry: 2, drain: { window: 20 } }).run(40, leaves(5, 1));
    const returned = model.seconds.map((s) => s.returned);
    for (let t = 10; t < 25; t++) assert.ok(Math.abs(returned[t] - 500) < 60, `${returned[t]} in second ${t}`);
    assert.equal(returned.reduce((a, b) => a + b), 10_000);
    assert.ok(returned.findLastIndex((n) => n > 0) <= 5 + 20 + 4);
});

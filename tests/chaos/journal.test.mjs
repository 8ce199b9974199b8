// Does a report of make chaos show which faults did nothing?

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { check } from './checker.mjs';
import { History } from './history.mjs';
import { Journal } from './journal.mjs';
import { json, passed, text } from './report.mjs';

/** One fault for each of `seen`, one after the other, 10 s apart: what its nemesis returned. */
function journalOf(kind, ...seen) {
    const journal = new Journal();
    journal.start = 0;
    for (const [i, counted] of seen.entries()) Object.assign(journal.begin(i, kind), { from: 10000 * i, to: 10000 * i + 1000, seen: counted });
    return journal;
}

/** A round of which nothing else is known. */
function roundOf(journal) {
    const history = new History();
    const tier = { history, clients: [], audience: [], answers: { counts: {}, readers: [], errors: new Map() }, publishers: new Map() };
    return { settings: { shape: 'single', seconds: 1, seed: 1 }, journal, tier, problems: [], result: check({ history, snapshots: [], clients: [] }) };
}

test('what the faults of a kind were seen to do is summed up', () => {
    const journal = journalOf('flood', { 'subscribers cut off': 2 }, { 'subscribers cut off': 0 }, { 'subscribers cut off': 3 });
    assert.deepEqual(journal.seen('flood'), { 'subscribers cut off': 5 });
    assert.deepEqual(journal.without, []);
    assert.match(text(roundOf(journal)), /^flood .* 5 subscribers cut off$/m);
    assert.deepEqual(json(roundOf(journal)).kinds.flood.seen, { 'subscribers cut off': 5 });
});

test('a fault that was seen to do nothing is named, and fails no round', () => {
    const round = roundOf(journalOf('flood', { 'subscribers cut off': 0 }, { 'subscribers cut off': 0 }));
    assert.deepEqual(round.journal.without, ['flood']);
    assert.match(text(round), /^NO EFFECT of "flood" in 2 runs: 0 subscribers cut off$/m);
    assert.deepEqual(json(round).withoutEffect, ['flood']);
    assert.ok(passed(round));
});

test('a fault that counts nothing has done something where deliveries came late', () => {
    const journal = journalOf('pause', undefined);
    journal.delivered(100, 110);
    assert.deepEqual(journal.without, ['pause']);
    journal.delivered(100, 900);
    assert.deepEqual(journal.seen('pause'), { late: 1 });
    assert.deepEqual(journal.without, []);
});

test('deliveries without a fault are no fault', () => {
    assert.deepEqual(new Journal().without, []);
});

// Does the checker of make chaos find what it is there for? Histories with one fault each.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { check, sums } from './checker.mjs';
import { ACKED, eventText, History, MAYBE, numberIn, REFUSED } from './history.mjs';

const CLEAN = { lost: 0, unannounced: 0, duplicated: 0, reordered: 0, announced: 0, untold: 0 };

/** Ten acknowledged events of one channel, ids 5.1 to 5.10, all kept; `change` may spoil what Redis did. */
function published(change = () => {}) {
    const history = new History();
    history.add('c', 1000);
    const kept = new Map();
    for (let n = 1; n <= 10; n++) {
        const event = history.event('c', history.next('c'));
        Object.assign(event, { state: ACKED, id: `5.${n}` });
        kept.set(n, event.id);
    }
    change({ events: history.channels.get('c').events, kept });
    return { history, snapshots: [{ at: Infinity, kept: new Map([['c', kept]]) }] };
}

/** Findings for a client that got these numbers, in this order; 'gap' is a gateway:gap. */
function found(got, change) {
    const items = got.map((item, at) => (item === 'gap' ? { gap: { channel: 'c' }, at } : { number: item, at }));
    const result = check({ ...published(change), clients: [{ name: 'client', got: new Map([['c', items]]) }] });
    return { ...result, sums: sums(result.findings) };
}

const gone = (...numbers) => ({ kept }) => numbers.forEach((n) => kept.delete(n));

test('a clean history has no findings', () => {
    const { findings, delivered } = found([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    assert.deepEqual(findings, []);
    assert.equal(delivered, 10);
});

test('an event that never came is lost', () => {
    const { findings } = found([1, 2, 3, 4, 5, 6, 7, 8, 9]);
    assert.equal(findings.length, 1);
    assert.deepEqual({ ...findings[0], at: 0, announced: 0 }, { kind: 'lost', client: 'client', channel: 'c', numbers: [10], after: 9, before: undefined, at: 0, announced: 0 });
});

test('nothing at all: all is lost', () => {
    assert.equal(found([]).sums.lost, 10);
});

test('a doubled event is duplicated, at once and much later', () => {
    assert.deepEqual(found([1, 2, 3, 3, 4, 5, 6, 7, 8, 9, 10]).sums, { ...CLEAN, duplicated: 1 });
    assert.deepEqual(found([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 3, 4]).sums, { ...CLEAN, duplicated: 2 });
});

test('an event after a newer one is reordered, and not also missing', () => {
    assert.deepEqual(found([1, 2, 3, 5, 4, 6, 7, 8, 9, 10]).sums, { ...CLEAN, reordered: 1 });
});

test('a hole in silence is unannounced, and names its events', () => {
    const { findings, sums } = found([1, 2, 3, 6, 7, 8, 9, 10]);
    assert.deepEqual(sums, { ...CLEAN, unannounced: 2 });
    assert.deepEqual(findings[0].numbers, [4, 5]);
    assert.deepEqual([findings[0].after, findings[0].before], [3, 6]);
});

test('a hole in silence is unannounced also where Redis has trimmed the events since', () => {
    assert.deepEqual(found([1, 2, 3, 6, 7, 8, 9, 10], gone(1, 2, 3, 4, 5)).sums, { ...CLEAN, unannounced: 2 });
});

test('a gap elsewhere does not announce a hole', () => {
    assert.deepEqual(found([1, 2, 'gap', 3, 6, 7, 8, 9, 10]).sums, { ...CLEAN, unannounced: 2 });
    assert.deepEqual(found([1, 2, 3, 6, 'gap', 7, 8, 9, 10]).sums, { ...CLEAN, unannounced: 2 });
});

test('a hole that Redis cannot fill any more and that was announced is legitimate', () => {
    const { sums, gaps, emptyGaps } = found([1, 2, 3, 'gap', 6, 7, 8, 9, 10], gone(1, 2, 3, 4, 5));
    assert.deepEqual({ sums, gaps, emptyGaps }, { sums: { ...CLEAN, announced: 2 }, gaps: 1, emptyGaps: [] });
});

test('a hole that was announced although Redis still has the events is a loss', () => {
    assert.deepEqual(found([1, 2, 3, 'gap', 6, 7, 8, 9, 10]).sums, { ...CLEAN, lost: 2 });
});

test('a gap where nothing is missing is counted', () => {
    assert.deepEqual(found([1, 2, 3, 'gap', 4, 5, 6, 7, 8, 9, 10]).emptyGaps, [3]);
});

test('an event with an unknown outcome may come or not, unless Redis has it', () => {
    const maybe = ({ events, kept }) => {
        events[4].state = MAYBE;
        kept.delete(4);
    };
    assert.deepEqual(found([1, 2, 3, 5, 6, 7, 8, 9, 10], maybe).sums, CLEAN);
    assert.deepEqual(found([1, 2, 3, 4, 5, 6, 7, 8, 9, 10], maybe).sums, CLEAN);
    assert.deepEqual(found([1, 2, 3, 4, 4, 5, 6, 7, 8, 9, 10], maybe).sums, { ...CLEAN, duplicated: 1 });
    assert.deepEqual(found([1, 2, 3, 5, 6, 7, 8, 9, 10], ({ events }) => (events[4].state = MAYBE)).sums, { ...CLEAN, unannounced: 1 });
});

test('a refused event is owed to nobody', () => {
    const refused = ({ events, kept }) => {
        events[4].state = REFUSED;
        kept.delete(4);
    };
    assert.deepEqual(found([1, 2, 3, 5, 6, 7, 8, 9, 10], refused).sums, CLEAN);
});

test('what a failover lost without a trace is told apart from what the ids give away', () => {
    // 4 and 5 were acknowledged as 5.4 and 5.5, and vanished; 6 became 5.4.
    const rewritten = ({ events, kept }) => {
        gone(4, 5)({ kept });
        for (let n = 6; n <= 10; n++) kept.set(n, (events[n].id = `5.${n - 2}`));
    };
    assert.deepEqual(found([1, 2, 3, 6, 7, 8, 9, 10], rewritten).sums, { ...CLEAN, untold: 2 });
    assert.deepEqual(found([1, 2, 3, 4, 6, 7, 8, 9, 10], rewritten).sums, { ...CLEAN, unannounced: 1 });
    assert.deepEqual(found([1, 2, 3, 4, 'gap', 6, 7, 8, 9, 10], rewritten).sums, { ...CLEAN, announced: 1 });
});

test('what Redis forgot later was still there when a gap was announced before that', () => {
    const forgets = (when) => {
        const { history, snapshots } = published();
        const all = snapshots[0].kept.get('c');
        const kept = new Map([...all].filter(([n]) => n > 7));
        const items = [1, 2, 3, 'gap', 6, 7, 'gap', 8, 9, 10].map((item, at) => (item === 'gap' ? { gap: {}, at } : { number: item, at }));
        return sums(check({ history, snapshots: [{ at: when, kept: new Map([['c', all]]) }, { at: Infinity, kept: new Map([['c', kept]]) }],
            clients: [{ name: 'client', got: new Map([['c', items]]) }] }).findings);
    };
    assert.deepEqual(forgets(5.5), { ...CLEAN, lost: 2 });
    assert.deepEqual(forgets(3.5), { ...CLEAN, announced: 2 });
});

test('another life of the stream must be announced', () => {
    const reborn = ({ events, kept }) => {
        gone(1, 2, 3, 4, 5)({ kept });
        for (let n = 6; n <= 10; n++) kept.set(n, (events[n].id = `9.${n - 5}`));
    };
    assert.deepEqual(found([1, 2, 3, 6, 7, 8, 9, 10], reborn).sums, { ...CLEAN, unannounced: 2 });
    assert.deepEqual(found([1, 2, 3, 'gap', 6, 7, 8, 9, 10], reborn).sums, { ...CLEAN, announced: 2 });
});

test('who came late and asked for all that is kept is owed just that', () => {
    assert.deepEqual(found([4, 5, 6, 7, 8, 9, 10], gone(1, 2, 3)).sums, CLEAN);
    assert.deepEqual(found([5, 6, 7, 8, 9, 10], gone(1, 2, 3)).sums, { ...CLEAN, lost: 1 });
});

test('who left is owed nothing after its last event, and everything before it', () => {
    const left = (...numbers) => check({ ...published(), clients: [{ name: 'client', left: true, got: new Map([['c', numbers.map((number) => ({ number, at: 0 }))]]) }] });
    assert.deepEqual(left(1, 2, 3).findings, []);
    assert.deepEqual(sums(left(1, 3).findings), { ...CLEAN, unannounced: 1 });
});

test('the text of an event names it, and no other text does', () => {
    const text = eventText('c', 14, 50);
    assert.equal(numberIn('c', text), 14);
    for (const wrong of [text.slice(0, -1), `${text}x`, text.replace('14', '15'), text.replace('ab', 'ba'), 'c', '']) assert.ok(Number.isNaN(numberIn('c', wrong)), wrong);
});

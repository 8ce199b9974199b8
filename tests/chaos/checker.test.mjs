// Does the checker of make chaos find what it is there for? Histories with one fault each.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { check, sums } from './checker.mjs';
import { ACKED, eventText, History, MAYBE, numberIn, REFUSED } from './history.mjs';

const CLEAN = sums([]);

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
    assert.deepEqual({ ...findings[0], at: 0, announced: 0 }, { kind: 'lost', client: 'client', channel: 'c', numbers: [10], after: 9, before: undefined, at: 0, announced: 0, words: '1 2 3 4 5 6 7 8 9' });
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

test('where nobody knows the id before the hole, the ids of what is missing show that they were lost', () => {
    const rewritten = (id) => ({ events, kept }) => {
        gone(1, 2)({ kept });
        events[1].state = MAYBE;
        events[1].id = undefined;
        events[2].id = id;
        for (let n = 3; n <= 10; n++) kept.set(n, (events[n].id = `5.${n - 1}`));
    };
    assert.deepEqual(found([1, 3, 4, 5, 6, 7, 8, 9, 10], rewritten('5.2')).sums, { ...CLEAN, untold: 1 });
    for (const id of ['5.1', '4.2', undefined]) assert.deepEqual(found([1, 3, 4, 5, 6, 7, 8, 9, 10], rewritten(id)).sums, { ...CLEAN, unannounced: 1 });
});

test('behind a branch that a failover has cut off, a gap stands for what has lower offsets than its end', () => {
    // 3 and 4 were delivered as 5.3 and 5.4, and vanished; 5 became 5.3.
    const cut = ({ events, kept }) => {
        gone(3, 4)({ kept });
        for (const n of [3, 4]) Object.assign(events[n], { state: MAYBE, id: undefined });
        for (let n = 5; n <= 10; n++) kept.set(n, (events[n].id = `5.${n - 2}`));
    };
    const after = (from, { failsOver = true, change = cut } = {}) => {
        const items = [1, 2, 3, 4, 'gap', 6, 7, 8, 9, 10].map((item, at) => (item === 'gap' ? { gap: { from }, at } : { number: item, at }));
        return sums(check({ ...published(change), failsOver, clients: [{ name: 'client', got: new Map([['c', items]]) }] }).findings);
    };
    for (const from of [null, 5]) assert.deepEqual(after(from), { ...CLEAN, announced: 1 });
    // It is not before the end of the branch.
    const shorter = (given) => { cut(given); given.kept.set(5, given.events[5].id = '5.4'); };
    assert.deepEqual(after(5, { change: shorter }), { ...CLEAN, lost: 1 });
    assert.deepEqual(after(5, { failsOver: false }), { ...CLEAN, lost: 1 });
    assert.deepEqual(after(5, { change: () => {} }), { ...CLEAN, lost: 1 });
});

test('behind the gap of a failover another gateway may give once more what its master still has', () => {
    const got = (...streams) => {
        const items = streams.flatMap((words, stream) => words.map((word) => (word === 'gap' ? { gap: { from: 6 }, at: 1, stream } : { number: word, at: 1, stream })));
        return (failsOver) => sums(check({ ...published(), failsOver, clients: [{ name: 'client', got: new Map([['c', items]]) }] }).findings);
    };
    const elsewhere = got([1, 2, 3, 4, 5, 'gap'], [4, 5, 6, 7, 8, 9, 10]);
    assert.deepEqual(elsewhere(true), { ...CLEAN, again: 1 });
    assert.ok(elsewhere(false).duplicated > 0);
    assert.ok(got([1, 2, 3, 4, 5, 'gap', 4, 5, 6, 7, 8, 9, 10])(true).duplicated > 0);
    assert.ok(got([1, 2, 3, 4, 5], [4, 5, 6, 7, 8, 9, 10])(true).duplicated > 0);
});

test('an event with the very id of one that a failover lost is told apart by the last event id', () => {
    // 4 was delivered as 5-4 of millisecond 1000, and vanished; 5 became that, in the same millisecond.
    const collides = ({ events, kept }) => {
        kept.delete(4);
        Object.assign(events[4], { state: MAYBE, id: undefined });
        for (let n = 5; n <= 10; n++) kept.set(n, `5.${n - 1}.${995 + n}`);
    };
    const cursor = (ms) => Buffer.from([0, 0, 0, 0x20, 0x80 | (ms & 127), ms >> 7, 1, 2, 3, 4, 0]).toString('base64url');
    const after = (ms, failsOver = true) => {
        const items = [1, 2, 3, 4, 6, 7, 8, 9, 10].map((number, at) => ({ number, at, ...(number === 6 && { had: cursor(ms) }) }));
        return sums(check({ ...published(collides), failsOver, clients: [{ name: 'client', got: new Map([['c', items]]) }] }).findings);
    };
    assert.deepEqual(after(1000), { ...CLEAN, collided: 1 });
    assert.deepEqual(after(1001), { ...CLEAN, unannounced: 1 });
    assert.deepEqual(after(1000, false), { ...CLEAN, unannounced: 1 });
});

test('a batch that ends with the very id of one that a failover lost is told apart by the last event id', () => {
    // 4 and 5 were delivered as 4-4 and 5-5 of millisecond 1000, and vanished; 6 and 7 have become that.
    const collides = (last) => ({ events, kept }) => {
        for (const n of [4, 5]) {
            kept.delete(n);
            Object.assign(events[n], { state: MAYBE, id: undefined });
        }
        kept.set(6, '5.4.1000');
        for (let n = 7; n <= 10; n++) kept.set(n, `5.${n - 2}.${last + n - 7}`);
    };
    const cursor = Buffer.from([0, 0, 0, 0x20, 0x80 | (1000 & 127), 1000 >> 7, 1, 2, 3, 5, 0]).toString('base64url'); // offset 5 of 1000
    const after = (last, failsOver = true) => {
        const items = [1, 2, 3, 4, 5, 8, 9, 10].map((number, at) => ({ number, at, ...(number === 8 && { had: cursor }) }));
        return sums(check({ ...published(collides(last)), failsOver, clients: [{ name: 'client', got: new Map([['c', items]]) }] }).findings);
    };
    assert.deepEqual(after(1000), { ...CLEAN, collided: 2 });
    assert.deepEqual(after(1001), { ...CLEAN, unannounced: 2 });
    assert.deepEqual(after(1000, false), { ...CLEAN, unannounced: 2 });
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

/** The same ten events, in two lives of the channel: 1 to 5, and 6 to 10, each with an end; `what` as items of a reader. */
function readers(what, { change = () => {}, failsOver = false, ...client } = {}) {
    const { history, snapshots } = published(({ events, kept }) => {
        for (let n = 1; n <= 10; n++) Object.assign(events[n], { life: n <= 5 ? 1 : 2, end: n === 5 || n === 10, id: n <= 5 ? `5.${n}` : `9.${n - 5}`, acked: n });
        for (let n = 1; n <= 5; n++) kept.delete(n);
        change({ events, kept });
    });
    let [at, stream] = [0, 1];
    const items = [];
    for (const word of what) {
        at = typeof word === 'number' ? word : at;
        if (word === 'again') stream++;
        else items.push({ at, stream, ...(word === 'gap' ? { gap: {} } : word.gap ? word : word === 'end' ? { ended: true } : { number: word }) });
    }
    const result = check({ history, snapshots, failsOver, clients: [{ name: 'client', got: new Map([['c', items]]), ...client }] });
    return { ...result, sums: sums(result.findings) };
}

const LIVE = [1, 2, 3, 4, 5, 'end', 6, 7, 8, 9, 10, 'end'];
/** It was answered 204 when `end` was the newest end, and `known` the newest event that Redis had. */
const finished = (end, known = end) => ({ finished: { at: 99, channels: new Map([['c', { end, known }]]) } });

test('a reader of a channel that ends and begins again is told of each end', () => {
    assert.deepEqual(readers(LIVE, finished(10)).findings, []);
    assert.deepEqual(readers([1, 2, 3, 4, 5, 'end'], finished(5)).findings, []);
});

test('what goes on behind an end without gateway:end is open, and so is a stream that ends without a word', () => {
    assert.deepEqual(readers(LIVE.toSpliced(5, 1)).sums, { ...CLEAN, open: 1 });
    assert.deepEqual(readers(LIVE.slice(0, -1), { clean: new Set([1]) }).sums, { ...CLEAN, open: 1 });
    assert.deepEqual(readers(LIVE.slice(0, -1)).sums, CLEAN); // it was cut off in between
    assert.deepEqual(readers([1, 2, 3, 4, 5, 'again', 'gap', 6, 7, 8, 9, 10, 'end']).sums, CLEAN);
});

test('gateway:end before the last event is early, and so is a 204', () => {
    assert.deepEqual(readers([1, 2, 3, 'end', 4, 5, 'end', 6, 7, 8, 9, 10, 'end']).sums, { ...CLEAN, early: 1 });
    assert.deepEqual(readers([1, 2, 3, 4, 5, 'end', 6, 7], finished(5, 7)).sums, { ...CLEAN, early: 1 });
    assert.deepEqual(readers(['end']).sums.early, 1);
    // 4 and 5 have taken the places of what a failover lost: the gap stands for them.
    const behindGap = [1, 2, 3, { gap: { from: 6 } }, 'end', 6, 7, 8, 9, 10, 'end'];
    const lost = ({ events }) => [4, 5].forEach((n) => (events[n].state = MAYBE));
    assert.deepEqual(readers(behindGap, { failsOver: true, change: lost }).sums, CLEAN);
    assert.deepEqual(readers(behindGap, { change: lost }).sums, { ...CLEAN, early: 1 });
    assert.deepEqual(readers(behindGap.with(3, 'gap'), { failsOver: true, change: lost }).sums, { ...CLEAN, early: 1 });
});

test('a 204 for a reader that has not got everything is a loss', () => {
    assert.deepEqual(readers([1, 2, 3], finished(5)).sums, { ...CLEAN, lost: 2 });
    assert.deepEqual(readers(LIVE.slice(0, -3), finished(10)).sums, { ...CLEAN, lost: 2 });
});

test('with everything of channels that have ended, the first answer is 204, or the second', () => {
    const client = (...statuses) => readers(LIVE, { ...finished(10), tries: statuses.map((status, i) => ({ status, at: 20 + i, complete: true })), answers: [{ channel: 'c', forgotten: [] }] });
    assert.deepEqual(client(204).sums, CLEAN);
    assert.deepEqual(client(200, 204).sums, CLEAN);
    assert.deepEqual(client(200, 200, 204).sums, { ...CLEAN, open: 1 });
    assert.deepEqual(client(200).sums, { ...CLEAN, open: 1 });
    const early = { status: 200, at: 3, complete: false };
    assert.deepEqual(readers(LIVE, { ...finished(10), tries: [early], answers: [] }).sums, CLEAN);
    assert.deepEqual(readers(LIVE, { ...finished(10), tries: [{ ...early, complete: true }], answers: [{ channel: 'c', forgotten: [{ from: 2, to: 4 }] }] }).sums, CLEAN);
});

test('a cursor of an earlier life is told of the new one, if that had begun when it came', () => {
    const back = (...opened) => ({ diary: opened.map((at) => ({ at })) });
    assert.deepEqual(readers([1, 2, 3, 4, 5, 'end', 'again', 6, 7, 8, 9, 10, 'end'], back(0, 6.5)).sums, { ...CLEAN, unannounced: 1 });
    assert.deepEqual(readers([1, 2, 3, 4, 5, 'end', 'again', 'gap', 6, 7, 8, 9, 10, 'end'], back(0, 6.5)).sums, CLEAN);
    assert.deepEqual(readers([1, 2, 3, 4, 5, 'end', 'again', 6, 7, 8, 9, 10, 'end'], back(0, 5.5)).sums, CLEAN);
    assert.deepEqual(readers([6, 7, 8, 9, 10, 'end'], { ...back(6.5), startedAfter: new Map([['c', 5]]) }).sums, { ...CLEAN, unannounced: 1 });
    assert.deepEqual(readers([1, 2, 3, 'again', 'gap', 6, 7, 8, 9, 10, 'end'], back(0, 6.5)).sums, { ...CLEAN, announced: 2 });
    assert.deepEqual(readers([1, 2, 3, 'again', 6, 7, 8, 9, 10, 'end'], back(0, 6.5)).sums.unannounced, 3);
});

test('what was before a snapshot is needed by nobody, and what is behind it by everybody', () => {
    const snapshot = ({ events, kept }) => {
        events[6].snapshot = true;
        gone(1, 2, 3, 4, 5)({ kept });
    };
    assert.deepEqual(found([1, 2, 6, 7, 8, 9, 10], snapshot).sums, { ...CLEAN, superseded: 3 });
    assert.deepEqual(found([6, 7, 8, 9, 10], snapshot).sums, { ...CLEAN, superseded: 5 });
    assert.deepEqual(found([1, 2, 3, 4, 5, 6, 7, 8, 9, 10], snapshot).sums, CLEAN);
    assert.deepEqual(found([1, 2, 7, 8, 9, 10], snapshot).sums, { ...CLEAN, superseded: 3, unannounced: 1 });
    assert.deepEqual(found([1, 2, 6, 8, 9, 10], snapshot).sums, { ...CLEAN, superseded: 3, unannounced: 1 });
    assert.deepEqual(found([7, 8, 9, 10], snapshot).sums, { ...CLEAN, superseded: 5, lost: 1 });
    assert.deepEqual(found([6, 7, 8, 9, 10, 5], snapshot).sums.reordered, 1);
    const { emptyGaps, snapshotGaps } = found([1, 2, 'gap', 6, 'gap', 7, 8, 9, 10], snapshot);
    assert.deepEqual({ emptyGaps, snapshotGaps }, { emptyGaps: [2, 4], snapshotGaps: 1 });
    assert.deepEqual(found([1, 2], snapshot).sums, { ...CLEAN, superseded: 3, lost: 5 });
});

test('an event that Redis refused, as a writer that was fenced out, comes to nobody', () => {
    const refused = ({ events, kept }) => {
        events[4].state = REFUSED;
        kept.delete(4);
    };
    assert.deepEqual(found([1, 2, 3, 4, 5, 6, 7, 8, 9, 10], refused).sums, { ...CLEAN, refused: 1 });
});

test('a batch that Redis lost and its publisher sent again may come again, behind a gap; one that was sent once may not', () => {
    const sentAgain = ({ events }) => [4, 5].forEach((n) => (events[n].sent = 2));
    assert.deepEqual(found([1, 2, 3, 4, 5, 'gap', 4, 5, 6, 7, 8, 9, 10], sentAgain).sums, { ...CLEAN, again: 1 });
    assert.deepEqual(found([1, 2, 3, 4, 5, 'gap', 5, 6, 7, 8, 9, 10], sentAgain).sums, { ...CLEAN, again: 1 });
    assert.deepEqual(found([1, 2, 3, 4, 5, 4, 5, 6, 7, 8, 9, 10], sentAgain).sums, { ...CLEAN, duplicated: 2 });
    assert.deepEqual(found([1, 2, 3, 4, 5, 'gap', 4, 5, 6, 7, 8, 9, 10]).sums, { ...CLEAN, duplicated: 2 });
    assert.deepEqual(found([1, 2, 3, 4, 5, 'gap', 4, 5, 5, 6, 7, 8, 9, 10], sentAgain).sums, { ...CLEAN, again: 1, duplicated: 1 });
});

test('a failover that takes a channel back to an earlier life may bring that again, behind a gap; nothing else may', () => {
    const back = [1, 2, 3, 4, 5, 'end', 6, 7, 'gap', 3, 4, 5, 'end', 6, 7, 8, 9, 10, 'end'];
    assert.deepEqual(readers(back, { failsOver: true }).sums, { ...CLEAN, again: 1 });
    assert.ok(readers(back).sums.duplicated > 0);
    assert.ok(readers(back.filter((word) => word !== 'gap'), { failsOver: true }).sums.duplicated > 0);
    assert.equal(readers([1, 2, 3, 4, 'gap', 4, 5, 'end', 6, 7, 8, 9, 10, 'end'], { failsOver: true }).sums.duplicated, 1);
});

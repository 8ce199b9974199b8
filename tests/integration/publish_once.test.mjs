// A publisher whose connection is cut between a batch and its answer sends it again, with the same key or the same `after`:
// every event comes to every stream exactly once. tests/chaos/writer.mjs is such a publisher.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ACKED, eventText, History } from '../chaos/history.mjs';
import { DONE, FENCED, Writer } from '../chaos/writer.mjs';
import { brokenAt, connect, history } from '../lib/durable.mjs';
import { scopeOf } from '../lib/scope.mjs';
import { openStream } from '../lib/streams.mjs';
import { startTier } from '../lib/tier.mjs';
import { until } from '../lib/wait.mjs';

const CUTS = 1000;
const BATCHES = [1, 1, 4, 1, 16]; // events in each, over and over

async function start(t, channel) {
    const scope = scopeOf(t);
    const { redis, gateway } = await startTier(scope, { args: ['--durable', '*'] });
    const shape = { replicas: 0, owner: async () => ({ port: redis.port }) };
    const known = new History();
    known.add(channel, 0);
    const counts = { cut: 0, again: 0, fenced: 0, mine: 0 };
    const writer = (fenced, random) => {
        const it = new Writer({ shape, channel, history: known, random, fenced, counts, errors: new Map(), isStopped: () => false });
        scope.defer(() => it.lose());
        return it;
    };
    const append = (by, count) => {
        const numbers = Array.from({ length: count }, () => known.next(channel));
        return by.append(numbers, numbers.map(() => 20), ['maxlen', 100000]);
    };
    return { scope, redis, gateway, known, counts, writer, append, client: connect(scope, redis) };
}

/** Every first attempt is cut off, and no second one. */
function everyFirst() {
    let isCut = false;
    return { chance: () => (isCut = !isCut) };
}

for (const [fenced, guard] of [[false, 'key'], [true, 'after']]) {
    test(`with the connection cut ${CUTS} times between sending and the answer, option ${guard} brings each event to a stream exactly once`, async (t) => {
        const channel = `once:${guard}`;
        const { scope, gateway, known, counts, writer, append, client } = await start(t, channel);
        const stream = await openStream(scope, gateway.port, `/stream?channel=${channel}&last_event_id=earliest`);
        const one = writer(fenced, everyFirst());
        for (let i = 0; i < CUTS; i++) assert.equal(await append(one, BATCHES[i % BATCHES.length]), DONE);
    assert.deepEqual([counts.cut, counts.again], [CUTS, CUTS]);
        if (fenced) assert.ok(counts.mine > CUTS / 10, `${counts.mine} of the attempts that were cut off went through`);
        const { events } = known.channels.get(channel);
        assert.ok(events.slice(1).every(({ state }) => state === ACKED));
        const texts = events.slice(1).map((_, i) => eventText(channel, i + 1, 20));
        await stream.count(texts.length);
        assert.deepEqual(stream.events.map(({ data }) => data), texts);
        const entries = await history(client, channel);
        assert.deepEqual([entries.length, brokenAt(entries)], [texts.length, '']);
        // The answers of second attempts say which events the first ones had published.
        assert.deepEqual(events.slice(1).map(({ id }) => id), entries.map(({ epoch, offset }) => `${epoch}.${offset}`));
    });
}

test('of two writers of one channel, the one that comes later is the only one that goes on, and no batch of the other gets between', async (t) => {
    const { scope, gateway, known, writer, append } = await start(t, 'taken');
    const never = { chance: () => false };
    const stream = await openStream(scope, gateway.port, '/stream?channel=taken&last_event_id=earliest');
    const [old, heir] = [writer(true, never), writer(true, never)];
    for (let i = 0; i < 5; i++) assert.equal(await append(old, 3), DONE);
    await heir.takeOver();
    assert.equal(await append(heir, 2), DONE); // 16 and 17
    assert.equal(await append(old, 3), FENCED); // 18 to 20
    assert.equal(await append(heir, 2), DONE);
    assert.equal(await append(old, 1), FENCED);
    await until('all', () => stream.events.length >= 19);
    const numbers = stream.events.map(({ data }) => Number(data.split(' ')[1]));
    assert.deepEqual(numbers, [...Array.from({ length: 17 }, (_, i) => i + 1), 21, 22]);
    assert.deepEqual(known.counts(), { acked: 19, maybe: 0, refused: 4 });
});

// A publisher whose connection is cut between sending and the answer sends again until it has one: with `key`, or as the one
// writer with `after`, each event is at the browser exactly once and in order.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Random } from '../chaos/random.mjs';
import { Connection, Lost, Refused } from '../chaos/resp.mjs';
import { SCRIPT, brokenAt, connect, history, load } from '../lib/durable.mjs';
import { relayTo } from '../lib/relay.mjs';
import { scopeOf } from '../lib/scope.mjs';
import { openStream } from '../lib/streams.mjs';
import { startTier } from '../lib/tier.mjs';
import { until } from '../lib/wait.mjs';

const EVENTS = 1000;
const SEED = process.env.SEED ?? String(Date.now());

/** A relay that cuts each connection that is marked: before Redis has the request, while it gets it, or before its answer. */
async function startCutting(scope, redis) {
    const cuts = { before: 0, during: 0, after: 0 };
    let next = null; // what happens to the next request
    const doomed = new Set();
    const url = await relayTo(scope, redis, (data, number, near) => {
        const cut = next;
        next = null;
        if (cut === null) return true;
        cuts[cut]++;
        if (cut === 'after') doomed.add(number);
        else near.destroy();
        return cut !== 'before';
    }, (number) => !doomed.has(number));
    return { port: Number(new URL(url).port), cuts, cutNext: (how) => (next = how) };
}

// Sends until there is an answer. The first try is always cut, so are three of ten others.
async function insist(relay, random, command, isDone = () => false) {
    for (let tries = 0; ; tries++) {
        const connection = await Connection.open({ port: relay.port });
        try {
            relay.cutNext(tries === 0 || random.chance(0.3) ? random.pick(['before', 'during', 'after', 'after', 'after']) : null);
            return await connection.call(...command);
        } catch (error) {
            if (error instanceof Refused && isDone(error.message)) return null;
            if (!(error instanceof Lost)) throw error;
        } finally {
            connection.lose();
        }
    }
}

const WRITERS = {
    'with a key, by the function': (send) => (i) => send(['FCALL', 'sse_publish', '1', 'n', `${i}`, '', '', 'key', `event ${i}`]),
    'with a key, by the script': (send, sha1) => (i) => send(['EVALSHA', sha1, '1', 'n', `${i}`, '', '', 'key', `event ${i}`]),
    // What the last try has published makes the next one be fenced off, by its own event.
    'as the one writer, by the function': (send) => (i) =>
        send(['FCALL', 'sse_publish', '1', 'n', `${i}`, '', '', 'after', `${i}`], (said) => said.startsWith(`FENCED sse_publish: the last offset of the channel is ${i + 1},`)),
    'with a key, four at a time': (send) => (i) =>
        i % 4 === 0 && send(['FCALL', 'sse_append', '1', 'n', '4', ...[0, 1, 2, 3].flatMap((k) => ['token', `${i + k}`]), 'key', `events ${i}`]),
};

for (const [name, writer] of Object.entries(WRITERS)) {
    test(`a publisher that is cut before each answer and tries again publishes each of ${EVENTS} events once: ${name}`, async (t) => {
        const scope = scopeOf(t);
        const { redis, gateway } = await startTier(scope);
        const client = connect(scope, redis);
        await load(client);
        const relay = await startCutting(scope, redis);
        const random = new Random(SEED, name);
        const stream = await openStream(scope, gateway.port, '/stream?channel=n');
        const publish = writer((command, isDone) => insist(relay, random, command, isDone), await client.script('LOAD', SCRIPT));
        for (let i = 0; i < EVENTS; i++) await publish(i);

        const expected = Array.from({ length: EVENTS }, (_, i) => `${i}`);
        await stream.count(EVENTS);
        const late = await openStream(scope, gateway.port, '/stream?channel=n&last_event_id=earliest');
        await late.count(EVENTS);
        const entries = await history(client, 'n');
        assert.deepEqual([entries.length, brokenAt(entries)], [EVENTS, ''], `SEED=${SEED}`);
        for (const events of [stream.events, late.events, entries]) assert.deepEqual(events.map((e) => e.data), expected, `SEED=${SEED}`);
        const requests = name.endsWith('four at a time') ? EVENTS / 4 : EVENTS;
        assert.ok(relay.cuts.before + relay.cuts.during + relay.cuts.after >= requests && Math.min(...Object.values(relay.cuts)) > 0, JSON.stringify(relay.cuts));
    });
}

test('what begins and ends a channel in one append is fenced off by no offset, and needs a key to be safe to send again', async (t) => {
    const scope = scopeOf(t);
    const { redis, gateway } = await startTier(scope);
    const client = connect(scope, redis);
    await load(client);
    const stream = await openStream(scope, gateway.port, '/stream?channel=once&channel=twice&channel=open');
    const whole = (channel, ...guard) => client.call('FCALL', 'sse_append', '1', channel, '1', '', `all of ${channel}`, 'end', '60', ...guard);
    const [[first], [second]] = [await whole('once', 'after', '0', 'key', 'job 1'), await whole('once', 'after', '0', 'key', 'job 1')];
    assert.equal(second, first);
    const [[one], [two]] = [await whole('twice', 'after', '0'), await whole('twice', 'after', '0')];
    assert.notEqual(two, one);
    assert.match(two, /\.1$/, 'another life of the channel');
    await redis.publish('open', 'last');
    const texts = () => stream.events.map(({ data }) => data).filter((data) => !data.startsWith('{'));
    await until('the last one is there', () => texts().includes('last'));
    assert.deepEqual(texts(), ['all of once', 'all of twice', 'all of twice', 'last']);
});

// Version 5 of the function library comes over version 4 while gateways of both versions run: either side of an upgrade.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { command } from '../lib/command.mjs';
import { brokenAt, connect, FORMS, history, LIBRARY_4, LIBRARY_VERSION, load } from '../lib/durable.mjs';
import { Gateway } from '../lib/gateway.mjs';
import { oldBuild } from '../lib/old_gateway.mjs';
import { Redis } from '../lib/redis.mjs';
import { scopeOf } from '../lib/scope.mjs';
import { openStream } from '../lib/streams.mjs';
import { sleep, until } from '../lib/wait.mjs';

const OLD_VERSION = 4;
const old = await oldBuild();
const needed = { skip: old.why ?? false };

async function start(t) {
    const scope = scopeOf(t);
    const redis = await Redis.start(scope);
    const client = connect(scope, redis);
    const append = (channel, events, ...options) => client.call('FCALL', 'sse_append', '1', channel, String(events.length), ...events.flatMap((data) => ['', data]), ...options);
    return {
        scope, redis, client, append,
        publish: (channel, data, ...options) => FORMS.function(client, channel, data, '', '', ...options),
        version: () => client.call('FCALL_RO', 'sse_version', '0'),
        startOld: (options) => Gateway.start(scope, { redis, program: old.gateway, args: ['--durable', '*'], ...options }),
        startNew: (options) => Gateway.start(scope, { redis, args: ['--durable', '*'], ...options }),
    };
}

const earliest = (channel) => `/stream?channel=${channel}&last_event_id=earliest`;
const range = (from, to) => Array.from({ length: to - from + 1 }, (_, i) => String(from + i));
/** What a stream got, as words: the data of its events, and 'gap'. */
const words = (stream) => stream.events.map(({ type, data }) => (type.startsWith('gateway:') ? type.slice('gateway:'.length) : data));
const heard = async (stream, ...wanted) => {
    await until(`${wanted.length} words`, () => {
        if (stream.events.length >= wanted.length) return true;
        throw new Error(String(words(stream)).slice(-200));
    });
    assert.deepEqual(words(stream), wanted);
};

/** Until then a gateway remembers more than Redis keeps. */
const streamsGone = (gateway) => gateway.metricIs('connections', 0);

test('a new gateway brings its library to a Redis that has the old one, and histories of the old one go on as they are', async (t) => {
    const tier = await start(t);
    await tier.client.call('FUNCTION', 'LOAD', LIBRARY_4);
    for (const n of range(1, 3)) await tier.publish('plain', n);
    for (const n of range(1, 3)) await tier.publish('bounded', n, 'maxlen', '4', 'maxage', '3600');
    assert.equal(await tier.version(), OLD_VERSION);
    const gateway = await tier.startNew();
    await until('the new library', async () => (await tier.version()) === LIBRARY_VERSION);
    const [plain, bounded] = [await openStream(tier.scope, gateway.port, earliest('plain')), await openStream(tier.scope, gateway.port, earliest('bounded'))];
    await heard(plain, ...range(1, 3));
    await tier.publish('plain', '4');
    await tier.append('plain', range(5, 9), 'after', '4', 'key', 'k');
    await tier.append('bounded', range(4, 6), 'maxlen', '4', 'maxage', '3600', 'maxbytes', '100000');
    await heard(plain, ...range(1, 9));
    await heard(bounded, ...range(1, 6));
    assert.equal(brokenAt(await history(tier.client, 'plain')), '');
    assert.deepEqual((await history(tier.client, 'bounded')).map(({ offset, data }) => `${offset} ${data}`), ['3 3', '4 4', '5 5', '6 6']);
});

test('an old gateway gives its streams single events, batches of any size, and those with keys and fences, each once', needed, async (t) => {
    const tier = await start(t);
    await load(tier.client);
    const gateway = await tier.startOld();
    assert.equal(await tier.version(), LIBRARY_VERSION);
    await tier.publish('a', '1');
    const [live, other] = [await openStream(tier.scope, gateway.port, earliest('a')), await openStream(tier.scope, gateway.port, '/stream?channel=a&last_event_id=earliest&channel=b')];
    await heard(live, '1');
    await tier.publish('a', '2');
    await tier.append('a', range(3, 18));
    const large = range(19, 60).map((n) => n.padEnd(4000, '%\n')); // three messages of a batch
    await tier.append('a', large);
    const first = await tier.publish('a', '61', 'key', 'once', 'after', '60');
    assert.deepEqual(await tier.publish('a', '62', 'key', 'once'), [first[0], 0]);
    await assert.rejects(tier.publish('a', '62', 'after', '60'), /FENCED .* is 61, not 60/);
    await tier.append('a', range(62, 317)); // as many as one call takes
    await tier.publish('a', '318');
    const all = [...range(1, 18), ...large, ...range(61, 318)];
    await heard(live, ...all);
    await heard(other, ...all);
    await heard(await openStream(tier.scope, gateway.port, earliest('a')), ...all);
    const back = await openStream(tier.scope, gateway.port, '/stream?channel=a', { headers: { 'Last-Event-ID': live.events[99].lastEventId } });
    await heard(back, ...all.slice(100));
});

test('an old gateway delivers the last event of a channel, keeps the stream open for the epoch that comes after, and announces it to an old cursor', needed, async (t) => {
    const tier = await start(t);
    await load(tier.client);
    const gateway = await tier.startOld();
    await tier.publish('a', '1');
    const live = await openStream(tier.scope, gateway.port, earliest('a'));
    await heard(live, '1');
    await tier.append('a', ['2', '3'], 'end', '3600');
    await heard(live, '1', '2', '3');
    const late = await openStream(tier.scope, gateway.port, earliest('a'));
    await heard(late, '1', '2', '3');
    late.close();
    await tier.publish('a', 'anew');
    await heard(live, '1', '2', '3', 'anew');
    assert.ok(live.open);
    live.close();
    await streamsGone(gateway);
    await heard(await openStream(tier.scope, gateway.port, '/stream?channel=a', { headers: { 'Last-Event-ID': late.lastEventId } }), 'gap', 'anew');
});

test('an old gateway delivers snapshots as events, and announces what they took the place of', needed, async (t) => {
    const tier = await start(t);
    await load(tier.client);
    const gateway = await tier.startOld();
    for (const n of range(1, 5)) await tier.publish('a', n);
    const live = await openStream(tier.scope, gateway.port, earliest('a'));
    await heard(live, ...range(1, 5));
    const { lastEventId } = live.events[1];
    await tier.append('a', ['1 to 5', '6'], 'snapshot', '1');
    await tier.publish('a', '7');
    await heard(live, ...range(1, 5), '1 to 5', '6', '7');
    live.close();
    await streamsGone(gateway);
    await heard(await openStream(tier.scope, gateway.port, earliest('a')), '1 to 5', '6', '7');
    await heard(await openStream(tier.scope, gateway.port, '/stream?channel=a', { headers: { 'Last-Event-ID': lastEventId } }), 'gap', '1 to 5', '6', '7');
});

test('while gateways of a tier are replaced one by one under load, streams of all get every event once, and the library stays the new one', needed, async (t) => {
    const tier = await start(t);
    const gateways = [await tier.startOld(), await tier.startOld()];
    await until('the old library', async () => (await tier.version()) === OLD_VERSION);
    const traffic = startTraffic(tier, 'a');
    const readers = await Promise.all(gateways.map((gateway) => reader(tier.scope, gateway.port, 'a')));

    gateways.push(await tier.startNew());
    await until('the new library', async () => (await tier.version()) === LIBRARY_VERSION);
    readers.push(await reader(tier.scope, gateways[2].port, 'a'));
    await traffic.more(50);
    traffic.batches = true;
    await traffic.more(200);

    // An old one that comes back finds the newer library, and leaves it.
    await restart(tier, gateways, 0, 'startOld');
    await traffic.more(100);
    assert.equal(await tier.version(), LIBRARY_VERSION);
    for (const i of [0, 1]) await restart(tier, gateways, i, 'startNew');
    await traffic.more(100);
    const count = await traffic.stop();
    for (const each of readers) {
        await until(`${count} events`, () => each.words.length >= count);
        assert.deepEqual(each.words, range(1, count));
        await each.stop();
    }
    assert.deepEqual(readers.map(({ connects }) => connects > 1), [true, true, false]);
    assert.equal(await tier.version(), LIBRARY_VERSION);
});

/** Publishes 1, 2, 3 .. to a channel until it is stopped: one by one, or in batches. */
function startTraffic(tier, channel) {
    let [sent, stopped] = [0, false];
    const traffic = {
        batches: false,
        more: (count) => until(`${count} more events`, ((goal) => () => sent >= goal)(sent + count)),
        stop: async () => {
            stopped = true;
            await done;
            return sent;
        },
    };
    const done = (async () => {
        while (!stopped) {
            const events = range(sent + 1, sent + (traffic.batches ? 1 + (sent % 20) : 1));
            await (traffic.batches ? tier.append(channel, events) : tier.publish(channel, events[0]));
            sent += events.length;
            await sleep(5);
        }
    })();
    return traffic;
}

/** A client that comes back to its gateway with its last id, whenever the stream ends. */
async function reader(scope, port, channel) {
    const it = { words: [], connects: 0, wanted: true };
    const once = async () => {
        it.stream = await openStream(scope, port, earliest(channel), { headers: it.id ? { 'Last-Event-ID': it.id } : {}, onEvent: take });
        it.connects++;
        await it.stream.closed;
    };
    const take = (event) => {
        it.words.push(...words({ events: [event] }));
        it.id = event.lastEventId;
    };
    const run = async () => {
        while (it.wanted) {
            await once().catch(() => {}); // its gateway is being replaced
            await sleep(50);
        }
    };
    const done = run();
    it.stop = async () => {
        it.wanted = false;
        it.stream.close();
        await done;
    };
    await until('an event', () => it.words.length > 0);
    return it;
}

async function restart(tier, gateways, i, how) {
    const { port, adminPort } = gateways[i];
    gateways[i].terminate();
    await gateways[i].process.exit();
    gateways[i] = await tier[how]({ port, adminPort });
}

test('the old command leaves the new library in its place and publishes by it, with all that entries now have', needed, async (t) => {
    const tier = await start(t);
    await load(tier.client);
    await tier.append('a', ['1', '2'], 'snapshot', '1', 'key', 'k', 'maxbytes', '10000');
    for (const args of [['--install'], ['--durable', 'a', '3']]) {
        const run = await command(old.publish, ['--redis', tier.redis.url, ...args]);
        assert.equal(run.code, 0, run.err);
    }
    assert.equal(await tier.version(), LIBRARY_VERSION);
    assert.deepEqual((await history(tier.client, 'a')).map(({ offset, data, base }) => `${offset} ${data} ${Boolean(base)}`), ['1 1 true', '2 2 true', '3 3 true']);
});

test('the old script goes on where entries have no new field, and else refuses in plain words, with nothing changed', async (t) => {
    const tier = await start(t);
    await load(tier.client);
    const script = LIBRARY_4.slice(LIBRARY_4.indexOf('\n') + 1);
    const byScript = (channel, data) => tier.client.call('EVAL', script, '1', channel, data);
    await tier.publish('plain', '1');
    await byScript('plain', '2');
    await tier.append('plain', ['3', '4']);
    assert.equal(brokenAt(await history(tier.client, 'plain')), '');
    assert.equal((await history(tier.client, 'plain')).length, 4);
    for (const options of [['key', 'k'], ['snapshot', '1'], ['maxbytes', '1000'], ['end', '60'], ['maxage', '60']]) {
        const channel = `with:${options[0]}`;
        await tier.publish(channel, '1', ...options);
        const entries = await history(tier.client, channel);
        await assert.rejects(byScript(channel, '2'), new RegExp(`the stream sse:\\{${channel}\\} holds entries that sse_publish did not write`));
        assert.deepEqual(await history(tier.client, channel), entries);
    }
});

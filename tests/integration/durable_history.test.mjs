// Reading histories where something is in the way: connections that are cut or swallow an answer, a server that refuses
// reads, entries that are large or that nobody should have written.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import net from 'node:net';
import { test } from 'node:test';
import { connect, FORMS, history, keyOf, load } from '../lib/durable.mjs';
import { Gateway } from '../lib/gateway.mjs';
import { freePort } from '../lib/ports.mjs';
import { Redis } from '../lib/redis.mjs';
import { scopeOf } from '../lib/scope.mjs';
import { openStream, openStreams } from '../lib/streams.mjs';
import { until } from '../lib/wait.mjs';

const MIB = 1 << 20;
const earliest = (channel) => `/stream?channel=${channel}&last_event_id=earliest`;
const numbers = (stream) => stream.events.map((e) => (e.type === 'gateway:gap' ? `gap ${e.data}` : Number.parseInt(e.data, 10)));
const range = (from, to) => Array.from({ length: to - from + 1 }, (_, i) => from + i);

async function startRedis(scope, options) {
    const redis = await Redis.start(scope, options);
    const client = connect(scope, redis);
    await load(client);
    const publish = (channel, ...texts) => Promise.all(texts.map((text) => FORMS.function(client, channel, text)));
    return { redis, client, publish };
}

/** Stands between the gateway and Redis. `ours` is the gateway's connection; where `onAnswer` says false, the bytes are swallowed. */
async function startRelay(scope, redis, { onRequest = () => {}, onAnswer = () => true }) {
    const port = await freePort();
    const sockets = new Set();
    const server = net.createServer((ours) => {
        const theirs = net.connect(redis.port, '127.0.0.1');
        for (const [socket, other] of [[ours, theirs], [theirs, ours]]) {
            sockets.add(socket);
            socket.on('error', () => {});
            socket.on('close', () => {
                sockets.delete(socket);
                other.destroy();
            });
        }
        ours.on('data', (bytes) => {
            onRequest(bytes.toString('latin1'), ours);
            if (!theirs.destroyed) theirs.write(bytes);
        });
        theirs.on('data', (bytes) => {
            if (onAnswer(bytes, ours)) ours.write(bytes);
        });
    });
    await new Promise((resolve) => server.listen(port, '127.0.0.1', resolve));
    scope.defer(() => {
        server.close();
        for (const socket of sockets) socket.destroy();
    });
    return `redis://127.0.0.1:${port}`;
}

test('pages that Redis cuts the connection for are asked for again with fewer events, until they pass: no gap, and one line in the log', async (t) => {
    const scope = scopeOf(t);
    const { redis, publish } = await startRedis(scope, { config: ['--client-output-buffer-limit', 'normal', '4mb', '0', '0'] });
    await publish('a', ...range(1, 300).map(String));
    const big = ' '.repeat(300000);
    for (const i of range(301, 380)) await publish('a', `${i}${big}`);
    const gateway = await Gateway.start(scope, { redis });
    const stream = await openStream(scope, gateway.port, earliest('a'));
    await stream.count(380, { ms: 20000 });
    await publish('a', '381');
    await stream.count(381);
    assert.deepEqual(numbers(stream), range(1, 381));
    assert.equal(gateway.process.log().match(/connections are lost while sse:\{a\} is read/g)?.length ?? 0, 1);
});

test('events of which Redis lets one through at a time, but not two, all arrive', async (t) => {
    const scope = scopeOf(t);
    const { redis, publish } = await startRedis(scope, { config: ['--client-output-buffer-limit', 'normal', '1mb', '0', '0'] });
    const big = ' '.repeat(900000);
    await publish('a', '1', '2', `3${big}`, `4${big}`, `5${big}`, '6');
    const gateway = await Gateway.start(scope, { redis });
    const stream = await openStream(scope, gateway.port, earliest('a'));
    await stream.count(6);
    await publish('a', '7');
    await stream.count(7);
    assert.deepEqual(numbers(stream), range(1, 7));
});

/** As an EventSource does: opens the stream again where it was ended before its first event. */
async function openUntilFirst(scope, gateway, path) {
    let stream;
    await until('a first event', async () => {
        if (!stream?.open) stream = await openStream(scope, gateway.port, path, { ms: 10000 });
        return stream.events.length > 0;
    }, { ms: 60000, every: 50 });
    return stream;
}

test('a history whose connection is lost twelve times in a row is read after all: no gap', async (t) => {
    const scope = scopeOf(t);
    const { redis, publish } = await startRedis(scope);
    await publish('a', ...range(1, 20).map(String));
    let cut = 0;
    const redisUrl = await startRelay(scope, redis, {
        onAnswer: (bytes, ours) => {
            const page = cut < 12 ? bytes.toString('latin1').search(/\*\d+\r\n\*2\r\n\$\d+\r\n\d+-1\r\n/) : -1;
            if (page < 0) return true;
            cut++;
            ours.write(bytes.subarray(0, page), () => ours.destroy()); // what was answered before arrives
            return false;
        },
    });
    const gateway = await Gateway.start(scope, { redisUrl });
    const stream = await openUntilFirst(scope, gateway, earliest('a'));
    await stream.count(20);
    assert.equal(cut, 12);
    assert.deepEqual(numbers(stream), range(1, 20));
});

for (const command of ['XREVRANGE', 'XRANGE']) {
    test(`an answer to ${command} that is lost on a connection that lives is asked for again`, async (t) => {
        const scope = scopeOf(t);
        const { redis, publish } = await startRedis(scope);
        await publish('a', ...range(1, 3).map(String));
        let waiting = null;
        let lost = 0;
        const redisUrl = await startRelay(scope, redis, {
            onRequest: (text, ours) => {
                if (text.includes(`\n${command}\r`) && text.includes(keyOf('a')) && lost === 0) waiting = ours;
            },
            onAnswer: (bytes, ours) => {
                if (ours !== waiting) return true;
                waiting = null;
                lost++;
                return false;
            },
        });
        const gateway = await Gateway.start(scope, { redisUrl });
        const stream = await openStream(scope, gateway.port, earliest('a'), { ms: 10000 });
        await stream.count(3, { ms: 10000 });
        assert.equal(lost, 1);
        assert.deepEqual(numbers(stream), range(1, 3));
    });
}

test('a server that refuses to be read makes the gateway unready, says so once, and is asked until it may be read', async (t) => {
    const scope = scopeOf(t);
    const { redis, client, publish } = await startRedis(scope, { config: ['--replica-serve-stale-data', 'no'] });
    const gateway = await Gateway.start(scope, { redis });
    await publish('a', '1');
    await client.call('REPLICAOF', '127.0.0.1', '1');
    await client.call('CLIENT', 'KILL', 'TYPE', 'pubsub'); // and with it the history's connection
    await until('not ready', async () => !(await gateway.ready()), { ms: 10000 });
    await gateway.process.logged(/histories cannot be read: MASTERDOWN/);
    for (const end = performance.now() + 3000; performance.now() < end;) assert.ok(!(await gateway.ready()));
    await client.call('REPLICAOF', 'NO', 'ONE');
    await gateway.process.ready('is ready', () => gateway.ready(), { ms: 10000 });
    const stream = await openStream(scope, gateway.port, earliest('a'));
    await stream.count(1);
    await gateway.process.logged(/histories can be read again/);
    assert.equal(gateway.process.log().match(/histories cannot be read/g).length, 1);
    assert.equal(gateway.process.log().match(/histories can be read again/g).length, 1);
});

/** A gateway whose memory says something: freed blocks are not kept aside for the sanitizer. */
const leanGateway = (scope, options) => Gateway.start(scope, {
    workers: 1,
    ...options,
    env: { ASAN_OPTIONS: 'detect_leaks=1:allocator_may_return_null=1:quarantine_size_mb=1', MALLOC_ARENA_MAX: '1', MALLOC_TRIM_THRESHOLD_: '65536' },
});
const peakMib = (gateway) => Number(/VmHWM:\s+(\d+) kB/.exec(fs.readFileSync(`/proc/${gateway.process.pid}/status`, 'utf8'))[1]) / 1024;

test('four channels of large events that are resumed at once take --replay-limit and a page each, not all that Redis keeps', async (t) => {
    const scope = scopeOf(t);
    const { redis, publish } = await startRedis(scope);
    const channels = ['a', 'b', 'c', 'd'];
    const big = ' '.repeat(MIB - 1000);
    for (const channel of channels) for (const i of range(1, 40)) await publish(channel, `${i}${big}`);
    const gateway = await leanGateway(scope, { redis, args: ['--replay-limit', '8MiB'] });
    const before = peakMib(gateway);
    const streams = await openStreams(scope, channels.map((c) => ({ port: gateway.port, path: earliest(c) })));
    await Promise.all(streams.map((s) => s.count(40, { ms: 60000 })));
    for (const stream of streams) assert.deepEqual(numbers(stream), range(1, 40));
    const grown = peakMib(gateway) - before;
    t.diagnostic(`${grown.toFixed(1)} MiB more than before`);
    assert.ok(grown < 50, `${grown.toFixed(1)} MiB more than before`);
});

test('events above --max-message are a gap of one each and are not kept, however many there are', async (t) => {
    const scope = scopeOf(t);
    const { redis, publish } = await startRedis(scope);
    await publish('a', ...range(1, 30).map(String));
    const big = ' '.repeat(3 * MIB);
    for (const i of range(31, 70)) await publish('a', `${i}${big}`);
    await publish('a', ...range(71, 80).map(String));
    const gateway = await leanGateway(scope, { redis, args: ['--replay-limit', '8MiB'] });
    const before = peakMib(gateway);
    const stream = await openStream(scope, gateway.port, earliest('a'));
    await stream.count(80, { ms: 30000 });
    const gaps = range(31, 70).map((i) => `gap {"channel":"a","from":${i},"to":${i}}`);
    assert.deepEqual(numbers(stream), [...range(1, 30), ...gaps, ...range(71, 80)]);
    const grown = peakMib(gateway) - before;
    t.diagnostic(`${grown.toFixed(1)} MiB more than before`);
    assert.ok(grown < 30, `${grown.toFixed(1)} MiB more than before`);
    assert.ok((await gateway.metric('messages_dropped_total', { reason: 'too_large' })) >= 40);
});

test('entries that somebody added by hand are one gap, and are counted', async (t) => {
    const scope = scopeOf(t);
    const { redis, client, publish } = await startRedis(scope);
    const gateway = await Gateway.start(scope, { redis });
    await publish('a', '1', '2');
    const [, last] = await history(client, 'a');
    const entry = (prev) => ['epoch', last.epoch, 'prev', prev, 'event', '', 'retry', '', 'data', 'forged'];
    await client.xadd(keyOf('a'), `${last.ms + 1}-3`, ...entry(last.id));
    await client.xadd(keyOf('a'), `${last.ms + 2}-9`, ...entry(`${last.ms - 5}-8`)); // it names one that was not before it
    await client.xadd(keyOf('a'), '*', 'anything', 'else');
    const stream = await openStream(scope, gateway.port, earliest('a'));
    await stream.count(4);
    await redis.publish('a', '99');
    await stream.count(5);
    assert.deepEqual(stream.events.map((e) => (e.type === 'message' ? e.data : e.type)), ['1', '2', 'forged', 'gateway:gap', '99']);
    assert.ok((await gateway.metric('history_foreign_entries_total')) >= 2);
    assert.ok((await gateway.metric('history_reads_total')) < 20);
    await gateway.process.logged(/sse:\{a\} holds entries that sse_publish did not write/);
});

test('two entries of one foreign writer are no reason to send anything twice', async (t) => {
    const scope = scopeOf(t);
    const { redis, client } = await startRedis(scope);
    const gateway = await Gateway.start(scope, { redis });
    const entry = (prev) => ['epoch', '1', 'prev', prev, 'event', '', 'retry', '', 'data', 'forged'];
    await client.xadd(keyOf('a'), '5-2', ...entry('3-1'));
    await client.xadd(keyOf('a'), '7-9', ...entry('4-8'));
    const stream = await openStream(scope, gateway.port, earliest('a'));
    await stream.count(2);
    for (const i of range(1, 5)) await redis.publish('a', String(i));
    await stream.count(7);
    assert.ok(stream.events.length <= 8, `${stream.events.length} events of two entries and five messages`);
});

// A stream that is read once: live=0 answers what is kept and ends, wait=N waits for the first events. What comes between
// two reads is in the second, and a poll ends when a gateway drains.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { connect, FORMS, keyOf, load } from '../lib/durable.mjs';
import { exchange } from '../lib/raw_http.mjs';
import { scopeOf } from '../lib/scope.mjs';
import { openStream, openStreams } from '../lib/streams.mjs';
import { Stream } from '../lib/stream.mjs';
import { startTier } from '../lib/tier.mjs';
import { until } from '../lib/wait.mjs';

async function start(t, options) {
    const scope = scopeOf(t);
    const tier = await startTier(scope, options);
    const client = connect(scope, tier.redis);
    await load(client);
    return { scope, ...tier, client, publish: (channel, ...rest) => FORMS.function(client, channel, ...rest) };
}

/** Reads once, to the clean end: { events, id, body, ms }. `id` is that of the read before. */
async function read(scope, port, path, id = '') {
    const asked = performance.now();
    const stream = await openStream(scope, port, path + (id ? `&last_event_id=${id}` : ''), { keep: true });
    assert.equal(await stream.ended(), 'clean');
    assert.equal(stream.fault, undefined);
    return { ...stream, events: stream.events, id: stream.lastEventId, body: stream.body, ms: performance.now() - asked };
}

const datas = ({ events }) => events.map((e) => e.data);

test('what is kept after the cursor, in each channel, is answered, and then the stream ends cleanly', async (t) => {
    const { scope, gateway, publish } = await start(t);
    for (let i = 1; i <= 700; i++) await publish(i % 2 ? 'a' : 'b', `${i}`);
    const path = '/stream?channel=a&channel=b&channel=none&live=0&control=1';
    const all = await read(scope, gateway.port, path, 'earliest');
    assert.equal(all.events[0].type, 'gateway:open');
    assert.deepEqual(JSON.parse(all.events.at(-1).data), { reason: 'read' });
    assert.deepEqual(datas(all).slice(1, -1).map(Number).sort((a, b) => a - b), Array.from({ length: 700 }, (_, i) => i + 1));
    await publish('b', 'one more');
    const rest = await read(scope, gateway.port, path, all.events[600].lastEventId);
    assert.deepEqual(new Set(datas(rest).slice(1, -1)), new Set([...datas(all).slice(601, -1), 'one more']));
    const none = await read(scope, gateway.port, path, rest.id);
    assert.deepEqual(none.events.map((e) => e.type), ['gateway:open', 'gateway:close']);
    await gateway.metricIs('closes_total', 3, { labels: { reason: 'read' } });
    await gateway.metricIs('connections', 0);
});

test('a history of any length is read to its end', async (t) => {
    const { scope, gateway, publish } = await start(t, { workers: 1 });
    for (let n = 1; n <= 300; n++) {
        await publish('a', `${n}`);
        const all = await read(scope, gateway.port, '/stream?channel=a&live=0&last_event_id=earliest');
        assert.equal(all.events.length, n);
    }
});

test('a first read that finds nothing gives a cursor: what is published before the next read is in that one', async (t) => {
    const { scope, gateways, publish } = await start(t, { gateways: 2 });
    await publish('old', 'long ago');
    await Promise.all(Array.from({ length: 300 }, async (_, i) => {
        const { events } = await read(scope, gateways[0].port, `/stream?channel=empty&channel=none:${i}&live=0`, 'earliest');
        assert.deepEqual(events, []);
    }));
    for (const channel of ['empty', 'old']) {
        const path = `/stream?channel=${channel}&live=0`;
        const first = await read(scope, gateways[0].port, path);
        assert.deepEqual(first.events, []);
        assert.notEqual(first.id, '', 'a cursor');
        await publish(channel, 'between');
        const second = await read(scope, gateways[1].port, path, first.id);
        assert.deepEqual(datas(second), ['between'], channel);
        const third = await read(scope, gateways[0].port, path, second.id);
        assert.deepEqual(third.events, []);
        await publish(channel, 'later');
        assert.deepEqual(datas(await read(scope, gateways[0].port, path, third.id)), ['later'], channel);
    }
});

test('a poll ends with the first event, be it plain or durable, and long before its time', async (t) => {
    const { scope, gateway, redis, publish } = await start(t);
    for (const [channel, send] of [['plain', () => redis.publish('plain', 'hello')], ['kept', () => publish('kept', 'hello')]]) {
        const asked = performance.now();
        const streams = await openStreams(scope, Array.from({ length: 20 }, () => ({ port: gateway.port, path: `/stream?channel=${channel}&channel=other&wait=50` })));
        await gateway.metricIs('connections', 20);
        assert.ok(streams.every((s) => s.open), 'they wait');
        await send();
        for (const stream of streams) {
            assert.equal(await stream.ended(), 'clean');
            assert.deepEqual(datas(stream), ['hello']);
        }
        assert.ok(performance.now() - asked < 20000);
        await gateway.metricIs('connections', 0);
    }
});

test('a poll that resumes is answered with all that it missed, and does not wait', async (t) => {
    const { scope, gateway, publish } = await start(t);
    await publish('a', '1');
    const { id } = await read(scope, gateway.port, '/stream?channel=a&live=0');
    for (let i = 2; i <= 300; i++) await publish('a', `${i}`);
    const poll = await read(scope, gateway.port, '/stream?channel=a&wait=50', id);
    assert.deepEqual(datas(poll), Array.from({ length: 299 }, (_, i) => `${i + 2}`));
    assert.ok(poll.ms < 20000);
});

test('a poll without an event ends when its time is over, with a cursor from which the next one goes on', async (t) => {
    const { scope, gateway, publish } = await start(t);
    await publish('a', 'old');
    const poll = await read(scope, gateway.port, '/stream?channel=a&wait=1');
    assert.deepEqual(poll.events, []);
    assert.ok(poll.ms >= 700 && poll.ms < 10000, `${poll.ms}`); // the wheel's ticks are a quarter of a second
    await publish('a', 'new');
    assert.deepEqual(datas(await read(scope, gateway.port, '/stream?channel=a&wait=50', poll.id)), ['new']);
});

test('what a cursor missed that Redis does not keep any more is told in a read, too', async (t) => {
    const { scope, gateway, client, publish } = await start(t);
    for (let i = 1; i <= 5; i++) await publish('a', `${i}`);
    const { id } = await read(scope, gateway.port, '/stream?channel=a&live=0');
    for (let i = 6; i <= 9; i++) await publish('a', `${i}`);
    await client.xtrim(keyOf('a'), 'MAXLEN', 2);
    for (const how of ['live=0', 'wait=50']) {
        const { events } = await read(scope, gateway.port, `/stream?channel=a&${how}`, id);
        assert.deepEqual(events.map((e) => e.data), ['{"channel":"a","from":6,"to":7}', '8', '9']);
    }
});

test('events to a client that reads slowly are whole, and then its read ends', async (t) => {
    const { scope, gateway, publish } = await start(t, { args: ['--queue-limit', '64MiB'] });
    const big = 'x'.repeat(200000);
    for (let i = 0; i < 40; i++) await publish('a', big);
    const stream = await openStream(scope, gateway.port, '/stream?channel=a&live=0&last_event_id=earliest');
    stream.socket.pause();
    await until('a full socket', async () => (await gateway.metric('writes_blocked_total')) > 0);
    stream.socket.resume();
    assert.equal(await stream.ended(60000), 'clean');
    assert.equal(stream.events.length, 40);
    assert.ok(stream.events.every((e) => e.data === big));
});

test('a drain ends the polls that wait at once, however long its window is', async (t) => {
    const { scope, gateway } = await start(t, { args: ['--drain-window', '20s'] });
    const [poll, stream] = await openStreams(scope, ['&wait=50&control=1', ''].map((rest) => ({ port: gateway.port, path: `/stream?channel=a${rest}` })));
    await gateway.metricIs('connections', 2);
    gateway.terminate();
    assert.equal(await poll.ended(), 'clean');
    assert.deepEqual(JSON.parse(poll.events.at(-1).data), { reason: 'drain' });
    assert.ok(stream.open, 'a stream has its place in the window');
    stream.close();
    assert.deepEqual(await gateway.process.exit(10000), { code: 0, signal: null });
});

/** A read that has had a part of what is kept, when Redis goes. */
async function startCutRead(t, args) {
    const { scope, gateway, redis, publish } = await start(t, { args: ['--queue-limit', '64MiB', '--heartbeat', '4s', ...args] });
    const big = 'x'.repeat(200000);
    for (let i = 0; i < 60; i++) await publish('a', big);
    const stream = await openStream(scope, gateway.port, '/stream?channel=a&live=0&control=1&last_event_id=earliest');
    stream.socket.pause();
    await until('a full socket', async () => (await gateway.metric('writes_blocked_total')) > 0);
    await redis.kill();
    await gateway.metricIs('redis_connected', 0);
    stream.socket.resume();
    return { scope, gateway, stream, reason: () => JSON.parse(stream.events.at(-1).data).reason };
}

test('a read ends also where Redis has gone in the middle of it, and says that it is not whole', async (t) => {
    const { gateway, stream, reason } = await startCutRead(t, []);
    assert.equal(await stream.ended(20000), 'clean');
    assert.equal(reason(), 'refused');
    assert.ok(stream.events.length < 60);
    assert.notEqual(stream.events.at(-2).lastEventId, '', 'from where the next read goes on');
    await gateway.metricIs('closes_total', 1, { labels: { reason: 'refused' } });
});

test('a drain ends the reads at once, however long its window is', async (t) => {
    const { gateway, stream, reason } = await startCutRead(t, ['--drain-window', '20s', '--heartbeat', '30s']);
    gateway.terminate();
    assert.equal(await stream.ended(3000), 'clean');
    assert.equal(reason(), 'drain');
});

test('HTTP/1.0 and HEAD: a read is the body up to the end, and a head', async (t) => {
    const { gateway, publish } = await start(t);
    await publish('a', 'hello');
    const old = await exchange(gateway.port, 'GET /stream?channel=a&live=0&last_event_id=earliest HTTP/1.0\r\n\r\n');
    assert.match(old.body, /^retry: \d+\nid: \S+\nevent: gateway:open\ndata: .*\n\nid: \S+\ndata: hello\n\nretry: \d+\n\n$/);
    const head = await exchange(gateway.port, 'HEAD /stream?channel=a&wait=50 HTTP/1.1\r\nHost: a\r\n\r\n');
    assert.equal(head.status, 200);
    assert.equal(head.body, '');
});

test('what makes no sense is refused with one line', async (t) => {
    const { scope, gateway } = await start(t);
    for (const [wrong, line] of [
        ['live=2', /live is 0 .* or 1$/], ['live=', /live is 0/], ['live=false', /live is 0/],
        ...['0', '61', '-1', '1.5', '', 'x', '100000000000000000000'].map((n) => [`wait=${n}`, /^wait is a number of seconds from 1 to 60$/]),
    ]) {
        const answer = await gateway.get(`/stream?channel=a&${wrong}`);
        assert.equal(answer.status, 400, wrong);
        assert.match(JSON.parse(answer.body).detail, line);
    }
    const stream = await Stream.open(gateway.port, '/stream?channel=a&live=1');
    scope.defer(() => stream.close());
    assert.ok(stream.open);
});

test('through NGINX, a read and a poll end, and the connection to NGINX stays', async (t) => {
    const { scope, nginx, publish } = await start(t, { nginx: true });
    await publish('a', 'old');
    const first = await read(scope, nginx.port, '/stream?channel=a&live=0', 'earliest');
    assert.deepEqual(datas(first), ['old']);
    const poll = read(scope, nginx.port, '/stream?channel=a&wait=50', first.id);
    await publish('a', 'new');
    assert.deepEqual(datas(await poll), ['new']);
});

test('a poll waits for the channel that is open, whatever other ones have ended', async (t) => {
    const { scope, gateway, publish } = await start(t);
    const open = (path) => openStream(scope, gateway.port, path);
    await publish('a', 'a 1', '', '', 'end', '600');
    await publish('b', 'b 1');
    const first = await open('/stream?channel=a&channel=b&wait=20&last_event_id=earliest');
    assert.equal(await first.ended(), 'clean');
    const poll = await open(`/stream?channel=a&channel=b&wait=20&last_event_id=${first.lastEventId}`);
    await until('the end that is told again', () => poll.events.some((e) => e.type === 'gateway:end'));
    await publish('b', 'b 2');
    assert.equal(await poll.ended(), 'clean');
    assert.deepEqual(poll.events.filter((e) => e.type === 'message').map((e) => e.data), ['b 2']);
});

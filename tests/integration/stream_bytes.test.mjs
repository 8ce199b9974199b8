// The bytes of a stream: the head, the first line, heartbeats, control events, and what HTTP/1.0 gets.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RawConnection, exchange } from '../lib/raw_http.mjs';
import { scopeOf, sharedScope } from '../lib/scope.mjs';
import { openStream } from '../lib/streams.mjs';
import { startTier } from '../lib/tier.mjs';
import { until } from '../lib/wait.mjs';

const shared = sharedScope();
const { redis, gateway } = await startTier(shared, { args: ['--cors-origin', 'https://app.example'] });

function connect(t, port, request) {
    const connection = new RawConnection(port);
    t.after(() => connection.close());
    connection.send(request);
    return connection;
}

const ask = (path, version = '1.1', more = '') => `GET ${path} HTTP/${version}\r\nHost: a\r\n${more}\r\n`;

test('the head names all that the contract promises', async (t) => {
    const stream = await openStream(scopeOf(t), gateway.port, '/stream?channel=a', { headers: { Origin: 'https://app.example' } });
    assert.equal(stream.status, 200);
    const expected = {
        'transfer-encoding': 'chunked',
        'x-accel-buffering': 'no',
        'x-content-type-options': 'nosniff',
        'x-sse-gateway': gateway.id,
        'access-control-allow-origin': 'https://app.example',
        'access-control-allow-credentials': 'true',
    };
    for (const [name, value] of Object.entries(expected)) assert.equal(stream.headers[name], value, name);
    assert.match(stream.headers['content-type'], /^text\/event-stream(; ?charset=utf-8)?$/i);
    assert.deepEqual(stream.headers['cache-control'].split(/, */).sort(), ['no-store', 'no-transform']);
    assert.match(stream.headers.vary, /\bOrigin\b/i);
    assert.equal(stream.headers['content-length'], undefined);
});

test('the head and the first line leave in one write', async (t) => {
    for (let i = 0; i < 50; i++) {
        const connection = connect(t, gateway.port, ask('/stream?channel=a'));
        await until('the first bytes', () => connection.reads.length > 0, { every: 1 });
        const first = connection.reads[0].toString();
        assert.match(first, /^HTTP\/1\.1 200 /);
        assert.ok(first.endsWith('\r\n\r\nc\r\nretry: 2000\n\r\n'), `the first read was ${JSON.stringify(first)}`);
        connection.close();
    }
});

test('the first bytes are retry and no blank line, so that no client fires an event', async (t) => {
    const stream = await openStream(scopeOf(t), gateway.port, '/stream?channel=a', { keep: true });
    await until('the first chunk', () => stream.chunks.length > 0);
    assert.equal(stream.body, 'retry: 2000\n');
    assert.equal(stream.retry, 2000);
    assert.deepEqual(stream.events, []);
});

test('with --retry-jitter each stream has a first retry of its own, from --retry up to so much more', async (t) => {
    const scope = scopeOf(t);
    const { gateway: jittery } = await startTier(scope, { args: ['--retry', '100ms', '--retry-jitter', '400ms'] });
    const streams = await Promise.all(Array.from({ length: 40 }, () => openStream(scope, jittery.port, '/stream?channel=a')));
    await until('a retry of each', () => streams.every((stream) => stream.retry !== undefined));
    const told = streams.map((stream) => stream.retry);
    assert.ok(told.every((ms) => ms >= 100 && ms <= 500), told.join(' '));
    assert.ok(Math.max(...told) - Math.min(...told) > 200, `spread: ${told.join(' ')}`); // by chance once in 10^10
});

test('a heartbeat is a comment and no blank line, and comes at the pace of --heartbeat on silent streams only', async (t) => {
    const scope = scopeOf(t);
    const { gateway, redis } = await startTier(scope, { args: ['--heartbeat', '1s'] });
    const stream = await openStream(scope, gateway.port, '/stream?channel=a', { keep: true });
    const busy = await openStream(scope, gateway.port, '/stream?channel=busy', { keep: true });
    const times = [performance.now()];
    while (times.length < 4) {
        await until('a heartbeat', async () => {
            await redis.publishAll([['busy', 'x']]);
            return stream.chunks.length > times.length;
        });
        times.push(performance.now());
    }
    assert.equal(stream.body, 'retry: 2000\n:\n:\n:\n');
    const mean = (times[3] - times[0]) / 3;
    assert.ok(mean > 700 && mean < 2500, `a heartbeat each ${Math.round(mean)} ms`);
    assert.ok(!busy.body.includes('\n:\n'), 'a stream that gets events needs no heartbeat');
    await redis.publish('a', 'after');
    await stream.count(1);
    assert.deepEqual(stream.events.map((e) => e.data), ['after']);
});

test('control=1 brings gateway:open with the gateway and the state of each channel; others do not get it', async (t) => {
    const scope = scopeOf(t);
    const stream = await openStream(scope, gateway.port, '/stream?channel=a&channel=b&control=1');
    await stream.count(1);
    assert.equal(stream.events[0].type, 'gateway:open');
    const open = JSON.parse(stream.events[0].data);
    assert.equal(open.gateway, gateway.id);
    assert.deepEqual(open.channels, { a: 'fresh', b: 'fresh' });

    const plain = await openStream(scope, gateway.port, '/stream?channel=plain');
    await redis.publish('plain', 'x');
    await plain.count(1);
    assert.deepEqual(plain.events.map((e) => e.type), ['message']);
});

test('HTTP/1.0 gets a close-delimited stream of the same events', async (t) => {
    const connection = connect(t, gateway.port, ask('/stream?channel=old', '1.0'));
    await until('the head', () => connection.text.includes('retry'));
    await redis.publish('old', 'a\nb');
    await until('the event', () => connection.text.includes('data: b\n\n'));
    const { headers, body, status } = connection.answer();
    assert.equal(status, 200);
    assert.equal(headers['transfer-encoding'], undefined);
    assert.equal(headers['content-length'], undefined);
    assert.equal(body, 'retry: 2000\ndata: a\ndata: b\n\n');
});

test('HTTP/1.0 needs no Host', async (t) => {
    const connection = connect(t, gateway.port, 'GET /stream?channel=old HTTP/1.0\r\n\r\n');
    await until('the first line', () => connection.text.endsWith('\r\n\r\nretry: 2000\n'));
});

test('--retry sets the first line', async (t) => {
    const scope = scopeOf(t);
    const { gateway } = await startTier(scope, { args: ['--retry', '1500ms'] });
    const stream = await openStream(scope, gateway.port, '/stream?channel=a', { keep: true });
    await until('retry', () => stream.body === 'retry: 1500\n');
});

test('a head that arrives byte by byte is understood', async (t) => {
    const connection = connect(t, gateway.port, '');
    for (const character of ask('/stream?channel=slowly')) {
        connection.send(character);
        await new Promise((resolve) => setImmediate(resolve));
    }
    await until('the answer', () => connection.text.endsWith('retry: 2000\n\r\n'));
});

test('what a client sends after its request changes nothing', async (t) => {
    const connection = connect(t, gateway.port, ask('/stream?channel=talker') + 'GET /health/live HTTP/1.1\r\nHost: a\r\n\r\n\0\xff garbage');
    await until('the answer', () => connection.text.endsWith('retry: 2000\n\r\n'));
    connection.send(ask('/health/live'));
    await redis.publish('talker', 'still here');
    await until('the event', () => connection.text.includes('still here'));
    assert.equal(connection.text.split('HTTP/1.1').length, 2, connection.text);
});

test('HEAD gives the head alone and subscribes to nothing', async () => {
    const before = await gateway.metric('connections_total');
    const answer = await exchange(gateway.port, 'HEAD /stream?channel=head-only HTTP/1.1\r\nHost: a\r\n\r\n');
    assert.equal(answer.status, 200);
    assert.match(answer.headers['content-type'], /^text\/event-stream/);
    assert.equal(answer.headers['x-sse-gateway'], gateway.id);
    assert.equal(answer.body, '');
    assert.equal((await redis.numsub('head-only')).get('head-only'), 0);
    assert.equal(await gateway.metric('connections_total'), before);
});

// SIGTERM in every phase of a connection and of the process: what is asked for gets an answer, nobody gets a reset, and the
// gateway ends with 0 in a moment.

import assert from 'node:assert/strict';
import net from 'node:net';
import tls from 'node:tls';
import { test } from 'node:test';
import { bearer, Keys } from '../lib/bearer.mjs';
import { Random } from '../chaos/random.mjs';
import { Gateway } from '../lib/gateway.mjs';
import { freePort } from '../lib/ports.mjs';
import { RawConnection } from '../lib/raw_http.mjs';
import { Redis } from '../lib/redis.mjs';
import { scopeOf } from '../lib/scope.mjs';
import { Stream } from '../lib/stream.mjs';
import { openStreams } from '../lib/streams.mjs';
import { startTier } from '../lib/tier.mjs';
import { startTls } from '../lib/tls.mjs';
import { sleep, until, within } from '../lib/wait.mjs';

const WINDOW = ['--drain-window', '400ms'];

/** SIGTERM; resolves to the milliseconds that the gateway took to end with 0. */
async function end(gateway) {
    const asked = performance.now();
    gateway.terminate();
    assert.deepEqual(await gateway.process.exit(10000), { code: 0, signal: null });
    return performance.now() - asked;
}

test('in the start: it ends, whenever the signal comes', async (t) => {
    const scope = scopeOf(t);
    const redis = await Redis.start(scope);
    const held = [];
    const startAndEnd = async (round) => {
        const gateway = await Gateway.start(scope, { redis, id: `start-${round}`, ready: false, args: WINDOW });
        await sleep(new Random(3, round).between(0, 120)); // no wait for a fact: any moment is right
        const asked = performance.now();
        gateway.terminate();
        const { code, signal } = await gateway.process.exit(10000);
        assert.ok(performance.now() - asked < 3000);
        // Before the options are read, the signal has its usual effect.
        assert.ok(code === 0 || (signal === 'SIGTERM' && gateway.process.log() === ''), `${code} ${signal} ${gateway.process.log()}`);
        held.push(code === 0);
    };
    await Promise.all([0, 1, 2, 3].map(async (lane) => {
        for (let i = 0; i < 12; i++) await startAndEnd(lane + 4 * i);
    }));
    assert.ok(held.some(Boolean));
});

test('while it connects to a Redis that does not answer', async (t) => {
    const scope = scopeOf(t);
    const server = net.createServer((socket) => socket.on('error', () => {}));
    scope.defer(() => server.close());
    await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
    for (const redisUrl of [`redis://127.0.0.1:${server.address().port}`, 'redis://192.0.2.1:6379', `redis://127.0.0.1:${await freePort()}`]) {
        const gateway = await Gateway.start(scope, { redisUrl, ready: 'live', args: WINDOW });
        assert.ok((await end(gateway)) < 3000, redisUrl);
    }
});

test('half a head is closed or answered, and its other half is served if it comes in time', async (t) => {
    const scope = scopeOf(t);
    const { gateway } = await startTier(scope, { args: ['--drain-window', '5s'] });
    const [silent, late] = [0, 1].map(() => new RawConnection(gateway.port));
    for (const connection of [silent, late]) {
        scope.defer(() => connection.close());
        connection.send('GET /stream?channel=a HTTP/1.1\r\nHo');
    }
    await gateway.metricIs('sockets', 3); // with the one that asks
    const ended = end(gateway);
    await until('drain', async () => (await gateway.get('/health/ready', { port: gateway.adminPort })).status === 404, { every: 1 });
    late.send('st: a\r\n\r\n');
    await Promise.all([silent.closed, late.closed]);
    assert.equal(silent.answer().status, 408);
    assert.equal(late.answer().status, 200);
    assert.match(late.answer().body, /retry: \d+\n\n/);
    assert.ok(!silent.reset && !late.reset);
    assert.ok((await ended) < 5000);
});

test('half a head that comes while the gateway drains holds it up for a second, not for the time that heads have', async (t) => {
    const scope = scopeOf(t);
    const { gateway } = await startTier(scope, { args: ['--drain-window', '5s'] });
    const connection = new RawConnection(gateway.port);
    scope.defer(() => connection.close());
    await gateway.metricIs('sockets', 2); // with the one that asks
    const ended = end(gateway);
    await until('drain', async () => (await gateway.get('/health/ready', { port: gateway.adminPort })).status === 404, { every: 1 });
    connection.send('GET /stream?channel=a HTTP/1.1\r\nHo');
    await connection.closed;
    assert.equal(connection.answer().status, 408);
    assert.ok((await ended) < 5000);
});

test('in a TLS handshake, and in one that does not go on', async (t) => {
    const scope = scopeOf(t);
    const { gateway, secure } = await startTls(scope, { args: WINDOW });
    const stalled = new RawConnection(gateway.port);
    scope.defer(() => stalled.close());
    stalled.send(Buffer.from([0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00])); // the begin of a ClientHello
    await gateway.metricIs('sockets', 2);
    const sockets = Array.from({ length: 20 }, () => tls.connect({ port: gateway.port, host: '127.0.0.1', servername: 'localhost', ...secure }));
    const errors = [];
    const said = sockets.map((socket) => new Promise((resolve) => {
        let text = '';
        socket.on('secureConnect', () => socket.write('GET /stream?channel=a HTTP/1.1\r\nHost: a\r\n\r\n'));
        socket.on('data', (bytes) => (text += bytes)).on('error', (error) => errors.push(error.code)).on('close', () => resolve(text));
    }));
    const took = await end(gateway);
    assert.ok(took < 4000, `${took}`);
    for (const text of await Promise.all(said)) {
        if (text) assert.match(text, /^HTTP\/1\.1 200 [^]*retry: \d+\n\n\r\n0\r\n\r\n$/);
    }
    await stalled.closed;
    assert.equal(stalled.reset, false);
    assert.deepEqual(errors.filter((code) => code === 'ECONNRESET'), []);
});

for (const refusal of ['retry', 'status']) {
    test(`while Redis is asked whether a stream is let in: it is refused by ${refusal}, at once`, async (t) => {
        const scope = scopeOf(t);
        const keys = new Keys(scope);
        const args = [...keys.args, '--max-connections-per-user', '5', '--user-cap-scope', 'tier', '--refusal', refusal, '--drain-window', '3s'];
        const { redis, gateway } = await startTier(scope, { anonymous: [], args });
        await redis.cli(['CLIENT', 'PAUSE', '20000', 'ALL']);
        const asked = Stream.open(gateway.port, '/stream?channel=user:ann', { headers: bearer(keys.token('ann')) });
        await gateway.metricIs('sockets', 2);
        const began = performance.now();
        const ended = end(gateway);
        const stream = await asked;
        assert.equal(stream.status, refusal === 'retry' ? 200 : 503);
        assert.equal(await stream.ended(), 'clean');
        assert.ok(performance.now() - began < 1500);
        assert.ok((await ended) < 3000);
    });
}

test('while Redis is asked for a channel: the stream is refused, at once', async (t) => {
    const scope = scopeOf(t);
    const { redis, gateway } = await startTier(scope, { args: ['--drain-window', '3s'] });
    await redis.cli(['CLIENT', 'PAUSE', '20000', 'ALL']);
    const asked = Stream.open(gateway.port, '/stream?channel=new');
    await gateway.metricIs('sockets', 2);
    const ended = end(gateway);
    const stream = await asked;
    assert.equal(await stream.ended(), 'clean');
    assert.ok(stream.retry >= 2000 && stream.retry <= 4000);
    assert.ok((await ended) < 3000);
});

test('with a reload in the same moment, and in the drain', async (t) => {
    const scope = scopeOf(t);
    const { gateway, secure } = await startTls(scope, { args: ['--drain-window', '1500ms'] });
    const streams = await openStreams(scope, Array(30).fill({ port: gateway.port, path: '/stream?channel=a', tls: secure }));
    gateway.process.signal('SIGHUP');
    const ended = end(gateway);
    gateway.process.signal('SIGHUP');
    await until('some streams to have ended', () => streams.some((s) => !s.open), { every: 1 });
    gateway.process.signal('SIGHUP');
    await Promise.all(streams.map((s) => s.ended()));
    assert.ok(streams.every((s) => s.end === 'clean'));
    assert.ok((await ended) > 1000);
    assert.match(gateway.process.log(), /certificate/);
});

/** Connects over and over until connections are refused; resolves to what became of each. */
async function pump(port, atOnce, tlsOptions) {
    const outcomes = [];
    let refused = false;
    const one = () => new Promise((resolve) => {
        const socket = tlsOptions ? tls.connect({ port, host: '127.0.0.1', servername: 'localhost', ...tlsOptions }) : net.connect({ port, host: '127.0.0.1' });
        const outcome = { connected: false, text: '' };
        outcomes.push(outcome);
        socket.once('connect', () => (outcome.connected = true));
        socket.once(tlsOptions ? 'secureConnect' : 'connect', () => socket.write('GET /stream?channel=a HTTP/1.1\r\nHost: a\r\n\r\n'));
        socket.on('data', (bytes) => (outcome.text += bytes.toString('latin1')));
        socket.on('error', (error) => (outcome.error = error.code));
        socket.once('end', () => (outcome.ended = true));
        socket.once('close', () => {
            refused ||= outcome.error === 'ECONNREFUSED';
            resolve();
        });
    });
    await Promise.all(Array.from({ length: atOnce }, async () => {
        while (!refused) await one();
    }));
    return outcomes;
}

for (const [name, workers, secure, window] of [['1 worker', 1, false, '0s'], ['2 workers', 2, false, '500ms'], ['2 workers, TLS', 2, true, '500ms']]) {
    test(`clients that come in a burst at the moment of the signal: each gets an answer or is refused, none is reset (${name})`, async (t) => {
        const scope = scopeOf(t);
        const options = { workers, args: ['--drain-window', window, '--retry', '100ms'] };
        const { gateway, secure: tlsOptions } = secure ? await startTls(scope, options) : await startTier(scope, options);
        const pumping = pump(gateway.port, 100, tlsOptions);
        await gateway.metricIs('connections', 100, { ms: 20000 });
        const burst = pump(gateway.port, 300, tlsOptions); // most of it waits to be accepted when the signal comes
        const ended = end(gateway);
        const outcomes = [...(await within(20000, 'the pump', pumping)), ...(await within(20000, 'the burst', burst))];
        assert.ok((await ended) < 5000);
        const connected = outcomes.filter((o) => o.connected);
        const errors = outcomes.map((o) => o.error).filter((code) => code && code !== 'ECONNREFUSED');
        t.diagnostic(`${outcomes.length} connects, ${connected.length} connected, ${connected.filter((o) => o.text).length} answered`);
        assert.deepEqual(errors, []);
        assert.ok(connected.every((o) => o.ended), 'each is ended by FIN');
        if (!secure) assert.ok(connected.every((o) => /\r\n\r\n[^]*retry: \d+\n\n\r\n0\r\n\r\n$/.test(o.text)), 'each is answered to the end');
    });
}

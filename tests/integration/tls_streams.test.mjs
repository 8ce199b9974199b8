// Streams over TLS: what comes through, however slowly it is written or read, and how they end.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import net from 'node:net';
import { test } from 'node:test';
import { command } from '../lib/command.mjs';
import { scopeOf } from '../lib/scope.mjs';
import { openStream, openStreams } from '../lib/streams.mjs';
import { handshake, sClient, startTls } from '../lib/tls.mjs';
import { until, within } from '../lib/wait.mjs';

const GET = (path) => `GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`;
/** A stream, and the socket below its encryption. */
async function rawStream(scope, gateway, maxVersion) {
    const raw = net.connect(gateway.port, '127.0.0.1').on('error', () => {});
    scope.defer(() => raw.destroy());
    const client = await handshake(gateway.port, { socket: raw, maxVersion });
    client.on('error', () => {}).write(GET('/stream?channel=a'));
    await within(15000, 'an answer', new Promise((resolve) => client.once('data', resolve)));
    raw.encrypted = client; // else it is collected, and ends
    return raw;
}

const VERSIONS = ['TLSv1.2', 'TLSv1.3'];

/** Passes on to `port` what a client sends, a byte a packet. Resolves to its own port. */
async function trickle(scope, port) {
    const server = net.createServer((client) => {
        const up = net.connect({ port, host: '127.0.0.1', noDelay: true });
        const waiting = [];
        let busy = false;
        const next = () => {
            busy = waiting.length > 0;
            if (busy) up.write(waiting.shift(), () => setImmediate(next));
        };
        client.on('data', (bytes) => {
            for (const byte of bytes) waiting.push(Buffer.from([byte]));
            if (!busy) next();
        });
        up.pipe(client);
        for (const socket of [client, up]) socket.on('error', () => {}).on('close', () => (client.destroy(), up.destroy()));
    });
    scope.defer(() => server.close());
    await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
    return server.address().port;
}

test('a client that comes byte by byte gets its stream', async (t) => {
    const scope = scopeOf(t);
    const { redis, gateway, secure } = await startTls(scope);
    const port = await trickle(scope, gateway.port);
    const streams = await openStreams(scope, VERSIONS.map((maxVersion) => ({ port, path: '/stream?channel=a', tls: { ...secure, maxVersion } })));
    await redis.publish('a', 'x');
    await Promise.all(streams.map((s) => s.count(1)));
});

test('curl gets what is published', async (t) => {
    const scope = scopeOf(t);
    const { ca, redis, gateway } = await startTls(scope);
    const curl = command('curl', ['-sSN', '--max-time', '4', '--cacert', ca.cert, `https://localhost:${gateway.port}/stream?channel=a`]);
    await gateway.metricIs('connections', 1);
    await redis.publish('a', 'hello');
    assert.match((await curl).out, /^retry: \d+\ndata: hello\n\n$/);
});

test('a fan-out to streams with TLS 1.2 and 1.3: small events, and one larger than many records', async (t) => {
    const scope = scopeOf(t);
    const { redis, gateway, secure } = await startTls(scope);
    const streams = await openStreams(scope, Array.from({ length: 40 }, (_, i) =>
        ({ port: gateway.port, path: '/stream?channel=a', keep: true, tls: { ...secure, maxVersion: VERSIONS[i % 2] } })));
    const texts = [...Array.from({ length: 200 }, (_, i) => `event ${i}`), 'y'.repeat(900_000), 'end'];
    await redis.publishAll(texts.map((text) => ['a', text]));
    await Promise.all(streams.map((s) => s.count(texts.length)));
    for (const s of streams) {
        assert.equal(s.fault, undefined);
        assert.deepEqual(s.events.map((e) => e.data), texts);
    }
    assert.ok((await gateway.metric('writes_total')) < 40 * 200, 'small events share records');
});

test('large events reach a client that reads slowly, whole and in order', async (t) => {
    const scope = scopeOf(t);
    const { redis, gateway, secure } = await startTls(scope, { args: ['--queue-limit', '64MiB'] });
    for (const maxVersion of VERSIONS) {
        const stream = await openStream(scope, gateway.port, `/stream?channel=${maxVersion}`, { tls: { ...secure, maxVersion } });
        stream.socket.pause();
        const texts = Array.from({ length: 40 }, (_, i) => `${i} ${String.fromCharCode(97 + (i % 26)).repeat(500_000)}`);
        await redis.publishAll(texts.map((text) => [maxVersion, text]));
        await until('bytes that wait', async () => (await gateway.metric('queued_bytes')) > 1_000_000);
        stream.socket.resume();
        await stream.count(texts.length, { ms: 60000 });
        assert.deepEqual(stream.events.map((e) => e.data), texts);
        assert.equal(await gateway.metric('queued_bytes'), 0);
    }
});

test('--slow-client drop-oldest: what a slow client gets is whole events with gaps between them', async (t) => {
    const scope = scopeOf(t);
    const { redis, gateway, secure } = await startTls(scope, { args: ['--slow-client', 'drop-oldest'] });
    const stream = await openStream(scope, gateway.port, '/stream?channel=a', { tls: secure });
    stream.socket.pause();
    const body = 'z'.repeat(50_000);
    for (let i = 0; i < 400; i += 20) await redis.publishAll(Array.from({ length: 20 }, (_, k) => ['a', `${i + k} ${body}`]));
    await until('events are dropped', async () => (await gateway.metric('events_dropped_total')) > 0);
    stream.socket.resume();
    await until('the last event', () => stream.events.at(-1)?.data.startsWith('399 '));
    assert.equal(stream.fault, undefined);
    assert.ok(stream.events.some((e) => e.type === 'gateway:gap'));
    const numbers = stream.events.filter((e) => e.type === 'message').map((e) => Number(e.data.split(' ')[0]));
    assert.deepEqual(numbers, numbers.toSorted((a, b) => a - b));
    for (const e of stream.events) if (e.type === 'message') assert.equal(e.data.length, body.length + 1 + e.data.indexOf(' '));
});

test('errors and refusals come over TLS, and end with close_notify', async (t) => {
    const scope = scopeOf(t);
    const { gateway, secure } = await startTls(scope, { args: ['--max-connections', '1', '--refusal', 'status'] });
    await openStream(scope, gateway.port, '/stream?channel=a', { tls: secure });
    for (const [path, status] of [['/nothing', 404], ['/stream', 400], ['/stream?channel=b', 503]]) {
        const { code, text } = await sClient(gateway.port, ['-quiet', '-ign_eof'], { input: GET(path) });
        assert.match(text, new RegExp(`HTTP/1.1 ${status} `));
        assert.doesNotMatch(text, /unexpected eof/);
        assert.equal(code, 0, text);
    }
});

test('a drain ends streams with a clean last chunk and close_notify; a stream that is cut has neither', async (t) => {
    const scope = scopeOf(t);
    const { gateway, secure } = await startTls(scope);
    const clients = VERSIONS.map((v) => sClient(gateway.port, ['-quiet', '-ign_eof', `-tls${v.slice(4).replace('.', '_')}`], { input: GET('/stream?channel=a') }));
    await gateway.metricIs('connections', 2);
    const noisy = await openStream(scope, gateway.port, '/stream?channel=a', { tls: secure });
    noisy.socket.write(Buffer.alloc(200_000, 'x'));
    assert.equal(await noisy.ended(), 'cut');
    await gateway.metricIs('closes_total', 1, { labels: { reason: 'noisy' } });
    const silent = net.connect(gateway.port, '127.0.0.1').on('error', () => {}); // is not waited for
    await until('it is connected', () => silent.readyState === 'open');
    gateway.terminate();
    for (const { code, text } of await Promise.all(clients)) {
        assert.match(text, /retry: \d+\n\n\r\n0\r\n\r\n/);
        assert.doesNotMatch(text, /unexpected eof/);
        assert.equal(code, 0, text);
    }
    assert.deepEqual(await gateway.process.exit(), { code: 0, signal: null });
});

test('a client that asks for new keys (KeyUpdate) goes on; one that sends close_notify is let go', async (t) => {
    const scope = scopeOf(t);
    const { redis, gateway, secure } = await startTls(scope);
    const client = spawn('openssl', ['s_client', '-connect', `127.0.0.1:${gateway.port}`, '-tls1_3', '-crlf'], { stdio: ['pipe', 'pipe', 'pipe'] });
    scope.defer(() => client.kill('SIGKILL'));
    let text = '';
    for (const out of [client.stdout, client.stderr]) out.on('data', (bytes) => (text += bytes));
    client.stdin.write('GET /stream?channel=a HTTP/1.1\nHost: a\n\n');
    await gateway.metricIs('connections', 1);
    for (const said of ['one', 'two', 'three']) {
        client.stdin.write('K\n'); // changes its own keys, and asks the server to do so
        await until('the update', () => text.split('KEYUPDATE').length - 1 === ['one', 'two', 'three'].indexOf(said) + 1);
        await redis.publish('a', said);
        await until(said, () => text.includes(`data: ${said}\n`));
    }
    const other = await handshake(gateway.port, secure);
    other.write(GET('/stream?channel=b'));
    await gateway.metricIs('connections', 2);
    other.end();
    await gateway.metricIs('connections', 1);
    assert.equal(client.exitCode, null);
});

test('a client that sends its request and close_notify in one piece gets the answer', async (t) => {
    const scope = scopeOf(t);
    const { gateway } = await startTls(scope);
    for (const maxVersion of VERSIONS) {
        let held = null;
        const server = net.createServer({ allowHalfOpen: true }, (client) => {
            const up = net.connect({ port: gateway.port, host: '127.0.0.1' });
            client.on('data', (bytes) => (held ? held.push(bytes) : up.write(bytes)));
            client.on('end', () => up.write(Buffer.concat(held)));
            up.pipe(client);
            for (const socket of [client, up]) socket.on('error', () => {});
        });
        scope.defer(() => server.close());
        await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
        const client = await handshake(server.address().port, { maxVersion, allowHalfOpen: true });
        let text = '';
        client.on('data', (bytes) => (text += bytes));
        client.write(GET('/health/live')); // so that the handshake is over on both sides
        await until('the first answer', () => text.includes('live\n'));
        text = '';
        held = [];
        client.end(GET('/health/live'));
        await within(5000, 'the end', new Promise((resolve) => client.once('close', resolve).once('end', resolve)));
        assert.match(text, /^HTTP\/1.1 200[^]*live\n$/, maxVersion);
    }
});

test('a storm of handshakes takes turns with open streams, and all of it is done', async (t) => {
    const scope = scopeOf(t);
    const { redis, gateway, secure } = await startTls(scope, { workers: 1 });
    const stream = await openStream(scope, gateway.port, '/stream?channel=a', { tls: secure });
    const storm = Array.from({ length: 400 }, () => handshake(gateway.port));
    for (let i = 0; i < 20; i++) await redis.publish('a', String(i));
    const sockets = await within(60000, 'all handshakes', Promise.all(storm));
    await stream.count(20);
    // A client's own handshake is over before the gateway has read its last message.
    await until('all handshakes here', async () => (await gateway.metric('tls_handshakes_total')) >= 401);
    assert.ok((await gateway.metric('tls_handshakes_postponed_total')) > 0);
    sockets.forEach((s) => s.destroy());
});

test('a record that is longer than what a stream may still send ends it at its header; a shorter one that is begun is counted', async (t) => {
    const scope = scopeOf(t);
    const { gateway } = await startTls(scope);
    for (const [i, maxVersion] of VERSIONS.entries()) {
        const long = await rawStream(scope, gateway, maxVersion);
        long.write(Buffer.from([23, 3, 3, 0x20, 0]));
        await until('the end', () => long.closed);
        await gateway.metricIs('closes_total', i + 1, { labels: { reason: 'noisy' } });
        const streams = await Promise.all(Array.from({ length: 20 }, () => rawStream(scope, gateway, maxVersion)));
        for (const raw of streams) raw.write(Buffer.concat([Buffer.from([23, 3, 3, 0x10, 0]), Buffer.alloc(4000)]));
        await until('what came is counted', async () => (await gateway.metric('connection_bytes')) > 20 * 4096);
        await until('no more than that', async () => (await gateway.metric('connection_bytes')) < 20 * 11_000);
        streams.forEach((raw) => raw.destroy());
        await gateway.metricIs('connections', 0);
    }
});

test('an encrypted record that a slow client does not take is counted as memory of its connection', async (t) => {
    const scope = scopeOf(t);
    const { redis, gateway } = await startTls(scope, { args: ['--slow-client', 'drop-oldest', '--heartbeat', '60s'] });
    const raws = await Promise.all(VERSIONS.map((maxVersion) => rawStream(scope, gateway, maxVersion)));
    raws.forEach((raw) => raw.encrypted.pause());
    await until('memory of an idle stream', async () => (await gateway.metric('connection_bytes')) < 20_000);
    await until('what waits encrypted is counted', async () => {
        await redis.publishAll(Array.from({ length: 10 }, () => ['a', 'x'.repeat(20_000)]));
        return (await gateway.metric('connection_bytes')) > 20_000;
    });
});

// sse-publish subscribe: real gateways, and servers that answer as no gateway does.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { test } from 'node:test';
import { isUsageError, Running } from '../lib/cli.mjs';
import { command } from '../lib/command.mjs';
import { connect, load } from '../lib/durable.mjs';
import { FullPipe } from '../lib/full_pipe.mjs';
import { Gateway } from '../lib/gateway.mjs';
import { PUBLISH } from '../lib/paths.mjs';
import { freePort } from '../lib/ports.mjs';
import { Redis } from '../lib/redis.mjs';
import { scopeOf } from '../lib/scope.mjs';
import { startTls } from '../lib/tls.mjs';
import { until } from '../lib/wait.mjs';

const HEAD = 'HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n';

const publish = (redis, ...args) => command(PUBLISH, ['--redis', redis.url, ...args]);
const urlOf = (gateway, scheme = 'http') => `${scheme}://127.0.0.1:${gateway.port}/stream`;
const subscribe = (scope, url, ...args) => new Running(scope, ['subscribe', '--url', url, ...args]);
const eventsOf = (running) => running.lines.map((line) => JSON.parse(line));

/** A server that gives each connection, in turn, the next of `answers`, and ends it unless told not to; `heads` has what was asked. */
async function scripted(scope, answers, { ends = true } = {}) {
    const heads = [];
    const server = net.createServer((socket) => {
        let head = '';
        socket.on('error', () => {});
        socket.on('data', (data) => {
            head += data;
            if (!head.endsWith('\r\n\r\n')) return;
            heads.push(head);
            const answer = answers[Math.min(heads.length, answers.length) - 1];
            for (const part of [answer].flat()) socket.write(part);
            if (ends) socket.end();
        });
    });
    const port = await freePort();
    await new Promise((resolve) => server.listen(port, '127.0.0.1', resolve));
    scope.defer(() => server.close());
    return { heads, url: `http://127.0.0.1:${port}/stream` };
}

const lastIdIn = (head) => /^Last-Event-ID: (.*)\r$/im.exec(head)?.[1];

test('events of all channels are printed, each on a line, as text and as JSON', async (t) => {
    const scope = scopeOf(t);
    const redis = await Redis.start(scope);
    const gateway = await Gateway.start(scope, { redis });
    const text = subscribe(scope, urlOf(gateway), 'news', 'user:42');
    const json = subscribe(scope, urlOf(gateway), '--json', 'news', 'user:42');
    await redis.subscribed('news', 1);
    await redis.subscribed('user:42', 1);
    await gateway.metricIs('connections', 2);
    await publish(redis, 'news', 'hello\nworld\x1b[31m');
    await publish(redis, '--event', 'order', '--id', '7', 'user:42', '{"total":3}');
    await until('two events each', () => text.lines.length === 2 && json.lines.length === 2);
    assert.deepEqual(text.lines, ['message  hello\\nworld\\x1b[31m', 'order  {"total":3}']);
    const [first, second] = eventsOf(json);
    assert.deepEqual([first.event, first.data, second.event, second.data], ['message', 'hello\nworld\x1b[31m', 'order', '{"total":3}']);
    assert.ok(second.id);
});

test('where all channels have ended, it has printed everything and exits 0, at once where nothing is left to read', async (t) => {
    const scope = scopeOf(t);
    const redis = await Redis.start(scope);
    const gateway = await Gateway.start(scope, { redis, args: ['--retry', '100ms', '--durable', '*'] });
    const client = connect(scope, redis);
    await load(client);
    const text = subscribe(scope, urlOf(gateway), 'a', 'b');
    const json = subscribe(scope, urlOf(gateway), '--json', 'a', 'b');
    await gateway.metricIs('connections', 2);
    for (const channel of ['a', 'b']) await client.call('FCALL', 'sse_publish', '1', channel, `${channel} 1`, '', '', 'end', '60');
    for (const running of [text, json]) assert.equal(await running.ended, 0);
    assert.deepEqual(text.lines, ['message  a 1', 'message  b 1']);
    assert.deepEqual(eventsOf(json).map((e) => e.event), ['message', 'gateway:end', 'message', 'gateway:end']);
    assert.match(text.err, /a channel has ended: \{"channel":"a"\}\n[^]*the gateway ends the stream: \{"reason":"ended"\}\n[^]*the channels have ended \(204\)\n/);
    const late = await command(PUBLISH, ['subscribe', '--url', urlOf(gateway), 'a']);
    assert.deepEqual([late.code, late.out], [0, '']);
    const kept = await command(PUBLISH, ['subscribe', '--url', urlOf(gateway), '--last-event-id', 'earliest', 'a']);
    assert.deepEqual([kept.code, kept.out], [0, 'message  a 1\n']);
});

test('after a gateway that was stopped and one that was killed, each durable event is printed once and in order', async (t) => {
    const scope = scopeOf(t);
    const redis = await Redis.start(scope);
    const [port, adminPort] = [await freePort(), await freePort()];
    const start = () => Gateway.start(scope, { redis, port, adminPort, args: ['--retry', '100ms', '--durable', 'news'] });
    let gateway = await start();
    const running = subscribe(scope, urlOf(gateway), '--json', 'news');
    await redis.subscribed('news', 1);
    const sent = [];
    for (const signal of ['SIGTERM', 'SIGKILL']) {
        const send = async (text) => sent.push(text) && (await publish(redis, '--durable', 'news', text));
        await send(`before ${signal}`);
        await until('it to be printed', () => running.lines.length === sent.length);
        gateway.process.signal(signal);
        await gateway.process.exit();
        await send(`while away, ${signal}`);
        await running.says(/reconnecting in \d+ ms/);
        gateway = await start();
        await send(`after ${signal}`);
        await until('all to be printed', () => running.lines.length === sent.length);
    }
    assert.deepEqual(eventsOf(running).map((event) => event.data), sent);
    assert.match(running.err, new RegExp(`the gateway ends the stream: [^\n]*"drain"[^\n]*\n(?:.*\n)*sse-publish: reconnecting in \\d+ ms\n(?:.*\n)*sse-publish: the stream goes on, at ${gateway.id}\n`));
    running.signal('SIGINT');
    assert.equal(await running.ended, 0);
    assert.equal(/ended; --last-event-id (\S+) goes on there\n$/.exec(running.err)?.[1], eventsOf(running).at(-1).id);
    // With that id nothing is missed.
    await publish(redis, '--durable', 'news', 'later');
    const { code, out } = await command(PUBLISH, ['subscribe', '--url', urlOf(gateway), '--json', '--count', '1', '--last-event-id', eventsOf(running).at(-1).id, 'news']);
    assert.deepEqual([code, JSON.parse(out).data], [0, 'later']);
});

test('--last-event-id earliest begins with all that is kept, and --count ends', async (t) => {
    const scope = scopeOf(t);
    const redis = await Redis.start(scope);
    const gateway = await Gateway.start(scope, { redis });
    for (const text of ['1', '2', '3']) await publish(redis, '--durable', 'news', text);
    const { code, out } = await command(PUBLISH, ['subscribe', '--url', `http://127.0.0.1:${gateway.port}`, '--last-event-id', 'earliest', '--count', '2', 'news']);
    assert.deepEqual([code, out], [0, 'message  1\nmessage  2\n']);
});

test('a gap is told on standard error, and in JSON', async (t) => {
    const scope = scopeOf(t);
    const redis = await Redis.start(scope);
    const gateway = await Gateway.start(scope, { redis });
    await publish(redis, '--durable', 'news', '1');
    const running = subscribe(scope, urlOf(gateway), '--json', '--last-event-id', 'of-another-server', 'news');
    await running.says(/events were lost: \{"channel":"news","from":null,"to":null\}/);
    await until('the gap', () => running.lines.length === 1);
    assert.equal(eventsOf(running)[0].event, 'gateway:gap');
});

test('a token is read from its file for each connection; 401 is final', async (t) => {
    const scope = scopeOf(t);
    const answers = [`${HEAD}retry: 10\nid: a\ndata: 1\n\n`, 'HTTP/1.1 401 Unauthorized\r\nContent-Length: 6\r\n\r\nno\x1b[31m'];
    const server = await scripted(scope, answers);
    const file = path.join(scope.folder, 'token');
    fs.writeFileSync(file, 'first.token\nignored\n');
    const running = subscribe(scope, server.url, '--token-file', file, 'news');
    await running.says(/message {2}1/);
    fs.writeFileSync(file, 'second.token\n');
    assert.equal(await running.ended, 1);
    assert.match(server.heads[0], /^Authorization: Bearer first\.token\r$/m);
    assert.match(server.heads.at(-1), /^Authorization: Bearer \w+\.token\r$/m);
    assert.match(running.err, /the server answers 401: no\\x1b\[3/);
    fs.writeFileSync(file, 'two words\n');
    const bad = await command(PUBLISH, ['subscribe', '--url', server.url, '--token-file', file, 'news']);
    assert.deepEqual([bad.code, /is no token/.test(bad.err)], [1, true]);
});

test('where the file of the token is empty or gone for a moment, a stream that was open comes back once it is there', async (t) => {
    const scope = scopeOf(t);
    const server = await scripted(scope, [`${HEAD}retry: 10\ndata: 1\n\n`]);
    const file = path.join(scope.folder, 'token');
    fs.writeFileSync(file, 'first.token\n');
    const running = subscribe(scope, server.url, '--token-file', file, 'news');
    await running.says(/message {2}1/);
    fs.writeFileSync(file, '');
    await running.says(/is empty\nsse-publish: reconnecting/);
    fs.rmSync(file);
    await running.says(/--token-file: cannot read [^\n]*\nsse-publish: reconnecting/);
    fs.writeFileSync(file, 'second.token\n');
    await until('the second token to be shown', () => /^Authorization: Bearer second\.token\r$/m.test(server.heads.at(-1)));
});

test('no byte of a server reaches the terminal as a command', async (t) => {
    const scope = scopeOf(t);
    const id = '\x1b]0;x\x07\u009b\u202e';
    const head = HEAD.replace('\r\n\r\n', '\r\nX-SSE-Gateway: gw\x1b[31m\u009b\r\n\r\n');
    const server = await scripted(scope, [`${head}retry: 10\nid: ${id}\ndata: 1\n\n`, `${head}id: ${id}\n\n`, 'HTTP/1.1 404 Not Found\r\nContent-Length: 9\r\n\r\nno\x1b[1m\u009b']);
    const running = subscribe(scope, server.url, '--json', 'news');
    assert.equal(await running.ended, 1);
    assert.ok(!/[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]/.test(running.out + running.err), JSON.stringify(running.out + running.err));
    assert.equal(eventsOf(running)[0].id, id);
    assert.match(running.err, /the stream goes on, at gw\\x1b\[31m\\u009b\n/);
    assert.match(running.err, /--last-event-id \\x1b\]0;x\\x07\\u009b\\u202e goes on there\n/);
    assert.match(running.err, /answers 404: no\\x1b\[1m\\u009b\n$/);
});

test('a ticket is in the URL, and the second connection is told that it opens one stream', async (t) => {
    const scope = scopeOf(t);
    const server = await scripted(scope, [`${HEAD}retry: 10\ndata: 1\n\n`, 'HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n']);
    const { code, out, err } = await command(PUBLISH, ['subscribe', '--url', server.url, '--ticket', 'a+b', 'news', 'user:42']);
    assert.deepEqual([code, out], [1, 'message  1\n']);
    assert.deepEqual([...new URL(server.heads[0].split(' ')[1], server.url).searchParams], [['channel', 'news'], ['channel', 'user:42'], ['control', '1'], ['ticket', 'a+b']]);
    assert.match(err, /a ticket opens one stream; --token-file has what can come back\n$/);
});

test('SIGINT and SIGTERM end it with status 0 while it waits to reconnect, too', async (t) => {
    const scope = scopeOf(t);
    const server = await scripted(scope, [`${HEAD}retry: 60000\nid: 7\ndata: 1\n\n`]);
    for (const name of ['SIGINT', 'SIGTERM']) {
        const running = subscribe(scope, server.url, 'news');
        await running.says(/reconnecting in \d+ ms/);
        running.signal(name);
        assert.equal(await running.ended, 0);
        assert.match(running.err, /ended; --last-event-id 7 goes on there\n$/);
    }
});

test('a stream cut anywhere goes on with the last whole id and the newest retry', async (t) => {
    const scope = scopeOf(t);
    const bytes = '\ufeffretry: 20\r\nid: 1\r\ndata: a\r\n\r\nid: 2\rdata: b\r\rid: 3\ndata: not whole\n';
    const server = await scripted(scope, [HEAD + bytes, [...(HEAD + bytes)], 'HTTP/1.1 204 No Content\r\n\r\n']);
    const running = subscribe(scope, server.url, '--json', 'news');
    assert.equal(await running.ended, 0);
    assert.deepEqual(eventsOf(running).map(({ data, id }) => data + id), ['a1', 'b2', 'a1', 'b2']);
    assert.deepEqual(server.heads.map(lastIdIn), [undefined, '2', '2']);
    for (const [, ms] of running.err.matchAll(/reconnecting in (\d+) ms/g)) assert.ok(ms >= 20 && ms <= 25, `${ms}`);
    assert.match(running.err, /the channels have ended \(204\)/);
});

const FINAL = {
    404: ['HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n', /the server answers 404\n$/],
    'a page in place of a stream': ['HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 6\r\n\r\n<html>', /answers 200, but that is no event stream: <html>\n$/],
    'no answer at all': ['', /no answer from http:[^\s?]+\/stream: /],
    'a redirect to nowhere': ['HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n', /the server answers 302\n$/],
    'a page of a type that only begins like a stream\'s': ['HTTP/1.1 200 OK\r\nContent-Type: text/event-streams\r\nContent-Length: 0\r\n\r\n', /no event stream\n$/],
};

for (const [name, row] of Object.entries(FINAL)) {
    test(`exit 1 for ${name}`, async (t) => {
        const server = await scripted(scopeOf(t), [row[0]]);
        const { code, out, err } = await command(PUBLISH, ['subscribe', '--url', server.url, 'news']);
        assert.deepEqual([code, out], [1, '']);
        assert.match(err, row[1]);
        assert.equal(server.heads.length, 1);
    });
}

test('no error has the ticket of a URL', async (t) => {
    const server = await scripted(scopeOf(t), ['']);
    for (const url of [`${server.url}?ticket=secret`, 'ftp://127.0.0.1/?ticket=secret']) {
        const { code, err } = await command(PUBLISH, ['subscribe', '--url', url, '--ticket', 'secret', 'news']);
        assert.notEqual(code, 0);
        assert.ok(!err.includes('secret'), err);
    }
});

const PAGE = 'HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n';
const ENDLESS = {
    'a page that goes on': [`${PAGE}${'x'.repeat(4096)}`, /answers 200, but that is no event stream: x+\n$/],
    'a page that stands still': [`${PAGE}wait`, /answers 200, but that is no event stream: wait\n$/],
    'an error that stands still': ['HTTP/1.1 404 Not Found\r\nContent-Length: 9\r\n\r\nno', /answers 404: no\n$/],
};

for (const [name, [answer, said]] of Object.entries(ENDLESS)) {
    test(`${name} is given up`, async (t) => {
        const server = await scripted(scopeOf(t), [answer], { ends: false });
        const { code, err } = await command(PUBLISH, ['subscribe', '--url', server.url, '--idle', '500ms', 'news']);
        assert.equal(code, 1);
        assert.match(err, said);
    });
}

test('a 503 that stands still is tried again', async (t) => {
    const scope = scopeOf(t);
    const server = await scripted(scope, ['HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 9\r\n\r\nno'], { ends: false });
    await subscribe(scope, server.url, '--idle', '500ms', 'news').says(/refused with 503[^\n]*\nsse-publish: reconnecting/);
});

const WAITS = {
    'Retry-After above all bounds is cut to a day': ['HTTP/1.1 503 Service Unavailable\r\nRetry-After: 999999999999\r\nContent-Length: 0\r\n\r\n', 86400000],
    'Retry-After of two minutes': ['HTTP/1.1 503 Service Unavailable\r\nRetry-After: 120\r\nContent-Length: 0\r\n\r\n', 120000],
    'Retry-After of two days is cut to one': ['HTTP/1.1 503 Service Unavailable\r\nRetry-After: 172800\r\nContent-Length: 0\r\n\r\n', 86400000],
    'Retry-After that is no number': ['HTTP/1.1 503 Service Unavailable\r\nRetry-After: -5\r\nContent-Length: 0\r\n\r\n', 3000],
    'a retry above 32 bits is cut to a day': [`${HEAD}retry: 4294967297\ndata: 1\n\n`, 86400000],
};

for (const [name, [answer, ms]] of Object.entries(WAITS)) {
    test(`how long it waits: ${name}`, async (t) => {
        const scope = scopeOf(t);
        const server = await scripted(scope, [answer]);
        const running = subscribe(scope, server.url, 'news');
        await running.says(/reconnecting in \d+ ms/);
        const wait = Number(/reconnecting in (\d+) ms/.exec(running.err)[1]);
        assert.ok(wait >= ms && wait <= 1.25 * ms, `${wait}`);
    });
}

test('with --count, the id to go on with is that of the last event that was printed', async (t) => {
    const server = await scripted(scopeOf(t), [`${HEAD}id: 1\ndata: a\n\nid: 2\ndata: b\n\n`]);
    const { code, out, err } = await command(PUBLISH, ['subscribe', '--url', server.url, '--count', '1', 'news']);
    assert.deepEqual([code, out, err], [0, 'message  a\n', 'sse-publish: ended; --last-event-id 1 goes on there\n']);
});

for (const name of ['SIGINT', 'SIGTERM']) {
    test(`${name} ends it also where nobody reads what it prints, and the id is that of the last event in full`, async (t) => {
        const scope = scopeOf(t);
        const pipe = new FullPipe(scope, { full: false });
        const server = await scripted(scope, [`${HEAD}id: 1\ndata: a\n\nid: 2\ndata: ${'b'.repeat(1 << 20)}\n\n`], { ends: false });
        const running = new Running(scope, ['subscribe', '--url', server.url, 'news'], { stdout: pipe.writer });
        // Of the second event a part has been printed, and there is never room for all.
        const start = Buffer.alloc(32);
        await until('the second event to be begun', () => fs.readSync(pipe.reader, start) > 0 && start.includes('message  b'));
        running.signal(name);
        assert.equal(await running.ended, 0);
        assert.match(running.err, /ended; --last-event-id 1 goes on there\n$/);
    });
}

test('503 and a refusal by retry are tried again, later each time; Retry-After counts', async (t) => {
    const scope = scopeOf(t);
    const refusal = `${HEAD}retry: 30\n\n`;
    const server = await scripted(scope, [refusal, refusal, refusal, 'HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n', `${HEAD}data: x\n\n`]);
    const running = subscribe(scope, server.url, '--count', '1', 'news');
    assert.equal(await running.ended, 0);
    const waits = [...running.err.matchAll(/reconnecting in (\d+) ms/g)].map(([, ms]) => Number(ms));
    assert.equal(waits.length, 4);
    assert.ok(waits[0] >= 30 && waits[0] <= 38 && waits[2] >= 2 * waits[0] && waits[3] >= 1000 && waits[3] < 2000, `${waits}`);
    assert.match(running.err, /refused with 503, where an EventSource gives up for good/);
});

test('a stream without a heartbeat is given up after --idle', async (t) => {
    const scope = scopeOf(t);
    const redis = await Redis.start(scope);
    const gateway = await Gateway.start(scope, { redis, args: ['--heartbeat', '500ms', '--retry', '50ms'] });
    const running = subscribe(scope, urlOf(gateway), '--idle', '2s', 'news');
    await gateway.metricIs('connections', 1);
    gateway.process.signal('SIGSTOP');
    await running.says(/nothing came for 2000 ms, not even a heartbeat\nsse-publish: reconnecting/);
    gateway.process.signal('SIGCONT');
    await running.says(/the stream goes on, at/);
});

test('by TLS, with a CA of its own; without it the certificate is refused', async (t) => {
    const scope = scopeOf(t);
    const { redis, gateway, ca } = await startTls(scope);
    const refused = await command(PUBLISH, ['subscribe', '--url', urlOf(gateway, 'https'), 'news']);
    assert.deepEqual([refused.code, /certificate/i.test(refused.err)], [1, true], refused.err);
    const running = subscribe(scope, urlOf(gateway, 'https'), '--cacert', ca.cert, 'news');
    await redis.subscribed('news', 1);
    await gateway.metricIs('connections', 1);
    await publish(redis, 'news', 'secret');
    await running.says(/^message {2}secret\n/);
});

test('a reader that has gone ends it', async (t) => {
    const scope = scopeOf(t);
    const redis = await Redis.start(scope);
    const gateway = await Gateway.start(scope, { redis });
    const running = subscribe(scope, urlOf(gateway), 'news');
    await redis.subscribed('news', 1);
    await gateway.metricIs('connections', 1);
    running.child.stdout.destroy();
    await publish(redis, 'news', 'x');
    await publish(redis, 'news', 'y');
    assert.equal(await running.ended, 1);
});

const USAGE = {
    'no channel': [['subscribe'], 'subscribe CHANNEL'],
    'a reserved channel': [['subscribe', '__x'], 'reserved'],
    'a URL of something else': [['subscribe', '--url', 'ftp://x/', 'news'], 'http://HOST'],
    'a token and a ticket': [['subscribe', '--token-file', 'x', '--ticket', 'y', 'news'], '--ticket'],
    'an id with a line end': [['subscribe', '--last-event-id', 'a\nb', 'news'], '--last-event-id'],
    'a URL where one publishes': [['--url', 'http://x', 'news', 'x'], '--url'],
};

for (const [name, [args, mention]] of Object.entries(USAGE)) {
    test(`exit 2 and one line for ${name}`, () => isUsageError(args, mention));
}

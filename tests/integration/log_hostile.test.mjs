// What clients, publishers and servers of Redis say may stand in the log: never as more than one line, nor as anything that a
// terminal or a reader of lines would act on.

import assert from 'node:assert/strict';
import net from 'node:net';
import { once } from 'node:events';
import { test } from 'node:test';
import { Gateway } from '../lib/gateway.mjs';
import { RawConnection } from '../lib/raw_http.mjs';
import { scopeOf } from '../lib/scope.mjs';
import { startTier } from '../lib/tier.mjs';
import { until } from '../lib/wait.mjs';

const FORGED = '{"ts":"2026-01-01T00:00:00.000Z","level":"error","module":"forged","id":"forged","msg":"forged"}';
const TEXT = `2026-01-01T00:00:00.000Z error forged: forged`;
// Escapes of a terminal, ends of lines, C1, a direction of text that hides what follows, and bytes that are no UTF-8.
const HOSTILE = [
    Buffer.from(`\x1b[2J\x1b]0;owned\x07\n${FORGED}\n${TEXT}\r\x08\x7f\x0b"\\`),
    Buffer.from('\u0085\u009b31m\u2028\u2029\u202e\u2066\u200f'),
    Buffer.from([0xff, 0xc0, 0x80, 0xed, 0xa0, 0x80, 0xf4, 0x90, 0x80, 0x80]),
];
const ALL = Buffer.concat(HOSTILE);
const FORBIDDEN = /[\x00-\x09\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ufffd]/;

/** Each line of the log is one that the gateway wrote, whole, with nothing in it that acts. */
function assertClean({ process, id }, format) {
    const bytes = process.log();
    assert.ok(!FORBIDDEN.test(bytes), JSON.stringify(bytes.match(new RegExp(`.{0,80}${FORBIDDEN.source}.{0,80}`))?.[0]));
    for (const line of bytes.split('\n').filter(Boolean)) {
        if (format === 'json') assert.equal(JSON.parse(line).id, id, line);
        else assert.match(line, /^\d{4}-\d\d-\d\dT[\d:.]+Z (debug|info |warn |error) (?!forged)[a-z]+: /);
    }
}

const requests = (bytes) => [
    ['GET /', bytes, ' HTTP/1.1\r\nHost: a\r\n\r\n'],
    ['GET /stream?channel=', bytes, ' HTTP/1.1\r\nHost: a\r\n\r\n'],
    ['GET /stream?channel=', encodeURIComponent(bytes.toString('latin1')), ' HTTP/1.1\r\nHost: a\r\n\r\n'],
    ['GET /stream?channel=a&last_event_id=', encodeURIComponent(bytes.toString('latin1')), ' HTTP/1.1\r\nHost: a\r\n\r\n'],
    ['GET /stream?channel=a HTTP/1.1\r\nHost: ', bytes, '\r\n\r\n'],
    ...['Last-Event-ID', 'Origin', 'User-Agent', 'Cookie', 'Authorization', 'X-Forwarded-For', 'X-Request-Id', 'Referer']
        .map((name) => [`GET /stream?channel=a HTTP/1.1\r\nHost: a\r\n${name}: `, bytes, '\r\n\r\n']),
    ['GET /stream?channel=a HTTP/1.1\r\nHost: a\r\n', bytes, ': x\r\n\r\n'],
    [bytes, ' /stream?channel=a HTTP/1.1\r\nHost: a\r\n\r\n'],
    ['GET /stream?channel=a ', bytes, '\r\n\r\n'],
    [Buffer.from([0x16, 0x03, 0x01, 0x02, 0x00, 0x01]), bytes], // a TLS hello
];

for (const format of ['json', 'text']) {
    test(`hostile bytes anywhere in a request, or in what is published: the log stays whole lines of ours (${format})`, async (t) => {
        const scope = scopeOf(t);
        const { redis, gateway } = await startTier(scope, { args: ['--log-level', 'debug', '--log-format', format] });
        const connections = [];
        for (const bytes of [...HOSTILE, ALL]) {
            for (const parts of requests(bytes)) {
                const connection = new RawConnection(gateway.port);
                connections.push(connection);
                connection.send(Buffer.concat(parts.map((part) => Buffer.from(part))));
            }
            await redis.publish('a', bytes);
            await redis.publish('a', Buffer.concat([Buffer.from('\x1eSSE/1\nevent: '), bytes, Buffer.from('\n\nx')]));
        }
        // Each is answered or closed.
        await Promise.all(connections.map((c) => until('an answer', () => c.reads.length > 0 || c.reset || c.socket.destroyed, { ms: 15000 })));
        connections.forEach((c) => c.close());
        await gateway.metricIs('connections', 0);
        assertClean(gateway, format);
    });

    test(`a Redis, or a sentinel, that says hostile things: the log has them escaped (${format})`, async (t) => {
        const scope = scopeOf(t);
        const server = net.createServer((socket) => {
            const one = Buffer.concat([Buffer.from('$'), Buffer.from(String(ALL.length)), Buffer.from('\r\n'), ALL, Buffer.from('\r\n')]);
            const error = Buffer.concat([Buffer.from('-ERR '), Buffer.from(ALL.toString('latin1').replaceAll('\r', ''), 'latin1'), Buffer.from('\r\n')]);
            let turn = 0;
            socket.on('error', () => {});
            socket.on('data', (bytes) => {
                const commands = bytes.toString('latin1').match(/^\*\d+\r\n/gm)?.length ?? 0;
                const isSentinel = /get-master-addr-by-name/i.test(bytes.toString('latin1'));
                for (let i = 0; i < commands; i++) socket.write(isSentinel && turn++ % 2 === 0 ? Buffer.concat([Buffer.from('*2\r\n'), one, Buffer.from('$2\r\n80\r\n')]) : error);
            });
        }).listen(0, '127.0.0.1');
        scope.defer(() => server.close());
        await once(server, 'listening');
        const { port } = server.address();
        const args = ['--log-level', 'debug', '--log-format', format];
        for (const redisUrl of [`redis://u:p@127.0.0.1:${port}`, `redis+sentinel://127.0.0.1:${port}/main`, `redis+cluster://127.0.0.1:${port}`]) {
            const gateway = await Gateway.start(scope, { redisUrl, args, ready: 'live' });
            await gateway.process.logged(/owned/);
            assertClean(gateway, format);
        }
    });
}

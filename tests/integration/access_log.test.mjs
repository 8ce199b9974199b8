// --access-log: a line for each stream that ended; and what no line of any level ever holds.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { bearer, Keys, ticketOf } from '../lib/bearer.mjs';
import { FullPipe } from '../lib/full_pipe.mjs';
import { scopeOf } from '../lib/scope.mjs';
import { Stream } from '../lib/stream.mjs';
import { openStream, openStreams } from '../lib/streams.mjs';
import { startTier } from '../lib/tier.mjs';
import { until } from '../lib/wait.mjs';

const accessOf = (gateway) => gateway.process.log().split('\n').filter((line) => /"module":"access"| access: /.test(line));

async function accessLines(gateway, count) {
    return until(`${count} lines of the access log`, () => {
        const lines = accessOf(gateway);
        if (lines.length >= count) return lines;
        throw new Error(`${lines.length} lines`);
    });
}

test('in JSON a line has who, which channels, how long, how much and why: and in text the same, to grep', async (t) => {
    const scope = scopeOf(t);
    const keys = new Keys(scope);
    for (const format of ['json', 'text']) {
        const { redis, gateway } = await startTier(scope, { anonymous: ['news'], args: [...keys.args, '--access-log', '--log-format', format, '--trusted-proxy', '127.0.0.1'] });
        const options = { headers: { ...bearer(keys.token('ann')), 'X-Forwarded-For': '203.0.113.9', 'Last-Event-ID': 'from-before' }, keep: true };
        const stream = await openStream(scope, gateway.port, '/stream?channel=user:ann&channel=news', options);
        await stream.count(1); // of that id nothing is known: gateway:gap
        const before = stream.events.length;
        for (let i = 1; i <= 3; i++) {
            await redis.publish('news', `event ${i}`);
            await stream.count(before + i);
        }
        const received = stream.socket.bytesRead;
        stream.close();
        const [line] = await accessLines(gateway, 1);
        const fields = format === 'json' ? JSON.parse(line) : Object.fromEntries([...line.matchAll(/ ([a-z_]+)=(\S+)/g)].map(([, k, v]) => [k, /^(\d+|true|false)$/.test(v) ? JSON.parse(v) : v]));
        assert.match(fields.connection, /^\d+\.\d+$/);
        assert.equal(fields.remote, '203.0.113.9');
        assert.equal(fields.subject, 'ann');
        assert.equal(fields.channels, 'user:ann,news');
        assert.equal(fields.channel_count, 2);
        assert.ok(fields.duration_ms >= 0 && fields.duration_ms < 60000, line);
        assert.equal(fields.events, before + 3);
        assert.equal(fields.bytes, received);
        assert.equal(fields.resumed, true);
        assert.equal(fields.reason, 'client_gone');
        if (format === 'json') assert.deepEqual([fields.level, fields.id, fields.msg], ['info', gateway.id, 'stream ended']);
        else assert.match(line, /^\S+ info {2}access: stream ended connection=/);
    }
});

test('in a drain each stream has its line, with the reason', async (t) => {
    const scope = scopeOf(t);
    const { gateway } = await startTier(scope, { args: ['--access-log', '--log-format', 'json'] });
    await openStreams(scope, Array(50).fill({ port: gateway.port, path: '/stream?channel=news' }));
    gateway.terminate();
    assert.equal((await gateway.process.exit()).code, 0);
    const lines = accessOf(gateway).map((line) => JSON.parse(line));
    assert.deepEqual(lines.map((l) => [l.reason, l.subject, l.remote]), Array(50).fill(['drain', null, '127.0.0.1']));
    assert.equal(new Set(lines.map((l) => l.connection)).size, 50);
});

test('a log reader that stands still costs lines of the access log, which are counted, and holds up no drain', async (t) => {
    const scope = scopeOf(t);
    const pipe = new FullPipe(scope, { full: false });
    const { gateway } = await startTier(scope, { args: ['--access-log', '--log-buffer', '8KiB', '--log-format', 'json'], stderr: pipe.writer });
    const streams = await openStreams(scope, Array(400).fill({ port: gateway.port, path: '/stream?channel=news' }));
    pipe.fill();
    streams.splice(0, 300).forEach((s) => s.close());
    await gateway.metricIs('connections', 100);
    await until('lines are dropped', async () => (await gateway.metric('log_lines_dropped_total')) > 250); // 8 KiB hold some 30
    gateway.terminate();
    assert.equal((await gateway.process.exit()).code, 0);
});

test('no line at any level has a token, a ticket, a cookie or a query, whether they were good or bad', async (t) => {
    const scope = scopeOf(t);
    const keys = new Keys(scope);
    const { gateway } = await startTier(scope, { anonymous: [], args: [...keys.args, '--access-log', '--log-level', 'debug', '--log-format', 'text', '--token-cookie', 'session', '--token-query', 'access_token'] });
    const good = ['h', 'c', 'q'].map((who) => keys.token(who));
    const bad = keys.token('bad').slice(0, -6) + 'AAAAAA';
    const secrets = [...good, bad];
    const ask = async (path, headers = {}, status = 200) => {
        const stream = await Stream.open(gateway.port, path, { headers: { Host: 'a', ...headers } });
        scope.defer(() => stream.close());
        assert.equal(stream.status, status, path);
        stream.close();
    };
    await ask('/stream?channel=user:h', { Authorization: `Bearer ${good[0]}` });
    await ask('/stream?channel=user:c', { Cookie: `a=SECRETCOOKIE; session=${good[1]}` });
    await ask(`/stream?channel=user:q&access_token=${good[2]}&x=SECRETQUERY`);
    for (const path of ['/stream?channel=user:bad', `/nothing?access_token=${bad}`]) await ask(path, { Authorization: `Bearer ${bad}` }, path.startsWith('/n') ? 404 : 401);
    await ask('/stream?channel=user:bad', { Cookie: `session=${bad}` }, 401);
    await ask(`/stream?channel=user:bad&access_token=${bad}`, {}, 401);
    await ask('/stream?channel=user:bad', { Authorization: 'Bearer SECRETGARBAGE' }, 401);
    const ticket = await ticketOf(gateway, keys.token('t'));
    await ask(`/stream?channel=user:t&ticket=${ticket}`);
    await ask(`/stream?channel=user:t&ticket=${ticket}`, {}, 401); // spent
    await ask('/stream?channel=user:t&ticket=SECRETTICKET', {}, 401);
    secrets.push(ticket);
    await accessLines(gateway, 4);
    gateway.terminate();
    assert.equal((await gateway.process.exit()).code, 0);
    const log = gateway.process.log();
    const pieces = ['SECRET', 'access_token', ...secrets.flatMap((s) => s.split('.')).filter((p) => p.length > 8)];
    for (const piece of pieces) assert.ok(!log.includes(piece), `the log has ${piece}`);
    for (const who of ['h', 'c', 'q', 't']) assert.match(log, new RegExp(` subject=${who} channels=user:${who} `));
});

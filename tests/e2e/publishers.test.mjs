// Ways to publish: redis-cli, ioredis, sse-publish.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Redis as IoRedis } from 'ioredis';
import { command } from '../lib/command.mjs';
import { PUBLISH } from '../lib/paths.mjs';
import { Redis } from '../lib/redis.mjs';
import { scopeOf, sharedScope } from '../lib/scope.mjs';
import { openStreams } from '../lib/streams.mjs';
import { startTier } from '../lib/tier.mjs';

const shared = sharedScope();
const tier = await startTier(shared, { gateways: 2 });
const { redis } = tier;

/** A stream at each of two gateways; hears() resolves to the events that both got, up to a last one. */
async function listen(t, channel) {
    const streams = await openStreams(scopeOf(t), tier.gateways.map((g) => ({ port: g.port, path: `/stream?channel=${channel}` })));
    return async () => {
        await redis.publish(channel, 'the end');
        for (const s of streams) while (s.events.at(-1)?.data !== 'the end') await s.count(s.events.length + 1);
        assert.deepEqual(streams[0].events, streams[1].events);
        return streams[0].events.slice(0, -1);
    };
}

const datas = (events) => events.map((e) => e.data);
const publish = (args, { url = redis.url, ...options } = {}) => command(PUBLISH, ['--redis', url, ...args], options);

async function published(args, options) {
    const result = await publish(args, options);
    assert.equal(result.code, 0, result.err);
    return result;
}

test('redis-cli PUBLISH, with the message as an argument and from its input', async (t) => {
    const hears = await listen(t, 'cli');
    assert.equal(await redis.cli(['PUBLISH', 'cli', 'hello there']), '2');
    assert.equal(await redis.cli(['-x', 'PUBLISH', 'cli'], { input: 'from\ninput' }), '2');
    assert.deepEqual(datas(await hears()), ['hello there', 'from\ninput']);
});

test('ioredis: strings, buffers, JSON, pipelines', async (t) => {
    const hears = await listen(t, 'io');
    const client = new IoRedis(redis.port, '127.0.0.1');
    t.after(() => client.disconnect());
    assert.equal(await client.publish('io', 'text \u20ac'), 2);
    await client.publish('io', Buffer.from('bytes'));
    await client.publish('io', JSON.stringify({ a: [1, 'x\ny'] }));
    const pipeline = client.pipeline();
    for (let i = 0; i < 1000; i++) pipeline.publish('io', String(i));
    await pipeline.exec();
    assert.deepEqual(datas(await hears()), ['text \u20ac', 'bytes', '{"a":[1,"x\\ny"]}', ...Array.from({ length: 1000 }, (_, i) => String(i))]);
});

test('sse-publish CHANNEL DATA, and how many gateways received it', async (t) => {
    const hears = await listen(t, 'p:data');
    const result = await published(['p:data', 'hello']);
    assert.match(result.out, /^2\b.*\n$/);
    assert.deepEqual(await hears(), [{ type: 'message', data: 'hello', lastEventId: '' }]);
});

test('sse-publish reads standard input, with - or without DATA, byte for byte', async (t) => {
    const hears = await listen(t, 'p:input');
    await published(['p:input', '-'], { input: 'a\r\nb\nc \u20ac' });
    await published(['p:input'], { input: '{"x": 1}' });
    await published(['p:input'], { input: 'x'.repeat(300_000) });
    assert.deepEqual(datas(await hears()), ['a\nb\nc \u20ac', '{"x": 1}', 'x'.repeat(300_000)]);
});

test('sse-publish --event --id --retry', async (t) => {
    const hears = await listen(t, 'p:fields');
    await published(['--event', 'order', '--id', '42', '--retry', '5000', 'p:fields', '{"total":3}']);
    await published(['--event', 'tick', 'p:fields', '']);
    assert.deepEqual(await hears(), [
        { type: 'order', data: '{"total":3}', lastEventId: '42' },
        { type: 'tick', data: '', lastEventId: '42' },
    ]);
});

test('sse-publish sends text that looks like an envelope as text', async (t) => {
    const hears = await listen(t, 'p:looks');
    await published(['p:looks'], { input: '\x1eSSE/1\nevent: evil\n\nx' });
    assert.deepEqual(await hears(), [{ type: 'message', data: '\x1eSSE/1\nevent: evil\n\nx', lastEventId: '' }]);
});

test('sse-publish --lines: each line is an event, in order, the last one too where it has no newline', async (t) => {
    const hears = await listen(t, 'p:lines');
    const lines = Array.from({ length: 5000 }, (_, i) => `line ${i}`);
    await published(['--lines', 'p:lines'], { input: lines.join('\n') });
    await published(['--lines', '--event', 'row', 'p:lines', '-'], { input: 'a\r\n\nb\n' });
    const events = await hears();
    assert.deepEqual(datas(events.slice(0, 5000)), lines);
    assert.deepEqual(events.slice(5000).filter((e) => e.data !== '').map((e) => [e.type, e.data.replace(/\n$/, '')]), [['row', 'a'], ['row', 'b']]);
});

test('sse-publish --json is for machines', async (t) => {
    await listen(t, 'p:json');
    assert.deepEqual(JSON.parse((await published(['--json', 'p:json', 'x'])).out), { channel: 'p:json', receivers: 2 });
    const lines = JSON.parse((await published(['--json', '--lines', 'p:json'], { input: 'a\nb\nc\n' })).out);
    assert.equal(lines.channel, 'p:json');
    assert.equal(lines.lines, 3);
});

test('sse-publish with nobody listening says 0 and exits 0', async () => {
    assert.match((await published(['p:nobody', 'x'])).out, /^0\b/);
});

const USAGE = {
    'no channel': [],
    'a bad channel': ['a b', 'x'],
    'a reserved channel': ['sse:gateways', 'x'],
    'an event name that is ours': ['--event', 'gateway:open', 'a', 'x'],
    'an event name with a line end': ['--event', 'a\nb', 'a', 'x'],
    'an id with a line end': ['--id', 'a\rb', 'a', 'x'],
    'a retry that is no number': ['--retry', 'soon', 'a', 'x'],
    'an unknown option': ['--loud', 'a', 'x'],
    'too many words': ['a', 'b', 'c'],
};

for (const [name, args] of Object.entries(USAGE)) {
    test(`sse-publish exits 2 with one line for ${name}`, async () => {
        const result = await publish(args);
        assert.equal(result.code, 2, result.err);
        assert.match(result.err, /^sse-publish: [^\n]+\n$/);
        assert.equal(result.out, '');
    });
}

test('sse-publish warns of what gateways will drop', async () => {
    for (const input of [Buffer.from([0x61, 0, 0x62]), Buffer.from([0xff])]) {
        const result = await published(['a'], { input });
        assert.match(result.err, /^sse-publish: warning: [^\n]*drop[^\n]*\n/);
    }
});

test('sse-publish exits 1 with one line where Redis cannot be reached or says no', async (t) => {
    const unreachable = await publish(['a', 'x'], { url: 'redis://127.0.0.1:1' });
    assert.equal(unreachable.code, 1);
    assert.match(unreachable.err, /^sse-publish: [^\n]*127\.0\.0\.1:1\b[^\n]*\n$/);
    const guarded = await Redis.start(scopeOf(t), { password: 'secret' });
    const refused = await publish(['a', 'x'], { url: `redis://127.0.0.1:${guarded.port}` });
    assert.equal(refused.code, 1);
    assert.match(refused.err, /^sse-publish: [^\n]+\n$/);
    assert.equal((await publish(['a', 'x'], { url: guarded.url })).code, 0);
});

test('sse-publish reaches Redis through a unix socket and the environment', async (t) => {
    const hears = await listen(t, 'p:env');
    const result = await command(PUBLISH, ['p:env', 'x'], { env: { SSE_PUBLISH_REDIS: `redis+unix://${redis.socket}` } });
    assert.equal(result.code, 0, result.err);
    assert.deepEqual(datas(await hears()), ['x']);
});

test('sse-publish --lines sends a line when it is read, not at the end of its input', async (t) => {
    const [stream] = await openStreams(scopeOf(t), [{ port: tier.gateway.port, path: '/stream?channel=p:live' }]);
    const { spawn } = await import('node:child_process');
    const child = spawn(PUBLISH, ['--redis', redis.url, '--lines', 'p:live'], { stdio: ['pipe', 'ignore', 'inherit'] });
    t.after(() => child.kill());
    child.stdin.write('one\n');
    await stream.count(1);
    child.stdin.write('two\n');
    await stream.count(2);
    child.stdin.end();
    const code = await new Promise((resolve) => child.once('exit', resolve));
    assert.equal(code, 0);
    assert.deepEqual(stream.events.map((e) => e.data), ['one', 'two']);
});

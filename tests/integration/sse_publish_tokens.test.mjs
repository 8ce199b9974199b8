// sse-publish of events that are published together, once only, after a known one, or as the last ones of their channels.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isUsageError } from '../lib/cli.mjs';
import { command } from '../lib/command.mjs';
import { brokenAt, connect, history, keyOf, LIBRARY_VERSION, listen } from '../lib/durable.mjs';
import { PUBLISH } from '../lib/paths.mjs';
import { Publisher, textsOf } from '../lib/publisher.mjs';
import { Redis } from '../lib/redis.mjs';
import { relayTo } from '../lib/relay.mjs';
import { scopeOf } from '../lib/scope.mjs';
import { openStream } from '../lib/streams.mjs';
import { startTier } from '../lib/tier.mjs';
import { until } from '../lib/wait.mjs';

async function start(t, options) {
    const scope = scopeOf(t);
    const redis = await Redis.start(scope, options);
    return { scope, redis, client: connect(scope, redis) };
}

const durable = (url, args, options) => command(PUBLISH, ['--redis', url, '--durable', ...args], options);

function assertEnds(result, code, out, err) {
    assert.equal(result.code, code, `status ${result.code ?? result.signal}: ${result.err}${result.out}`);
    assert.match(result.out, out);
    assert.match(result.err, err);
}

/** How many calls Redis had of a command. */
async function calls(client, name) {
    const line = (await client.info('commandstats')).split('\r\n').find((l) => l.startsWith(`cmdstat_${name}:`));
    return line ? Number(line.match(/calls=(\d+)/)[1]) : 0;
}

const kept = async (client, channel) => (await history(client, channel)).map((e) => e.data);
const numbers = (from, to) => Array.from({ length: to - from + 1 }, (_, i) => String(from + i));

test('lines that come in a burst go many in one call, each as an event of its own', async (t) => {
    const { scope, redis, client } = await start(t);
    const heard = await listen(scope, redis, 'news');
    const result = await durable(redis.url, ['--lines', '--event', 'token', 'news'], { input: `${numbers(1, 1000).join('\n')}\n` });
    assertEnds(result, 0, /^1000 lines, 1 gateway, last id \d+\.1000\n$/, /^$/);
    const count = await calls(client, 'fcall');
    assert.ok(count <= 20, `${count} calls`);
    const entries = await history(client, 'news');
    assert.deepEqual([entries.map((e) => e.data), brokenAt(entries), new Set(entries.map((e) => e.event))], [numbers(1, 1000), '', new Set(['token'])]);
    await until('all of them to be heard', () => heard.flatMap(textsOf).length >= 1000);
    assert.deepEqual(heard.flatMap(textsOf), numbers(1, 1000));
});

test('a stream at a gateway gets each line once and in order, whatever is in it', async (t) => {
    const scope = scopeOf(t);
    const { redis, gateways: [gateway] } = await startTier(scope, { gateways: 1 });
    const stream = await openStream(scope, gateway.port, '/stream?channel=news');
    const publisher = new Publisher(scope, redis.url, ['--durable', '--lines', 'news']);
    const bursts = [['first'], ['', ' a %0A b ', '100%', '%25', 'earlier: x y', 'é\u{1f600}'], numbers(1, 700)];
    let count = 0;
    for (const burst of bursts) {
        publisher.write(`${burst.join('\n')}\n`);
        count += burst.length;
        await stream.count(count);
    }
    await publisher.ends(0, /^707 lines, 1 gateway, last id /, /^$/);
    assert.deepEqual(stream.events.map((e) => e.data), bursts.flat());
    assert.deepEqual(stream.events.filter((e) => e.type !== 'message'), []);
});

test('large lines go in calls of bounded size', async (t) => {
    const { redis, client } = await start(t);
    await client.config('SET', 'proto-max-bulk-len', '2mb');
    const lines = numbers(1, 40).map((i) => i.padEnd(200000, 'x'));
    assertEnds(await durable(redis.url, ['--lines', 'news'], { input: lines.join('\n') }), 0, /^40 lines/, /^$/);
    assert.deepEqual(await kept(client, 'news'), lines);
    assert.ok((await calls(client, 'fcall')) >= 6);
});

test('--coalesce: lines wait for those that come soon after; none waits for ever', async (t) => {
    const { scope, redis, client } = await start(t);
    const heard = await listen(scope, redis, 'news');
    const short = new Publisher(scope, redis.url, ['--durable', '--lines', '--coalesce', '40ms', 'news']);
    short.write('alone\n');
    await heard.count(1); // while the input stays open
    await short.ends(0, /^1 line,/, /^$/);

    const before = await calls(client, 'fcall');
    const long = new Publisher(scope, redis.url, ['--durable', '--lines', '--coalesce', '60s', 'news']);
    for (const line of numbers(1, 255)) long.write(`${line}\n`);
    const client_of = async () => (await client.client('LIST', 'TYPE', 'normal')).split('\n').length;
    await until('its connection', async () => (await client_of()) >= 2);
    assert.equal(await calls(client, 'fcall'), before);
    long.write('256\n'); // as many as one call takes
    await until('256 lines', async () => (await client.xlen(keyOf('news'))) === 257);
    long.write('257\n258\n');
    await long.ends(0, /^258 lines,/, /^$/); // its end is no reason to wait
    assert.equal(await calls(client, 'fcall'), before + 2);
    assert.deepEqual(await kept(client, 'news'), ['alone', ...numbers(1, 258)]);
});

test('--end: the event is the last one of its channel', async (t) => {
    const { redis, client } = await start(t);
    await durable(redis.url, ['news', 'one']);
    assertEnds(await durable(redis.url, ['--end', '90500ms', 'news', 'two']), 0, /^0 gateways, id \d+\.2\n$/, /^$/);
    assert.deepEqual((await history(client, 'news')).map((e) => e.end), [undefined, '91']);
    const left = await client.pttl(keyOf('news'));
    assert.ok(left > 60000 && left <= 91000, `${left}`);
    assertEnds(await durable(redis.url, ['news', 'three']), 0, /id \d+\.1\n$/, /^$/); // a new life
});

test('--lines --end: the end comes with the last line, which is known when the input ends', async (t) => {
    const { scope, redis, client } = await start(t);
    const publisher = new Publisher(scope, redis.url, ['--durable', '--lines', '--end', '2h', 'news']);
    publisher.write('one\ntwo\n');
    await until('the first line', async () => (await client.xlen(keyOf('news'))) === 1);
    publisher.write('three');
    publisher.child.stdin.end('!');
    await publisher.ends(0, /^3 lines, 0 gateways, last id \d+\.3\n$/, /^$/);
    const ends = async (channel) => (await history(client, channel)).map((e) => [e.data, e.end]);
    assert.deepEqual(await ends('news'), [['one', undefined], ['two', undefined], ['three!', '7200']]);

    for (const [channel, input, expected] of [['none', '', ['']], ['single', 'x\n', ['x']], ['empty', '\n', ['']], ['many', `${numbers(1, 600).join('\n')}\n`, numbers(1, 600)]]) {
        assertEnds(await durable(redis.url, ['--lines', '--end', '2h', channel], { input }), 0, new RegExp(`^${expected.length} lines?, `), /^$/);
        assert.deepEqual(await ends(channel), expected.map((data, i) => [data, i === expected.length - 1 ? '7200' : undefined]));
    }
});

test('--lines --end: input that cannot be published to its end leaves the channel open', async (t) => {
    const { redis, client } = await start(t);
    for (const [channel, input] of [['nul', 'one\ntwo\nthr\0ee\n'], ['long', Buffer.concat([Buffer.from('one\ntwo\n'), Buffer.alloc((16 << 20) + 1, 'x')])]]) {
        assertEnds(await durable(redis.url, ['--lines', '--end', '2h', channel], { input }), 2, /^$/, /line 3[^\n]*\nsse-publish: Redis confirmed 2 lines before that\n$/);
        assert.deepEqual((await history(client, channel)).map((e) => [e.data, e.end]), [['one', undefined], ['two', undefined]]);
    }
});

test('SIGTERM sends nothing of what is held back, and ends no channel', async (t) => {
    const { scope, redis, client } = await start(t);
    for (const [channel, args, lines, expected] of [['end', ['--end', '2h'], 'one\ntwo\n', ['one']], ['coalesce', ['--coalesce', '60s'], `${numbers(1, 300).join('\n')}\n`, numbers(1, 256)]]) {
        const publisher = new Publisher(scope, redis.url, ['--durable', '--lines', ...args, channel]);
        publisher.write(lines);
        await until('what is not held back', async () => (await client.xlen(keyOf(channel))) === expected.length);
        publisher.child.kill('SIGTERM');
        await publisher.ended;
        assert.equal(publisher.child.signalCode, 'SIGTERM');
        assert.deepEqual((await history(client, channel)).map((e) => [e.data, e.end]), expected.map((data) => [data, undefined]));
    }
});

test('--after: who is not behind the newest event is told its offset, with status 3', async (t) => {
    const { redis, client } = await start(t);
    assertEnds(await durable(redis.url, ['--after', '0', 'news', 'one']), 0, /id \d+\.1\n$/, /^$/);
    assertEnds(await durable(redis.url, ['--after', '0', 'news', 'again']), 3, /^$/, /^sse-publish: fenced, and not published: the last offset of the channel is 1, not 0\n$/);
    assertEnds(await durable(redis.url, ['--after', '1', '--lines', 'news'], { input: 'two\nthree\n' }), 0, /id \d+\.3\n$/, /^$/);
    assertEnds(await durable(redis.url, ['--after', '1', '--lines', 'news'], { input: 'two\nthree\n' }), 3, /^$/,
        /^sse-publish: lines 1 to 2: fenced, and not published: the last offset of the channel is 3, not 1\nsse-publish: Redis confirmed 0 lines before that\n$/);
    assert.deepEqual(await kept(client, 'news'), ['one', 'two', 'three']);
});

for (const [form, rules, args] of [['function', ['+@all'], []], ['script', ['+@all', '-fcall'], []], ['function, one at a time', ['+@all'], ['--retry', '5']]]) {
    test(`--lines --after: a second writer stops the first one, and nothing of it follows: by ${form}`, async (t) => {
        const { scope, redis, client } = await start(t);
        await client.call('ACL', 'SETUSER', 'api', 'reset', 'on', '>secret', '~*', '&*', ...rules);
        const url = `redis://api:secret@127.0.0.1:${redis.port}`;
        const publisher = new Publisher(scope, url, ['--durable', '--lines', '--after', '0', ...args, 'news']);
        publisher.write(`${numbers(1, 300).join('\n')}\n`);
        await until('300 lines', async () => (await client.xlen(keyOf('news'))) === 300);
        assertEnds(await durable(url, ['news', 'other']), 0, /id \d+\.301\n$/, /^$/);
        publisher.write('301\n302\n303\n');
        await publisher.ends(3, /^$/, /^sse-publish: lines? 301(?: to 303)?: fenced, and not published: the last offset of the channel is 301, not 300\nsse-publish: Redis confirmed 300 lines before that\n$/);
        assert.deepEqual(await kept(client, 'news'), [...numbers(1, 300), 'other']);
    });
}

test('--key: what is published again with the same key is not, and has the id of the first', async (t) => {
    const { redis, client } = await start(t);
    const first = await durable(redis.url, ['--key', 'order 7', 'news', 'one']);
    assertEnds(await durable(redis.url, ['news', 'two']), 0, /id \d+\.2\n$/, /^$/);
    const again = await durable(redis.url, ['--key', 'order 7', 'news', 'one']);
    assert.deepEqual([again.code, again.out, again.err], [0, first.out, '']);
    assertEnds(await durable(redis.url, ['--key', 'order 8', '--json', 'news', 'one']), 0, /"id":"\d+\.3"/, /^$/);
    assert.deepEqual(await kept(client, 'news'), ['one', 'two', 'one']);
});

test('--key: an event whose answer was lost is sent again, and is there once; another one is not sent again', async (t) => {
    const { scope, redis, client } = await start(t);
    let cuts = 0;
    const cut = (times) => (cuts = times);
    const isPublished = async () => (await calls(client, 'xadd')) > 0;
    assert.equal(await isPublished(), false);
    await durable(redis.url, ['warm', 'x']); // so that the library is there
    const url = await relayTo(scope, redis, () => true, () => cuts-- <= 0);
    cut(3);
    assertEnds(await durable(url, ['--key', 'k', 'keyed', 'one']), 0, /id \d+\.1\n$/, /^$/);
    assert.equal(cuts < 0, true);
    cut(1);
    assertEnds(await durable(url, ['plain', 'one']), 1, /^$/, /^sse-publish: [^\n]+; whether the event was published is not known\n$/);
    cut(1);
    assertEnds(await durable(url, ['--lines', 'lines'], { input: 'one\ntwo\nthree\n' }), 1, /^$/, /; whether lines 1 to 3 were published is not known\nsse-publish: Redis confirmed 0 lines before that\n$/);
    assert.deepEqual(await kept(client, 'keyed'), ['one']);
    assert.deepEqual(await kept(client, 'plain'), ['one']);
    assert.deepEqual(await kept(client, 'lines'), ['one', 'two', 'three']);
});

test('--snapshot and --keep-bytes say what is dropped; with --lines each line is a snapshot', async (t) => {
    const { redis, client } = await start(t);
    await durable(redis.url, ['--lines', 'news'], { input: 'a\nb\nc\n' });
    assertEnds(await durable(redis.url, ['--snapshot', 'news', 'abc']), 0, /id \d+\.4\n$/, /^$/);
    assert.deepEqual(await kept(client, 'news'), ['abc']);
    assertEnds(await durable(redis.url, ['--snapshot', '--lines', 'news'], { input: '1\n2\n3\n' }), 0, /last id \d+\.7\n$/, /^$/);
    assert.deepEqual(await kept(client, 'news'), ['3']);
    const line = 'x'.repeat(936); // 1,000 with what an event counts for itself
    assertEnds(await durable(redis.url, ['--lines', '--retry', '5', '--keep-bytes', '10000', 'bytes'], { input: `${line}\n`.repeat(100) }), 0, /last id \d+\.100\n$/, /^$/);
    assert.ok((await client.xlen(keyOf('bytes'))) <= 11); // what is dropped is dropped now and then
    assertEnds(await durable(redis.url, ['--snapshot', '--keep-bytes', '10000', 'bytes', line]), 0, /id \d+\.101\n$/, /^$/);
    assert.equal(await client.xlen(keyOf('bytes')), 1);
});

// From before sse_append and the options.
const OLD = `#!lua name=sse
redis.register_function{function_name = 'sse_version', callback = function() return ${LIBRARY_VERSION - 1} end, flags = {'no-writes'}}
redis.register_function('sse_publish', function(keys, args)
    for i = 4, #args, 2 do
        if args[i] ~= 'maxlen' then
            return {err = 'ERR sse_publish: there is no option "' .. args[i] .. '", only maxlen, maxage, pubsub, traceparent and trace-to'}
        end
    end
    redis.call('RPUSH', keys[1], args[1])
    return {'5.' .. redis.call('LLEN', keys[1]), 0}
end)`;

test('an older library is replaced by the first events that need more; where it may not be, one line says what to do', async (t) => {
    const { redis, client } = await start(t);
    const replaced = async () => (await client.call('FCALL_RO', 'sse_version', '0')) === LIBRARY_VERSION;
    for (const [i, [args, input]] of [[['--end', '2h', 'news'], 'x'], [['--lines', 'news'], 'a\nb\n']].entries()) {
        await client.call('FUNCTION', 'LOAD', 'REPLACE', OLD);
        assertEnds(await durable(redis.url, args, { input }), 0, /, (last )?id \d+\.[12]\n$/, /^$/);
        assert.ok(await replaced(), `${i}`);
    }

    await client.call('FUNCTION', 'LOAD', 'REPLACE', OLD);
    await client.call('ACL', 'SETUSER', 'api', 'reset', 'on', '>secret', '+@all', '-function', '~*', '&*');
    const url = `redis://api:secret@127.0.0.1:${redis.port}`;
    assertEnds(await durable(url, ['--end', '2h', 'other', 'x']), 1, /^$/, /^sse-publish: redis:\S+ refused: ERR sse_publish: there is no option "end", [^\n]+; the functions in this Redis are older [^\n]+sse-publish --install[^\n]+\n$/);
    assertEnds(await durable(url, ['--lines', 'other'], { input: 'a\nb\nc\n' }), 0, /^3 lines, 0 gateways, last id 5\.3\n$/, /^$/);
    assert.deepEqual(await client.lrange(keyOf('other'), 0, -1), ['a', 'b', 'c']);
    assert.equal(await replaced(), false);
});

test('where Redis has no functions, lines go one by one, and every option is there', async (t) => {
    const { redis, client } = await start(t, { config: ['--rename-command', 'FCALL', '', '--rename-command', 'FCALL_RO', ''] });
    assertEnds(await durable(redis.url, ['--lines', '--after', '0', '--keep-bytes', '1MiB', '--coalesce', '5ms', '--end', '2h', 'news'], { input: 'a\nb\nc\n' }), 0, /^3 lines, .*\.3\n$/, /^$/);
    const entries = await history(client, 'news');
    assert.deepEqual(entries.map((e) => [e.data, e.end]), [['a', undefined], ['b', undefined], ['c', '7200']]);
    assert.equal(brokenAt(entries), '');
    assert.deepEqual([await calls(client, 'eval'), await calls(client, 'evalsha')], [1, 3]);
});

const USAGE = {
    'an end without --durable': [['--end', '2h', 'news', 'x'], '--durable'],
    'an end of no time': [['--durable', '--end', '999ms', 'news', 'x'], '--end'],
    'a key without --durable': [['--key', 'k', 'news', 'x'], '--durable'],
    'an empty key': [['--durable', '--key', '', 'news', 'x'], '--key'],
    'a key that is too long': [['--durable', '--key', 'k'.repeat(257), 'news', 'x'], '256'],
    'one key for many lines': [['--durable', '--lines', '--key', 'k', 'news'], '--after'],
    'a snapshot without --durable': [['--snapshot', 'news', 'x'], '--durable'],
    'an offset without --durable': [['--after', '3', 'news', 'x'], '--durable'],
    'an id for an offset': [['--durable', '--after', '1732736096000.17', 'news', 'x'], '17'],
    'an offset that is no number': [['--durable', '--after', '-1', 'news', 'x'], '--after'],
    'an offset that is too large': [['--durable', '--after', '1000000000001', 'news', 'x'], '--after'],
    'a bound of bytes without --durable': [['--keep-bytes', '1MiB', 'news', 'x'], '--durable'],
    'a bound of no bytes': [['--durable', '--keep-bytes', '0', 'news', 'x'], '--keep-bytes'],
    'coalescing one event': [['--durable', '--coalesce', '40ms', 'news', 'x'], '--lines'],
    'coalescing what is not kept': [['--lines', '--coalesce', '40ms', 'news'], '--durable'],
    'coalescing for too long': [['--durable', '--lines', '--coalesce', '61s', 'news'], '--coalesce'],
    'an end to install': [['--install', '--end', '2h'], '--install'],
    'an end of a history that is read': [['history', '--end', '2h', 'news'], '--end'],
};

for (const [name, [args, mention]] of Object.entries(USAGE)) test(`exit 2 and one line for ${name}`, () => isUsageError(args, mention));

// sse-publish --durable and --install against a real Redis: by function, by script where functions are not to be had, and
// what it says when Redis says no.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { test } from 'node:test';
import { command } from '../lib/command.mjs';
import { LIBRARY, LIBRARY_VERSION as VERSION, brokenAt, connect, history, keyOf, listen, load } from '../lib/durable.mjs';
import { PUBLISH } from '../lib/paths.mjs';
import { freePort } from '../lib/ports.mjs';
import { textsOf } from '../lib/publisher.mjs';
import { Redis } from '../lib/redis.mjs';
import { scopeOf } from '../lib/scope.mjs';
import { until } from '../lib/wait.mjs';

const LEAST = ['+xadd', '+xrevrange', '+xtrim', '+pexpire', '+publish', '+time', '+cluster|keyslot', '~sse:{user:*', '&user:*'];

async function start(t, options) {
    const scope = scopeOf(t);
    const redis = await Redis.start(scope, options);
    return { scope, redis, client: connect(scope, redis) };
}

const run = (redis, args, options) => command(PUBLISH, ['--redis', redis.url, ...args], options);
const durable = (redis, args, options) => run(redis, ['--durable', ...args], options);

function assertEnds(result, code, out, err) {
    assert.equal(result.code, code, `status ${result.code ?? result.signal}: ${result.err}${result.out}`);
    for (const [said, expected] of [[result.out, out], [result.err, err]]) {
        if (expected instanceof RegExp) assert.match(said, expected);
        else assert.equal(said, expected);
    }
}

/** How many calls Redis had of a command (a subcommand as "function|load"). */
async function calls(client, name) {
    const line = (await client.info('commandstats')).split('\r\n').find((l) => l.startsWith(`cmdstat_${name}:`));
    return line ? Number(line.match(/calls=(\d+)/)[1]) : 0;
}

/** A Redis where the user `api` has the least rights for durable events and `rules`; `api.url` is hers. */
async function startWithUser(t, rules) {
    const started = await start(t);
    await started.client.call('ACL', 'SETUSER', 'api', 'reset', 'on', '>secret', ...LEAST, ...rules);
    return { ...started, api: { url: `redis://api:secret@127.0.0.1:${started.redis.port}` } };
}

test('an event with all its fields, its id in what is printed', async (t) => {
    const { scope, redis, client } = await start(t);
    const heard = await listen(scope, redis, 'user:42');
    assertEnds(await durable(redis, ['--event', 'order', '--retry', '250', 'user:42', '{"total":3}']), 0, /^1 gateway, id \d+\.1\n$/, '');
    const result = await durable(redis, ['--json', 'user:42'], { input: '\x1eSSE/1\nevent: evil\n\nx\n' });
    const [first, second] = await history(client, 'user:42');
    assert.deepEqual(JSON.parse(result.out), { channel: 'user:42', id: `${first.epoch}.2`, receivers: 1 });
    assert.deepEqual([first.event, first.retry, first.data], ['order', '250', '{"total":3}']);
    assert.deepEqual([second.event, second.retry, second.data], ['', '', '\x1eSSE/1\nevent: evil\n\nx']);
    await heard.count(2);
    assert.equal(heard[0].toString(), `\x1eSSE/1\nevent: order\nretry: 250\ndurable: ${first.id} 0-0 ${first.epoch}\n\n{"total":3}`);
});

test('that nobody listens now is no warning: the event is kept', async (t) => {
    const { redis } = await start(t);
    assertEnds(await durable(redis, ['news', 'x']), 0, /^0 gateways, id \d+\.1\n$/, '');
    assertEnds(await durable(redis, ['--lines', 'news'], { input: 'a\nb\n' }), 0, /^2 lines, 0 gateways, last id \d+\.3\n$/, '');
    assertEnds(await durable(redis, ['--lines', '--json', 'news'], { input: 'a\n' }), 0,
        /^\{"channel":"news","lines":1,"last_id":"\d+\.4","receivers_min":0,"receivers_max":0\}\n$/, '');
    assertEnds(await durable(redis, ['--lines', '--json', 'news']), 0, '{"channel":"news","lines":0,"receivers_min":0,"receivers_max":0}\n', '');
});

test('--keep and --keep-for say how much of the history is kept', async (t) => {
    const { redis, client } = await start(t);
    const lines = Array.from({ length: 50 }, (_, i) => `${i}`).join('\n');
    await durable(redis, ['--lines', '--keep', '8', '--keep-for', '90500ms', 'news'], { input: lines });
    assert.deepEqual((await history(client, 'news')).map((e) => e.data), ['42', '43', '44', '45', '46', '47', '48', '49']);
    const left = await client.pttl(keyOf('news'));
    assert.ok(left > 85000 && left <= 91000 * (1 + 1 / 256), `${left}`); // the key expires a little later than it has to
});

test('100,000 lines: one chain, each once and in order, kept and heard', async (t) => {
    const { scope, redis, client } = await start(t);
    await client.config('SET', 'client-output-buffer-limit', 'pubsub 0 0 0');
    const heard = await listen(scope, redis, 'news');
    const lines = Array.from({ length: 100000 }, (_, i) => `line ${i}`);
    const result = await durable(redis, ['--lines', '--keep', '100000', '--json', 'news'], { input: lines.join('\n'), ms: 120000 });
    assert.equal(result.code, 0, result.err);
    const entries = await history(client, 'news');
    assert.equal(JSON.parse(result.out).last_id, `${entries[0].epoch}.100000`);
    assert.equal(brokenAt(entries), '');
    assert.equal(entries.findIndex((e, i) => e.data !== lines[i]), -1);
    assert.equal(entries.length, lines.length);
    const last = `\n\nline ${lines.length - 1}`;
    await until(`all of them heard (${heard.length})`, () => heard.at(-1)?.toString().endsWith(last), { ms: 60000 });
    assert.deepEqual(heard.flatMap(textsOf), lines);
});

test('a line goes out while the input stays open', async (t) => {
    const { scope, redis } = await start(t);
    const heard = await listen(scope, redis, 'news');
    const child = spawn(PUBLISH, ['--redis', redis.url, '--durable', '--lines', 'news'], { stdio: ['pipe', 'ignore', 'inherit'] });
    scope.defer(() => child.kill('SIGKILL'));
    for (const [i, text] of ['one\n', 'two\nthr', 'ee\n'].entries()) {
        child.stdin.write(text);
        await heard.count(i + 1);
    }
});

test('data that no stream can carry is refused with status 2; the lines before it are kept', async (t) => {
    const { redis, client } = await start(t);
    assertEnds(await durable(redis, ['news'], { input: 'a\0b' }), 2, '', /^sse-publish: no event stream can carry this data, because it holds a NUL byte\n$/);
    assertEnds(await durable(redis, ['news'], { input: Buffer.from([0xff]) }), 2, '', /because it is not UTF-8 text\n$/);
    assertEnds(await durable(redis, ['--lines', 'news'], { input: 'one\ntwo\nthr\0ee\nfour\n' }), 2, '', /line 3: [^\n]* NUL byte\nsse-publish: Redis confirmed 2 lines before that\n$/);
    assert.deepEqual((await history(client, 'news')).map((e) => e.data), ['one', 'two']);
});

test('what Redis says no to is told in one line with status 1', async (t) => {
    const { redis, client } = await start(t);
    await client.lpush(keyOf('list'), 'a');
    assertEnds(await durable(redis, ['list', 'x']), 1, '', /^sse-publish: redis:\S+ refused: WRONGTYPE [^\n]+\n$/);
    await client.xadd(keyOf('other'), '*', 'a', 'b');
    assertEnds(await durable(redis, ['other', 'x']), 1, '', /^sse-publish: redis:\S+ refused: ERR sse_publish: the stream sse:\{other\} holds entries [^\n]+\n$/);
    await client.config('SET', 'maxmemory', '1mb');
    assertEnds(await durable(redis, ['--lines', 'news'], { input: 'a\nb\n' }), 1, '', /^sse-publish: lines 1 to 2: redis:\S+ refused: OOM [^\n]+\nsse-publish: Redis confirmed 0 lines before that\n$/);
    assert.equal(await client.exists(keyOf('news')), 0);
});

test('--install loads the library, and says so', async (t) => {
    const { redis, client } = await start(t);
    assertEnds(await run(redis, ['--install']), 0, `library sse, version ${VERSION}: loaded\n`, '');
    assert.equal(await client.call('FCALL_RO', 'sse_version', '0'), VERSION);
    assertEnds(await run(redis, ['--install']), 0, `library sse, version ${VERSION}: was there\n`, '');
    assertEnds(await run(redis, ['--install', '--json']), 0, `{"library":"sse","version":${VERSION},"result":"kept"}\n`, '');
    assert.equal((await client.call('FUNCTION', 'LIST', 'WITHCODE'))[0].at(-1), LIBRARY);
});

const fake = (version) => `#!lua name=sse
redis.register_function{function_name = 'sse_version', callback = function() return ${version} end, flags = {'no-writes'}}`;

test('--install replaces an older library, and neither a newer one nor a stranger', async (t) => {
    const { redis, client } = await start(t);
    const version = () => client.call('FCALL_RO', 'sse_version', '0');
    await client.call('FUNCTION', 'LOAD', fake(VERSION + 1));
    assertEnds(await run(redis, ['--install']), 0, `library sse, version ${VERSION + 1}: was there, and is newer than this sse-publish\n`, '');
    assert.equal(await version(), VERSION + 1);
    await client.call('FUNCTION', 'LOAD', 'REPLACE', fake(VERSION - 1));
    assertEnds(await run(redis, ['--install']), 0, `library sse, version ${VERSION}: loaded in place of version ${VERSION - 1}\n`, '');
    assert.equal(await version(), VERSION);
    await client.call('FUNCTION', 'DELETE', 'sse');
    await client.call('FUNCTION', 'LOAD', `#!lua name=sse\nredis.register_function('other', function() return 1 end)`);
    assertEnds(await run(redis, ['--install']), 1, '', /^sse-publish: redis:\S+ refused: ERR Library 'sse' already exists\n$/);
    assert.equal(await client.call('FCALL', 'other', '0'), 1);
});

test('a library that is missing is loaded by the first event', async (t) => {
    const { redis, client } = await start(t);
    assertEnds(await durable(redis, ['news', 'x']), 0, /id \d+\.1\n$/, '');
    assert.equal(await client.call('FCALL_RO', 'sse_version', '0'), VERSION);
    await client.call('FUNCTION', 'FLUSH');
    assertEnds(await durable(redis, ['--lines', 'news'], { input: 'a\nb\n' }), 0, /last id \d+\.3\n$/, '');
    assert.equal(await calls(client, 'function|load'), 2);
    assert.equal(await calls(client, 'eval'), 0);
    assert.equal(brokenAt(await history(client, 'news')), '');
});

test('a library or script that goes away while lines come is brought back', async (t) => {
    for (const rules of [['+@all'], ['+@all', '-fcall']]) {
        const { scope, client, api } = await startWithUser(t, rules);
        const child = spawn(PUBLISH, ['--redis', api.url, '--durable', '--lines', 'user:42'], { stdio: ['pipe', 'ignore', 'inherit'] });
        scope.defer(() => child.kill('SIGKILL'));
        const ended = new Promise((resolve) => child.once('close', resolve));
        for (const [i, text] of ['one\n', 'two\nthree\n', 'four\n'].entries()) {
            child.stdin.write(text);
            await until(text, async () => (await client.xlen(keyOf('user:42'))) === [1, 3, 4][i]);
            await client.call('FUNCTION', 'FLUSH');
            await client.call('SCRIPT', 'FLUSH');
        }
        child.stdin.end();
        assert.equal(await ended, 0);
        const entries = await history(client, 'user:42');
        assert.deepEqual(entries.map((e) => e.data), ['one', 'two', 'three', 'four']);
        assert.equal(brokenAt(entries), '');
    }
});

test('by function, the least rights suffice', async (t) => {
    const { api, client } = await startWithUser(t, ['+fcall']);
    await load(client);
    assertEnds(await durable(api, ['--lines', 'user:42'], { input: 'a\nb\n' }), 0, /last id \d+\.2\n$/, '');
    assert.equal(await calls(client, 'fcall'), 1);
    assertEnds(await durable(api, ['news', 'x']), 1, '', /^sse-publish: redis:\S+ refused: NOPERM [^\n]+; sse-publish\(1\) has what its ACL must allow\n$/);
    assertEnds(await run(api, ['--install']), 1, '', /refused: NOPERM [^\n]*fcall_ro[^\n]*; the ACL of this user must allow it: \+fcall_ro and \+function\|load\n$/);
});

test('a script does it where the ACL forbids FCALL; sent once, then called by its name', async (t) => {
    const { api, client, scope, redis } = await startWithUser(t, ['+eval', '+evalsha']);
    await load(client);
    const heard = await listen(scope, redis, 'user:42');
    for (const input of ['a\nb\nc\n', 'd\ne\n']) {
        assertEnds(await durable(api, ['--lines', '--event', 'row', 'user:42'], { input }), 0, /^\d lines, 1 gateway, last id /, '');
    }
    assert.deepEqual([await calls(client, 'fcall'), await calls(client, 'eval'), await calls(client, 'evalsha')], [0, 1, 5]);
    const entries = await history(client, 'user:42');
    assert.deepEqual(entries.map((e) => [e.offset, e.event, e.data]), [...'abcde'].map((data, i) => [i + 1, 'row', data]));
    assert.equal(brokenAt(entries), '');
    await heard.count(5);
});

test('a script does it where the library is missing and may not be loaded', async (t) => {
    const { api, client } = await startWithUser(t, ['+fcall', '+eval', '+evalsha']);
    assertEnds(await durable(api, ['user:42', 'x']), 0, /id \d+\.1\n$/, '');
    assert.deepEqual(await client.call('FUNCTION', 'LIST'), []);
});

test('a script does it where Redis has no functions', async (t) => {
    const { redis, client } = await start(t, { config: ['--rename-command', 'FCALL', '', '--rename-command', 'FCALL_RO', ''] });
    assertEnds(await durable(redis, ['--lines', 'user:42'], { input: 'a\nb\n' }), 0, /last id \d+\.2\n$/, '');
    assert.equal(brokenAt(await history(client, 'user:42')), '');
    assertEnds(await run(redis, ['--install']), 1, '', /unknown command[^\n]*; functions need Redis 7 \(sse-publish --durable does without\)\n$/);
});

test('where neither is allowed it says so', async (t) => {
    const { api } = await startWithUser(t, []);
    assertEnds(await durable(api, ['user:42', 'x']), 1, '', /^sse-publish: redis:\S+ refused: NOPERM [^\n]*'evalsha'[^\n]*; it is asked for lack of FCALL or its functions: allow \+fcall, [^\n]*--install[^\n]*\n$/);
});

test('on a cluster the script publishes to the shard, as the function does', async (t) => {
    const { scope, redis, client } = await start(t, { config: ['--cluster-enabled', 'yes', '--cluster-port', String(await freePort())] });
    await redis.cli(['CLUSTER', 'ADDSLOTSRANGE', '0', '16383']);
    await until('the cluster to be up', async () => (await redis.cli(['CLUSTER', 'INFO'])).includes('cluster_state:ok'));
    const heard = await listen(scope, redis, 'user:42', { sharded: true });
    assertEnds(await durable(redis, ['user:42', 'x']), 0, /^1 gateway, /, '');
    await client.call('ACL', 'SETUSER', 'default', '-fcall');
    assertEnds(await durable(redis, ['--lines', 'user:42'], { input: 'y\nz\n' }), 0, /^2 lines, 1 gateway, /, '');
    assert.equal((await heard.count(3)).length, 3);
});

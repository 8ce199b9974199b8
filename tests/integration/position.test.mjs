// sse_position: who reads the position, then the data, and opens a stream there, has lost nothing in between.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { Cluster } from 'ioredis';
import { connect, FORMS, keyOf, load } from '../lib/durable.mjs';
import { command } from '../lib/command.mjs';
import { Gateway } from '../lib/gateway.mjs';
import { PUBLISH, ROOT } from '../lib/paths.mjs';
import { Redis } from '../lib/redis.mjs';
import { RedisCluster } from '../lib/redis_cluster.mjs';
import { scopeOf } from '../lib/scope.mjs';
import { openStream } from '../lib/streams.mjs';
import { startTier } from '../lib/tier.mjs';
import { until } from '../lib/wait.mjs';

async function startDurable(t, options) {
    const scope = scopeOf(t);
    const tier = await startTier(scope, options);
    const client = connect(scope, tier.redis);
    await load(client);
    const publish = (channel, data, ...rest) => FORMS.function(client, channel, data, '', '', ...rest);
    const publishAll = async (channel, from, to) => {
        for (let i = from; i <= to; i++) await publish(channel, `${channel} ${i}`);
    };
    return { scope, ...tier, client, publish, publishAll };
}

const position = (client, ...channels) => client.call('FCALL_RO', 'sse_position', channels.length, ...channels);
const query = (channels, ...ids) => `/stream?${[...channels.map((c) => `channel=${c}`), ...ids.map((id) => `last_event_id=${id}`)].join('&')}`;
const datas = (stream) => stream.events.map((e) => (e.type === 'message' ? e.data : `${e.type} ${e.data}`));
const of = (stream, channel) => datas(stream).filter((d) => d.startsWith(`${channel} `) || d.startsWith('gateway:'));
/** The rights of a page's server, as docs/protocol.md has them. */
function rights() {
    const text = fs.readFileSync(path.join(ROOT, 'docs/protocol.md'), 'utf8');
    return /^ {4}ACL SETUSER page on >PASSWORD (.+)$/m.exec(text)[1].split(' ');
}
/** The gateway has asked for histories that end before what it knows as often as it does (SHORT_PAGES_MAX), and decided. */
const isGivenUp = (gateway, channels) =>
    until('the last page', async () => (await gateway.metric('history_reads_total')) >= 13 * channels, { ms: 20000 });
const range = (channel, from, to) => Array.from({ length: to - from + 1 }, (_, i) => `${channel} ${from + i}`);

test('what is published between the position and the stream comes with the stream, at any gateway, and nothing else', async (t) => {
    const { scope, gateways, client, publishAll } = await startDurable(t, { gateways: 2 });
    await publishAll('a', 1, 5);
    await publishAll('b', 1, 2);
    const at = await position(client, 'a', keyOf('b'), 'c');
    await publishAll('a', 6, 7);
    await publishAll('b', 3, 3);
    await publishAll('c', 1, 3); // had no history
    for (const gateway of gateways) {
        for (const headers of [undefined, { 'Last-Event-ID': at }]) {
            const stream = await openStream(scope, gateway.port, query(['a', 'b', 'c'], ...(headers ? [] : [at])), { headers });
            await stream.count(6);
            assert.deepEqual(of(stream, 'a'), range('a', 6, 7));
            assert.deepEqual(of(stream, 'b'), range('b', 3, 3));
            assert.deepEqual(of(stream, 'c'), range('c', 1, 3));
            stream.close();
        }
    }
});

test('the position is the id that a gateway gives there, after an end, too', async (t) => {
    const { scope, gateway, client, publishAll, publish } = await startDurable(t);
    await publishAll('a', 1, 5);
    await publishAll('b', 1, 2);
    const at = await position(client, 'a', 'b');
    const fresh = await openStream(scope, gateway.port, query(['a', 'b']));
    await until('an id', () => fresh.lastEventId !== '');
    assert.equal(at, fresh.lastEventId);
    await publish('a', 'a 6', 'end', '3600');
    await fresh.count(1);
    assert.equal(await position(client, 'a', 'b'), fresh.lastEventId);
});

test('a channel without history: its first events come, also to a stream that was cut before them', async (t) => {
    const { scope, gateways, client, publishAll } = await startDurable(t, { gateways: 2 });
    await publishAll('a', 1, 1);
    const at = await position(client, 'a', 'b');
    const first = await openStream(scope, gateways[0].port, query(['a', 'b'], at));
    await publishAll('a', 2, 2);
    await first.count(1);
    first.close();
    await publishAll('b', 1, 2);
    const second = await openStream(scope, gateways[1].port, query(['a', 'b'], first.lastEventId));
    await second.count(2);
    await publishAll('b', 3, 3);
    await second.count(3);
    assert.deepEqual(datas(second), range('b', 1, 3));
});

test('a channel whose history has expired while streams are in it has no gap after its position', async (t) => {
    const { scope, gateway, client, publishAll } = await startDurable(t, { workers: 1 });
    const old = await openStream(scope, gateway.port, query(['a']));
    await publishAll('a', 1, 3);
    await old.count(3);
    await client.del(keyOf('a'));
    const at = await position(client, 'a');
    const stream = await openStream(scope, gateway.port, query(['a'], at));
    await isGivenUp(gateway, 1);
    await publishAll('a', 1, 2);
    await stream.count(2);
    assert.deepEqual(datas(stream), range('a', 1, 2));
});

test('the position of channels that have ended is answered 204, and after their histories have expired they begin anew', async (t) => {
    const { scope, gateway, client, publish, publishAll } = await startDurable(t, { workers: 1 });
    const open = await openStream(scope, gateway.port, query(['a', 'b', 'open'])); // the gateway keeps what it knows of a and b
    for (const channel of ['a', 'b']) {
        await publishAll(channel, 1, 2);
        await publish(channel, `${channel} 3`, 'end', '1');
    }
    await open.count(8);
    const ids = [await position(client, 'a'), await position(client, 'b')];
    assert.equal((await fetch(`http://127.0.0.1:${gateway.port}${query(['a', 'b'], ...ids)}`)).status, 204);
    await until('both histories to be gone', async () => (await client.exists(keyOf('a'), keyOf('b'))) === 0);
    const stream = await openStream(scope, gateway.port, query(['a', 'b'], await position(client, 'a', 'b')));
    await isGivenUp(gateway, 2);
    await publishAll('a', 1, 2);
    await publishAll('b', 1, 1);
    await stream.count(3);
    assert.deepEqual(datas(stream), [...range('a', 1, 2), ...range('b', 1, 1)]);
});

test('several cursors: each speaks for its channels, the later one of two, and a broken one for none', async (t) => {
    const { scope, gateway, client, publishAll } = await startDurable(t);
    await publishAll('a', 1, 3);
    const early = await position(client, 'a');
    await publishAll('a', 4, 4);
    await publishAll('b', 1, 1);
    const [a, b, c] = await Promise.all(['a', 'b', 'c'].map((channel) => position(client, channel)));
    await publishAll('a', 5, 5);
    await publishAll('b', 2, 2);
    await publishAll('c', 1, 1);
    const gap = 'gateway:gap {"channel":"c","from":null,"to":null}';
    for (const [ids, header, expected] of [
        [[a, b, c], undefined, ['a 5', 'b 2', 'c 1']],
        [[`${c},${b},${a}`], undefined, ['a 5', 'b 2', 'c 1']],
        [[], `${a}, ${c},${b}`, ['a 5', 'b 2', 'c 1']],
        [[a, b, early, c], undefined, ['a 4', 'a 5', 'b 2', 'c 1']],
        [[early, a, b, c], undefined, ['a 5', 'b 2', 'c 1']],
        [[a, b, c.slice(1)], undefined, ['a 5', 'b 2', gap]],
    ]) {
        const stream = await openStream(scope, gateway.port, query(['a', 'b', 'c'], ...ids), { headers: header && { 'Last-Event-ID': header } });
        await stream.count(expected.length);
        assert.deepEqual(datas(stream).sort(), expected.sort());
        stream.close();
    }
});

test('the rights to read a history are enough, and an error says what is wrong', async (t) => {
    const { scope, client, publish } = await startDurable(t);
    await publish('user:1', 'x');
    await client.call('ACL', 'SETUSER', 'page', 'on', '>secret', 'resetkeys', ...rights());
    const page = connect(scope, { port: client.options.port }, { username: 'page', password: 'secret', enableReadyCheck: false });
    assert.equal(await position(page, keyOf('user:1')), await position(client, 'user:1'));
    assert.match(await position(page, keyOf('user:2')), /^[\w-]+$/, 'without history');
    await client.lpush(keyOf('list'), 'x');
    await client.xadd(keyOf('other'), '*', 'a', 'b');
    for (const [who, channels, error] of [
        [page, [keyOf('news')], /^NOPERM /],
        [client, [], /^ERR sse_position: wrong number of arguments; call it as N CHANNEL\.\./],
        [client, ['a b'], /^ERR sse_position: channel "a b" holds other characters/],
        [client, ['sse:a'], /^ERR sse_position: channel "sse:a" is reserved/],
        [client, ['list'], /^WRONGTYPE/],
        [client, ['other'], /^ERR sse_position: the stream sse:\{other\} holds entries that sse_publish did not write/],
    ]) {
        await assert.rejects(position(who, ...channels), ({ message }) => (assert.match(message, error), true));
    }
    await client.call('ACL', 'SETUSER', 'page', '-xrevrange');
    await assert.rejects(position(page, keyOf('user:1')), /NOPERM sse_position: this user may not XREVRANGE sse:\{user:1\}$/);
});

test('a replica that takes no writes answers the position of its master', async (t) => {
    const { scope, redis, client, publish } = await startDurable(t);
    await publish('a', 'x');
    const replica = await Redis.start(scope, { config: ['--replicaof', `127.0.0.1 ${redis.port}`] });
    const reader = connect(scope, replica);
    await until('the replica to have it', async () => (await reader.exists(keyOf('a'))) === 1);
    assert.equal(await position(reader, 'a'), await position(client, 'a'));
});

test('on a cluster a call for each channel: the stream brings all of their cursors', async (t) => {
    const scope = scopeOf(t);
    const cluster = await RedisCluster.start(scope);
    for (const node of cluster.masters) await load(connect(scope, node));
    const gateway = await Gateway.start(scope, { redisUrl: cluster.url });
    const client = new Cluster(cluster.nodes.map((node) => ({ host: '127.0.0.1', port: node.port })));
    scope.defer(() => client.disconnect());
    const publish = (channel, data) => client.call('FCALL', 'sse_publish', '1', keyOf(channel), data);
    // Two of them share the short hash of their names, and have different places.
    const channels = ['room:1655', 'room:5650', ...Array.from({ length: 62 }, (_, i) => `c:${i}`)];
    for (const [i, channel] of channels.entries()) {
        for (let n = 0; n < i % 3; n++) await publish(channel, `${channel} before`);
    }
    const ids = await Promise.all(channels.map((channel) => client.call('FCALL_RO', 'sse_position', '1', keyOf(channel))));
    for (const channel of channels) await publish(channel, `${channel} after`);
    const expected = channels.map((channel) => `${channel} after`).sort();
    const joined = query(channels, ids.join(','));
    for (const [path, headers] of [[query(channels, ...ids)], [joined], [query(channels), { 'Last-Event-ID': ids.join(', ') }]]) {
        const stream = await openStream(scope, gateway.port, path, { headers });
        await stream.count(channels.length);
        assert.deepEqual(datas(stream).sort(), expected);
        const again = await openStream(scope, gateway.port, joined, { headers: { 'Last-Event-ID': stream.lastEventId } });
        await publish(channels[0], 'the next');
        await again.count(1);
        assert.deepEqual(datas(again), ['the next']);
        expected.push('the next');
        stream.close();
        again.close();
    }
});

test('sse-publish --position prints it, and loads the function where it is missing', async (t) => {
    const redis = await Redis.start(scopeOf(t));
    const run = (...args) => command(PUBLISH, ['--redis', redis.url, ...args]);
    const said = async (...args) => {
        const { code, out, err } = await run(...args);
        assert.deepEqual([code, err], [0, '']);
        return out;
    };
    await said('--durable', 'news', 'x');
    await redis.cli(['FUNCTION', 'FLUSH']);
    const printed = await said('--position', 'news');
    assert.equal(printed, `${await redis.cli(['FCALL_RO', 'sse_position', '1', 'news'])}\n`);
    assert.equal(await said('--position', '--json', 'news'), `{"position":"${printed.trim()}"}\n`);
    assert.match(await said('--position', ...Array.from({ length: 100 }, (_, i) => `c:${i}`), 'news'), /^[\w-]+\n$/);
    await redis.cli(['LPUSH', keyOf('list'), 'x']);
    const wrong = await run('--position', 'news', 'list');
    assert.deepEqual([wrong.code, wrong.out], [1, '']);
    assert.match(wrong.err, /^sse-publish: [^\n]*WRONGTYPE[^\n]*\n$/);
});

test('sse-publish --position prints all that a gateway takes, and no byte more', async (t) => {
    const redis = await Redis.start(scopeOf(t));
    for (const [bytes, code] of [[4096, 0], [4097, 1]]) {
        await redis.cli(['FUNCTION', 'LOAD', 'REPLACE', `#!lua name=sse
            redis.register_function{function_name = 'sse_position', callback = function() return string.rep('x', ${bytes}) end, flags = {'no-writes'}}`]);
        const run = await command(PUBLISH, ['--redis', redis.url, '--position', 'news']);
        assert.deepEqual([run.code, run.out], [code, code ? '' : `${'x'.repeat(bytes)}\n`]);
    }
});

test('sse-publish --position asks each owner of a cluster, and a stream begins there', async (t) => {
    const scope = scopeOf(t);
    const cluster = await RedisCluster.start(scope);
    for (const node of cluster.masters) await load(connect(scope, node));
    const gateway = await Gateway.start(scope, { redisUrl: cluster.url });
    const channels = Array.from({ length: 8 }, (_, i) => `c:${i}`);
    const run = (...args) => command(PUBLISH, ['--redis', cluster.url, ...args]);
    await run('--durable', channels[0], 'before');
    const { code, out } = await run('--position', ...channels);
    assert.equal(code, 0);
    assert.equal(out.split(',').length, channels.length);
    for (const channel of channels) await run('--durable', channel, `${channel} after`);
    const stream = await openStream(scope, gateway.port, query(channels, out.trim()));
    await stream.count(channels.length);
    assert.deepEqual(datas(stream).sort(), channels.map((channel) => `${channel} after`));
});

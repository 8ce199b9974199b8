// sse-publish finds the server that takes what it publishes: the owner of a slot in a cluster, also while the slot moves, and
// the master that sentinels know.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { command } from '../lib/command.mjs';
import { LIBRARY_VERSION, brokenAt, connect, history, keyOf, listen } from '../lib/durable.mjs';
import { PUBLISH } from '../lib/paths.mjs';
import { freePort } from '../lib/ports.mjs';
import { textsOf } from '../lib/publisher.mjs';
import { Redis } from '../lib/redis.mjs';
import { RedisCluster, slotOf } from '../lib/redis_cluster.mjs';
import { scopeOf } from '../lib/scope.mjs';
import { Sentinel, watching } from '../lib/sentinel.mjs';
import { until } from '../lib/wait.mjs';

const run = (url, args, options) => command(PUBLISH, ['--redis', url, ...args], options);

async function published(url, args, options) {
    const result = await run(url, args, options);
    assert.equal(result.code, 0, result.err);
    return result.out;
}

// One for each of three masters.
const CHANNELS = ['a', 'b', 'c'];

test('in a cluster each event goes to the owner of its slot, and to those who listen there', async (t) => {
    const scope = scopeOf(t);
    const cluster = await RedisCluster.start(scope);
    const owners = new Set();
    for (const channel of CHANNELS) {
        const owner = await cluster.ownerOf(slotOf(channel));
        owners.add(owner);
        const heard = await listen(scope, owner, channel, { sharded: true });
        assert.equal(await published(cluster.url, [channel, 'one']), '1 gateway\n');
        assert.equal(await published(cluster.url, ['--lines', channel], { input: 'two\nthree\n' }), '2 lines, 1 gateway\n');
        assert.match(await published(cluster.url, ['--durable', channel, 'four']), /^1 gateway, id \d+\.1\n$/);
        assert.match(await published(cluster.url, ['--durable', '--lines', channel], { input: 'five\nsix\n' }), /^2 lines, 1 gateway, last id \d+\.3\n$/);
        await heard.count(5); // the last two lines in one
        assert.deepEqual(heard.flatMap(textsOf), ['one', 'two', 'three', 'four', 'five', 'six']);
        assert.equal(brokenAt(await history(connect(scope, owner), channel)), '');
    }
    assert.equal(owners.size, 3);
});

test('--pubsub classic and sharded: where gateways with the same option listen, on a cluster and off it', async (t) => {
    const scope = scopeOf(t);
    const cluster = await RedisCluster.start(scope, { masters: 2 });
    const single = await Redis.start(scope);
    const elsewhere = cluster.masters.find((node) => node !== cluster.masters[0]);
    const heard = {
        classic: await listen(scope, elsewhere, 'a'),
        sharded: await listen(scope, single, 'a', { sharded: true }),
    };
    for (const [kind, url] of [['classic', cluster.url], ['sharded', single.url]]) {
        await published(url, ['--pubsub', kind, 'a', 'one']);
        await published(url, ['--pubsub', kind, '--durable', 'a', 'two']);
        await heard[kind].count(2);
        assert.deepEqual(heard[kind].flatMap(textsOf), ['one', 'two']);
    }
    const auto = await run(single.url, ['--pubsub', 'auto', 'a', 'three']);
    assert.match(auto.err, /no gateway has a stream of "a"/);
});

test('--install loads the library into every master of a cluster', async (t) => {
    const scope = scopeOf(t);
    const cluster = await RedisCluster.start(scope);
    const first = await published(cluster.url, ['--install']);
    assert.deepEqual(first.trim().split('\n').sort(), cluster.masters.map((node) => `redis://127.0.0.1:${node.port}/0: library sse, version ${LIBRARY_VERSION}: loaded`).sort());
    for (const node of cluster.masters) assert.equal(await node.cli(['FCALL_RO', 'sse_version', '0']), String(LIBRARY_VERSION));
    const second = (await published(cluster.url, ['--install', '--json'])).trim().split('\n').map((line) => JSON.parse(line));
    assert.deepEqual(second.map((answer) => answer.result), ['kept', 'kept', 'kept']);
});

for (const [kind, args, promise] of [['durable', ['--durable'], 'arrive once and in order'], ['plain', [], 'are all taken']]) {
    test(`a slot that moves under a stream of lines: ${kind} events ${promise}`, async (t) => {
        const scope = scopeOf(t);
        const cluster = await RedisCluster.start(scope, { masters: 2 });
        const slot = slotOf('user:42');
        const from = await cluster.ownerOf(slot);
        const target = cluster.masters.find((node) => node !== from);
        const child = spawn(PUBLISH, ['--redis', cluster.url, ...args, '--keep=1000000', '--lines', '--json', 'user:42'].filter((a) => kind === 'durable' || !a.startsWith('--keep')),
            { stdio: ['pipe', 'pipe', 'pipe'] });
        scope.defer(() => child.kill('SIGKILL'));
        child.stdin.on('error', () => {}); // its status says why it ended
        let out = '';
        let err = '';
        child.stdout.on('data', (data) => (out += data));
        child.stderr.on('data', (data) => (err += data));
        const ended = new Promise((resolve) => child.once('close', resolve));
        let sent = 0;
        let moving = true;
        const feed = (async () => {
            while (child.exitCode === null && (moving || sent < 5000)) {
                for (let i = 0; i < 50; i++) child.stdin.write(`line ${sent++}\n`);
                await new Promise((resolve) => setImmediate(resolve));
            }
            child.stdin.end();
        })();
        await until('lines to flow', () => sent > 500);
        try {
            for (const node of [target, from, target]) await cluster.moveSlot(slot, node);
        } finally {
            moving = false;
        }
        await feed;
        assert.equal(await ended, 0, err);
        assert.equal(JSON.parse(out).lines, sent);
        if (kind === 'durable') {
            const entries = await history(connect(scope, target), 'user:42');
            assert.equal(brokenAt(entries), '');
            assert.equal(entries[0].offset, 1);
            assert.deepEqual(entries.map((e) => e.data), Array.from({ length: sent }, (_, i) => `line ${i}`));
        }
    });
}

test('a slot in the middle of its move: the event follows its history, wherever that is', async (t) => {
    const scope = scopeOf(t);
    const cluster = await RedisCluster.start(scope, { masters: 2 });
    const slot = String(slotOf('user:42'));
    const from = await cluster.ownerOf(Number(slot));
    const to = cluster.masters.find((node) => node !== from);
    await published(cluster.url, ['--durable', 'user:42', 'one']);
    await to.cli(['CLUSTER', 'SETSLOT', slot, 'IMPORTING', from.id]);
    await from.cli(['CLUSTER', 'SETSLOT', slot, 'MIGRATING', to.id]);
    assert.match(await published(cluster.url, ['--durable', 'user:42', 'two']), /\.2\n$/);
    await from.cli(['MIGRATE', '127.0.0.1', String(to.port), keyOf('user:42'), '0', '5000']);
    assert.match(await published(cluster.url, ['--durable', 'user:42', 'three']), /\.3\n$/);
    assert.match(await published(cluster.url, ['--durable', '--lines', 'user:42'], { input: 'four\nfive\n' }), /\.5\n$/);
    for (const node of [to, from]) await node.cli(['CLUSTER', 'SETSLOT', slot, 'NODE', to.id]);
    assert.match(await published(cluster.url, ['--durable', 'user:42', 'six']), /\.6\n$/);
    const entries = await history(connect(scope, to), 'user:42');
    assert.deepEqual(entries.map((e) => e.data), ['one', 'two', 'three', 'four', 'five', 'six']);
    assert.equal(brokenAt(entries), '');
});

test('a node that is down is passed over; a cluster without the slot, or none at all, is told in one line', async (t) => {
    const scope = scopeOf(t);
    const cluster = await RedisCluster.start(scope, { masters: 2 });
    const dead = await freePort();
    await published(`redis+cluster://127.0.0.1:${dead},127.0.0.1:${cluster.nodes[0].port}`, ['a', 'x']);
    const owner = await cluster.ownerOf(slotOf('a'));
    const other = cluster.masters.find((node) => node !== owner);
    const single = await run(`redis://127.0.0.1:${other.port}`, ['--durable', 'a', 'x']);
    assert.equal(single.code, 1);
    assert.match(single.err, /^sse-publish: [^\n]*refused: MOVED [^\n]*redis\+cluster:[^\n]*\n$/);
    await cluster.kill(owner);
    await until('the cluster to be down', async () => (await other.cli(['CLUSTER', 'INFO'])).includes('cluster_state:fail'));
    for (const [args, said] of [[['--durable'], /CLUSTERDOWN/], [[], /cannot reach redis:\S+: Connection refused/]]) {
        const down = await run(cluster.url, ['--timeout', '300ms', ...args, 'a', 'x']);
        assert.equal(down.code, 1);
        assert.match(down.err, /^sse-publish: [^\n]*\n$/);
        assert.match(down.err, said);
    }
    const none = await run(`redis+cluster://127.0.0.1:${dead}`, ['a', 'x']);
    assert.equal(none.code, 1);
    assert.match(none.err, /^sse-publish: cannot reach redis:[^\n]*refused\n$/);
});

test('sentinels are asked for the master; what they name is asked whether it is one', async (t) => {
    const scope = scopeOf(t);
    const master = await Redis.start(scope, { password: 'hush' });
    const replica = await Redis.start(scope, { password: 'hush', config: ['--replicaof', '127.0.0.1', String(master.port), '--masterauth', 'hush'] });
    const right = await Sentinel.start(scope, { lines: [...watching('main', master.port), 'sentinel auth-pass main hush'] });
    const wrong = await Sentinel.start(scope, { lines: [...watching('main', replica.port), 'sentinel auth-pass main hush'] });
    const url = (name, ...sentinels) => `redis+sentinel://:hush@${sentinels.map((s) => `127.0.0.1:${s.port ?? s}`).join(',')}/${name}`;
    const dead = await freePort();
    const heard = await listen(scope, master, 'news', {}, { password: 'hush' });
    assert.equal(await published(url('main', dead, right), ['news', 'one']), '1 gateway\n');
    assert.match(await published(url('main', right), ['--durable', 'news', 'two']), /^1 gateway, id \d+\.1\n$/);
    await heard.count(2);
    assert.deepEqual(heard.flatMap(textsOf), ['one', 'two']);
    const refused = async (where, said) => {
        const result = await run(where, ['news', 'x']);
        assert.equal(result.code, 1, result.out);
        assert.match(result.err, said);
        assert.equal(result.err.split('\n').length, 2, result.err);
    };
    await refused(url('other', right), /the sentinel redis:\S+ knows no master named "other"/);
    await refused(url('main', dead), /cannot reach the sentinel redis:\S+: Connection refused/);
    await until('the sentinel to name the replica', async () => (await wrong.cli(['SENTINEL', 'get-master-addr-by-name', 'main'])).includes(String(replica.port)), { ms: 2000 })
        .then(() => refused(url('main', wrong), /the master that the sentinels name, is none/), () => {});
});

test('passwords: one for Redis, in the URL or a file, one for the sentinels in a file; what is wrong with which is said', async (t) => {
    const scope = scopeOf(t);
    const master = await Redis.start(scope, { password: 'of-redis' });
    const sentinel = await Sentinel.start(scope, { password: 'of-sentinel', lines: [...watching('main', master.port, { quorum: 1 }), 'sentinel auth-pass main of-redis'] });
    const at = (credentials) => `redis+sentinel://${credentials}127.0.0.1:${sentinel.port}/main`;
    const [ofRedis, ofSentinel, wrong] = ['of-redis', 'of-sentinel', 'wrong'].map((secret) => {
        const file = path.join(scope.folder, `${secret}.txt`);
        fs.writeFileSync(file, `${secret}\n`, { mode: 0o600 });
        return file;
    });
    const SENTINEL = '--redis-sentinel-password-file';
    const ok = '{"channel":"news","receivers":0}\n';
    assert.equal(await published(at(':of-redis@'), [SENTINEL, ofSentinel, '--json', 'news', 'x']), ok);
    const env = { SSE_PUBLISH_REDIS_SENTINEL_PASSWORD_FILE: ofSentinel, SSE_PUBLISH_REDIS_PASSWORD_FILE: ofRedis };
    assert.equal(await published(at(':of-nobody@'), ['--json', 'news', 'x'], { env }), ok);
    const fails = async (credentials, args, code, said) => {
        const result = await run(at(credentials), [...args, 'news', 'x']);
        assert.equal(result.code, code, result.out);
        assert.match(result.err, said);
        assert.equal(result.err.split('\n').length, 2, result.err);
        assert.ok(!/of-redis|of-sentinel/.test(result.err.replaceAll(scope.folder, '')), result.err);
    };
    await fails(':of-redis@', [], 1, /^sse-publish: the sentinel redis:\S+ refused: NOAUTH [^\n]*--redis-sentinel-password-file/);
    await fails(':of-redis@', [SENTINEL, wrong], 1, /^sse-publish: the sentinel redis:\S+ refused: WRONGPASS [^\n]*--redis-sentinel-password-file/);
    await fails('', [SENTINEL, ofSentinel], 1, /^sse-publish: redis:\S+ refused: NOAUTH [^\n]*--redis-password-file/);
    await fails('', [SENTINEL, ofSentinel, '--redis-password-file', wrong], 1, /^sse-publish: redis:\S+ refused: WRONGPASS/);
    await fails('', [SENTINEL, '/nowhere'], 2, /^sse-publish: --redis-sentinel-password-file: cannot read \/nowhere: No such file/);
    const single = await run(master.url, [SENTINEL, ofSentinel, 'news', 'x']);
    assert.equal(single.code, 2);
    assert.match(single.err, /^sse-publish: --redis-sentinel-password-file: the URL of --redis names no sentinels[^\n]*\n$/);
});

test('a URL of another kind than the server is told, with the one to write', async (t) => {
    const scope = scopeOf(t);
    const redis = await Redis.start(scope);
    const wrong = async (url, args, said) => {
        const result = await run(url, [...args, 'news', 'x']);
        assert.equal(result.code, 1, result.out);
        assert.match(result.err, said);
        assert.equal(result.err.split('\n').length, 2, result.err);
    };
    // SPUBLISH would go well, and no gateway would hear of it.
    for (const args of [[], ['--durable']]) await wrong(`redis+cluster://127.0.0.1:${redis.port}`, args, /is in no cluster; use redis:\/\/127\.0\.0\.1:\d+/);
    await wrong(`redis+sentinel://127.0.0.1:${redis.port}/main`, [], /is no sentinel; [^\n]*26379/);
    const replica = await Redis.start(scope, { config: ['--replicaof', '127.0.0.1', String(redis.port)] });
    await wrong(replica.url, ['--durable'], /READONLY [^\n]*redis\+sentinel:\/\//);
});

test('rights that are missing are named as the command needs them', async (t) => {
    const scope = scopeOf(t);
    const cluster = await RedisCluster.start(scope, { masters: 1 });
    const redis = await Redis.start(scope);
    for (const node of [redis, ...cluster.nodes]) await node.cli(['ACL', 'SETUSER', 'api', 'on', '>secret', '+cluster|keyslot']);
    const refused = async (url, args, said) => assert.match((await run(url, [...args, 'news', 'x'])).err, said);
    await refused(`redis+cluster://api:secret@127.0.0.1:${cluster.nodes[0].port}`, [], /NOPERM [^\n]*'spublish'[^\n]*\+spublish and &CHANNEL/);
    await refused(`redis://api:secret@127.0.0.1:${redis.port}`, [], /NOPERM [^\n]*'publish'[^\n]*\+publish and &CHANNEL/);
    await refused(`redis://api:secret@127.0.0.1:${redis.port}/3`, [], /NOPERM [^\n]*'select'[^\n]*must allow it\n$/);
});

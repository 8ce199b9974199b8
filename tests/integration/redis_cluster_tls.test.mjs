// rediss+cluster://: a cluster that speaks nothing but TLS (`port 0`, also between its nodes). Which certificates will do,
// and that nothing of what a plain cluster promises is missing.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Authority } from '../lib/certificates.mjs';
import { command } from '../lib/command.mjs';
import { keyOf, LIBRARY_VERSION } from '../lib/durable.mjs';
import { Gateway } from '../lib/gateway.mjs';
import { GATEWAY, PUBLISH } from '../lib/paths.mjs';
import { RedisCluster, slotOf } from '../lib/redis_cluster.mjs';
import { scopeOf } from '../lib/scope.mjs';
import { openStream, openStreams } from '../lib/streams.mjs';
import { until } from '../lib/wait.mjs';

/** A cluster behind TLS; { scope, ca, cluster, args: what its clients need }. */
async function start(t, { names, clients = false, ...rest } = {}) {
    const scope = scopeOf(t);
    const ca = await Authority.create(scope);
    const cluster = await RedisCluster.start(scope, { secure: { ca, clients, ...(await ca.sign('redis', { names })) }, ...rest });
    return { scope, ca, cluster, args: ['--redis-ca', ca.cert] };
}

/** A channel of each master. */
async function channelsOf(cluster, name = 'c') {
    const channels = [];
    for (const node of cluster.masters) {
        let i = 0;
        while ((await cluster.ownerOf(slotOf(`${name}:${i}`))) !== node) i++;
        channels.push(`${name}:${i}`);
    }
    return channels;
}

/** As many durable events as there are `texts`, by sse-publish. */
async function publishDurable(cluster, args, channel, texts) {
    const run = await command(PUBLISH, ['--redis', cluster.url, ...args, '--timeout', '15s', '--durable', '--lines', channel], { input: texts.join('\n') });
    assert.equal(run.code, 0, run.err);
}

const bySeedName = (cluster) => cluster.url.replaceAll('127.0.0.1', 'localhost');
const stories = (gateway) => gateway.process.log().split('\n').filter((line) => /"warn"|"error"/.test(line));

/** Not ready, after several attempts; resolves to what was said of Redis meanwhile. */
async function refused(gateway, pattern) {
    await gateway.process.logged(pattern);
    await until('several attempts', async () => (await gateway.metric('uptime_seconds')) >= 3, { every: 100 });
    assert.equal((await gateway.get('/health/ready')).status, 503);
    return stories(gateway);
}

for (const [kind, verb] of [['sharded', 'SPUBLISH'], ['classic', 'PUBLISH']]) {
    test(`${kind} Pub/Sub: the streams of every shard, with user and password, and a certificate of ours`, async (t) => {
        const { scope, ca, cluster, args } = await start(t, { clients: true, config: ['--user', 'gw', 'on', '>secret', '+@all', '~*', '&*'] });
        const own = await ca.sign('gateway', { names: ['DNS:gateway'] });
        const channels = await channelsOf(cluster);
        const gateway = await Gateway.start(scope, {
            redisUrl: cluster.url.replace('://', '://gw:secret@'),
            args: [...args, '--redis-cert', own.cert, '--redis-key', own.key, '--pubsub', kind],
        });
        const streams = await openStreams(scope, channels.map((c) => ({ port: gateway.port, path: `/stream?channel=${c}` })));
        for (const channel of channels) for (let i = 0; i < 10; i++) await cluster.publish(channel, `${channel} ${i}`, verb);
        for (const [i, stream] of streams.entries()) {
            await stream.count(10);
            assert.deepEqual(stream.events.map((e) => e.data), Array.from({ length: 10 }, (_, n) => `${channels[i]} ${n}`));
        }
        for (const node of cluster.masters) assert.match(await node.cli(['CLIENT', 'LIST']), / name=sse-gateway .* user=gw /);
        assert.deepEqual(stories(gateway), []);
    });
}

test('durable events: published, resumed, filled in after a master was killed, and after a slot has moved', async (t) => {
    const { scope, cluster, args } = await start(t, { replicas: 1 });
    const gateway = await Gateway.start(scope, { redisUrl: cluster.url, args: [...args, '--durable', '*'] });
    const [victim] = cluster.masters;
    const channels = await channelsOf(cluster);
    const path = `/stream?${channels.map((c) => `channel=${c}`).join('&')}`;
    const publish = async (from, to) => {
        const texts = Array.from({ length: to - from + 1 }, (_, i) => String(from + i));
        for (const channel of channels) await publishDurable(cluster, args, channel, texts.map((n) => `${channel} ${n}`));
    };
    const expectAll = (stream, from, to) => {
        for (const channel of channels) {
            const got = stream.events.filter((e) => e.type !== 'message' || e.data.startsWith(`${channel} `)).map((e) => (e.type === 'message' ? Number(e.data.split(' ')[1]) : `${e.type} ${e.data}`));
            assert.deepEqual(got, Array.from({ length: to - from + 1 }, (_, i) => from + i));
        }
    };

    const live = await openStream(scope, gateway.port, path);
    await publish(1, 20);
    await live.count(20 * channels.length);
    const last = live.lastEventId;

    await victim.cli([], { input: `SET written:{${channels[0]}} 1\nWAIT 1 10000\n` });
    await cluster.kill(victim);
    await cluster.isMaster(cluster.replicas.find((r) => r.masterOf === victim), { ms: 20000 });
    await publish(21, 30);

    const slot = slotOf(channels[1]);
    await cluster.moveSlot(slot, cluster.masters[2]);
    assert.equal(await cluster.ownerOf(slot), cluster.masters[2]);
    await publish(31, 40);
    await live.count(40 * channels.length, { ms: 20000 });
    expectAll(live, 1, 40);

    const back = await openStream(scope, gateway.port, path, { headers: { 'Last-Event-ID': last } });
    await back.count(20 * channels.length);
    expectAll(back, 21, 40);
    await until('ready', () => gateway.ready());
});

test('a CA that is not given, or another one: one line says so', async (t) => {
    const { scope, cluster } = await start(t);
    const other = await Authority.create(scope, 'other');
    for (const args of [[], ['--redis-ca', other.cert]]) {
        const gateway = await Gateway.start(scope, { redisUrl: cluster.url, args, ready: 'live' });
        const said = await refused(gateway, /from a CA that is not trusted here; name that CA with --redis-ca/);
        assert.equal(said.length, 1, said.join('\n'));
        for (const node of cluster.masters) assert.doesNotMatch(await node.cli(['CLIENT', 'LIST']), /name=sse-gateway/);
    }
});

test('no certificate where the cluster wants one, and a password that is wrong: one line says so', async (t) => {
    const { scope, ca, cluster, args } = await start(t, { clients: true, password: 'secret' });
    const bare = await Gateway.start(scope, { redisUrl: cluster.url, args, ready: 'live' });
    const own = await ca.sign('gateway', { names: ['DNS:gateway'] });
    const wrong = await Gateway.start(scope, {
        redisUrl: cluster.url.replace('secret', 'guess'), args: [...args, '--redis-cert', own.cert, '--redis-key', own.key], ready: 'live',
    });
    for (const [gateway, pattern] of [[bare, /client certificate: --redis-cert and --redis-key/], [wrong, /Redis refuses: WRONGPASS/]]) {
        const said = await refused(gateway, pattern);
        assert.equal(said.length, 1, said.join('\n'));
    }
});

test('the name that counts is the one by which the cluster announces a node', async (t) => {
    const { scope, cluster, args } = await start(t, { names: ['DNS:localhost'], masters: 2, config: ['--cluster-announce-hostname', 'localhost'] });
    // It announces addresses, as it does unless told otherwise: the certificate is good for the seed alone.
    const gateway = await Gateway.start(scope, { redisUrl: bySeedName(cluster), args, ready: 'live' });
    const said = await refused(gateway, /subscriber connection to rediss:\S+: its certificate is not for 127\.0\.0\.1/);
    assert.equal(said.filter((line) => /subscriber connection/.test(line)).length, 2, `one line for each node:\n${said.join('\n')}`);

    for (const node of cluster.nodes) await node.cli(['CONFIG', 'SET', 'cluster-preferred-endpoint-type', 'hostname']);
    await until('ready, by the names that it announces now', () => gateway.ready(), { ms: 30000 });
    const stream = await openStream(scope, gateway.port, '/stream?channel=a');
    await cluster.publish('a', 'x');
    await stream.count(1);
});

test('a cluster that does not say where it is (unknown-endpoint) is where the URL says', async (t) => {
    const { scope, cluster, args } = await start(t, { names: ['DNS:localhost'], masters: 1, config: ['--cluster-preferred-endpoint-type', 'unknown-endpoint'] });
    const gateway = await Gateway.start(scope, { redisUrl: bySeedName(cluster), args });
    const stream = await openStream(scope, gateway.port, '/stream?channel=a');
    await cluster.publish('a', 'x');
    await stream.count(1);
});

test('sse-publish: each master gets the library, each slot its events, also in the middle of a move', async (t) => {
    const { cluster, args } = await start(t, { masters: 2 });
    const run = async (...more) => {
        const result = await command(PUBLISH, ['--redis', cluster.url, ...args, ...more]);
        assert.equal(result.code, 0, result.err);
        return result.out;
    };
    assert.deepEqual((await run('--install')).trim().split('\n').sort(),
        cluster.masters.map((node) => `rediss://127.0.0.1:${node.port}/0: library sse, version ${LIBRARY_VERSION}: loaded`).sort());
    for (const channel of await channelsOf(cluster)) assert.equal(await run(channel, 'x'), '0 gateways\n');

    const slot = slotOf('user:42');
    const from = await cluster.ownerOf(slot);
    const to = cluster.masters.find((node) => node !== from);
    assert.match(await run('--durable', 'user:42', 'one'), /\.1\n$/);
    await to.cli(['CLUSTER', 'SETSLOT', String(slot), 'IMPORTING', from.id]);
    await from.cli(['CLUSTER', 'SETSLOT', String(slot), 'MIGRATING', to.id]);
    await from.cli(['MIGRATE', '127.0.0.1', String(to.port), keyOf('user:42'), '0', '5000']);
    assert.match(await run('--durable', 'user:42', 'two'), /\.2\n$/);
});

test('sse-publish talks to no node that it does not trust, and says why in one line', async (t) => {
    const { scope, cluster, args } = await start(t, { names: ['DNS:localhost'], masters: 2 });
    const other = await Authority.create(scope, 'other');
    const refuses = async (url, with_, said) => {
        const result = await command(PUBLISH, ['--redis', url, ...with_, '--timeout', '500ms', 'a', 'x']);
        assert.equal(result.code, 1, result.out);
        assert.match(result.err, /^sse-publish: [^\n]+\n$/);
        assert.match(result.err, said);
    };
    await refuses(bySeedName(cluster), [], /--redis-ca/);
    await refuses(bySeedName(cluster), ['--redis-ca', other.cert], /--redis-ca/);
    await refuses(cluster.url, args, /its certificate is not for 127\.0\.0\.1/);
    await refuses(cluster.url.replace('rediss', 'redis'), [], /redis:/);
});

test('a file for TLS beside a URL without is no start', async (t) => {
    const scope = scopeOf(t);
    const ca = await Authority.create(scope);
    const run = await command(GATEWAY, ['--check-config', '--anonymous', 'a', '--redis', 'redis+cluster://a,b', '--redis-ca', ca.cert]);
    assert.equal(run.code, 2);
    assert.match(run.err, /--redis-ca: the URL of --redis is not one of TLS; write it rediss\+cluster:/);
});

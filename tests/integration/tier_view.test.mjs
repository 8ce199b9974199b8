// What gateways announce of themselves, and what becomes of it: the view of the tier, and sse-publish gateways.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { command } from '../lib/command.mjs';
import { Gateway } from '../lib/gateway.mjs';
import { PUBLISH } from '../lib/paths.mjs';
import { Redis } from '../lib/redis.mjs';
import { RedisCluster, slotOf } from '../lib/redis_cluster.mjs';
import { scopeOf } from '../lib/scope.mjs';
import { openStream, openStreams } from '../lib/streams.mjs';
import { startTier } from '../lib/tier.mjs';
import { until } from '../lib/wait.mjs';

const view = (gateway) => gateway.get('/metrics/sse', { port: gateway.adminPort }).then(({ body }) => JSON.parse(body));
const idsOf = async (gateway) => (await view(gateway)).peers.map(({ id }) => id).sort();
const list = (url, ...args) => command(PUBLISH, ['--redis', url, 'gateways', ...args]);

/** Waits until each of the gateways sees all of them, and nobody else. */
async function allSee(gateways) {
    const ids = JSON.stringify(gateways.map(({ id }) => id).sort());
    await until(`all to see ${ids}`, async () => (await Promise.all(gateways.map(idsOf))).every((seen) => JSON.stringify(seen) === ids), { ms: 20000 });
}

for (const workers of [1, 2]) {
    test(`each gateway sees all, with their streams; one that ends is gone at once, one that is killed after some seconds (${workers} workers)`, async (t) => {
        const scope = scopeOf(t);
        const { gateways } = await startTier(scope, { gateways: 3, workers, args: ['--max-connections', '400'] });
        await allSee(gateways);
        await openStreams(scope, Array(40).fill({ port: gateways[1].port, path: '/stream?channel=a' }));
        const peer = await until('the streams to be known', async () => (await view(gateways[0])).peers.find(({ id, connections }) => id === gateways[1].id && connections === 40));
        const { age_ms, version, ...rest } = peer;
        assert.deepEqual(rest, { id: gateways[1].id, connections: 40, capacity: 400, load: 0.1, draining: false, ready: true, rebalancing: false });
        assert.ok(age_ms >= 0 && age_ms < 3500 && /^\d/.test(version));
        assert.equal(await gateways[0].metric('tier_gateways'), 3);
        assert.equal(await gateways[0].metric('tier_connections'), 40);
        gateways[2].terminate();
        await gateways[2].process.exit();
        await until('it to be gone', async () => !(await idsOf(gateways[0])).includes(gateways[2].id), { ms: 1000 });
        gateways[1].process.signal('SIGKILL');
        await until('the other to be gone', async () => !(await idsOf(gateways[0])).includes(gateways[1].id), { ms: 8000 });
    });
}

test('sse-publish gateways prints the tier, also as JSON, and says where there is none', async (t) => {
    const scope = scopeOf(t);
    const { redis, gateways } = await startTier(scope, { gateways: 2, args: ['--max-connections', '200'] });
    await openStreams(scope, Array(10).fill({ port: gateways[0].port, path: '/stream?channel=a' }));
    await until('the streams to be known', async () => (await gateways[1].metric('tier_connections')) === 10);
    const [table, json] = await Promise.all([list(redis.url), list(redis.url, '--json')]);
    assert.equal(table.code, 0, table.err);
    assert.match(table.out, /^GATEWAY +STREAMS +CAPACITY +LOAD +STATE +VERSION\n/);
    assert.match(table.out, new RegExp(`^${gateways[0].id} +10 +200 +5\\.0% +ready +\\d`, 'm'));
    assert.match(table.out, /^2 gateways, 10 of 400 streams$/m);
    const { gateways: heard } = JSON.parse(json.out);
    assert.deepEqual(heard.map(({ id, connections }) => [id, connections]), [[gateways[0].id, 10], [gateways[1].id, 0]].sort());

    const other = await Redis.start(scope);
    const none = await list(other.url);
    assert.deepEqual([none.code, none.out, /no gateway was heard/.test(none.err)], [1, '', true]);
    assert.deepEqual(JSON.parse((await list(other.url, '--json')).out), { gateways: [] });
    assert.equal((await command(PUBLISH, ['--redis', redis.url, 'gateways', 'news'])).code, 2);
    assert.equal((await list('redis://127.0.0.1:1')).code, 1);
});

test('junk at the channel of announcements hurts nothing, and is counted', async (t) => {
    const scope = scopeOf(t);
    const { redis, gateways } = await startTier(scope, { gateways: 2 });
    await allSee(gateways);
    const before = await gateways[0].metric('announcements_dropped_total');
    const junk = ['', 'hello', '{}', '['.repeat(1000), '{"id":"x"}', 'x'.repeat(100000), '{"id":"\u001b[2J","run":"0000000000000001"}', Buffer.from([0, 255, 254])];
    for (let i = 0; i < 50; i++) for (const text of junk) await redis.publish('sse:gateways', text);
    await gateways[0].metricIs('announcements_dropped_total', before + 50 * junk.length);
    await gateways[0].process.logged(/a message at sse:gateways was no announcement/);
    await allSee(gateways);
    const stream = await openStream(scope, gateways[0].port, '/stream?channel=a');
    await redis.publish('a', 'x');
    await stream.count(1);
});

test('more gateways than there is room for are dropped and counted, and those that are known stay', async (t) => {
    const scope = scopeOf(t);
    const { redis, gateway } = await startTier(scope);
    await allSee([gateway]);
    const one = (i) => JSON.stringify({ id: `made-up-${i}`, run: i.toString(16).padStart(16, '0'), version: '1', connections: 0, capacity: 1, draining: false, ready: true, every: 60000 });
    await redis.publishAll(Array.from({ length: 3000 }, (_, i) => ['sse:gateways', one(i + 1)]));
    await until('the bound', async () => (await gateway.metric('announcements_dropped_total')) >= 3000 - 2048);
    const { peers } = await view(gateway);
    assert.equal(peers.length, 2048);
    assert.ok(peers.some(({ id }) => id === gateway.id));
    assert.ok(await gateway.ready());
});

test('two gateways with the same id are told so once, and are two in the view', async (t) => {
    const scope = scopeOf(t);
    const { gateways } = await startTier(scope, { gateways: 2, id: 'same' });
    for (const gateway of gateways) await gateway.process.logged(/two gateways have the id same: .* --id/, { ms: 10000 });
    await until('four more announcements', async () => (await gateways[0].metric('announcements_received_total')) >= 10);
    assert.equal(gateways[0].process.log().match(/two gateways have the id/g).length, 1);
    assert.deepEqual(await idsOf(gateways[0]), ['same', 'same']);
});

test('a gateway that may not use the channel of announcements works as before, and says so once', async (t) => {
    const scope = scopeOf(t);
    const redis = await Redis.start(scope);
    await redis.cli(['ACL', 'SETUSER', 'gw', 'on', '>secret', '+@all', '~*', 'resetchannels', '&a', '&sse:canary:*']);
    const gateway = await Gateway.start(scope, { redisUrl: `redis://gw:secret@127.0.0.1:${redis.port}`, args: ['--rebalance', 'on'] });
    const stream = await openStream(scope, gateway.port, '/stream?channel=a');
    await gateway.process.logged(/cannot announce this gateway at sse:gateways: NOPERM/);
    await gateway.process.logged(/cannot subscribe to sse:gateways: NOPERM.*does not see the others/);
    await until('another attempt to subscribe', async () => (await gateway.metric('uptime_seconds')) >= 7, { every: 200 });
    assert.equal(gateway.process.log().match(/cannot (announce|subscribe)/g).length, 2);
    assert.ok(await gateway.ready());
    await redis.publish('a', 'x');
    await stream.count(1);
    assert.deepEqual(await idsOf(gateway), []);
    await redis.cli(['ACL', 'SETUSER', 'gw', '&sse:gateways']);
    await until('it to see itself', async () => (await idsOf(gateway)).length === 1, { ms: 60000, every: 200 });
});

for (const pubsub of ['sharded', 'classic']) {
    test(`on a cluster with ${pubsub} Pub/Sub all gateways find each other, also where the slot has moved`, async (t) => {
        const scope = scopeOf(t);
        const cluster = await RedisCluster.start(scope);
        const gateways = await Promise.all([1, 2, 3].map(() => Gateway.start(scope, { redisUrl: cluster.url, args: ['--pubsub', pubsub] })));
        await allSee(gateways);
        const { code, out, err } = await list(cluster.url, '--pubsub', pubsub);
        assert.equal(code, 0, err);
        assert.match(out, /^3 gateways, 0 of \d+ streams$/m);
        const slot = slotOf('sse:gateways');
        const owner = await cluster.ownerOf(slot);
        await cluster.moveSlot(slot, cluster.masters.find((node) => node !== owner));
        const fourth = await Gateway.start(scope, { redisUrl: cluster.url, args: ['--pubsub', pubsub] });
        await allSee([...gateways, fourth]);
        assert.equal((await list(cluster.url, '--pubsub', pubsub)).code, 0);
        for (const gateway of gateways) assert.ok(!gateway.process.log().includes('cannot announce'));
    });
}

test('after an outage of Redis the view fills again', async (t) => {
    const { redis, gateways } = await startTier(scopeOf(t), { gateways: 3 });
    await allSee(gateways);
    await redis.kill();
    await until('nobody to be seen', async () => (await idsOf(gateways[0])).length === 0, { ms: 15000 });
    await redis.run();
    await allSee(gateways);
});

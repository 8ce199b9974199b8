// docs/runbook.md, "Redis": each symptom is made, seen as the page says, and ended by what it says to type.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { bearer, Keys } from '../lib/bearer.mjs';
import { Authority, redisTls } from '../lib/certificates.mjs';
import { connect, load } from '../lib/durable.mjs';
import { freePort } from '../lib/ports.mjs';
import { Redis } from '../lib/redis.mjs';
import { RedisCluster, slotOf } from '../lib/redis_cluster.mjs';
import { symptom } from '../lib/runbook.mjs';
import { Sentinel, Watched, watching } from '../lib/sentinel.mjs';
import { Stream } from '../lib/stream.mjs';
import { openStream } from '../lib/streams.mjs';
import { sleep, until } from '../lib/wait.mjs';

const RIGHTS = ['on', '>secret', '+@all', '~a', '~sse:{*', 'resetchannels', '&sse:*', '&__sse:*', '&a', '&user:*'];

/** Starts Redis with a user `gateway` of these rights, and the gateway of the page as that user. */
async function withUser(page, scope, rights, options = {}) {
    const redis = await Redis.start(scope);
    await redis.cli(['ACL', 'SETUSER', 'gateway', ...rights]);
    await page.start({ redis, redisUrl: `redis://gateway:secret@127.0.0.1:${redis.port}`, ...options });
    return redis;
}

symptom('Redis is away', async (page, scope) => {
    const redis = await Redis.start(scope);
    const gateway = await page.start({ redis });
    await page.watch();
    const stream = await openStream(scope, gateway.port, '/stream?channel=a');
    await redis.kill();
    await page.seen();
    assert.ok(stream.open);
    await page.type({ fails: /PING/ });
    await page.over();
    await redis.publish('a', 'x');
    await stream.count(2);
    assert.deepEqual(stream.events.map(({ type }) => type), ['gateway:gap', 'message']);
});

symptom('Redis does not deliver', async (page, scope) => {
    const redis = await Redis.start(scope);
    const gateway = await page.start({ redis });
    await page.watch();
    redis.process.signal('SIGSTOP');
    scope.defer(() => redis.process.running && redis.process.signal('SIGCONT'));
    await page.seen({ ms: 30000 });
    const [json] = await page.type({ only: /curl/ });
    assert.match(JSON.parse(json).redis.fault, /./);
    await page.type({ only: /PING/, fails: /./ }); // Redis does not answer
    redis.process.signal('SIGCONT');
    await page.type({ only: /SLOWLOG/ });
    await page.over({ ms: 30000 });
    assert.ok(await gateway.ready());
});

symptom('Redis is lost again and again', async (page, scope) => {
    const redis = await Redis.start(scope);
    await page.start({ redis });
    await page.watch();
    for (let i = 0; i < 6; i++) {
        await redis.cli(['client', 'kill', 'type', 'pubsub']);
        await page.gateway.metricIs('redis_connects_total', i + 2);
        await sleep(300); // for Prometheus to see each
    }
    await page.seen();
    const [limits, , subscribers] = await page.type();
    assert.match(limits, /pubsub 33554432/);
    assert.match(subscribers, /name=sse-gateway/);
    assert.match(await redis.cli(['CONFIG', 'GET', 'client-output-buffer-limit']), /pubsub 268435456/);
});

symptom('Redis refuses the gateway', async (page, scope) => {
    const redis = await Redis.start(scope);
    await redis.cli(['ACL', 'SETUSER', 'gateway', 'on', '>other', '+@all', '~*', '&*']);
    await page.start({ redis, redisUrl: `redis://gateway:secret@127.0.0.1:${redis.port}`, ready: 'live' });
    await page.watch();
    await page.seen();
    assert.match(page.log(), /WRONGPASS/);
    await page.type();
    await page.over();
});

symptom('An ACL of Redis forbids a channel', async (page, scope) => {
    const redis = await withUser(page, scope, RIGHTS.filter((right) => right !== '&user:*'));
    const refused = await Stream.open(page.gateway.port, '/stream?channel=user:42');
    await refused.ended(10000);
    await page.seen();
    const [log] = await page.type();
    assert.match(log, /user:42/);
    const ms = 30000;
    await until('a stream that stays open', async () => {
        const stream = await openStream(scope, page.gateway.port, '/stream?channel=user:42');
        await redis.publish('user:42', 'x');
        return stream.count(1, { ms: 1000 }).then(() => true, () => false);
    }, { ms, every: 200 });
});

symptom('An ACL of Redis forbids the canary', async (page, scope) => {
    const redis = await withUser(page, scope, ['on', '>secret', '+@all', '-publish', '~*', 'resetchannels', '&a', '&sse:gateways', '&sse:canary:*'], { ready: 'live' });
    await page.watch();
    await page.gateway.process.logged(/cannot publish the canary/);
    await redis.cli(['ACL', 'SETUSER', 'gateway', 'resetchannels', '&a', '&sse:gateways']);
    await redis.cli(['client', 'kill', 'type', 'pubsub']);
    await page.seen();
    await page.type();
    await page.over();
});

symptom('An ACL of Redis forbids histories', async (page, scope) => {
    const redis = await withUser(page, scope, ['on', '>secret', '+@all', '-xrange', '-xrevrange', 'resetkeys', '~other:*', 'resetchannels', '&*']);
    const client = connect(scope, redis);
    await load(client);
    await client.call('FCALL', 'sse_publish', 1, 'user:42', 'one');
    const stream = await openStream(scope, page.gateway.port, '/stream?channel=user:42');
    await client.call('FCALL', 'sse_publish', 1, 'user:42', 'two');
    await stream.count(1);
    await page.seen();
    await page.type();
    await until('what is kept is read', async () => {
        const again = await openStream(scope, page.gateway.port, '/stream?channel=user:42&last_event_id=earliest');
        return again.count(2, { ms: 1000 }).then((events) => events.map(({ data }) => data).join() === 'one,two', () => false);
    }, { ms: 30000, every: 200 });
});

symptom('Messages are dropped', async (page, scope) => {
    const redis = await Redis.start(scope);
    const gateway = await page.start({ redis });
    await page.watch();
    await openStream(scope, gateway.port, '/stream?channel=binary');
    const publish = setInterval(() => redis.publish('binary', Buffer.from([0xff, 0xfe])).catch(() => {}), 100);
    scope.defer(() => clearInterval(publish));
    await page.seen();
    const [counters, log, heard] = await page.type({ fails: /timeout/ });
    assert.match(counters, /not_text"\} [1-9]/);
    assert.match(log, /on channel binary/);
    assert.match(heard, /binary/);
});

symptom('Another program writes to a history', async (page, scope) => {
    const redis = await Redis.start(scope);
    const gateway = await page.start({ redis });
    const client = connect(scope, redis);
    await load(client);
    await client.xadd('sse:{user:42}', '*', 'what', 'ever');
    const stream = await openStream(scope, gateway.port, '/stream?channel=user:42&last_event_id=earliest');
    await page.seen();
    await assert.rejects(client.call('FCALL', 'sse_publish', 1, 'user:42', 'x'), /ERR sse_publish: the stream .* holds entries that/);
    const [entries] = await page.type();
    assert.match(entries, /what/);
    await client.call('FCALL', 'sse_publish', 1, 'user:42', 'hello');
    await until('the event', () => stream.events.some(({ data }) => data === 'hello'));
});

symptom('Slots of a cluster moved', async (page, scope) => {
    const cluster = await RedisCluster.start(scope);
    const gateway = await page.start({ redis: cluster.nodes[0], redisUrl: cluster.url });
    const stream = await openStream(scope, gateway.port, '/stream?channel=a');
    const slot = slotOf('a');
    const from = await cluster.ownerOf(slot);
    await cluster.moveSlot(slot, cluster.masters.find((node) => node !== from));
    await page.seen({ ms: 40000 });
    const [info] = await page.type();
    assert.match(info, /cluster_state:ok/);
    await page.over();
    await until('events', async () => {
        await cluster.publish('a', 'x');
        return stream.events.some(({ data }) => data === 'x');
    });
});

symptom('What is revoked cannot be asked for', async (page, scope) => {
    const redis = await Redis.start(scope);
    await redis.cli(['ACL', 'SETUSER', 'gateway', ...RIGHTS, '-getrange', '-scan']);
    const keys = new Keys(scope);
    await page.start({ redis, redisUrl: `redis://gateway:secret@127.0.0.1:${redis.port}`, args: [...keys.args, '--refusal', 'status'], anonymous: [] });
    const status = async () => {
        const stream = await Stream.open(page.gateway.port, '/stream?channel=user:1', { headers: bearer(keys.token('1')) });
        stream.close();
        return stream.status;
    };
    assert.equal(await status(), 503);
    await page.seen();
    await page.type();
    await until('streams are let in', async () => (await status()) === 200, { ms: 30000, every: 200 });
    for (const type of ['pubsub', 'normal']) await redis.cli(['client', 'kill', 'type', type, 'skipme', 'yes']);
    await page.over();
});

symptom('Histories cannot be read', async (page, scope) => {
    const redis = await Redis.start(scope, { config: ['--replica-serve-stale-data', 'no'] });
    await page.start({ redis });
    await page.watch();
    const client = connect(scope, redis);
    await load(client);
    await client.call('FCALL', 'sse_publish', 1, 'a', '1');
    await client.call('REPLICAOF', '127.0.0.1', '1');
    await client.call('CLIENT', 'KILL', 'TYPE', 'pubsub');
    await page.seen();
    const [replication] = await page.type();
    assert.match(replication, /role:slave/);
    await page.over();
});

symptom('Redis cuts the reader of histories off', async (page, scope) => {
    const redis = await Redis.start(scope, { config: ['--client-output-buffer-limit', 'normal', '4mb', '0', '0'] });
    const client = connect(scope, redis);
    await load(client);
    const publish = (n, size) => client.call('FCALL', 'sse_publish', 1, 'a', `${n} ${' '.repeat(size)}`);
    for (let n = 1; n <= 300; n++) await publish(n, 0);
    for (let n = 301; n <= 360; n++) await publish(n, 300_000);
    await page.start({ redis });
    const stream = await openStream(scope, page.gateway.port, '/stream?channel=a&last_event_id=earliest');
    await page.seen();
    const [limits] = await page.type();
    assert.match(limits, /normal 4194304 0 0/);
    await stream.count(360, { ms: 30000 });
    assert.ok(stream.events.every(({ type }) => type === 'message'));
});

symptom('The certificate of Redis is refused', async (page, scope) => {
    const [ca, other] = [await Authority.create(scope), await Authority.create(scope, 'other')];
    const port = await freePort();
    const redis = await Redis.start(scope, { config: redisTls(port, ca, await ca.sign('redis')) });
    await page.start({ redis, redisUrl: `rediss://localhost:${port}`, conf: [`redis-ca = ${other.cert}`], ready: 'live' });
    await page.watch();
    await page.seen();
    fs.copyFileSync(ca.cert, path.join(page.folder, 'ca.pem'));
    const [certificate] = await page.type({ map: { 'redis.example:6379': `localhost:${port}` }, again: { ready: true } });
    assert.match(certificate, /issuer=CN ?= ?ca\nnotAfter=/);
    await page.over();
});

symptom('Sentinels do not answer', async (page, scope) => {
    const tier = await Watched.start(scope, { sentinels: 1, replicas: 0 });
    const [sentinel] = tier.sentinels;
    await page.start({ redis: tier.master, redisUrl: tier.url });
    await sentinel.kill();
    await page.seen({ ms: 30000 });
    assert.ok(await page.gateway.ready());
    const map = { '-p 26379': `-p ${sentinel.port}` };
    await page.type({ map, fails: /./ });
    await sentinel.run();
    const [pong] = await page.type({ map });
    assert.equal(pong, 'PONG\n');
    await page.again();
    await page.over();
});

symptom('Sentinels name no master', async (page, scope) => {
    const tier = await Watched.start(scope, { sentinels: 1, replicas: 0 });
    const [sentinel] = tier.sentinels;
    await page.start({ redis: tier.master, redisUrl: tier.url.replace('/main', '/other'), ready: 'live' });
    await page.watch();
    await page.seen();
    const [masters, address] = await page.type({ map: { '-p 26379': `-p ${sentinel.port}` } });
    assert.match(masters, /^main$/m);
    assert.match(address, new RegExp(`^${tier.master.port}$`, 'm'));
    await sentinel.cli(['SENTINEL', 'MONITOR', 'other', '127.0.0.1', String(tier.master.port), '1']);
    await page.over();
});

symptom('Sentinels refuse the gateway', async (page, scope) => {
    const redis = await Redis.start(scope);
    const sentinel = await Sentinel.start(scope, { password: 'secret', lines: watching('main', redis.port, { quorum: 1 }) });
    await page.start({ redis, redisUrl: `redis+sentinel://127.0.0.1:${sentinel.port}/main`, ready: 'live' });
    await page.watch();
    await page.seen();
    fs.writeFileSync(path.join(page.folder, 'sentinel-password'), 'secret\n', { mode: 0o600 });
    await page.type({ map: { 'password-file = /etc/sse-gateway/': `password-file = ${page.folder}/` } });
    await page.over();
});

symptom('What is in a slot that moves cannot be read', async (page, scope) => {
    const cluster = await RedisCluster.start(scope, { spare: 1, config: ['--user', 'gateway', 'on', '>secret', '~*', '&*', '+@all', '-asking'] });
    const slot = slotOf('a');
    const from = await cluster.ownerOf(slot);
    const [to] = cluster.spare;
    const publish = (data) => from.cli(['-c', 'FCALL', 'sse_publish', '1', 'sse:{a}', data]);
    await load(connect(scope, from));
    await load(connect(scope, to));
    await publish('1');
    await page.start({ redis: to, redisUrl: cluster.url.replace('://', '://gateway:secret@') });
    await cluster.beginMove(slot, to);
    await cluster.moveKeys(slot, from, to);
    const pending = openStream(scope, page.gateway.port, '/stream?channel=a&last_event_id=earliest', { ms: 60000 });
    await page.seen({ ms: 30000 });
    await page.type();
    await (await pending).count(1, { ms: 30000 });
    await cluster.endMove(slot, from, to);
});

symptom('Somebody writes to the channel of announcements', async (page, scope) => {
    const redis = await Redis.start(scope);
    await page.start({ redis });
    const writes = setInterval(() => redis.publish('sse:gateways', 'hello').catch(() => {}), 100);
    scope.defer(() => clearInterval(writes));
    const madeUp = (i) => JSON.stringify({ id: `made-up-${i}`, run: i.toString(16).padStart(16, '0'), version: '1', connections: 0, capacity: 1, draining: false, ready: true, every: 60000 });
    await redis.publishAll(Array.from({ length: 2100 }, (_, i) => ['sse:gateways', madeUp(i + 1)]));
    await page.seen();
    const [heard] = await page.type({ fails: /timeout/ });
    assert.match(heard, /^hello$/m);
    clearInterval(writes);
    assert.ok(await page.gateway.ready());
});

symptom('A node of the cluster does not tell its slots', async (page, scope) => {
    const cluster = await RedisCluster.start(scope, { config: ['--user', 'gateway', 'on', '>secret', '~*', '&*', '+@all'] });
    const [silent] = cluster.nodes;
    await silent.cli(['ACL', 'SETUSER', 'gateway', '-cluster|slots', '-cluster|shards']);
    await page.start({ redis: silent, redisUrl: `redis+cluster://gateway:secret@127.0.0.1:${silent.port}`, ready: 'live' });
    await page.seen();
    const [info] = await page.type();
    assert.match(info, /cluster_state:ok/);
    await page.over({ ms: 30000 });
});

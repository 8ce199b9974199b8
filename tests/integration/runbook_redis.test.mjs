// docs/runbook.md, "Redis": each symptom is made, seen as the page says, and ended by what it says to type.

import assert from 'node:assert/strict';
import { bearer, Keys } from '../lib/bearer.mjs';
import { connect, load } from '../lib/durable.mjs';
import { Redis } from '../lib/redis.mjs';
import { RedisCluster, slotOf } from '../lib/redis_cluster.mjs';
import { symptom } from '../lib/runbook.mjs';
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

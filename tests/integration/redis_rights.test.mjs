// What Redis refuses: channels that an ACL forbids, and commands while it is busy.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { bearer, Keys } from '../lib/bearer.mjs';
import { command } from '../lib/command.mjs';
import { connect, FORMS, load } from '../lib/durable.mjs';
import { Gateway } from '../lib/gateway.mjs';
import { PUBLISH, ROOT } from '../lib/paths.mjs';
import { Redis } from '../lib/redis.mjs';
import { scopeOf } from '../lib/scope.mjs';
import { openStream } from '../lib/streams.mjs';
import { Stream } from '../lib/stream.mjs';
import { until } from '../lib/wait.mjs';

const USER = ['on', '>secret', '+@all', '~*'];

async function start(scope, channels) {
    const redis = await Redis.start(scope);
    await redis.cli(['ACL', 'SETUSER', 'gw', ...USER, 'resetchannels', ...channels]);
    const gateway = await Gateway.start(scope, { redisUrl: `redis://gw:secret@127.0.0.1:${redis.port}` });
    return { redis, gateway };
}

/** Asks for streams until one stays open and hears what is published. */
async function isServed(scope, redis, gateway, channel) {
    await until(`a stream of ${channel} that hears`, async () => {
        const stream = await Stream.open(gateway.port, `/stream?channel=${channel}`);
        scope.defer(() => stream.close());
        await redis.publish(channel, 'x');
        const heard = await stream.count(1, { ms: 1000 }).then(() => true, () => false);
        stream.close();
        return heard;
    }, { ms: 60000, every: 200 });
}

test('a channel that the ACL forbids is refused and logged, others work, and it is served once it is allowed', async (t) => {
    const scope = scopeOf(t);
    const { redis, gateway } = await start(scope, ['&ok*', '&sse:*']);
    const fine = await openStream(scope, gateway.port, '/stream?channel=ok:1');
    const refused = new Stream();
    refused.start(gateway.port, '127.0.0.1', 'GET /stream?channel=bad HTTP/1.1\r\nHost: a\r\n\r\n');
    scope.defer(() => refused.close());
    await refused.ended(20000);
    assert.ok(refused.status === 200 ? refused.end === 'clean' && refused.retry > 0 : refused.status >= 400, `${refused.status} ${refused.end}`);
    await gateway.process.logged(/bad.*(NOPERM|permission)|(NOPERM|permission).*bad/i);
    assert.ok(await gateway.ready(), 'one forbidden channel does not make the gateway unready');
    await redis.publish('ok:1', 'x');
    await fine.count(1);

    await redis.cli(['ACL', 'SETUSER', 'gw', 'allchannels']);
    await isServed(scope, redis, gateway, 'bad');
});

test('a channel that is forbidden under an open stream is not silent: a gap or an end; and it is served once allowed again', async (t) => {
    const scope = scopeOf(t);
    const { redis, gateway } = await start(scope, ['allchannels']);
    const stream = await openStream(scope, gateway.port, '/stream?channel=shaky');
    await redis.cli(['ACL', 'SETUSER', 'gw', 'resetchannels', '&ok*', '&sse:*']); // Redis drops the connection
    await until('a gap or an end', () => !stream.open || stream.events.some((e) => e.type === 'gateway:gap'), { ms: 20000 });
    assert.ok(stream.open || stream.end === 'clean');
    await redis.cli(['ACL', 'SETUSER', 'gw', 'allchannels']);
    await isServed(scope, redis, gateway, 'shaky');
    if (stream.open) {
        await until('the open stream to hear again', async () => {
            await redis.publish('shaky', 'y');
            return stream.events.some((e) => e.data === 'y');
        }, { ms: 40000, every: 100 });
    }
});

test('a gateway that reconnects while a script keeps Redis busy is ready, with all channels, once it is over', async (t) => {
    const scope = scopeOf(t);
    const redis = await Redis.start(scope, { config: ['--busy-reply-threshold', '50'] });
    const gateway = await Gateway.start(scope, { redis });
    const stream = await openStream(scope, gateway.port, '/stream?channel=a');
    process.kill(gateway.process.pid, 'SIGSTOP');
    scope.defer(() => gateway.process.running && process.kill(gateway.process.pid, 'SIGCONT'));
    await redis.cli(['CLIENT', 'KILL', 'TYPE', 'pubsub']);
    const script = redis.cli(['EVAL', 'while true do end', '0'], { ok: false }).catch(() => {});
    await until('Redis to be busy', async () => (await redis.cli(['PING'], { ok: false })).startsWith('BUSY'));
    process.kill(gateway.process.pid, 'SIGCONT');
    await until('not ready', async () => !(await gateway.ready()), { ms: 20000 });
    await redis.cli(['SCRIPT', 'KILL']);
    await script;
    await gateway.process.ready('is ready', () => gateway.ready(), { ms: 30000 });
    await until('the stream to hear', async () => {
        await redis.publish('a', 'x');
        return stream.events.some((e) => e.data === 'x');
    }, { ms: 10000, every: 100 });
    assert.ok(stream.open);
});

/** The rights that docs/security.md recommends for a gateway, as a list of rules. */
function recommended() {
    const page = fs.readFileSync(path.join(ROOT, 'docs/security.md'), 'utf8');
    const [, rules] = /^ {4}ACL SETUSER gateway (.+)$/m.exec(page);
    return rules.replace('>SECRET', '>secret').split(/\s+/);
}

async function startWith(t, rules) {
    const scope = scopeOf(t);
    const redis = await Redis.start(scope);
    const client = connect(scope, redis);
    await load(client);
    await client.call('ACL', 'SETUSER', 'gateway', ...rules);
    const gateway = await Gateway.start(scope, { redisUrl: `redis://gateway:secret@127.0.0.1:${redis.port}` });
    const publish = (data) => FORMS.function(client, 'public:a', data);
    return { scope, client, gateway, publish };
}

test('the rights that docs/security.md recommends are enough for durable channels', async (t) => {
    const { scope, gateway, publish } = await startWith(t, recommended());
    await publish('1');
    const stream = await openStream(scope, gateway.port, '/stream?channel=public:a&last_event_id=earliest');
    await stream.count(1);
    stream.close();
    await publish('2');
    const back = await openStream(scope, gateway.port, '/stream?channel=public:a', { headers: { 'Last-Event-ID': stream.lastEventId } });
    await publish('3');
    await back.count(2);
    assert.deepEqual(back.events.map((e) => e.data), ['2', '3']);
    assert.equal(await gateway.metric('redis_errors_total'), 0);
});

test('without the right to read histories durable events arrive like any others, and who resumes is told of a gap', async (t) => {
    const { scope, gateway, publish } = await startWith(t, recommended().filter((rule) => !/xrange|xrevrange|^%R/.test(rule)));
    const stream = await openStream(scope, gateway.port, '/stream?channel=public:a');
    await publish('1');
    await stream.count(1);
    stream.close();
    await gateway.metricIs('connections', 0); // while one stream is there, the gateway knows how far the channel is
    await gateway.process.logged(/cannot read sse:\{public:a\}.*NOPERM/);
    const back = await openStream(scope, gateway.port, '/stream?channel=public:a', { headers: { 'Last-Event-ID': stream.lastEventId } });
    await publish('2');
    await back.count(2);
    assert.deepEqual(back.events.map((e) => (e.type === 'gateway:gap' ? 'gap' : e.data)), ['gap', '2']);
});

test('with the rights that docs/security.md adds for tokens, a gateway loads what is revoked, and asks about it', async (t) => {
    const scope = scopeOf(t);
    const keys = new Keys(scope);
    const redis = await Redis.start(scope);
    await redis.cli(['ACL', 'SETUSER', 'gateway', ...recommended(), ...added('tokens'), '&user:*']);
    await redis.cli(['SET', 'sse:revoked:sub:ann', '9999999999']);
    const gateway = await Gateway.start(scope, { redisUrl: `redis://gateway:secret@127.0.0.1:${redis.port}`, anonymous: [], args: [...keys.args, '--durable', 'off'] });
    await gateway.metricIs('revocations_known', 1);
    for (const [user, status] of [['ann', 401], ['bob', 200]]) {
        const stream = await Stream.open(gateway.port, `/stream?channel=user:${user}`, { headers: bearer(keys.token(user)) });
        stream.close();
        assert.equal(stream.status, status);
    }
    assert.equal(await gateway.metric('redis_errors_total'), 0);
});

/** What docs/security.md adds to these rights for `what`, the first column of a row. */
function added(what) {
    const page = fs.readFileSync(path.join(ROOT, 'docs/security.md'), 'utf8');
    const row = page.split('\n').find((line) => line.startsWith(`| ${what} |`));
    return /`([^`]+)` more/.exec(row)[1].split(' ');
}

for (const [policy, rights] of Object.entries({ refuse: [], oldest: ['and `--user-cap-policy oldest`'] })) {
    test(`with the rights that docs/security.md adds for --user-cap-scope tier, --user-cap-policy ${policy} holds, and its streams keep and give back their leases`, async (t) => {
        const scope = scopeOf(t);
        const keys = new Keys(scope);
        const redis = await Redis.start(scope);
        const rules = ['tokens', '`--user-cap-scope tier`', ...rights].flatMap(added);
        await redis.cli(['ACL', 'SETUSER', 'gateway', ...recommended(), ...rules, '&user:*']);
        const args = [...keys.args, '--durable', 'off', '--max-connections-per-user', '2', '--user-cap-scope', 'tier', '--user-cap-policy', policy, '--refusal', 'status'];
        const gateways = await Promise.all([1, 2].map(() => Gateway.start(scope, { redisUrl: `redis://gateway:secret@127.0.0.1:${redis.port}`, anonymous: [], args })));
        const open = async (i) => {
            const stream = await Stream.open(gateways[i % 2].port, '/stream?control=1&channel=user:ann', { headers: bearer(keys.token('ann')) });
            scope.defer(() => stream.close());
            if (stream.status === 200) await stream.count(1);
            return stream;
        };
        const leases = async () => (await redis.cli(['ZRANGEBYSCORE', 'sse:lease:ann', '(0', '+inf', 'WITHSCORES'])).split('\n').filter(Boolean);
        const streams = [await open(0), await open(1), await open(2)];
        assert.deepEqual(streams.map((s) => s.status), [200, 200, policy === 'oldest' ? 200 : 429]);
        if (policy === 'oldest') await until('the oldest stream to end', () => !streams[0].open);
        const before = await leases();
        assert.equal(before.length, 4, 'two names, two times');
        await until('both leases to be renewed, within 20 s', async () => {
            const now = await leases();
            return now.length === 4 && now.every((word, i) => i % 2 === 0 || !before.includes(word));
        }, { ms: 30000, every: 200 });
        for (const stream of streams) stream.close();
        await until('no lease', async () => (await leases()).length === 0);
        for (const gateway of gateways) assert.equal(await gateway.metric('redis_errors_total'), 0);
    });
}

/** The rights of docs/protocol.md for Redis 6.2 and KeyDB, which are fewer than others know: of the gateway and of a publisher. */
function oldRights() {
    const protocol = fs.readFileSync(path.join(ROOT, 'docs/protocol.md'), 'utf8');
    const [, text] = /\*\*Redis 6\.2 and KeyDB\*\*[^]*?\n\n((?: {4}.*\n)+)/.exec(protocol);
    const rulesOf = (user) => new RegExp(`ACL SETUSER ${user} ([^]*?)(?=ACL SETUSER|$)`).exec(text)[1].trim().replace(/>\w+/, '>secret').split(/\s+/);
    return { gateway: rulesOf('gateway'), api: rulesOf('api') };
}

test('the rights for Redis 6.2 and KeyDB are enough for durable channels, published by script', async (t) => {
    const { gateway: rules, api } = oldRights();
    const { scope, client, gateway } = await startWith(t, rules.map((rule) => rule.replace('public:', 'user:')));
    await client.call('ACL', 'SETUSER', 'api', ...api);
    const url = `redis://api:secret@127.0.0.1:${client.options.port}`;
    const event = async (data) => assert.equal((await command(PUBLISH, ['--redis', url, '--durable', 'user:42', data])).err, '');
    await event('1');
    const stream = await openStream(scope, gateway.port, '/stream?channel=user:42&last_event_id=earliest');
    await stream.count(1);
    await event('2');
    await stream.count(2);
    assert.deepEqual(stream.events.map((e) => e.data), ['1', '2']);
    assert.equal(await gateway.metric('redis_errors_total'), 0);
});

// sse_append of the function library: many events at once, as one chain, or none of them.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { brokenAt, clock, connect, history, keyOf, listen, load } from '../lib/durable.mjs';
import { Redis } from '../lib/redis.mjs';
import { scopeOf } from '../lib/scope.mjs';
import { openStream } from '../lib/streams.mjs';
import { startTier } from '../lib/tier.mjs';

const append = (client, channel, events, ...options) => client.call('FCALL', 'sse_append', '1', channel, String(events.length), ...events.flat(), ...options);
const numbered = (count, event = '') => Array.from({ length: count }, (_, i) => [event, `${i + 1}`]);

async function start(t) {
    const scope = scopeOf(t);
    const redis = await Redis.start(scope);
    const client = connect(scope, redis);
    await load(client);
    return { scope, redis, client };
}

test('events of one call have one time and dense offsets, and the answer is of the last one', async (t) => {
    const { scope, redis, client } = await start(t);
    await listen(scope, redis, 'n');
    await client.call('FCALL', 'sse_publish', '1', 'n', 'before');
    const before = await clock(client);
    const [id, receivers] = await append(client, 'n', [['token', 'a'], ['', 'b'], ['token', '']]);
    const entries = await history(client, 'n');
    assert.deepEqual([entries.length, brokenAt(entries)], [4, '']);
    assert.deepEqual(entries.slice(1).map((e) => [e.offset, e.event, e.retry, e.data]), [[2, 'token', '', 'a'], [3, '', '', 'b'], [4, 'token', '', '']]);
    assert.ok(entries[1].ms >= before);
    assert.deepEqual(entries.slice(1).map((e) => e.ms), Array(3).fill(entries[1].ms));
    assert.deepEqual([id, receivers], [`${entries[0].epoch}.4`, 1]);
    await client.call('FCALL', 'sse_publish', '1', 'n', 'after');
    assert.equal(brokenAt(await history(client, 'n')), '');
});

test('the message has the last event as ever, and those before it in lines of their own', async (t) => {
    const { scope, redis, client } = await start(t);
    const heard = await listen(scope, redis, 'n');
    await append(client, 'n', [['', '100%\r\nof it'], ['a b', ' c d'], ['', ''], ['last one', 'raw\n100%']]);
    await append(client, 'n', [['', 'alone']]);
    const ids = (await history(client, 'n')).map((e) => e.id);
    const { epoch } = (await history(client, 'n'))[0];
    await heard.count(2);
    assert.deepEqual(heard.map(String), [
        `\x1eSSE/1\nearlier:  100%25%0D%0Aof it\nearlier: a%20b  c d\nearlier:  \nfirst: 0-0\nevent: last one\ndurable: ${ids[3]} ${ids[2]} ${epoch}\n\nraw\n100%`,
        `\x1eSSE/1\ndurable: ${ids[4]} ${ids[3]} ${epoch}\n\nalone`,
    ]);
});

test('a call holds 1 to 256 events', async (t) => {
    const { client } = await start(t);
    assert.match((await append(client, 'n', numbered(1)))[0], /\.1$/);
    assert.match((await append(client, 'n', numbered(256)))[0], /\.257$/);
    const entries = await history(client, 'n');
    assert.deepEqual([entries.length, brokenAt(entries)], [257, '']);
    await assert.rejects(append(client, 'n', numbered(257)), { message: 'ERR sse_append: the number of events is 1 to 256, not "257"' });
    for (const args of [['0'], ['-1', '', ''], ['1.5', '', ''], ['x', '', '']]) {
        await assert.rejects(client.call('FCALL', 'sse_append', '1', 'n', ...args), /^ReplyError: ERR sse_append: the number of events is 1 to 256/);
    }
    for (const args of [[], ['2', '', 'a'], ['2', '', 'a', ''], ['1', '', 'a', 'maxlen'], ['1', 'a']]) {
        await assert.rejects(client.call('FCALL', 'sse_append', '1', 'n', ...args), /^ReplyError: ERR sse_append: wrong number of arguments/);
    }
    assert.equal(await client.xlen(keyOf('n')), 257);
});

test('what is more than 64 KiB goes in several messages, which name each other', async (t) => {
    const { scope, redis, client } = await start(t);
    const heard = await listen(scope, redis, 'n');
    const sizes = [30000, 30000, 30000, 100000, 1, 65000, 535, 1, ...Array(240).fill(1000)];
    await append(client, 'n', sizes.map((size, i) => (i === 7 ? ['e'.repeat(40000), 'x'] : ['', 'x'.repeat(size)])));
    const ids = ['0-0', ...(await history(client, 'n')).map((e) => e.id)];
    let at = 0; // the last event that was heard
    const counts = [];
    const read = () => {
        for (const payload of heard.slice(counts.length).map(String)) {
            const [, last, prev] = payload.match(/^durable: (\S+) (\S+)/m);
            const earlier = payload.match(/^earlier: /gm)?.length ?? 0;
            assert.equal(payload.match(/^first: (.*)/m)?.[1] ?? prev, ids[at]);
            assert.equal(prev, ids[at + earlier]);
            assert.equal(last, ids[at + earlier + 1]);
            const bytes = payload.replace(/^first: .*\n|^durable: .*\n/gm, '').length;
            assert.ok(earlier === 0 || bytes < 65536 + 20 * (earlier + 2), `${bytes} bytes in ${earlier + 1} events`);
            at += earlier + 1;
            counts.push(earlier + 1);
        }
    };
    await heard.count(8);
    read();
    assert.equal(at, sizes.length, `${counts}`);
    assert.deepEqual(counts.slice(0, 4), [2, 1, 1, 2], `${counts}`);
});

test('a call that is refused stores and publishes nothing of it', async (t) => {
    const { scope, redis, client } = await start(t);
    const heard = await listen(scope, redis, 'n');
    const refused = {
        'data with a NUL': [[['', 'a'], ['', 'b\0']], [], /data holds a NUL byte/],
        'an event name with LF': [[['', 'a'], ['b\n', '']], [], /event name "b\?" holds CR, LF or NUL/],
        'an event of the gateway': [[['', 'a'], ['gateway:end', '']], [], /event name "gateway:end" is reserved/],
        'an unknown option': [[['', 'a'], ['', 'b']], ['retry', '5'], /there is no option "retry"/],
        'a fence': [[['', 'a'], ['', 'b']], ['after', '1'], /^ReplyError: FENCED sse_append: the last offset of the channel is 0, not 1$/],
    };
    for (const [name, [events, options, said]] of Object.entries(refused)) {
        await assert.rejects(append(client, 'n', events, ...options), said, name);
    }
    await client.config('SET', 'maxmemory', '1mb');
    await assert.rejects(append(client, 'n', numbered(3)), /OOM/);
    await client.config('SET', 'maxmemory', '0');
    assert.deepEqual([await client.dbsize(), heard.length], [0, 0]);
    await client.lpush(keyOf('n'), 'a');
    await assert.rejects(append(client, 'n', numbered(3)), /WRONGTYPE/);
});

// docs/protocol.md has these rights for publishers.
test('the rights of a publisher suffice, and without one of them no event of a call is stored', async (t) => {
    const { scope, redis, client } = await start(t);
    const least = ['+fcall', '+xadd', '+xrevrange', '+xtrim', '+pexpire', '+publish', '+time', '+cluster|keyslot', '~user:*', '~sse:{user:*', '&user:*'];
    const attempt = async (rules, channel, ...options) => {
        await client.call('ACL', 'SETUSER', 'api', 'reset', 'on', '>secret', ...rules);
        const api = connect(scope, redis, { username: 'api', password: 'secret', enableReadyCheck: false });
        return append(api, channel, numbered(3), ...options).finally(() => api.disconnect());
    };
    await attempt(least, 'user:42', 'key', 'k', 'snapshot', '1', 'end', '60');
    for (const missing of least) {
        if (missing === '+cluster|keyslot') continue;
        await assert.rejects(attempt(least.filter((rule) => rule !== missing), 'user:43'), /^ReplyError: NOPERM /, missing);
    }
    await assert.rejects(attempt(least, 'user:43', 'maxbytes', '1000'), { message: 'NOPERM sse_append: this user may not XRANGE sse:{user:43}' });
    assert.equal(await client.exists(keyOf('user:43')), 0);
    await attempt([...least, '+xrange'], 'user:43', 'maxbytes', '1000');
});

test('a call pays once for all but XADD', async (t) => {
    const { client } = await start(t);
    await append(client, 'n', numbered(16));
    await client.config('RESETSTAT');
    await append(client, 'n', numbered(16));
    const stats = await client.info('commandstats');
    const calls = (name) => Number(stats.match(`cmdstat_${name}:calls=(\\d+)`)?.[1] ?? 0);
    assert.deepEqual(['time', 'xrevrange', 'xadd', 'publish', 'xtrim', 'xrange'].map(calls), [1, 1, 16, 1, 0, 0]);
});

test('a call with more events than are kept keeps the newest, by number and by bytes', async (t) => {
    const { client } = await start(t);
    await append(client, 'n', numbered(20), 'maxlen', '5');
    assert.deepEqual((await history(client, 'n')).map((e) => e.offset), [16, 17, 18, 19, 20]);
    await append(client, 'm', Array(20).fill(['', 'x'.repeat(36)]), 'maxbytes', '450'); // 100 bytes each, with the 64 that an entry counts
    assert.deepEqual((await history(client, 'm')).map((e) => e.offset), [17, 18, 19, 20]);
    await append(client, 'm', Array(3).fill(['', 'x'.repeat(1000)]), 'maxbytes', '450');
    assert.deepEqual((await history(client, 'm')).map((e) => e.offset), [23]);
});

test('snapshot is of the first event, key and end are of the last', async (t) => {
    const { scope, redis, client } = await start(t);
    const heard = await listen(scope, redis, 'n');
    await append(client, 'n', numbered(2));
    const [id] = await append(client, 'n', numbered(3), 'snapshot', '1', 'key', 'k', 'end', '60');
    const entries = await history(client, 'n');
    assert.deepEqual(entries.map((e) => [e.offset, e.base, e.key, e.end]), [[3, entries[0].id, undefined, undefined], [4, entries[0].id, undefined, undefined],
        [5, entries[0].id, 'k', '60']]);
    assert.deepEqual(await append(client, 'n', numbered(3), 'key', 'k'), [id, 0]);
    await heard.count(2);
    assert.match(heard[1].toString(), /^snapshot: 1\nend: 1\ndurable: /m);
});

test('a stream gets the events of a call one by one, whether it was open or comes later', async (t) => {
    const scope = scopeOf(t);
    const { redis, gateway } = await startTier(scope);
    const client = connect(scope, redis);
    await load(client);
    const open = await openStream(scope, gateway.port, '/stream?channel=n');
    const sent = Array.from({ length: 600 }, (_, i) => [['', 'token', 'a b'][i % 3], i % 50 === 0 ? `${i}${'x'.repeat(30000)}` : `line ${i}%\nof it`]);
    for (let i = 0; i < sent.length; i += 200) await append(client, 'n', sent.slice(i, i + 200));
    await open.count(sent.length);
    const late = await openStream(scope, gateway.port, '/stream?channel=n&last_event_id=earliest');
    await late.count(sent.length);
    for (const stream of [open, late]) assert.deepEqual(stream.events.map((e) => [e.type === 'message' ? '' : e.type, e.data]), sent);
});

test('an append with maxbytes that the ACL refuses leaves the channel as it was for those who may', async (t) => {
    const { scope, redis, client } = await start(t);
    const publish = (by, bytes) => by.call('FCALL', 'sse_append', '1', 'n', '1', '', 'x'.repeat(bytes), 'maxbytes', '1000');
    for (let i = 0; i < 3; i++) await publish(client, 200);
    await client.call('ACL', 'SETUSER', 'mute', 'reset', 'on', '>secret', '~*', '&other', '+@all');
    const mute = connect(scope, redis, { username: 'mute', password: 'secret' });
    for (const bytes of [2000, 300]) {
        await assert.rejects(publish(mute, bytes), /^ReplyError: NOPERM /);
        await publish(client, 2000);
        assert.deepEqual((await history(client, 'n')).map((e) => e.data.length), [2000]);
        await publish(client, 200);
        await publish(client, 200);
        assert.deepEqual((await history(client, 'n')).map((e) => e.data.length), [200, 200]);
    }
});

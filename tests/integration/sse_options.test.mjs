// The options of sse_publish that make a history finite, safe to write to twice, short or fenced, as a function and as a
// script. That they agree with each other is shown by sse_model.test.mjs.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FORMS, LIBRARY, brokenAt, clock, connect, history, keyOf, listen, load } from '../lib/durable.mjs';
import { Redis } from '../lib/redis.mjs';
import { scopeOf } from '../lib/scope.mjs';
import { until } from '../lib/wait.mjs';

async function start(t, options) {
    const scope = scopeOf(t);
    const redis = await Redis.start(scope, options);
    const client = connect(scope, redis);
    await load(client);
    return { scope, redis, client };
}

const later = (client, ms) => until(`the clock to pass ${ms}`, async () => (await clock(client)) > ms);
const append = (client, channel, count) => client.call('FCALL', 'sse_append', '1', channel, `${count}`, ...Array(count).fill(['', 'x']).flat());
const sizeOf = (entry) => Buffer.byteLength(entry.event) + Buffer.byteLength(entry.data) + 64;
const sum = (entries) => entries.reduce((total, entry) => total + sizeOf(entry), 0);

for (const [form, publish] of Object.entries(FORMS)) {
    const both = (name, body, options) => test(`${form}: ${name}`, async (t) => body(await start(t, options)));
    const event = (client, channel, data, ...options) => publish(client, channel, data, '', '', ...options);

    both('end: the event is the last one, says so, and the history then lives for its seconds', async ({ scope, redis, client }) => {
        const heard = await listen(scope, redis, 'n');
        await event(client, 'n', 'a');
        await event(client, 'n', 'b', 'end', '60');
        const [a, b] = await history(client, 'n');
        assert.deepEqual([a.end, b.end, b.prev], [undefined, '60', a.id]);
        const left = await client.pttl(keyOf('n'));
        assert.ok(left > 55000 && left <= 60000, `${left}`);
        await heard.count(2);
        assert.equal(heard[1].toString(), `\x1eSSE/1\nend: 1\ndurable: ${b.id} ${a.id} ${b.epoch}\n\nb`);
    });

    both('end: the next event begins a new epoch at once, and nothing of before is left', async ({ client }) => {
        await event(client, 'n', 'a');
        const [old] = await event(client, 'n', 'b', 'end', '60');
        const { ms } = (await history(client, 'n')).at(-1);
        const [id] = await event(client, 'n', 'c');
        const entries = await history(client, 'n');
        assert.deepEqual(entries.map((e) => [e.offset, e.prev, e.data, e.epoch]), [[1, '0-0', 'c', `${entries[0].ms}`]]);
        assert.ok(entries[0].ms > ms);
        assert.deepEqual([id, old.split('.')[1]], [`${entries[0].ms}.1`, '2']);
        assert.ok((await client.pttl(keyOf('n'))) > 86000000, 'it lives like any other again');
        await event(client, 'n', 'd');
        assert.equal(brokenAt(await history(client, 'n')), '');
    });

    both('end: an end that is sent again with its key ends once', async ({ client }) => {
        const first = await event(client, 'n', 'a', 'end', '60', 'key', 'last');
        assert.deepEqual(await event(client, 'n', 'a', 'end', '60', 'key', 'last'), [first[0], 0]);
        assert.deepEqual((await history(client, 'n')).map((e) => e.data), ['a']);
        await event(client, 'n', 'b', 'key', 'other'); // of a new life, which knows no keys of before
        assert.notEqual((await event(client, 'n', 'a', 'key', 'last'))[0], first[0]);
    });

    both('key: the same among the newest 256 events publishes nothing and answers with the first one', async ({ scope, redis, client }) => {
        const heard = await listen(scope, redis, 'n');
        const [id] = await event(client, 'n', 'once', 'key', 'k');
        for (const count of [1, 254]) {
            await append(client, 'n', count);
            assert.deepEqual(await event(client, 'n', 'twice', 'key', 'k'), [id, 0]);
        }
        const before = heard.length;
        assert.equal(await client.xlen(keyOf('n')), 256);
        await append(client, 'n', 1);
        const [other] = await event(client, 'n', 'again', 'key', 'k');
        assert.match(other, /\.258$/);
        await heard.count(before + 2);
        assert.deepEqual((await history(client, 'n')).filter((e) => e.key).map((e) => [e.offset, e.key]), [[1, 'k'], [258, 'k']]);
        assert.deepEqual(await event(client, 'n', 'again', 'key', 'k'), [other, 0]);
    });

    both('key: each channel has its own, and a key is any 1 to 256 bytes', async ({ client }) => {
        const keys = ['k', 'K', 'k ', '\0', 'é', Buffer.from([0xff, 0xfe]), 'k'.repeat(256), 'k'.repeat(255), '__index', '1'];
        const ids = new Map();
        for (const channel of ['a', 'b']) for (const key of keys) ids.set(`${channel} ${key}`, await event(client, channel, 'x', 'key', key));
        assert.deepEqual([...ids.values()].map(([id]) => Number(id.split('.')[1])), [...keys.keys(), ...keys.keys()].map((i) => i + 1));
        for (const channel of ['a', 'b']) for (const key of keys) assert.deepEqual(await event(client, channel, 'x', 'key', key), [ids.get(`${channel} ${key}`)[0], 0]);
        for (const [key, size] of [['', 0], ['k'.repeat(257), 257]]) {
            await assert.rejects(event(client, 'a', 'x', 'key', key), { message: `ERR sse_publish: option key has 1 to 256 bytes, not ${size}` });
        }
    });

    both('key: what is not kept any more is published again', async ({ client }) => {
        await event(client, 'n', 'x', 'key', 'trimmed');
        await event(client, 'n', 'x', 'key', 'kept', 'maxlen', '1');
        assert.equal((await event(client, 'n', 'x', 'key', 'kept'))[1], 0);
        assert.match((await event(client, 'n', 'x', 'key', 'trimmed'))[0], /\.3$/);
        await client.xdel(keyOf('n'), (await history(client, 'n')).find((e) => e.key === 'kept').id);
        assert.match((await event(client, 'n', 'x', 'key', 'kept'))[0], /\.4$/);
        const { ms } = (await history(client, 'n')).at(-1);
        await later(client, ms + 1001);
        await event(client, 'n', 'x', 'maxage', '1');
        assert.match((await event(client, 'n', 'x', 'key', 'kept'))[0], /\.6$/);
        await client.del(keyOf('n'));
        assert.match((await event(client, 'n', 'x', 'key', 'kept'))[0], /\.1$/);
    });

    both('after: appends behind that offset alone, and else says what it is', async ({ scope, redis, client }) => {
        const heard = await listen(scope, redis, 'n');
        await assert.rejects(event(client, 'n', 'x', 'after', '1'), { message: 'FENCED sse_publish: the last offset of the channel is 0, not 1' });
        assert.equal(await client.exists(keyOf('n')), 0);
        await event(client, 'n', 'a', 'after', '0');
        await event(client, 'n', 'b', 'after', '1');
        for (const after of ['0', '1', '3', '9007199254740991']) {
            await assert.rejects(event(client, 'n', 'c', 'after', after), { message: `FENCED sse_publish: the last offset of the channel is 2, not ${after}` });
        }
        await event(client, 'n', 'c', 'after', '2', 'end', '60');
        await assert.rejects(event(client, 'n', 'd', 'after', '3'), { message: 'FENCED sse_publish: the last offset of the channel is 0, not 3' });
        await event(client, 'n', 'd', 'after', '0');
        await heard.count(4);
        assert.deepEqual((await history(client, 'n')).map((e) => [e.offset, e.data]), [[1, 'd']]);
    });

    both('after: a key that is known is answered before the fence is looked at', async ({ client }) => {
        const [id] = await event(client, 'n', 'a', 'after', '0', 'key', 'k');
        await event(client, 'n', 'b', 'after', '1');
        assert.deepEqual(await event(client, 'n', 'a', 'after', '0', 'key', 'k'), [id, 0]);
    });

    both('after: of many writers with one offset, one is let through', async ({ scope, redis, client }) => {
        await event(client, 'n', 'x');
        const attempts = await Promise.allSettled(Array.from({ length: 20 }, (_, i) => event(connect(scope, redis), 'n', `${i}`, 'after', '1')));
        assert.equal(attempts.filter((attempt) => attempt.status === 'fulfilled').length, 1);
        assert.equal(await client.xlen(keyOf('n')), 2);
    });

    both('snapshot: older events go at once, and later ones name it', async ({ scope, redis, client }) => {
        const heard = await listen(scope, redis, 'n');
        for (let i = 1; i <= 3; i++) await event(client, 'n', `${i}`);
        await event(client, 'n', 'all', 'snapshot', '1');
        await event(client, 'n', 'more');
        const entries = await history(client, 'n');
        assert.deepEqual(entries.map((e) => [e.offset, e.data, e.base]), [[4, 'all', entries[0].id], [5, 'more', entries[0].id]]);
        assert.match(entries[0].prev, /-3$/);
        await heard.count(5);
        assert.match(heard[3].toString(), /^\x1eSSE\/1\nsnapshot: 1\ndurable: /);
        assert.doesNotMatch(heard[4].toString(), /snapshot/);
        await event(client, 'n', 'anew', 'snapshot', '1');
        assert.deepEqual((await history(client, 'n')).map((e) => [e.offset, e.base]), [[6, (await history(client, 'n'))[0].id]]);
        await event(client, 'n', 'end', 'end', '60');
        await event(client, 'n', 'first of a new life');
        assert.deepEqual((await history(client, 'n')).map((e) => e.base), [undefined]);
    });

    both('maxbytes: as many of the newest events as there is room for, to the entry', async ({ client }) => {
        const all = [];
        for (let i = 0; i < 300; i++) {
            await publish(client, 'n', 'x'.repeat((i * 7919) % 400), ['', 'token'][i % 2], '', 'maxbytes', '5000');
            const entries = await history(client, 'n');
            all.push(entries.at(-1));
            assert.equal(brokenAt(entries), '');
            assert.ok(sum(entries) <= 5000, `${sum(entries)} bytes`);
            const first = all.length - entries.length;
            assert.ok(first === 0 || sum(entries) + sizeOf(all[first - 1]) > 5000, `${entries.length} events have ${sum(entries)} bytes: there is room for another`);
        }
        await event(client, 'n', 'x'.repeat(6000), 'maxbytes', '5000');
        assert.equal(await client.xlen(keyOf('n')), 1, 'the newest one stays');
    });

    both('maxbytes: 64 KiB and more are exact at each eighth event, and never more than a 16th above', async ({ client }) => {
        const [bound, all] = [80000, []];
        let above = 0;
        for (let i = 0; i < 400; i++) {
            await event(client, 'n', 'x'.repeat((i * 7919) % 900), 'maxbytes', `${bound}`);
            const entries = await history(client, 'n');
            all.push(entries.at(-1));
            const first = all.length - entries.length;
            above = Math.max(above, sum(entries) - bound);
            assert.ok(sum(entries) <= bound * 17 / 16, `${sum(entries)} bytes`);
            if (entries.at(-1).offset % 8 === 0) {
                assert.ok(sum(entries) <= bound && (first === 0 || sum(entries) + sizeOf(all[first - 1]) > bound), `${sum(entries)} bytes at ${entries.at(-1).offset}`);
            }
        }
        assert.ok(above > 0, 'not each event trims');
    });

    both('maxbytes: a history that never counted its bytes is brought within the bound by the first event that does', async ({ client }) => {
        for (let i = 0; i < 60; i++) await event(client, 'n', 'x'.repeat(36));
        await event(client, 'n', 'x'.repeat(36), 'maxbytes', '1050');
        assert.deepEqual((await history(client, 'n')).map((e) => e.offset), Array.from({ length: 10 }, (_, i) => i + 52));
        for (let i = 0; i < 9; i++) await event(client, 'n', 'x'.repeat(36));
        await event(client, 'n', 'x'.repeat(36), 'maxbytes', '550');
        assert.deepEqual((await history(client, 'n')).map((e) => e.offset), [67, 68, 69, 70, 71]);
    });

    both('tracing goes with the message and not into the history, whatever else is asked for', async ({ scope, redis, client }) => {
        const heard = await listen(scope, redis, 'n');
        const [traceparent, traceTo] = ['00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01', 'sse:trace:0123456789abcdef0123456789abcdef'];
        await event(client, 'n', 'x', 'snapshot', '1', 'traceparent', traceparent, 'key', 'k', 'trace-to', traceTo, 'maxbytes', '1000', 'end', '60');
        const [entry] = await history(client, 'n');
        await heard.count(1);
        assert.equal(heard[0].toString(), `\x1eSSE/1\ntraceparent: ${traceparent}\ntrace-to: ${traceTo}\nsnapshot: 1\nend: 1\ndurable: ${entry.id} 0-0 ${entry.epoch}\n\nx`);
        assert.ok(!JSON.stringify(entry).includes('trace'), JSON.stringify(entry));
    });

    const BAD = {
        end: [['0', '-1', '1h', '1000000001', ''], 'a whole number from 1 to 1000000000'],
        after: [['-1', '1.5', 'x', ''], 'a whole number from 0 to 9007199254740991'],
        maxbytes: [['0', '1k', '1000000000001'], 'a whole number from 1 to 1000000000000'],
        snapshot: [['0', 'yes', ''], '1'],
    };

    both('what is no value of an option is refused in one line, and nothing happens', async ({ client }) => {
        for (const [option, [values, said]] of Object.entries(BAD)) {
            for (const value of values) {
                await assert.rejects(event(client, 'n', 'x', option, value), { message: `ERR sse_publish: option ${option} is ${said}, not "${value}"` });
            }
        }
        assert.equal(await client.dbsize(), 0);
    });
}

test('a key is found when the function remembers nothing: after it was loaded anew, and among too many channels', async (t) => {
    const { client } = await start(t);
    const publish = (channel, key) => FORMS.function(client, channel, 'x', '', '', 'key', key);
    const [id] = await publish('n', 'k');
    await client.call('FUNCTION', 'LOAD', 'REPLACE', LIBRARY);
    assert.deepEqual(await publish('n', 'k'), [id, 0]);
    const little = LIBRARY.replace('MEMORY_MAX = 262144', 'MEMORY_MAX = 1000');
    assert.notEqual(little, LIBRARY);
    await client.call('FUNCTION', 'LOAD', 'REPLACE', little);
    const others = Array.from({ length: 600 }, (_, i) => `other:${i}`);
    for (let times = 0; times < 3; times++) {
        for (const key of ['k', 'l', 'm']) await Promise.all(others.map((channel) => publish(channel, key)));
        assert.deepEqual(await publish('n', 'k'), [id, 0]);
    }
    assert.deepEqual(await Promise.all(others.map((channel) => client.xlen(keyOf(channel)))), others.map(() => 3));
});

test('what the function remembers is bounded also where the same channels are used all the time', async (t) => {
    const { client } = await start(t);
    const counted = `redis.register_function('things', function()
        local things = {}
        for i, memory in ipairs({KEYED, SIZED}) do
            things[i] = 0
            for _, channels in ipairs({memory.young, memory.old}) do
                for _, m in pairs(channels) do things[i] = things[i] + m.things end
            end
        end
        return things
    end)\n`;
    await client.call('FUNCTION', 'LOAD', 'REPLACE', LIBRARY.replace('MEMORY_MAX = 262144', 'MEMORY_MAX = 500') + counted);
    const [channels, most] = [Array.from({ length: 8 }, (_, i) => `n:${i}`), [0, 0]];
    for (let i = 0; i < 300; i++) {
        const data = 'x'.repeat((i * 7919) % 200);
        const options = [['key', `k${i}`], ['maxbytes', '5000']];
        for (const o of options) await Promise.all(channels.map((channel) => FORMS.function(client, `${channel}:${o[0]}`, data, '', '', ...o)));
        (await client.call('FCALL', 'things', '0')).forEach((things, m) => { most[m] = Math.max(most[m], things); });
    }
    for (const things of most) assert.ok(things > 500 && things <= 2 * (500 + 304), `${most} things`);
    for (const channel of channels) {
        assert.equal((await FORMS.function(client, `${channel}:key`, 'x', '', '', 'key', 'k280'))[1], 0);
        const [all, kept] = [await history(client, `${channel}:key`), await history(client, `${channel}:maxbytes`)];
        assert.equal(brokenAt(kept), '');
        assert.equal(kept.at(-1).offset, 300);
        assert.ok(sum(kept) <= 5000 && sum(kept) + sizeOf(all[299 - kept.length]) > 5000, `${kept.length} events have ${sum(kept)} bytes`);
        assert.equal(all.length, 300);
    }
});

test('a key is found by the master after a failover, and by the one of before when it is master again', async (t) => {
    const { scope, redis, client } = await start(t, { config: ['--repl-diskless-sync-delay', '0'] });
    const replica = await Redis.start(scope, { config: ['--replicaof', '127.0.0.1', String(redis.port), '--repl-diskless-sync-delay', '0'] });
    const second = connect(scope, replica);
    const publish = (at, key, ...options) => FORMS.function(at, 'n', key, '', '', 'key', key, ...options);
    const same = () => until('the same history', async () => JSON.stringify(await history(second, 'n')) === JSON.stringify(await history(client, 'n')));
    const swap = async (master, other, port) => {
        await same();
        await master.call('REPLICAOF', 'NO', 'ONE');
        await other.call('REPLICAOF', '127.0.0.1', port);
    };
    const [first] = await publish(client, 'first', 'maxbytes', '350');
    await swap(second, client, replica.port);
    assert.deepEqual(await publish(second, 'first'), [first, 0]);
    for (const key of ['second', 'third']) await publish(second, key, 'maxbytes', '350');
    await swap(client, second, redis.port);
    assert.equal((await publish(client, 'third'))[1], 0);
    assert.deepEqual(await publish(client, 'first'), [first, 0]);
    for (const key of ['fourth', 'fifth', 'sixth']) await publish(client, key, 'maxbytes', '350');
    assert.deepEqual((await history(client, 'n')).map((e) => e.data), ['second', 'third', 'fourth', 'fifth', 'sixth']); // 347 bytes
    assert.equal(brokenAt(await history(client, 'n')), '');
});

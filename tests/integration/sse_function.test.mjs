// The function library `sse` in a real Redis, as a function and as a script: what is stored, what is published, and that
// nothing breaks the chain of a channel's history.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FORMS, LIBRARY_VERSION, SCRIPT, brokenAt, clock, connect, history, keyOf, listen, load } from '../lib/durable.mjs';
import { freePort } from '../lib/ports.mjs';
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

test('the version is a number that a replica tells, too', async (t) => {
    const { client } = await start(t);
    assert.equal(await client.call('FCALL_RO', 'sse_version', '0'), LIBRARY_VERSION);
});

for (const [form, publish] of Object.entries(FORMS)) {
    const both = (name, body, options) => test(`${form}: ${name}`, async (t) => body(await start(t, options)));

    both('an event is stored with its five fields, and published with its place', async ({ scope, redis, client }) => {
        const heard = await listen(scope, redis, 'user:42');
        const before = await clock(client);
        const [id, receivers] = await publish(client, 'user:42', '{"total":3}', 'order', '0500');
        const after = await clock(client);
        assert.equal(receivers, 1);
        assert.equal((await publish(client, 'user:42', ''))[0], id.replace(/1$/, '2'));
        const raw = await client.xrange(keyOf('user:42'), '-', '+');
        const [first, second] = await history(client, 'user:42');
        assert.deepEqual(raw[0][1], ['epoch', String(first.ms), 'prev', '0-0', 'event', 'order', 'retry', '500', 'data', '{"total":3}']);
        assert.deepEqual(raw[1][1], ['epoch', String(first.ms), 'prev', first.id, 'event', '', 'retry', '', 'data', '']);
        assert.ok(first.ms >= before && first.ms <= after, `${before} ${first.id} ${after}`);
        assert.equal(first.offset, 1);
        assert.equal(id, `${first.ms}.1`);
        await heard.count(2);
        assert.equal(heard[0].toString(), `\x1eSSE/1\nevent: order\nretry: 500\ndurable: ${first.id} 0-0 ${first.ms}\n\n{"total":3}`);
        assert.equal(heard[1].toString(), `\x1eSSE/1\ndurable: ${second.id} ${first.id} ${first.ms}\n\n`);
    });

    both('data is kept and published byte for byte', async ({ scope, redis, client }) => {
        const heard = await listen(scope, redis, 'raw');
        const data = Buffer.from(Array.from({ length: 1 << 20 }, (_, i) => (i % 255) + 1));
        await publish(client, 'raw', data);
        const [[, fields]] = await client.xrangeBuffer(keyOf('raw'), '-', '+');
        assert.ok(fields[9].equals(data));
        await heard.count(1);
        assert.ok(heard[0].subarray(heard[0].indexOf('\n\n') + 2).equals(data));
    });

    both('the channel may be written as the key of its history', async ({ scope, redis, client }) => {
        const heard = await listen(scope, redis, 'user:42');
        await publish(client, 'user:42', 'a');
        await publish(client, keyOf('user:42'), 'b');
        const entries = await history(client, 'user:42');
        assert.deepEqual(entries.map((e) => e.data), ['a', 'b']);
        assert.equal(brokenAt(entries), '');
        await heard.count(2);
        for (const key of ['sse:{}', 'sse:{a}}', 'sse:{sse:a}', 'sse:{__a}', 'sse:{a', 'sse:a']) {
            await assert.rejects(publish(client, key, 'x'), /ERR sse_publish: (the )?channel/, key);
        }
    });

    both('many connections at once leave one chain, and each subscriber hears it in order', async ({ scope, redis, client }) => {
        const channels = ['a', 'b:1', 'c/2'];
        const heard = new Map();
        for (const channel of channels) heard.set(channel, await listen(scope, redis, channel));
        const ids = await Promise.all(Array.from({ length: 20 }, async () => {
            const writer = connect(scope, redis);
            return Promise.all(Array.from({ length: 150 }, (_, i) => publish(writer, channels[i % 3], `${i}`)));
        }));
        assert.equal(new Set(ids.flat().map(([id], i) => `${channels[i % 3]} ${id}`)).size, 3000, 'ids of a channel differ');
        for (const channel of channels) {
            const entries = await history(client, channel);
            assert.equal(entries.length, 1000);
            assert.equal(entries[0].offset, 1);
            assert.equal(brokenAt(entries), '');
            await heard.get(channel).count(1000);
            const places = heard.get(channel).map((payload) => payload.toString().match(/^durable: (\S+)/m)[1]);
            assert.deepEqual(places, entries.map((e) => e.id));
        }
    });

    both('history is trimmed by length, to the newest', async ({ client }) => {
        for (let i = 1; i <= 30; i++) await publish(client, 'n', `${i}`, '', '', 'MaxLen', '7');
        const entries = await history(client, 'n');
        assert.deepEqual(entries.map((e) => e.data), ['24', '25', '26', '27', '28', '29', '30']);
        assert.equal(brokenAt(entries), '');
        await publish(client, 'n', 'alone', '', '', 'maxlen', '1');
        assert.deepEqual((await history(client, 'n')).map((e) => e.offset), [31]);
    });

    both('1000 events are kept unless something else is said, and 7 more between two trims, for a day and a 256th more', async ({ client }) => {
        const lengths = await Promise.all(Array.from({ length: 1100 }, async (_, i) => {
            const [, length] = await Promise.all([publish(client, 'n', `${i}`), client.xlen(keyOf('n'))]);
            return length;
        }));
        assert.deepEqual(lengths, lengths.map((_, i) => (i < 1000 ? i + 1 : 1000 + ((i + 1) % 8))));
        const left = await client.pttl(keyOf('n'));
        assert.ok(left > 86390000 && left <= 86400000 * 257 / 256, `${left}`);
    });

    both('128 events and more are trimmed at each eighth, fewer at each one', async ({ client }) => {
        for (const [maxlen, most] of [[127, 127], [128, 135]]) {
            const lengths = await Promise.all(Array.from({ length: 300 }, async (_, i) => {
                const [, length] = await Promise.all([publish(client, `n${maxlen}`, `${i}`, '', '', 'maxlen', `${maxlen}`), client.xlen(keyOf(`n${maxlen}`))]);
                return length;
            }));
            assert.equal(Math.max(...lengths), most);
        }
    });

    both('after a quiet second an event trims, whatever its offset', async ({ client }) => {
        for (let i = 1; i <= 202; i++) await publish(client, 'n', `${i}`, '', '', 'maxlen', '200');
        assert.equal(await client.xlen(keyOf('n')), 202);
        await later(client, (await history(client, 'n')).at(-1).ms + 1000);
        await publish(client, 'n', '203', '', '', 'maxlen', '200');
        assert.equal(await client.xlen(keyOf('n')), 200);
    });

    both('the history expires when the time since its newest event is over, and no more than a 256th later', async ({ client }) => {
        const maxage = 3;
        for (let i = 0; i < 100; i++) {
            await publish(client, 'n', 'x', '', '', 'maxage', `${maxage}`);
            const left = await client.pttl(keyOf('n'));
            const { ms } = (await history(client, 'n')).at(-1);
            const now = await clock(client);
            assert.ok(left <= maxage * 1000 * 257 / 256 + 1 && now + left >= ms + maxage * 1000, `${left} ms left, ${now - ms} ms after the event`);
        }
    });

    both('history is trimmed by age; the event just added stays', async ({ client }) => {
        for (let i = 0; i < 5; i++) await publish(client, 'n', 'old');
        const { ms } = (await history(client, 'n')).at(-1);
        await later(client, ms + 1001);
        await publish(client, 'n', 'new', '', '', 'maxage', '1');
        const entries = await history(client, 'n');
        assert.deepEqual(entries.map((e) => [e.offset, e.data]), [[6, 'new']]);
        assert.match(entries[0].prev, /-5$/);
    });

    both('history is trimmed by age to the millisecond, however old its beginning is', async ({ client }) => {
        const at = await clock(client);
        const ages = [200000, 100001, 50000, 1];
        const ids = ages.map((age, i) => `${at - age}-${i + 4}`); // the next one is an eighth: it trims
        const begin = async () => {
            await client.del(keyOf('n'));
            for (const [i, id] of ids.entries()) {
                await client.xadd(keyOf('n'), id, 'epoch', `${at - ages[0]}`, 'prev', ids[i - 1] ?? '0-0', 'event', '', 'retry', '', 'data', 'old');
            }
        };
        for (const [maxage, kept] of [['260', ids], ['100', ids.slice(2)]]) {
            await begin();
            await publish(client, 'n', 'new', '', '', 'maxage', maxage);
            const entries = await history(client, 'n');
            assert.deepEqual(entries.map((e) => e.id), [...kept, entries.at(-1).id], maxage);
            assert.equal(brokenAt(entries), '');
            assert.equal(entries.at(-1).epoch, String(at - ages[0]));
        }
    });

    both('the milliseconds are those of the clock in every part of a second', async ({ client }) => {
        const end = performance.now() + 15000;
        for (const seen = new Set(); seen.size < 10;) {
            const before = await clock(client);
            await publish(client, 'n', 'x', '', '', 'maxlen', '1');
            const after = await clock(client);
            const [{ ms }] = await history(client, 'n');
            assert.ok(ms >= before && ms <= after, `${before} ${ms} ${after}`);
            seen.add(Math.floor((ms % 1000) / 100));
            assert.ok(performance.now() < end, `tenths of a second seen: ${[...seen]}`);
        }
    });

    // What it costs is docs/performance.md. XTRIM looks at each deleted entry of the oldest node, so nobody calls it in vain.
    both('an event is four commands, and one more where the key has to live longer', async ({ client }) => {
        const commands = ['time', 'xrevrange', 'xadd', 'pexpire', 'publish', 'xtrim'];
        const calls = async () => {
            const stats = await client.info('commandstats');
            return commands.map((name) => Number(stats.match(`cmdstat_${name}:calls=(\\d+)`)?.[1] ?? 0));
        };
        for (let i = 0; i < 20; i++) await publish(client, 'n', 'x', '', '', 'maxlen', '5');
        assert.deepEqual((await calls()).map((n) => n % 20), [0, 0, 0, 1, 0, 0]);
        const { ms } = (await history(client, 'n')).at(-1);
        await later(client, ms + 1001);
        await client.config('RESETSTAT');
        await publish(client, 'n', 'x', '', '', 'maxage', '1');
        assert.deepEqual((await calls()).slice(1), [1, 1, 1, 1, 0]);
        await later(client, (await history(client, 'n')).at(-1).ms + 4); // a 256th of the second
        await client.config('RESETSTAT');
        await publish(client, 'n', 'x', '', '', 'maxage', '1', 'maxlen', '1');
        assert.deepEqual((await calls()).slice(1), [1, 1, 1, 1, 1]);
    });

    both('a channel that falls silent leaves no key behind, and then begins a new epoch', async ({ client }) => {
        const [old] = await publish(client, 'n', 'x', '', '', 'maxage', '1');
        await publish(client, 'n', 'y', '', '', 'maxage', '1');
        await until('no key', async () => (await client.exists(keyOf('n'))) === 0);
        const [id] = await publish(client, 'n', 'z');
        assert.match(id, /\.1$/);
        assert.ok(id.split('.')[0] > old.split('.')[0], `${old} ${id}`);
    });

    both('after DEL offsets begin at 1 in a new epoch, and nothing comes before it', async ({ client }) => {
        for (let i = 0; i < 3; i++) await publish(client, 'n', 'x');
        const last = (await history(client, 'n')).at(-1);
        await client.del(keyOf('n'));
        await later(client, last.ms);
        await publish(client, 'n', 'x');
        const [first] = await history(client, 'n');
        assert.equal(first.offset, 1);
        assert.equal(first.prev, '0-0');
        assert.equal(first.epoch, String(first.ms));
        assert.ok(first.ms > last.ms);
    });

    both('a clock that was set back holds the milliseconds, and offsets go on', async ({ client }) => {
        const ahead = (await clock(client)) + 3600000;
        await client.xadd(keyOf('n'), `${ahead}-5`, 'epoch', `${ahead}`, 'prev', '0-0', 'event', '', 'retry', '', 'data', 'x');
        for (let i = 0; i < 3; i++) await publish(client, 'n', 'y');
        const entries = await history(client, 'n');
        assert.deepEqual(entries.map((e) => e.id), [5, 6, 7, 8].map((offset) => `${ahead}-${offset}`));
        assert.equal(brokenAt(entries), '');
    });

    both('offsets are exact where a number of Lua prints with an exponent', async ({ client }) => {
        const ms = await clock(client);
        await client.xadd(keyOf('n'), `${ms}-400000000000007`, 'epoch', `${ms}`, 'prev', '0-0', 'event', '', 'retry', '', 'data', 'x');
        assert.equal((await publish(client, 'n', 'y'))[0], `${ms}.400000000000008`);
    });

    both('entries that someone deleted never make an id of a new one that was in use', async ({ client }) => {
        for (let i = 0; i < 3; i++) await publish(client, 'n', 'x');
        const before = await history(client, 'n');
        await client.xdel(keyOf('n'), before[2].id);
        await publish(client, 'n', 'y');
        let entries = await history(client, 'n');
        assert.equal(brokenAt(entries), '');
        assert.notEqual(entries[2].id, before[2].id);

        const ahead = (await clock(client)) + 3600000;
        await client.xtrim(keyOf('n'), 'MAXLEN', 0);
        await client.call('XSETID', keyOf('n'), `${ahead}-9`);
        await publish(client, 'n', 'z');
        entries = await history(client, 'n');
        assert.deepEqual(entries.map((e) => [e.id, e.epoch, e.prev]), [[`${ahead + 1}-1`, `${ahead + 1}`, '0-0']]);
    });

    both('a key that holds something else is an error and stays as it is', async ({ scope, redis, client }) => {
        const heard = await listen(scope, redis, 'n');
        await client.lpush(keyOf('n'), 'a');
        await assert.rejects(publish(client, 'n', 'x'), { message: 'WRONGTYPE Operation against a key holding the wrong kind of value' });
        assert.deepEqual(await client.lrange(keyOf('n'), 0, -1), ['a']);
        const foreign = [['x', '1'], ['epoch', 'soon', 'prev', '0-0', 'event', '', 'retry', '', 'data', ''],
            ['data', '', 'retry', '', 'event', '', 'prev', '0-0', 'epoch', '1']];
        for (const fields of foreign) {
            await client.del(keyOf('n'));
            await client.xadd(keyOf('n'), '*', ...fields);
            await assert.rejects(publish(client, 'n', 'x'), /^ReplyError: ERR sse_publish: the stream sse:\{n\} holds entries that sse_publish did not write/);
            assert.equal(await client.xlen(keyOf('n')), 1);
        }
        assert.equal(heard.length, 0);
    });

    both('fields of a later version behind the five are let be', async ({ client }) => {
        await client.xadd(keyOf('n'), `${await clock(client)}-1`, 'epoch', '1', 'prev', '0-0', 'event', '', 'retry', '', 'data', '', 'more', 'x');
        await publish(client, 'n', 'x');
        assert.deepEqual((await history(client, 'n')).map((e) => [e.offset, e.epoch, e.more]), [[1, '1', 'x'], [2, '1', undefined]]);
    });

    const BAD = {
        'no data': [['n'], 'wrong number of arguments'],
        'an option without its value': [['n', 'x', '', '', 'maxlen'], 'wrong number of arguments'],
        'an empty channel': [['', 'x'], 'the channel name is empty'],
        'a channel that is too long': [['x'.repeat(129), 'x'], 'the channel name has more than 128 bytes'],
        'a channel with a blank': [['a b', 'x'], 'channel "a b" holds other characters'],
        'a channel with a brace': [['{a}', 'x'], 'channel "{a}" holds other characters'],
        'a channel with a line break': [['a\n', 'x'], 'channel "a?" holds other characters'],
        'a channel that is not ASCII': [['é', 'x'], 'channel "??" holds other characters'],
        'a channel with a NUL': [['a\0b', 'x'], 'channel "a?b" holds other characters'],
        'a reserved channel': [['__x', 'x'], 'channel "__x" is reserved'],
        'another reserved channel': [['sse:x', 'x'], 'channel "sse:x" is reserved'],
        'an event with LF': [['n', 'x', 'a\nb'], 'event name "a?b" holds CR, LF or NUL'],
        'an event with CR': [['n', 'x', 'a\rb'], 'event name "a?b" holds CR, LF or NUL'],
        'an event with NUL': [['n', 'x', 'a\0b'], 'event name "a?b" holds CR, LF or NUL'],
        'an event of the gateway': [['n', 'x', 'gateway:gap'], 'event name "gateway:gap" is reserved'],
        'a retry with a unit': [['n', 'x', '', '5s'], 'retry is a whole number of milliseconds up to 4294967295, not "5s"'],
        'a retry below 0': [['n', 'x', '', '-1'], 'retry is a whole number'],
        'a retry with a point': [['n', 'x', '', '1.5'], 'retry is a whole number'],
        'a retry in hexadecimal': [['n', 'x', '', '0x10'], 'retry is a whole number'],
        'a retry that is too large': [['n', 'x', '', '4294967296'], 'retry is a whole number'],
        'data with a NUL': [['n', 'x\0'], 'the data holds a NUL byte'],
        'an unknown option': [['n', 'x', '', '', 'maxsize', '1'], 'there is no option "maxsize"'],
        'maxlen 0': [['n', 'x', '', '', 'maxlen', '0'], 'option maxlen is a whole number from 1 to 1000000000, not "0"'],
        'maxlen too large': [['n', 'x', '', '', 'maxlen', '1000000001'], 'option maxlen is a whole number'],
        'maxage 0': [['n', 'x', '', '', 'maxage', '0'], 'option maxage is a whole number'],
        'maxage with a unit': [['n', 'x', '', '', 'maxage', '1h'], 'option maxage is a whole number'],
        'a kind of Pub/Sub that is not': [['n', 'x', '', '', 'pubsub', 'both'], 'option pubsub is classic or sharded, not "both"'],
    };

    both('what is wrong with the arguments is said in one line, and nothing happens', async ({ client }) => {
        for (const [name, [args, said]] of Object.entries(BAD)) {
            const error = await publish(client, ...args).then(() => assert.fail(`${name}: no error`), (e) => e);
            assert.ok(error.message.startsWith(`ERR sse_publish: ${said}`), `${name}: ${error.message}`);
            assert.ok(!/[\r\n]|user_function|user_script/.test(error.message), error.message);
        }
        assert.equal(await client.dbsize(), 0);
        await publish(client, 'n', 'x', 'x'.repeat(1000), '4294967295', 'MAXLEN', '000010', 'PubSub', 'CLASSIC', 'maxage', '1000000000');
        assert.equal((await history(client, 'n'))[0].retry, '4294967295');
    });

    both('a Redis without memory refuses before anything happened', async ({ scope, redis, client }) => {
        const heard = await listen(scope, redis, 'n');
        await publish(client, 'n', 'one');
        await client.config('SET', 'maxmemory', '1mb');
        await assert.rejects(publish(client, 'n', 'two'), /OOM/);
        assert.deepEqual((await history(client, 'n')).map((e) => e.data), ['one']);
        await client.config('SET', 'maxmemory', '0');
        await publish(client, 'n', 'three');
        const entries = await history(client, 'n');
        assert.deepEqual(entries.map((e) => [e.offset, e.data]), [[1, 'one'], [2, 'three']]);
        assert.equal(brokenAt(entries), '');
        await heard.count(2);
        assert.equal(heard.length, 2);
    });

    // docs/protocol.md has these rights for publishers.
    const RIGHTS = ['+xadd', '+xrevrange', '+xtrim', '+pexpire', '+publish', '+time', '+cluster|keyslot'];
    const HOW = { function: '+fcall', script: '+eval' };

    both('the least rights suffice, and without one of them nothing happens', async ({ scope, redis, client }) => {
        const set = (...rules) => client.call('ACL', 'SETUSER', 'api', 'reset', 'on', '>secret', ...rules);
        const least = [HOW[form], ...RIGHTS, '~user:*', '~sse:{user:*', '&user:*'];
        await set(...least);
        const api = connect(scope, redis, { username: 'api', password: 'secret', enableReadyCheck: false });
        await publish(api, 'user:42', 'x', 'order');
        await assert.rejects(publish(api, 'news', 'x'), /NOPERM/);
        for (const [i, missing] of least.entries()) {
            if (missing === '+cluster|keyslot') continue;
            await set(...least.filter((_, other) => other !== i));
            const without = connect(scope, redis, { username: 'api', password: 'secret', enableReadyCheck: false });
            const error = await publish(without, 'user:43', 'y').then(() => assert.fail(`without ${missing}: no error`), (e) => e);
            assert.match(error.message, /^NOPERM /, `without ${missing}`);
            const command = missing.startsWith('+') ? missing.slice(1) : '';
            assert.ok(error.message.toLowerCase().includes(command), `without ${missing}: ${error.message}`);
            without.disconnect();
        }
        assert.deepEqual([await client.exists(keyOf('user:43')), (await history(client, 'user:42')).length], [0, 1]);
    });

    // Not every event trims, nor sets when the key expires: a right that was taken away shows when it is needed.
    both('an event is kept and published, or neither, whichever right is taken away', async ({ scope, redis, client }) => {
        const heard = await listen(scope, redis, 'user:42');
        const set = (...rules) => client.call('ACL', 'SETUSER', 'api', 'reset', 'on', '>secret', ...rules);
        const least = [HOW[form], ...RIGHTS, '~user:*', '~sse:{user:*', '&user:*'];
        let published = 0;
        for (const [i, missing] of least.entries()) {
            await set(...least.filter((_, other) => other !== i));
            const without = connect(scope, redis, { username: 'api', password: 'secret', enableReadyCheck: false });
            for (let n = 0; n < 20; n++) {
                if (n % 10 === 0) await publish(client, 'user:42', 'x', '', '', 'maxage', `${100 + n}`).then(() => published++);
                await publish(without, 'user:42', 'y').then(() => published++, (error) => assert.match(error.message, /^NOPERM /));
            }
            without.disconnect();
        }
        await heard.count(published);
        const entries = await history(client, 'user:42');
        assert.deepEqual([entries.length, brokenAt(entries)], [published, '']);
    });
}

// What other versions of Redis say of commands that are called by a script, each at the call named, and what the caller is to see.
const WORDINGS = {
    'the ACL, 7.0: the command': ['XADD', "ERR The user executing the script can't run this command or subcommand", 'NOPERM sse_publish: this user may not XADD sse:{n}'],
    'the ACL, 7.0: the channel': ['PUBLISH', "ERR The user executing the script can't access at least one of the channels mentioned in the command arguments",
        'NOPERM sse_publish: this user may not PUBLISH n'],
    'the ACL, 7.2 and Valkey: the command': ['XADD', "ERR ACL failure in script: User api has no permissions to run the 'xadd' command", 'NOPERM sse_publish: this user may not XADD sse:{n}'],
    'the ACL, 7.2 and Valkey: the key': ['XREVRANGE', 'ERR ACL failure in script: No permissions to access a key', 'NOPERM sse_publish: this user may not XREVRANGE sse:{n}'],
    'the ACL, 7.2 and Valkey: no key': ['TIME', "ERR ACL failure in script: User api has no permissions to run the 'time' command", 'NOPERM sse_publish: this user may not TIME'],
    'the ACL, 6.2': ['XADD', "@user_script: 87: The user executing the script can't run this command or subcommand", 'NOPERM sse_publish: this user may not XADD sse:{n}'],
    'no memory, 6.2': ['XADD', "@user_script: 214: -OOM command not allowed when used memory > 'maxmemory'.", "OOM command not allowed when used memory > 'maxmemory'."],
    'a replica, 6.2': ['XADD', "@user_script: 214: -READONLY You can't write against a read only replica.", "READONLY You can't write against a read only replica."],
};

test('whatever words a version of Redis has for a refusal, the answer begins with its code', async (t) => {
    const { client } = await start(t);
    for (const [name, [command, said, expected]] of Object.entries(WORDINGS)) {
        const words = `local real = redis
            local redis = {pcall = function(command, ...)
                return command == ARGV[4] and {err = ARGV[5]} or real.pcall(command, ...)
            end}\n`;
        const cut = SCRIPT.replace('return sse_publish(KEYS, ARGV)', 'return sse_publish(KEYS, {ARGV[1], ARGV[2], ARGV[3]})');
        const answer = await client.call('EVAL', words + cut, '1', 'n', 'x', '', '', command, said).then(() => 'no error', (error) => error.message);
        assert.equal(answer, expected, name);
    }
});

test('a replica gets the same history, refuses to publish, and goes on with it as the new master', async (t) => {
    const { scope, redis, client } = await start(t, { config: ['--repl-diskless-sync-delay', '0'] });
    const replica = await Redis.start(scope, { config: ['--replicaof', '127.0.0.1', String(redis.port)] });
    const second = connect(scope, replica);
    for (let i = 0; i < 20; i++) await FORMS.function(client, 'n', `${i}`, '', '', 'maxlen', '10');
    await until('the same history', async () => JSON.stringify(await history(second, 'n')) === JSON.stringify(await history(client, 'n')));
    assert.ok((await second.pttl(keyOf('n'))) > 86000000);
    await assert.rejects(FORMS.function(second, 'n', 'x'), /READONLY/);
    await second.call('REPLICAOF', 'NO', 'ONE');
    assert.match((await FORMS.function(second, 'n', 'x'))[0], /\.21$/);
    assert.equal(brokenAt(await history(second, 'n')), '');
});

test('history and functions outlive a crash where Redis writes an append-only file', async (t) => {
    const scope = scopeOf(t);
    const redis = await Redis.start(scope, { config: ['--appendonly', 'yes', '--appendfsync', 'always'] });
    const client = connect(scope, redis);
    await load(client);
    for (let i = 0; i < 20; i++) await FORMS.function(client, 'n', `${i}`, '', '', 'maxlen', '10');
    const before = await history(client, 'n');
    await redis.kill();
    await redis.run();
    const again = connect(scope, redis);
    assert.deepEqual(await history(again, 'n'), before);
    assert.match((await FORMS.function(again, 'n', 'x'))[0], /\.21$/);
});

test('on a cluster the function publishes to the shard, and a script where it is told to', async (t) => {
    const scope = scopeOf(t);
    const redis = await Redis.start(scope, { config: ['--cluster-enabled', 'yes', '--cluster-port', String(await freePort())] });
    await redis.cli(['CLUSTER', 'ADDSLOTSRANGE', '0', '16383']);
    await until('the cluster to be up', async () => (await redis.cli(['CLUSTER', 'INFO'])).includes('cluster_state:ok'));
    const client = connect(scope, redis);
    await load(client);
    const sharded = await listen(scope, redis, 'user:42', { sharded: true });
    const classic = await listen(scope, redis, 'user:42');
    assert.equal((await FORMS.function(client, 'user:42', 'a'))[1], 1);
    assert.equal((await FORMS.function(client, 'user:42', 'b', '', '', 'pubsub', 'classic'))[1], 1);
    await FORMS.script(client, 'user:42', 'c', '', '', 'pubsub', 'sharded');
    await FORMS.script(client, 'user:42', 'd');
    const datas = (heard) => heard.map((payload) => payload.toString().split('\n\n')[1]);
    await sharded.count(2);
    await classic.count(2);
    assert.deepEqual([datas(sharded), datas(classic)], [['a', 'c'], ['b', 'd']]);
    assert.equal(brokenAt(await history(client, 'user:42')), '');
});

// Option maxbytes behind histories that somebody else had a hand in, or that were bounded otherwise before: that an event
// costs no more than its bounds say, and is refused in one line or stored and published.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FORMS, brokenAt, clock, connect, history, keyOf, listen, load } from '../lib/durable.mjs';
import { Redis } from '../lib/redis.mjs';
import { scopeOf } from '../lib/scope.mjs';

const append = (client, channel, count, ...options) =>
    client.call('FCALL', 'sse_append', '1', channel, `${count}`, ...Array(count).fill(['', '']).flat(), ...options);
const ofSize = (bytes) => 'x'.repeat(bytes - 64);

/** How often Redis has called `command`. */
async function calls(client, command) {
    return Number((await client.info('commandstats')).match(new RegExp(`cmdstat_${command}:calls=(\\d+)`))?.[1] ?? 0);
}

/** An entry as the library writes them, by hand. Field `bytes` says `bytes`, where it is given. */
const add = (client, channel, id, prev, epoch, data, bytes) =>
    client.xadd(keyOf(channel), id, 'epoch', epoch, 'prev', prev, 'event', '', 'retry', '', 'data', data, ...(bytes === undefined ? [] : ['bytes', bytes]));

for (const [form, publish] of Object.entries(FORMS)) {
    const both = (name, body) => test(`${form}: ${name}`, async (t) => {
        const scope = scopeOf(t);
        const redis = await Redis.start(scope);
        const client = connect(scope, redis, { commandTimeout: 10000 });
        await load(client);
        await body({ scope, redis, client, event: (channel, data, ...options) => publish(client, channel, data, '', '', ...options) });
    });
    const offsets = async (client, channel) => (await history(client, channel)).map((e) => e.offset);

    both('an offset far behind the one before costs no more than one beside it', async ({ redis, client, event }) => {
        await event('n', ofSize(100), 'maxbytes', '1000');
        for (const far of [9000000007, 9100000007]) {
            const { ms, id, epoch } = (await history(client, 'n')).at(-1);
            await add(client, 'n', `${ms}-${far}`, id, epoch, ofSize(100));
            // Where the library counts to `far`, Redis is busy for minutes: commandTimeout ends the test.
            await event('n', ofSize(100), 'maxbytes', '1000');
            assert.deepEqual((await offsets(client, 'n')).slice(-2), [far, far + 1]);
        }
        for (let i = 0; i < 20; i++) await event('n', ofSize(100), 'maxbytes', '1000');
        assert.deepEqual(await offsets(client, 'n'), Array.from({ length: 10 }, (_, i) => 9100000008 + 11 + i));
    });

    both('a field bytes that no library wrote says nothing', async ({ client, event }) => {
        for (const bytes of ['12', '12 x', '', '12 1-1', '1 1-1 1 1']) {
            const channel = `n:${bytes.length}`;
            await event(channel, ofSize(100), 'maxbytes', '250');
            const [first] = await history(client, channel);
            await add(client, channel, `${first.ms}-2`, first.id, first.epoch, ofSize(100), bytes);
            await event(channel, ofSize(100), 'maxbytes', '250');
            assert.deepEqual(await offsets(client, channel), [2, 3], `bytes "${bytes}"`);
        }
    });

    both('entries that the library did not write are named with their stream', async ({ client, event }) => {
        await client.xadd(keyOf('n'), '1-1', 'a', 'b');
        await add(client, 'n', '1-2', '1-1', '1', 'x');
        await assert.rejects(event('n', 'x', 'maxbytes', '1000'), {
            message: 'ERR sse_publish: the stream sse:{n} holds entries that sse_publish did not write; DEL it, or use another channel',
        });
    });

    both('a first event with maxbytes reads no more than maxlen keeps', async ({ client, event }) => {
        for (let i = 0; i < 20; i++) await append(client, 'n', 250, 'maxlen', '100000');
        const before = await calls(client, 'xrevrange');
        await event('n', '', 'maxlen', '100', 'maxbytes', '1000000000000');
        assert.ok((await calls(client, 'xrevrange')) - before <= 12, `${(await calls(client, 'xrevrange')) - before} pages`);
        assert.deepEqual([(await history(client, 'n')).length, brokenAt(await history(client, 'n'))], [100, '']);
        for (let i = 0; i < 10; i++) await event('n', '', 'maxlen', '100', 'maxbytes', '6400');
        await event('n', '', 'maxlen', '100', 'maxbytes', '640');
        assert.deepEqual(await offsets(client, 'n'), Array.from({ length: 10 }, (_, i) => 5003 + i));
    });

    both('an event that goes behind deleted ones is stored only where all that it needs is allowed', async ({ scope, redis, client }) => {
        await append(client, 'n', 130);
        const entries = await history(client, 'n');
        const { id, epoch } = entries.at(-1);
        // So late that the next event drops what is older than a day, which the first place that is looked at for it does not.
        const late = `${(await clock(client)) + 86400000 + 600000}-131`;
        await add(client, 'n', late, id, epoch, 'x');
        await client.xdel(keyOf('n'), late);
        await client.acl('SETUSER', 'api', 'on', '>secret', '~*', '&*', '+@all', '-xtrim');
        const heard = await listen(scope, redis, 'n');
        const api = connect(scope, redis, { username: 'api', password: 'secret' });
        await assert.rejects(publish(api, 'n', 'y', '', '', 'maxlen', '128'), { message: 'NOPERM sse_publish: this user may not XTRIM sse:{n}' });
        assert.deepEqual(await history(client, 'n'), entries, 'nothing is stored');
        await publish(client, 'n', 'z', '', '', 'maxlen', '128');
        await heard.count(1);
        assert.deepEqual((await history(client, 'n')).map((e) => [e.offset, e.data]), [[131, 'z']]);
    });
}

test('sizes are remembered of as many events as the publisher with the greatest maxlen keeps', async (t) => {
    const scope = scopeOf(t);
    const redis = await Redis.start(scope);
    const client = connect(scope, redis);
    await load(client);
    const event = (maxlen) => FORMS.function(client, 'n', '', '', '', 'maxlen', maxlen, 'maxbytes', '70000');
    await event('1');
    for (let i = 0; i < 1200; i++) await event('10000');
    const before = await calls(client, 'xrange');
    for (let i = 0; i < 400; i++) await event('10000');
    assert.equal((await calls(client, 'xrange')) - before, 0, 'pages read');
    assert.equal((await history(client, 'n')).length, Math.floor(70000 / 64) + 1, 'the 1601st event is the first after one that trims');
});

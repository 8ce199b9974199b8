// sse-publish history, and the words that are commands in the place of a channel.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isUsageError } from '../lib/cli.mjs';
import { command } from '../lib/command.mjs';
import { PUBLISH } from '../lib/paths.mjs';
import { Redis } from '../lib/redis.mjs';
import { RedisCluster, slotOf } from '../lib/redis_cluster.mjs';
import { scopeOf } from '../lib/scope.mjs';
import { Watched } from '../lib/sentinel.mjs';

const run = (url, args, options) => command(PUBLISH, ['--redis', url, ...args], options);

async function output(url, args, options) {
    const { code, out, err } = await run(url, args, options);
    assert.deepEqual([code, err], [0, '']);
    return out;
}

const listed = async (url, ...args) => JSON.parse(await output(url, ['history', '--json', ...args]));
const data = (history) => history.events.map((event) => event.data);

/** Publishes durable events with the numbers from 1 to `count` as data. */
const keep = (url, channel, count) => run(url, ['--durable', '--lines', channel], { input: Array.from({ length: count }, (_, i) => `${i + 1}\n`).join('') });

test('a history is shown with ids, times, names and data, its length, memory and end', async (t) => {
    const scope = scopeOf(t);
    const redis = await Redis.start(scope);
    await output(redis.url, ['--durable', '--keep-for', '1h', '--event', 'order', 'news', '{"total":3}']);
    await output(redis.url, ['--durable', '--keep-for', '1h', '--retry', '250', 'news', 'two']);
    const text = (await output(redis.url, ['history', 'news'])).split('\n');
    assert.match(text[0], /^news: 2 events, \d+ bytes of Redis' memory, kept for (59m|1h 0m)[^\n]* unless more come$/);
    assert.match(text[1], /^oldest \d+\.1 of 20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
    assert.match(text[2], /^newest \d+\.2 of 20/);
    assert.match(text[4], /^\d+\.1 {2}20[^ ]*Z {2}order {2}\{"total":3\}$/);
    assert.match(text[5], /^\d+\.2 {2}20[^ ]*Z {2}message {2}retry 250 {2}two$/);

    const history = await listed(redis.url, 'news');
    const { epoch } = history;
    assert.ok(Math.abs(epoch - Date.now()) < 60000);
    assert.ok(history.bytes > 0 && history.ttl_ms > 3500000 && history.ttl_ms <= 3600000 * (1 + 1 / 256));
    assert.deepEqual({ ...history, bytes: 0, ttl_ms: 0, events: history.events.map(({ time, ...rest }) => (assert.ok(Date.parse(time) >= epoch), rest)) }, {
        channel: 'news', length: 2, bytes: 0, ttl_ms: 0, epoch, oldest: `${epoch}.1`, newest: `${epoch}.2`, ended: false,
        events: [{ id: `${epoch}.1`, event: 'order', data: '{"total":3}' }, { id: `${epoch}.2`, event: 'message', retry: 250, data: 'two' }],
    });
});

test('a channel of which nothing is kept is no error', async (t) => {
    const redis = await Redis.start(scopeOf(t));
    assert.equal(await output(redis.url, ['history', 'news']), 'news: nothing is kept\n');
    assert.deepEqual(await listed(redis.url, 'news'), { channel: 'news', length: 0, bytes: null, ttl_ms: null, epoch: null, oldest: null, newest: null, ended: false, events: [] });
});

test('a long history is read in pages; --count and --after choose', async (t) => {
    const redis = await Redis.start(scopeOf(t));
    await keep(redis.url, 'news', 300);
    const numbers = (from, to) => Array.from({ length: to - from + 1 }, (_, i) => String(from + i));
    const all = await listed(redis.url, 'news');
    assert.deepEqual(data(all), numbers(1, 300));
    const most = /cmdstat_xrange:calls=(\d+)/.exec(await redis.cli(['INFO', 'commandstats']))[1];
    assert.ok(Number(most) > 4, `XRANGE was called ${most} times`);
    for (const count of [1, 2, 63, 64, 65, 299, 300, 301]) assert.deepEqual(data(await listed(redis.url, 'news', '--count', String(count))), numbers(Math.max(1, 301 - count), 300), `${count}`);
    const id = (number) => `${all.epoch}.${number}`;
    assert.deepEqual(data(await listed(redis.url, 'news', '--after', id(297))), ['298', '299', '300']);
    assert.deepEqual(data(await listed(redis.url, 'news', '--after', id(150), '--count', '70')), numbers(151, 220));
    assert.deepEqual(data(await listed(redis.url, 'news', '--after', id(300))), []);
});

test('--after says where a client that resumes there would get a gap', async (t) => {
    const redis = await Redis.start(scopeOf(t));
    await run(redis.url, ['--durable', '--lines', '--keep', '2', 'news'], { input: '1\n2\n3\n4\n5\n' });
    const { epoch } = JSON.parse((await run(redis.url, ['history', '--json', 'news'])).out);
    for (const [after, said] of [[`${epoch}.1`, /^sse-publish: warning: 2 events after \d+\.1 are no longer kept[^\n]*\n$/],
        [`${epoch}.3`, /^$/], [`${epoch}.6`, /is not of this history/], [`${epoch - 1}.4`, /is not of this history/]]) {
        const { code, err, out } = await run(redis.url, ['history', '--json', '--after', after, 'news']);
        assert.equal(code, 0);
        assert.match(err, said);
        assert.deepEqual(data(JSON.parse(out)), after.endsWith('.6') ? [] : ['4', '5']);
    }
});

test('no byte of a publisher reaches the terminal as a command, and JSON stays JSON', async (t) => {
    const redis = await Redis.start(scopeOf(t));
    const hostile = Buffer.from('a\x1b[31mb\r\nc\td\x7f\u0085\u202e"\\é\u{1f600}', 'utf8');
    await run(redis.url, ['--durable', '--event', '\x1b]0;x\x07', 'news'], { input: hostile });
    await redis.cli(['-x', 'FCALL', 'sse_publish', '1', 'news'], { input: Buffer.from([0xff, 0xc0, 0x78]) });
    const text = await output(redis.url, ['history', 'news']);
    assert.ok(!/[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e\ufffd]/.test(text), JSON.stringify(text));
    assert.ok(text.includes('\\x1b]0;x\\x07  a\\x1b[31mb\\r\\nc\\td\\x7f\\u0085\\u202e"\\é\u{1f600}\n'), text);
    assert.ok(text.includes('message  \\xff\\xc0x'), text);
    assert.deepEqual(data(await listed(redis.url, 'news')), [hostile.toString(), '\ufffd\ufffdx']);
});

test('an ACL that reads alone is enough, without +memory|usage too; one that lacks more is told what', async (t) => {
    const redis = await Redis.start(scopeOf(t));
    await keep(redis.url, 'news', 3);
    await redis.cli(['ACL', 'SETUSER', 'reader', 'on', '>secret', '+xrange', '+xrevrange', '+xlen', '+pttl', '+memory|usage', '%R~sse:{news*']);
    const url = `redis://reader:secret@127.0.0.1:${redis.port}`;
    assert.ok((await listed(url, 'news')).bytes > 0);
    await redis.cli(['ACL', 'SETUSER', 'reader', '-memory|usage']);
    const history = await listed(url, 'news');
    assert.deepEqual([history.bytes, data(history)], [null, ['1', '2', '3']]);
    assert.match(await output(url, ['history', 'news']), /^news: 3 events, kept for /);
    const denied = await run(url, ['history', 'other']);
    assert.deepEqual([denied.code, denied.out], [1, '']);
    assert.match(denied.err, /^sse-publish: redis:\S+ refused: NOPERM [^\n]*\+xrange \+xrevrange \+xlen \+pttl %R~sse:\{CHANNEL\}\n$/);
});

test('a history says which of its events is a snapshot, has a key or is the last; other fields are passed over', async (t) => {
    const redis = await Redis.start(scopeOf(t));
    await output(redis.url, ['--durable', '--snapshot', '--key', 'k "1"', 'news', 'all']);
    await output(redis.url, ['--durable', '--keep-bytes', '1MiB', '--keep-for', '2h', '--end', '1h', 'news', 'end']);
    await redis.cli(['XADD', 'sse:{later}', '5-1', 'epoch', '5', 'prev', '0-0', 'event', '', 'retry', '', 'data', 'y', 'unheard', 'of']);
    const history = await listed(redis.url, 'news');
    assert.deepEqual(history.events.map(({ id, time, event, ...rest }) => rest), [{ data: 'all', key: 'k "1"', snapshot: true }, { data: 'end', end: 3600 }]);
    assert.equal(history.ended, true);
    const text = await output(redis.url, ['history', 'news']);
    assert.match(text, /, kept for 59m \d+s; it has ended\n/);
    assert.match(text, /message {2}key k "1" {2}snapshot {2}all\n[^\n]*message {2}end {2}end\n$/);
    const later = await listed(redis.url, 'later');
    assert.deepEqual([later.ended, data(later)], [false, ['y']]);
});

test('what sse_publish did not write is refused', async (t) => {
    const redis = await Redis.start(scopeOf(t));
    await redis.cli(['XADD', 'sse:{news}', '*', 'a', 'b']);
    await redis.cli(['SET', 'sse:{other}', 'x']);
    await redis.cli(['XADD', 'sse:{retry}', '5-1', 'epoch', '5', 'prev', '', 'event', '', 'retry', '1,"x":\x1b[31m', 'data', 'y']);
    const foreign = /holds entries that sse_publish did not write/;
    for (const [channel, said] of [['news', foreign], ['other', /WRONGTYPE/], ['retry', foreign]]) {
        const { code, out, err } = await run(redis.url, ['history', '--json', channel]);
        assert.deepEqual([code, out], [1, '']);
        assert.match(err, said);
    }
});

test('in a cluster the owner of the slot is asked, also while the slot moves', async (t) => {
    const scope = scopeOf(t);
    const cluster = await RedisCluster.start(scope, { masters: 3 });
    for (const channel of ['a', 'b', 'c']) {
        await keep(cluster.url, channel, 70);
        assert.equal(data(await listed(cluster.url, channel)).length, 70);
    }
    const [slot, owner] = [slotOf('a'), await cluster.ownerOf(slotOf('a'))];
    const to = cluster.masters.find((node) => node !== owner);
    await to.cli(['CLUSTER', 'SETSLOT', String(slot), 'IMPORTING', owner.id]);
    await owner.cli(['CLUSTER', 'SETSLOT', String(slot), 'MIGRATING', to.id]);
    await owner.cli(['MIGRATE', '127.0.0.1', String(to.port), 'sse:{a}', '0', '5000']);
    assert.equal(data(await listed(cluster.url, 'a')).length, 70);
});

test('behind sentinels the master is asked', async (t) => {
    const scope = scopeOf(t);
    const { url } = await Watched.start(scope, { replicas: 1, sentinels: 1 });
    await keep(url, 'news', 2);
    assert.deepEqual(data(await listed(url, 'news')), ['1', '2']);
});

test('a channel that is called like a command is written behind --', async (t) => {
    const redis = await Redis.start(scopeOf(t));
    for (const word of ['history', 'gateways', 'subscribe', 'doctor']) {
        assert.equal(await output(redis.url, ['--json', '--', word, 'hello']), `{"channel":"${word}","receivers":0}\n`);
        assert.equal(await output(redis.url, ['--json', '--', word], { input: 'x' }), `{"channel":"${word}","receivers":0}\n`);
    }
    assert.equal(await output(redis.url, ['history', '--', 'history']), 'history: nothing is kept\n');
    assert.equal(await output(redis.url, ['history', '--', '-x']), '-x: nothing is kept\n');
});

const USAGE = {
    'no channel': [['history'], 'sse-publish -- history'],
    'two channels': [['history', 'hello', 'world'], 'sse-publish -- history'],
    'an option of publishing': [['--event', 'x', 'history', 'news'], '--event is not for it'],
    'an operand of gateways': [['gateways', 'news'], 'sse-publish -- gateways'],
    'an option of history where one publishes': [['--count', '3', 'news', 'x'], '--count is not for publishing'],
    'the id of a client': [['history', '--after', 'pLPJEI2AsO6f', 'news'], '--after'],
    'a reserved channel': [['history', 'sse:x'], 'reserved'],
    'the option that gateways was': [['--gateways'], '--gateways'],
};

for (const [name, [args, mention]] of Object.entries(USAGE)) {
    test(`exit 2 and one line for ${name}`, () => isUsageError(args, mention));
}

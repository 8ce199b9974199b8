// sse-publish --lines over a time in which its connection to Redis ends: no line is lost without a word, and none is sent twice.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Authority } from '../lib/certificates.mjs';
import { brokenAt, connect, history, keyOf, listen } from '../lib/durable.mjs';
import { Publisher } from '../lib/publisher.mjs';
import { Redis } from '../lib/redis.mjs';
import { relayTo } from '../lib/relay.mjs';
import { scopeOf } from '../lib/scope.mjs';
import { until } from '../lib/wait.mjs';

const texts = (heard) => heard.map((payload) => payload.toString().split('\n\n').at(-1));

/** The ids of the connections that publish, as Redis knows them. */
const publishers = async (client) => (await client.client('LIST', 'TYPE', 'normal')).split('\n')
    .filter((line) => /cmd=(publish|fcall|evalsha?) /.test(line)).map((line) => line.match(/^id=(\d+)/)[1]);

/** Ends the connections that publish, as `timeout` does. */
async function hangUp(client) {
    const ids = await until('a connection that publishes', async () => (await publishers(client)).join(' '));
    for (const id of ids.split(' ')) await client.client('KILL', 'ID', id);
}

for (const kind of ['plain', 'durable', 'plain by TLS']) {
    test(`a connection that Redis closed while it was idle is made anew for the next line: ${kind}`, async (t) => {
        const scope = scopeOf(t);
        const ca = await Authority.create(scope);
        const secure = { ca, ...(await ca.sign('redis')) };
        const redis = await Redis.start(scope, kind.endsWith('TLS') ? { secure } : {});
        const client = connect(scope, redis);
        const heard = await listen(scope, redis, 'news');
        const args = { plain: [], durable: ['--durable'] }[kind] ?? ['--redis-ca', ca.cert];
        const publisher = new Publisher(scope, redis.url, [...args, '--lines', 'news']);
        for (const [i, text] of ['one', 'two', 'three'].entries()) {
            publisher.write(`${text}\n`);
            await heard.count(i + 1);
            await hangUp(client);
        }
        await publisher.ends(0, /^3 lines, 1 gateway/, /^$/);
        assert.deepEqual(texts(heard), ['one', 'two', 'three']);
        if (kind === 'durable') assert.equal(brokenAt(await history(client, 'news')), '');
    });
}

for (const [kind, args] of [['plain', []], ['durable', ['--durable']]]) {
    test(`a Redis that was started again takes the next lines, which wait for it: ${kind}`, async (t) => {
        const scope = scopeOf(t);
        const redis = await Redis.start(scope);
        const before = await listen(scope, redis, 'news');
        const publisher = new Publisher(scope, redis.url, [...args, '--lines', '--timeout', '20s', 'news']);
        publisher.write('one\n');
        await before.count(1);
        await redis.kill();
        publisher.write('two\nthree\n'); // while nobody is there
        await redis.run(); // without the function that the durable ones need
        await publisher.ends(0, /^3 lines/, /^(sse-publish: warning: [^\n]+\n)?$/);
    });
}

test('one event from standard input survives a connection that ended before the data did', async (t) => {
    const scope = scopeOf(t);
    const redis = await Redis.start(scope, { config: ['--timeout', '1'] });
    const client = connect(scope, redis);
    const heard = await listen(scope, redis, 'news');
    const publisher = new Publisher(scope, redis.url, ['news']);
    const others = async () => Number((await client.info('clients')).match(/connected_clients:(\d+)/)[1]) - 2;
    publisher.write('one');
    await until('its connection', async () => (await others()) === 1, { every: 10 });
    await until('Redis to close it', async () => (await others()) === 0);
    await publisher.ends(0, /^1 gateway\n$/, /^$/);
    await heard.count(1);
});

test('where it cannot be known whether Redis took a line, it is named, not sent again, and the status is 1', async (t) => {
    for (const [lines, named] of [['two\n', 'line 2 was'], ['two\nthree\nfour\n', 'lines 2 to 4 were']]) {
        const scope = scopeOf(t);
        const redis = await Redis.start(scope);
        const heard = await listen(scope, redis, 'news');
        const url = await relayTo(scope, redis, (data, number, near) => !data.includes('two') || near.destroy() === undefined);
        const publisher = new Publisher(scope, url, ['--lines', 'news']);
        publisher.write('one\n');
        await heard.count(1);
        publisher.write(lines);
        await publisher.ends(1, /^$/, new RegExp(`^sse-publish: [^\\n]+; whether ${named} published is not known\\nsse-publish: Redis confirmed 1 lines? before that\\n$`));
        assert.deepEqual(texts(heard).slice(1).filter((text) => !lines.includes(text)), []);
    }
});

test('a line that was not sent whole when the connection ended goes again, and arrives once', async (t) => {
    const scope = scopeOf(t);
    const redis = await Redis.start(scope);
    const heard = await listen(scope, redis, 'news');
    // Closed with bytes unread, and far more on their way than sockets hold.
    const url = await relayTo(scope, redis, (data, number, near) => number > 0 || !data.includes('large') || near.destroy() === undefined);
    const publisher = new Publisher(scope, url, ['--lines', 'news']);
    const large = `large ${'x'.repeat(12 << 20)}`;
    publisher.write('one\n');
    await heard.count(1);
    publisher.write(`${large}\nthree\n`);
    await publisher.ends(0, /^3 lines, 1 gateway\n$/, /^(sse-publish: warning: [^\n]+\n)?$/);
    await heard.count(3);
    assert.deepEqual(texts(heard).map((text) => text.length), [3, large.length, 5]);
});

test('the same of one event', async (t) => {
    const scope = scopeOf(t);
    const redis = await Redis.start(scope);
    const url = await relayTo(scope, redis, (data, number, near) => near.destroy() && false);
    const publisher = new Publisher(scope, url, ['news', 'x']);
    await publisher.ends(1, /^$/, /^sse-publish: [^\n]+; whether the event was published is not known\n$/);
});

test('a connection that has died without a word, as behind a NAT, is noticed before a line is lost in it', async (t) => {
    const scope = scopeOf(t);
    const redis = await Redis.start(scope);
    const heard = await listen(scope, redis, 'news');
    let dead = false;
    const url = await relayTo(scope, redis, (data, number) => number > 0 || !dead);
    const publisher = new Publisher(scope, url, ['--lines', '--timeout', '300ms', 'news']);
    publisher.write('one\n');
    await heard.count(1);
    dead = true;
    const since = performance.now();
    await until('it to be idle for more than a second', () => performance.now() - since > 1100, { every: 50 });
    publisher.write('two\n');
    await heard.count(2);
    await publisher.ends(0, /^2 lines, 1 gateway\n$/, /^$/);
});

test('a connection that is cut while many lines are on their way: each is there once, or is named', async (t) => {
    const scope = scopeOf(t);
    const redis = await Redis.start(scope);
    const client = connect(scope, redis);
    const lines = Array.from({ length: 20000 }, (_, i) => `line ${i + 1}`);
    for (const at of [1, 2500, 9000]) {
        const channel = `cut:${at}`;
        const publisher = new Publisher(scope, redis.url, ['--durable', '--lines', '--keep', '20000', channel]);
        publisher.write(`${lines.join('\n')}\n`);
        publisher.child.stdin.end();
        await until(`${at} lines`, async () => (await client.xlen(keyOf(channel))) >= at, { every: 0 });
        await hangUp(client);
        const code = await publisher.ended;
        const kept = (await history(client, channel)).map((e) => e.data);
        assert.deepEqual(kept, lines.slice(0, kept.length));
        if (code === 0) {
            assert.equal(kept.length, lines.length);
            continue;
        }
        const [, first, last] = /whether lines? (\d+)(?: to (\d+))? w\w+ published is not known/.exec(publisher.err) ?? assert.fail(publisher.err);
        const confirmed = Number(/Redis confirmed (\d+) lines? before that/.exec(publisher.err)[1]);
        assert.equal(confirmed, Number(first) - 1);
        assert.ok(kept.length >= confirmed && kept.length <= Number(last ?? first), `${kept.length} kept; ${publisher.err}`);
    }
});

test('a line that Redis refuses is named, with what it confirmed before and after it', async (t) => {
    const scope = scopeOf(t);
    const redis = await Redis.start(scope);
    const client = connect(scope, redis);
    const publisher = new Publisher(scope, redis.url, ['--durable', '--lines', 'news']);
    const heard = await listen(scope, redis, 'news');
    publisher.write('one\n');
    await heard.count(1);
    await client.call('ACL', 'SETUSER', 'default', '-xadd');
    publisher.write('two\n');
    await publisher.ends(1, /^$/, /^sse-publish: line 2: redis:\S+ refused: NOPERM [^\n]+\nsse-publish: Redis confirmed 1 line before that\n$/);
});

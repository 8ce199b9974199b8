// Channels that end: the last event, gateway:end, a clean end, and 204 to who comes back with everything read.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { connect, keyOf, load } from '../lib/durable.mjs';
import { Gateway } from '../lib/gateway.mjs';
import { exchange } from '../lib/raw_http.mjs';
import { scopeOf } from '../lib/scope.mjs';
import { Stream } from '../lib/stream.mjs';
import { openStream, openStreams } from '../lib/streams.mjs';
import { startTier } from '../lib/tier.mjs';
import { until } from '../lib/wait.mjs';

async function startEnding(t, options) {
    const scope = scopeOf(t);
    const tier = await startTier(scope, options);
    const client = connect(scope, tier.redis, { retryStrategy: () => 50 });
    await load(client);
    return { scope, ...tier, client, ...publisherOf(client) };
}

function publisherOf(client) {
    const publish = (channel, data, ...more) => client.call('FCALL', 'sse_publish', '1', channel, data, '', '', ...more);
    /** Events `from` to `to`, the last of which ends the channel. */
    const publishUpTo = async (channel, from, to) => {
        for (let i = from; i < to; i++) await publish(channel, `${channel} ${i}`);
        return publish(channel, `${channel} ${to}`, 'end', '600');
    };
    return { publish, publishUpTo };
}

const query = (channels, id) => `/stream?${channels.map((c) => `channel=${c}`).join('&')}${id ? `&last_event_id=${id}` : ''}`;
const words = (stream) => stream.events.map((e) => (e.type === 'message' ? e.data : `${e.type.slice('gateway:'.length)} ${JSON.parse(e.data).channel ?? JSON.parse(e.data).reason}`));
const range = (channel, from, to) => Array.from({ length: to - from + 1 }, (_, i) => `${channel} ${from + i}`);

/** The gateway answers 204, and says so to no cache. */
async function answers204(port, path, options) {
    const answer = await Stream.open(port, path, options);
    await answer.closed;
    assert.equal(answer.status, 204);
    assert.equal(answer.headers['cache-control'], 'no-store');
    assert.equal(answer.headers['content-length'], undefined);
    assert.equal(answer.headers['transfer-encoding'], undefined);
    assert.equal(answer.headers['content-type'], undefined);
    assert.equal(answer.fault, undefined);
    return answer;
}

/** Reads a stream that is to end cleanly. */
async function readToEnd(scope, port, path, options) {
    const stream = await openStream(scope, port, path, options);
    assert.equal(await stream.ended(), 'clean');
    assert.equal(stream.fault, undefined);
    return stream;
}

test('streams get the last event, gateway:end, and a clean end; who comes back gets 204, at any gateway', async (t) => {
    const { scope, gateways, publishUpTo } = await startEnding(t, { gateways: 2 });
    const streams = await openStreams(scope, gateways.flatMap(({ port }) => Array(8).fill({ port, path: query(['a']) })));
    await publishUpTo('a', 1, 3);
    for (const stream of streams) {
        assert.equal(await stream.ended(), 'clean');
        assert.deepEqual(words(stream), [...range('a', 1, 3), 'end a']);
        assert.equal(stream.events[3].data, '{"channel":"a"}');
        assert.notEqual(stream.events[3].lastEventId, '');
        assert.equal(stream.lastEventId, stream.events[2].lastEventId);
    }
    for (const { port } of gateways) {
        for (let i = 0; i < 4; i++) {
            await answers204(port, query(['a'], streams[i].lastEventId));
            await answers204(port, query(['a']), { headers: { 'Last-Event-ID': streams[i].lastEventId } });
        }
    }
    for (const gateway of gateways) {
        await gateway.metricIs('closes_total', 16, { labels: { reason: 'ended' } });
        await gateway.metricIs('connections', 0);
    }
});

test('a client that misses events gets them first, then the end, then 204', async (t) => {
    const { scope, gateway, publish, publishUpTo } = await startEnding(t);
    await publish('a', 'a 1');
    const first = await openStream(scope, gateway.port, query(['a']));
    await publish('a', 'a 2');
    await first.count(1);
    first.close();
    await publishUpTo('a', 3, 5);
    const second = await readToEnd(scope, gateway.port, query(['a'], first.lastEventId));
    assert.deepEqual(words(second), [...range('a', 3, 5), 'end a']);
    await answers204(gateway.port, query(['a'], second.lastEventId));
    // The connection was lost between the last event and gateway:end.
    await answers204(gateway.port, query(['a'], second.events[2].lastEventId));
    // And each event before it.
    const third = await readToEnd(scope, gateway.port, query(['a'], second.events[1].lastEventId));
    assert.deepEqual(words(third), ['a 5', 'end a']);
});

test('who comes without a cursor to channels that have all ended gets 204, and with earliest all that is kept', async (t) => {
    const { scope, gateway, publishUpTo } = await startEnding(t);
    await publishUpTo('a', 1, 4);
    await publishUpTo('b', 1, 1);
    await answers204(gateway.port, query(['a']));
    await answers204(gateway.port, query(['a', 'b']));
    const all = await readToEnd(scope, gateway.port, query(['a', 'b'], 'earliest'));
    assert.deepEqual(words(all).filter((w) => w.includes('a')), [...range('a', 1, 4), 'end a']);
    assert.deepEqual(words(all).filter((w) => w.includes('b')), ['b 1', 'end b']);
    await answers204(gateway.port, query(['a', 'b'], all.lastEventId));
    // A cursor that no gateway has made: nobody knows what it stands for.
    const lost = await readToEnd(scope, gateway.port, query(['a'], 'nonsense'));
    assert.deepEqual(words(lost), ['gap a', 'end a']);
});

test('who comes without a cursor to a channel that has ended with a snapshot gets that, and the end', async (t) => {
    const { scope, gateway, publish } = await startEnding(t);
    await publish('a', 'a 1');
    await publish('a', 'a 1 to 2', 'snapshot', '1');
    await publish('a', 'a 3', 'end', '600');
    await publish('b', 'all', 'snapshot', '1', 'end', '600');
    const rest = await readToEnd(scope, gateway.port, query(['a']));
    assert.deepEqual(words(rest), ['a 1 to 2', 'a 3', 'end a']);
    const all = await readToEnd(scope, gateway.port, query(['b']));
    assert.deepEqual(words(all), ['all', 'end b']);
    await answers204(gateway.port, query(['b'], all.lastEventId));
    await answers204(gateway.port, query(['a', 'b'], (await readToEnd(scope, gateway.port, query(['a', 'b']))).lastEventId));
});

test('a stream with one open channel stays open, and is told at each opening what has ended', async (t) => {
    const { scope, gateway, publish, publishUpTo } = await startEnding(t);
    await publish('open', 'open 1');
    const stream = await openStream(scope, gateway.port, query(['a', 'b', 'open']));
    await publishUpTo('a', 1, 2);
    await stream.count(3);
    await publish('open', 'open 2');
    await stream.count(4);
    assert.deepEqual(words(stream), [...range('a', 1, 2), 'end a', 'open 2']);
    stream.close();
    await publishUpTo('b', 1, 1);

    const again = await openStream(scope, gateway.port, query(['a', 'b', 'open'], stream.lastEventId));
    await again.count(3);
    assert.deepEqual(words(again).sort(), ['b 1', 'end a', 'end b']);
    await publish('open', 'open 3', 'end', '600');
    assert.equal(await again.ended(), 'clean');
    assert.deepEqual(words(again).slice(3), ['open 3', 'end open']);
    await answers204(gateway.port, query(['a', 'b', 'open'], again.lastEventId));
    // A newcomer of ended channels and an open one.
    const mixed = await openStream(scope, gateway.port, query(['a', 'b', 'silent']));
    await mixed.count(2);
    assert.deepEqual(words(mixed).sort(), ['end a', 'end b']);
    assert.ok(mixed.open);
});

test('a plain channel, or one without a history, never ends', async (t) => {
    const { scope, redis, gateway, publishUpTo } = await startEnding(t, { args: ['--durable', 'd:*'] });
    const streams = await openStreams(scope, ['d:1', 'other'].map((c) => ({ port: gateway.port, path: query([c, 'plain']) })));
    const alone = await openStream(scope, gateway.port, query(['other']));
    await publishUpTo('d:1', 1, 1);
    await publishUpTo('other', 1, 1);
    await redis.publish('plain', 'more');
    await streams[0].count(3);
    await streams[1].count(2);
    assert.deepEqual(words(streams[0]).sort(), ['d:1 1', 'end d:1', 'more']);
    assert.deepEqual(words(streams[1]).sort(), ['more', 'other 1']);
    await alone.count(1);
    assert.ok(streams.every((s) => s.open) && alone.open);
    const newcomer = await openStream(scope, gateway.port, query(['other']));
    assert.equal(newcomer.status, 200);
});

test('an event behind the end begins a new life: open streams go on, an old cursor is told', async (t) => {
    const { scope, gateway, publish, publishUpTo } = await startEnding(t);
    const mixed = await openStream(scope, gateway.port, query(['a', 'open']));
    const alone = await openStream(scope, gateway.port, query(['a']));
    await publishUpTo('a', 1, 3);
    assert.equal(await alone.ended(), 'clean');
    await mixed.count(4);
    await publish('a', 'a 1 anew');
    await mixed.count(5);
    assert.deepEqual(words(mixed), [...range('a', 1, 3), 'end a', 'a 1 anew']);

    const old = await openStream(scope, gateway.port, query(['a'], alone.lastEventId));
    await old.count(2);
    assert.deepEqual(words(old), ['gap a', 'a 1 anew']);
    const fresh = await openStream(scope, gateway.port, query(['a']));
    assert.ok(old.open && fresh.open);
    await publish('a', 'a 2 anew', 'end', '600');
    for (const stream of [old, fresh]) {
        assert.equal(await stream.ended(), 'clean');
        assert.deepEqual(words(stream).slice(-2), ['a 2 anew', 'end a']);
        await answers204(gateway.port, query(['a'], stream.lastEventId));
    }
    await mixed.count(7);
    assert.ok(mixed.open);
});

test('a history of which nothing but the end is kept: the gap, the end, then 204', async (t) => {
    const { scope, gateway, client, publish } = await startEnding(t);
    await publish('a', 'a 1');
    const first = await openStream(scope, gateway.port, query(['a']));
    await publish('a', 'a 2');
    await first.count(1);
    first.close();
    await publish('a', 'a 3');
    await until('nobody to remember more than Redis', async () => (await gateway.metric('connections')) === 0);
    await publish('a', 'a 4', 'maxlen', '1', 'end', '600');
    assert.equal(await client.xlen(keyOf('a')), 1);
    const second = await readToEnd(scope, gateway.port, query(['a'], first.lastEventId));
    assert.deepEqual(words(second), ['gap a', 'a 4', 'end a']);
    assert.equal(second.events[0].data, '{"channel":"a","from":3,"to":3}');
    await answers204(gateway.port, query(['a'], second.lastEventId));
});

test('a batch whose last event ends the channel: all its events, then the end', async (t) => {
    const { scope, gateway, client } = await startEnding(t);
    await client.call('FCALL', 'sse_append', '1', 'a', '2', '', 'a 1', '', 'a 2');
    const stream = await openStream(scope, gateway.port, query(['a']));
    await client.call('FCALL', 'sse_append', '1', 'a', '3', '', 'a 3', '', 'a 4', '', 'a 5', 'end', '600');
    assert.equal(await stream.ended(), 'clean');
    assert.deepEqual(words(stream), [...range('a', 3, 5), 'end a']);
    const all = await readToEnd(scope, gateway.port, query(['a'], 'earliest'));
    assert.deepEqual(words(all), [...range('a', 1, 5), 'end a']);
    await answers204(gateway.port, query(['a'], stream.lastEventId));
});

test('control=1: gateway:close says ended; the answers follow the rules of other answers', async (t) => {
    const { scope, gateway, publishUpTo } = await startEnding(t, { args: ['--cors-origin', 'https://page.example', '--access-log'] });
    const stream = await openStream(scope, gateway.port, `${query(['a'])}&control=1&source=1`);
    const old = exchange(gateway.port, `GET ${query(['a'])} HTTP/1.0\r\nAccept: text/event-stream\r\n\r\n`);
    await gateway.metricIs('connections', 2);
    await publishUpTo('a', 1, 2);
    assert.equal(await stream.ended(), 'clean');
    assert.deepEqual(stream.events.map((e) => e.type), ['gateway:open', 'message', 'message', 'gateway:end', 'gateway:close']);
    assert.equal(stream.events[4].data, '{"reason":"ended"}');
    const { body } = await old; // of HTTP/1.0
    assert.match(body, /data: a 2\n\nid: \S+\nevent: gateway:end\ndata: \{"channel":"a"\}\n\nretry: \d+\n\n$/);
    await until('the access log', () => /reason=ended|"reason":"ended"/.test(gateway.process.log()));

    const headers = { Origin: 'https://page.example' };
    const answer = await answers204(gateway.port, query(['a'], stream.lastEventId), { headers });
    assert.equal(answer.headers['access-control-allow-origin'], 'https://page.example');
    assert.equal(answer.headers['access-control-allow-credentials'], 'true');
    assert.equal(answer.headers.vary, 'Origin');
    const head = await exchange(gateway.port, `HEAD ${query(['a'])} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`);
    assert.equal(head.status, 200); // Redis is not asked
});

test('a gateway that was not there when the channel ended knows it from Redis', async (t) => {
    const { scope, redis, gateway, publishUpTo } = await startEnding(t);
    const stream = await openStream(scope, gateway.port, query(['a']));
    await publishUpTo('a', 1, 2);
    await stream.ended();
    gateway.process.signal('SIGKILL');
    await gateway.process.exit();
    const other = await Gateway.start(scope, { redis });
    await answers204(other.port, query(['a'], stream.lastEventId));
    const middle = await readToEnd(scope, other.port, query(['a'], stream.events[0].lastEventId));
    assert.deepEqual(words(middle), ['a 2', 'end a']);
});

test('an end outlives a restart of Redis, and is confirmed anew before anybody is answered 204', async (t) => {
    const { scope, redis, gateway, publish, publishUpTo } = await startEnding(t, { args: ['--durable', '*'], redis: { config: ['--appendonly', 'yes', '--appendfsync', 'always'] } });
    await publish('open', 'open 1');
    const mixed = await openStream(scope, gateway.port, query(['a', 'open']));
    await publishUpTo('a', 1, 2);
    await mixed.count(3);
    await redis.kill();
    await gateway.process.ready('is not ready', async () => !(await gateway.ready()), { ms: 30000 });
    const meanwhile = await Stream.open(gateway.port, query(['a'], mixed.lastEventId));
    assert.equal(meanwhile.status, 200); // refused for a while
    await meanwhile.closed;
    assert.deepEqual(meanwhile.events, []);
    await redis.run();
    await gateway.process.ready('is ready', () => gateway.ready(), { ms: 30000 });
    await until('204', async () => {
        const answer = await Stream.open(gateway.port, query(['a'], mixed.lastEventId));
        answer.close();
        return answer.status === 204;
    });
    await publishUpTo('open', 2, 2);
    assert.equal(await mixed.ended(), 'clean');
    assert.deepEqual(words(mixed).filter((w) => w.startsWith('open') || w === 'end open'), ['open 2', 'end open']);
    assert.deepEqual(words(mixed).filter((w) => w.startsWith('gap')), []);
});

test('an end that came while the gateway was cut off from Redis ends its streams when it is back', async (t) => {
    const { scope, gateway, client, publish } = await startEnding(t, { args: ['--durable', '*'] });
    await publish('a', 'a 1');
    const streams = await openStreams(scope, Array(6).fill({ port: gateway.port, path: query(['a']) }));
    // The subscriber's connection is cut, and the event goes by before it is back.
    await client.pipeline().call('CLIENT', 'KILL', 'TYPE', 'pubsub')
        .call('FCALL', 'sse_publish', '1', 'a', 'a 2', '', '', 'end', '600').exec();
    for (const stream of streams) {
        assert.equal(await stream.ended(), 'clean');
        assert.deepEqual(words(stream), ['a 2', 'end a']);
    }
});

test('a failover that has lost the end opens the channel again', async (t) => {
    const { scope, gateway, client, publish } = await startEnding(t, { args: ['--durable', '*'] });
    await publish('a', 'a 1');
    await publish('open', 'open 1');
    const [alone, mixed] = await openStreams(scope, [['a'], ['a', 'open']].map((channels) => ({ port: gateway.port, path: query(channels) })));
    const before = await client.dumpBuffer(keyOf('a'));
    await publish('a', 'a 2 lost', 'end', '600');
    assert.equal(await alone.ended(), 'clean');
    await mixed.count(2);
    // As a replica that never had it.
    await client.restore(keyOf('a'), 0, before, 'REPLACE');
    await client.call('CLIENT', 'KILL', 'TYPE', 'pubsub');
    await publish('a', 'a 2 again');
    await mixed.count(4);
    assert.deepEqual(words(mixed), ['a 2 lost', 'end a', 'gap a', 'a 2 again']);
    await until('the gateway to be ready', () => gateway.ready());
    const old = await openStream(scope, gateway.port, query(['a'], alone.lastEventId));
    await old.count(2);
    assert.deepEqual(words(old), ['gap a', 'a 2 again']);
    await publish('a', 'a 3', 'end', '600');
    assert.equal(await old.ended(), 'clean');
    await mixed.count(6);
    assert.deepEqual(words(mixed).slice(4), ['a 3', 'end a']);
    await answers204(gateway.port, query(['a'], old.lastEventId));
});

test('a slow client gets all bytes that wait for it before its stream ends', async (t) => {
    const { scope, gateway, publish } = await startEnding(t, { args: ['--queue-limit', '64MiB'] });
    const slow = await openStream(scope, gateway.port, query(['a']));
    slow.socket.pause();
    const large = 'x'.repeat(200_000);
    let sent = 0;
    await until('bytes that wait in the gateway', async () => {
        await publish('a', `${sent++} ${large}`);
        return (await gateway.metric('queued_bytes')) > 2_000_000;
    }, { every: 0, ms: 30000 });
    await publish('a', 'last', 'end', '600');
    await gateway.metricIs('deliveries_total', sent + 2); // with gateway:end
    slow.socket.resume();
    assert.equal(await slow.ended(), 'clean');
    assert.deepEqual(slow.events.slice(0, -2).map((e) => Number(e.data.split(' ')[0])), Array.from({ length: sent }, (_, i) => i));
    assert.deepEqual(slow.events.slice(-2).map((e) => e.type === 'message' ? e.data : e.type), ['last', 'gateway:end']);
    await gateway.metricIs('queued_bytes', 0);
    await gateway.metricIs('connections', 0);
});

test('a drain lets ended streams flush, too', async (t) => {
    const { scope, gateway, publish } = await startEnding(t, { args: ['--queue-limit', '64MiB'] });
    const slow = await openStream(scope, gateway.port, query(['a']));
    slow.socket.pause();
    const large = 'x'.repeat(200_000);
    let sent = 0;
    await until('bytes that wait in the gateway', async () => {
        await publish('a', `${sent++} ${large}`);
        return (await gateway.metric('queued_bytes')) > 2_000_000;
    }, { every: 0, ms: 30000 });
    await publish('a', 'last', 'end', '600');
    await gateway.metricIs('deliveries_total', sent + 2); // with gateway:end
    gateway.terminate();
    slow.socket.resume();
    assert.equal(await slow.ended(), 'clean');
    assert.equal(slow.events.at(-1).type, 'gateway:end');
    assert.equal(slow.events.length, sent + 2);
    assert.equal((await gateway.process.exit()).code, 0);
});

test('a stream that lags in one channel while the other one ends is ended when it has caught up', async (t) => {
    const { scope, gateway, client, publish, publishUpTo } = await startEnding(t);
    await publish('a', 'a 0');
    await publish('b', 'b 0');
    const first = await openStream(scope, gateway.port, query(['a', 'b']));
    await until('an id', () => first.lastEventId !== '');
    first.close();
    const large = 'y'.repeat(100_000);
    const pipeline = client.pipeline();
    for (let i = 1; i <= 100; i++) pipeline.call('FCALL', 'sse_publish', '1', 'a', `a ${i} ${large}`, '', '', ...(i === 100 ? ['end', '600'] : []));
    await pipeline.exec();
    const stream = await openStream(scope, gateway.port, query(['a', 'b'], first.lastEventId));
    stream.socket.pause();
    await publishUpTo('b', 1, 2);
    await until('the end of b to be known', async () => (await client.xlen(keyOf('b'))) === 3);
    stream.socket.resume();
    assert.equal(await stream.ended(), 'clean');
    const of = (channel) => stream.events.filter((e) => e.type === 'message' && e.data.startsWith(channel)).map((e) => Number(e.data.split(' ')[1]));
    assert.deepEqual(of('a'), Array.from({ length: 100 }, (_, i) => i + 1));
    assert.deepEqual(of('b'), [1, 2]);
    assert.deepEqual(words(stream).filter((w) => w.startsWith('end')).sort(), ['end a', 'end b']);
    await answers204(gateway.port, query(['a', 'b'], stream.lastEventId));
});

test('through NGINX, 204 stays 204', async (t) => {
    const { scope, nginx, publishUpTo } = await startEnding(t, { gateways: 2, nginx: true });
    const stream = await openStream(scope, nginx.port, query(['a']));
    await publishUpTo('a', 1, 2);
    assert.equal(await stream.ended(), 'clean');
    const again = await Stream.open(nginx.port, query(['a'], stream.lastEventId));
    assert.equal(again.status, 204);
    assert.equal(again.headers['cache-control'], 'no-store');
    again.close();
});

test('an end that nobody read in time leaves what a channel without any event leaves', async (t) => {
    const { scope, gateway, client, publish } = await startEnding(t);
    const stream = await openStream(scope, gateway.port, query(['a']));
    await publish('a', 'a 1', 'end', '1');
    assert.equal(await stream.ended(), 'clean');
    await until('the history to be gone', async () => (await client.exists(keyOf('a'))) === 0);
    await gateway.metricIs('connections', 0);
    const old = await openStream(scope, gateway.port, query(['a'], stream.lastEventId));
    const fresh = await openStream(scope, gateway.port, query(['a']));
    assert.ok(old.open && fresh.open);
    await publish('a', 'a 1 anew');
    await fresh.count(1);
    assert.deepEqual(words(fresh), ['a 1 anew']);
    await old.count(1);
});

test('an end that no stream can carry ends them all the same, behind a gap', async (t) => {
    const { scope, gateway, client, publish } = await startEnding(t, { args: ['--durable', '*'] });
    const streams = await openStreams(scope, Array(3).fill({ port: gateway.port, path: query(['a']) }));
    await publish('a', 'a 1');
    await client.call('FCALL', 'sse_publish', '1', 'a', Buffer.from([0xe2, 0x82]), '', '', 'end', '600');
    for (const stream of streams) {
        assert.equal(await stream.ended(), 'clean');
        assert.deepEqual(words(stream), ['a 1', 'gap a', 'end a']);
    }
    await answers204(gateway.port, query(['a'], streams[0].lastEventId));
    // The same in a batch.
    await client.call('FCALL', 'sse_append', '1', 'b', '1', '', 'b 1');
    const mixed = await openStream(scope, gateway.port, query(['b']));
    await client.call('FCALL', 'sse_append', '1', 'b', '2', '', 'b 2', '', Buffer.from([0xff]), 'end', '600');
    assert.equal(await mixed.ended(), 'clean');
    assert.deepEqual(words(mixed), ['b 2', 'gap b', 'end b']);
});

test('a stream with an open channel goes on, and is told again of what has ended, when Redis goes and comes back', async (t) => {
    const { scope, gateway, client, publish, publishUpTo } = await startEnding(t, { args: ['--durable', '*'] });
    await publish('b', 'b 1');
    const stream = await openStream(scope, gateway.port, query(['a', 'b']));
    await publishUpTo('a', 1, 1);
    await until('the end', () => words(stream).includes('end a'));
    for (let i = 0; i < 2; i++) {
        await client.client('KILL', 'TYPE', 'pubsub');
        await until('both channels to be subscribed anew', async () => (await client.pubsub('NUMSUB', 'a', 'b')).join() === 'a,1,b,1');
    }
    await publish('b', 'b 2');
    await until('what is published then', () => words(stream).includes('b 2'));
    const told = words(stream);
    assert.deepEqual(told.filter((word, i) => told.indexOf(word) === i), ['a 1', 'end a', 'b 2']);
    // The end of the last channel ends it.
    await publishUpTo('b', 3, 3);
    assert.equal(await stream.ended(), 'clean');
    assert.deepEqual(words(stream).slice(told.length), ['b 3', 'end b']);
});

test('a channel ends while the gateway is cut off from Redis, and the other one of its stream had ended before', async (t) => {
    const { scope, gateway, client, publish, publishUpTo } = await startEnding(t, { args: ['--durable', '*'] });
    await publish('b', 'b 0');
    const stream = await openStream(scope, gateway.port, query(['a', 'b']));
    await publishUpTo('a', 1, 1);
    await until('the end', () => words(stream).includes('end a'));
    await client.multi().client('KILL', 'TYPE', 'pubsub').call('FCALL', 'sse_publish', '1', 'b', 'b 1', '', '', 'end', '600').exec();
    assert.equal(await stream.ended(), 'clean');
    assert.deepEqual(words(stream).filter((word) => word !== 'end a'), ['a 1', 'b 1', 'end b']);
});

test('drop-oldest: a client that did not read learns that a channel has ended, and that its last event is gone', async (t) => {
    const { scope, redis, gateway, publishUpTo } = await startEnding(t, { args: ['--slow-client', 'drop-oldest', '--queue-limit', '65536'] });
    const slow = await openStream(scope, gateway.port, query(['a', 'plain']));
    const dropped = () => gateway.metric('events_dropped_total', { reason: 'slow_client' });
    const flood = async (more) => {
        const goal = (await dropped()) + more;
        await until('events to be dropped', async () => {
            await redis.publishAll(Array(10).fill(['plain', 'x'.repeat(20000)]));
            return (await dropped()) >= goal;
        }, { every: 0, ms: 60000 });
    };
    slow.socket.pause();
    await flood(1);
    await publishUpTo('a', 1, 2);
    await flood(20); // more than --queue-limit holds
    slow.socket.resume();
    await redis.publishAll([['plain', 'newest']]);
    await until('the newest event', () => slow.events.at(-1)?.data === 'newest', { ms: 30000 });
    assert.deepEqual(words(slow).filter((word) => word.endsWith(' a') || word.startsWith('a ')), ['gap a', 'end a']);
    assert.ok(slow.open);
});

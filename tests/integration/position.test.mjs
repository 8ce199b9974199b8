// sse_position: who reads the position, then the data, and opens a stream there, has lost nothing in between.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { connect, FORMS, keyOf, load } from '../lib/durable.mjs';
import { Redis } from '../lib/redis.mjs';
import { scopeOf } from '../lib/scope.mjs';
import { openStream } from '../lib/streams.mjs';
import { startTier } from '../lib/tier.mjs';
import { sleep, until } from '../lib/wait.mjs';

async function startDurable(t, options) {
    const scope = scopeOf(t);
    const tier = await startTier(scope, options);
    const client = connect(scope, tier.redis);
    await load(client);
    const publish = (channel, data, ...rest) => FORMS.function(client, channel, data, '', '', ...rest);
    const publishAll = async (channel, from, to) => {
        for (let i = from; i <= to; i++) await publish(channel, `${channel} ${i}`);
    };
    return { scope, ...tier, client, publish, publishAll };
}

const position = (client, ...channels) => client.call('FCALL_RO', 'sse_position', channels.length, ...channels);
const query = (channels, ...ids) => `/stream?${[...channels.map((c) => `channel=${c}`), ...ids.map((id) => `last_event_id=${id}`)].join('&')}`;
const datas = (stream) => stream.events.map((e) => (e.type === 'message' ? e.data : `${e.type} ${e.data}`));
const of = (stream, channel) => datas(stream).filter((d) => d.startsWith(`${channel} `) || d.startsWith('gateway:'));
const range = (channel, from, to) => Array.from({ length: to - from + 1 }, (_, i) => `${channel} ${from + i}`);

test('what is published between the position and the stream comes with the stream, at any gateway, and nothing else', async (t) => {
    const { scope, gateways, client, publishAll } = await startDurable(t, { gateways: 2 });
    await publishAll('a', 1, 5);
    await publishAll('b', 1, 2);
    const at = await position(client, 'a', keyOf('b'), 'c');
    await publishAll('a', 6, 7);
    await publishAll('b', 3, 3);
    await publishAll('c', 1, 3); // had no history
    for (const gateway of gateways) {
        for (const headers of [undefined, { 'Last-Event-ID': at }]) {
            const stream = await openStream(scope, gateway.port, query(['a', 'b', 'c'], ...(headers ? [] : [at])), { headers });
            await stream.count(6);
            assert.deepEqual(of(stream, 'a'), range('a', 6, 7));
            assert.deepEqual(of(stream, 'b'), range('b', 3, 3));
            assert.deepEqual(of(stream, 'c'), range('c', 1, 3));
            stream.close();
        }
    }
});

test('the position is the id that a gateway gives there, after an end, too', async (t) => {
    const { scope, gateway, client, publishAll, publish } = await startDurable(t);
    await publishAll('a', 1, 5);
    await publishAll('b', 1, 2);
    const at = await position(client, 'a', 'b');
    const fresh = await openStream(scope, gateway.port, query(['a', 'b']));
    await until('an id', () => fresh.lastEventId !== '');
    assert.equal(at, fresh.lastEventId);
    await publish('a', 'a 6', 'end', '3600');
    await fresh.count(1);
    assert.equal(await position(client, 'a', 'b'), fresh.lastEventId);
});

test('a channel without history: its first events come, also to a stream that was cut before them', async (t) => {
    const { scope, gateways, client, publishAll } = await startDurable(t, { gateways: 2 });
    await publishAll('a', 1, 1);
    const at = await position(client, 'a', 'b');
    const first = await openStream(scope, gateways[0].port, query(['a', 'b'], at));
    await publishAll('a', 2, 2);
    await first.count(1);
    first.close();
    await publishAll('b', 1, 2);
    const second = await openStream(scope, gateways[1].port, query(['a', 'b'], first.lastEventId));
    await second.count(2);
    await publishAll('b', 3, 3);
    await second.count(3);
    assert.deepEqual(datas(second), range('b', 1, 3));
});

test('a channel whose history has expired while streams are in it has no gap after its position', async (t) => {
    const { scope, gateway, client, publishAll } = await startDurable(t, { workers: 1 });
    const old = await openStream(scope, gateway.port, query(['a']));
    await publishAll('a', 1, 3);
    await old.count(3);
    await client.del(keyOf('a'));
    const at = await position(client, 'a');
    const stream = await openStream(scope, gateway.port, query(['a'], at));
    await sleep(4500); // for a history that ends early a gateway asks for 3 s
    await publishAll('a', 1, 2);
    await stream.count(2);
    assert.deepEqual(datas(stream), range('a', 1, 2));
});

// A failover that lost the newest event, by a master whose clock was ahead: what the new master has is delivered all the same.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { connect, FORMS, history, keyOf, load } from '../lib/durable.mjs';
import { scopeOf } from '../lib/scope.mjs';
import { openStream } from '../lib/streams.mjs';
import { startTier } from '../lib/tier.mjs';
import { until } from '../lib/wait.mjs';

const CHANNEL = 'c';
const KEY = keyOf(CHANNEL);
const AHEAD_MS = 60000;

const publish = (client, ...texts) => Promise.all(texts.map((text) => FORMS.function(client, CHANNEL, text)));
const texts = (stream) => stream.events.map(({ type, data }) => (type === 'message' ? data : type));

/** Publishes `text` as a master does whose clock is ahead; resolves to a function that makes Redis forget it, as its replica never knew it. */
async function publishAhead(client, text) {
    const last = (await history(client, CHANNEL)).at(-1);
    const before = await client.dumpBuffer(KEY);
    const id = `${last.ms + AHEAD_MS}-${last.offset + 1}`;
    await client.xadd(KEY, id, 'epoch', last.epoch, 'prev', last.id, 'event', '', 'retry', '', 'data', text);
    await client.publish(CHANNEL, `\x1eSSE/1\ndurable: ${id} ${last.id} ${last.epoch}\n\n${text}`);
    return async () => {
        // Not by XDEL and XSETID: Redis from 7.2 on, and Valkey, take no id back that was deleted.
        await client.restore(KEY, 0, before, 'REPLACE');
        await client.call('CLIENT', 'KILL', 'TYPE', 'pubsub');
    };
}

async function start(t) {
    const scope = scopeOf(t);
    const { redis, gateway } = await startTier(scope, { args: ['--durable', CHANNEL] });
    const client = connect(scope, redis);
    await load(client);
    const stream = await openStream(scope, gateway.port, `/stream?channel=${CHANNEL}`);
    await publish(client, 'e1', 'e2', 'e3');
    const forget = await publishAhead(client, 'never');
    await until('the event that will be forgotten', () => texts(stream).includes('never'));
    return { scope, redis, gateway, client, stream, forget };
}

test('a stream that stayed open gets a gap, and all that the new master has', async (t) => {
    const { client, stream, forget } = await start(t);
    await forget();
    await publish(client, 'e4', 'e5');
    await stream.count(7);
    assert.deepEqual(texts(stream), ['e1', 'e2', 'e3', 'never', 'gateway:gap', 'e4', 'e5']);
});

test('a stream that comes back gets a gap, and all that the new master has', async (t) => {
    const { scope, gateway, client, stream, forget } = await start(t);
    const id = stream.lastEventId;
    stream.close();
    await forget();
    await publish(client, 'e4', 'e5');
    await gateway.process.ready('is ready', () => gateway.ready());
    const again = await openStream(scope, gateway.port, `/stream?channel=${CHANNEL}`, { headers: { 'Last-Event-ID': id } });
    await publish(client, 'e6');
    await again.count(4);
    assert.deepEqual(texts(again), ['gateway:gap', 'e4', 'e5', 'e6']);
});

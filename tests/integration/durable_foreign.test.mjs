// Entries that somebody else put into a channel's history: told apart, counted, announced once.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { connect, FORMS, keyOf, load } from '../lib/durable.mjs';
import { scopeOf } from '../lib/scope.mjs';
import { openStream } from '../lib/streams.mjs';
import { startTier } from '../lib/tier.mjs';

const fields = (epoch, prev, data) => ['epoch', epoch, 'prev', prev, 'event', '', 'retry', '', 'data', data];

async function start(t) {
    const scope = scopeOf(t);
    const { redis, gateway } = await startTier(scope);
    const client = connect(scope, redis);
    await load(client);
    const words = async (count) => {
        const stream = await openStream(scope, gateway.port, '/stream?channel=a&last_event_id=earliest');
        await stream.count(count);
        // What is published now comes last, and is heard only when there is no end of what was before.
        await client.publish('a', 'plain');
        await stream.count(count + 1);
        return stream.events.map((e) => (e.type === 'gateway:gap' ? 'gap' : e.data));
    };
    return { client, gateway, words };
}

test('an entry that names another one than that before it is no event, and all are given once', async (t) => {
    const { client, gateway, words } = await start(t);
    await client.xadd(keyOf('a'), '100-2', ...fields('90', '50-1', 'two'));
    await client.xadd(keyOf('a'), '200-3', ...fields('90', '60-2', 'three'));
    assert.deepEqual(await words(2), ['two', 'gap', 'plain']);
    assert.ok((await gateway.metric('history_reads_total')) < 6);
});

test('any number of entries that sse_publish did not write are one gap', async (t) => {
    const { client, gateway, words } = await start(t);
    for (const data of ['one', 'two']) await FORMS.function(client, 'a', data);
    for (let i = 0; i < 40; i++) await client.xadd(keyOf('a'), '*', 'what', 'ever');
    assert.deepEqual(await words(3), ['one', 'two', 'gap', 'plain']);
    assert.ok((await gateway.metric('history_foreign_entries_total')) >= 40);
});

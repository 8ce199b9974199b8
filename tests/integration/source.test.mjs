// &source=1: each event says which channel it is of, in a field that an EventSource does not know.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { connect, FORMS, history, load } from '../lib/durable.mjs';
import { scopeOf } from '../lib/scope.mjs';
import { openStream } from '../lib/streams.mjs';
import { startTier } from '../lib/tier.mjs';
import { until } from '../lib/wait.mjs';

const CHANNELS = '/stream?channel=news&channel=user:42';

async function start(t) {
    const scope = scopeOf(t);
    const tier = await startTier(scope, { args: ['--max-message', '100'] });
    const client = connect(scope, tier.redis);
    await load(client);
    return { scope, ...tier, client, publish: (channel, data, event = '') => FORMS.function(client, channel, data, event) };
}

/** The events of a body, each a list of lines. The id is left out: it is any cursor. */
const blocks = ({ body }) => body.split('\n\n').filter((b) => /^data: /m.test(b)).map((b) => b.split('\n').filter((l) => !/^(id|retry): |^:/.test(l)));

test('with source=1 each event names its channel, a durable one its event id as well, and a gap its channel', async (t) => {
    const { scope, redis, gateway, client, publish } = await start(t);
    const stream = await openStream(scope, gateway.port, `${CHANNELS}&source=1`, { keep: true });
    await redis.publish('news', 'plain');
    await publish('user:42', 'kept', 'order');
    await publish('news', 'kept too');
    await redis.publish('news', 'x'.repeat(101)); // too large: a gap
    await until('all', () => stream.body.includes('gateway:gap'));
    const [a] = await history(client, 'user:42');
    const [b] = await history(client, 'news');
    const all = blocks(stream);
    assert.deepEqual(all.slice(0, 3), [
        ['source: news', 'data: plain'],
        [`source: user:42 ${a.id}`, 'event: order', 'data: kept'],
        [`source: news ${b.id}`, 'data: kept too'],
    ]);
    assert.deepEqual(all[3].slice(0, 2), ['source: news', 'event: gateway:gap']);
    assert.match(stream.body, /id: [\w-]+\nsource: user:42 /, 'the id comes first, as ever');
});

test('events that are read from the history name their channel, too, and all ids are as without source=1', async (t) => {
    const { scope, gateway, client, publish } = await start(t);
    for (const data of ['1', '2', '3']) await publish('user:42', data);
    const [named, other] = await Promise.all(['&source=1', ''].map((more) => openStream(scope, gateway.port, `${CHANNELS}&last_event_id=earliest${more}`, { keep: true })));
    await Promise.all([named.count(3), other.count(3)]);
    const ids = (await history(client, 'user:42')).map(({ id }) => id);
    assert.deepEqual(blocks(named), ids.map((id, i) => [`source: user:42 ${id}`, `data: ${i + 1}`]));
    assert.equal(named.body.replace(/^source: .*\n/gm, ''), other.body);
});

test('one channel: the id that all streams of the channel share stays', async (t) => {
    const { scope, gateway, publish } = await start(t);
    await publish('news', '1');
    const [named, other] = await Promise.all(['&source=1', ''].map((more) => openStream(scope, gateway.port, `/stream?channel=news&last_event_id=earliest${more}`, { keep: true })));
    await Promise.all([named.count(1), other.count(1)]);
    assert.match(named.body, /^source: news \d+-1$/m);
    assert.equal(named.body.replace(/^source: .*\n/gm, ''), other.body);
});

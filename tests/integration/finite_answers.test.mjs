// Snapshots, ends, batches, reads and positions of one channel together, as the answer of a language model has them.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { connect, load } from '../lib/durable.mjs';
import { scopeOf } from '../lib/scope.mjs';
import { Stream } from '../lib/stream.mjs';
import { openStream } from '../lib/streams.mjs';
import { startTier } from '../lib/tier.mjs';

async function start(t) {
    const scope = scopeOf(t);
    const tier = await startTier(scope);
    const client = connect(scope, tier.redis);
    await load(client);
    const append = (datas, ...options) =>
        client.call('FCALL', 'sse_append', '1', 'a', String(datas.length), ...datas.flatMap((data) => ['', data]), ...options);
    const open = (more = '') => openStream(scope, tier.gateway.port, `/stream?channel=a${more}`);
    const after = (id) => open(`&last_event_id=${id}`);
    const status = async (more = '') => {
        const answer = await Stream.open(tier.gateway.port, `/stream?channel=a${more}`);
        await answer.closed;
        return answer.status;
    };
    return { client, append, open, after, status };
}

const said = (stream) => stream.events.map((e) => (e.type === 'message' ? e.data : e.type)).filter((word) => word !== 'gateway:open');

async function ends(stream, expected) {
    assert.equal(await stream.ended(), 'clean');
    assert.deepEqual(said(stream), expected);
    return stream.lastEventId;
}

test('who begins now on an ended channel with a snapshot gets that, what followed, and the end; then 204', async (t) => {
    const { append, open, after, status } = await start(t);
    await append(['1', '2', '3']);
    await append(['so far: 123', '4'], 'snapshot', '1');
    await append(['5'], 'end', '600');
    const expected = ['so far: 123', '4', '5', 'gateway:end'];
    const id = await ends(await open(), expected);
    assert.equal(await status(`&last_event_id=${id}`), 204);
    await ends(await open('&last_event_id=earliest'), expected);
    await ends(await after('garbage'), expected);
    await ends(await open('&live=0'), expected);
    await ends(await open('&wait=1'), expected);
    assert.equal(await status(`&live=0&last_event_id=${id}`), 204);
});

test('a snapshot that ends its channel is all that its readers need', async (t) => {
    const { append, open, after, status } = await start(t);
    await append(['1', '2']);
    const early = await open('&last_event_id=earliest');
    await early.count(2);
    await append(['all: 12'], 'snapshot', '1', 'end', '600');
    const id = await ends(early, ['1', '2', 'all: 12', 'gateway:end']);
    await ends(await open(), ['all: 12', 'gateway:end']);
    await ends(await after(early.events[0].lastEventId), ['all: 12', 'gateway:end']);
    assert.equal(await status(`&last_event_id=${id}`), 204);
    // The next answer on the same channel knows nothing of it.
    await append(['new']);
    const fresh = await open('&last_event_id=earliest');
    await fresh.count(1);
    assert.deepEqual(said(fresh), ['new']);
});

test('a batch that begins with a snapshot and ends the channel: live, late and in the middle', async (t) => {
    const { append, open, after, status } = await start(t);
    await append(['1']);
    const live = await open();
    await append(['so far: 1', '2', '3'], 'snapshot', '1', 'end', '600');
    const id = await ends(live, ['so far: 1', '2', '3', 'gateway:end']);
    await ends(await open(), ['so far: 1', '2', '3', 'gateway:end']);
    await ends(await after(live.events[1].lastEventId), ['3', 'gateway:end']);
    assert.equal(await status(`&last_event_id=${id}`), 204);
});

test('a position is where its page goes on: with what comes, or with 204', async (t) => {
    const { client, append, after, status } = await start(t);
    const position = () => client.call('FCALL_RO', 'sse_position', '1', 'a');
    const empty = await position();
    await append(['1', '2']);
    const between = await position();
    await append(['so far: 12', '3'], 'snapshot', '1');
    const behind = await position();
    await append(['4'], 'end', '600');
    await ends(await after(empty), ['so far: 12', '3', '4', 'gateway:end']);
    await ends(await after(between), ['so far: 12', '3', '4', 'gateway:end']);
    await ends(await after(behind), ['4', 'gateway:end']);
    assert.equal(await status(`&last_event_id=${await position()}`), 204);
});

test('a poll is answered with all events of a batch', async (t) => {
    const { append, open } = await start(t);
    const poll = await open('&wait=20');
    await append(['1', '2', '3']);
    await ends(poll, ['1', '2', '3']);
});

// One call fails, and everything else works: a sample of `make torture`, with the places that have fallen short before.

import '../lib/plain_build.mjs';
import assert from 'node:assert/strict';
import path from 'node:path';
import { before, test } from 'node:test';
import { buildPlain, Calls } from '../lib/calls.mjs';
import { connect, FORMS, load } from '../lib/durable.mjs';
import { Gateway } from '../lib/gateway.mjs';
import { Redis } from '../lib/redis.mjs';
import { scopeOf } from '../lib/scope.mjs';
import { Stream } from '../lib/stream.mjs';
import { until } from '../lib/wait.mjs';
import { casesOf, inLanes, sample } from '../torture/lanes.mjs';

const LANES = 8; // a lane mostly waits
const SAMPLE_MS = 8000;
const ENOMEM = 12;
const ENOSPC = 28;

before(() => buildPlain());

/** Runs the cases, which `plan(run)` resolves to, and holds each verdict. `reached`: the call that is to fail must have been made. */
async function torture(t, plan, { reached = true, shape } = {}) {
    const problems = [];
    let count = 0;
    await inLanes(scopeOf(t), LANES, plan, ({ name, nth, calls, faults }) => {
        count++;
        if (faults.length > 0) problems.push(`${name}: ${faults.join('; ')}`);
        if (reached && calls < nth) problems.push(`${name}: ${calls} calls`);
    }, { shape });
    t.diagnostic(`${count} cases`);
    assert.deepEqual(problems, []);
}

const within = (place, { nth = [1], workers = [1, 2], call = 'malloc', error = ENOMEM } = {}) =>
    workers.flatMap((w) => nth.map((n) => ({ call, error, nth: n, workers: w, place })));

test('an allocation that fails where a loss is told: plain channels have no hole without a gap, durable ones none', async (t) => {
    // `make` makes gap frames (gateway/fanout/gap.c).
    await torture(t, async () => ['delivery_resubscribed', 'make', 'message_events'].flatMap((place) => within(place, { nth: [1, 2] })));
});

test('an allocation that fails where a channel is confirmed, or its history asked for: its streams open, and get all of it', async (t) => {
    await torture(t, async () => ['channels_want', 'channel_mail_create', 'tell', 'history_ask_last', 'history_ask_page', 'delivery_page', 'history_entry_frame']
        .flatMap((place, i) => within(place, { nth: [1 + (i % 2)] })));
});

test('an allocation that fails in a stream: it ends, and its client comes back to all that it missed', async (t) => {
    await torture(t, async () => ['stream_join', 'stream_open', 'hub_join', 'catch_up_add', 'channel_add_slot', 'frame_with_id', 'conn_send']
        .flatMap((place) => within(place, { workers: [2] })));
});

test('an allocation that fails while a token is checked: its client is told to come back, and is let in then', async (t) => {
    await torture(t, async () => ['hmac_key_verify', 'json_strict_object', 'principal_create']
        .flatMap((place) => within(place, { call: 'tokens_malloc', nth: [1, 2], workers: [2] })), { shape: 'tokens' });
});

test('an allocation, or twenty in a row, that fail anywhere else: a few of them, spread over a whole run', async (t) => {
    await torture(t, async (run) => {
        const { calls } = await run({ call: 'malloc', nth: 0, workers: 2 });
        return Array.from({ length: 12 }, (_, i) => ({ call: 'malloc', error: ENOMEM, nth: Math.floor((i + 0.5) * calls / 12), times: i % 4 < 2 ? 1 : 20, workers: 1 + (i % 2) }));
    }, { reached: false });
});

test('a descriptor that the kernel does not watch: its connection is made anew, its loop still wakes, and SIGTERM ends in time', async (t) => {
    await torture(t, async () => Array.from({ length: 20 }, (_, i) => ({ call: 'epoll_ctl', error: i % 2 ? ENOMEM : ENOSPC, nth: i + 1, workers: 2 })), { reached: false });
});

test('a wake-up that is lost: the thread that it was meant for finds its mail all the same', async (t) => {
    await torture(t, (run) => casesOf(run, 'eventfd_write', [2], { to: 6 }));
});

const SHAPES = [
    [undefined, 'plain sockets', 'trickle'], ['redis-tls', 'TLS to Redis', 'tls_trickle'], ['tokens', 'tokens', 'tokens_trickle'],
    ['tls', 'TLS to clients', 'clients_trickle'],
];
for (const [shape, what, trickle] of SHAPES) {
    test(`bytes that come and go one by one, with ${what}: slower, and nothing else`, async (t) => {
        await torture(t, async () => [1, 2].map((workers) => ({ call: trickle, nth: 0, workers })), { shape });
    });

    test(`any call that fails, with ${what}: as many cases as there is time for`, async (t) => {
        await torture(t, async (run) => sample(run, { shape, ms: SAMPLE_MS }), { shape, reached: false });
    });
}

test('a position that there was no memory to ask for, and none to ask for again, is asked for until there is: the stream opens, and is not refused', async (t) => {
    const scope = scopeOf(t);
    const redis = await Redis.start(scope);
    const client = connect(scope, redis);
    await load(client);
    await FORMS.function(client, 'kept', 'one');
    const calls = new Calls(path.join(scope.folder, 'calls'), { fail: 'malloc', error: ENOMEM, nth: 1, times: 2, place: 'history_ask_last' });
    const gateway = await Gateway.start(scope, { redis, env: calls.env });
    calls.arm();
    const stream = await Stream.open(gateway.port, '/stream?control=1&channel=kept&last_event_id=earliest');
    scope.defer(() => stream.close());
    assert.deepEqual((await stream.count(2)).map((event) => event.data === 'one'), [false, true]);
    assert.ok(calls.counted > 2, `${calls.counted} allocations`);
});

test('a channel that there was no memory to leave is left with its next message', async (t) => {
    const scope = scopeOf(t);
    const redis = await Redis.start(scope);
    const calls = new Calls(path.join(scope.folder, 'calls'), { fail: 'malloc', error: ENOMEM, nth: 1, place: 'conn_destroy' });
    const gateway = await Gateway.start(scope, { redis, env: calls.env });
    const stream = await Stream.open(gateway.port, '/stream?channel=left');
    await redis.subscribed('left', 1);
    calls.arm();
    stream.close();
    await gateway.process.logged(/channel left is released with its next message/);
    await redis.publish('left', 'the next message');
    await until('no subscription', async () => (await redis.numsub('left')).get('left') === 0);
});

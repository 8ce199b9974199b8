// Clients whose machine or network is gone without a word: nothing ever comes back from them, not even a FIN.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import { test } from 'node:test';
import { Crowd } from '../lib/crowd.mjs';
import { Netns, noNetns } from '../lib/netns.mjs';
import { freePort } from '../lib/ports.mjs';
import { scopeOf } from '../lib/scope.mjs';
import { openStreams } from '../lib/streams.mjs';
import { startTier } from '../lib/tier.mjs';
import { sleep, until } from '../lib/wait.mjs';

const HEARTBEAT_S = 2;
const REAPED_WITHIN_S = HEARTBEAT_S + 20;
const FAR = 40; // streams whose link goes down: half of them quiet, half on a channel where messages flow
const NEAR = 10;

const skip = noNetns();
const descriptors = (gateway) => fs.readdirSync(`/proc/${gateway.process.pid}/fd`).length;

/** A tier with streams at home, streams beyond a link, and a process that is stopped, though its kernel answers. */
async function start(scope) {
    const netns = new Netns(scope);
    const port = await freePort();
    const tier = await startTier(scope, { args: ['--heartbeat', `${HEARTBEAT_S}s`, '--listen', `${netns.here}:${port}`] });
    const { gateway } = tier;
    const near = await openStreams(scope, Array(NEAR).fill({ port: gateway.port, path: '/stream?channel=busy' }));
    const stopped = new Crowd(scope);
    await stopped.open(gateway.port, '/stream?channel=quiet', NEAR);
    await stopped.until('its streams', (s) => s.open === NEAR);
    const before = descriptors(gateway);
    const far = new Crowd(scope, { via: netns.via });
    await far.open(port, '/stream?channel=quiet', FAR / 2, { host: netns.here });
    await far.open(port, '/stream?channel=busy', FAR / 2, { host: netns.here });
    await far.until('streams beyond the link', (s) => s.open === FAR);
    await gateway.metricIs('connections', FAR + 2 * NEAR);
    return { ...tier, netns, near, stopped, far, before, published: 0 };
}

async function publish(tier) {
    await tier.redis.publishAll([['busy', String(tier.published++)]]);
}

test(`streams whose client's link went down are reaped within heartbeat + 20 s; all others stay`, { skip }, async (t) => {
    const scope = scopeOf(t);
    const tier = await start(scope);
    const { gateway } = tier;
    await publish(tier);
    await tier.far.until('the first message', (s) => s.lasts.filter((n) => n === 0).length === FAR / 2);
    tier.stopped.signal('SIGSTOP');

    tier.netns.link('down');
    const down = performance.now();
    let reaped = 0;
    await until(`${FAR} streams to be reaped`, async () => {
        await publish(tier);
        reaped = await gateway.metric('closes_total', { reason: 'reaped' });
        return reaped === FAR;
    }, { ms: REAPED_WITHIN_S * 1000, every: 200 });
    t.diagnostic(`after ${((performance.now() - down) / 1000).toFixed(1)} s`);

    await gateway.metricIs('connections', 2 * NEAR);
    assert.equal(await gateway.metric('closes_total', { reason: 'reaped' }), FAR);
    await until('their descriptors to be free', () => descriptors(gateway) <= tier.before + 1);
    await Promise.all(tier.near.map((s) => s.count(tier.published)));
    for (const stream of tier.near) {
        assert.ok(stream.open);
        assert.deepEqual(stream.events.map((e) => Number(e.data)), stream.events.map((_, i) => i));
    }
    tier.stopped.signal('SIGCONT');
    await tier.stopped.until('a client that only slept to have its streams', (s) => s.open === NEAR && s.ended === 0);
    await gateway.metricIs('queued_bytes', 0);
});

test('a link that was down for a few seconds costs no stream and no message', { skip }, async (t) => {
    const scope = scopeOf(t);
    const tier = await start(scope);
    const { gateway } = tier;
    tier.netns.link('down');
    for (let i = 0; i < 10; i++) {
        await publish(tier);
        await sleep(400); // the outage has a length
    }
    tier.netns.link('up');
    await publish(tier);
    await tier.far.until('all messages', (s) => s.lasts.filter((n) => n === tier.published - 1).length === FAR / 2, { ms: 20000 });
    const { open, broken, firsts } = await tier.far.stats();
    assert.deepEqual({ open, broken }, { open: FAR, broken: 0 });
    assert.equal(firsts.filter((n) => n === 0).length, FAR / 2);
    assert.equal(await gateway.metric('closes_total', { reason: 'reaped' }), 0);
});

// A rolling restart, as docs/deploying.md has it: one gateway after the other, behind each front, while browsers have tabs open
// and streams come back. `make rolling` is the same in full size.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Deploy, SIZE } from '../lib/deploys.mjs';
import { peakPerSecond } from '../lib/fleet.mjs';
import { FRONTS } from '../lib/fronts.mjs';
import { scopeOf } from '../lib/scope.mjs';

const DELAY_S = 1; // HAProxy and others see the 404 of a drain by their checks
const LIMIT = 1.5; // of the pace at which a drain ends streams

/** Restarts gateway `i`; resolves when all is served again. Says how the streams came to the others. */
async function restart(t, deploy, i) {
    const old = deploy.gateways[i];
    const held = await old.metric('connections');
    const since = performance.now();
    old.terminate();
    assert.deepEqual(await old.process.exit(60000), { code: 0, signal: null });
    const exited = performance.now();
    await deploy.startAgain(i);
    await deploy.served([old.id]);
    const times = deploy.fleet.arrivals(since, old.id);
    const paced = held / SIZE.window;
    const peak = peakPerSecond(times);
    t.diagnostic(`${old.id}: ${held} streams, exit after ${((exited - since) / 1000).toFixed(1)} s, paced ${paced.toFixed(0)}/s; ${times.length} arrived elsewhere,`
        + ` at most ${peak}/s = ${(peak / paced).toFixed(2)} x the pace; ${deploy.fleet.turnedAway(since)} turned away`);
    assert.ok(peak <= LIMIT * paced, `${peak} arrivals within a second, of streams that were ended at ${paced.toFixed(0)} a second`);
}

for (const front of Object.keys(FRONTS)) {
    test(`behind ${front}, a rolling restart of three gateways closes no tab, loses and doubles nothing, and streams come back at the pace of the drain`, async (t) => {
        const deploy = await Deploy.start(scopeOf(t), front, { args: ['--drain-delay', `${DELAY_S}s`, '--drain-window', `${SIZE.window}s`] });
        for (let i = 0; i < deploy.gateways.length; i++) await restart(t, deploy, i);
        const delivered = await deploy.assertComplete();
        t.diagnostic(`${delivered} events at ${SIZE.streams} streams, ${deploy.tabs.length} tabs`);
    });
}

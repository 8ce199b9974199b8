// All gateways are gone at once, and come back: the worst that a deploy can do.

import { test } from 'node:test';
import { Deploy, SIZE } from '../lib/deploys.mjs';
import { FRONTS } from '../lib/fronts.mjs';
import { scopeOf } from '../lib/scope.mjs';
import { sleep } from '../lib/wait.mjs';

const AWAY_S = 5;

for (const front of Object.keys(FRONTS)) {
    test(`behind ${front}, with all gateways killed and back after ${AWAY_S} s, every tab and stream is back by itself and has every durable event once`, async (t) => {
        const deploy = await Deploy.start(scopeOf(t), front);
        const old = [...deploy.gateways];
        const since = performance.now();
        for (const gateway of old) gateway.process.signal('SIGKILL');
        await Promise.all(old.map((gateway) => gateway.process.exit()));
        await sleep(AWAY_S * 1000); // events are published meanwhile
        await Promise.all(old.map((_, i) => deploy.startAgain(i)));
        const ready = performance.now();
        await deploy.served(old.map(({ id }) => id));
        t.diagnostic(`all served ${((performance.now() - ready) / 1000).toFixed(1)} s after the gateways were ready; ${deploy.fleet.turnedAway(since)} turned away meanwhile`);
        const delivered = await deploy.assertComplete();
        t.diagnostic(`${delivered} events at ${SIZE.streams} streams, ${deploy.tabs.length} tabs`);
    });
}

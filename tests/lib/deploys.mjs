// What deploys are tried on: gateways behind a front with TLS and HTTP/2, tabs of browsers, and thousands of other streams, all
// of durable channels on which events are published all the time. And the deploys.

import assert from 'node:assert/strict';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { test } from 'node:test';
import { startChromium } from './chromium.mjs';
import { DurableTab, startPublishers } from './durable_tabs.mjs';
import { startFirefox } from './firefox.mjs';
import { Fleet, peakPerSecond } from './fleet.mjs';
import { startFront } from './fronts.mjs';
import { Gateway } from './gateway.mjs';
import { sharedScope } from './scope.mjs';
import { startTier } from './tier.mjs';
import { sleep, until } from './wait.mjs';

/** How much of it: small enough for `make test`, unless the environment says otherwise (`make rolling` does). */
const SIZE = {
    streams: Number(process.env.ROLLING_STREAMS ?? 600),
    window: Number(process.env.ROLLING_WINDOW ?? 2.5), // seconds, of --drain-window: well above PACE_LIMIT, or even all streams within one second pass
    retry: process.env.ROLLING_RETRY ?? '300ms', // --retry: short, so that it does not spread what a drain does not
    tabs: Number(process.env.ROLLING_TABS ?? 2), // of each browser
    rate: Number(process.env.ROLLING_RATE ?? 1), // batches of events a second and channel
};

const CHANNELS = Array.from({ length: 20 }, (_, i) => `deploy:${i + 1}`);
const IN_A_TAB = CHANNELS.slice(0, 5);
const DELAY_S = 1; // of --drain-delay: HAProxy sees the 404 of a drain by its checks
const PACE_LIMIT = 1.5; // of the pace at which a drain ends streams
const AWAY_S = 5;
const ARGS = ['--refusal', 'status', '--heartbeat', '5s', '--retry', SIZE.retry, '--durable', 'deploy:*',
    '--drain-delay', `${DELAY_S}s`, '--drain-window', `${SIZE.window * 1000}ms`, '--drain-timeout', `${DELAY_S + 2 * SIZE.window + 10}s`];

/** The tests of one of FRONTS, one after the other on the same tier. */
export function testDeploys(front) {
    const scope = sharedScope();
    let started;

    test(`behind ${front}, a rolling restart of three gateways closes no tab, loses and doubles nothing, and streams come back at the pace of the drain`, async (t) => {
        started = Deploy.start(scope, front);
        const deploy = await started;
        for (let i = 0; i < deploy.gateways.length; i++) await restart(t, deploy, i);
        await deploy.assertComplete(t);
    });

    test(`behind ${front}, with all gateways killed and back after ${AWAY_S} s, every tab and stream is back by itself and has every durable event once`, async (t) => {
        const deploy = await started;
        await deploy.publish();
        const old = [...deploy.gateways];
        const since = performance.now();
        for (const gateway of old) gateway.process.signal('SIGKILL');
        await Promise.all(old.map((gateway) => gateway.process.exit()));
        await sleep(AWAY_S * 1000); // events are published meanwhile
        await Promise.all(old.map((_, i) => deploy.startAgain(i)));
        const ready = performance.now();
        await deploy.served(old.map(({ id }) => id));
        t.diagnostic(`all served ${seconds(ready)} s after the gateways were ready; ${deploy.fleet.turnedAway(since)} turned away meanwhile`);
        await deploy.assertComplete(t);
    });
}

/** Restarts gateway `i`; resolves when all is served again. Says how the streams came to the others. */
async function restart(t, deploy, i) {
    const old = deploy.gateways[i];
    const held = await old.metric('connections');
    const delay = monitorEventLoopDelay();
    delay.enable();
    const since = performance.now();
    old.terminate();
    assert.deepEqual(await old.process.exit((DELAY_S + SIZE.window) * 1000 + 15000), { code: 0, signal: null });
    const exit = seconds(since);
    await deploy.startAgain(i);
    await deploy.served([old.id]);
    const times = deploy.fleet.arrivals(since, old.id);
    // What came back while this very process stood still is seen to come at the end of that.
    const stall = delay.max / 1e9;
    const paced = held / SIZE.window;
    const peak = peakPerSecond(times);
    t.diagnostic(`${old.id}: ${held} streams, exit after ${exit} s, paced ${paced.toFixed(0)}/s; ${times.length} arrived elsewhere,`
        + ` at most ${peak}/s = ${(peak / paced).toFixed(2)} x the pace; ${deploy.fleet.turnedAway(since)} turned away; longest stall of the clients ${(stall * 1000).toFixed(0)} ms`);
    assert.ok(peak <= PACE_LIMIT * paced * (1 + stall), `${peak} arrivals within a second, of streams that were ended at ${paced.toFixed(0)} a second`);
}

const seconds = (since) => ((performance.now() - since) / 1000).toFixed(1);

class Deploy {
    /** `front`: one of FRONTS. Resolves when all tabs and streams are served. */
    static async start(scope, front) {
        const deploy = new Deploy();
        deploy.scope = scope;
        const browsers = Promise.all([startChromium(scope).then((chromium) => chromium.newContext({ ignoreHTTPSErrors: true })), startFirefox(scope)]);
        Object.assign(deploy, await startTier(scope, { gateways: 3, args: ARGS }));
        const { port, page } = await startFront(scope, front, deploy.gateways);
        await deploy.publish();
        const [chromium, firefox] = await browsers;
        deploy.tabs = await Promise.all([
            ...openTabs(SIZE.tabs, 'Chromium', async () => {
                const tab = await chromium.newPage();
                await tab.goto(page);
                return tab;
            }),
            ...openTabs(SIZE.tabs, 'Firefox', () => firefox.open(page)),
        ]);
        deploy.fleet = await Fleet.open(scope, { port, channels: CHANNELS, count: SIZE.streams });
        return deploy;
    }

    /** Publishes on all channels until assertComplete, (again) from where it was. */
    async publish() {
        await this.publishers?.stop();
        this.publishers = startPublishers(this.scope, this.redis, CHANNELS, { rate: SIZE.rate, history: this.publishers?.history });
    }

    /** Starts a gateway in the place of number `i`, which has ended. */
    async startAgain(i) {
        const { port, adminPort, id } = this.gateways[i];
        this.gateways[i] = await Gateway.start(this.scope, { redis: this.redis, port, adminPort, id: `${id}+`, args: ARGS });
    }

    /** Waits until every tab and stream is served, and by none of the gateways with these ids. */
    async served(gone) {
        await this.fleet.served({ gone });
        await Promise.all(this.tabs.map((tab) => until(`${tab.name} to be open`, async () => {
            const { state, gateway } = await tab.now();
            if (state === 'closed') throw Object.assign(new Error(`${tab.name} is closed for good`), { fatal: true });
            return state === 'open' && !gone.includes(gateway);
        }, { ms: 30000, every: 50 })));
    }

    /** Nothing more is published: every tab and stream must have every event once. */
    async assertComplete(t) {
        await this.publishers.stop();
        for (const tab of this.tabs) {
            await tab.hasAll(this.publishers.history).catch(() => {}); // what is missing is said better below
            await tab.assertComplete(this.publishers.history);
            assert.equal((await tab.now()).state, 'open');
        }
        const delivered = await this.fleet.assertComplete(this.publishers);
        t.diagnostic(`${delivered} events at ${SIZE.streams} streams, ${this.tabs.length} tabs`);
    }
}

function openTabs(count, name, open) {
    return Array.from({ length: count }, async (_, i) => {
        const page = await open();
        const protocol = await page.evaluate(() => performance.getEntriesByType('navigation')[0].nextHopProtocol);
        assert.equal(protocol, 'h2', `${name}'s HTTP`);
        return DurableTab.open(page, `${name} ${i + 1}`, IN_A_TAB);
    });
}

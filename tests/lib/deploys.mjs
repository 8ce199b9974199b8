// What deploys are tried on: gateways behind a front with TLS and HTTP/2, tabs of browsers, and thousands of other streams, all
// of durable channels on which events are published all the time.

import assert from 'node:assert/strict';
import { startChromium } from './chromium.mjs';
import { DurableTab, startPublishers } from './durable_tabs.mjs';
import { startFirefox } from './firefox.mjs';
import { Fleet } from './fleet.mjs';
import { startFront } from './fronts.mjs';
import { Gateway } from './gateway.mjs';
import { startTier } from './tier.mjs';
import { until } from './wait.mjs';

/** How much of it: small enough for `make test`, unless the environment says otherwise (`make rolling` does). */
export const SIZE = {
    streams: Number(process.env.ROLLING_STREAMS ?? 900),
    window: Number(process.env.ROLLING_WINDOW ?? 2), // seconds, of --drain-window
    retry: process.env.ROLLING_RETRY ?? '300ms', // --retry: short, so that it does not spread what a drain does not
    tabs: Number(process.env.ROLLING_TABS ?? 2), // of each browser
    rate: Number(process.env.ROLLING_RATE ?? 1), // batches of events a second and channel
};

const CHANNELS = Array.from({ length: 20 }, (_, i) => `deploy:${i + 1}`);
const IN_A_TAB = CHANNELS.slice(0, 5);

export class Deploy {
    /** `front`: one of FRONTS. Resolves when all tabs and streams are served. */
    static async start(scope, front, { args = [] } = {}) {
        const deploy = new Deploy();
        deploy.scope = scope;
        deploy.args = ['--refusal', 'status', '--heartbeat', '5s', '--retry', SIZE.retry, '--durable', 'deploy:*', ...args];
        const browsers = Promise.all([startChromium(scope).then((chromium) => chromium.newContext({ ignoreHTTPSErrors: true })), startFirefox(scope)]);
        Object.assign(deploy, await startTier(scope, { gateways: 3, args: deploy.args }));
        const { port, page } = await startFront(scope, front, deploy.gateways);
        deploy.publishers = startPublishers(scope, deploy.redis, CHANNELS, { rate: SIZE.rate });
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

    /** Starts a gateway in the place of number `i`, which has ended. */
    async startAgain(i) {
        const { port, adminPort, id } = this.gateways[i];
        this.gateways[i] = await Gateway.start(this.scope, { redis: this.redis, port, adminPort, id: `${id}+`, args: this.args });
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

    /** Nothing more is published: every tab and stream must have every event once. Resolves to how many were delivered to streams. */
    async assertComplete() {
        await this.publishers.stop();
        for (const tab of this.tabs) {
            await tab.hasAll(this.publishers.history).catch(() => {}); // what is missing is said better below
            await tab.assertComplete(this.publishers.history);
            assert.equal((await tab.now()).state, 'open');
        }
        return this.fleet.assertComplete(this.publishers);
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

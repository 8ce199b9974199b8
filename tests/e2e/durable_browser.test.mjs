// Durable channels in people's browsers: the EventSource that Chromium and Firefox have, through NGINX.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { pageFiles } from '../lib/browser_clients.mjs';
import { openPage, startChromium } from '../lib/chromium.mjs';
import { DurableTab, published, startPublishers } from '../lib/durable_tabs.mjs';
import { openFirefoxPage } from '../lib/firefox.mjs';
import { Gateway } from '../lib/gateway.mjs';
import { scopeOf } from '../lib/scope.mjs';
import { startTier } from '../lib/tier.mjs';
import { until } from '../lib/wait.mjs';

const ARGS = ['--retry', '300ms', '--heartbeat', '1s', '--refusal', 'status'];
const CHANNELS = ['durable:1', 'durable:2', 'durable:3', 'durable:4', 'durable:5'];
const KILLS = 20;

/** Kills the gateway that serves this browser, and waits until another does, with events. */
async function killUnder(scope, browser, gateways, redis) {
    const { gateway, opens } = await browser.now();
    const i = gateways.findIndex((g) => g.id === gateway);
    const old = gateways[i];
    old.process.signal('SIGKILL');
    await old.process.exit();
    gateways[i] = await Gateway.start(scope, { redis, port: old.port, id: `${old.id}+`, args: ARGS, ready: 'live' });
    let atOpen;
    await until(`${browser.name} to be served by another gateway`, async () => {
        const now = await browser.now();
        if (now.opens === opens || now.gateway === gateway) return false;
        atOpen ??= now.count;
        return now.count > atOpen;
    }, { ms: 30000, every: 50 });
}

test(`Chromium and Firefox: five durable channels, ${KILLS} gateways killed, every event once and in order`, async (t) => {
    const scope = scopeOf(t);
    const { redis, gateways, nginx } = await startTier(scope, { gateways: 3, nginx: true, files: pageFiles(), args: ARGS });
    const url = `${nginx.url}/page.html`;
    const [chromiumPage, firefoxPage] = await Promise.all([startChromium(scope).then((chromium) => openPage(scope, chromium, url)), openFirefoxPage(scope, url)]);
    const { history, stop } = startPublishers(scope, redis, CHANNELS);
    const browsers = [await DurableTab.open(chromiumPage, 'Chromium', CHANNELS), await DurableTab.open(firefoxPage, 'Firefox', CHANNELS)];
    for (let kill = 0; kill < KILLS; kill++) await killUnder(scope, browsers[kill % 2], gateways, redis);
    await stop();
    assert.deepEqual(history.counts(), { acked: published(history, CHANNELS), maybe: 0, refused: 0 });
    for (const browser of browsers) {
        await browser.hasAll(history).catch((error) => t.diagnostic(error.message)); // what is missing is said better below
        await browser.assertComplete(history);
        assert.ok((await browser.now()).opens > KILLS / 2, `${browser.name} came back after each kill of its gateway`);
    }
});

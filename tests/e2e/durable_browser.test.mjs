// Durable channels in people's browsers: the EventSource that Chromium and Firefox have, through NGINX.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { History, numberIn } from '../chaos/history.mjs';
import { Publisher } from '../chaos/publisher.mjs';
import { Random } from '../chaos/random.mjs';
import { connectInPage, pageFiles } from '../lib/browser_clients.mjs';
import { openPage, startChromium } from '../lib/chromium.mjs';
import { openFirefoxPage } from '../lib/firefox.mjs';
import { Gateway } from '../lib/gateway.mjs';
import { scopeOf } from '../lib/scope.mjs';
import { startTier } from '../lib/tier.mjs';
import { until } from '../lib/wait.mjs';

const ARGS = ['--retry', '300ms', '--heartbeat', '1s', '--refusal', 'status'];
const CHANNELS = ['durable:1', 'durable:2', 'durable:3', 'durable:4', 'durable:5'];
const KILLS = 20;

function startPublishers(scope, redis) {
    const shape = { replicas: 0, owner: async () => ({ port: redis.port }) };
    const history = new History();
    const publishers = CHANNELS.map((channel) => {
        history.add(channel);
        return new Publisher({ shape, channel, history, random: new Random(1, channel), rate: 5, options: ['maxlen', 100000] });
    });
    publishers.forEach((publisher) => publisher.start());
    const stop = () => Promise.all(publishers.map((publisher) => publisher.stop()));
    scope.defer(stop);
    return { history, stop };
}

async function connected(page, name) {
    const client = await connectInPage(page, 'EventSource', `/stream?${CHANNELS.map((c) => `channel=${c}&`).join('')}control=1&last_event_id=earliest`,
        ['message', 'tick', 'gateway:gap', 'gateway:open']);
    // The page's last words, and not all it has seen: that would be much to ask for again and again.
    const now = () => page.evaluate(() => {
        const { events, opens } = Object.values(window.streams)[0];
        const last = events.findLast((e) => e.type === 'gateway:open');
        return { opens, gateway: last ? JSON.parse(last.data).gateway : null, count: events.filter((e) => e.type !== 'gateway:open').length };
    });
    await until(`${name} to be served`, async () => (await now()).gateway, { ms: 60000, every: 100 });
    return { name, client, now };
}

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

/** Every event once, in order, and nothing else; no gap either. */
async function assertComplete(browser, history) {
    const next = new Map(CHANNELS.map((channel) => [channel, 1]));
    for (const { type, data } of await browser.client.events()) {
        if (type === 'gateway:open') continue;
        assert.notEqual(type, 'gateway:gap', `${browser.name}: ${data}`);
        const channel = data.split(' ', 1)[0];
        const number = numberIn(channel, data);
        assert.equal(number, next.get(channel), `${browser.name}, ${channel}: the event after ${next.get(channel) - 1}`);
        assert.equal(type, number % 3 === 0 ? 'tick' : 'message');
        next.set(channel, number + 1);
    }
    for (const channel of CHANNELS) assert.equal(next.get(channel), history.channels.get(channel).events.length, `${browser.name}, ${channel}: all`);
}

test(`Chromium and Firefox: five durable channels, ${KILLS} gateways killed, every event once and in order`, async (t) => {
    const scope = scopeOf(t);
    const { redis, gateways, nginx } = await startTier(scope, { gateways: 3, nginx: true, files: pageFiles(), args: ARGS });
    const url = `${nginx.url}/page.html`;
    const [chromiumPage, firefoxPage] = await Promise.all([startChromium(scope).then((chromium) => openPage(scope, chromium, url)), openFirefoxPage(scope, url)]);
    const { history, stop } = startPublishers(scope, redis);
    const browsers = [await connected(chromiumPage, 'Chromium'), await connected(firefoxPage, 'Firefox')];
    for (let kill = 0; kill < KILLS; kill++) await killUnder(scope, browsers[kill % 2], gateways, redis);
    await stop();
    const total = CHANNELS.reduce((sum, channel) => sum + history.channels.get(channel).events.length - 1, 0);
    assert.deepEqual(history.counts(), { acked: total, maybe: 0, refused: 0 });
    for (const browser of browsers) {
        await until(`${browser.name} to have all ${total}`, async () => (await browser.now()).count >= total, { every: 200 })
            .catch((error) => t.diagnostic(error.message)); // what is missing is said better below
        await assertComplete(browser, history);
        assert.ok((await browser.now()).opens > KILLS / 2, `${browser.name} came back after each kill of its gateway`);
    }
});

// The dashboard as a person has it: in Chromium, wide and on a phone, light and dark, by mouse, by keyboard and by ear.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { axeFindings } from '../lib/axe.mjs';
import { openPage, startChromium } from '../lib/chromium.mjs';
import { Gateway } from '../lib/gateway.mjs';
import { scopeOf, sharedScope } from '../lib/scope.mjs';
import { Stream } from '../lib/stream.mjs';
import { openStreams } from '../lib/streams.mjs';
import { startTier } from '../lib/tier.mjs';
import { until } from '../lib/wait.mjs';

const shared = sharedScope();
const browser = await startChromium(shared);

/** The dashboard of a gateway; what its console says is in `page.said`. */
async function dashboard(scope, gateway, options) {
    const page = await openPage(scope, browser, 'about:blank', options);
    page.said = [];
    page.on('console', (message) => page.said.push(message.text()));
    page.on('pageerror', (error) => page.said.push(error.message));
    await page.goto(`http://127.0.0.1:${gateway.adminPort}/dashboard`);
    return page;
}

const text = (page, id) => page.locator(`#${id}`).textContent();
const state = (page, value) => page.waitForSelector(`#state[data-state=${value}]`, { timeout: 15000 });
const shows = (page, id, value) => until(`#${id} to show ${value}`, async () => {
    const shown = await text(page, id);
    if (value instanceof RegExp ? value.test(shown) : shown === value) return true;
    throw new Error(shown);
});

async function busyTier(scope, options) {
    const { redis, gateways } = await startTier(scope, { gateways: 3, ...options });
    for (const [i, gateway] of gateways.entries())
        await openStreams(scope, Array(5 * (i + 1)).fill({ port: gateway.port, path: '/stream?channel=news&channel=user:ann' }));
    const publishing = setInterval(() => redis.publishAll([['news', 'x'], ['news', 'y'], ['user:ann', 'z']]).catch(() => {}), 50);
    scope.defer(() => clearInterval(publishing));
    return { redis, gateways, publishing };
}

test('the page shows the tier, the events and the busiest channels as they are, without a word in the console', async (t) => {
    const scope = scopeOf(t);
    const { gateways: [one, two, three] } = await busyTier(scope);
    const page = await dashboard(scope, two);
    await state(page, 'live');
    await shows(page, 'id', two.id);
    await shows(page, 'streams', '10');
    await shows(page, 'tier-streams', '30');
    await shows(page, 'tier-about', '3 gateways');
    await until('the tier, the fullest first', async () => (await page.locator('#tier td.name').allTextContents()).join() === [three.id, `${two.id}this`, one.id].join());
    await shows(page, 'events', /^[1-9][\d,]*$/);
    await until('two channels', async () => (await page.locator('#channels tr').count()) === 2);
    assert.match((await page.locator('#channels td.name').allTextContents()).join(), /^[0-9a-f]{8},[0-9a-f]{8}$/);
    await shows(page, 'redis', 'Redis: delivery proven');
    await shows(page, 'memory', /^[\d.]+ MB$/);
    await shows(page, 'cpu', /^[\d.]+ %$/);
    await shows(page, 'lag', /^[\d.]+ (µs|ms|s)$/);
    await until('latency', async () => /Now: 99 % within [\d.]+ (µs|ms|s), 95 % within/.test(await page.locator('[data-plot=latency] svg').getAttribute('aria-label')));
    const lines = () => page.locator('[data-plot=streams] path.line').evaluateAll((paths) => paths.map((path) => path.getAttribute('d')));
    await until('a line for each gateway', async () => (await lines()).filter((line) => /^M[\d.]+ [\d.]+(L[\d.]+ [\d.]+)+$/.test(line)).length === 3);
    assert.deepEqual(page.said, []);
});

test('what others call themselves is text on the page', async (t) => {
    const scope = scopeOf(t);
    const { redis, gateway } = await startTier(scope);
    const page = await dashboard(scope, gateway, { bypassCSP: true });
    await state(page, 'live');
    const id = '<img/src=x:/onerror=window.ran=1>';
    await redis.publish('sse:gateways', JSON.stringify({ id, run: '0'.repeat(15) + '1', version: '1', connections: 7, capacity: 10, draining: false, ready: true, every: 60000 }));
    await until('it to be shown', async () => (await page.locator('#tier td.name').allTextContents()).includes(id));
    assert.equal(await page.locator('img').count(), 0);
    assert.equal(await page.evaluate(() => window.ran), undefined);
});

test('a gateway that goes away is missed at once, and found again without a reload', async (t) => {
    const scope = scopeOf(t);
    const { redis, gateways } = await startTier(scope, { gateways: 2 });
    const [gateway] = gateways;
    const page = await dashboard(scope, gateway);
    await state(page, 'live');
    await page.evaluate(() => (window.notReloaded = true));
    gateway.process.signal('SIGKILL');
    await state(page, 'gone');
    assert.match(await text(page, 'notice'), /gone.*old/);
    await Gateway.start(scope, { redis, port: gateway.port, adminPort: gateway.adminPort, id: gateway.id });
    await state(page, 'live');
    assert.equal(await text(page, 'notice'), '');
    await shows(page, 'tier-about', '2 gateways');
    assert.equal(await page.evaluate(() => window.notReloaded), true);
});

test('a gateway that stands still is noticed though its connection is open', async (t) => {
    const scope = scopeOf(t);
    const { gateway } = await startTier(scope);
    const page = await dashboard(scope, gateway);
    await state(page, 'live');
    gateway.process.signal('SIGSTOP');
    scope.defer(() => gateway.process.signal('SIGCONT'));
    await state(page, 'gone');
    gateway.process.signal('SIGCONT');
    await state(page, 'live');
});

test('a drain and a rebalance are seen as they happen', async (t) => {
    const scope = scopeOf(t);
    const { redis, gateways: [gateway] } = await startTier(scope, { gateways: 1, args: ['--rebalance', 'on', '--rebalance-rate', '10/s', '--rebalance-settle', '1s', '--retry', '60s', '--drain-window', '5s'] });
    await openStreams(scope, Array(100).fill({ port: gateway.port, path: '/stream?channel=a' }));
    const page = await dashboard(scope, gateway);
    await shows(page, 'rebalance-text', 'There is no other gateway.');
    await Gateway.start(scope, { redis });
    await shows(page, 'rebalance-text', /^\d+(\.\d)? %: \d+ streams above the share of \d+ are still to be ended/);
    await until('progress', async () => Number(await page.getAttribute('#rebalance-bar', 'aria-valuenow')) > 10);
    gateway.terminate();
    await shows(page, 'ready', 'Draining');
    await until('progress of the drain', async () => Number(await page.getAttribute('#drain-bar', 'aria-valuenow')) >= 30);
    assert.match(await text(page, 'drain-text'), /^\d+ of \d+ streams have ended\.$/);
    await state(page, 'gone');
});

test('paused, the figures stand still; going on shows what is now', async (t) => {
    const scope = scopeOf(t);
    const { gateway } = await startTier(scope);
    const page = await dashboard(scope, gateway);
    await state(page, 'live');
    await shows(page, 'streams', '0');
    await page.click('#pause');
    await state(page, 'paused');
    assert.equal(await page.getAttribute('#pause', 'aria-pressed'), 'true');
    const uptime = await text(page, 'uptime');
    await openStreams(scope, Array(3).fill({ port: gateway.port, path: '/stream?channel=a' }));
    await page.waitForFunction((n) => samples.at(-1).now.gauges.streams === n, 3); // they are known, and not shown
    assert.deepEqual([await text(page, 'streams'), await text(page, 'uptime')], ['0', uptime]);
    await page.click('#pause');
    await shows(page, 'streams', '3');
});

test('more pages than may look: the next one says so, and gets its place when another leaves', async (t) => {
    const scope = scopeOf(t);
    const { gateway } = await startTier(scope);
    const others = await Promise.all(Array.from({ length: 8 }, () => Stream.open(gateway.adminPort, '/dashboard/events')));
    scope.defer(() => others.forEach((stream) => stream.close()));
    const page = await dashboard(scope, gateway);
    await state(page, 'gone');
    await shows(page, 'notice', /As many pages as may look/);
    others[0].close();
    await state(page, 'live');
});

const LOOKS = {
    'wide and light': { viewport: { width: 1280, height: 900 }, colorScheme: 'light' },
    'wide and dark': { viewport: { width: 1280, height: 900 }, colorScheme: 'dark' },
    'a phone, light': { viewport: { width: 360, height: 740 }, colorScheme: 'light', hasTouch: true, isMobile: true },
    'a phone, dark': { viewport: { width: 360, height: 740 }, colorScheme: 'dark', hasTouch: true, isMobile: true },
};

test('a connection that breaks and is there again in a moment moves nothing', async (t) => {
    const scope = scopeOf(t);
    const { gateways: [gateway] } = await startTier(scope);
    const page = await dashboard(scope, gateway);
    await state(page, 'live');
    const shown = await page.evaluate(() => {
        source.dispatchEvent(new Event('error'));
        return [document.getElementById('state').dataset.state, 'shown' in document.getElementById('notice').dataset];
    });
    assert.deepEqual(shown, ['live', false]);
});

test('wide and on a phone, light and dark: axe finds nothing, nothing is wider than the screen, nothing jumps', async (t) => {
    const scope = scopeOf(t);
    const { gateways: [gateway] } = await busyTier(scope, { args: ['--show-channels'] });
    for (const [name, look] of Object.entries(LOOKS)) {
        const page = await dashboard(scope, gateway, { ...look, bypassCSP: true });
        await state(page, 'live');
        await until('two channels', async () => (await page.locator('#channels tr').count()) === 2);
        await page.evaluate(() => {
            window.shifts = [];
            new PerformanceObserver((list) => window.shifts.push(...list.getEntries().map(({ value, sources }) => ({ value, what: sources.map(({ node, previousRect, currentRect }) => `${node?.id || node?.parentElement?.id || node?.nodeName} ${previousRect.top}>${currentRect.top}`).join(', ') })))).observe({ type: 'layout-shift' });
        });
        const seen = await page.evaluate(() => samples.length);
        await page.waitForFunction((n) => samples.length >= n, seen + 4);
        const shifts = await page.evaluate(() => window.shifts);
        assert.ok(shifts.reduce((sum, { value }) => sum + value, 0) < 0.01, `${name}: the layout shifted: ${JSON.stringify(shifts)}`);
        assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), `${name}: as wide as the screen`);
        for (const button of await page.locator('[data-plot]:not([hidden]) .head button').all()) await button.click();
        assert.deepEqual(await axeFindings(page), [], name);
        await page.context().close();
    }
});

test('figures that grow longer move nothing on a phone', async (t) => {
    const scope = scopeOf(t);
    const { gateways: [gateway] } = await startTier(scope);
    const page = await dashboard(scope, gateway, LOOKS['a phone, light']);
    await state(page, 'live');
    const heights = await page.evaluate(() => ['uptime', 'memory', 'cpu', 'lag'].map((id) => Array.from({ length: 9 }, (_, i) => {
        document.getElementById(id).textContent = '8'.repeat(i + 1);
        return document.querySelector('.facts').offsetHeight;
    })));
    assert.equal(new Set(heights.flat()).size, 1, `${heights}`);
});

test('by keyboard: the first key leads past the head, and each plot has a table', async (t) => {
    const scope = scopeOf(t);
    const { gateways: [gateway] } = await busyTier(scope);
    const page = await dashboard(scope, gateway);
    await state(page, 'live');
    const focused = () => page.evaluate(() => document.activeElement.getAttribute('aria-label') ?? document.activeElement.textContent);
    await page.keyboard.press('Tab');
    assert.equal(await focused(), 'Skip to the figures');
    await page.keyboard.press('Enter');
    await page.waitForFunction(() => document.activeElement.id === 'main');
    await page.keyboard.press('Tab');
    assert.equal(await focused(), 'Streams per gateway: as a table');
    await page.keyboard.press('Enter');
    await until('rows of three gateways', async () => (await page.locator('[data-plot=streams] .scroll tr').first().textContent()).split('gw-').length === 4);
    assert.match(await page.locator('[data-plot=streams] svg').getAttribute('aria-label'), /^Streams per gateway, the last two minutes\. Now: gw-\d+ \d/);
    await page.keyboard.press('Shift+Tab');
    assert.equal(await focused(), 'Pause');
    await page.keyboard.press('Space');
    await state(page, 'paused');
});

test('a page of another origin gets nothing: by fetch, by EventSource, in a frame', async (t) => {
    const scope = scopeOf(t);
    const { gateway, nginx } = await startTier(scope, { nginx: true, files: { 'page.html': '<!doctype html><title>x</title>' }, args: ['--cors-origin', '*'] });
    const page = await openPage(scope, browser, `${nginx.url}/page.html`);
    const got = await page.evaluate(async (admin) => {
        const read = (path, options) => fetch(admin + path, options).then((answer) => answer.text()).catch(() => 'nothing');
        const events = await new Promise((resolve) => {
            const source = new EventSource(`${admin}/dashboard/events`);
            source.onmessage = () => resolve('an event');
            source.onerror = () => resolve(source.readyState === EventSource.CLOSED ? 'nothing' : 'an open connection');
        });
        const frame = document.createElement('iframe');
        frame.src = `${admin}/dashboard`;
        const framed = new Promise((resolve) => (frame.onload = () => resolve(frame.contentDocument === null ? 'nothing' : 'a page')));
        document.body.append(frame);
        return [await read('/metrics'), await read('/metrics/sse'), await read('/dashboard'), (await read('/dashboard', { mode: 'no-cors' })) || 'nothing', events, await framed];
    }, `http://127.0.0.1:${gateway.adminPort}`);
    assert.deepEqual(got, Array(6).fill('nothing'));
});

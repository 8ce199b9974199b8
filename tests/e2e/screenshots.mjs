// Makes the pictures of docs/images anew: `make screenshots`. A tier of three gateways at work, seen in Chromium.

import fs from 'node:fs';
import path from 'node:path';
import { openPage, startChromium } from '../lib/chromium.mjs';
import { command } from '../lib/command.mjs';
import { Gateway } from '../lib/gateway.mjs';
import { somePorts, startRun } from '../lib/make_run.mjs';
import { BUILD, PUBLISH, ROOT } from '../lib/paths.mjs';
import { Redis } from '../lib/redis.mjs';
import { ownScope } from '../lib/scope.mjs';
import { Stream } from '../lib/stream.mjs';
import { sleep } from '../lib/wait.mjs';

const FOLDER = path.join(ROOT, 'docs/images');
const LARGEST = 150 * 1024;
const LOOKS = {
    light: { viewport: { width: 1200, height: 1120 }, colorScheme: 'light' },
    dark: { viewport: { width: 1200, height: 1120 }, colorScheme: 'dark' },
    phone: { viewport: { width: 360, height: 1010 }, colorScheme: 'light', deviceScaleFactor: 1.5, hasTouch: true, isMobile: true },
};
const CHANNELS = ['prices:eur-usd', 'chat:lobby', 'orders', 'match:live', 'user:42', 'news', 'sensor:7', 'user:7', 'alerts', 'game:9', 'user:8', 'jobs'];

const scope = ownScope(path.join(BUILD, 'screenshots'));

/** A stream that comes back to any of the gateways when it ends. */
async function keepStream(ports, at, i) {
    const query = [0, 3, 7].map((step) => `channel=${CHANNELS[(i + step * i) % CHANNELS.length]}`).join('&');
    const stream = await Stream.open(ports[at], `/stream?${query}`);
    stream.onEvent = () => {};
    scope.defer(() => stream.close());
    stream.closed.then(() => stream.end !== 'closed' && keepStream(ports, Math.floor(Math.random() * ports.length), i)).catch(() => {});
}

/** The n-th channel gets two thirds as much as the one before it; the whole comes in waves. */
function publish(redis) {
    let turn = 0;
    const one = () => {
        turn++;
        const messages = Array.from({ length: Math.round(14 + 8 * Math.sin(turn / 55) + (turn % 130 < 12 ? 16 : 0)) }, () => {
            const at = Math.min(Math.floor(Math.log(Math.random()) / Math.log(.66)), CHANNELS.length - 1);
            return [CHANNELS[at], JSON.stringify({ n: turn, text: 'x'.repeat(60 + 200 * Math.random()) })];
        });
        redis.publishAll(messages).catch(() => {});
    };
    const timer = setInterval(one, 50);
    scope.defer(() => clearInterval(timer));
}

async function shoot(page, name) {
    const file = path.join(FOLDER, `${name}.png`);
    await page.screenshot({ path: file });
    const { size } = fs.statSync(file);
    console.log(`${path.relative(ROOT, file)}: ${size} bytes`);
    if (size > LARGEST) throw new Error(`${file} is larger than ${LARGEST} bytes`);
}

async function shootDashboard(browser) {
    const redis = await Redis.start(scope);
    const start = (id) => Gateway.start(scope, { redis, id, args: ['--rebalance', 'on', '--rebalance-rate', '10/s', '--retry', '500ms', '--max-connections', '5000', '--show-channels'] });
    const gateways = [await start('gw-1'), await start('gw-2')];
    const ports = gateways.map(({ port }) => port);
    await Promise.all(Array.from({ length: 600 }, (_, i) => keepStream(ports, i % 2, i)));
    publish(redis);
    const open = ([, look]) => openPage(scope, browser, `http://127.0.0.1:${gateways[0].adminPort}/dashboard`, look);
    const pages = await Promise.all(Object.entries(LOOKS).map(open));
    await sleep(75000);
    ports.push((await start('gw-3')).port); // and rebalancing begins
    await sleep(28000);
    for (const [i, name] of Object.keys(LOOKS).entries()) await shoot(pages[i], `dashboard-${name}`);
}

async function shootDemo(browser) {
    const ports = await somePorts();
    await startRun(scope, ports);
    const page = await openPage(scope, browser, `https://127.0.0.1:${ports.https}/?channel=demo&channel=orders`, { viewport: { width: 1100, height: 980 }, ignoreHTTPSErrors: true });
    await page.waitForSelector('[data-state=open]');
    await page.fill('#load-count', '240');
    await page.click('#load-start');
    for (let i = 1; i <= 60; i++) {
        const sent = await command(PUBLISH, ['--redis', `redis://127.0.0.1:${ports.redis}`, '--event', 'order', 'orders', JSON.stringify({ total: 7 * i % 50 })]);
        if (sent.code !== 0) throw new Error(sent.err);
        await sleep(300 + 250 * Math.sin(i / 5));
    }
    await shoot(page, 'demo');
}

try {
    fs.mkdirSync(FOLDER, { recursive: true });
    const browser = await startChromium(scope);
    await shootDemo(browser);
    await shootDashboard(browser);
} finally {
    await scope.end();
}
process.exit();

// Each site of deploy/nginx in front of the same three gateways, with clients that give up on any answer but 200, as browsers
// do, and a tab: one series of faults for all, and then each front's clients are looked at.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { Authority } from '../lib/certificates.mjs';
import { startChromium } from '../lib/chromium.mjs';
import { connect as connectRedis, FORMS, load } from '../lib/durable.mjs';
import { Gateway } from '../lib/gateway.mjs';
import { Nginx } from '../lib/nginx.mjs';
import { NginxSite, sites } from '../lib/nginx_site.mjs';
import { NODE_CLIENTS } from '../lib/node_clients.mjs';
import { Redis } from '../lib/redis.mjs';
import { scopeOf, sharedScope } from '../lib/scope.mjs';
import { sleep, until } from '../lib/wait.mjs';

console.error = () => {}; // event-source-polyfill tells it each connection that was cut
process.env.NODE_TLS_REJECT_UNAUTHORIZED = '0'; // the clients have no option for a CA of ours

const TCP = 'sse-stream.conf';
const ARGS = ['--retry', '300ms', '--heartbeat', '1s', '--durable', '*'];
const PATH = '/stream?channel=a&control=1';
const TYPES = ['message', 'gateway:gap'];

const shared = sharedScope();
const redis = await Redis.start(shared);
const ca = await Authority.create(shared);
const certificate = await ca.sign('localhost');
const browser = await startChromium(shared);

const startPlain = (again) => Gateway.start(shared, { redis, args: ['--refusal', 'status', ...ARGS], ...again });

/** Ends TLS itself and is told who connects: asked whether it is ready at its other port. */
async function startSecure(again) {
    const gateway = await Gateway.start(shared, { redis, ready: false, args: ['--proxy-protocol', 'v1', ...ARGS], tls: { ...certificate, ca: ca.cert }, ...again });
    await gateway.process.ready('is ready', async () => (await gateway.get('/health/ready', { port: gateway.adminPort })).status === 200);
    return gateway;
}

const three = (start) => Promise.all([0, 1, 2].map(() => start()));
const tiers = [{ start: startPlain, gateways: await three(startPlain) }, { start: startSecure, gateways: await three(startSecure) }];
const [plain, secure] = tiers.map((tier) => tier.gateways);

const again = ({ id, port, adminPort }) => ({ id, port, adminPort });

async function restart(tier, i, signal) {
    const gateway = tier.gateways[i];
    gateway.process.signal(signal);
    await gateway.process.exit();
    tier.gateways[i] = await tier.start(again(gateway));
}

async function startFront(site) {
    if (site === 'sse-gateway.conf') return Nginx.start(shared, { gateways: plain, files: { 'index.html': '' } });
    const nginx = await NginxSite.prepare(shared, site, {
        gateways: site === TCP ? secure : plain,
        marks: { blue: plain.slice(0, 2), green: plain.slice(2), stable: plain.slice(0, 2), canary: plain.slice(2) },
        values: site === 'sse-tls.conf' ? { certificate: certificate.cert, key: certificate.key } : {},
        files: { 'index.html': '' },
    });
    if (site === 'sse-blue-green.conf') fs.symlinkSync('sse-blue.servers', path.join(nginx.folder, 'sse-active.servers'));
    if (site === TCP) nginx.url = nginx.url.replace('http:', 'https:');
    await nginx.run();
    return nginx;
}

async function openTab(url, onPage) {
    const context = await browser.newContext({ ignoreHTTPSErrors: true });
    shared.defer(() => context.close());
    const page = await context.newPage();
    // Where another test makes a network of its own at this moment, Chromium gives up what it loads.
    await page.goto(url + onPage).catch((error) => {
        if (!error.message.includes('ERR_NETWORK_CHANGED')) throw error;
        return page.goto(url + onPage);
    });
    await page.evaluate(([path, types]) => {
        window.events = [];
        window.opens = 0;
        window.source = new EventSource(path);
        window.source.onopen = () => window.opens++;
        for (const type of types) window.source.addEventListener(type, (e) => window.events.push({ type, data: e.data }));
    }, [PATH, TYPES]);
    return { name: 'Chromium', look: () => page.evaluate(() => ({ events: window.events, opens: window.opens, state: ['connecting', 'open', 'closed'][window.source.readyState] })) };
}

function openClients(url) {
    // eventsource 2 looks at certificates whatever the environment says.
    return Object.entries(NODE_CLIENTS).filter(([name]) => !url.startsWith('https') || name !== 'eventsource 2').map(([name, make]) => {
        const client = make(url + PATH, TYPES);
        shared.defer(() => client.close());
        return { name, look: () => ({ events: client.events, opens: client.opens(), state: client.state() }) };
    });
}

// extended-eventsource fires an empty message for each `retry`.
const heard = ({ events }) => events.filter((e) => e.data !== '');

/** Waits until `fact` holds for all clients of all fronts. A front that is late is late in its own test alone: nobody waits for it again. */
async function each(fronts, what, fact) {
    await Promise.all(fronts.filter((front) => !front.late).map((front) => until(`${what}, behind ${front.site}`, async () => {
        for (const client of front.clients) if (!fact(await client.look(), client, front)) throw new Error(client.name);
        return true;
    }, { ms: 15000, every: 100 }).catch((error) => (front.late = error))));
}

/** Publishes 0, 1, 2, .. to the end. */
function startPublishing(publisher) {
    let count = 0;
    let going = true;
    const one = () => FORMS.function(publisher, 'a', String(count++));
    const loop = (async () => {
        for (; going; await sleep(40)) await one();
    })();
    loop.catch(() => {});
    return { count: () => count, stop: async () => (going = false, await loop, count) };
}

async function faults() {
    const fronts = await Promise.all(['sse-gateway.conf', ...sites()].map(async (site) => ({ site, nginx: await startFront(site) })));
    await Promise.all(fronts.map(async (front) => {
        const { url } = front.nginx;
        front.clients = [...openClients(url), await openTab(url, front.site === TCP ? '/health/live' : '/index.html')];
    }));
    await each(fronts, 'all to be open', (c) => c.state === 'open');
    const publisher = connectRedis(shared, redis);
    await load(publisher);
    const publishing = startPublishing(publisher);
    const upToDate = (what) => {
        const count = publishing.count();
        return each(fronts, `${what}: ${count} events for each`, (c) => heard(c).length >= count || c.state === 'closed');
    };
    await upToDate('at first');
    await Promise.all(tiers.map((tier) => restart(tier, 0, 'SIGTERM')));
    await upToDate('SIGTERM');
    await Promise.all(tiers.map((tier) => restart(tier, 1, 'SIGKILL')));
    await upToDate('kill -9');
    await Promise.all(fronts.map(({ nginx }) => nginx.reload()));
    await upToDate('reload');

    const before = new Map();
    for (const { clients } of fronts) for (const client of clients) before.set(client.look, (await client.look()).opens);
    const all = tiers.flatMap(({ gateways }) => gateways);
    all.forEach((gateway, i) => gateway.process.signal(i % 3 === 0 ? 'SIGTERM' : 'SIGKILL'));
    await Promise.all(all.map((gateway) => gateway.process.exit()));
    await each(fronts, 'an answer without gateways, and another', (c, { look }, { site }) =>
        c.state === 'closed' || (site === TCP ? c.state !== 'open' : c.opens >= before.get(look) + 2));
    await Promise.all(tiers.map(async (tier) => (tier.gateways = await Promise.all(tier.gateways.map((gateway) => tier.start(again(gateway)))))));
    const count = await publishing.stop();
    await upToDate('all gone and back');
    return { fronts, count };
}

const run = faults();
run.catch(() => {});

for (const site of ['sse-gateway.conf', ...sites()]) {
    test(`behind ${site}, SIGTERM, kill -9, reload and all gateways away: each client gets each event once, none is closed`, async (t) => {
        scopeOf(t);
        const { fronts, count } = await run;
        assert.ok(count > 20, `${count} events`);
        const front = fronts.find((front) => front.site === site);
        for (const { name, look } of front.clients) {
            const client = await look();
            assert.notEqual(client.state, 'closed', name);
            assert.deepEqual(heard(client).map((e) => `${e.type} ${e.data}`), Array.from({ length: count }, (_, i) => `message ${i}`), name);
        }
        assert.ifError(front.late);
    });
}

test('each site passes POST /ticket on to a gateway', async (t) => {
    scopeOf(t);
    const { fronts } = await run;
    for (const { site, nginx } of fronts.filter(({ site }) => site !== TCP)) {
        const answer = await fetch(`${nginx.url}/ticket`, { method: 'POST', body: '{}' });
        assert.match(answer.headers.get('content-type'), /^application\/problem\+json/, site);
    }
});

test('a page that was asked for over HTTP is sent to HTTPS, where 20 streams of it are open at once over HTTP/2', async (t) => {
    const scope = scopeOf(t);
    const { fronts } = await run;
    const { nginx } = fronts.find((front) => front.site === 'sse-tls.conf');
    const context = await browser.newContext({ ignoreHTTPSErrors: true });
    scope.defer(() => context.close());
    const page = await context.newPage();
    await page.goto(`http://127.0.0.1:${nginx.plainPort}/index.html`);
    await page.evaluate(() => (window.all = Array.from({ length: 20 }, (_, i) => new EventSource(`/stream?channel=h2:${i}`))).length);
    await until('all to be open', () => page.evaluate(() => window.all.every((s) => s.readyState === 1)));
    assert.equal(await page.evaluate(() => performance.getEntriesByType('navigation')[0].nextHopProtocol), 'h2');
});

// The dashboard's page and its feed at the admin listener: what they say is true, who may ask, and that a look costs little.

import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import { test } from 'node:test';
import { Redis } from '../lib/redis.mjs';
import { scopeOf, sharedScope } from '../lib/scope.mjs';
import { Stream } from '../lib/stream.mjs';
import { openStream, openStreams } from '../lib/streams.mjs';
import { startTier } from '../lib/tier.mjs';
import { until } from '../lib/wait.mjs';

const EVENTS = '/dashboard/events';
const shared = sharedScope();
const { gateway: one } = await startTier(shared, { args: ['--cors-origin', 'https://app.example'] });
const page = (headers, path = '/dashboard', gateway = one) => gateway.get(path, { port: gateway.adminPort, headers });

/** A viewer of the dashboard; `last()` is the newest snapshot. */
async function look(scope, gateway) {
    const stream = await openStream(scope, gateway.adminPort, EVENTS);
    return Object.assign(stream, { last: () => JSON.parse(stream.events.at(-1).data) });
}

const shows = (viewer, what, fact) => until(what, () => viewer.events.length > 0 && fact(viewer.last()));

test('the page is whole: no request leaves the gateway, and only its own script and style may run', async () => {
    const { status, headers, body } = await page();
    assert.equal(status, 200);
    assert.equal(headers['content-type'], 'text/html; charset=utf-8');
    assert.equal(headers['x-frame-options'], 'DENY');
    const policy = headers['content-security-policy'];
    assert.match(policy, /^default-src 'none'; connect-src 'self'; img-src data:; /);
    assert.match(policy, /frame-ancestors 'none'/);
    assert.doesNotMatch(policy, /unsafe/);
    for (const element of ['script', 'style']) {
        const text = body.match(new RegExp(`<${element}>([^]*?)</${element}>`))[1];
        assert.ok(policy.includes(`${element}-src 'sha256-${crypto.createHash('sha256').update(text).digest('base64')}'`), element);
    }
    assert.deepEqual([...body.matchAll(/(?:src|href)="([^"]*)"/g)].map(([, url]) => url).filter((url) => !/^(#|\/|data:)/.test(url)), []);
    assert.doesNotMatch(body, /\sstyle="|\son[a-z]+="/);
});

test('the dashboard is at the admin listener alone', async () => {
    assert.equal((await one.get('/dashboard')).status, 404);
    assert.equal((await one.get(EVENTS)).status, 404);
});

test('no page of another origin gets anything of the admin listener, whatever --cors-origin is', async () => {
    for (const path of ['/dashboard', '/metrics', '/metrics/sse', '/health/detailed']) {
        const { status, headers } = await page({ Origin: 'https://app.example' }, path);
        assert.equal(status, 200);
        assert.deepEqual(Object.keys(headers).filter((name) => name.startsWith('access-control-')), [], path);
        for (const site of ['cross-site', 'same-site']) {
            assert.equal((await page({ 'Sec-Fetch-Site': site, 'Sec-Fetch-Dest': 'empty' }, path)).status, 403, `${path} ${site}`);
            assert.equal((await page({ 'Sec-Fetch-Site': site, 'Sec-Fetch-Dest': 'document' }, path)).status, 200, `${path} ${site}, a link`);
        }
        assert.equal((await page({ 'Sec-Fetch-Site': 'same-origin', 'Sec-Fetch-Dest': 'empty' }, path)).status, 200);
    }
    assert.equal((await page({ 'Sec-Fetch-Site': 'cross-site' }, EVENTS)).status, 403);
});

test('a name that a stranger may own does not lead to the dashboard; metrics are scraped by any name', async () => {
    const port = one.adminPort;
    for (const [host, status] of Object.entries({ [`evil.example:${port}`]: 403, [`127.0.0.1.evil.example:${port}`]: 403, [`localhost:${port}`]: 200, [`gw-1:${port}`]: 200, [`[::1]:${port}`]: 200 })) {
        assert.equal((await page({ Host: host })).status, status, host);
        if (status === 403) assert.equal((await page({ Host: host }, EVENTS)).status, 403, host);
        assert.equal((await page({ Host: host }, '/metrics')).status, 200, host);
    }
});

test('a snapshot a second says what the gateway does: streams, events, reasons, Redis, the tier', async (t) => {
    const scope = scopeOf(t);
    const { redis, gateways } = await startTier(scope, { gateways: 2, args: ['--max-connections', '200'] });
    const viewer = await look(scope, gateways[0]);
    await until('three snapshots', () => viewer.events.length >= 3);
    const streams = await openStreams(scope, Array(6).fill({ port: gateways[0].port, path: '/stream?channel=a' }));
    await openStreams(scope, Array(3).fill({ port: gateways[1].port, path: '/stream?channel=a' }));
    await redis.publish('a', 'hello');
    await shows(viewer, 'streams and events', ({ gauges, totals }) => gauges.streams === 6 && totals.events === 6 && totals.messages === 1);
    await shows(viewer, 'the tier', ({ peers }) => peers.find(({ id }) => id === gateways[1].id)?.connections === 3);
    const { latency } = await until('the latency of that second', () => viewer.events.map(({ data }) => JSON.parse(data)).find(({ latency: found }) => found));
    assert.ok(latency.p50 > 0 && latency.p50 <= latency.p95 && latency.p95 <= latency.p99 && latency.p99 < 2, JSON.stringify(latency));
    await shows(viewer, 'a second without deliveries', ({ latency: found }) => found === null);
    const now = viewer.last();
    assert.ok(now.process.resident_bytes > 1e6 && now.process.cpu_ms > 0 && now.process.lag >= 0, JSON.stringify(now.process));
    assert.deepEqual([now.id, now.workers, now.capacity, now.ready, now.refusal, now.drain], [gateways[0].id, 2, 200, true, '', null]);
    assert.deepEqual(now.redis, { proven: true, fault: '' });
    assert.deepEqual({ ...now.rebalance }, { mode: 'off', running: false, target: 5, surplus: 1 });
    streams.slice(0, 4).forEach((stream) => stream.close());
    await shows(viewer, 'the reason', ({ closes, gauges }) => closes.client_gone === 4 && gauges.streams === 2);
    await redis.kill();
    await shows(viewer, 'the fault', ({ redis: { proven, fault }, ready }) => !proven && !ready && fault.length > 5);
});

test('a drain is seen to its end', async (t) => {
    const scope = scopeOf(t);
    const { gateway } = await startTier(scope, { args: ['--drain-window', '3s', '--drain-timeout', '20s'] });
    const viewer = await look(scope, gateway);
    await openStreams(scope, Array(100).fill({ port: gateway.port, path: '/stream?channel=a' }));
    gateway.terminate();
    await shows(viewer, 'half of the drain', ({ drain, gauges, ready }) => drain?.streams === 100 && drain.ms_left > 10000 && gauges.streams < 80 && !ready);
    assert.equal((await gateway.process.exit()).code, 0);
});

for (const names of [false, true]) {
    test(`the busiest channels are shown ${names ? 'by name with --show-channels' : 'by digests that say nothing'}`, async (t) => {
        const scope = scopeOf(t);
        const { redis, gateways } = await startTier(scope, { gateways: 2, args: names ? ['--show-channels'] : [] });
        for (const gateway of gateways) await openStream(scope, gateway.port, '/stream?channel=user:ann&channel=user:bob');
        const viewers = await Promise.all(gateways.map((gateway) => look(scope, gateway)));
        const publishing = setInterval(() => redis.publishAll([['user:ann', 'x'], ['user:ann', 'y'], ['user:ann', 'z'], ['user:bob', 'x']]).catch(() => {}), 50);
        scope.defer(() => clearInterval(publishing));
        for (const viewer of viewers) await shows(viewer, 'two channels', ({ channels }) => channels.length === 2 && channels[0].messages > 2 * channels[1].messages && channels[1].messages > 0);
        const [first, second] = viewers.map((viewer) => viewer.last().channels.map(({ name }) => name));
        if (names) {
            assert.deepEqual([first, second], [['user:ann', 'user:bob'], ['user:ann', 'user:bob']]);
        } else {
            for (const name of [...first, ...second]) assert.match(name, /^[0-9a-f]{8}$/);
            assert.equal(new Set([...first, ...second]).size, 4, 'each process has a salt of its own');
            assert.doesNotMatch(JSON.stringify(viewers.map((viewer) => viewer.last())), /user:/);
        }
    });
}

test('as many as may look, and no more; a place that is left is free for the next; metrics answer meanwhile', async (t) => {
    const scope = scopeOf(t);
    const viewers = await Promise.all(Array.from({ length: 8 }, () => look(scope, one)));
    const ninth = await Stream.open(one.adminPort, EVENTS);
    assert.deepEqual([ninth.status, ninth.headers['retry-after']], [503, '2']);
    for (let i = 0; i < 20; i++) assert.equal((await page({}, '/metrics')).status, 200);
    const before = viewers.map(({ events }) => events.length);
    await until('all to go on', () => viewers.every(({ events }, i) => events.length > before[i] + 1));
    viewers[0].close();
    await until('a place', async () => {
        const next = await Stream.open(one.adminPort, EVENTS);
        scope.defer(() => next.close());
        return next.status === 200;
    });
});

test('a tier of 2,000 gateways fits', async (t) => {
    const scope = scopeOf(t);
    const redis = await Redis.start(scope);
    const { gateway } = await startTier(scope, { redisUrl: redis.url });
    const announced = (i) => JSON.stringify({ id: `made-up-${i}`, run: i.toString(16).padStart(16, '0'), version: '1', connections: i, capacity: 1000, draining: false, ready: true, every: 60000 });
    await redis.publishAll(Array.from({ length: 2000 }, (_, i) => ['sse:gateways', announced(i + 1)]));
    const viewer = await look(scope, gateway);
    await shows(viewer, 'all', ({ peers }) => peers.length === 2001);
});

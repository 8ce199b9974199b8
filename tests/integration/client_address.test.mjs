// Where clients come from: caps and rates of addresses, directly and behind proxies.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { freePort } from '../lib/ports.mjs';
import { exchange } from '../lib/raw_http.mjs';
import { scopeOf } from '../lib/scope.mjs';
import { Stream } from '../lib/stream.mjs';
import { openStream, openStreams } from '../lib/streams.mjs';
import { startTier } from '../lib/tier.mjs';
import { until } from '../lib/wait.mjs';

const PATH = '/stream?channel=news';
const REFUSED = { 429: 'status', 200: 'retry' };

async function isRefused(scope, port, options = {}) {
    const stream = await Stream.open(port, PATH, { keep: true, ...options });
    scope.defer(() => stream.close());
    await stream.ended();
    assert.ok(stream.status in REFUSED);
    if (stream.status === 200) assert.match(stream.body, /^retry: \d+\n\n$/);
    else assert.match(stream.headers['retry-after'], /^[1-9]\d*$/);
    return REFUSED[stream.status];
}

for (const refusal of ['retry', 'status']) {
    test(`--max-connections-per-ip with --refusal ${refusal}: the stream above it is refused, counted, and let in once there is room`, async (t) => {
        const scope = scopeOf(t);
        const { gateway } = await startTier(scope, { args: ['--max-connections-per-ip', '3', '--refusal', refusal] });
        const streams = await openStreams(scope, Array(3).fill({ port: gateway.port, path: PATH }));
        assert.equal(await isRefused(scope, gateway.port), refusal);
        await gateway.metricIs('refusals_total', 1, { labels: { reason: 'ip_cap' } });
        streams[1].close();
        await gateway.metricIs('connections', 2);
        assert.equal((await openStream(scope, gateway.port, PATH)).status, 200);
    });
}

test('an IPv6 address counts as its /64, and an IPv4 address by an IPv6 socket as itself', async (t) => {
    const scope = scopeOf(t);
    const six = await freePort();
    const { gateway } = await startTier(scope, { args: ['--listen', `[::]:${six}`, '--max-connections-per-ip', '1', '--trusted-proxy', '::1', '--refusal', 'status'] });
    const by = (address) => ({ host: '::1', headers: { 'X-Forwarded-For': address } });
    await openStream(scope, six, PATH, by('2001:db8:0:1::1'));
    assert.equal(await isRefused(scope, six, by('2001:db8:0:1:ffff::2')), 'status');
    await openStream(scope, six, PATH, by('2001:db8:0:2::1'));
    await openStream(scope, gateway.port, PATH);
    assert.equal(await isRefused(scope, six, { host: '127.0.0.1' }), 'status');
});

test('behind NGINX each client counts for itself, whatever it sends, and NGINX does not', async (t) => {
    const scope = scopeOf(t);
    const { nginx, gateway } = await startTier(scope, { nginx: true, args: ['--max-connections-per-ip', '1', '--trusted-proxy', '127.0.0.1', '--refusal', 'status'] });
    // NGINX sees 127.0.0.1 as well, which is trusted: so the address that it was told is the client's.
    const by = (address, more = {}) => ({ headers: { 'X-Forwarded-For': address, ...more }, keep: true });
    await openStream(scope, nginx.port, PATH, by('6.6.6.6, 1.1.1.1'));
    await openStream(scope, nginx.port, PATH, by('2.2.2.2'));
    for (const forged of [by('7.7.7.7, 1.1.1.1'), by('1.1.1.1', { Forwarded: 'for=8.8.8.8' })]) {
        const stream = await openStream(scope, nginx.port, PATH, forged);
        await stream.ended();
        assert.match(stream.body, /^retry: \d+\n\n$/); // NGINX makes that of a 429
    }
    await gateway.metricIs('refusals_total', 2, { labels: { reason: 'ip_cap' } });
});

test('--connect-rate lets a burst in, then as many as it says; other addresses are not touched', async (t) => {
    const scope = scopeOf(t);
    const { gateway } = await startTier(scope, { args: ['--connect-rate', '1', '--connect-burst', '5', '--trusted-proxy', '127.0.0.1', '--refusal', 'status'] });
    const by = (address) => ({ port: gateway.port, path: PATH, headers: { 'X-Forwarded-For': address } });
    await openStreams(scope, Array(5).fill(by('1.1.1.1')));
    assert.equal(await isRefused(scope, gateway.port, by('1.1.1.1')), 'status');
    await openStreams(scope, Array(5).fill(by('1.1.1.2')));
    await until('a token', async () => {
        const stream = await Stream.open(gateway.port, PATH, by('1.1.1.1'));
        scope.defer(() => stream.close());
        return stream.status === 200;
    }, { every: 100 });
    assert.ok((await gateway.metric('refusals_total', { reason: 'connect_rate' })) >= 1);
    const pages = await Promise.all(Array.from({ length: 20 }, () => gateway.get('/health/live')));
    assert.ok(pages.every((p) => p.status === 200), 'pages are no streams');
});

test('of many that come at once from one address, on several workers, as many as the cap are let in', async (t) => {
    const scope = scopeOf(t);
    const { gateway } = await startTier(scope, { workers: 4, args: ['--max-connections-per-ip', '20'] });
    const streams = await openStreams(scope, Array(100).fill({ port: gateway.port, path: PATH }));
    await until('the others to have ended', () => streams.filter((s) => s.open).length === 20);
    await gateway.metricIs('connections', 20);
    await gateway.metricIs('refusals_total', 80, { labels: { reason: 'ip_cap' } });
});

test('a status of 429 names no address and no other user', async (t) => {
    const scope = scopeOf(t);
    const { gateway } = await startTier(scope, { args: ['--max-connections-per-ip', '1', '--refusal', 'status'] });
    await openStream(scope, gateway.port, PATH);
    const answer = await exchange(gateway.port, `GET ${PATH} HTTP/1.1\r\nHost: a\r\n\r\n`);
    assert.equal(answer.status, 429);
    assert.deepEqual(JSON.parse(answer.body), { type: 'about:blank', title: 'Too Many Requests', status: 429, detail: 'This address has too many streams.' });
});

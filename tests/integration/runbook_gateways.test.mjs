// docs/runbook.md, "Gateways": each symptom is made, seen as the page says, and ended by what it says to type.

import assert from 'node:assert/strict';
import net from 'node:net';
import { GATEWAY } from '../lib/paths.mjs';
import { Gateway } from '../lib/gateway.mjs';
import { Nginx } from '../lib/nginx.mjs';
import { Process } from '../lib/process.mjs';
import { Redis } from '../lib/redis.mjs';
import { Fleet } from '../lib/returning.mjs';
import { symptom } from '../lib/runbook.mjs';
import { Stream } from '../lib/stream.mjs';
import { openStream, openStreams } from '../lib/streams.mjs';
import { until } from '../lib/wait.mjs';

const ALL = { port: 0, path: '/stream?channel=a' };
const many = (gateway, count) => Array(count).fill({ ...ALL, port: gateway.port });
const view = (gateway) => gateway.get('/metrics/sse', { port: gateway.adminPort }).then(({ body }) => JSON.parse(body));

symptom('A gateway is down', async (page, scope) => {
    const redis = await Redis.start(scope);
    const [gateway, other] = [await page.start({ redis, conf: ['log-level = info'] }), await Gateway.start(scope, { redis })];
    await page.watch([gateway, other]);
    gateway.terminate();
    await gateway.process.exit();
    await page.alerted();
    const [log, check] = await page.type();
    assert.match(log, /"stopped"/);
    assert.doesNotMatch(check, /error/i);
    await page.over();
});

symptom('No gateway is up', async (page, scope) => {
    const redis = await Redis.start(scope);
    const gateway = await page.start({ redis });
    const nginx = await Nginx.start(scope, { gateways: [gateway] });
    await page.watch();
    gateway.process.signal('SIGKILL');
    await gateway.process.exit();
    await page.alerted();
    const refused = await Stream.open(nginx.port, '/stream?channel=a', { keep: true });
    await refused.ended();
    assert.deepEqual([refused.status, /^retry: \d+\n\n$/.test(refused.body)], [200, true], 'clients are told to come again');
    await page.type();
    await page.over();
    await openStream(scope, nginx.port, '/stream?channel=a');
});

symptom('A gateway does not start', async (page, scope) => {
    const redis = await Redis.start(scope);
    const gateway = await page.start({ redis });
    gateway.terminate();
    await gateway.process.exit();
    const squatter = net.createServer().listen(gateway.port, '127.0.0.1');
    scope.defer(() => squatter.close());
    await page.again({ ready: false });
    page.gateway.process.wantedEnd = true;
    assert.equal((await page.gateway.process.exit()).code, 1);
    await page.logged();
    const [who] = await page.type({ only: /^ss /, map: { ':8080': `:${gateway.port}` } });
    assert.match(who, new RegExp(`pid=${process.pid}`), 'the page finds the other program');
    await new Promise((resolve) => squatter.close(resolve));
    await page.type({ only: /systemctl/ });
    await page.over();
});

symptom('The options ask for more than the host gives', async (page, scope) => {
    const redis = await Redis.start(scope);
    await page.start({ redis, conf: ['max-connections = 5000'], netns: { there: '127.0.0.1', via: ['prlimit', '--nofile=400:400'] }, ready: false });
    page.gateway.process.wantedEnd = true;
    assert.equal((await page.gateway.process.exit()).code, 1);
    await page.logged();
    await page.type({ again: { ready: true } });
    await page.over();
    assert.ok((await page.gateway.metric('capacity')) > 100);
});

symptom('A gateway is nearly full', async (page, scope) => {
    const redis = await Redis.start(scope);
    const gateway = await page.start({ redis, conf: ['max-connections = 10'] });
    await page.watch();
    await openStreams(scope, many(gateway, 9));
    await page.seen();
    const [json] = await page.type();
    assert.deepEqual([JSON.parse(json).connections, JSON.parse(json).capacity], [9, 10]);
    await openStreams(scope, many(page.gateway, 9));
    await page.over();
    await page.quiet();
});

symptom('A gateway refuses streams', async (page, scope) => {
    const redis = await Redis.start(scope);
    const gateway = await page.start({ redis, conf: ['max-connections = 2'] });
    await page.watch();
    await openStreams(scope, many(gateway, 2));
    // As a client does that is told to come again.
    const asks = setInterval(() => Stream.open(gateway.port, '/stream?channel=a').then((s) => s.ended()).catch(() => {}), 50);
    scope.defer(() => clearInterval(asks));
    await page.seen();
    clearInterval(asks);
    const [counters] = await page.type();
    assert.match(counters, /refusals_total\{reason="full"\} [1-9]/);
    await openStreams(scope, many(page.gateway, 3));
    await page.over();
});

symptom('The tier has no room for the loss of a gateway', async (page, scope) => {
    const redis = await Redis.start(scope);
    const gateway = await page.start({ redis, conf: ['max-connections = 10'] });
    const other = await Gateway.start(scope, { redis, args: ['--max-connections', '10'] });
    await page.watch([gateway, other]);
    await openStreams(scope, [...many(gateway, 6), ...many(other, 6)]);
    await page.seen();
    await until('the tier to be known', async () => JSON.parse((await page.type())[0]).peers.reduce((sum, { connections }) => sum + connections, 0) === 12);
    const third = await Gateway.start(scope, { redis, args: ['--max-connections', '10'] });
    await page.watch([gateway, other, third]);
    await page.quiet();
});

symptom('All clients are at one gateway', async (page, scope) => {
    const redis = await Redis.start(scope);
    const FAST = ['--rebalance-rate', '100/s', '--rebalance-settle', '1s', '--retry', '300ms'];
    const gateway = await page.start({ redis, args: FAST });
    // The proxy of the page: one that does not look at connections, and knows both.
    const place = await Gateway.start(scope, { redis, id: 'later' });
    const nginx = await Nginx.start(scope, { gateways: [gateway, place] });
    place.terminate();
    await place.process.exit();
    const fleet = await Fleet.open(scope, nginx.port, 60, ['a']);
    await until('all streams to be open', () => fleet.open === 60, { ms: 30000 });
    const later = await Gateway.start(scope, { redis, id: 'later', port: place.port, adminPort: place.adminPort });
    await until('both to be known', async () => (await view(gateway)).peers.length === 2);
    const [json] = await page.type({ only: /curl/ });
    assert.deepEqual(JSON.parse(json).peers.map(({ connections }) => connections).sort(), [0, 60]);
    // A restart would move all of them by itself; the option is what the page is about.
    later.terminate();
    await later.process.exit();
    await page.type({ only: /echo|systemctl/ });
    await until('all streams to be back', () => fleet.open === 60, { ms: 30000 });
    await Gateway.start(scope, { redis, id: 'later', port: place.port, adminPort: place.adminPort, args: FAST });
    await page.over({ ms: 60000 });
    assert.ok(Math.abs(fleet.counts().get('later') - 30) <= 6, JSON.stringify([...fleet.counts()]));
});

symptom('A gateway ends streams and gets as many again', async (page, scope) => {
    const redis = await Redis.start(scope);
    const FAST = ['--rebalance-rate', '100/s', '--rebalance-settle', '2s', '--retry', '500ms'];
    const gateway = await page.start({ redis, args: FAST, conf: ['rebalance = on'] });
    await page.watch();
    const nginx = await Nginx.start(scope, { gateways: [gateway] }); // which does not know the other one
    const fleet = await Fleet.open(scope, nginx.port, 60, ['a']);
    await until('all streams to be open', () => fleet.open === 60, { ms: 30000 });
    await Gateway.start(scope, { redis, id: 'elsewhere', args: FAST });
    await page.seen({ ms: 60000 });
    await page.type();
    await page.over();
});

symptom('Gateways and Prometheus count differently', async (page, scope) => {
    const redis = await Redis.start(scope);
    await redis.cli(['ACL', 'SETUSER', 'gateway', 'on', '>secret', '+@all', '~*', 'resetchannels', '&a', '&sse:canary:*']);
    await page.start({ redis, redisUrl: `redis://gateway:secret@127.0.0.1:${redis.port}` });
    await page.watch();
    await page.seen();
    const [json] = await page.type();
    assert.deepEqual(JSON.parse(json).peers, []);
    await page.over();
    await page.quiet();
});

symptom('Two gateways have one id', async (page, scope) => {
    const redis = await Redis.start(scope);
    const first = await Gateway.start(scope, { redis, id: 'gw-1' });
    await page.start({ redis, id: null, conf: ['id = gw-1'] });
    await page.seen();
    await page.type();
    await until('both names', async () => (await view(first)).peers.map(({ id }) => id).sort().join() === 'gw-1,gw-2');
});

symptom('A drain does not end', async (page, scope) => {
    const redis = await Redis.start(scope);
    const gateway = await page.start({ redis, args: ['--drain-delay', '200s', '--drain-timeout', '300s'] });
    await page.watch();
    await openStream(scope, gateway.port, '/stream?channel=a');
    gateway.terminate();
    await page.seen();
    const [progress] = await page.type();
    assert.match(progress, /sse_gateway_drain_seconds_left (300|29\d)/);
    await gateway.process.exit();
    await page.logged('Over');
});

symptom('A drain cuts its last streams', async (page, scope) => {
    const redis = await Redis.start(scope);
    const gateway = await page.start({ redis, conf: ['drain-timeout = 2s', 'drain-window = 0s'], args: ['--queue-limit', '64MiB'] });
    const stream = await openStream(scope, gateway.port, '/stream?channel=a');
    stream.socket.pause();
    await until('bytes that wait', async () => {
        await redis.publishAll([['a', 'x'.repeat(500_000)]]);
        return (await gateway.metric('queued_bytes')) > 1_000_000;
    }, { every: 0 });
    const [options] = await page.type();
    assert.match(options, /drain-timeout = 2s/);
    gateway.terminate();
    await gateway.process.exit();
    await page.logged();
    await page.logged('Over');
});

// An application's own sessions decide, by NGINX and headers that the gateway believes from it alone; and caps per user.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { command } from '../lib/command.mjs';
import { PUBLISH } from '../lib/paths.mjs';
import { exchange } from '../lib/raw_http.mjs';
import { scopeOf } from '../lib/scope.mjs';
import { SessionApp } from '../lib/session_app.mjs';
import { Stream } from '../lib/stream.mjs';
import { openStream, openStreams } from '../lib/streams.mjs';
import { startTier } from '../lib/tier.mjs';
import { until } from '../lib/wait.mjs';

const HEADERS = ['--channels-header', 'X-SSE-Channels', '--subject-header', 'X-SSE-Subject'];
const OF_NGINX = ['--refusal', 'status', '--trusted-proxy', '127.0.0.1', ...HEADERS];

async function startSessions(t, { args = [], ...options } = {}) {
    const scope = scopeOf(t);
    const app = await SessionApp.start(scope);
    return { scope, app, ...(await startTier(scope, { nginx: true, application: app.port, anonymous: [], args: [...OF_NGINX, ...args], ...options })) };
}

async function statusOf(scope, port, path, headers) {
    const stream = await Stream.open(port, path, { headers });
    scope.defer(() => stream.close());
    return stream.status;
}

test('a login of the application opens its own channels through NGINX, and no others', async (t) => {
    const { scope, app, redis, nginx } = await startSessions(t);
    const ann = app.login('ann');
    const stream = await openStream(scope, nginx.port, '/stream?channel=user:ann:inbox&channel=news', { headers: ann });
    await redis.publish('user:ann:inbox', 'for ann');
    await redis.publish('news', 'for all');
    assert.deepEqual((await stream.count(2)).map((e) => e.data).sort(), ['for all', 'for ann']);
    assert.equal(await statusOf(scope, nginx.port, '/stream?channel=user:ben:inbox', ann), 403);
    assert.equal(await statusOf(scope, nginx.port, '/stream?channel=news', {}), 401);
    app.logout(ann);
    assert.equal(await statusOf(scope, nginx.port, '/stream?channel=news', ann), 401);
});

test('a client that sends the headers itself gains nothing through NGINX', async (t) => {
    const { scope, app, nginx } = await startSessions(t);
    const forged = { ...app.login('ann'), 'X-SSE-Channels': '*', 'x-sse-subject': 'ben' };
    assert.equal(await statusOf(scope, nginx.port, '/stream?channel=user:ben:inbox', forged), 403);
    assert.equal(await statusOf(scope, nginx.port, '/stream?channel=news', forged), 200);
});

test('nor through an NGINX without sessions, as it is shipped', async (t) => {
    const scope = scopeOf(t);
    const { nginx } = await startTier(scope, { nginx: true, anonymous: ['news'], args: OF_NGINX });
    assert.equal(await statusOf(scope, nginx.port, '/stream?channel=secret', { 'X-SSE-Channels': '*' }), 403);
    assert.equal(await statusOf(scope, nginx.port, '/stream?channel=news', { 'X-SSE-Channels': '*' }), 200);
});

test('a client that reaches a gateway directly gains nothing by the headers, whatever addresses it names', async (t) => {
    const scope = scopeOf(t);
    const { gateway } = await startTier(scope, { anonymous: ['news'], args: ['--trusted-proxy', '10.0.0.0/8', '--trusted-proxy', 'unix', ...HEADERS] });
    for (const lie of ['', 'X-Forwarded-For: 10.0.0.1\r\n', 'Forwarded: for=10.0.0.1\r\n', 'X-Forwarded-For: 10.0.0.1, 10.0.0.2\r\nX-Real-IP: 10.0.0.1\r\n']) {
        const answer = await exchange(gateway.port, `GET /stream?channel=secret HTTP/1.1\r\nHost: a\r\n${lie}X-SSE-Channels: *\r\nX-SSE-Subject: ann\r\n\r\n`);
        assert.equal(answer.status, 403, lie);
    }
});

test('three gateways with a cap of 3 behind NGINX let 9 of 10 streams of one user in, and another user too', async (t) => {
    const { scope, app, gateways, nginx, redis } = await startSessions(t, { gateways: 3, args: ['--max-connections-per-user', '3'] });
    const ann = app.login('ann');
    const streams = await openStreams(scope, Array(10).fill({ port: nginx.port, path: '/stream?channel=user:ann:inbox', headers: ann, keep: true }));
    await until('one to be refused', () => streams.filter((s) => s.open).length === 9);
    const refused = streams.find((s) => !s.open);
    assert.match(refused.body, /^retry: \d+\n\n$/); // by NGINX, from a 429
    await redis.publish('user:ann:inbox', 'x');
    await Promise.all(streams.filter((s) => s.open).map((s) => s.count(1)));
    for (const gateway of gateways) assert.equal(await gateway.metric('connections'), 3);
    const counts = await Promise.all(gateways.map((g) => g.metric('refusals_total', { reason: 'user_cap' })));
    assert.equal(counts.reduce((a, b) => a + b), 1);

    const ben = await openStream(scope, nginx.port, '/stream?channel=user:ben:inbox', { headers: app.login('ben') });
    await redis.publish('user:ben:inbox', 'y');
    await ben.count(1);
    streams.find((s) => s.open).close(); // and there is room again
    await until('a new stream of the user', async () => (await openStream(scope, nginx.port, '/stream?channel=news', { headers: ann, keep: true })).gateway !== undefined);
});

test('with --user-cap-policy oldest the new stream opens and the oldest ends with gateway:close replaced, on any worker', async (t) => {
    const { scope, app, gateway, nginx, redis } = await startSessions(t, { workers: 4, args: ['--max-connections-per-user', '2', '--user-cap-policy', 'oldest'] });
    const headers = app.login('ann');
    const streams = [];
    for (let i = 0; i < 8; i++) {
        streams.push(await openStream(scope, nginx.port, '/stream?channel=news&control=1', { headers }));
        await streams[i].count(1);
        if (i < 2) continue;
        assert.equal(await streams[i - 2].ended(), 'clean');
        const last = streams[i - 2].events.at(-1);
        assert.deepEqual([last.type, last.data], ['gateway:close', '{"reason":"replaced"}']);
        assert.ok(streams[i - 2].retry >= 60000, 'it does not come back at once to replace another one');
    }
    await redis.publish('news', 'x');
    await Promise.all(streams.slice(6).map((s) => s.count(2)));
    await gateway.metricIs('closes_total', 6, { labels: { reason: 'replaced' } });
    await gateway.metricIs('connections', 2);
});

test('a user whom --subject-header alone names can be revoked', async (t) => {
    const scope = scopeOf(t);
    const { redis, gateway } = await startTier(scope, { anonymous: ['news'], args: ['--trusted-proxy', '127.0.0.1', '--subject-header', 'X-SSE-Subject'] });
    const stream = await openStream(scope, gateway.port, '/stream?channel=news&control=1', { headers: { 'X-SSE-Subject': 'ann' } });
    await stream.count(1);
    const run = await command(PUBLISH, ['--redis', redis.url, '--revoke-subject', 'ann', '--for', '1h']);
    assert.match(run.out, /, 1 gateways?\n$/);
    assert.equal(await stream.ended(), 'clean');
    assert.equal(stream.events.at(-1).data, '{"reason":"revoked"}');
});

test('while the application is away streams are told to come back, and none is let in', async (t) => {
    const { scope, nginx } = await startSessions(t, {});
    const gone = await startTier(scope, { nginx: true, application: 1, anonymous: [], args: OF_NGINX });
    const refused = await openStream(scope, gone.nginx.port, '/stream?channel=news', { keep: true });
    assert.equal(await refused.ended(), 'clean');
    assert.match(refused.body, /^retry: \d+\n\n$/);
    assert.equal(await statusOf(scope, nginx.port, '/stream?channel=news', {}), 401);
});

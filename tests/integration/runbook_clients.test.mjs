// docs/runbook.md, "Clients" and "Tokens, keys and certificates": each symptom is made, seen as the page says, and ended by
// what it says to type.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { Keys } from '../lib/bearer.mjs';
import { Authority } from '../lib/certificates.mjs';
import { connect, load } from '../lib/durable.mjs';
import { Nginx } from '../lib/nginx.mjs';
import { OidcProvider } from '../lib/oidc_provider.mjs';
import { Redis } from '../lib/redis.mjs';
import { symptom } from '../lib/runbook.mjs';
import { Stream } from '../lib/stream.mjs';
import { openStream, openStreams } from '../lib/streams.mjs';
import { Issuer, now } from '../lib/tokens.mjs';
import { until } from '../lib/wait.mjs';

const PROXY = 'http://proxy.example';

async function start(page, scope, options) {
    const redis = await Redis.start(scope);
    await page.start({ redis, ...options });
    return redis;
}

symptom('Events do not arrive for one user', async (page, scope) => {
    await start(page, scope);
    // The page streams a name that the application does not publish to.
    const tab = await openStream(scope, page.gateway.port, '/stream?channel=users:42');
    const [before, none, nothing] = await page.type({ fails: /curl/ }); // curl ends by timeout
    assert.match(before, /^user:42\n0$/m);
    assert.match(nothing, /event: gateway:open\ndata: .*"user:42":"fresh"/);
    assert.match(none, /^0 gateways$/m);
    assert.deepEqual(tab.events, []);

    const mended = await openStream(scope, page.gateway.port, '/stream?channel=user:42');
    const [after, reached] = await page.type({ fails: /curl/ });
    assert.match(after, /^user:42\n1$/m);
    assert.match(reached, /^1 gateway$/m);
    await mended.count(1);
});

symptom('Events arrive late, in bursts', async (page, scope) => {
    await start(page, scope);
    const buffers = (text) => text.replace('gzip off;', 'gzip on; gzip_types *; gzip_proxied any;')
        .replace('proxy_buffering off;', 'proxy_buffering on; proxy_ignore_headers X-Accel-Buffering;');
    const late = await Nginx.start(scope, { gateways: [page.gateway], change: buffers });
    const right = await Nginx.start(scope, { gateways: [page.gateway] });
    const typed = (nginx) => page.type({ map: { [PROXY]: nginx.url }, fails: /timeout/ });
    const [itself, buffered] = await typed(late);
    assert.match(itself, /event: gateway:open/);
    assert.doesNotMatch(buffered, /event: gateway:open/);
    const [, mended] = await typed(right);
    assert.match(mended, /event: gateway:open/);
});

symptom('Tabs are dead', async (page, scope) => {
    await start(page, scope);
    const alone = (text) => text.replace(/ *proxy_intercept_errors on;\n *error_page .*\n/, '');
    const wrong = await Nginx.start(scope, { gateways: [page.gateway], change: alone });
    const right = await Nginx.start(scope, { gateways: [page.gateway] });
    page.gateway.terminate();
    await page.gateway.process.exit();
    const [bad] = await page.type({ map: { [PROXY]: wrong.url } });
    assert.match(bad, /^HTTP\/1\.1 502 /);
    const [good] = await page.type({ map: { [PROXY]: right.url } });
    assert.match(good, /^HTTP\/1\.1 200 OK\r\n(?:.*\r\n)*Content-Type: text\/event-stream/i);
    assert.match(good, /\nretry: \d+\n/);
});

symptom('Clients are told of gaps', async (page, scope) => {
    const redis = await start(page, scope);
    await page.watch();
    const client = connect(scope, redis);
    await load(client);
    const append = (data) => client.call('FCALL', 'sse_publish', 1, 'user:42', data, '', '', 'maxlen', '2');
    await append('1');
    const first = await openStream(scope, page.gateway.port, '/stream?channel=user:42&control=1');
    await until('an id', () => first.lastEventId);
    first.close();
    await page.gateway.metricIs('connections', 0);
    await page.again({ port: undefined, adminPort: undefined }); // one that has read nothing ahead
    await page.watch();
    for (const data of ['2', '3', '4', '5']) await append(data);
    const late = await openStream(scope, page.gateway.port, `/stream?channel=user:42&last_event_id=${first.lastEventId}`);
    await late.count(3);
    assert.deepEqual(late.events.map(({ type }) => type), ['gateway:gap', 'message', 'message']);
    await page.seen();
    const [counters, kept] = await page.type();
    assert.match(counters, /^sse_gateway_gaps_total [1-9]/m);
    assert.match(counters, /^sse_gateway_redis_connects_total 1$/m); // so it was not Redis
    assert.match(kept, /^length\n2$/m);
});

// Its alert is about two a minute and more, for ten minutes: alerts_test.yml holds it.
symptom('Clients do not keep up', async (page, scope) => {
    const redis = await start(page, scope);
    const map = { ':8080': `:${page.gateway.port}` };
    const full = async () => (await page.gateway.metric('closes_total', { reason: 'slow' })) >= 10;
    // Ten that read nothing; the one of the page's command is still there when the others are ended.
    const slow = await openStreams(scope, Array(10).fill({ port: page.gateway.port, path: '/stream?channel=a' }));
    slow.forEach(({ socket }) => socket.pause());
    // One event after the other: of three that wait for a stream the last ends it.
    let delivered = 0;
    await until('bytes that wait', async () => {
        delivered += await page.gateway.metric('connections');
        await redis.publishAll([['a', 'x'.repeat(100_000)]]);
        await until('its delivery', async () => (await page.gateway.metric('deliveries_total')) >= delivered);
        return (await page.gateway.metric('writes_blocked_total')) >= slow.length && (await page.gateway.metric('queued_bytes')) > 1_000_000;
    }, { every: 0, ms: 30000 });
    const [sockets, counters] = await page.type({ map });
    assert.ok(Number(sockets.trim().split('\n').at(-1).trim().split(/\s+/)[1]) > 100_000, sockets); // Send-Q
    assert.match(counters, /^sse_gateway_queued_bytes \d{6,}/m);
    await until('all are given up', async () => {
        await redis.publishAll([['a', 'x'.repeat(100_000)]]);
        return full();
    }, { every: 50, ms: 30000 });
    await page.seen();
    await page.over();
});

symptom('Memory grows', async (page, scope) => {
    const redis = await start(page, scope, { args: ['--heartbeat', '60s'], conf: ['queue-limit = 16MiB'] });
    const slow = await openStream(scope, page.gateway.port, '/stream?channel=a');
    slow.socket.pause();
    const before = await page.gateway.metric('resident_memory_bytes');
    await until('bytes that wait', async () => {
        await redis.publishAll([['a', 'x'.repeat(500_000)]]);
        return (await page.gateway.metric('writes_blocked_total')) > 0 && (await page.gateway.metric('queued_bytes')) > 8_000_000;
    }, { every: 0, ms: 30000 });
    await page.seen();
    assert.ok((await page.gateway.metric('resident_memory_bytes')) > before + 4_000_000);
    fs.writeFileSync(path.join(page.folder, 'sse-gateway.conf'), 'anonymous = *\n'); // the page's line is the only one
    const [bytes] = await page.type();
    assert.match(bytes, /^sse_gateway_queued_bytes \d{7,}/m);
    await page.over();
    const again = await openStream(scope, page.gateway.port, '/stream?channel=a');
    again.socket.pause();
    let most = 0;
    await until('it is given up early', async () => {
        await redis.publishAll([['a', 'x'.repeat(100_000)]]);
        most = Math.max(most, await page.gateway.metric('queued_bytes'));
        return (await page.gateway.metric('closes_total', { reason: 'slow' })) === 1;
    }, { every: 0, ms: 30000 });
    assert.ok(most < 1_000_000, `${most} bytes`);
});

symptom('Clients get 401', async (page, scope) => {
    const keys = new Keys(scope);
    await start(page, scope, { args: keys.args, anonymous: [] });
    const stranger = new Keys(scope);
    const typed = async (token) => (await page.type({ env: { TOKEN: token } }))[1];
    assert.match(await typed(keys.token('42', { exp: now() - 10 })), /^HTTP\/1\.1 401 [^]*invalid_token[^]*expired/);
    assert.match(await typed(stranger.token('42')), /^HTTP\/1\.1 401 [^]*signature|key/);
    await page.seen();
    const [counters] = await page.type({ only: /metrics/ });
    assert.match(counters, /reason="expired"\} 1$/m);
    assert.match(counters, /reason="signature"\} 1$/m);
});

symptom('Clients get 403', async (page, scope) => {
    const keys = new Keys(scope);
    await start(page, scope, { anonymous: [], conf: [`jwt-secret-file = ${keys.args[1]}`, 'grant = user:{sub}'] });
    const token = keys.token('42');
    const [answer, claims, options] = await page.type({ env: { TOKEN: token } });
    assert.match(answer, /"title":"Forbidden","status":403/);
    assert.match(claims, /"channels":\["user:42\*"\]/);
    assert.match(options, /grant = user:\{sub\}/);
    await page.seen();
    await openStream(scope, page.gateway.port, '/stream?channel=user:42', { headers: { Authorization: `Bearer ${token}` } });
});

symptom('Tokens are not valid yet', async (page, scope) => {
    const keys = new Keys(scope);
    await start(page, scope, { args: keys.args, anonymous: [] });
    const ask = (iat) => page.gateway.get('/stream?channel=user:42', { headers: { Authorization: `Bearer ${keys.token('42', { iat })}` } });
    const { status, body } = await ask(now() + 300); // a clock that is five minutes ahead
    assert.equal(status, 401);
    assert.match(body, /not valid yet/);
    await page.seen();
    const [here, there] = await page.type();
    assert.ok(Math.abs(new Date(here.trim()) - new Date(there.replace(/^Date: /, ''))) <= 2000, `${here} and ${there}`);
    const right = await Stream.open(page.gateway.port, '/stream?channel=user:42', { headers: { Authorization: `Bearer ${keys.token('42', { iat: now() + 30 })}` } });
    assert.equal(right.status, 200, 'up to a minute is allowed');
    right.close();
});

symptom('The keys of tokens cannot be fetched', async (page, scope) => {
    const ca = await Authority.create(scope);
    const provider = await OidcProvider.start(scope, { ca, issuers: [await Issuer.create(scope, 'ES256', { kid: 'a' })] });
    await start(page, scope, { anonymous: [], args: ['--jwks', provider.jwks, '--jwks-ca', ca.cert, '--jwt-issuer', provider.url, '--jwt-audience', provider.audience] });
    await page.gateway.metricIs('jwks_fetches_total', 1);
    await provider.leave();
    page.gateway.process.signal('SIGHUP');
    await page.seen();
    const map = { 'https://login.example/.well-known/jwks.json': provider.jwks, '/etc/sse-gateway/ca.pem': ca.cert };
    const [why] = await page.type({ map, only: /curl/, fails: /./ });
    assert.match(why, /refused|connect/i);
    await provider.listen();
    const [keys] = await page.type({ map });
    assert.match(keys, /"keys"/);
    await page.over();
});

/** A gateway that reads /etc/sse-gateway/tls.pem and tls.key, which are those of a certificate that ends in `days`. */
async function withCertificate(page, scope, days) {
    const ca = await Authority.create(scope);
    const put = ({ cert, key }) => {
        fs.copyFileSync(cert, path.join(page.folder, 'tls.pem'));
        fs.copyFileSync(key, path.join(page.folder, 'tls.key'));
    };
    put(await ca.sign('old', { days }));
    const tls = { cert: path.join(page.folder, 'tls.pem'), key: path.join(page.folder, 'tls.key'), ca: ca.cert };
    await start(page, scope, { tls, conf: [`tls-cert = ${tls.cert}`, `tls-key = ${tls.key}`] });
    return { ca, put };
}

symptom('A certificate is about to expire', async (page, scope) => {
    const { ca, put } = await withCertificate(page, scope, 5);
    await page.watch();
    await page.seen();
    const stream = await openStream(scope, page.gateway.port, '/stream?channel=a', { tls: { ca: page.gateway.ca } });
    put(await ca.sign('new', { days: 60 }));
    const [date] = await page.type();
    assert.match(date, /^notAfter=/);
    await page.over();
    await page.quiet();
    assert.ok(stream.open);
});

symptom('A reload changes nothing', async (page, scope) => {
    const { ca, put } = await withCertificate(page, scope, 60);
    const before = fs.readFileSync(path.join(page.folder, 'tls.key'));
    fs.copyFileSync((await ca.sign('other')).key, path.join(page.folder, 'tls.key'));
    page.gateway.process.signal('SIGHUP');
    await page.seen();
    await page.type({ only: /check-config/, fails: /./ });
    assert.notDeepEqual(fs.readFileSync(path.join(page.folder, 'tls.key')), before);
    put(await ca.sign('mended', { days: 60 }));
    await page.type();
    await page.over();
});

symptom('Connections are closed for their PROXY header', async (page, scope) => {
    await start(page, scope, { conf: ['proxy-protocol = v2'], ready: false });
    await page.gateway.process.logged(/delivery is proven/);
    const closed = new Stream();
    closed.start(page.gateway.port, '127.0.0.1', 'GET /stream?channel=a HTTP/1.1\r\nHost: a\r\n\r\n');
    scope.defer(() => closed.close());
    await closed.ended();
    assert.deepEqual([closed.status, closed.end], [0, 'cut']);
    await page.seen();
    const [lines, options] = await page.type();
    assert.match(lines, /connection (?:\S+ )?from 127\.0\.0\.1/);
    assert.match(options, /proxy-protocol = v2/);
});

symptom('Clients speak TLS to a port without TLS', async (page, scope) => {
    await start(page, scope);
    await assert.rejects(Stream.open(page.gateway.port, '/stream?channel=a', { tls: { rejectUnauthorized: false } }));
    await page.seen();
    const [status] = await page.type();
    assert.equal(status, '200\n');
});

/** Takes the core away from a gateway of one worker and 400 streams: of each `every` ms it stands still for `still`. */
async function starve(page, scope, { watch = true, still, every = 1000 }) {
    const redis = await start(page, scope, { workers: 1 });
    if (watch) await page.watch();
    await openStreams(scope, Array(400).fill({ port: page.gateway.port, path: '/stream?channel=a' }));
    const starved = { times: 0, end: () => timers.forEach(clearInterval) };
    const timers = [setInterval(() => {
        page.gateway.process.signal('SIGSTOP');
        setTimeout(() => page.gateway.process.signal('SIGCONT'), still);
        starved.times++;
    }, every), setInterval(() => redis.publishAll(Array(5).fill(['a', 'x'])).catch(() => {}), 50)];
    scope.defer(starved.end);
    return starved;
}

// A second, for 1 of 100 events, is more than a test can have any machine wait for: alerts_test.yml holds the alert.
symptom('Events are delivered late', async (page, scope) => {
    const starved = await starve(page, scope, { watch: false, still: 950 }); // most likely between a read and a write
    const upTo = (le) => page.gateway.metric('delivery_latency_seconds_bucket', { le });
    await until('events that took more than 100 ms', async () => (await upTo('+Inf')) > (await upTo('0.1')), { ms: 60000 });
    starved.end();
    const [threads, figures] = await page.type();
    assert.match(threads, /COMMAND/);
    assert.match(figures, /^sse_gateway_delivery_latency_seconds_count [1-9]/m);
});

symptom('A thread of a gateway is too busy', async (page, scope) => {
    // Two scrapes have to fall between two standstills, one after the other. No multiple of the time between scrapes: else
    // they might never do.
    const starved = await starve(page, scope, { still: 750, every: 1330 });
    await page.seen({ ms: 60000 });
    starved.end();
    await until('it to run', () => page.gateway.live());
    const [, lag] = await page.type();
    assert.match(lag, /^sse_gateway_loop_lag_seconds\{thread="/m);
});

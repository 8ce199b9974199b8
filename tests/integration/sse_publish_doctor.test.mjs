// sse-publish doctor finds what harms event streams behind real proxies, each fault alone, and finds nothing behind those that
// are configured as deploy/ ships them.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { test } from 'node:test';
import { Caddy } from '../lib/caddy.mjs';
import { Authority } from '../lib/certificates.mjs';
import { isUsageError } from '../lib/cli.mjs';
import { command } from '../lib/command.mjs';
import { Gateway } from '../lib/gateway.mjs';
import { Haproxy } from '../lib/haproxy.mjs';
import { Nginx } from '../lib/nginx.mjs';
import { NginxSite } from '../lib/nginx_site.mjs';
import { PUBLISH } from '../lib/paths.mjs';
import { freePort } from '../lib/ports.mjs';
import { Redis } from '../lib/redis.mjs';
import { scopeOf } from '../lib/scope.mjs';
import { startTls } from '../lib/tls.mjs';
import { wrongCaddy, wrongHaproxy, wrongNginx } from '../lib/wrong_fronts.mjs';

const HEARTBEAT = ['--heartbeat', '1s'];
const ORIGIN = 'https://page.test';

async function world(t, { args = [], ...options } = {}) {
    const scope = scopeOf(t);
    const redis = await Redis.start(scope);
    const gateway = await Gateway.start(scope, { redis, args: [...HEARTBEAT, '--cors-origin', ORIGIN, ...args], ...options });
    return { scope, redis, gateway };
}

/** What it says as JSON, and what it found: the names of the checks. */
async function doctor(url, ...args) {
    const { code, out, err } = await command(PUBLISH, ['doctor', '--json', '--timeout', '2s', '--idle', '3500ms', ...args, url], { ms: 60000 });
    assert.ok(code === 0 || code === 1, `status ${code}: ${err}`);
    const said = JSON.parse(out);
    said.found = said.checks.filter(({ verdict }) => verdict === 'finding').map(({ check }) => check);
    said.of = (name) => said.checks.find(({ check }) => check === name);
    assert.equal(said.findings, said.found.length);
    assert.equal(code, said.found.length > 0 ? 1 : 0);
    return said;
}

const assertClean = (said, ...names) => {
    assert.deepEqual(said.found, [], JSON.stringify(said, null, 1));
    for (const name of ['reachable', 'gateway', 'content-type', 'compression', 'caching', 'buffering', 'idle', 'last-event-id', 'methods', ...names]) {
        assert.equal(said.of(name).verdict, 'ok', `${name}: ${said.of(name).seen}`);
    }
};

test('a gateway itself is clean, with and without Redis', async (t) => {
    const { redis, gateway } = await world(t);
    const url = `http://127.0.0.1:${gateway.port}/stream`;
    const [with_, without] = await Promise.all([doctor(url, '--redis', redis.url, '--origin', ORIGIN), doctor(url)]);
    assertClean(with_, 'cors');
    assert.match(with_.of('buffering').seen, /^5 events came within \d+ ms each$/);
    assert.equal(with_.of('http-version').verdict, 'note');
    assertClean(without);
    assert.match(without.of('idle').seen, /^open after 3 s \(--idle\) with \d heartbeats? and no cut$/);
});

test('the sites of NGINX that are shipped are clean', async (t) => {
    const { scope, redis, gateway } = await world(t, { args: ['--refusal', 'status'] });
    const ca = await Authority.create(scope);
    const { cert, key } = await ca.sign('localhost', { days: 90 });
    const [site, secure] = await Promise.all([
        Nginx.start(scope, { gateways: [gateway] }),
        NginxSite.start(scope, 'sse-tls.conf', { gateways: [gateway], values: { certificate: cert, key } })]);
    const args = ['--redis', redis.url, '--origin', ORIGIN];
    const [plain, tls] = await Promise.all([doctor(`${site.url}/stream`, ...args), doctor(`${secure.url}/stream`, '--cacert', ca.cert, ...args)]);
    assertClean(plain, 'cors');
    assert.equal(plain.front, 'NGINX');
    assertClean(tls, 'cors', 'http-version', 'certificate');
    assert.match(tls.of('http-version').seen, /^HTTP\/2/);
});

for (const [name, start] of [['HAProxy', Haproxy], ['Caddy', Caddy]]) {
    test(`the configuration of ${name} that is shipped is clean`, async (t) => {
        const { scope, redis, gateway } = await world(t, { args: ['--refusal', 'status'] });
        const ca = await Authority.create(scope);
        const pair = await ca.sign('localhost', { days: 90 });
        const proxy = await start.start(scope, { gateways: [gateway], pair });
        const said = await doctor(`${proxy.url}/stream`, '--cacert', ca.cert, '--redis', redis.url, '--origin', ORIGIN);
        assertClean(said, 'cors', 'http-version', 'certificate');
    });
}

// What stands in the location of NGINX, what is found, and what is said of it.
const NGINX = {
    'buffers': ['proxy_ignore_headers X-Accel-Buffering;', ['buffering'], 'buffering', /no answer within 2000 ms|did not come|nothing after it/, /proxy_buffering off/],
    'compresses': ['gzip on; gzip_types text/event-stream;', ['compression'], 'compression', /Content-Encoding: gzip$/, /gzip off/],
    'cuts quiet streams': ['proxy_read_timeout 800ms;', ['idle'], 'idle', /^the stream was cut after \d\.\d s, 0\.\d s after its last byte, before the first heartbeat$/, /proxy_read_timeout 60s/],
    'strips Last-Event-ID': ['proxy_set_header Last-Event-ID "";', ['last-event-id'], 'last-event-id', /an id in the query .* none in the header/, /proxy_set_header Last-Event-ID/],
    'replaces Cache-Control': ['expires 1h;', ['caching'], 'caching', /no-store, no-transform; what came is "max-age=3600"/, /expires/],
    'loses no-transform': ['proxy_hide_header Cache-Control; add_header Cache-Control no-store;', ['caching'], 'caching', /^no-transform is lost .*"no-store"/, /Cache-Control/],
    'changes the type': ['proxy_hide_header Content-Type; add_header Content-Type text/plain;', ['content-type'], 'content-type', /the type is "text\/plain"/, /Content-Type/],
    'answers in place of a gateway': ['return 404;', ['gateway'], 'gateway', /^404, not from a gateway/, /proxy_pass/],
    'passes OPTIONS and HEAD on to nobody': ['limit_except GET { deny all; }', ['methods'], 'methods', /OPTIONS is answered 403/, /limit_except/],
    'sends to https': ['return 301 https://localhost$request_uri;', ['redirect'], 'redirect', /^301 to https:\/\/localhost\/stream/, /pages/],
};

for (const [name, [lines, found, check, seen, change]] of Object.entries(NGINX)) {
    test(`an NGINX that ${name} is found out`, async (t) => {
        const { scope, redis, gateway } = await world(t);
        const said = await doctor(await wrongNginx(scope, gateway, lines), '--redis', redis.url);
        assert.deepEqual(said.found, found, JSON.stringify(said, null, 1));
        assert.match(said.of(check).seen, seen);
        assert.match(said.of(check).change.NGINX, change);
        assert.deepEqual(Object.keys(said.of(check).change), ['NGINX', 'HAProxy', 'Caddy', 'ALB', 'Cloudflare']);
        assert.ok(said.of(check).why.length > 20);
    });
}

test('an NGINX that buffers is found out without Redis, too', async (t) => {
    const { scope, gateway } = await world(t);
    assert.deepEqual((await doctor(await wrongNginx(scope, gateway, NGINX.buffers[0]))).found, ['buffering']);
});

/**
 * Passes on to the gateway, and back what it says: the head at once, `first` bytes after it at once, the rest `ms` later, or at
 * the end of each `ms` (`every`), as a proxy does that flushes at times. Resolves to its URL.
 */
async function slowRelay(scope, gateway, { first = 0, ms, every = false }) {
    const server = net.createServer((client) => {
        const up = net.connect(gateway.port, '127.0.0.1');
        let [head, left, held] = ['', first, []];
        const send = (bytes) => (every ? held.push(bytes) : setTimeout(() => client.write(bytes), ms).unref());
        const timer = setInterval(() => every && client.write(Buffer.concat(held.splice(0))), ms).unref();
        client.pipe(up);
        up.on('data', (bytes) => {
            let at = 0;
            for (; at < bytes.length && !head.endsWith('\r\n\r\n'); at++) head += String.fromCharCode(bytes[at]);
            const now = Math.min(bytes.length, at + left);
            left -= now - at;
            if (now > 0) client.write(bytes.subarray(0, now));
            if (now < bytes.length) send(bytes.subarray(now));
        });
        const end = () => (clearInterval(timer), up.destroy(), client.destroy());
        for (const socket of [client, up]) socket.on('error', end).on('close', end);
    });
    const port = await freePort();
    await new Promise((resolve) => server.listen(port, '127.0.0.1', resolve));
    scope.defer(() => server.close());
    return `http://127.0.0.1:${port}/stream`;
}

const FIRST = 'c\r\nretry: 2000\n\r\n'.length;
const SLOW = {
    'of all but the head': [{ ms: 60000 }, /^the head came, but in \d+ ms nothing after it/],
    'of the first bytes, for a while': [{ ms: 1500 }, /^the first bytes came (1[4-9]|2\d)\d\d ms after the head/],
    'of events, for a while': [{ ms: 1500, first: FIRST }, /^events came up to (1[5-9]|2\d)\d\d ms after they were published$/],
    'of events, for ever': [{ ms: 60000, first: FIRST }, /^of 5 events that 1 gateway got, 5 did not come$/],
    'of what comes within some seconds': [{ ms: 3500, every: true, first: FIRST }, /^heartbeats came several at once, \d times?$/],
};

for (const [name, [how, seen]] of Object.entries(SLOW)) {
    test(`a buffer ${name} is found out`, async (t) => {
        const { scope, redis, gateway } = await world(t);
        const said = await doctor(await slowRelay(scope, gateway, how), '--idle', '5s', ...(how.every ? [] : ['--redis', redis.url]));
        assert.ok(said.found.includes('buffering'), JSON.stringify(said, null, 1));
        assert.match(said.of('buffering').seen, seen);
    });
}

test('a stream that the gateway itself ends is no cut', async (t) => {
    const { gateway } = await world(t, { args: ['--max-stream-age', '1s'] });
    const said = await doctor(`http://127.0.0.1:${gateway.port}/stream`);
    assert.deepEqual(said.found, []);
    assert.match(said.of('idle').seen, /^the gateway ended the stream itself \(age\)/);
    assert.equal(said.of('idle').verdict, 'not tried');
});

const HAPROXY = {
    'buffers': [['http-response wait-for-body time 20s at-least 4000'], ['buffering'], 'buffering', /no answer within|did not come|nothing after it/, /wait-for-body/],
    'cuts quiet streams': [['timeout server 800ms'], ['idle'], 'idle', /^the stream was cut after \d\.\d s, 0\.\d s after its last byte/, /timeout server 60s/],
    'strips Last-Event-ID': [['http-request del-header Last-Event-ID'], ['last-event-id'], 'last-event-id', /none in the header/, /del-header Last-Event-ID/],
};

for (const [name, [lines, found, check, seen, change]] of Object.entries(HAPROXY)) {
    test(`a HAProxy that ${name} is found out`, async (t) => {
        const { scope, redis, gateway } = await world(t);
        const said = await doctor(await wrongHaproxy(scope, gateway, lines), '--redis', redis.url);
        assert.deepEqual(said.found, found, JSON.stringify(said, null, 1));
        assert.match(said.of(check).seen, seen);
        assert.match(said.of(check).change.HAProxy, change);
    });
}

const CADDY = {
    'buffers': ['buffer_responses', ['buffering'], 'buffering', /no answer within|did not come|nothing after it/, /buffer_responses/],
    'cuts quiet streams': ['transport http {\nread_timeout 500ms\n}', ['idle'], 'idle', /^the stream was cut after \d\.\d s, 0\.\d s after its last byte/, /read_timeout/],
    'strips Last-Event-ID': ['header_up -Last-Event-ID', ['last-event-id'], 'last-event-id', /none in the header/, /header_up -Last-Event-ID/],
    'replaces Cache-Control': ['header_down Cache-Control "max-age=3600"', ['caching'], 'caching', /what came is "max-age=3600"/, /header Cache-Control/],
};

for (const [name, [lines, found, check, seen, change]] of Object.entries(CADDY)) {
    test(`a Caddy that ${name} is found out`, async (t) => {
        const { scope, redis, gateway } = await world(t);
        const said = await doctor(await wrongCaddy(scope, gateway, lines), '--redis', redis.url);
        assert.deepEqual(said.found, found, JSON.stringify(said, null, 1));
        assert.match(said.of(check).seen, seen);
        assert.match(said.of(check).change.Caddy, change);
    });
}

test('a Caddy that compresses is found out', async (t) => {
    const { scope, redis, gateway } = await world(t);
    const said = await doctor(await wrongCaddy(scope, gateway, '', { outside: 'encode {\ngzip\nminimum_length 1\nmatch {\nheader Content-Type text/event-stream*\n}\n}' }), '--redis', redis.url);
    assert.ok(said.found.includes('compression'), JSON.stringify(said, null, 1));
    assert.match(said.of('compression').change.Caddy, /encode/);
});

const COMPRESSES = ['compression algo gzip', 'compression type text/event-stream'];

test('a HAProxy that compresses leaves streams alone for their no-transform; where another proxy took that away, it is found out', async (t) => {
    const { scope, redis, gateway } = await world(t);
    assertClean(await doctor(await wrongHaproxy(scope, gateway, COMPRESSES), '--redis', redis.url));
    const { port } = new URL(await wrongNginx(scope, gateway, 'proxy_hide_header Cache-Control; proxy_http_version 1.1;'));
    const said = await doctor(await wrongHaproxy(scope, { port }, COMPRESSES), '--redis', redis.url);
    assert.deepEqual(said.found, ['compression', 'caching']);
    assert.match(said.of('compression').change.HAProxy, /compression type/);
});

test('with all gateways down, an error of the proxy is a dead tab, and "come back" is none', async (t) => {
    const scope = scopeOf(t);
    const nobody = { host: '127.0.0.1', port: await freePort() };
    for (const [url, status] of [[await wrongNginx(scope, nobody, ''), 502], [await wrongHaproxy(scope, nobody, ['retries 0']), 503], [await wrongCaddy(scope, nobody, ''), 502]]) {
        const said = await doctor(url);
        assert.deepEqual(said.found, ['errors']);
        assert.match(said.of('errors').seen, new RegExp(`^${status}, not from a gateway`));
        assert.match(said.of('errors').change.NGINX, /error_page 429 500 502 503 504 =200 @sse_retry/);
        assert.match(said.of('errors').change.HAProxy, /http-error status 503/);
        assert.match(said.of('errors').change.Caddy, /handle_errors/);
    }
    const hung = await doctor(await wrongHaproxy(scope, nobody, ['retries 9']));
    assert.deepEqual(hung.found, ['reachable']);
    const shipped = await Nginx.start(scope, { gateways: [nobody] });
    const said = await doctor(`${shipped.url}/stream`);
    assert.deepEqual(said.found, ['gateway']); // that none is there
    assert.equal(said.of('errors').verdict, 'ok');
});

test('a refusal of the gateway that a proxy passes on is a dead tab', async (t) => {
    const { scope, redis, gateway } = await world(t, { args: ['--refusal', 'status'] });
    const url = await wrongNginx(scope, gateway, '');
    await redis.kill();
    await gateway.metricIs('redis_connected', 0);
    const said = await doctor(url);
    assert.deepEqual(said.found, ['errors']);
    assert.match(said.of('errors').seen, /^503, from the gateway/);
});

test('a gateway that refuses for now is no fault of a proxy', async (t) => {
    const { redis, gateway } = await world(t);
    await redis.kill();
    await gateway.metricIs('redis_connected', 0);
    const { code, out, err } = await command(PUBLISH, ['doctor', `http://127.0.0.1:${gateway.port}/stream`]);
    assert.deepEqual([code, out], [1, '']);
    assert.match(err, /^sse-publish: the gateway refuses streams for now \(200 with retry\)[^\n]*\n$/);
});

test('an origin that is not allowed, and one that is allowed twice', async (t) => {
    const { scope, gateway } = await world(t);
    const direct = await doctor(`http://127.0.0.1:${gateway.port}/stream`, '--origin', 'https://other.test');
    assert.deepEqual(direct.found, ['cors']);
    const twice = await doctor(await wrongNginx(scope, gateway, 'add_header Access-Control-Allow-Origin "*";'), '--origin', ORIGIN);
    assert.deepEqual(twice.found, ['cors']);
    assert.match(twice.of('cors').seen, /twice/);
});

test('a certificate that ends soon, and one that nobody trusts', async (t) => {
    const scope = scopeOf(t);
    const { gateway, ca } = await startTls(scope, { args: HEARTBEAT });
    const url = `https://localhost:${gateway.port}/stream`;
    const soon = await doctor(url, '--cacert', ca.cert);
    assert.deepEqual(soon.found, ['certificate']);
    assert.match(soon.of('certificate').seen, /^it ends in [12] days?$/);
    const untrusted = await doctor(url);
    assert.deepEqual(untrusted.found, ['certificate']);
    assert.match(untrusted.of('certificate').seen, /--cacert/);
});

test('nothing there is a finding; what a gateway refuses for what was asked is usage', async (t) => {
    const { scope, redis, gateway } = await world(t, { anonymous: ['public:*'] });
    const nothing = `http://127.0.0.1:${await freePort()}/stream`;
    assert.deepEqual((await doctor(nothing)).found, ['reachable']);
    // What may be shown to others has no ticket.
    assert.equal((await doctor(`${nothing}?ticket=secret`)).url, nothing);
    const { out } = await command(PUBLISH, ['doctor', `${nothing}?ticket=secret`]);
    assert.ok(out.startsWith(`${nothing}, channel doctor`) && !out.includes('secret'), out);
    const url = `http://127.0.0.1:${gateway.port}/stream`;
    const refused = await command(PUBLISH, ['doctor', url]);
    assert.deepEqual([refused.code, refused.out], [2, '']);
    assert.match(refused.err, /^sse-publish: the gateway answers 40[13]: choose a channel [^\n]*--channel[^\n]*\n$/);
    const ended = ['--redis', redis.url, '--durable', '--end', '60s', 'public:over', 'x'];
    assert.equal((await command(PUBLISH, ended)).code, 0);
    const over = await command(PUBLISH, ['doctor', '--channel', 'public:over', url]);
    assert.deepEqual([over.code, over.out, over.err], [2, '', 'sse-publish: the gateway answers 204: the channel has ended; choose another one with --channel\n']);
    const token = path.join(scope.folder, 'token');
    fs.writeFileSync(token, 'x.y.z\n');
    assert.equal((await command(PUBLISH, ['doctor', '--token-file', token, url])).code, 2);
    assertClean(await doctor(url, '--channel', 'public:x'));
});

test('for a person, each finding has what was seen, why it matters and what to change, the front that answered first', async (t) => {
    const { scope, gateway } = await world(t);
    const url = await wrongNginx(scope, gateway, NGINX['strips Last-Event-ID'][0]);
    const { code, out, err } = await command(PUBLISH, ['doctor', '--idle', '1500ms', url]);
    assert.equal(code, 1);
    assert.match(err, /^sse-publish: looking at a quiet stream for 1.5 s \(--idle\)\n$/);
    assert.match(out, /\nfinding +last-event-id: [^\n]*\n +why: [^\n]+\n +what to change:\n +NGINX: [^\n]*\n +HAProxy: [^\n]*\n +Caddy: [^\n]*\n +ALB: [^\n]*\n +Cloudflare: /);
    assert.match(out, /\n1 finding\n$/);
});

const USAGE = {
    'no URL': [['doctor'], 'doctor URL'],
    'two URLs': [['doctor', 'http://a', 'http://b'], 'doctor URL'],
    'a URL of something else': [['doctor', 'redis://a'], 'http://HOST'],
    'an option of subscribe': [['doctor', '--ticket', 'x', 'http://a'], '--ticket'],
    'a reserved channel': [['doctor', '--channel', '__x', 'http://a'], 'reserved'],
};

for (const [name, [args, mention]] of Object.entries(USAGE)) {
    test(`exit 2 and one line for ${name}`, () => isUsageError(args, mention));
}

// The sites of deploy/nginx, as they are shipped: what NGINX takes, where streams go, and what is refused.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { test } from 'node:test';
import { Authority } from '../lib/certificates.mjs';
import { Gateway } from '../lib/gateway.mjs';
import { filesOf, NginxSite, read, shippedFiles, sites } from '../lib/nginx_site.mjs';
import { NODE_CLIENTS } from '../lib/node_clients.mjs';
import { scopeOf, sharedScope } from '../lib/scope.mjs';
import { countBy, openStream, openStreams } from '../lib/streams.mjs';
import { startTier } from '../lib/tier.mjs';
import { until } from '../lib/wait.mjs';

const shared = sharedScope();
const ARGS = ['--refusal', 'status', '--heartbeat', '1s'];
const tier = await startTier(shared, { gateways: 3, args: ARGS });
const { gateways, redis } = tier;
const ids = gateways.map((g) => g.id);
const certificate = await (await Authority.create(shared)).sign('localhost');

/** What the lines marked "site:" are filled with. */
const OPTIONS = {
    'sse-tls.conf': { values: { certificate: certificate.cert, key: certificate.key } },
    'sse-blue-green.conf': { marks: { blue: gateways.slice(0, 1), green: gateways.slice(1) } },
    'sse-canary.conf': { marks: { stable: gateways.slice(0, 2), canary: gateways.slice(2) } },
};

const prepare = (scope, site, options = {}) => NginxSite.prepare(scope, site, { gateways, ...OPTIONS[site], ...options }).then((nginx) => {
    if (site === 'sse-blue-green.conf') choose(nginx, 'blue');
    return nginx;
});

async function start(scope, site, options) {
    const nginx = await prepare(scope, site, options);
    await nginx.run();
    return nginx;
}

/** As the comment of sse-blue-green.conf says. */
function choose(nginx, side) {
    const link = path.join(nginx.folder, 'sse-active.servers');
    fs.rmSync(link, { force: true });
    fs.symlinkSync(`sse-${side}.servers`, link);
}

const open = (scope, nginx, count, more = () => ({})) =>
    openStreams(scope, Array.from({ length: count }, (_, i) => ({ port: nginx.port, path: '/stream?channel=a', ...more(i) })));

/** How many streams each gateway has. */
const spread = (streams) => ids.map((id) => countBy(streams.map((s) => s.gateway)).get(id) ?? 0);

test('NGINX takes each site that is shipped, and none with a misspelt directive', async (t) => {
    const scope = scopeOf(t);
    assert.ok(sites().length >= 8);
    await Promise.all(sites().map(async (site) => {
        const nginx = await prepare(scope, site);
        const said = await nginx.check();
        assert.equal(said.code, 0, `${site}: ${said.err}`);
        assert.doesNotMatch(said.err, /\[(warn|error|emerg)\]/, site);
        for (const file of filesOf(site).filter((name) => !name.endsWith('.servers') && (!name.includes('/') || site === 'sse-hash.conf'))) {
            const misspelt = await prepare(scope, site, { change: (text, name) => (name === file ? text.replace(/^(\s*[a-z]+_[a-z_]+)( .*[;{])$/m, '$1x$2') : text) });
            const refused = await misspelt.check();
            assert.equal(refused.code, 1, `${site} with a misspelt line in ${file}`);
            assert.match(refused.err, /unknown directive/, `${site}, ${file}`);
        }
    }));
});

test('what the snippets say is what sse-gateway.conf says', () => {
    const words = (text) => text.replace(/^\s*#.*$|\s#\s.*$/gm, '').replace(/\s+/g, ' ').trim();
    const main = words(read('sse-gateway.conf'));
    const location = words(read('snippets/sse-location.conf'));
    assert.ok(main.includes(`location ~ ^/stream/?$ { proxy_pass http://sse_gateways; ${location} }`), 'the location of the streams');
    for (const name of shippedFiles().filter((name) => /^snippets/.test(name))) {
        for (const [statement] of words(read(name)).matchAll(/[^;{}]+(?:;|\{[^}]*\})/g)) assert.ok(main.includes(statement.trim()), `${name}: ${statement}`);
    }
    const sessions = words(read('sse-gateway-sessions.conf'));
    for (const [line] of location.matchAll(/[^;]+;/g)) {
        if (!line.includes('X-SSE-')) assert.ok(sessions.includes(line.trim()), `sse-gateway-sessions.conf lacks ${line}`);
    }
});

test('sse-ip-hash.conf: an address stays at one gateway, other networks go to others, and a full gateway is passed over', async (t) => {
    const scope = scopeOf(t);
    const nginx = await start(scope, 'sse-ip-hash.conf');
    const one = spread(await open(scope, nginx, 60));
    assert.deepEqual([...one].sort((a, b) => a - b), [0, 0, 60]);
    const networks = spread(await open(scope, nginx, 60, (i) => ({ from: `127.0.${i + 1}.1` })));
    assert.ok(Math.min(...networks) >= 10, `${networks}`);

    const full = await start(scope, 'sse-ip-hash.conf', { change: (text) => text.replaceAll('max_conns=16000', 'max_conns=20') });
    assert.deepEqual(spread(await open(scope, full, 60)), [20, 20, 20]);
    const refused = await openStream(scope, full.port, '/stream?channel=a', { keep: true });
    assert.match(refused.body, /^retry: 3\d0\n\n$/);
});

test('sse-ip-hash.conf: a stream above the cap of an address is told to come back, and is served when there is room', async (t) => {
    const scope = scopeOf(t);
    const nginx = await start(scope, 'sse-ip-hash.conf');
    const cap = Number(read('sse-ip-hash.conf').match(/limit_conn sse_per_address (\d+);/)[1]);
    const streams = await open(scope, nginx, cap);
    const client = NODE_CLIENTS['eventsource 4'](`${nginx.url}/stream?channel=cap`);
    scope.defer(() => client.close());
    await until('two refusals', () => client.opens() >= 2);
    assert.match(nginx.accessLog(), / 200 12 bytes \S+ s gateway "-"/);
    await openStream(scope, nginx.port, '/stream?channel=a', { from: '127.0.9.1' }); // another address is not meant
    const refusals = client.opens();
    streams[0].close();
    await until('room', () => client.opens() > refusals && client.state() === 'open');
    await until('an event', async () => (await redis.publish('cap', 'room'), client.events.length > 0));
});

test('sse-hash.conf: a header, a cookie or an argument decides, and with one gateway less only its keys move', async (t) => {
    const scope = scopeOf(t);
    const nginx = await start(scope, 'sse-hash.conf');
    const users = Array.from({ length: 60 }, (_, i) => `user-${i}`);
    const gatewaysOf = async (of, more) => (await open(scope, of, users.length, (i) => more(users[i]))).map((s) => s.gateway);
    const byCookie = await gatewaysOf(nginx, (user) => ({ headers: { Cookie: `sse_affinity=${user}` } }));
    for (const id of ids) assert.ok(countBy(byCookie).get(id) >= 8, JSON.stringify([...countBy(byCookie)]));
    assert.deepEqual(await gatewaysOf(nginx, (user) => ({ headers: { Cookie: `other=1; sse_affinity=${user}` } })), byCookie);
    assert.deepEqual(await gatewaysOf(nginx, (user) => ({ headers: { 'X-SSE-Affinity': user } })), byCookie);
    assert.deepEqual(await gatewaysOf(nginx, (user) => ({ path: `/stream?channel=a&user=${user}` })), byCookie);

    const fewer = await start(scope, 'sse-hash.conf', { gateways: gateways.slice(0, 2) });
    const left = await gatewaysOf(fewer, (user) => ({ headers: { Cookie: `sse_affinity=${user}` } }));
    left.forEach((id, i) => byCookie[i] === ids[2] || assert.equal(id, byCookie[i], users[i]));
});

test('sse-hash.conf: a browser without a key gets a cookie that leads to the gateway it was given', async (t) => {
    const scope = scopeOf(t);
    const nginx = await start(scope, 'sse-hash.conf');
    const first = await open(scope, nginx, 20);
    const cookies = first.map((s) => s.headers['set-cookie']);
    for (const cookie of cookies) assert.match(cookie, /^sse_affinity=[0-9a-f]{32}; Path=\/; Max-Age=86400; HttpOnly; SameSite=Lax$/);
    const again = await open(scope, nginx, 20, (i) => ({ headers: { Cookie: cookies[i].split(';')[0] } }));
    assert.deepEqual(again.map((s) => s.gateway), first.map((s) => s.gateway));
    assert.ok(again.every((s) => s.headers['set-cookie'] === undefined));
    assert.ok(Math.min(...spread(first)) >= 1, `${spread(first)}`);
});

test('sse-lua-hints.conf: new streams go to the least loaded gateway, and the hint names it to the client and the log', async (t) => {
    const scope = scopeOf(t);
    const three = await Promise.all(ids.map(() => Gateway.start(scope, { redis, args: [...ARGS, '--max-connections', '1000'] })));
    const before = [30, 15, 0];
    await openStreams(scope, before.flatMap((n, i) => Array(n).fill({ port: three[i].port, path: '/stream?channel=a' })));
    const nginx = await start(scope, 'sse-lua-hints.conf', { gateways: three });
    await until('loads', async () => (await openStream(scope, nginx.port, '/stream?channel=a')).gateway === three[2].id, { every: 100 });
    await until('the worker to know how many there are', async () => {
        const [stream] = await open(scope, nginx, 1);
        stream.close();
        return /load=0\.00/.test(stream.headers['x-rebalance-hint']);
    }, { every: 100 });
    const streams = await open(scope, nginx, 60);
    for (const stream of streams) {
        const gateway = three.find((g) => g.id === stream.gateway);
        assert.match(stream.headers['x-rebalance-hint'], new RegExp(`^gateway=127\\.0\\.0\\.1:${gateway.port} load=0\\.0\\d{5}$`));
    }
    const all = await Promise.all(three.map((g) => g.metric('connections')));
    assert.ok(Math.max(...all) - Math.min(...all) <= 4, `${all}`);
    streams[0].close();
    await until('its log line', () => /hint "gateway=127\.0\.0\.1:\d+ load=0\.\d+"/.test(nginx.accessLog()));
});

test('sse-lua-hints.conf: a gateway that is away or refuses is passed over, with its hint', async (t) => {
    const scope = scopeOf(t);
    const away = { host: '127.0.0.1', port: 1, adminPort: 1 };
    const full = await Gateway.start(scope, { redis, args: [...ARGS, '--max-connections', '1'] });
    await openStream(scope, full.port, '/stream?channel=a');
    const nginx = await start(scope, 'sse-lua-hints.conf', { gateways: [away, full, gateways[2]] });
    const streams = await open(scope, nginx, 10);
    assert.deepEqual(spread(streams), [0, 0, 10]);
    for (const s of streams) assert.match(s.headers['x-rebalance-hint'], new RegExp(`gateway=127.0.0.1:${gateways[2].port} `));
    const none = await start(scope, 'sse-lua-hints.conf', { gateways: [away, full] });
    assert.match((await openStream(scope, none.port, '/stream?channel=a', { keep: true })).body, /^retry: 3\d0\n\n$/);
});

test('sse-lua-hints.conf: where no gateway tells its load, streams go to all', async (t) => {
    const scope = scopeOf(t);
    const nginx = await start(scope, 'sse-lua-hints.conf', { gateways: gateways.map(({ host, port }) => ({ host, port, adminPort: 1 })) });
    const counts = spread(await open(scope, nginx, 60));
    assert.ok(Math.min(...counts) >= 5, `${counts}`);
});

test('sse-lua-hints.conf: a gateway that drains is not asked while another is there', async (t) => {
    const scope = scopeOf(t);
    const startOne = (...more) => Gateway.start(scope, { redis, args: [...ARGS, ...more] });
    const [leaving, staying] = await Promise.all([startOne('--drain-delay', '20s'), startOne()]);
    await openStreams(scope, Array(10).fill({ port: staying.port, path: '/stream?channel=a' }));
    const nginx = await start(scope, 'sse-lua-hints.conf', { gateways: [leaving, staying] });
    await until('the empty one to be chosen', async () => (await openStream(scope, nginx.port, '/stream?channel=a')).gateway === leaving.id, { every: 100 });
    leaving.terminate();
    const refusals = () => leaving.metric('refusals_total');
    await until('it to be left alone', async () => {
        const before = await refusals();
        await openStream(scope, nginx.port, '/stream?channel=a');
        return (await refusals()) === before;
    }, { every: 100 });
    const before = await refusals();
    const streams = await open(scope, nginx, 20);
    assert.deepEqual([...countBy(streams.map((s) => s.gateway))], [[staying.id, 20]]);
    assert.equal(await refusals(), before);
    leaving.terminate(); // the second ends it at once
});

test('sse-lua-hints.conf: the hint goes to the gateway that gets the request, also after another refused the connection', async (t) => {
    const scope = scopeOf(t);
    const heads = [];
    // Not a gateway: one that says what it was sent.
    const server = http.createServer((request, response) => {
        heads.push(request.headers);
        response.writeHead(200, { 'Content-Type': 'text/event-stream' }).end('retry: 60000\n\n');
    });
    await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
    scope.defer(() => server.close());
    const there = { host: '127.0.0.1', port: server.address().port, adminPort: 1 };
    const nginx = await start(scope, 'sse-lua-hints.conf', { gateways: [{ host: '127.0.0.1', port: 1, adminPort: 1 }, there] });
    await openStream(scope, nginx.port, '/stream?channel=a', { headers: { 'X-Rebalance-Hint': 'of the client' } });
    assert.match(heads[0]['x-rebalance-hint'], new RegExp(`^gateway=127\\.0\\.0\\.1:${there.port} load=2\\.000000$`));
});

test('sse-rate-limit.conf: a crowd of one address is let in by and by, and nobody is turned away for good', async (t) => {
    const scope = scopeOf(t);
    const nginx = await start(scope, 'sse-rate-limit.conf');
    const clients = Array.from({ length: 36 }, () => NODE_CLIENTS['eventsource 4'](`${nginx.url}/stream?channel=crowd&control=1`, ['gateway:open', 'message']));
    scope.defer(() => clients.forEach((client) => client.close()));
    const served = () => clients.filter((client) => client.events.some((e) => e.type === 'gateway:open')).length;
    await until('all to be served', () => (assert.ok(clients.every((c) => c.state() !== 'closed')), served() === clients.length), { every: 5 });
    const refused = nginx.accessLog().match(/ 200 12 bytes/g)?.length ?? 0;
    assert.ok(refused > 0, 'some had to come back');
    await redis.publish('crowd', 'hello');
    await until('an event for each', () => clients.every((client) => client.events.at(-1).data === 'hello'));
});

test('sse-tls.conf: HTTP is sent to HTTPS with the whole URL', async (t) => {
    const scope = scopeOf(t);
    const nginx = await start(scope, 'sse-tls.conf');
    for (const url of ['/stream?channel=a&channel=b', '/page.html']) {
        const answer = await new Promise((resolve, reject) => http.get({ port: nginx.plainPort, host: '127.0.0.1', path: url, agent: false }, resolve).on('error', reject));
        answer.resume();
        assert.equal(answer.statusCode, 301);
        assert.equal(answer.headers.location, nginx.url + url);
    }
    assert.equal((await openStream(scope, nginx.port, '/stream?channel=a', { tls: { rejectUnauthorized: false } })).status, 200);
    assert.match(read('sse-tls.conf'), /return 301 https:\/\/\$host\$request_uri;/);
});

test('sse-canary.conf: about 5 of 100 clients at the canary, the same each time, by a cookie always or never; without it all are served', async (t) => {
    const scope = scopeOf(t);
    const nginx = await start(scope, 'sse-canary.conf');
    const cookies = (cookie) => (i) => ({ headers: { Cookie: cookie(i) } });
    const draw = async () => {
        const streams = await open(scope, nginx, 400, cookies((i) => `sse_client=${i}`));
        streams.forEach((s) => s.close());
        return streams.map((s) => s.gateway === ids[2]);
    };
    const drawn = await draw();
    const share = drawn.filter(Boolean).length;
    assert.ok(share >= 10 && share <= 30, `${share} of 400`);
    assert.deepEqual(await draw(), drawn);
    assert.deepEqual(spread(await open(scope, nginx, 10, cookies(() => 'sse_canary=always'))), [0, 0, 10]);
    assert.deepEqual(spread(await open(scope, nginx, 10, cookies(() => 'sse_canary=never'))), [5, 5, 0]);
    const away = await start(scope, 'sse-canary.conf', { marks: { stable: gateways.slice(0, 2), canary: [{ host: '127.0.0.1', port: 1 }] } });
    assert.deepEqual(spread(await open(scope, away, 10, cookies(() => 'sse_canary=always'))), [5, 5, 0]);
});

test('sse-blue-green.conf: after the switch new streams go to green, and those of blue follow when it is told to end', async (t) => {
    const scope = scopeOf(t);
    const [blue, ...green] = await Promise.all(ids.map(() => Gateway.start(scope, { redis, args: [...ARGS, '--retry', '300ms'] })));
    const nginx = await prepare(scope, 'sse-blue-green.conf', { marks: { blue: [blue], green } });
    await nginx.run();
    const clients = Array.from({ length: 12 }, () => NODE_CLIENTS['eventsource 4'](`${nginx.url}/stream?channel=side&control=1`, ['gateway:open', 'message']));
    scope.defer(() => clients.forEach((client) => client.close()));
    const at = (side) => clients.filter((c) => side.some((g) => g.id === JSON.parse(c.events.filter((e) => e.type === 'gateway:open').at(-1)?.data ?? '{}').gateway)).length;
    await until('all at blue', () => at([blue]) === 12);
    choose(nginx, 'green');
    await nginx.reload();
    const streams = await open(scope, nginx, 10);
    assert.deepEqual(green.map((g) => countBy(streams.map((s) => s.gateway)).get(g.id)), [5, 5]);
    assert.equal(at([blue]), 12, 'the reload moved none');
    blue.terminate();
    await until('all at green', () => at(green) === 12);
    await redis.publish('side', 'moved');
    await until('an event for each', () => clients.every((client) => client.events.at(-1).data === 'moved'));
});

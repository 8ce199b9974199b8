// The gateway is at least as strict as the servers that stand in front of it, or beside it: what two of NGINX, HAProxy and
// Node refuse it must not take. A request that one server takes for good and the next for garbage, or for two, is how a
// second request is hidden in a first.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { test } from 'node:test';
import { HOSTILE_REQUESTS, PLAIN } from '../lib/hostile_requests.mjs';
import { freePort } from '../lib/ports.mjs';
import { Process } from '../lib/process.mjs';
import { RawConnection } from '../lib/raw_http.mjs';
import { sharedScope } from '../lib/scope.mjs';
import { tempFolder } from '../lib/temp.mjs';
import { startTier } from '../lib/tier.mjs';
import { until } from '../lib/wait.mjs';

// What the gateway takes though two of the others do not: name -> reason.
const EXCEPTIONS = {
    'a method in lower case': 'a method of its own to RFC 9110, section 9.1: answered with 405, and the connection ends',
};

const SILENCE_MS = 700; // without an answer a server waits for more, and takes nothing for a request

async function startNginx(scope) {
    const folder = tempFolder(scope, 'nginx');
    const port = await freePort();
    fs.writeFileSync(path.join(folder, 'nginx.conf'), `daemon off; master_process off; pid nginx.pid; error_log stderr crit;
        events { worker_connections 1024; }
        http { access_log off; client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi;
        scgi_temp_path scgi; server { listen 127.0.0.1:${port}; location / { return 200 "ok"; } } }`);
    new Process(scope, 'nginx', 'nginx', ['-p', `${folder}/`, '-c', 'nginx.conf', '-e', 'stderr']);
    return port;
}

async function startHaproxy(scope) {
    const folder = tempFolder(scope, 'haproxy');
    const port = await freePort();
    const file = path.join(folder, 'haproxy.cfg');
    fs.writeFileSync(file, `defaults\n    mode http\n    timeout client 10s\n    timeout http-request 10s\nfrontend all\n    bind 127.0.0.1:${port}\n` +
        '    http-request return status 200 content-type text/plain string ok\n');
    const haproxy = new Process(scope, 'haproxy', 'haproxy', ['-db', '-f', file]);
    haproxy.wantedEnd = true; // on SIGTERM its status says so
    return port;
}

async function startNode(scope) {
    const server = http.createServer((request, response) => response.end('ok'));
    await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
    scope.defer(() => {
        server.closeAllConnections();
        server.close();
    });
    return server.address().port;
}

/** Resolves to the statuses that come back before the server closes or has nothing more to say. */
async function ask(port, bytes) {
    const connection = new RawConnection(port);
    connection.send(bytes);
    const statuses = () => [...connection.text.matchAll(/(?:^|\n|ok|live)HTTP\/1\.[01] (\d{3}) /g)].map((m) => Number(m[1]));
    let timer;
    const silence = new Promise((resolve) => (timer = setTimeout(resolve, SILENCE_MS)));
    await Promise.race([connection.closed, silence, until('an end', () => statuses().some((s) => s >= 400), { ms: SILENCE_MS, every: 20 }).catch(() => {})]);
    clearTimeout(timer);
    connection.close();
    return statuses();
}

// 404 and 405 answer a head that was understood. Of the others, which serve any method, a 405 is a refusal.
const isTaken = (statuses, who) => statuses.some((s) => s < 400 || s === 404 || (s === 405 && who === 'gateway'));

const scope = sharedScope();
const { gateway } = await startTier(scope);
const servers = { gateway: gateway.port, nginx: await startNginx(scope), haproxy: await startHaproxy(scope), node: await startNode(scope) };
for (const [name, port] of Object.entries(servers)) await until(`${name} to answer`, async () => isTaken(await ask(port, PLAIN)), { ms: 20000 });

async function askAll(bytes) {
    const answers = await Promise.all(Object.values(servers).map((port) => ask(port, bytes)));
    return Object.fromEntries(Object.keys(servers).map((name, i) => [name, answers[i]]));
}

const answers = {};
const names = Object.keys(HOSTILE_REQUESTS);
await Promise.all(Array.from({ length: 8 }, async () => {
    for (let name; (name = names.shift()) !== undefined;) answers[name] = await askAll(HOSTILE_REQUESTS[name]);
}));
fs.writeFileSync(path.join(scope.folder, 'answers.txt'),
    Object.entries(answers).map(([name, by]) => `${name}: ${Object.entries(by).map(([who, s]) => `${who} ${s.join(',') || '-'}`).join('  ')}\n`).join(''));

for (const [name, { gateway: ours, ...others }] of Object.entries(answers)) {
    test(`the gateway does not take what two others refuse: ${name}`, () => {
        const refusing = Object.keys(others).filter((who) => !isTaken(others[who], who));
        const lax = isTaken(ours, 'gateway') && refusing.length >= 2;
        if (name in EXCEPTIONS) assert.ok(lax, `no exception any more, though it is listed (${EXCEPTIONS[name]}): ${JSON.stringify(answers[name])}`);
        else assert.ok(!lax, `taken (${ours}), though ${refusing.join(' and ')} refuse it: ${JSON.stringify(HOSTILE_REQUESTS[name].slice(0, 200))}`);
    });

    test(`the gateway sees no more requests than the others: ${name}`, () => {
        const most = Math.max(1, ...Object.values(others).map((statuses) => statuses.length));
        assert.ok(ours.length <= most, `${ours.length} answers: ${ours}; the others at most ${most}`);
    });
}

// What docs/deploying.md says to type, typed: its options, and its loop over three hosts, each of which is a folder here.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { command } from '../lib/command.mjs';
import { connect, FORMS, load } from '../lib/durable.mjs';
import { snippet } from '../lib/docs.mjs';
import { NODE_CLIENTS } from '../lib/node_clients.mjs';
import { GATEWAY, ROOT } from '../lib/paths.mjs';
import { freePort } from '../lib/ports.mjs';
import { Haproxy } from '../lib/haproxy.mjs';
import { Authority } from '../lib/certificates.mjs';
import { Redis } from '../lib/redis.mjs';
import { scopeOf } from '../lib/scope.mjs';
import { tempFolder } from '../lib/temp.mjs';
import { until } from '../lib/wait.mjs';

const HOSTS = ['gw1', 'gw2', 'gw3'];
const OPTIONS = snippet('docs/deploying.md', 'drain-window = ');

// What the loop calls, with a folder for each host in the place of its root, and its own ports.
const COMMANDS = {
    scp: 'cp "$1" "$HOSTS/${2%%:*}${2#*:}"',
    ssh: `host=$1; shift
root=$HOSTS/$host
words=$(printf '%s' "$*" | sed "s|/usr/local/bin/|$root/usr/local/bin/|g; s|/etc/|$root/etc/|g; s|:9180/|:$(cat "$root/admin")/|g")
PATH=$root/usr/local/bin:$PATH ROOT=$root exec sh -c "$words"`,
    // As systemd does it: SIGTERM, the end, and the program that is there then.
    systemctl: `[ "$*" = "restart sse-gateway" ] || exit 1
if [ -e "$ROOT/pid" ]; then
    kill -TERM "$(cat "$ROOT/pid")"
    while kill -0 "$(cat "$ROOT/pid")" 2>/dev/null; do sleep 0.05; done
fi
setsid "$ROOT/usr/local/bin/sse-gateway" --config "$ROOT/etc/sse-gateway/sse-gateway.conf" >>"$ROOT/log" 2>&1 </dev/null & echo $! >"$ROOT/pid"`,
};

function isRunning(pid) {
    try {
        return !/^State:\s+Z/m.test(fs.readFileSync(`/proc/${pid}/status`, 'utf8'));
    } catch {
        return false;
    }
}

async function startHosts(scope, redis) {
    const folder = tempFolder(scope, 'hosts');
    fs.mkdirSync(path.join(folder, 'bin'));
    for (const [name, text] of Object.entries(COMMANDS)) fs.writeFileSync(path.join(folder, 'bin', name), `#!/bin/sh\n${text}\n`, { mode: 0o755 });
    const env = { HOSTS: folder, PATH: `${path.join(folder, 'bin')}:${process.env.PATH}` };
    const gateways = [];
    for (const host of HOSTS) {
        const root = path.join(folder, host);
        for (const part of ['usr/local/bin', 'etc/sse-gateway']) fs.mkdirSync(path.join(root, part), { recursive: true });
        fs.copyFileSync(GATEWAY, path.join(root, 'usr/local/bin/sse-gateway'));
        const [port, admin] = [await freePort(), await freePort()];
        fs.writeFileSync(path.join(root, 'admin'), String(admin));
        // The window is shorter than the document's, for the sake of time.
        fs.writeFileSync(path.join(root, 'etc/sse-gateway/sse-gateway.conf'), `${OPTIONS.replace('window = 20s', 'window = 1s').replace('delay = 2s', 'delay = 1s')}
            id = ${host}\nlisten = 127.0.0.1:${port}\nadmin-listen = 127.0.0.1:${admin}\nredis = ${redis.url}\nanonymous = *\nretry = 300ms\nworkers = 1\n`);
        gateways.push({ host: '127.0.0.1', port, pid: () => Number(fs.readFileSync(path.join(root, 'pid'), 'utf8')) });
        const { code, err } = await command(path.join(folder, 'bin/ssh'), [host, 'systemctl restart sse-gateway'], { env });
        assert.equal(code, 0, err);
        scope.defer(async () => {
            const pid = gateways.find((g) => g.port === port).pid();
            if (isRunning(pid)) process.kill(pid, 'SIGTERM');
            await until(`${host} to end`, () => !isRunning(pid));
            fs.copyFileSync(path.join(root, 'log'), path.join(scope.folder, `${host}.log`));
        });
    }
    return { gateways, env };
}

test('the options of docs/deploying.md are such as the gateway takes', async (t) => {
    const file = path.join(tempFolder(scopeOf(t), 'options'), 'sse-gateway.conf');
    fs.writeFileSync(file, `${OPTIONS}anonymous = *\n`);
    const { code, err } = await command(GATEWAY, ['--config', file, '--check-config']);
    assert.equal(code, 0, err);
});

test('the loop of docs/deploying.md replaces three gateways, and each client has each durable event once', async (t) => {
    const scope = scopeOf(t);
    const redis = await Redis.start(scope);
    const { gateways, env } = await startHosts(scope, redis);
    const { plainPort } = await Haproxy.start(scope, { gateways, pair: await (await Authority.create(scope)).sign('localhost'), redirects: false });
    const publisher = connect(scope, redis);
    await load(publisher);
    const clients = Object.values(NODE_CLIENTS).map((make) => make(`http://127.0.0.1:${plainPort}/stream?channel=a&control=1`));
    scope.defer(() => clients.forEach((client) => client.close()));
    await until('all to be open', () => clients.every((client) => client.state() === 'open'));
    const pids = gateways.map((g) => g.pid());
    const published = [];
    const publish = async () => FORMS.function(publisher, 'a', published[published.push(`event ${published.length}`) - 1]);
    await publish(); // the channel has a history from now on
    const loop = command('sh', ['-c', snippet('docs/deploying.md', 'for host in gw1 gw2 gw3').replace('build/sse-gateway', GATEWAY).replace('sleep 10', 'sleep 1')], { env, cwd: ROOT, ms: 60000 });
    let over = false;
    loop.finally(() => (over = true)).catch(() => {}); // it is awaited below
    await until('the loop to end', async () => {
        await publish();
        return over;
    }, { every: 50, ms: 60000 });
    const { code, out, err } = await loop;
    assert.equal(code, 0, out + err);
    assert.ok(gateways.every((g, i) => g.pid() !== pids[i]), 'each was started again');
    await publish();
    const datas = (client) => client.events.map((e) => e.data).filter((data) => data !== '');
    await until('the newest event everywhere', () => clients.every((client) => datas(client).includes(published.at(-1))));
    for (const client of clients) assert.deepEqual(datas(client), published);
});

// What docs/deploying.md says of a host's limits: the keys are there, and a limit that is too small shows itself as written.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { command } from '../lib/command.mjs';
import { Gateway } from '../lib/gateway.mjs';
import { Netns, noNetns } from '../lib/netns.mjs';
import { Nginx } from '../lib/nginx.mjs';
import { ROOT } from '../lib/paths.mjs';
import { Redis } from '../lib/redis.mjs';
import { scopeOf } from '../lib/scope.mjs';
import { openStreams } from '../lib/streams.mjs';
import { tempFolder } from '../lib/temp.mjs';
import { until } from '../lib/wait.mjs';

const skip = noNetns();
const UNREAD_BY_THE_GATEWAY = 20; // connections that come while it stands still
const PORTS = 20;
const ARGS = ['--refusal', 'status'];

// A container has none of these, nor has a kernel that tracks no connections.
const OF_A_HOST_ALONE = ['net.ipv4.tcp_mem', 'net.netfilter.nf_conntrack_max'];

test('each key of deploy/sysctl/90-sse-gateway.conf is one of this kernel', (t) => {
    const lines = fs.readFileSync(path.join(ROOT, 'deploy/sysctl/90-sse-gateway.conf'), 'utf8').split('\n');
    const settings = lines.map((line) => line.match(/^#?-?([a-z][a-z0-9_.-]+) = ([0-9 ]+)$/)).filter(Boolean);
    assert.equal(settings.length, lines.filter((line) => /^[^#]/.test(line) || / = /.test(line)).length, 'every line is a comment or a setting');
    assert.ok(settings.length >= 10);
    for (const [, key, value] of settings) {
        const file = path.join('/proc/sys', ...key.split('.'));
        if (OF_A_HOST_ALONE.includes(key) && !fs.existsSync(file)) {
            t.diagnostic(`${key} is not to be had here`);
            continue;
        }
        const now = fs.readFileSync(file, 'utf8').trim();
        assert.equal(value.split(' ').length, now.split(/\s+/).length, `numbers in ${key}`);
    }
});

async function inNetns(t) {
    const scope = scopeOf(t);
    const netns = new Netns(scope);
    const run = async (text) => {
        const { code, out, err } = await command(netns.via[0], [...netns.via.slice(1), 'sh', '-c', text]);
        assert.equal(code, 0, err);
        return out;
    };
    const redis = await Redis.start(scope, { host: netns.here, config: ['--protected-mode', 'no'] });
    const gateway = (options) => Gateway.start(scope, { redis, netns, ...options });
    return { scope, netns, run, gateway };
}

/** A counter of the namespace's TCP, as nstat has it. */
async function tcpCounter(run, name) {
    const [names, values] = (await run('cat /proc/net/netstat')).split('\n').filter((line) => line.startsWith('TcpExt:')).map((line) => line.split(' '));
    return Number(values[names.indexOf(name)]);
}

test('a backlog that is too small is in ss and in TcpExtListenOverflows, and delays clients', { skip }, async (t) => {
    const { scope, netns, run, gateway } = await inNetns(t);
    await run('echo 4 >/proc/sys/net/core/somaxconn');
    const { port, process } = await gateway();
    assert.match(await run(`ss -ltnH 'sport = :${port}'`), /^LISTEN +0 +4 /, 'the limit that counts is Send-Q');
    assert.equal(await tcpCounter(run, 'ListenOverflows'), 0);
    process.signal('SIGSTOP');
    const opened = openStreams(scope, Array.from({ length: UNREAD_BY_THE_GATEWAY }, () => ({ port, host: netns.there, path: '/stream?channel=a' })));
    await until('overflows', async () => (await tcpCounter(run, 'ListenOverflows')) > 0);
    assert.match(await run(`ss -ltnH 'sport = :${port}'`), /^LISTEN +5 +4 /, 'Recv-Q is what waits');
    process.signal('SIGCONT');
    await opened;
});

test('too few ports to a gateway: NGINX says so and sends clients to wait; a second address or a unix socket has ports of its own', { skip }, async (t) => {
    const { scope, netns, run, gateway } = await inNetns(t);
    await run(`echo 30000 ${30000 + PORTS - 1} >/proc/sys/net/ipv4/ip_local_port_range`);
    const socket = path.join(tempFolder(scope, 'socket'), 'gateway.sock');
    const gateways = [await gateway({ args: ARGS }), await gateway({ args: ARGS }), await gateway({ args: [...ARGS, '--listen', `unix:${socket}`, '--listen-mode', '0666'] })];
    /** How many streams NGINX brings to gateways; the others are told to come again. No port is used twice: one that was left is gone for a minute. */
    const served = async (to, count) => {
        const nginx = await Nginx.start(scope, { gateways: to, netns });
        const streams = await openStreams(scope, Array.from({ length: count }, () => ({ port: nginx.port, host: nginx.host, path: '/stream?channel=a' })));
        const there = streams.filter((s) => s.gateway);
        for (const stream of streams.filter((s) => !s.gateway)) {
            await until('a time to come again', () => stream.retry > 0);
        }
        streams.forEach((stream) => stream.close());
        for (const each of gateways) await each.metricIs('connections', 0);
        return { there: there.length, nginx };
    };
    const two = await served(gateways.slice(0, 2), PORTS + 10);
    assert.equal(two.there, PORTS + 10, `streams by ${PORTS} ports to each of two addresses`);
    assert.equal((await served([{ host: 'unix', port: socket }], PORTS + 10)).there, PORTS + 10);
    const one = await served(gateways.slice(2), PORTS + 10);
    assert.ok(one.there <= PORTS && one.there > PORTS / 2, `${one.there} streams by ${PORTS} ports`);
    await one.nginx.process.logged(/connect\(\) to \S+ failed \(99: Cannot assign requested address\) while connecting to upstream/);
});

// A pair of hosts with HAProxy and deploy/keepalived/keepalived.conf: the address is where a front answers, and streams come back.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { Audience } from '../lib/audience.mjs';
import { command } from '../lib/command.mjs';
import { ARGS, certificate } from '../lib/front.mjs';
import { Haproxy } from '../lib/haproxy.mjs';
import { Lan, noLan } from '../lib/lan.mjs';
import { freePort } from '../lib/ports.mjs';
import { Process } from '../lib/process.mjs';
import { scopeOf, sharedScope } from '../lib/scope.mjs';
import { fillSite } from '../lib/site.mjs';
import { tempFolder } from '../lib/temp.mjs';
import { startTier } from '../lib/tier.mjs';
import { until } from '../lib/wait.mjs';

const skip = noLan();
const pair = await certificate(sharedScope());

/** keepalived at `host`, whose HAProxy listens on `port` without TLS. */
async function startKeepalived(scope, { host, other, address, port, priority }) {
    const folder = tempFolder(scope, 'keepalived');
    const file = path.join(folder, 'keepalived.conf');
    fs.writeFileSync(file, fillSite('deploy/keepalived/keepalived.conf', {
        name: [`router_id ${host.name}`],
        check: [`script "/usr/bin/curl --silent --output /dev/null --max-time 1 http://127.0.0.1:${port}/"`],
        priority: [`priority ${priority}`],
        interface: ['interface eth0'],
        router: ['virtual_router_id 51'],
        'this host': [`unicast_src_ip ${host.there}`],
        'other host': [other.there],
        address: [`${address}/28`],
    }));
    const checked = await command(host.via[0], [...host.via.slice(1), 'keepalived', '--config-test', '--use-file', file]);
    assert.equal(checked.out + checked.err, ''); // not its status: 2.2.7 sends itself SIGTERM where script_user is not root
    const [program, ...args] = [...host.via, 'keepalived', '--dont-fork', '--log-console', '--vrrp', '--use-file', file,
        '--pid', path.join(folder, 'keepalived.pid'), '--vrrp_pid', path.join(folder, 'vrrp.pid')];
    return new Process(scope, `keepalived-${host.there}`, program, args);
}

test('a front that is killed hands its address to the other host, where each client comes back and gets each event once', { skip }, async (t) => {
    const scope = scopeOf(t);
    const lan = new Lan(scope);
    const [a, b] = [lan.host(), lan.host()];
    const tier = await startTier(scope, { gateways: 2, args: [...ARGS, '--trusted-proxy', `${lan.net}.0/28`], netns: { there: lan.here, via: [] } });
    const ports = { port: await freePort(), plainPort: await freePort() };
    const fronts = await Promise.all([a, b].map((netns) => Haproxy.start(scope, { ...tier, pair, netns, ...ports })));
    const common = { address: lan.spare, port: ports.plainPort };
    const daemonA = await startKeepalived(scope, { ...common, host: a, other: b, priority: 100 });
    await startKeepalived(scope, { ...common, host: b, other: a, priority: 90 });
    await until('the address to be at the first host', () => a.has(lan.spare) && !b.has(lan.spare), { ms: 30000 });

    const audience = await Audience.open(scope, { ...tier, args: ARGS, front: { url: `https://${lan.spare}:${ports.port}` } });
    await audience.heard();
    await audience.publishWhile(async () => {
        await fronts[0].kill();
        await until('the address to be at the second host', () => b.has(lan.spare) && !a.has(lan.spare), { ms: 30000 });
    });
    await audience.heard();

    // The first host is well again, and is no reason to end streams.
    const opens = audience.clients.map((c) => c.turns());
    await fronts[0].run();
    await daemonA.logged(/Entering BACKUP STATE[^]*Entering BACKUP STATE/);
    assert.ok(b.has(lan.spare) && !a.has(lan.spare));
    assert.deepEqual(audience.clients.map((c) => c.turns()), opens);
    await audience.publishWhile(async () => {
        await fronts[1].kill();
        await until('the address to be at the first host again', () => a.has(lan.spare) && !b.has(lan.spare), { ms: 30000 });
    });
    await audience.heard();
    audience.close();
});

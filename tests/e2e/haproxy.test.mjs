// HAProxy as docs/operations.md has it: no client is gone for good, whatever is away for a moment. The clients are those that
// give up on any answer but 200, as browsers do.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { connect as connectRedis, FORMS, load } from '../lib/durable.mjs';
import { Gateway } from '../lib/gateway.mjs';
import { Haproxy } from '../lib/haproxy.mjs';
import { NODE_CLIENTS } from '../lib/node_clients.mjs';
import { scopeOf } from '../lib/scope.mjs';
import { startTier } from '../lib/tier.mjs';
import { until } from '../lib/wait.mjs';

const ARGS = ['--refusal', 'status', '--retry', '300ms', '--heartbeat', '1s', '--durable', '*'];

async function start(t) {
    const scope = scopeOf(t);
    const tier = await startTier(scope, { gateways: 2, args: ARGS });
    const proxy = await Haproxy.start(scope, tier);
    const publisher = connectRedis(scope, tier.redis, { retryStrategy: () => 100 });
    await load(publisher);
    const connect = () => Object.values(NODE_CLIENTS).map((make) => {
        const client = make(`${proxy.url}/stream?channel=a&control=1`);
        scope.defer(() => client.close());
        return client;
    });
    return { scope, ...tier, connect, publish: (data) => FORMS.function(publisher, 'a', data) };
}

const datas = (client) => client.events.map((e) => e.data).filter((data) => data !== '');
const all = (clients, what, fact) => until(what, () => clients.every(fact), { ms: 30000, every: 50 });

async function hear(clients, expected) {
    await all(clients, `all to hear ${expected}`, (c) => datas(c).includes(expected.at(-1)));
    for (const client of clients) assert.deepEqual(datas(client), expected);
}

test('behind HAProxy, with all gateways away for a moment, each client comes back and gets each event once', async (t) => {
    const { scope, redis, gateways, connect, publish } = await start(t);
    const clients = connect();
    await all(clients, 'all to be open', (c) => c.state() === 'open');
    await publish('before');
    await hear(clients, ['before']);
    const opens = clients.map((c) => c.opens());
    for (const gateway of gateways) gateway.terminate();
    for (const gateway of gateways) await gateway.process.exit();
    await all(clients, 'an answer of HAProxy to each', (c) => c.state() === 'closed' || c.opens() > opens[clients.indexOf(c)]);
    await publish('away');
    await Promise.all(gateways.map(({ port, adminPort }) => Gateway.start(scope, { redis, port, adminPort, args: ARGS })));
    await hear(clients, ['before', 'away']);
});

test('behind HAProxy, a client that comes in a Redis outage is served when it is over', async (t) => {
    const { redis, gateways, connect, publish } = await start(t);
    await redis.kill();
    await until('no gateway to be ready', async () => (await Promise.all(gateways.map((g) => g.ready()))).every((ready) => !ready));
    const clients = connect();
    await all(clients, 'a refusal of each', (c) => c.state() === 'closed' || c.opens() >= 1);
    await redis.run();
    await Promise.all(gateways.map((g) => g.process.ready('is ready again', () => g.ready(), { ms: 30000 })));
    await until('streams of all', async () => (await Promise.all(gateways.map((g) => g.metric('connections')))).reduce((a, b) => a + b) === clients.length, { ms: 30000 });
    await publish('after');
    await hear(clients, ['after']);
});

test('behind HAProxy, a deploy of one gateway after the other loses and doubles nothing', async (t) => {
    const { scope, redis, gateways, connect, publish } = await start(t);
    const clients = connect();
    await all(clients, 'all to be open', (c) => c.state() === 'open');
    const published = [];
    for (const gateway of gateways) {
        gateway.terminate();
        published.push(`without ${gateway.id}`);
        await publish(published.at(-1));
        await gateway.process.exit();
        await Gateway.start(scope, { redis, id: gateway.id, port: gateway.port, adminPort: gateway.adminPort, args: ARGS });
    }
    await hear(clients, published);
});

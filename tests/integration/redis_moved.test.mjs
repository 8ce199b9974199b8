// The name of Redis leads to another server while the old one lives on: a service address that moved, a master that was
// replaced and never stopped.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Gateway } from '../lib/gateway.mjs';
import { Names, noNames } from '../lib/names.mjs';
import { Redis } from '../lib/redis.mjs';
import { scopeOf } from '../lib/scope.mjs';
import { openStream } from '../lib/streams.mjs';
import { until } from '../lib/wait.mjs';

const skip = noNames();
const NAME = 'redis.sse-test';

async function twoServers(scope) {
    const old = await Redis.start(scope);
    const other = await Redis.start(scope, { host: '127.0.0.2', port: old.port });
    const names = new Names(scope);
    names.set(NAME, old.host);
    const gateway = await Gateway.start(scope, { redisUrl: `redis://${NAME}:${old.port}`, names, args: ['--log-level', 'debug'] });
    return { old, other, names, gateway };
}

const ours = async (redis) => (await redis.cli(['CLIENT', 'LIST'])).split('\n').filter((line) => / name=sse-gateway /.test(line));

test('a name that leads elsewhere is followed, with all connections, and the move is announced', { skip }, async (t) => {
    const scope = scopeOf(t);
    const { old, other, names, gateway } = await twoServers(scope);
    const stream = await openStream(scope, gateway.port, '/stream?channel=a');
    await old.publish('a', 'at the old place');
    await stream.count(1);
    names.set(NAME, other.host);
    await until('the new server has a subscriber', async () => (await other.publish('a', 'at the new place')) === 1, { ms: 40000, every: 100 });
    await until('it is heard there', () => stream.events.some((e) => e.data === 'at the new place'));
    assert.deepEqual(stream.events.map((e) => e.type), ['message', 'gateway:gap', 'message']);
    await until('nobody is left at the old server', async () => (await ours(old)).length === 0, { every: 100 });
    await gateway.process.ready('is ready', () => gateway.ready());
    assert.equal(gateway.process.log().match(/"warn".*its name leads to another address/g).length, 1, gateway.process.log());
});

const looks = (gateway) => gateway.process.log().split('looked for the name of Redis again').length - 1;

test('a name that also leads elsewhere, and one that nobody knows for a while, change nothing', { skip }, async (t) => {
    const scope = scopeOf(t);
    const { old, other, names, gateway } = await twoServers(scope);
    await openStream(scope, gateway.port, '/stream?channel=a');
    for (const addresses of [[other.host, old.host], []]) {
        names.set(NAME, ...addresses);
        const before = looks(gateway);
        await until('three looks', () => looks(gateway) >= before + 3, { ms: 60000, every: 100 });
    }
    assert.equal(await gateway.metric('redis_connects_total'), 1);
    assert.ok((await ours(old)).length >= 2);
});

// Several gateways behind NGINX: streams are shared out evenly, and a message finds all of them.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { scopeOf } from '../lib/scope.mjs';
import { countBy, openStreams } from '../lib/streams.mjs';
import { startTier } from '../lib/tier.mjs';

const STREAMS = 300;

test('300 streams through NGINX spread over three gateways within 2 of even, and one PUBLISH reaches each exactly once', async (t) => {
    const scope = scopeOf(t);
    const { redis, gateways, nginx } = await startTier(scope, { gateways: 3, nginx: true });
    const streams = await openStreams(scope, Array(STREAMS).fill({ port: nginx.port, path: '/stream?channel=news' }));

    const spread = countBy(streams.map((s) => s.gateway));
    assert.deepEqual([...spread.keys()].sort(), gateways.map((g) => g.id).sort());
    for (const [id, count] of spread) assert.ok(Math.abs(count - STREAMS / 3) <= 2, `${id} has ${count} of ${STREAMS} streams`);
    for (const gateway of gateways) await gateway.metricIs('connections', spread.get(gateway.id));

    assert.equal(await redis.publish('news', 'once'), 3, 'each gateway subscribes once');
    await redis.publish('news', 'end'); // what came twice would stand before this one
    await Promise.all(streams.map((s) => s.count(2)));
    for (const stream of streams) assert.deepEqual(stream.events.map((e) => e.data), ['once', 'end']);
});

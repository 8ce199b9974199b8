// Streams over TLS in the plain build: what an idle one costs in memory, and all calls that take or give one byte.

import '../lib/plain_build.mjs';
import assert from 'node:assert/strict';
import path from 'node:path';
import { before, test } from 'node:test';
import { buildPlain, Calls } from '../lib/calls.mjs';
import { scopeOf } from '../lib/scope.mjs';
import { openStreams } from '../lib/streams.mjs';
import { tempFolder } from '../lib/temp.mjs';
import { startTls } from '../lib/tls.mjs';
import { until } from '../lib/wait.mjs';
import { ownMemory } from '../lib/work.mjs';

const LIMITS = { 'TLSv1.2': 4096, 'TLSv1.3': 4096 }; // after a handshake OpenSSL's state is freed

before(() => buildPlain());

for (const [version, LIMIT] of Object.entries(LIMITS)) {
    test(`2,000 idle streams with ${version} take at most ${LIMIT} bytes each, and our own account knows`, async (t) => {
        const scope = scopeOf(t);
        const { gateway, secure } = await startTls(scope, { args: ['--heartbeat', '60s'] });
        const look = async (count) => {
            await openStreams(scope, Array(count).fill({ port: gateway.port, path: '/stream?channel=a', tls: { ...secure, minVersion: version, maxVersion: version } }));
            let last = 0;
            await until('memory at rest', async () => {
                const earlier = last;
                last = await gateway.metric('connection_bytes');
                return last === earlier;
            }, { every: 600 });
            return { own: ownMemory(gateway.process.pid), counted: last };
        };
        const first = await look(200);
        const second = await look(2000);
        const own = (second.own - first.own) / 2000;
        const counted = (second.counted - first.counted) / 2000;
        t.diagnostic(`${own.toFixed(0)} bytes by the kernel's account, ${counted.toFixed(0)} by ours`);
        assert.ok(own <= LIMIT, `${own} bytes by the kernel's account`);
        assert.ok(Math.abs(own - counted) <= 2000, `${own.toFixed(0)} bytes by the kernel's account, ${counted.toFixed(0)} by our own`);
    });
}

test('a gateway that reads and writes one byte a call serves streams over TLS all the same', async (t) => {
    const scope = scopeOf(t);
    const calls = new Calls(path.join(tempFolder(scope, 'calls'), 'calls'), { trickle: true });
    const { redis, gateway, secure } = await startTls(scope, { env: calls.env, args: ['--heartbeat', '60s'] });
    calls.arm();
    const streams = await openStreams(scope, Object.keys(LIMITS).map((maxVersion) => ({ port: gateway.port, path: '/stream?channel=a', tls: { ...secure, maxVersion } })));
    const texts = ['small', 'y'.repeat(40_000), 'last'];
    await redis.publishAll(texts.map((text) => ['a', text]));
    await Promise.all(streams.map((s) => s.count(texts.length, { ms: 60000 })));
    for (const s of streams) assert.deepEqual(s.events.map((e) => e.data), texts);
    gateway.terminate();
    for (const s of streams) assert.equal(await s.ended(), 'clean');
});

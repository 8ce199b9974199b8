// curl -N, which is how people look first.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { command } from '../lib/command.mjs';
import { Process } from '../lib/process.mjs';
import { scopeOf } from '../lib/scope.mjs';
import { startTier } from '../lib/tier.mjs';
import { until } from '../lib/wait.mjs';

for (const through of ['the gateway', 'NGINX']) {
    for (const version of ['--http1.1', '--http1.0']) {
        test(`curl -N ${version} from ${through} prints events as they come, and ends well when the gateway drains`, async (t) => {
            const scope = scopeOf(t);
            const { redis, gateway, nginx } = await startTier(scope, { nginx: through === 'NGINX' });
            const port = (nginx ?? gateway).port;
            const curl = new Process(scope, 'curl', 'curl', ['-sSN', version, `http://127.0.0.1:${port}/stream?channel=news`]);
            await redis.subscribed('news', 1);
            await redis.publish('news', 'hello');
            await curl.logged(/^data: hello\n\n/m);
            await redis.publish('news', 'two\nlines');
            await curl.logged(/^data: two\ndata: lines\n\n/m);
            gateway.terminate();
            assert.deepEqual(await curl.exit(), { code: 0, signal: null }, curl.log());
            assert.match(curl.log(), /^retry: 2000\ndata: hello\n\ndata: two\ndata: lines\n\nretry: \d+\n\n$/);
        });
    }
}

test('curl of an error shows a problem that says what to do', async (t) => {
    const { gateway } = await startTier(scopeOf(t));
    const result = await command('curl', ['-sS', `http://127.0.0.1:${gateway.port}/stream`]);
    assert.match(JSON.parse(result.out).detail, /channel/);
    const head = await command('curl', ['-sSI', `http://127.0.0.1:${gateway.port}/stream?channel=a`]);
    assert.equal(head.code, 0, head.err);
    assert.match(head.out, /^HTTP\/1\.1 200 OK\r\n/);
    await until('no stream is left', async () => (await gateway.metric('connections')) === 0);
});

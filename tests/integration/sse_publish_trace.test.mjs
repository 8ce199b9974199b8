// sse-publish --trace where reports are odd, or cannot be heard: the event itself is out by then.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import { test } from 'node:test';
import { Running } from '../lib/cli.mjs';
import { PUBLISH } from '../lib/paths.mjs';
import { command } from '../lib/command.mjs';
import { Redis } from '../lib/redis.mjs';
import { scopeOf } from '../lib/scope.mjs';
import { until } from '../lib/wait.mjs';

/** A subscriber of `news` that is no gateway; resolves to what says the channel for reports of the first event. */
async function listen(scope, redis) {
    const socket = net.connect(redis.port, '127.0.0.1');
    let heard = '';
    socket.on('error', () => {});
    socket.on('data', (data) => (heard += data));
    scope.defer(() => socket.destroy());
    socket.write('SUBSCRIBE news\r\n');
    await once(socket, 'data');
    return () => until('the event', () => /trace-to: (\S+)/.exec(heard)?.[1]);
}

test('where the reports cannot be heard, the event counts as published', async (t) => {
    const scope = scopeOf(t);
    const redis = await Redis.start(scope);
    for (const args of [['--json'], []]) {
        const event = await listen(scope, redis);
        const running = new Running(scope, ['--redis', redis.url, '--trace', '--trace-timeout', '60s', ...args, 'news', 'x']);
        await event();
        await redis.cli(['CLIENT', 'KILL', 'TYPE', 'pubsub']);
        assert.equal(await running.ended, 0, running.err);
        assert.match(running.err, /^sse-publish: warning: published; the reports were not heard: [^\n]+\n$/);
        if (args.length) assert.deepEqual([JSON.parse(running.out).receivers, JSON.parse(running.out).gateways], [1, 0]);
        else assert.match(running.out, /^published in \d+ us to 1 gateway, [^]*\n0 gateways reported, 0 streams\n$/);
    }
});

test('a report with a time that makes no sense is ignored', async (t) => {
    const scope = scopeOf(t);
    const redis = await Redis.start(scope);
    const event = await listen(scope, redis);
    const running = command(PUBLISH, ['--redis', redis.url, '--trace', '--json', 'news', 'x']);
    const channel = await event();
    const report = { gateway: 'gw', worker: 0, workers: 1, streams: 1, duration_us: 1 };
    for (const at of ['-9223372036854775808', '1']) await redis.publish(channel, JSON.stringify({ ...report, read_at_us: 0 }).replace(':0}', `:${at}}`));
    const { code, out } = await running;
    const { deliveries } = JSON.parse(out);
    assert.deepEqual([code, deliveries.length], [0, 1]);
    assert.ok(deliveries[0].read_after_us < 0);
});

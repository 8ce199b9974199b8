// A log that nobody reads: standard error is a pipe that is full. Nothing but the log may notice.

import assert from 'node:assert/strict';
import net from 'node:net';
import { test } from 'node:test';
import { FullPipe } from '../lib/full_pipe.mjs';
import { Gateway } from '../lib/gateway.mjs';
import { freePort } from '../lib/ports.mjs';
import { GATEWAY } from '../lib/paths.mjs';
import { Process } from '../lib/process.mjs';
import { Redis } from '../lib/redis.mjs';
import { scopeOf } from '../lib/scope.mjs';
import { openStreams } from '../lib/streams.mjs';
import { until } from '../lib/wait.mjs';

const SMALL = ['--log-level', 'debug', '--log-buffer', '8KiB'];

/** Has the gateway log until it has dropped lines: it says of each lost connection that it is lost, and that it is back. */
async function untilDropped(redis, gateway) {
    await until('lines that are dropped', async () => {
        await redis.cli(['client', 'kill', 'type', 'pubsub']);
        await redis.cli(['client', 'kill', 'type', 'normal', 'skipme', 'yes']);
        await until('ready', () => gateway.ready());
        return (await gateway.metric('log_lines_dropped_total')) > 0;
    }, { ms: 60000 });
}

async function assertDelivers(scope, redis, gateway) {
    const streams = await openStreams(scope, Array.from({ length: 20 }, () => ({ port: gateway.port, path: '/stream?channel=a' })));
    await redis.publish('a', 'x');
    await Promise.all(streams.map((s) => s.count(1)));
    assert.ok(await gateway.ready());
    gateway.terminate();
    await Promise.all(streams.map((s) => s.ended()));
    assert.ok(streams.every((s) => s.end === 'clean'));
    assert.deepEqual(await gateway.process.exit(8000), { code: 0, signal: null });
}

test('nobody reads the log from the start: it starts, delivers, is ready, drains and exits', async (t) => {
    const scope = scopeOf(t);
    const redis = await Redis.start(scope);
    const gateway = await Gateway.start(scope, { redis, stderr: new FullPipe(scope).writer });
    await assertDelivers(scope, redis, gateway);
});

test('nobody reads the log any more: lines are dropped and counted, events are not', async (t) => {
    const scope = scopeOf(t);
    const redis = await Redis.start(scope);
    const pipe = new FullPipe(scope, { full: false });
    const gateway = await Gateway.start(scope, { redis, args: SMALL, stderr: pipe.writer });
    pipe.fill();
    await untilDropped(redis, gateway);
    await assertDelivers(scope, redis, gateway);
});

test('a log that is read again says how many lines are missing, and goes on', async (t) => {
    const scope = scopeOf(t);
    const redis = await Redis.start(scope);
    const pipe = new FullPipe(scope);
    const gateway = await Gateway.start(scope, { redis, args: SMALL, stderr: pipe.writer });
    await untilDropped(redis, gateway);
    let text = '';
    const read = (pattern) => until(String(pattern), () => (text += pipe.read()).match(pattern));
    const [, lines] = await read(/"(\d+) lines were dropped/);
    assert.ok(Number(lines) > 0);
    gateway.terminate();
    assert.equal((await gateway.process.exit()).code, 0);
    await read(/"stopped"/);
});

test('a start that fails is told to one who reads late', async (t) => {
    const scope = scopeOf(t);
    const port = await freePort();
    const server = net.createServer();
    await new Promise((resolve) => server.listen(port, '127.0.0.1', resolve));
    scope.defer(() => server.close());
    const pipe = new FullPipe(scope);
    const args = ['--anonymous', '*', '--listen', `127.0.0.1:${port}`, '--admin-listen', 'off'];
    const process = new Process(scope, 'fails', GATEWAY, args, { stderr: pipe.writer });
    process.wantedEnd = true;
    let text = '';
    await until('the reason', () => (text += pipe.read()).includes('in use'));
    assert.equal((await process.exit()).code, 1);
});

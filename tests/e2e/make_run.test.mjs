// `make run`: what a person sees who has typed it.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import path from 'node:path';
import { test } from 'node:test';
import { openPage, startChromium } from '../lib/chromium.mjs';
import { command } from '../lib/command.mjs';
import { ENV, RUN, SANITIZER, somePorts, startRun } from '../lib/make_run.mjs';
import { PUBLISH, ROOT } from '../lib/paths.mjs';
import { scopeOf } from '../lib/scope.mjs';
import { countBy, openStreams } from '../lib/streams.mjs';
import { until } from '../lib/wait.mjs';

/** The processes that have this folder in their command line or are in it. */
function processesIn(folder) {
    return fs.readdirSync('/proc').filter((pid) => /^\d+$/.test(pid)).filter((pid) => {
        try {
            return fs.readlinkSync(`/proc/${pid}/cwd`).startsWith(folder) || fs.readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(folder);
        } catch {
            return false; // it has ended meanwhile
        }
    });
}

function isListening(port) {
    return new Promise((resolve) => {
        const socket = net.connect(port, '127.0.0.1', () => {
            socket.destroy();
            resolve(true);
        });
        socket.once('error', () => resolve(false));
    });
}

test('make run starts the tier, the page works in Chromium, and Ctrl-C drains and stops all of it', async (t) => {
    const scope = scopeOf(t);
    const ports = await somePorts();
    const run = await startRun(scope, ports);
    for (let i = 0; i < 3; i++) {
        const status = await new Promise((resolve, reject) => http.get({ port: ports.gateway + i, path: '/health/ready', agent: false },
            (r) => resolve(r.resume().statusCode)).on('error', reject));
        assert.equal(status, 200, `gateway ${i} is ready`);
    }
    assert.match(run.log(), /curl -N/);
    assert.match(run.log(), /redis-cli .*PUBLISH/);

    const streams = await openStreams(scope, Array(30).fill({ port: ports.port, path: '/stream?channel=news' }));
    assert.deepEqual([...countBy(streams.map((s) => s.gateway)).values()], [10, 10, 10]);

    const page = await openPage(scope, await startChromium(scope), `http://127.0.0.1:${ports.port}/`);
    await page.waitForSelector('[data-state=open]');
    const channel = (await page.inputValue('#channels')).split(/[\s,]+/)[0];
    const sent = await command(PUBLISH, ['--redis', `redis://127.0.0.1:${ports.redis}`, channel, 'seen in the page']);
    assert.equal(sent.code, 0, sent.err);
    await page.waitForFunction(() => document.querySelector('#events').textContent.includes('seen in the page'));
    assert.notEqual((await page.textContent('#gateway')).trim(), '\u2013');

    run.signal('SIGINT');
    await Promise.all(streams.map((s) => s.ended(30000)));
    assert.ok(streams.every((s) => s.end === 'clean'), 'every stream ended with a clean last chunk');
    await page.waitForSelector('[data-state=reconnecting]');
    assert.deepEqual(await run.exit(60000), { code: 0, signal: null });
    for (const port of [ports.port, ports.redis, ports.gateway, ports.gateway + 1, ports.gateway + 2, ports.admin]) {
        assert.equal(await isListening(port), false, `port ${port} is free again`);
    }
    assert.deepEqual(processesIn(path.join(ROOT, 'run', String(ports.port))), []);
});

test('a second make run beside the first works with other ports; the same ports are an error that names one and an option', async (t) => {
    const scope = scopeOf(t);
    const first = await somePorts();
    const second = await somePorts();
    await startRun(scope, first);
    await startRun(scope, second);
    for (const option of ['--port', '--https-port', '--redis-port', '--gateway-port', '--admin-port']) {
        const third = await somePorts();
        const args = [...third.args];
        const taken = first.args[first.args.indexOf(option) + 1];
        args[args.indexOf(option) + 1] = taken;
        const result = await command(RUN, args, { env: ENV, ms: 60000 });
        assert.notEqual(result.code, 0);
        assert.ok(result.err.includes(taken) && result.err.includes(option), result.err);
    }
    const [stream] = await openStreams(scope, [{ port: first.port, path: '/stream?channel=a' }]);
    const other = await openStreams(scope, [{ port: second.port, path: '/stream?channel=a' }]);
    await command('redis-cli', ['-p', String(first.redis), 'PUBLISH', 'a', 'to the first']);
    await stream.count(1);
    await command('redis-cli', ['-p', String(second.redis), 'PUBLISH', 'a', 'to the second']);
    await other[0].count(1);
    assert.deepEqual(stream.events.map((e) => e.data), ['to the first']);
});

test('a gateway that is killed is started anew, and meanwhile its streams come back at the others; one that ends again at once ends all', async (t) => {
    const scope = scopeOf(t);
    const ports = await somePorts();
    const run = await startRun(scope, ports);
    const pid = () => Number(fs.readFileSync(path.join(ROOT, 'run', String(ports.port), 'tmp/gw-2.pid'), 'utf8'));
    const killed = pid();
    process.kill(killed, 'SIGKILL');
    await until('another process', () => pid() !== killed, { ms: 10000 });
    assert.match(run.log(), /gw-2 has ended, and is started anew; meanwhile its streams come back at the others/);
    const [stream] = await openStreams(scope, [{ port: ports.port, path: '/stream?channel=a' }]);
    assert.equal(stream.status, 200);
    process.kill(pid(), 'SIGKILL');
    assert.equal((await run.exit(60000)).code, 1);
    assert.match(run.log(), /gw-2 was ended by signal 9/);
});

test('when one of its programs dies, make run says which, and stops the others', async (t) => {
    const scope = scopeOf(t);
    const ports = await somePorts();
    const run = await startRun(scope, ports);
    await command('redis-cli', ['-p', String(ports.redis), 'SHUTDOWN', 'NOSAVE']);
    const end = await run.exit(60000);
    assert.equal(end.code, 1);
    assert.match(run.log(), /redis (exited|was ended)/);
    await until('all ports to be free', async () => !(await isListening(ports.port)) && !(await isListening(ports.gateway)));
});

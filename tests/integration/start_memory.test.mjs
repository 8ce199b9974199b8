// A start for which memory runs out, at each place where it can.

import '../lib/plain_build.mjs';
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { before, test } from 'node:test';
import { buildPlain, Calls } from '../lib/calls.mjs';
import { GATEWAY } from '../lib/paths.mjs';
import { freePort } from '../lib/ports.mjs';
import { scopeOf } from '../lib/scope.mjs';
import { within } from '../lib/wait.mjs';

before(() => buildPlain());

/** Starts a gateway whose allocation number `nth` fails, and ends it once it runs. */
async function startFailing(scope, args, nth) {
    const calls = new Calls(path.join(scope.folder, `calls-${nth}`), { fail: 'malloc', error: 12, nth, leaks: true });
    calls.arm();
    const child = spawn(GATEWAY, args, { env: { ...process.env, ...calls.env }, stdio: ['ignore', 'ignore', 'pipe'] });
    scope.defer(() => child.kill('SIGKILL'));
    let log = '';
    child.stderr.on('data', (text) => {
        log += text;
        if (/sse-gateway \S+, id /.test(log)) child.kill('SIGTERM');
    });
    const [code, signal] = await within(20000, `the end after allocation ${nth}`, once(child, 'close'));
    return { code, signal, calls: calls.counted, left: calls.left, log };
}

test('a start that memory runs out for: it runs and drains all the same, or says so, exits and has given everything back', async (t) => {
    const scope = scopeOf(t);
    const args = ['--anonymous', '*', '--redis', 'redis://127.0.0.1:1', '--workers', '2', '--listen', `127.0.0.1:${await freePort()}`,
        '--admin-listen', `127.0.0.1:${await freePort()}`];
    const { calls, code } = await startFailing(scope, args, 0);
    assert.equal(code, 0);
    assert.ok(calls > 50, `${calls} allocations`);
    let failed = 0;
    for (let nth = 1; nth <= calls; nth++) {
        const end = await startFailing(scope, args, nth);
        if (end.signal) {
            // libev knows no other way.
            assert.equal(end.signal, 'SIGABRT', `allocation ${nth}: ${end.log}`);
            const said = end.log.trim().split('\n').map((line) => JSON.parse(line).msg);
            assert.ok(said.some((msg) => msg.startsWith('out of memory: the event loop (libev) cannot go on')), `allocation ${nth}: ${end.log}`);
            continue;
        }
        if (end.code === 0) continue;
        failed++;
        assert.equal(end.left, 0, `allocation ${nth}: ${end.left} bytes are left; ${end.log}`);
        assert.match(end.log, /\S/, `allocation ${nth}`);
    }
    assert.ok(failed > 20, `${failed} starts failed`);
});

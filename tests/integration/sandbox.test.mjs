// --seccomp and the systemd unit: what code of an intruder could not do in the process.

import '../lib/plain_build.mjs';
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { before, test } from 'node:test';
import { buildPlain } from '../lib/calls.mjs';
import { command } from '../lib/command.mjs';
import { Gateway } from '../lib/gateway.mjs';
import { BUILD, ROOT } from '../lib/paths.mjs';
import { Redis } from '../lib/redis.mjs';
import { scopeOf } from '../lib/scope.mjs';
import { openStream } from '../lib/streams.mjs';
import { tempFolder } from '../lib/temp.mjs';
import { startTier } from '../lib/tier.mjs';
import { until } from '../lib/wait.mjs';

before(() => buildPlain());

const EPERM = 1;
const UNTRIED = 255;
const UNIT = path.join(ROOT, 'deploy/systemd/sse-gateway.service');

/** A gateway within which intruder.c makes attempts, by number. */
async function withIntruder(scope, args = []) {
    const file = path.join(scope.folder, 'intruder');
    fs.writeFileSync(file, Buffer.from([0, UNTRIED]));
    const tier = await startTier(scope, { args: ['--seccomp', ...args], env: { LD_PRELOAD: path.join(BUILD, 'tests/intruder.so'), INTRUDER_FILE: file } });
    const attempt = async (number) => {
        fs.writeFileSync(file, Buffer.from([number, UNTRIED]), { flag: 'r+' });
        await until(`attempt ${number}`, () => !tier.gateway.process.running || fs.readFileSync(file)[1] !== UNTRIED);
        return fs.readFileSync(file)[1];
    };
    return { ...tier, attempt };
}

/** The fields of proc(5)'s status of each thread. */
function statusOf({ pid }, field) {
    return fs.readdirSync(`/proc/${pid}/task`).map((task) => fs.readFileSync(`/proc/${pid}/task/${task}/status`, 'utf8').match(new RegExp(`^${field}:\\s+(\\d+)`, 'm'))[1]);
}

for (const [number, what] of [[1, 'execve'], [2, 'ptrace']]) {
    test(`--seccomp: ${what} ends the process`, async (t) => {
        const { gateway, attempt } = await withIntruder(scopeOf(t));
        gateway.process.wantedEnd = true;
        await attempt(number);
        assert.deepEqual(await gateway.process.exit(), { code: null, signal: 'SIGSYS' });
    });
}

test('--seccomp: no file is written or removed, no process, listener or raw socket made, no memory made executable, no signal sent', async (t) => {
    const scope = scopeOf(t);
    const { redis, gateway, attempt } = await withIntruder(scope);
    const stream = await openStream(scope, gateway.port, '/stream?channel=a');
    for (let number = 3; number <= 10; number++) assert.equal(await attempt(number), EPERM, `attempt ${number}`);
    await redis.publish('a', 'x');
    await stream.count(1);
});

test('without --seccomp the same attempts succeed, so that those tests do test something', async (t) => {
    const scope = scopeOf(t);
    const file = path.join(scope.folder, 'intruder');
    fs.writeFileSync(file, Buffer.from([0, UNTRIED]));
    await startTier(scope, { env: { LD_PRELOAD: path.join(BUILD, 'tests/intruder.so'), INTRUDER_FILE: file } });
    for (const number of [6, 8]) {
        fs.writeFileSync(file, Buffer.from([number, UNTRIED]), { flag: 'r+' });
        await until(`attempt ${number}`, () => fs.readFileSync(file)[1] === 0);
    }
});

test('--seccomp holds for every thread, and a gateway without it gains no privileges either', async (t) => {
    const scope = scopeOf(t);
    const redis = await Redis.start(scope);
    const plain = await Gateway.start(scope, { redis });
    const filtered = await Gateway.start(scope, { redis, args: ['--seccomp'] });
    const ones = (values, wanted) => assert.ok(values.length >= 4 && values.every((v) => v === wanted), values.join(' '));
    ones(statusOf(plain.process, 'NoNewPrivs'), '1');
    ones(statusOf(plain.process, 'Seccomp'), '0');
    ones(statusOf(filtered.process, 'NoNewPrivs'), '1');
    ones(statusOf(filtered.process, 'Seccomp'), '2'); // SECCOMP_MODE_FILTER
});

test('--seccomp: the file of a unix socket is still removed at the exit', async (t) => {
    const scope = scopeOf(t);
    const socket = path.join(tempFolder(scope, 'socket'), 'gateway.sock');
    const { gateway } = await startTier(scope, { args: ['--seccomp', '--listen', `unix:${socket}`] });
    assert.ok(fs.existsSync(socket));
    gateway.terminate();
    assert.equal((await gateway.process.exit()).code, 0);
    assert.ok(!fs.existsSync(socket));
});

/** Names of the system calls that a list of the unit's SystemCallFilter stands for. */
async function callsOf(words) {
    const groups = words.filter((w) => w.startsWith('@'));
    if (groups.length === 0) return new Set(words);
    const { out } = await command('systemd-analyze', ['syscall-filter', '--no-pager', ...groups]);
    const names = out.split('\n').filter((line) => line.startsWith('    ')).map((line) => line.trim());
    return callsOf([...names, ...words.filter((w) => !w.startsWith('@'))].filter((name) => !name.startsWith('#')));
}

test('the systemd unit lets through what the gateway and its own filter need', async () => {
    const lines = [...fs.readFileSync(UNIT, 'utf8').matchAll(/^SystemCallFilter=(~?)(.*)$/gm)];
    const allowed = await callsOf(lines.filter(([, not]) => !not).flatMap(([, , words]) => words.split(' ')));
    const denied = await callsOf(lines.filter(([, not]) => not).flatMap(([, , words]) => words.split(' ')));
    const known = await callsOf(['@known']);
    const source = fs.readFileSync(path.join(ROOT, 'gateway/process/sandbox.c'), 'utf8').replace(/deadly\[\] = \{[^}]*\}/, '');
    const needed = [...source.matchAll(/SCMP_SYS\((\w+)\)/g)].map(([, name]) => name).concat('seccomp', 'listen');
    assert.ok(needed.length > 80, `${needed.length} calls`);
    assert.deepEqual(needed.filter((name) => known.has(name) && (!allowed.has(name) || denied.has(name))), []);
});

test('the systemd unit is exposed by 2.0 at most, and systemd has nothing to say against what is installed', async (t) => {
    const scope = scopeOf(t);
    const { out } = await command('systemd-analyze', ['security', '--offline=yes', '--no-pager', UNIT]);
    const exposure = Number(out.match(/exposure level for sse-gateway\.service: (\d+\.\d+)/)?.[1]);
    t.diagnostic(`exposure ${exposure}`);
    assert.ok(exposure <= 2.0, out);
    const installed = await command('flock', [path.join(ROOT, 'Makefile'), 'make', '-C', ROOT, 'BUILD=build', 'install', `PREFIX=${path.join(scope.folder, 'usr')}`], { env: { MAKEFLAGS: '', MAKELEVEL: '', SANITIZER: '' }, ms: 300000 });
    assert.equal(installed.code, 0, installed.out + installed.err);
    const units = path.join(scope.folder, 'usr/lib/systemd/system');
    const verify = () => command('systemd-analyze', ['verify', '--man=no', path.join(units, 'sse-gateway.service'), path.join(units, 'sse-gateway.socket')]);
    const { code, out: said, err } = await verify();
    assert.deepEqual([code, said + err], [0, '']);
    for (const [unit, key] of [['service', 'TimeoutStopSec'], ['socket', 'FileDescriptorName'], ['socket', 'ListenStream']]) {
        const file = path.join(units, `sse-gateway.${unit}`);
        const text = fs.readFileSync(file, 'utf8');
        fs.writeFileSync(file, text.replace(`\n${key}=`, `\n${key}x=`));
        assert.match((await verify()).err, new RegExp(`${key}x`), 'a misspelt key is noticed');
        fs.writeFileSync(file, text);
    }
});

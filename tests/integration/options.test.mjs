// Options: what is wrong is said in one line that helps, with status 2; what is right means what it says.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { test } from 'node:test';
import { command } from '../lib/command.mjs';
import { Gateway } from '../lib/gateway.mjs';
import { GATEWAY } from '../lib/paths.mjs';
import { freePort } from '../lib/ports.mjs';
import { Process } from '../lib/process.mjs';
import { exchange } from '../lib/raw_http.mjs';
import { scopeOf } from '../lib/scope.mjs';
import { openStream } from '../lib/streams.mjs';
import { tempFolder } from '../lib/temp.mjs';
import { startTier } from '../lib/tier.mjs';
import { until } from '../lib/wait.mjs';

const run = (args, options) => command(GATEWAY, args, { ms: 5000, ...options });
const FINE = ['--anonymous', '*'];

function isUsageError(result, ...mentions) {
    assert.equal(result.code, 2, `status ${result.code ?? result.signal}: ${result.err}${result.out}`);
    assert.equal(result.out, '');
    assert.match(result.err, /^[^\n]+\n$/, 'one line');
    for (const mention of mentions) assert.ok(result.err.includes(mention), `${JSON.stringify(mention)} in: ${result.err}`);
}

const BAD = {
    'an unknown option': [['--no-such-thing'], '--no-such-thing'],
    'an option without its value': [['--listen'], '--listen'],
    'an argument that is no option': [['gateway.ini'], 'gateway.ini'],
    'a listener without a port': [['--listen', '127.0.0.1'], '--listen', '127.0.0.1'],
    'a port that is no number': [['--listen', '127.0.0.1:http'], '--listen', 'http'],
    'a port beyond 65535': [['--listen', '127.0.0.1:65536'], '--listen', '65536'],
    'a mode that is none': [['--listen-mode', '0999'], '--listen-mode', '0999', '0660'],
    'a mode with letters': [['--listen-mode', 'rw-'], '--listen-mode', 'rw-'],
    'a group that is not there': [['--listen-group', 'no such group'], '--listen-group', 'no such group'],
    'an address that is none': [['--listen', '300.1.1.1:80'], '--listen', '300.1.1.1'],
    'a Redis URL of another kind': [['--redis', 'http://127.0.0.1'], '--redis', 'redis://'],
    'a Redis URL with a bad port': [['--redis', 'redis://127.0.0.1:x'], '--redis'],
    'a Redis database that is no number': [['--redis', 'redis://127.0.0.1/x'], '--redis'],
    'a time without a unit that makes sense': [['--heartbeat', '15 parsecs'], '--heartbeat', '15 parsecs'],
    'a negative time': [['--retry', '-1s'], '--retry'],
    'a size that is none': [['--queue-limit', 'big'], '--queue-limit', 'big'],
    'a size beyond numbers': [['--max-message', '99999999999999999999GiB'], '--max-message'],
    'a number that is none': [['--workers', 'two'], '--workers', 'two'],
    'no workers': [['--workers', '0'], '--workers'],
    'no channels': [['--max-channels', '0'], '--max-channels'],
    'an unknown word': [['--refusal', 'maybe'], '--refusal', 'maybe'],
    'an unknown log level': [['--log-level', 'chatty'], '--log-level', 'chatty'],
    'a pattern with a star in the middle': [['--anonymous', 'a*b'], '--anonymous', 'a*b'],
    'an origin that is none': [['--cors-origin', 'app.example'], '--cors-origin', 'app.example'],
    'an origin that ends in a slash': [['--cors-origin', 'https://app.example/'], '--cors-origin', 'write https://app.example'],
    'an origin with a star': [['--cors-origin', 'https://*.example'], '--cors-origin', '*'],
    'an origin that is not ASCII': [['--cors-origin', 'https://bücher.example'], '--cors-origin', 'xn--'],
    'a path of a page': [['--path', '/health/live'], '--path', '/health/live'],
    'histories that are off, and not': [['--durable', 'off', '--durable', 'user:*'], '--durable', 'off'],
    'a rule for payloads that can never count': [['--payload', 'text', '--payload', 'a=envelope'], '--payload', 'text'],
    'a user of Redis without a password': [['--redis', 'redis://bob@127.0.0.1'], '--redis', 'password'],
    'a path without a slash': [['--path', 'stream'], '--path', 'stream'],
    'an id with a line end': [['--id', 'a\r\nSet-Cookie: x'], '--id'],
    'a config file that is not there': [['--config', '/nonexistent/gateway.ini'], '/nonexistent/gateway.ini'],
    'a password file that is not there': [['--redis-password-file', '/nonexistent/password'], '/nonexistent/password'],
};

for (const [name, [args, ...mentions]] of Object.entries(BAD)) {
    test(`exit 2 and one line for ${name}`, async () => isUsageError(await run([...FINE, ...args]), ...mentions));
}

test('with neither keys nor --anonymous it refuses to start, and says what to do', async () => {
    isUsageError(await run([]), '--anonymous');
});

test('a bad value in the environment names its variable', async () => {
    const result = await run(FINE, { env: { SSE_GATEWAY_MAX_CHANNELS: 'many' } });
    isUsageError(result, 'many');
    assert.match(result.err, /SSE_GATEWAY_MAX_CHANNELS|--max-channels/);
});

test('an unknown key in the config file is an error with file and line', async (t) => {
    const file = path.join(scopeOf(t).folder, 'gateway.ini');
    fs.writeFileSync(file, '# a comment\nanonymous = *\n\nmax-chanels = 3\n');
    isUsageError(await run(['--config', file]), file, '4', 'max-chanels');
});

test('a bad value in the config file is an error with file and line', async (t) => {
    const file = path.join(scopeOf(t).folder, 'gateway.ini');
    fs.writeFileSync(file, 'anonymous = *\nheartbeat = soon\n');
    isUsageError(await run(['--config', file]), file, '2', 'heartbeat');
});

test('flag over environment over file over default', async (t) => {
    const file = path.join(scopeOf(t).folder, 'gateway.ini');
    fs.writeFileSync(file, 'anonymous = *\nmax-channels = 11\nretry = 11s\nheartbeat = 11s\n');
    const env = { SSE_GATEWAY_RETRY: '22s', SSE_GATEWAY_HEARTBEAT: '22s' };
    const result = await run(['--config', file, '--heartbeat', '33s', '--print-config'], { env });
    assert.equal(result.code, 0, result.err);
    const value = (name) => result.out.match(new RegExp(`^${name} *= *(.*)$`, 'm'))?.[1];
    assert.equal(value('max-channels'), '11');
    assert.equal(value('retry'), '22s');
    assert.equal(value('heartbeat'), '33s');
    assert.equal(value('path'), '/stream');
});

test('what --print-config prints is a config file that means the same', async (t) => {
    const file = path.join(scopeOf(t).folder, 'gateway.ini');
    const args = ['--anonymous', 'a:*', '--anonymous', 'b', '--max-channels', '7', '--heartbeat', '20s', '--cors-origin', 'https://a.example'];
    const first = await run([...args, '--print-config']);
    assert.equal(first.code, 0, first.err);
    fs.writeFileSync(file, first.out);
    const second = await run(['--config', file, '--print-config']);
    assert.equal(second.code, 0, second.err);
    const settings = (text) => text.split('\n').filter((line) => line && !/^[#;[]|^config\b/.test(line));
    assert.deepEqual(settings(second.out), settings(first.out));
});

test('no output shows the password of Redis', async () => {
    const url = 'redis://user:hunter2@127.0.0.1:1/0';
    const printed = await run([...FINE, '--redis', url, '--print-config']);
    assert.equal(printed.code, 0, printed.err);
    const wrong = await run([...FINE, '--redis', `${url}x`]);
    assert.equal(wrong.code, 2);
    for (const text of [printed.out, printed.err, wrong.out, wrong.err]) assert.ok(!text.includes('hunter2'), text);
});

test('--help lists the options, --version the version, --check-config checks; all exit 0', async () => {
    const help = await run(['--help']);
    assert.equal(help.code, 0);
    for (const option of ['--listen', '--redis', '--anonymous', '--refusal', '--queue-limit', '--drain-timeout']) assert.ok(help.out.includes(option), option);
    const version = await run(['--version']);
    assert.equal(version.code, 0);
    assert.match(version.out, /\d+\.\d+\.\d+/);
    assert.equal((await run([...FINE, '--check-config'])).code, 0);
    isUsageError(await run([...FINE, '--check-config', '--retry', 'x']), '--retry');
});

function portTaken(result, port) {
    assert.ok(result.code > 0, `status ${result.code}: ${result.err}`);
    const lines = result.err.trim().split('\n').filter((line) => line.includes(String(port)));
    assert.equal(lines.length, 1, result.err);
    assert.match(lines[0], /in use|taken|busy/i);
}

test('a port that is in use ends the start with one line that names it', async (t) => {
    const scope = scopeOf(t);
    const port = await freePort();
    const server = net.createServer();
    await new Promise((resolve) => server.listen(port, '127.0.0.1', resolve));
    scope.defer(() => server.close());
    const admin = `127.0.0.1:${await freePort()}`;
    portTaken(await run([...FINE, '--listen', `127.0.0.1:${port}`, '--admin-listen', admin]), port);
    portTaken(await run([...FINE, '--listen', `127.0.0.1:${await freePort()}`, '--admin-listen', `127.0.0.1:${port}`]), port);
});

test('a second gateway on the same port does not start, and does not take connections from the first', async (t) => {
    const { gateway } = await startTier(scopeOf(t));
    portTaken(await run([...FINE, '--listen', `127.0.0.1:${gateway.port}`, '--admin-listen', `127.0.0.1:${await freePort()}`]), gateway.port);
});

test('several listeners, IPv6 and a unix socket among them', async (t) => {
    const scope = scopeOf(t);
    const { redis } = await startTier(scope);
    const second = await freePort();
    const third = await freePort();
    const gateway = await Gateway.start(scope, { redis, args: ['--listen', `127.0.0.1:${second}`, '--listen', `[::1]:${third}`, '--listen', `unix:${redis.folder}/gw.sock`] });
    const streams = await Promise.all([
        openStream(scope, gateway.port, '/stream?channel=a'),
        openStream(scope, second, '/stream?channel=a'),
        openStream(scope, third, '/stream?channel=a', { host: '::1', headers: { Host: 'a' } }),
    ]);
    const unix = await command('curl', ['-sS', '--max-time', '5', '--unix-socket', `${redis.folder}/gw.sock`, 'http://a/health/ready', '-o', '/dev/null', '-w', '%{http_code}']);
    assert.equal(unix.out, '200', unix.err);
    await redis.publish('a', 'x');
    await Promise.all(streams.map((s) => s.count(1)));
});

// A gateway that listens at a unix socket in a folder of its own, and nowhere else that matters.
async function atUnixSocket(scope, args = [], file = path.join(tempFolder(scope, 'unix'), 'gw.sock')) {
    const { redis } = await startTier(scope);
    const start = () => Gateway.start(scope, { redis, args: ['--listen', `unix:${file}`, ...args] });
    return { file, start, gateway: await start() };
}

async function endOf(gateway, signal) {
    gateway.process.signal(signal);
    return gateway.process.exit();
}

const modeOf = (file) => (fs.statSync(file).mode & 0o777).toString(8);

test('a unix socket is for the gateway\'s user and group, and its file is gone after SIGTERM', async (t) => {
    const { file, gateway } = await atUnixSocket(scopeOf(t));
    assert.equal(modeOf(file), '660');
    assert.equal(fs.statSync(file).gid, process.getgid());
    await endOf(gateway, 'SIGTERM');
    assert.ok(!fs.existsSync(file));
});

test('--listen-mode and --listen-group say who may connect to a unix socket, the admin listener too', async (t) => {
    const scope = scopeOf(t);
    const own = (await command('id', ['-gn'])).out.trim();
    const group = process.getuid() === 0 ? 'nogroup' : own; // root may give it to any
    const admin = path.join(tempFolder(scope, 'unix'), 'admin.sock');
    const { file, gateway } = await atUnixSocket(scope, ['--listen-mode', '0606', '--listen-group', group]);
    const gid = Number((await command('getent', ['group', group])).out.split(':')[2]);
    assert.equal(modeOf(file), '606');
    assert.equal(fs.statSync(file).gid, gid);
    await endOf(gateway, 'SIGTERM');
    const { redis } = await startTier(scope);
    const port = await freePort();
    const second = new Process(scope, 'second', GATEWAY, [...FINE, '--listen', `127.0.0.1:${port}`, '--redis', redis.url, '--admin-listen', `unix:${admin}`, '--listen-mode', '600', '--listen-group', String(gid)]);
    await second.ready('is live', async () => (await exchange(port, 'GET /health/live HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')).status === 200);
    assert.equal(modeOf(admin), '600');
    assert.equal(fs.statSync(admin).gid, gid);
    second.signal('SIGTERM');
    assert.deepEqual(await second.exit(), { code: 0, signal: null });
    assert.ok(!fs.existsSync(admin));
});

test('the file of a killed gateway is replaced, that of a living one is left to it', async (t) => {
    const scope = scopeOf(t);
    const { file, start, gateway } = await atUnixSocket(scope);
    await endOf(gateway, 'SIGKILL');
    assert.ok(fs.existsSync(file));
    await start();
    const inode = fs.statSync(file).ino;
    const second = await run([...FINE, '--listen', `unix:${file}`, '--admin-listen', 'off']);
    assert.equal(second.code, 1, second.err);
    assert.match(second.err, /Address already in use; stop the process that listens there, or choose another path/);
    assert.equal(fs.statSync(file).ino, inode);
    const answer = await command('curl', ['-sS', '--max-time', '5', '--unix-socket', file, 'http://a/health/ready', '-o', '/dev/null', '-w', '%{http_code}']);
    assert.equal(answer.out, '200', answer.err);
});

test('a gateway that drains leaves the file to the one that took its place', async (t) => {
    const scope = scopeOf(t);
    const { file, start, gateway } = await atUnixSocket(scope);
    const hold = net.connect(file); // an open request holds the drain up
    scope.defer(() => hold.destroy());
    await once(hold, 'connect');
    hold.write('GET /stream?channel=a HTTP/1.1\r\n');
    gateway.terminate();
    const listens = async () => (await command('curl', ['-sS', '--max-time', '5', '--unix-socket', file, 'http://a/health/live'])).code === 0;
    await until('its listeners to be closed', async () => !(await listens()));
    await start();
    await gateway.process.exit();
    assert.ok(await listens());
});

test('an origin in capitals with its default port is the one that browsers send', async (t) => {
    const { gateway } = await startTier(scopeOf(t), { args: ['--cors-origin', 'HTTPS://App.Example:443'] });
    const answer = await gateway.get('/health/ready', { headers: { Origin: 'https://app.example' } });
    assert.equal(answer.headers['access-control-allow-origin'], 'https://app.example');
});

test('log lines are JSON where standard error is no terminal', async (t) => {
    const { gateway } = await startTier(scopeOf(t));
    const lines = gateway.process.log().trim().split('\n');
    assert.ok(lines.length > 0);
    for (const line of lines) assert.equal(typeof JSON.parse(line), 'object', line);
});

// Sockets that another process has made and keeps: systemd's (systemd.socket(5)), and those of a parent that does as it does.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { Authority } from '../lib/certificates.mjs';
import { command } from '../lib/command.mjs';
import { GATEWAY } from '../lib/paths.mjs';
import { freePort } from '../lib/ports.mjs';
import { Process } from '../lib/process.mjs';
import { Redis } from '../lib/redis.mjs';
import { scopeOf } from '../lib/scope.mjs';
import { attempt, Keeper, runWith } from '../lib/socket_keeper.mjs';
import { countBy, openStream, openStreams } from '../lib/streams.mjs';
import { tempFolder } from '../lib/temp.mjs';
import { until } from '../lib/wait.mjs';

const curl = (...args) => command('curl', ['-sS', '--max-time', '10', ...args]);
const metricsAt = async (port) => (await curl(`http://127.0.0.1:${port}/metrics`)).out;
const isReady = async (port) => (await curl('-o', '/dev/null', '-w', '%{http_code}', `http://127.0.0.1:${port}/health/ready`)).out === '200';

test('systemd-socket-activate starts a gateway with the first client, who is served, and the socket named admin has metrics', async (t) => {
    const scope = scopeOf(t);
    const redis = await Redis.start(scope);
    const [port, admin, unused] = [await freePort(), await freePort(), await freePort()];
    const activated = new Process(scope, 'systemd-socket-activate', 'systemd-socket-activate', ['-l', `127.0.0.1:${port}`, '-l', `127.0.0.1:${admin}`, '--fdname', 'public:admin',
        '-E', `SSE_GATEWAY_SECCOMP=${process.env.SSE_GATEWAY_SECCOMP ?? 0}`,
        GATEWAY, '--redis', redis.url, '--anonymous', '*', '--workers', '2', '--drain-window', '0s', '--listen', `127.0.0.1:${unused}`, '--admin-listen', `127.0.0.1:${unused}`]);
    await activated.logged(/Listening on 127\.0\.0\.1:\d+ as 4/);
    await until('the gateway to be ready', () => isReady(port));
    const stream = await openStream(scope, port, '/stream?channel=a');
    await redis.publish('a', 'x');
    await stream.count(1);
    assert.match(await metricsAt(admin), /^sse_gateway_connections 1$/m);
    assert.equal(await attempt({ host: '127.0.0.1', port: unused }), 'ECONNREFUSED', '--listen and --admin-listen are not used');
    assert.match(activated.log(), new RegExp(`streams at http://127\\.0\\.0\\.1:${port}/stream, by an inherited socket`));
});

test('a gateway serves all sockets that it inherits: IPv4, IPv6, unix and admin; without --id it is called by the port of the first', async (t) => {
    const scope = scopeOf(t);
    const redis = await Redis.start(scope);
    const [four, six, admin] = [await freePort(), await freePort(), await freePort()];
    const file = path.join(tempFolder(scope, 'socket'), 'gateway.sock');
    const keeper = Keeper.start(scope, { redis, names: 'admin:public:sse-gateway.socket::unknown', sockets: [`tcp=127.0.0.1:${admin}`, `tcp=127.0.0.1:${four}`, `tcp=[::1]:${six}`, `unix=${file}`, `abstract=sse-${four}`] });
    await keeper.process.ready('is ready', () => isReady(four));
    for (const args of [[`http://127.0.0.1:${four}/health/ready`], [`http://[::1]:${six}/health/ready`], ['--unix-socket', file, 'http://gateway/health/ready'], ['--abstract-unix-socket', `sse-${four}`, 'http://gateway/health/ready']]) {
        const { out, err } = await curl('-D', '-', ...args);
        assert.match(out, /^HTTP\/1\.1 200 /, args.join(' ') + err);
    }
    assert.match(await metricsAt(admin), /^sse_gateway_connections 0$/m);
    assert.match((await curl('-D', '-', `http://127.0.0.1:${four}/stream`)).out, new RegExp(`^x-sse-gateway: .*:${four}\\r$`, 'im'));
    for (const text of [`http://\\[::1\\]:${six}/`, `http://unix:${file}/`, `http://unix:@sse-${four}/`]) assert.match(keeper.process.log(), new RegExp(text));
    keeper.process.signal('SIGTERM');
    await keeper.process.exit();
    assert.ok(fs.existsSync(file), 'the file of a socket belongs to the process that made it');
});

test('an inherited socket speaks TLS where a certificate is given', async (t) => {
    const scope = scopeOf(t);
    const redis = await Redis.start(scope);
    const authority = await Authority.create(scope);
    const { cert, key } = await authority.sign('localhost');
    const port = await freePort();
    const keeper = Keeper.start(scope, { redis, sockets: [`tcp=127.0.0.1:${port}`], args: ['--tls-cert', cert, '--tls-key', key, '--admin-listen', 'off'] });
    const get = () => curl('--cacert', authority.cert, '-o', '/dev/null', '-w', '%{http_code}', `https://localhost:${port}/health/ready`);
    await keeper.process.ready('is ready', async () => (await get()).out === '200');
});

/** Attempts that begin every few milliseconds; `end` stops that and resolves to how many came to which end. */
function beginAttempts(scope, where) {
    const all = [];
    const timer = setInterval(() => all.push(attempt(where)), 4);
    scope.defer(() => clearInterval(timer));
    const end = async () => {
        clearInterval(timer);
        return countBy(await Promise.all(all));
    };
    return { end, count: () => all.length };
}

for (const kind of ['TCP', 'unix']) {
    test(`no attempt to connect is lost over three restarts: ${kind}`, async (t) => {
        const scope = scopeOf(t);
        const redis = await Redis.start(scope);
        const [port, admin] = [await freePort(), await freePort()];
        const file = path.join(tempFolder(scope, 'socket'), 'gateway.sock');
        const where = kind === 'TCP' ? { host: '127.0.0.1', port } : { path: file };
        const keeper = Keeper.start(scope, { redis, sockets: [`tcp=127.0.0.1:${admin}`, kind === 'TCP' ? `tcp=127.0.0.1:${port}` : `unix=${file}`], names: 'admin:public', args: ['--drain-window', '300ms'] });
        await keeper.process.ready('is ready', () => isReady(admin));
        const attempts = beginAttempts(scope, where);
        for (let i = 0; i < 3; i++) {
            const streams = kind === 'TCP' ? await openStreams(scope, Array.from({ length: 40 }, () => ({ port, path: '/stream?channel=a' }))) : [];
            await until('some attempts', () => attempts.count() > 8 * (i + 1));
            await keeper.restart();
            await until('the end of all streams', () => streams.every((s) => !s.open));
            assert.deepEqual(streams.filter((s) => s.end !== 'clean'), []);
            await keeper.process.ready('is ready', () => isReady(admin));
        }
        const ends = await attempts.end();
        t.diagnostic(`${ends.get('200')} attempts`);
        assert.deepEqual([...ends.keys()], ['200'], JSON.stringify([...ends]));
        assert.ok(ends.get('200') > 20);
        assert.deepEqual(keeper.endings, [0, 0, 0]);
    });
}

test('connections wait in the socket while streams end, and the next gateway has them', async (t) => {
    const scope = scopeOf(t);
    const redis = await Redis.start(scope);
    const [port, admin] = [await freePort(), await freePort()];
    const keeper = Keeper.start(scope, { redis, sockets: [`tcp=127.0.0.1:${port}`], args: ['--admin-listen', `127.0.0.1:${admin}`, '--drain-window', '20s'] });
    await keeper.process.ready('is ready', () => isReady(port));
    await openStream(scope, port, '/stream?channel=a&n=1');
    process.kill(keeper.started[0], 'SIGTERM');
    await until('it drains', async () => /^sse_gateway_draining 1$/m.test(await metricsAt(admin)));
    const waiting = Array.from({ length: 50 }, () => attempt({ host: '127.0.0.1', port }));
    await until('they wait in the kernel', async () => queued(port) >= 50);
    process.kill(keeper.started[0], 'SIGTERM'); // at once, now
    assert.deepEqual([...countBy(await Promise.all(waiting))], [['200', 50]]);
    assert.equal(keeper.started.length, 2);
});

/** Connections that wait in the listening sockets of `port`, by the kernel's word (proc(5), /proc/net/tcp: rx_queue). */
function queued(port) {
    const at = `0100007F:${port.toString(16).toUpperCase().padStart(4, '0')}`;
    const lines = fs.readFileSync('/proc/net/tcp', 'utf8').split('\n').map((line) => line.trim().split(/\s+/));
    return lines.filter(([, local, , state]) => local === at && state === '0A').reduce((sum, [, , , , queues]) => sum + parseInt(queues.split(':')[1], 16), 0);
}

test('no client is refused after a kill: what was accepted is cut, and all others are with the next gateway', async (t) => {
    const scope = scopeOf(t);
    const redis = await Redis.start(scope);
    const port = await freePort();
    const keeper = Keeper.start(scope, { redis, sockets: [`tcp=127.0.0.1:${port}`], args: ['--admin-listen', 'off'] });
    await keeper.process.ready('is ready', () => isReady(port));
    const attempts = beginAttempts(scope, { host: '127.0.0.1', port });
    await keeper.restart('SIGKILL');
    await keeper.process.ready('is ready', () => isReady(port));
    const ends = [...(await attempts.end()).keys()];
    assert.ok(ends.includes('200'));
    assert.deepEqual(ends.filter((end) => !['200', 'ECONNRESET', 'closed without an answer'].includes(end)), []);
});

test('a gateway that is not named by LISTEN_PID listens as its options say', async (t) => {
    const scope = scopeOf(t);
    const redis = await Redis.start(scope);
    const port = await freePort();
    const gateway = new Process(scope, 'gateway', GATEWAY, ['--redis', redis.url, '--anonymous', '*', '--listen', `127.0.0.1:${port}`, '--admin-listen', 'off'], { env: { LISTEN_PID: '1', LISTEN_FDS: '1' } });
    await gateway.ready('is ready', () => isReady(port));
});

const BAD = {
    'a datagram socket': [['datagram=127.0.0.1:PORT'], /descriptor 3 is no TCP or unix stream socket; write ListenStream=/],
    'a connection, as Accept=yes passes it': [['tcp=127.0.0.1:PORT', 'connected=127.0.0.1:PORT'], /descriptor 4 does not listen: .*Accept=no/],
    'a socket that is bound only': [['bound=127.0.0.1:PORT'], /descriptor 3 does not listen/],
    'a file': [['file=/dev/null'], /descriptor 3 is no socket/],
    'a descriptor that is not open': [['tcp=127.0.0.1:PORT', 'closed='], /descriptor 4 is not open/],
    'a name that is none': [['--names', 'public:admim', 'tcp=127.0.0.1:PORT', 'tcp=127.0.0.2:PORT'], /"admim" is no use of a socket; write FileDescriptorName=public or admin/],
    'too few names': [['--names', 'public', 'tcp=127.0.0.1:PORT', 'tcp=127.0.0.2:PORT'], /LISTEN_FDNAMES does not have one name for each of LISTEN_FDS=2/],
    'too many names': [['--names', 'public:admin', 'tcp=127.0.0.1:PORT'], /LISTEN_FDNAMES does not have one name for each of LISTEN_FDS=1/],
    'two that are called admin': [['--names', 'admin:admin', 'tcp=127.0.0.1:PORT', 'tcp=127.0.0.2:PORT'], /one socket may be named admin/],
    'more than there is room for': [['--count', '18', 'tcp=127.0.0.1:PORT'], /LISTEN_FDS: 18 sockets; 17 are possible/],
    'a number that is none': [['--count', 'two', 'tcp=127.0.0.1:PORT'], /LISTEN_FDS: "two" is no number/],
    'a process that is none': [['--pid', 'me', 'tcp=127.0.0.1:PORT'], /LISTEN_PID: "me" is no number/],
};

for (const [what, [words, said]] of Object.entries(BAD)) {
    test(`refused in one line, with status 2: ${what}`, async () => {
        const port = await freePort();
        const { code, err } = await runWith(words.map((word) => word.replace('PORT', port)));
        assert.equal(code, 2, err);
        assert.match(err, /^sse-gateway: [^\n]+\n$/);
        assert.match(err, said);
    });
}

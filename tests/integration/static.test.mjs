// `make static`: programs for images that have libc and no other library, run in such a root.

import '../lib/plain_build.mjs';
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { before, test } from 'node:test';
import { Authority } from '../lib/certificates.mjs';
import { command } from '../lib/command.mjs';
import { BUILD, ROOT } from '../lib/paths.mjs';
import { freePort } from '../lib/ports.mjs';
import { Process } from '../lib/process.mjs';
import { Redis } from '../lib/redis.mjs';
import { scopeOf } from '../lib/scope.mjs';
import { openStream } from '../lib/streams.mjs';
import { tempFolder } from '../lib/temp.mjs';

const STATIC = path.join(BUILD, 'static');
const PROGRAMS = ['sse-gateway', 'sse-publish'];
const OPTIONS = ['--anonymous', '*', '--check-config'];

before(async () => {
    const env = { MAKEFLAGS: '', MAKELEVEL: '', MFLAGS: '', SANITIZER: '' };
    const { code, out, err } = await command('flock', [path.join(ROOT, 'Makefile'), 'make', '-C', ROOT, 'BUILD=build', 'static'], { env, ms: 300000 });
    assert.equal(code, 0, out + err);
});

/** What a program wants to be loaded: its libraries and the loader. */
async function wants(program) {
    const { out } = await command('readelf', ['--wide', '--dynamic', '--program-headers', path.join(STATIC, program)]);
    return { libraries: [...out.matchAll(/\(NEEDED\) .*\[(.*)\]/g)].map(([, name]) => name), loader: out.match(/interpreter: (.*)\]/)[1] };
}

/** A root that has the programs, the libraries that they want, and names of hosts; chroot's arguments before the program. */
async function bareRoot(scope, files = {}) {
    const root = tempFolder(scope, 'root');
    const copy = (from, to = from) => {
        fs.mkdirSync(path.dirname(path.join(root, to)), { recursive: true });
        fs.copyFileSync(from, path.join(root, to));
    };
    for (const program of PROGRAMS) {
        const { libraries, loader } = await wants(program);
        copy(path.join(STATIC, program), `/${program}`);
        copy(loader);
        const { out } = await command('ldd', [path.join(STATIC, program)]);
        for (const library of libraries) copy(out.match(new RegExp(`${library.replace('.', '\\.')} => (\\S+)`))[1]);
    }
    for (const [to, from] of Object.entries(files)) copy(from, to);
    fs.mkdirSync(path.join(root, 'etc'), { recursive: true });
    fs.writeFileSync(path.join(root, 'etc/hosts'), '127.0.0.1 redis.example\n');
    return { root, chroot: [...(process.getuid() === 0 ? [] : ['unshare', '--map-root-user']), 'chroot', root] };
}

test('the programs want libc and libm, and no other library', async (t) => {
    for (const program of PROGRAMS) {
        const { libraries } = await wants(program);
        t.diagnostic(`${program}: ${fs.statSync(path.join(STATIC, program)).size} bytes`);
        assert.deepEqual(libraries.filter((name) => !/^lib[cm]\.so\.6$|^ld-linux/.test(name)), [], program);
    }
});

test('in a root with nothing but these, a gateway finds Redis by name and TLS, with the trusted certificates of the root, and serves a stream by TLS', async (t) => {
    const scope = scopeOf(t);
    const authority = await Authority.create(scope);
    const pair = await authority.sign('server', { names: ['DNS:localhost', 'DNS:redis.example', 'IP:127.0.0.1'] });
    const redis = await Redis.start(scope, { secure: { ca: authority, ...pair } });
    const { chroot } = await bareRoot(scope, { '/etc/ssl/certs/ca-certificates.crt': authority.cert, '/tls/cert': pair.cert, '/tls/key': pair.key });
    const port = await freePort();
    const [program, ...args] = [...chroot, '/sse-gateway', '--listen', `127.0.0.1:${port}`, '--admin-listen', 'off', '--anonymous', '*', '--workers', '2', '--seccomp', '--drain-window', '0s',
        '--redis', `rediss://redis.example:${redis.port}`, '--tls-cert', '/tls/cert', '--tls-key', '/tls/key'];
    const gateway = new Process(scope, 'gateway', program, args, { env: { SSL_CERT_FILE: '/etc/ssl/certs/ca-certificates.crt' } });
    await gateway.logged(/delivery is proven: ready/);
    const stream = await openStream(scope, port, '/stream?channel=a', { host: 'localhost', tls: { ca: fs.readFileSync(authority.cert) } });
    const publish = await command(chroot[0], [...chroot.slice(1), '/sse-publish', '--redis', `rediss://redis.example:${redis.port}`, 'a', 'hello'], { env: { SSL_CERT_FILE: '/etc/ssl/certs/ca-certificates.crt' } });
    assert.equal(publish.code, 0, publish.err);
    await stream.count(1);
    assert.equal(stream.events[0].data, 'hello');
});

test('a static program that is to fetch keys says at the start that it cannot', async () => {
    const run = (jwks) => command(path.join(STATIC, 'sse-gateway'), ['--jwks', jwks, ...OPTIONS]);
    const { code, err } = await run('https://login.example/keys');
    assert.equal(code, 2);
    assert.match(err, /^sse-gateway: --jwks: this program was built without libcurl \(make static\) and fetches nothing; give a file\n$/);
    assert.match((await run('http://login.example/keys')).err, /neither a file nor an https:\/\/ URL/);
});

test('a static sse-publish says that it cannot subscribe and examine', async () => {
    for (const operands of [['subscribe', 'a'], ['doctor', 'http://127.0.0.1:1/stream']]) {
        const { code, err } = await command(path.join(STATIC, 'sse-publish'), operands);
        assert.equal(code, 2);
        assert.match(err, /^sse-publish: this sse-publish was built without libcurl \(make static\), so it cannot ask a gateway\n$/);
    }
});

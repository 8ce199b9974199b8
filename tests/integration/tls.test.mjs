// TLS on the public listeners: what is agreed in a handshake, and what is refused, by the clients that people use.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { test } from 'node:test';
import { Authority } from '../lib/certificates.mjs';
import { command } from '../lib/command.mjs';
import { Gateway } from '../lib/gateway.mjs';
import { exchange } from '../lib/raw_http.mjs';
import { scopeOf } from '../lib/scope.mjs';
import { startTier } from '../lib/tier.mjs';
import { ask, handshake, read, sClient, startTls } from '../lib/tls.mjs';
import { until } from '../lib/wait.mjs';

const failed = (gateway, reason, value = 1) => gateway.metricIs('tls_handshake_failures_total', value, { labels: { reason } });

test('TLS 1.2 and 1.3 are spoken, and nothing older; no compression', async (t) => {
    const scope = scopeOf(t);
    const { ca, gateway } = await startTls(scope);
    const before = await gateway.metric('tls_handshakes_total', { kind: 'full' });
    for (const [option, name] of [['-tls1_2', 'TLSv1.2'], ['-tls1_3', 'TLSv1.3']]) {
        const { code, text } = await sClient(gateway.port, [option, '-CAfile', ca.cert, '-verify_return_error', '-verify_hostname', 'localhost']);
        assert.equal(code, 0, text);
        assert.match(text, new RegExp(`New, ${name}, Cipher is \\S*(ECDHE|TLS_)`));
        assert.match(text, /Compression: NONE/);
        assert.match(text, /Verify return code: 0/);
    }
    for (const option of ['-tls1', '-tls1_1']) {
        const { code, text } = await sClient(gateway.port, [option, '-cipher', 'ALL:@SECLEVEL=0']);
        assert.notEqual(code, 0);
        assert.match(text, /alert protocol version/);
    }
    await failed(gateway, 'protocol', 2);
    const cbc = await sClient(gateway.port, ['-tls1_2', '-cipher', 'AES128-SHA:@SECLEVEL=0']);
    assert.match(cbc.text, /alert handshake failure/);
    await failed(gateway, 'no_common_cipher');
    await gateway.metricIs('tls_handshakes_total', before + 2, { labels: { kind: 'full' } });
});

test('ALPN: http/1.1 is chosen; a client of HTTP/2 alone is told that there is no protocol for it', async (t) => {
    const scope = scopeOf(t);
    const { ca, gateway } = await startTls(scope);
    const both = await sClient(gateway.port, ['-alpn', 'h2,http/1.1']);
    assert.match(both.text, /ALPN protocol: http\/1\.1/);
    const none = await sClient(gateway.port, []);
    assert.match(none.text, /No ALPN negotiated/);
    const h2 = await sClient(gateway.port, ['-alpn', 'h2']);
    assert.match(h2.text, /alert no application protocol/);
    await failed(gateway, 'no_common_application_protocol');
    // curl offers both.
    const curl = await command('curl', ['-sS', '--cacert', ca.cert, '-w', ' %{http_version}', `https://localhost:${gateway.port}/health/live`]);
    assert.equal(curl.out, 'live\n 1.1', curl.err);
});

test('SNI: the certificate whose names have the one that is asked for, exactly or by a wildcard, else the first', async (t) => {
    const scope = scopeOf(t);
    const { ca, redis, gateway: first } = await startTls(scope);
    first.terminate();
    const pairs = [
        await ca.sign('one', { names: ['DNS:one.example', 'IP:127.0.0.1'] }),
        await ca.sign('two', { names: ['DNS:two.example', 'DNS:Also.two.example'] }),
        await ca.sign('wild', { names: ['DNS:*.wild.example', 'DNS:one.example'] }),
        await ca.sign('exact', { names: ['DNS:exact.wild.example'] }),
    ];
    const args = pairs.slice(1).flatMap(({ cert, key }) => ['--tls-cert', cert, '--tls-key', key]);
    const gateway = await Gateway.start(scope, { redis, tls: { ...pairs[0], ca: ca.cert }, args });
    const expected = {
        'one.example': 'one', 'two.example': 'two', 'ALSO.TWO.example': 'two', 'a.wild.example': 'wild', 'exact.wild.example': 'exact',
        'a.b.wild.example': 'one', 'wild.example': 'one', 'unknown.example': 'one',
    };
    for (const maxVersion of ['TLSv1.2', 'TLSv1.3']) {
        for (const [servername, cn] of Object.entries(expected)) {
            const socket = await handshake(gateway.port, { servername, maxVersion });
            assert.equal(socket.getPeerCertificate().subject.CN, cn, servername);
            socket.destroy();
        }
    }
    const unnamed = await sClient(gateway.port, ['-noservername']);
    assert.match(unnamed.text, /subject=CN = one/);
    const expiries = (await gateway.metrics()).samples.filter((s) => s.name === 'sse_gateway_tls_certificate_expiry_timestamp_seconds');
    assert.deepEqual(expiries.map((s) => path.basename(s.labels.file)), ['one.crt', 'two.crt', 'wild.crt', 'exact.crt']);
    for (const { value } of expiries) assert.ok(Math.abs(value - (Date.now() / 1000 + 2 * 86400)) < 600);
});

test('--tls-client-ca: only a client with a certificate of that CA gets in', async (t) => {
    const scope = scopeOf(t);
    const clients = await Authority.create(scope, 'clients');
    const others = await Authority.create(scope, 'others');
    const { gateway } = await startTls(scope, { args: ['--tls-client-ca', clients.cert], ready: false });
    const trusted = await clients.sign('me', { names: ['DNS:me'] });
    const stranger = await others.sign('me', { names: ['DNS:me'] });
    const expired = await clients.sign('old', { names: ['DNS:me'], days: -1 });
    gateway.clientTls = { cert: read(trusted.cert), key: read(trusted.key) };
    await gateway.process.ready('is ready', () => gateway.ready());
    for (const maxVersion of ['TLSv1.2', 'TLSv1.3']) {
        for (const pair of [null, stranger, expired]) {
            const own = pair ? { cert: read(pair.cert), key: read(pair.key) } : {};
            await assert.rejects(async () => ask(await handshake(gateway.port, { maxVersion, ...own })), `${maxVersion} ${pair?.cert}`);
        }
    }
    await failed(gateway, 'client_certificate', 6);
    assert.equal((await gateway.get('/health/live')).status, 200);
});

test('a client asks for a renegotiation (TLS 1.2): it is refused, and no harm done', async (t) => {
    const scope = scopeOf(t);
    const { gateway } = await startTls(scope);
    const { text } = await sClient(gateway.port, ['-tls1_2'], { input: 'R\n' });
    assert.match(text, /RENEGOTIATING/);
    assert.match(text, /no renegotiation/);
    assert.equal((await gateway.get('/health/live')).status, 200);
});

test('plain HTTP on a port with TLS gets a plain 400 that says so', async (t) => {
    const scope = scopeOf(t);
    const { gateway } = await startTls(scope);
    const answer = await exchange(gateway.port, 'GET /stream?channel=a HTTP/1.1\r\nHost: a\r\n\r\n');
    assert.equal(answer.status, 400);
    assert.equal(answer.headers['content-type'], 'application/problem+json');
    assert.match(JSON.parse(answer.body).detail, /https:\/\//);
    await failed(gateway, 'plain_http');
    const junk = await exchange(gateway.port, '\x00\x01\x02\x03\x04\x05\x06\x07\x08');
    assert.equal(junk.status, 0);
    assert.ok((await gateway.metric('tls_handshake_failures_total')) > 1);
});

test('TLS on a plain port: the log says so, and the client is let go', async (t) => {
    const scope = scopeOf(t);
    const { gateway } = await startTier(scope);
    await assert.rejects(handshake(gateway.port));
    await gateway.process.logged(/speaks TLS to a port without TLS/);
    await gateway.metricIs('closes_total', 1, { labels: { reason: 'bad_request' } });
});

test('a handshake that does not come to its end is ended at the deadline, whatever trickles in', async (t) => {
    const scope = scopeOf(t);
    const { gateway } = await startTls(scope);
    const socket = net.connect(gateway.port, '127.0.0.1');
    const started = performance.now();
    // The begin of a record that would be longer than what ever comes.
    const timer = setInterval(() => socket.write('\x00'), 500);
    scope.defer(() => clearInterval(timer));
    socket.write(Buffer.from([0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3]));
    socket.on('error', () => {});
    await until('the end', () => socket.closed, { ms: 20000 });
    const took = performance.now() - started;
    assert.ok(took > 9000 && took < 14000, `${took} ms`);
    await failed(gateway, 'timeout');
    await gateway.metricIs('closes_total', 1, { labels: { reason: 'head_timeout' } });
});

test('files that cannot be used: one line, by --check-config too', async (t) => {
    const scope = scopeOf(t);
    const { ca, pair, gateway, redis } = await startTls(scope);
    const other = await ca.sign('other');
    const locked = path.join(ca.folder, 'locked.key');
    await command('openssl', ['pkey', '-in', pair.key, '-aes256', '-passout', 'pass:x', '-out', locked]);
    const short = path.join(scope.folder, 'short.keys');
    fs.writeFileSync(short, 'abcd\n');
    const cases = [
        [['--tls-cert', pair.cert], /--tls-cert and --tls-key are pairs: 1 certificates and 0 keys/],
        [['--tls-client-ca', ca.cert], /--tls-client-ca needs --tls-cert and --tls-key/],
        [['--tls-cert', '/nowhere', '--tls-key', pair.key], /--tls-cert: cannot use \/nowhere: No such file/],
        [['--tls-cert', pair.cert, '--tls-key', '/nowhere'], /--tls-key: cannot use \/nowhere: No such file/],
        [['--tls-cert', pair.cert, '--tls-key', other.key], /--tls-key: \S+other\.key is not the key of the certificate \S+localhost\.crt/],
        [['--tls-cert', pair.cert, '--tls-key', locked], /--tls-key: cannot use \S+locked\.key/],
        [['--tls-cert', pair.key, '--tls-key', pair.key], /--tls-cert: cannot use/],
        [['--tls-cert', pair.cert, '--tls-key', pair.key, '--tls-client-ca', pair.key], /--tls-client-ca: cannot use/],
        [['--tls-cert', pair.cert, '--tls-key', pair.key, '--tls-ticket-keys', short], /--tls-ticket-keys: \S+short\.keys: line 1 is no key/],
    ];
    for (const [args, said] of cases) {
        const run = await command(gateway.process.child.spawnfile, ['--check-config', '--anonymous', '*', '--redis', redis.url, ...args]);
        assert.equal(run.code, 2, args.join(' '));
        assert.match(run.err, said);
        assert.equal(run.err.trim().split('\n').length, 1, run.err);
    }
});

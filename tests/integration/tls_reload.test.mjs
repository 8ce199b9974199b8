// Session tickets between gateways and over reloads, and SIGHUP: new files for new connections, none lost.

import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { Authority } from '../lib/certificates.mjs';
import { Gateway } from '../lib/gateway.mjs';
import { scopeOf } from '../lib/scope.mjs';
import { openStream } from '../lib/streams.mjs';
import { ask, handshake, read, resumes, session, startTls } from '../lib/tls.mjs';

const newKey = () => crypto.randomBytes(64).toString('hex');
const VERSIONS = ['TLSv1.2', 'TLSv1.3'].map((maxVersion) => ({ maxVersion }));

async function reload(gateway, said) {
    const before = gateway.process.log().length;
    gateway.process.signal('SIGHUP');
    await gateway.process.ready('says how the reload went', () => gateway.process.log().slice(before).match(said));
}

const RELOADED = /new connections get the certificates and keys that the files hold now/;
const KEPT = /certificates and keys stay as they were: /;

/** Two gateways with the same certificate, CA of clients and file of ticket keys. */
async function startPair(scope) {
    const keys = path.join(scope.folder, 'ticket.keys');
    const all = [newKey(), newKey()];
    fs.writeFileSync(keys, `# the newest comes first\n${all.join('\n')}\n`);
    const args = ['--tls-ticket-keys', keys];
    const { ca, pair, redis, gateway } = await startTls(scope, { args });
    const other = await Gateway.start(scope, { redis, tls: { ...pair, ca: ca.cert }, args });
    return { keys, all, ca, pair, redis, gateway, other };
}

test('a session is resumed by the gateway that began it, by another one with the same keys, and after those were rotated', async (t) => {
    const scope = scopeOf(t);
    const { keys, all, gateway, other } = await startPair(scope);
    for (const version of VERSIONS) {
        const old = await session(gateway.port, version);
        const before = await other.metric('tls_handshakes_total', { kind: 'resumed' });
        assert.ok(await resumes(gateway.port, old, version), version.maxVersion);
        assert.ok(await resumes(other.port, old, version), version.maxVersion);
        assert.equal(await other.metric('tls_handshakes_total', { kind: 'resumed' }), before + 1);
        // A new key in front: what the old ones have encrypted is still read.
        fs.writeFileSync(keys, [newKey(), ...all].join('\n'));
        await reload(other, RELOADED);
        assert.ok(await resumes(other.port, old, version), version.maxVersion);
        // Without the old keys there is a whole handshake, and no harm.
        fs.writeFileSync(keys, newKey());
        await reload(other, RELOADED);
        assert.equal(await resumes(other.port, old, version), false, version.maxVersion);
        fs.writeFileSync(keys, all.join('\n'));
        await reload(other, RELOADED);
    }
});

test('files are read again also where --seccomp has taken system calls away', async (t) => {
    const scope = scopeOf(t);
    const { ca, pair, gateway } = await startTls(scope, { args: ['--seccomp'] });
    const next = await ca.sign('next');
    fs.writeFileSync(pair.cert, read(next.cert));
    fs.writeFileSync(pair.key, read(next.key));
    await reload(gateway, RELOADED);
    const socket = await handshake(gateway.port);
    assert.equal(socket.getPeerCertificate().subject.CN, 'next');
    socket.destroy();
});

test('without a file the keys are those of one process, and outlive a reload', async (t) => {
    const scope = scopeOf(t);
    const { ca, pair, redis, gateway } = await startTls(scope);
    const other = await Gateway.start(scope, { redis, tls: { ...pair, ca: ca.cert } });
    for (const version of VERSIONS) {
        const old = await session(gateway.port, version);
        await reload(gateway, RELOADED);
        assert.ok(await resumes(gateway.port, old, version));
        assert.equal(await resumes(other.port, old, version), false);
    }
});

test('a session that began with a client certificate is not resumed where the CA has become another one', async (t) => {
    const scope = scopeOf(t);
    const clients = await Authority.create(scope, 'clients');
    const others = await Authority.create(scope, 'others');
    const file = path.join(scope.folder, 'clients.crt');
    fs.copyFileSync(clients.cert, file);
    const { gateway } = await startTls(scope, { args: ['--tls-client-ca', file], ready: false });
    const me = await clients.sign('me', { names: ['DNS:me'] });
    const own = { cert: read(me.cert), key: read(me.key) };
    gateway.clientTls = own;
    await gateway.process.ready('is ready', () => gateway.ready());
    for (const version of VERSIONS) {
        const old = await session(gateway.port, { ...version, ...own });
        assert.ok(await resumes(gateway.port, old, { ...version, ...own }));
        assert.ok(await resumes(gateway.port, old, version), 'the certificate was shown when the session began');
        fs.copyFileSync(others.cert, file);
        await reload(gateway, RELOADED);
        await assert.rejects(resumes(gateway.port, old, { ...version, ...own }), version.maxVersion);
        fs.copyFileSync(clients.cert, file);
        await reload(gateway, RELOADED);
    }
});

test('a session that began with a client certificate is not resumed for longer by resuming it', async (t) => {
    const scope = scopeOf(t);
    const clients = await Authority.create(scope, 'clients');
    const { gateway } = await startTls(scope, { args: ['--tls-client-ca', clients.cert], ready: false });
    const me = await clients.sign('me', { names: ['DNS:me'] });
    const own = { cert: read(me.cert), key: read(me.key) };
    gateway.clientTls = own;
    await gateway.process.ready('is ready', () => gateway.ready());
    for (const version of VERSIONS) {
        const old = await session(gateway.port, { ...version, ...own });
        const socket = await handshake(gateway.port, { session: old, ...version });
        let tickets = 0;
        socket.on('session', () => tickets++);
        await ask(socket); // the ticket of a handshake would come before the answer
        assert.ok(socket.isSessionReused());
        assert.equal(tickets, 0, version.maxVersion);
        socket.destroy();
    }
});

test('SIGHUP: new connections get the new certificate, open streams go on; files that cannot be used change nothing', async (t) => {
    const scope = scopeOf(t);
    const { ca, pair, redis, gateway, secure } = await startTls(scope);
    const cn = async () => {
        const socket = await handshake(gateway.port);
        const { subject } = socket.getPeerCertificate();
        await ask(socket);
        socket.destroy();
        return subject.CN;
    };
    const stream = await openStream(scope, gateway.port, '/stream?channel=a', { tls: secure });
    const next = await ca.sign('next');
    const old = { cert: read(pair.cert), key: read(pair.key) };

    fs.writeFileSync(pair.cert, read(next.cert)); // its key is not there yet
    await reload(gateway, KEPT);
    await reload(gateway, /is not the key of the certificate/);
    assert.equal(await cn(), 'localhost');
    fs.writeFileSync(pair.cert, 'no certificate\n');
    await reload(gateway, KEPT);
    fs.rmSync(pair.cert);
    await reload(gateway, /--tls-cert: cannot use \S+: No such file/);
    assert.equal(await cn(), 'localhost');

    fs.writeFileSync(pair.cert, read(next.cert));
    fs.writeFileSync(pair.key, read(next.key));
    await reload(gateway, RELOADED);
    assert.equal(await cn(), 'next');
    await redis.publish('a', 'after');
    await stream.count(1);

    const expired = await ca.sign('expired', { days: -1 });
    fs.writeFileSync(pair.cert, read(expired.cert));
    fs.writeFileSync(pair.key, read(expired.key));
    await reload(gateway, /the certificate \S+ has expired/);
    for (const [file, text] of Object.entries({ [pair.cert]: old.cert, [pair.key]: old.key })) fs.writeFileSync(file, text);
    await reload(gateway, RELOADED);
    assert.equal(await cn(), 'localhost');
    await redis.publish('a', 'last');
    await stream.count(2);
    assert.ok(stream.open);
});

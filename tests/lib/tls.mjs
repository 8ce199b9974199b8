// A gateway whose clients connect by TLS, and clients that look at the handshake.

import fs from 'node:fs';
import tls from 'node:tls';
import { Authority } from './certificates.mjs';
import { command } from './command.mjs';
import { Gateway } from './gateway.mjs';
import { Redis } from './redis.mjs';
import { within } from './wait.mjs';

/** A CA, a certificate for localhost, Redis, and a gateway with that certificate. */
export async function startTls(scope, { args = [], ...options } = {}) {
    const ca = await Authority.create(scope);
    const pair = await ca.sign('localhost');
    const redis = await Redis.start(scope);
    const gateway = await Gateway.start(scope, { redis, tls: { ...pair, ca: ca.cert }, args, ...options });
    return { ca, pair, redis, gateway, secure: { ca: gateway.ca } };
}

/** openssl s_client: resolves to what it said when it or the server has ended. Without `input` it ends after the handshake. */
export async function sClient(port, args, { input = '', ...options } = {}) {
    const run = await command('openssl', ['s_client', '-connect', `127.0.0.1:${port}`, ...args], { input, ...options });
    return { ...run, text: run.out + run.err };
}

/** A handshake by Node.js; resolves to the socket, and throws where the handshake fails. */
export function handshake(port, options = {}) {
    const socket = tls.connect({ port, host: '127.0.0.1', servername: 'localhost', rejectUnauthorized: false, ...options });
    socket.ticket = new Promise((resolve) => socket.once('session', resolve)); // with TLS 1.2 it is a part of the handshake
    return within(15000, 'a handshake', new Promise((resolve, reject) => {
        socket.once('secureConnect', () => resolve(socket));
        socket.once('error', reject);
        socket.once('close', () => reject(new Error('closed in the handshake')));
    }));
}

/** Asks for /health/live on an open socket; resolves to the answer, when it is there. */
export function ask(socket) {
    socket.write('GET /health/live HTTP/1.1\r\nHost: a\r\n\r\n');
    return within(15000, 'an answer', new Promise((resolve, reject) => {
        let text = '';
        socket.on('data', (bytes) => (text += bytes).includes('live\n') && resolve(text));
        socket.once('error', reject);
        socket.once('close', () => reject(new Error(`closed after "${text}"`)));
    }));
}

/** A session that a later connection may resume: a ticket. The connection is closed. */
export async function session(port, options = {}) {
    const socket = await handshake(port, options);
    await ask(socket);
    const got = await within(15000, 'a session ticket', socket.ticket);
    socket.destroy();
    return got;
}

/** Whether a gateway resumes a session. */
export async function resumes(port, old, options = {}) {
    const socket = await handshake(port, { session: old, ...options });
    await ask(socket);
    const reused = socket.isSessionReused();
    socket.destroy();
    return reused;
}

export const read = (file) => fs.readFileSync(file, 'utf8');

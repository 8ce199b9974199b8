// Tokens of one user, signed with HS256, and what a gateway needs to take them.

import { createHmac, randomBytes } from 'node:crypto';
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { tempFolder } from './temp.mjs';

const encode = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');

export const now = () => Math.floor(Date.now() / 1000);

/** Keys of tokens and tickets, in files; `args` makes gateways take both. */
export class Keys {
    constructor(scope) {
        this.folder = tempFolder(scope, 'keys');
        this.secret = randomBytes(32).toString('hex');
        this.args = ['--jwt-secret-file', this.write('jwt.secret', this.secret), '--ticket-key-file', this.write('ticket.key', randomBytes(32).toString('hex'))];
    }

    write(name, ...lines) {
        const file = path.join(this.folder, name);
        fs.writeFileSync(file, lines.map((line) => `${line}\n`).join(''), { mode: 0o600 });
        return file;
    }

    /** A token of `sub` for all channels that begin with `user:SUB`, unless `claims` says otherwise. */
    token(sub, claims = {}) {
        const body = `${encode({ alg: 'HS256', typ: 'JWT' })}.${encode({ sub, iat: now(), exp: now() + 3600, channels: [`user:${sub}*`], ...claims })}`;
        return `${body}.${createHmac('sha256', this.secret).update(body).digest('base64url')}`;
    }
}

export const bearer = (token) => ({ Authorization: `Bearer ${token}` });

/** POST, with no body unless `body` is given. */
export function post(gateway, target, { headers = {}, body, method = 'POST' } = {}) {
    return new Promise((resolve, reject) => {
        const request = http.request({ host: gateway.host, port: gateway.port, path: target, method, headers, agent: false, timeout: 5000 }, (response) => {
            let text = '';
            response.setEncoding('utf8');
            response.on('data', (part) => (text += part));
            response.on('end', () => resolve({ status: response.statusCode, headers: response.headers, body: text }));
        });
        request.on('error', reject);
        request.end(body);
    });
}

/** The ticket that a gateway gives for a token. */
export async function ticketOf(gateway, token, query = '') {
    const answer = await post(gateway, `/ticket${query}`, { headers: bearer(token) });
    if (answer.status !== 200) throw new Error(`POST /ticket: ${answer.status} ${answer.body}`);
    return JSON.parse(answer.body).ticket;
}

// Keys and tokens as applications make them, by the npm package jose.

import fs from 'node:fs';
import path from 'node:path';
import * as jose from 'jose';
import { tempFolder } from './temp.mjs';

export const now = () => Math.floor(Date.now() / 1000);
export const bearer = (token) => ({ headers: { Authorization: `Bearer ${token}` } });

export class Issuer {
    /** A new key for `algorithm`; HS*: a secret of 64 characters. `kid`: its id in key sets and tokens. */
    static async create(scope, algorithm = 'HS256', { kid } = {}) {
        const issuer = new Issuer();
        issuer.folder = tempFolder(scope, 'keys');
        issuer.algorithm = algorithm;
        issuer.kid = kid;
        if (algorithm.startsWith('HS')) {
            issuer.secret = Buffer.from(crypto.getRandomValues(new Uint8Array(32))).toString('hex');
            issuer.signer = new TextEncoder().encode(issuer.secret);
            return issuer;
        }
        const pair = await jose.generateKeyPair(algorithm, { extractable: true, ...(algorithm === 'EdDSA' && { crv: 'Ed25519' }) });
        issuer.signer = pair.privateKey;
        issuer.public = await jose.exportSPKI(pair.publicKey);
        issuer.jwk = { ...(await jose.exportJWK(pair.publicKey)), kid, alg: algorithm, use: 'sig' };
        issuer.privateJwk = { ...(await jose.exportJWK(pair.privateKey)), kid, alg: algorithm, use: 'sig' };
        return issuer;
    }

    /** A token with these claims that lasts `seconds`. */
    async token(claims = {}, { seconds = 60, ...header } = {}) {
        return new jose.SignJWT({ exp: now() + seconds, ...claims })
            .setProtectedHeader({ alg: this.algorithm, ...(this.kid && { kid: this.kid }), ...header }).sign(this.signer);
    }

    /** Writes the file that the gateway reads, and returns its path. */
    write(name = 'key') {
        const file = path.join(this.folder, name);
        fs.writeFileSync(file, this.secret ? `${this.secret}\n` : this.public);
        return file;
    }

    /** Options of a gateway that knows this key alone. */
    args() {
        return this.secret ? ['--jwt-secret-file', this.write()] : ['--jwt-key', this.write()];
    }
}

/** Writes a key set of these issuers, and returns its path. */
export function writeJwks(scope, issuers) {
    const file = path.join(tempFolder(scope, 'keys'), 'jwks.json');
    fs.writeFileSync(file, JSON.stringify({ keys: issuers.map((i) => i.jwk) }));
    return file;
}

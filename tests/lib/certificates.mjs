// Certificates made with openssl(1), for one test: a CA, and what it signs.

import fs from 'node:fs';
import path from 'node:path';
import { command } from './command.mjs';
import { tempFolder } from './temp.mjs';

const EC = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];

async function openssl(...args) {
    const run = await command('openssl', args);
    if (run.code !== 0) throw new Error(`openssl ${args.join(' ')}: ${run.err}`);
}

export class Authority {
    static async create(scope, name = 'ca') {
        const ca = new Authority();
        ca.folder = tempFolder(scope, 'certificates');
        ca.cert = path.join(ca.folder, 'ca.crt');
        ca.key = path.join(ca.folder, 'ca.key');
        await openssl('req', '-x509', ...EC, '-keyout', ca.key, '-out', ca.cert, '-subj', `/CN=${name}`, '-days', '2');
        return ca;
    }

    /** A key and a certificate for `names` (as in subjectAltName). `days: -1`: it has expired. Resolves to { cert, key }. */
    async sign(file, { names = ['DNS:localhost', 'IP:127.0.0.1'], days = 2 } = {}) {
        const at = (ending) => path.join(this.folder, `${file}.${ending}`);
        await openssl('req', '-new', ...EC, '-keyout', at('key'), '-out', at('csr'), '-subj', `/CN=${file}`);
        fs.writeFileSync(at('ext'), `subjectAltName=${names.join(',')}\n`);
        await openssl('x509', '-req', '-in', at('csr'), '-CA', this.cert, '-CAkey', this.key, '-CAcreateserial',
            '-days', String(days), '-extfile', at('ext'), '-out', at('crt'));
        return { cert: at('crt'), key: at('key') };
    }
}

/** Options for redis-server: TLS on `port` with that certificate; `clients`: only with a certificate of that CA, too. */
export function redisTls(port, ca, { cert, key }, { clients = false } = {}) {
    return ['--tls-port', String(port), '--tls-cert-file', cert, '--tls-key-file', key, '--tls-ca-cert-file', ca.cert,
        '--tls-auth-clients', clients ? 'yes' : 'no'];
}

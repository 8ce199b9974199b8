// A private HAProxy in front of gateways, with the configuration that docs/operations.md has.

import fs from 'node:fs';
import path from 'node:path';
import { command } from './command.mjs';
import { snippet } from './docs.mjs';
import { freePort } from './ports.mjs';
import { Process } from './process.mjs';
import { tempFolder } from './temp.mjs';
import { until } from './wait.mjs';

export class Haproxy {
    /** `change`: takes the configuration and returns another. */
    static async start(scope, { gateways, change = (text) => text }) {
        const proxy = new Haproxy();
        proxy.port = await freePort();
        proxy.url = `http://127.0.0.1:${proxy.port}`;
        const folder = tempFolder(scope, 'haproxy');
        const file = path.join(folder, 'haproxy.cfg');
        const made = await command('sh', ['-c', snippet('docs/operations.md', "printf 'HTTP/1.1 200").replaceAll('/etc/haproxy', folder)]);
        if (made.code !== 0) throw new Error(`the answer of docs/operations.md: ${made.err}`);
        fs.writeFileSync(file, change(config(folder, proxy.port, gateways)));
        proxy.process = new Process(scope, 'haproxy', 'haproxy', ['-db', '-f', file]);
        proxy.process.wantedEnd = true; // on SIGTERM its status says so
        await until('HAProxy to answer', () => fetch(proxy.url).then(() => true));
        return proxy;
    }
}

/** The words of the document, without TLS and a site, and with our ports. */
function config(folder, port, gateways) {
    const changes = [
        [/bind :443 .*/, `bind 127.0.0.1:${port}`],
        [/ *default_backend site\n/, ''],
        [/(?: *server gw.*\n)+/, gateways.map((g, i) => `    server gw${i} ${g.host}:${g.port}\n`).join('')],
    ];
    const words = snippet('docs/operations.md', 'backend sse\n').replaceAll('/etc/haproxy', folder);
    return 'defaults\n    mode http\n' + changes.reduce((text, [from, to]) => {
        if (!from.test(text)) throw new Error(`docs/operations.md has no ${from} for HAProxy`);
        return text.replace(from, () => to);
    }, words);
}

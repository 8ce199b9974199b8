// A private Caddy in front of gateways, with the configuration that deploy/caddy ships.

import fs from 'node:fs';
import path from 'node:path';
import { command } from './command.mjs';
import { connects } from './haproxy.mjs';
import { freePort } from './ports.mjs';
import { Process } from './process.mjs';
import { fillSite } from './site.mjs';
import { tempFolder } from './temp.mjs';

export class Caddy {
    /** `pair`: certificate and key; `application`: the port of the pages. */
    static async start(scope, { gateways, pair, application = 9 }) {
        const proxy = new Caddy();
        const folder = tempFolder(scope, 'caddy');
        proxy.file = path.join(folder, 'Caddyfile');
        proxy.env = { XDG_DATA_HOME: folder, XDG_CONFIG_HOME: folder };
        proxy.port = await freePort();
        proxy.url = `https://localhost:${proxy.port}`;
        proxy.admin = `localhost:${await freePort()}`;
        const to = `to ${gateways.map((g) => `${g.host}:${g.port}`).join(' ')}`;
        fs.writeFileSync(proxy.file, fillSite('deploy/caddy/Caddyfile', {
            admin: [`admin ${proxy.admin}`, 'auto_https off'],
            origins: ['@other_origin header Origin https://page.test'],
            name: [`https://localhost:${proxy.port} {`, `\tbind 127.0.0.1`, `\ttls ${pair.cert} ${pair.key}`, '\tlog'], // to see what it tells of a request
            gateways: [to],
            'ticket gateways': [to],
            application: [`reverse_proxy 127.0.0.1:${application}`],
        }));
        await proxy.#caddy('validate');
        proxy.process = new Process(scope, 'caddy', 'caddy', ['run', '--config', proxy.file, '--adapter', 'caddyfile'], { env: proxy.env });
        await proxy.process.ready('answers', () => connects('127.0.0.1', proxy.port));
        return proxy;
    }

    async reload() {
        await this.#caddy('reload', '--force', '--address', this.admin);
    }

    async #caddy(...args) {
        const run = await command('caddy', [...args, '--config', this.file, '--adapter', 'caddyfile'], { env: this.env });
        if (run.code !== 0) throw new Error(`caddy ${args[0]}: ${run.err}`);
    }
}

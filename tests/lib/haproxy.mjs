// A private HAProxy in front of gateways, with a configuration that deploy/haproxy ships.

import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { command } from './command.mjs';
import { freePort } from './ports.mjs';
import { Process } from './process.mjs';
import { fillSite } from './site.mjs';
import { tempFolder } from './temp.mjs';

const ROOT_USER = process.getuid() === 0;

export class Haproxy {
    /**
     * haproxy.cfg. `pair`: certificate and key; `application`: the port of the pages; `netns`: the namespace that it runs in, if
     * not this one, where it listens on all addresses; `port` and `plainPort`: of TLS and without, if not any; `redirects: false`: the
     * plain port serves streams, too.
     */
    static async start(scope, { gateways, pair, application = 9, netns, port, plainPort, redirects = true }) {
        const proxy = await Haproxy.#create(scope, { netns, port });
        const on = netns ? '*' : proxy.host;
        const pem = path.join(proxy.folder, 'site.pem');
        fs.writeFileSync(pem, fs.readFileSync(pair.cert, 'utf8') + fs.readFileSync(pair.key, 'utf8'));
        proxy.plainPort = plainPort ?? (await freePort());
        proxy.config = fillSite('deploy/haproxy/haproxy.cfg', {
            ...proxy.#common(),
            listen: [`bind ${on}:${proxy.plainPort}`, `bind ${on}:${proxy.port} ssl crt ${pem} alpn h2,http/1.1`],
            redirect: redirects ? ['http-request redirect scheme https code 301 unless { ssl_fc }'] : [],
            origins: ['http-request set-var(txn.origin) req.hdr(Origin) if { req.hdr(Origin) -m str https://page.test }'],
            gateway: gateways.map((g, i) => `server gw${i + 1} ${g.host}:${g.port}`),
            'ticket gateway': gateways.map((g, i) => `server gw${i + 1} ${g.host}:${g.port} track sse/gw${i + 1}`),
            application: [`server application 127.0.0.1:${application}`],
        });
        return proxy.#run();
    }

    /** haproxy-tcp.cfg: the gateways end TLS. */
    static async startTcp(scope, { gateways }) {
        const proxy = await Haproxy.#create(scope);
        proxy.config = fillSite('deploy/haproxy/haproxy-tcp.cfg', {
            ...proxy.#common(),
            listen: [`bind 127.0.0.1:${proxy.port}`],
            gateway: gateways.map((g, i) => `server gw${i + 1} ${g.host}:${g.port} send-proxy-v2`),
        });
        return proxy.#run();
    }

    static async #create(scope, { netns, port } = {}) {
        const proxy = Object.assign(new Haproxy(), { scope, host: netns?.there ?? '127.0.0.1', via: netns?.via ?? [] });
        proxy.folder = tempFolder(scope, 'haproxy');
        proxy.port = port ?? (await freePort());
        proxy.url = `https://${proxy.host}:${proxy.port}`;
        proxy.stats = await freePort();
        return proxy;
    }

    #common() {
        return {
            log: ['log stdout format raw local0'],
            user: ROOT_USER ? ['user haproxy', 'group haproxy'] : [],
            socket: [`stats socket ${this.folder}/admin.sock mode 660 level admin expose-fd listeners`],
            stats: [`bind ${this.host}:${this.stats}`],
        };
    }

    async #run() {
        this.file = path.join(this.folder, 'haproxy.cfg');
        fs.writeFileSync(this.file, this.config);
        const checked = await command('haproxy', ['-c', '-f', this.file]);
        if (checked.code !== 0 || /WARNING/.test(checked.err)) throw new Error(`haproxy -c: ${checked.err}`);
        await this.run();
        return this;
    }

    /** Starts it (again). Resolves when it answers. */
    async run() {
        const [program, ...args] = [...this.via, 'haproxy', '-W', '-db', '-f', this.file];
        this.process = new Process(this.scope, 'haproxy', program, args);
        this.process.wantedEnd = true; // on SIGTERM its status says so
        await this.process.ready('answers', async () => (await connects(this.host, this.port)) && this.admin('show info'));
    }

    /** Ends it and its worker as a lack of memory would. */
    async kill() {
        const { pid } = this.process;
        const workers = fs.readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ').map(Number);
        this.process.signal('SIGKILL');
        for (const worker of workers) process.kill(worker, 'SIGKILL');
        await this.process.exit();
    }

    /** A new process takes over; the old one keeps its streams. */
    async reload() {
        const before = pid(await this.admin('show info'));
        await this.process.ready('is loaded again', async () => {
            if (pid(await this.admin('show info')) !== before) return true;
            this.process.signal('SIGUSR2'); // a master that has just started loses one while it executes itself again
            return false;
        }, { every: 500 });
    }

    /** What the admin socket answers to a command. */
    admin(words) {
        return new Promise((resolve, reject) => {
            let text = '';
            const socket = net.connect(path.join(this.folder, 'admin.sock'), () => socket.write(`${words}\n`));
            socket.setEncoding('utf8').on('data', (more) => (text += more));
            socket.once('end', () => resolve(text.trim()));
            socket.once('error', reject);
        });
    }

    /** What the stats page says of a server: { status, scur, .. }. */
    async server(name, backend = 'sse') {
        const [head, ...lines] = (await (await fetch(`http://${this.host}:${this.stats}/;csv`)).text()).split('\n');
        const keys = head.replace('# ', '').split(',');
        const line = lines.map((l) => l.split(',')).find(([px, sv]) => px === backend && sv === name);
        return Object.fromEntries(line.map((value, i) => [keys[i], value]));
    }
}

const pid = (info) => info.match(/^Pid: (\d+)$/m)[1];

export function connects(host, port) {
    return new Promise((resolve, reject) => {
        const socket = net.connect({ port, host }, () => (socket.destroy(), resolve(true)));
        socket.once('error', reject);
    });
}

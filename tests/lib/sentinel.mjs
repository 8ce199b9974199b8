// A Redis master with replicas, and the sentinels that watch them. All are real, on loopback, and as quick to judge as a busy
// machine allows: a master that is called down too soon is failed over to the wrong side.

import fs from 'node:fs';
import path from 'node:path';
import { command } from './command.mjs';
import { freePort } from './ports.mjs';
import { Process } from './process.mjs';
import { alsoAt, Redis } from './redis.mjs';
import { tempFolder } from './temp.mjs';
import { until } from './wait.mjs';

const LOCAL = '127.0.0.1';
const QUICK = ['--repl-diskless-sync-delay', '0'];

export class Sentinel {
    /** `lines` go into its configuration; `password` is its own; `host`: the address that it tells the others, if not 127.0.0.1. */
    static async start(scope, { lines = [], password, args = [], port, host = LOCAL } = {}) {
        const sentinel = new Sentinel();
        sentinel.scope = scope;
        sentinel.port = port ?? (await freePort());
        sentinel.password = password;
        sentinel.args = args;
        const folder = tempFolder(scope, 'sentinel');
        sentinel.file = path.join(folder, 'sentinel.conf');
        fs.writeFileSync(sentinel.file, [`port ${sentinel.port}`, `dir ${folder}`, ...places(host), ...(password ? [`requirepass ${password}`] : []),
            ...lines, ''].join('\n'));
        await sentinel.run();
        return sentinel;
    }

    async run() {
        this.process = new Process(this.scope, 'sentinel', 'redis-server', [this.file, '--sentinel', ...this.args]);
        await this.process.ready('answers', async () => (await this.cli(['PING'])) === 'PONG');
    }

    async kill() {
        this.process.signal('SIGKILL');
        await this.process.exit();
    }

    async cli(args) {
        const env = this.password ? { REDISCLI_AUTH: this.password } : {};
        const run = await command('redis-cli', ['-p', String(this.port), ...args], { env });
        return run.out.replace(/\n$/, '');
    }

    /** What SENTINEL MASTER says, as an object. */
    async master(name) {
        const lines = (await this.cli(['SENTINEL', 'MASTER', name])).split('\n');
        return Object.fromEntries(lines.flatMap((key, i) => (i % 2 === 0 ? [[key, lines[i + 1]]] : [])));
    }

    async connections() {
        return Number(/total_connections_received:(\d+)/.exec(await this.cli(['INFO', 'stats']))[1]);
    }
}

/** The first address is where its own connections come from. */
const places = (host) => (host === LOCAL ? [`bind ${host}`] : [`bind ${host} ${LOCAL}`, 'protected-mode no', `sentinel announce-ip ${host}`]);

export function watching(name, port, { quorum = 2, downAfter = 2000, host = LOCAL } = {}) {
    return [`sentinel monitor ${name} ${host} ${port} ${quorum}`, `sentinel down-after-milliseconds ${name} ${downAfter}`,
        `sentinel failover-timeout ${name} 10000`];
}

export class Watched {
    /**
     * A master, `replicas` of it, and `sentinels` that watch it by `name`; resolves when all know each other. `host`: the address
     * by which they do.
     */
    static async start(scope, { name = 'main', replicas = 1, sentinels = 3, password, config = [], host = LOCAL } = {}) {
        const tier = new Watched();
        tier.scope = scope;
        Object.assign(tier, { name, host });
        tier.config = [...QUICK, ...config, ...alsoAt(host), '--replica-announce-ip', host];
        tier.master = await Redis.start(scope, { config: tier.config });
        tier.replicas = [];
        for (let i = 0; i < replicas; i++) {
            tier.replicas.push(await Redis.start(scope, { config: [...tier.config, '--replicaof', `${host} ${tier.master.port}`] }));
        }
        for (const replica of tier.replicas) {
            await until('a replica in sync', async () => /master_link_status:up/.test(await replica.cli(['INFO', 'replication'])));
        }
        const lines = watching(name, tier.master.port, { quorum: Math.floor(sentinels / 2) + 1, host });
        if (password) lines.push(`sentinel sentinel-pass ${password}`);
        tier.sentinels = await Promise.all(Array.from({ length: sentinels }, () => Sentinel.start(scope, { lines, password, host })));
        for (const sentinel of tier.sentinels) {
            await until('a sentinel that knows the others', async () => {
                const known = await sentinel.master(name);
                return Number(known['num-slaves']) === replicas && Number(known['num-other-sentinels']) === sentinels - 1;
            }, { ms: 30000, every: 100 });
        }
        return tier;
    }

    get nodes() {
        return [this.master, ...this.replicas];
    }

    get url() {
        return `redis+sentinel://${this.sentinels.map((s) => `${this.host}:${s.port}`).join(',')}/${this.name}`;
    }

    /** Waits until `sentinel` names another node than `old`; resolves to that node. */
    async elected(old, sentinel = this.sentinels.find((s) => s.process.running)) {
        const port = await until('a new master', async () => {
            const [, now] = (await sentinel.cli(['SENTINEL', 'GET-MASTER-ADDR-BY-NAME', this.name])).split('\n');
            return Number(now) !== old.port && Number(now);
        }, { ms: 30000, every: 50 });
        return this.nodes.find((node) => node.port === port);
    }
}

/** How many connections of gateways a node has. */
export async function gatewaysAt(redis) {
    return (await redis.cli(['CLIENT', 'LIST'])).split('\n').filter((line) => / name=sse-gateway /.test(line)).length;
}

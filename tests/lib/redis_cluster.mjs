// A private Redis Cluster of real redis-server processes, and what may happen to one: slots that move, nodes that die,
// replicas that take over.

import { freePort } from './ports.mjs';
import { alsoAt, Redis } from './redis.mjs';
import { until } from './wait.mjs';

export const SLOTS = 16384;

/** The slot of a channel: CRC16 (XMODEM) of its hash tag. */
export function slotOf(channel) {
    const tag = /^[^{]*\{([^}]+)\}/.exec(channel)?.[1] ?? channel;
    let crc = 0;
    for (const byte of Buffer.from(tag)) {
        crc ^= byte << 8;
        for (let bit = 0; bit < 8; bit++) crc = crc & 0x8000 ? ((crc << 1) ^ 0x1021) & 0xffff : (crc << 1) & 0xffff;
    }
    return crc % SLOTS;
}

export class RedisCluster {
    /**
     * Starts `masters` nodes that share the slots, each with `replicas`, and `spare` nodes that own nothing; resolves when
     * every node knows all that. `nodeTimeout`: how long a node may be silent before the others fail it over. `secure`: as
     * of Redis.start; clients, replicas and the cluster bus then speak nothing but TLS. `host`: the address by which they know
     * each other.
     */
    static async start(scope, { masters = 3, replicas = 0, spare = 0, nodeTimeout = 1000, password, secure, config = [], host = '127.0.0.1' } = {}) {
        const cluster = new RedisCluster();
        Object.assign(cluster, { scope, password, secure, host });
        cluster.config = ['--cluster-enabled', 'yes', '--cluster-node-timeout', String(nodeTimeout), '--cluster-replica-validity-factor', '0',
            '--cluster-allow-replica-migration', 'no', '--repl-diskless-sync-delay', '0', ...config, ...alsoAt(host), '--cluster-announce-ip', host];
        if (password) cluster.config.push('--masterauth', password);
        if (secure) cluster.config.push('--tls-cluster', 'yes', '--tls-replication', 'yes');
        cluster.nodes = await Promise.all(Array.from({ length: masters * (1 + replicas) + spare }, () => cluster.#startNode()));
        const owners = (cluster.masters = cluster.nodes.slice(0, masters));
        cluster.spare = cluster.nodes.slice(masters, masters + spare);
        await cluster.#meet();
        await Promise.all(owners.map((node, i) => cluster.addSlots(node, share(i, masters), share(i + 1, masters) - 1)));
        await cluster.settled({ slots: SLOTS });
        cluster.replicas = cluster.nodes.slice(masters + spare);
        await Promise.all(cluster.replicas.map((node, i) => cluster.#replicate(node, owners[i % masters])));
        return cluster;
    }

    async #startNode() {
        const busPort = await freePort();
        const node = await Redis.start(this.scope, { password: this.password, secure: this.secure, config: [...this.config, '--cluster-port', String(busPort)] });
        node.busPort = busPort;
        node.id = await node.cli(['CLUSTER', 'MYID']);
        return node;
    }

    async #meet() {
        const [first, ...others] = this.nodes;
        for (const [i, node] of this.nodes.entries()) await node.cli(['CLUSTER', 'SET-CONFIG-EPOCH', String(i + 1)]);
        for (const node of others) await first.cli(['CLUSTER', 'MEET', this.host, String(node.port), String(node.busPort)]);
        await until('every node to know every other', async () => {
            const known = await Promise.all(this.nodes.map((node) => info(node, 'cluster_known_nodes')));
            return known.every((n) => Number(n) === this.nodes.length);
        });
    }

    async #replicate(node, master) {
        await node.cli(['CLUSTER', 'REPLICATE', master.id]);
        node.masterOf = master;
        await until(`${node.port} to follow ${master.port}`, async () => /master_link_status:up/.test(await node.cli(['INFO', 'replication'])));
        // A master that has not heard of its replica takes no notice when that wants to take over.
        await until(`every node to know the replica ${node.port}`, async () => {
            const views = await Promise.all(this.nodes.map((n) => n.cli(['CLUSTER', 'NODES'])));
            return views.every((view) => new RegExp(`^${node.id} .*slave ${master.id} `, 'm').test(view));
        });
    }

    get url() {
        const auth = this.password ? `:${encodeURIComponent(this.password)}@` : '';
        return `${this.secure ? 'rediss' : 'redis'}+cluster://${auth}${this.nodes.map((node) => `${this.host}:${node.port}`).join(',')}`;
    }

    get running() {
        return this.nodes.filter((node) => node.process.running);
    }

    addSlots(node, first, last) {
        return node.cli(['CLUSTER', 'ADDSLOTSRANGE', String(first), String(last)]);
    }

    /** Resolves when every node that runs finds the cluster whole and has heard of `slots` slots. */
    async settled({ slots = SLOTS, ...options } = {}) {
        await until('every node to find the cluster whole', async () => {
            for (const node of this.running) {
                const text = await node.cli(['CLUSTER', 'INFO']);
                if (!text.includes('cluster_state:ok') || !text.includes(`cluster_slots_ok:${slots}`)) throw new Error(`${node.port}: ${text}`);
            }
            return true;
        }, options);
    }

    /** Who owns a slot, in the words of `asked`. */
    async ownerOf(slot, asked = this.running[0]) {
        const ranges = JSON.parse(await asked.cli(['--json', 'CLUSTER', 'SLOTS']));
        const range = ranges.find(([first, last]) => slot >= first && slot <= last);
        return this.nodes.find((node) => node.port === range?.[2][1]);
    }

    /** Moves a slot with its keys while the cluster works, as redis-cli --cluster reshard does. */
    async moveSlot(slot, to) {
        const from = await this.beginMove(slot, to);
        await this.moveKeys(slot, from, to);
        await this.endMove(slot, from, to);
    }

    /** The first step of three: what is not at its owner any more is asked for at `to`. Resolves to the owner. */
    async beginMove(slot, to) {
        const from = await this.ownerOf(slot);
        await to.cli(['CLUSTER', 'SETSLOT', String(slot), 'IMPORTING', from.id]);
        await from.cli(['CLUSTER', 'SETSLOT', String(slot), 'MIGRATING', to.id]);
        return from;
    }

    async moveKeys(slot, from, to) {
        for (;;) {
            const keys = (await from.cli(['CLUSTER', 'GETKEYSINSLOT', String(slot), '100'])).split('\n').filter(Boolean);
            if (keys.length === 0) break;
            const auth = this.password ? ['AUTH', this.password] : [];
            await from.cli(['MIGRATE', '127.0.0.1', String(to.port), '', '0', '5000', ...auth, 'KEYS', ...keys]);
        }
    }

    async endMove(slot, from, to) {
        // The new owner first: whoever is sent there finds it at home.
        for (const node of [to, from]) await node.cli(['CLUSTER', 'SETSLOT', String(slot), 'NODE', to.id]);
        const others = this.running.filter((node) => node !== to && node !== from && !node.masterOf);
        await Promise.all(others.map((node) => node.cli(['CLUSTER', 'SETSLOT', String(slot), 'NODE', to.id])));
    }

    /** Ends a node as a crash would. */
    kill(node) {
        return node.kill();
    }

    /** A replica takes over from its master, with the master's help (or by force, where that is dead). */
    async failover(replica, ...how) {
        await replica.cli(['CLUSTER', 'FAILOVER', ...how]);
        await this.isMaster(replica);
    }

    async isMaster(node, options) {
        await until(`${node.port} to be a master`, async () => /role:master/.test(await node.cli(['INFO', 'replication'])), options);
    }

    /** SPUBLISH at the owner, whoever that is by now; resolves to the number of receivers. */
    async publish(channel, payload, verb = 'SPUBLISH') {
        return Number(await this.running[0].cli(['-c', '-x', verb, channel], { input: payload }));
    }

    /** Publishes [channel, payload] pairs, each at the owner of its slot, in order for each of them. */
    async publishAll(pairs, ms) {
        const ranges = JSON.parse(await this.running[0].cli(['--json', 'CLUSTER', 'SLOTS']));
        const at = new Map();
        for (const pair of pairs) {
            const slot = slotOf(pair[0]);
            const [, , [, port]] = ranges.find(([first, last]) => slot >= first && slot <= last);
            if (!at.has(port)) at.set(port, []);
            at.get(port).push(pair);
        }
        await Promise.all([...at].map(([port, own]) => this.nodes.find((n) => n.port === port).publishAll(own, ms, 'SPUBLISH')));
    }

    /** How many subscribers of a sharded channel there are, over all nodes that run. */
    async shardNumsub(channel) {
        const answers = await Promise.all(this.running.map((node) => node.cli(['PUBSUB', 'SHARDNUMSUB', channel])));
        return answers.reduce((sum, text) => sum + Number(text.split('\n')[1]), 0);
    }
}

const share = (i, of) => Math.floor((SLOTS * i) / of);

async function info(node, field) {
    return (await node.cli(['CLUSTER', 'INFO'])).match(new RegExp(`${field}:(\\S+)`))?.[1];
}

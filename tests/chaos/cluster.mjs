// A Redis Cluster of three masters, each with a replica that takes its place when it is gone.

import { RedisCluster, slotOf } from '../lib/redis_cluster.mjs';
import { until } from '../lib/wait.mjs';
import { seen } from './effects.mjs';
import { onEachServer } from './redis_nemeses.mjs';
import { Connection, Lost } from './resp.mjs';

const REPLACED = { 'masters replaced': 1 };

/** `host`: the address that all of them have, if not 127.0.0.1. */
export async function startCluster(scope, { host }) {
    const cluster = await RedisCluster.start(scope, { masters: 3, replicas: 1, host, config: ['--appendonly', 'yes', '--appendfsync', 'everysec'] });
    return {
        name: 'cluster',
        url: cluster.url,
        replicas: 1,
        owner: async (channel) => {
            const slot = slotOf(channel);
            return owners(await slots(cluster)).find(({ first, last }) => slot >= first && slot <= last) ?? nobody(slot);
        },
        nodes: () => cluster.nodes,
        masters: async () => unique(owners(await slots(cluster))),
        nemeses: { ...nemesesOf(cluster), ...onEachServer },
    };
}

function nobody(slot) {
    throw new Lost(`nobody owns slot ${slot}`);
}

/** CLUSTER SLOTS as the first node says that answers. */
async function slots(cluster) {
    for (const { port } of cluster.running) {
        let connection;
        try {
            connection = await Connection.open({ port }, 500);
            const answer = await connection.callWithin(500, 'CLUSTER', 'SLOTS');
            if (answer.length > 0) return answer;
        } catch {
            // the next one, then
        } finally {
            connection?.lose();
        }
    }
    throw new Lost('no node of the cluster answers');
}

const owners = (ranges) => ranges.map(([first, last, [host, port]]) => ({ first, last, host, port }));
const unique = (addresses) => [...new Map(addresses.map((address) => [address.port, address])).values()];

async function masterNodes(cluster) {
    const ports = unique(owners(await slots(cluster))).map(({ port }) => port);
    return cluster.nodes.filter((node) => ports.includes(node.port));
}

const role = (node) => node.cli(['INFO', 'replication']);

/** Another failover may only come when this one is over: three masters, three replicas in sync, and all nodes agree. */
async function whole(cluster) {
    await until('three masters and three replicas in sync', async () => {
        const roles = await Promise.all(cluster.nodes.map(role));
        return roles.filter((text) => text.includes('role:master') && text.includes('state=online')).length === 3
            && roles.filter((text) => text.includes('master_link_status:up')).length === 3;
    }, { ms: 60000, every: 200 });
    await cluster.settled({ ms: 30000 });
}

/** Waits until another node has the slots of `old`. */
async function replaced(cluster, old) {
    await until(`another owner for the slots of ${old.port}`, async () => (await masterNodes(cluster)).length === 3 && !(await masterNodes(cluster)).includes(old), { ms: 30000, every: 50 });
}

function nemesesOf(cluster) {
    return {
        async 'redis master kill -9, failover'(_, random) {
            const old = random.pick(await masterNodes(cluster));
            await old.kill();
            await replaced(cluster, old);
            await old.run();
            await whole(cluster);
            return REPLACED;
        },
        // It comes back as if nothing had happened, and takes itself for the master until it hears of the new one.
        async 'redis master stands still, failover'(_, random) {
            const old = random.pick(await masterNodes(cluster));
            old.process.signal('SIGSTOP');
            await replaced(cluster, old).finally(() => old.process.signal('SIGCONT'));
            await whole(cluster);
            return REPLACED;
        },
        async 'redis master kill -9 and back at once'(_, random) {
            const node = random.pick(await masterNodes(cluster));
            await node.kill();
            await node.run();
            await whole(cluster);
            return { 'servers killed': 1 };
        },
        async 'redis failover as asked'(_, random) {
            const masters = await masterNodes(cluster);
            const replica = random.pick(cluster.nodes.filter((node) => !masters.includes(node)));
            const took = async () => /role:master/.test(await role(replica));
            let done = false;
            for (let tries = 0; !done && tries < 3; tries++) { // the servers give up one that takes 5 s
                await replica.cli(['CLUSTER', 'FAILOVER']);
                done = await seen('the replica to be a master', took, 6000);
            }
            await whole(cluster);
            return { 'masters replaced': Number(done) };
        },
        async 'redis slots moved'(tier, random) {
            const moved = random.sample([...tier.publishers.keys(), ...tier.answers.channels], 3);
            for (const channel of moved) {
                const slot = slotOf(channel);
                const { port } = await tier.shape.owner(channel);
                await cluster.moveSlot(slot, random.pick((await masterNodes(cluster)).filter((node) => node.port !== port)));
            }
            await whole(cluster);
            return { 'slots moved': moved.length };
        },
    };
}

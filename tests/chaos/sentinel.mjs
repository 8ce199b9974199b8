// A master with two replicas, and three sentinels that put a replica in its place when it is gone.

import { Watched } from '../lib/sentinel.mjs';
import { sleep, until } from '../lib/wait.mjs';
import { onEachServer } from './redis_nemeses.mjs';
import { Connection, Lost } from './resp.mjs';

const NAME = 'main';
const REPLACED = { 'masters replaced': 1 };
const FILE = ['--appendonly', 'yes', '--appendfsync', 'everysec'];

/** `host`: the address that all of them have, if not 127.0.0.1. */
export async function startSentinel(scope, { host }) {
    const watched = await Watched.start(scope, { name: NAME, replicas: 2, config: FILE, host });
    const owner = () => master(watched);
    return {
        name: 'sentinel',
        url: watched.url,
        replicas: 2,
        owner,
        nodes: () => watched.nodes,
        masters: async () => [await owner()],
        nemeses: { ...nemesesOf(watched), ...onEachServer },
    };
}

/** As a publisher finds it: who the sentinels say it is, when that one says so, too. */
async function master(watched) {
    for (const sentinel of watched.sentinels) {
        const address = await ask(sentinel, 'SENTINEL', 'GET-MASTER-ADDR-BY-NAME', NAME);
        if (!address) continue;
        const server = { host: address[0], port: Number(address[1]) };
        if ((await ask(server, 'ROLE'))?.[0] === 'master') return server;
    }
    throw new Lost('no sentinel names a master that is one');
}

/** The answer to a command on a connection of its own, or null. */
async function ask({ host, port }, ...command) {
    let connection;
    try {
        connection = await Connection.open({ host, port }, 1000);
        return await connection.callWithin(1000, ...command);
    } catch {
        return null;
    } finally {
        connection?.lose();
    }
}

async function masterNode(watched) {
    return until('a master', async () => {
        const { port } = await master(watched);
        return watched.nodes.find((node) => node.port === port);
    }, { ms: 30000, every: 50 });
}

/** Another failover may only come when this one is over: every replica follows the master, and every sentinel knows. */
async function whole(watched) {
    await until('two replicas in sync, and sentinels at rest', async () => {
        const now = await master(watched);
        const role = await ask(now, 'ROLE');
        const links = await Promise.all(watched.nodes.map((node) => ask(node, 'ROLE')));
        const views = await Promise.all(watched.sentinels.map((sentinel) => sentinel.master(NAME)));
        return role?.[2].length === 2 && links.filter((link) => link?.[0] === 'slave' && link[3] === 'connected').length === 2
            && views.every(({ port, flags }) => Number(port) === now.port && flags === 'master');
    }, { ms: 60000, every: 100 });
}

/** Starts a node that was killed, in the role that it is to have: its command line knows only the one it began with. */
async function restart(watched, node, master) {
    node.config = [...watched.config, ...(master ? ['--replicaof', `${watched.host} ${master.port}`] : [])];
    await node.run();
}

function nemesesOf(watched) {
    return {
        async 'redis master kill -9, failover'() {
            const old = await masterNode(watched);
            await old.kill();
            await restart(watched, old, await watched.elected(old));
            await whole(watched);
            return REPLACED;
        },
        // The cut-off master comes back as if nothing had happened, and knows nothing of the new one.
        async 'redis master stands still, failover'() {
            const old = await masterNode(watched);
            old.process.signal('SIGSTOP');
            await watched.elected(old).finally(() => old.process.signal('SIGCONT'));
            await whole(watched);
            return REPLACED;
        },
        async 'redis master stands still, no failover'(_, random) {
            const { process } = await masterNode(watched);
            process.signal('SIGSTOP');
            await sleep(random.between(100, 700));
            process.signal('SIGCONT');
            await whole(watched);
        },
        async 'redis master kill -9 and back at once'() {
            const node = await masterNode(watched);
            await node.kill();
            await restart(watched, node);
            await whole(watched);
            return { 'servers killed': 1 };
        },
        async 'redis failover as asked'() {
            const old = await masterNode(watched);
            // It refuses while it has not heard from a replica for a while.
            await until('a sentinel to begin', async () => (await watched.sentinels[0].cli(['SENTINEL', 'FAILOVER', NAME])) === 'OK', { ms: 20000, every: 100 });
            await watched.elected(old);
            await whole(watched);
            return REPLACED;
        },
        async 'redis replica kill -9'(_, random) {
            const master = await masterNode(watched);
            const replica = random.pick(watched.nodes.filter((node) => node !== master));
            await replica.kill();
            await restart(watched, replica, master);
            await whole(watched);
            return { 'servers killed': 1 };
        },
        async 'redis sentinels all kill -9'(_, random) {
            await Promise.all(watched.sentinels.map((sentinel) => sentinel.kill()));
            await sleep(random.between(0, 3000));
            await Promise.all(watched.sentinels.map((sentinel) => sentinel.run()));
            return { 'sentinels killed': watched.sentinels.length };
        },
    };
}

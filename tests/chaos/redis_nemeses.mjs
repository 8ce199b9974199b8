// What can be done to any Redis from the inside, by its own commands.

import { sleep } from '../lib/wait.mjs';
import { Connection, Lost, Refused } from './resp.mjs';

/** Runs commands on every master that can be reached; one that cannot is another nemesis' work. */
async function onMasters(tier, ...commands) {
    for (const address of await tier.shape.masters()) {
        let connection;
        try {
            connection = await Connection.open(address);
            for (const command of commands) await connection.callWithin(3000, ...command);
        } catch (error) {
            if (!(error instanceof Lost) && !(error instanceof Refused)) throw error;
        } finally {
            connection?.lose();
        }
    }
}

export const onEachServer = {
    async 'CLIENT KILL of subscribers'(tier) {
        await onMasters(tier, ['CLIENT', 'KILL', 'TYPE', 'pubsub']);
    },
    async 'CLIENT KILL of everybody'(tier) {
        await onMasters(tier, ['CLIENT', 'KILL', 'TYPE', 'pubsub'], ['CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes']);
    },
    async 'CLIENT PAUSE'(tier, random) {
        const ms = random.int(300, 3000);
        await onMasters(tier, ['CLIENT', 'PAUSE', ms, random.pick(['ALL', 'WRITE'])]);
        await sleep(ms);
    },
    // More in one turn of Redis' loop than a subscriber may have waiting: Redis cuts it off, and what waited is gone.
    async 'output buffer overflows'(tier, random) {
        await onMasters(tier, ['CONFIG', 'SET', 'client-output-buffer-limit', 'pubsub 65536 0 0']);
        await tier.publisher(random.pick(tier.longChannels)).burst(random.int(100, 500), 4000);
        await onMasters(tier, ['CONFIG', 'SET', 'client-output-buffer-limit', 'pubsub 33554432 8388608 60']);
    },
};

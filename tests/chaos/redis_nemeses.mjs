// What can be done to any Redis from the inside, by its own commands.

import { sleep } from '../lib/wait.mjs';
import { seen, subscribersCutOff } from './effects.mjs';
import { Connection, Lost, Refused } from './resp.mjs';

const LITTLE = 65536; // bytes that may wait for a subscriber

/** Runs commands on each server that can be reached; one that cannot is another nemesis' work. Resolves to all answers. */
async function onServers(addresses, ...commands) {
    const answers = [];
    for (const address of addresses) {
        let connection;
        try {
            connection = await Connection.open(address);
            for (const command of commands) answers.push(await connection.callWithin(3000, ...command));
        } catch (error) {
            if (!(error instanceof Lost) && !(error instanceof Refused)) throw error;
        } finally {
            connection?.lose();
        }
    }
    return answers;
}

/** Does anybody, in either way, listen to a channel where its events are published? */
async function hasSubscriber(tier, channel) {
    const answers = await onServers([await tier.shape.owner(channel)], ['PUBSUB', 'NUMSUB', channel], ['PUBSUB', 'SHARDNUMSUB', channel]);
    return sum(answers.map(([, count]) => count)) > 0;
}

const sum = (numbers) => numbers.reduce((total, number) => total + number, 0);

export const onEachServer = {
    async 'CLIENT KILL of subscribers'(tier) {
        return { 'subscribers killed': sum(await onServers(await tier.shape.masters(), ['CLIENT', 'KILL', 'TYPE', 'pubsub'])) };
    },
    async 'CLIENT KILL of everybody'(tier) {
        const kills = [['CLIENT', 'KILL', 'TYPE', 'pubsub'], ['CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes']];
        return { 'connections killed': sum(await onServers(await tier.shape.masters(), ...kills)) };
    },
    async 'CLIENT PAUSE'(tier, random) {
        const ms = random.int(300, 3000);
        await onServers(await tier.shape.masters(), ['CLIENT', 'PAUSE', ms, random.pick(['ALL', 'WRITE'])]);
        await sleep(ms);
    },
    // More in one transaction than a subscriber may have waiting: Redis cuts it off, and what waited is gone. Event by event it
    // would not do: the kernel takes megabytes for a subscriber on the same machine.
    async 'output buffer overflows'(tier, random) {
        const limit = (text) => onServers(tier.shape.nodes(), ['CONFIG', 'SET', 'client-output-buffer-limit', `pubsub ${text}`]);
        const before = subscribersCutOff(tier);
        const some = () => subscribersCutOff(tier) - before;
        const channel = random.pick(tier.longChannels);
        await seen('a subscriber', () => hasSubscriber(tier, channel)); // just killed, by the fault before, they come back soon
        await limit(`${LITTLE} 0 0`);
        await tier.publisher(channel).burst(random.int(100, 500), 4000, { together: true });
        await seen('a subscriber cut off', () => some() > 0, 1000);
        await limit('33554432 8388608 60');
        return { 'subscribers cut off': some() };
    },
};

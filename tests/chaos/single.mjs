// One Redis with an append-only file: what it acknowledged survives its crash, unless a nemesis takes the file away.

import fs from 'node:fs';
import path from 'node:path';
import { alsoAt, Redis } from '../lib/redis.mjs';
import { sleep } from '../lib/wait.mjs';
import { onEachServer } from './redis_nemeses.mjs';

/** `host`: an address that it is to have beside 127.0.0.1, if any. */
export async function startSingle(scope, { host }) {
    const redis = await Redis.start(scope, { config: ['--appendonly', 'yes', '--appendfsync', 'everysec', ...alsoAt(host)] });
    return {
        name: 'single',
        url: `redis://${host ?? '127.0.0.1'}:${redis.port}`,
        replicas: 0,
        owner: async () => ({ host: '127.0.0.1', port: redis.port }),
        nodes: () => [redis],
        masters: async () => [{ host: '127.0.0.1', port: redis.port }],
        nemeses: { ...nemesesOf(redis), ...onEachServer },
    };
}

function nemesesOf(redis) {
    return {
        async 'redis kill -9'(_, random) {
            await redis.kill();
            await sleep(random.between(0, 2000));
            await redis.run();
            return { 'servers killed': 1 };
        },
        async 'redis stands still'(_, random) {
            redis.process.signal('SIGSTOP');
            await sleep(random.between(500, 6000));
            redis.process.signal('SIGCONT');
        },
        async 'redis forgets all'(tier, random) {
            await tier.takeSnapshot();
            await redis.kill();
            fs.rmSync(path.join(redis.folder, 'appendonlydir'), { recursive: true, force: true });
            await sleep(random.between(0, 1000));
            await redis.run();
            return { 'events forgotten': [...tier.snapshots.at(-1).kept.values()].reduce((sum, numbers) => sum + numbers.size, 0) };
        },
    };
}

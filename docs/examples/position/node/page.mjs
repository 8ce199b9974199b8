// What a page of a user's orders begins with: the orders, and where its stream goes on.
//
//     REDIS_URL=redis://127.0.0.1:6379 node page.mjs USER

import { Redis } from 'ioredis';

/**
 * The last_event_id of a stream that gets all that is published from now on. On a cluster: one call for each channel, and
 * commas between the answers.
 */
async function position(redis, ...channels) {
    try {
        return await redis.fcall_ro('sse_position', channels.length, ...channels.map((channel) => `sse:{${channel}}`));
    } catch (error) {
        if (!error.message.includes('Function not found')) throw error;
        throw new Error('Redis has no function sse_position. Load it: sse-publish --install', { cause: error });
    }
}

async function page(redis, user) {
    const channel = `orders:${user}`;
    // First the position, then the data. What is published between the two is in both: the page knows an order by its
    // number. The other way round it would be in neither.
    const lastEventId = await position(redis, channel);
    const orders = await redis.lrange(`table:orders:${user}`, 0, -1); // yours are in a database
    return {
        orders: orders.map((order) => JSON.parse(order)),
        stream: `/stream?channel=${channel}&last_event_id=${lastEventId}`,
    };
}

async function main(user) {
    const redis = new Redis(process.env.REDIS_URL ?? 'redis://127.0.0.1:6379', { lazyConnect: true, maxRetriesPerRequest: 1 });
    redis.on('error', () => {}); // each call rejects with it, too
    try {
        await redis.connect();
        console.log(JSON.stringify(await page(redis, user)));
    } finally {
        redis.disconnect();
    }
}

main(...process.argv.slice(2)).catch((error) => {
    console.error(`page: ${error.message}`);
    process.exitCode = 1;
});

// Publishes one text in the three ways there are: plain, with an event name, durable.
//
//     REDIS_URL=redis://127.0.0.1:6379 node publish.mjs CHANNEL TEXT

import { Redis } from 'ioredis';

/** The data with the fields event, id and retry. Text that users wrote goes into one, lest it begins like one. */
function envelope(data, fields = {}) {
    const lines = Object.entries(fields).map(([name, value]) => {
        if (/[\r\n\0]/.test(value)) throw new RangeError(`${name} holds a line break or a NUL`);
        return `${name}: ${value}\n`;
    });
    return `\x1eSSE/1\n${lines.join('')}\n${data}`;
}

/** Keeps an event and publishes it. Resolves to its id, and how many gateways got it now. */
async function publishDurable(redis, channel, data, event = '') {
    try {
        // The key of the channel's history, and not the channel: on a cluster that is needed.
        return await redis.fcall('sse_publish', 1, `sse:{${channel}}`, data, event);
    } catch (error) {
        if (!error.message.includes('Function not found')) throw error;
        throw new Error('Redis has no function sse_publish. Load it: sse-publish --install', { cause: error });
    }
}

async function main(channel, text) {
    // No second try by the client: an event whose answer was lost may have been published.
    const redis = new Redis(process.env.REDIS_URL ?? 'redis://127.0.0.1:6379', { lazyConnect: true, maxRetriesPerRequest: 0 });
    redis.on('error', () => {}); // each call rejects with it, too
    try {
        await redis.connect();
        console.log('plain: gateways', await redis.publish(channel, text));
        console.log('named: gateways', await redis.publish(channel, envelope(text, { event: 'order' })));
        const [id, gateways] = await publishDurable(redis, channel, text, 'order');
        console.log(`durable: gateways ${gateways}, id ${id}`);
    } finally {
        redis.disconnect();
    }
}

main(...process.argv.slice(2)).catch((error) => {
    console.error(`publish: ${error.message}`);
    process.exitCode = 1;
});

// Durable events as Redis holds them: the function library, calling it in both its forms, and reading a channel's history.

import { Redis as IoRedis } from 'ioredis';
import { LIBRARY, SCRIPT } from './library.mjs';
import { until } from './wait.mjs';

export * from './library.mjs';

export const keyOf = (channel) => `sse:{${channel}}`;

/** A connection of ioredis that ends with the test. `options` as ioredis has them. */
export function connect(scope, redis, options = {}) {
    const client = new IoRedis(redis.port, '127.0.0.1', { retryStrategy: null, ...(redis.secure && { tls: redis.tlsOptions }), ...options });
    client.on('error', () => {}); // every call says so, too
    scope.defer(() => client.disconnect());
    return client;
}

export const load = (client) => client.call('FUNCTION', 'LOAD', 'REPLACE', LIBRARY);

/** The two ways to call sse_publish: (client, channel, data, event, retry, option, value...). */
export const FORMS = {
    function: (client, channel, ...args) => client.call('FCALL', 'sse_publish', '1', channel, ...args),
    script: (client, channel, ...args) => client.call('EVAL', SCRIPT, '1', channel, ...args),
};

/** All entries of a channel, each as { id, ms, offset, epoch, prev, event, retry, data }. */
export async function history(client, channel) {
    const entries = await client.xrange(keyOf(channel), '-', '+');
    return entries.map(([id, fields]) => {
        const [ms, offset] = id.split('-').map(Number);
        const entry = { id, ms, offset };
        for (let i = 0; i < fields.length; i += 2) entry[fields[i]] = fields[i + 1];
        return entry;
    });
}

/** What is wrong with the order of `entries`: '' where they are one chain without a hole. */
export function brokenAt(entries) {
    for (let i = 1; i < entries.length; i++) {
        const [a, b] = [entries[i - 1], entries[i]];
        if (b.prev !== a.id || b.offset !== a.offset + 1 || b.epoch !== a.epoch || b.ms < a.ms) {
            return `${JSON.stringify(a)} before ${JSON.stringify(b)}`;
        }
    }
    return '';
}

/** Collects payloads (Buffers) of a channel as they are published. */
export async function listen(scope, redis, channel, { sharded = false } = {}, options = {}) {
    const client = connect(scope, redis, options);
    const heard = [];
    client.on(sharded ? 'smessageBuffer' : 'messageBuffer', (_, payload) => heard.push(payload));
    await (sharded ? client.ssubscribe(channel) : client.subscribe(channel));
    heard.count = async (n) => {
        await until(`${n} messages (there are ${heard.length})`, () => heard.length >= n);
        return heard;
    };
    return heard;
}

export async function clock(client) {
    const [seconds, micros] = await client.time();
    return Number(seconds) * 1000 + Math.floor(Number(micros) / 1000);
}

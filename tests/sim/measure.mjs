// What Redis pays for subscriptions, messages and looks into a history: the constants of costs.mjs, measured anew.

import path from 'node:path';
import { command } from '../lib/command.mjs';
import { BUILD } from '../lib/paths.mjs';
import { Redis } from '../lib/redis.mjs';
import { ownScope } from '../lib/scope.mjs';
import { until } from '../lib/wait.mjs';

const CHANNELS = 200_000;
const SUBSCRIBERS = 200;
const MESSAGES = 1000;

export async function measureRedis() {
    const scope = ownScope(path.join(BUILD, 'sim/logs/measure'));
    try {
        const redis = await Redis.start(scope);
        const info = async (name) => Number((await command('redis-cli', ['-p', String(redis.port), 'info', 'all'])).out.match(new RegExp(`^${name}:([0-9.]+)`, 'm'))[1]);
        const cpu = async () => ((await info('used_cpu_user')) + (await info('used_cpu_sys'))) * 1e6;
        const show = (what, value) => console.log(`${what}: ${value.toPrecision(3)}`);
        const open = () => {
            const socket = redis.connect();
            scope.defer(() => socket.destroy());
            socket.answers = 0;
            socket.on('data', (bytes) => bytes.forEach((b) => (socket.answers += b === 0x2a || b === 0x3a))); // * and :
            return socket;
        };
        const timed = async (what, count, act) => {
            const before = await cpu();
            await act();
            show(what, ((await cpu()) - before) / count);
        };

        const subscriber = open();
        const memory = await info('used_memory');
        for (const [what, word] of [['CPU of a SUBSCRIBE, us', 'SUBSCRIBE'], ['CPU of an UNSUBSCRIBE, us', 'UNSUBSCRIBE'], ['again SUBSCRIBE', 'SUBSCRIBE']]) {
            subscriber.answers = 0;
            await timed(what, CHANNELS, async () => {
                for (let i = 0; i < CHANNELS; i++) subscriber.write(`${word} user:${i}\r\n`);
                await until('all answers', () => subscriber.answers >= 2 * CHANNELS, { ms: 60000 });
            });
        }
        show('memory of a subscription, bytes', ((await info('used_memory')) - memory) / CHANNELS);

        const publisher = open();
        const crowd = Array.from({ length: SUBSCRIBERS }, open);
        crowd.forEach((socket) => socket.write('SUBSCRIBE all\r\n'));
        await until('the crowd', () => crowd.every((socket) => socket.answers >= 2));
        await timed('CPU of a message, one after the other, us', MESSAGES * SUBSCRIBERS, async () => {
            for (let i = 1; i <= MESSAGES; i++) {
                publisher.write(`PUBLISH all ${'x'.repeat(200)}\r\n`);
                await until('its answer', () => publisher.answers >= i, { every: 0 });
            }
        });
        const looks = ['-p', String(redis.port), '-n', '100000', '-c', '1', '-P', '16', 'XREVRANGE', 'sse:{a}', '+', '-', 'COUNT', '1'];
        await timed('CPU of a look into a history, us', 100_000, () => command('redis-benchmark', looks));
    } finally {
        await scope.end();
    }
}

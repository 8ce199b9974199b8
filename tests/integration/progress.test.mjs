// A floor on progress: who takes next to nothing is ended, though its queue is below the limit; who takes little, but
// steadily, is not.

import assert from 'node:assert/strict';
import net from 'node:net';
import { test } from 'node:test';
import { scopeOf } from '../lib/scope.mjs';
import { startTier } from '../lib/tier.mjs';
import { until } from '../lib/wait.mjs';

const KiB = 1 << 10;

/** Subscribes to `channel`, and after the head takes `bytes` each `every` ms, to the byte: what it does not take stays in the kernel. */
class Sipper {
    taken = 0;
    closed = false;

    static async open(scope, port, channel, { bytes, every }) {
        const sipper = new Sipper();
        let wanted = 200; // the head, or a part of it that proves the stream
        const onread = {
            buffer: Buffer.alloc(bytes),
            callback(n) {
                sipper.taken += n;
                wanted -= n;
                return wanted > 0;
            },
        };
        const socket = (sipper.socket = net.connect({ port, host: '127.0.0.1', onread }));
        socket.write(`GET /stream?channel=${channel} HTTP/1.1\r\nHost: a\r\n\r\n`);
        socket.on('error', () => {});
        socket.on('close', () => (sipper.closed = true));
        scope.defer(() => sipper.close());
        await until('the head of the answer', () => sipper.taken > 100, { every: 1 });
        sipper.timer = setInterval(() => {
            wanted = bytes;
            socket.resume();
        }, every);
        return sipper;
    }

    close() {
        clearInterval(this.timer);
        this.socket.destroy();
    }
}

/** Publishes until bytes wait in the gateway for the one slow client of `channel`. */
async function fill({ redis, gateway }, channel, least) {
    await until(`${least} bytes that wait`, async () => {
        await redis.publishAll([[channel, 'x'.repeat(50_000)]]);
        return (await gateway.metric('queued_bytes')) >= least;
    }, { every: 0, ms: 30000 });
}

const ended = async (gateway) => (await gateway.metric('closes_total', { reason: 'slow' })) + (await gateway.metric('closes_total', { reason: 'reaped' }));

for (const policy of ['close', 'drop-oldest']) {
    test(`a client that takes one byte a second is ended within a few heartbeats (--slow-client ${policy})`, async (t) => {
        const scope = scopeOf(t);
        const tier = await startTier(scope, { args: ['--heartbeat', '1s', '--queue-limit', '64MiB', '--slow-client', policy] });
        const { redis, gateway } = tier;
        await Sipper.open(scope, gateway.port, 'a', { bytes: 1, every: 1000 });
        await fill(tier, 'a', 300_000);
        // What flows meanwhile is no progress of the client's.
        await until('its end', async () => {
            await redis.publishAll([['a', 'more']]);
            return (await ended(gateway)) === 1;
        }, { ms: 8000, every: 100 });
        await gateway.metricIs('queued_bytes', 0);
        await gateway.metricIs('connections', 0);
        assert.equal(await gateway.metric('events_dropped_total', { reason: 'slow_client' }), 0, 'the limit had no part in it');
    });
}

test('a client that takes 64 KiB a second is not ended, however much waits for it', async (t) => {
    const scope = scopeOf(t);
    const tier = await startTier(scope, { args: ['--heartbeat', '4s', '--queue-limit', '64MiB'] });
    const { gateway } = tier;
    const sipper = await Sipper.open(scope, gateway.port, 'a', { bytes: 16 * KiB, every: 250 });
    await fill(tier, 'a', 8_000_000);
    const from = sipper.taken;
    await until('three heartbeats and more', () => sipper.taken - from > 14 * 64 * KiB, { ms: 60000, every: 250 });
    assert.equal(await ended(gateway), 0, `ended after it had taken ${sipper.taken - from} bytes`);
    assert.equal(await gateway.metric('connections'), 1);
});

// Many durable streams that come back as an EventSource does, each of one channel: when they arrived where, and whether each
// event reached each of them once.

import assert from 'node:assert/strict';
import { check } from '../chaos/checker.mjs';
import { Client } from '../chaos/client.mjs';
import { readKept } from '../chaos/kept.mjs';
import { Random } from '../chaos/random.mjs';
import { until } from './wait.mjs';

const AT_ONCE = 100; // streams that are being opened

export class Fleet {
    clients = [];

    /** Opens `count` streams by way of the front's plain port; resolves when each has its answer of a gateway. */
    static async open(scope, { port, channels, count }) {
        const fleet = new Fleet();
        scope.defer(() => fleet.stop());
        for (let i = 0; i < count; i++) {
            const name = `stream-${i}`;
            const client = new Client({ name, port, channels: [channels[i % channels.length]], random: new Random(1, name) });
            fleet.clients.push(client);
            client.start();
            if (i % AT_ONCE === AT_ONCE - 1) await fleet.served();
        }
        await fleet.served();
        return fleet;
    }

    async stop() {
        await Promise.all(this.clients.map((client) => client.stop()));
    }

    /** Waits until a gateway serves each of them, and none of those with the ids `gone`. */
    async served({ gone = [], ms = 60000 } = {}) {
        const isServed = ({ stream }) => stream?.status === 200 && stream.open && stream.gateway && !gone.includes(stream.gateway);
        await until('every stream to be served', () => {
            const left = this.clients.filter((client) => !isServed(client));
            if (left.length > 0) throw new Error(`${left.length} are not, such as ${JSON.stringify(left[0].diary.slice(-2))}`);
            return true;
        }, { ms, every: 20 });
    }

    /** Times (ms) since `since` at which streams asked that a gateway other than `gone` then served, in order. */
    arrivals(since, gone) {
        const notes = this.clients.flatMap(({ diary }) => diary.filter(({ at, gateway }) => at >= since && gateway && gateway !== gone && gateway !== 'nginx'));
        return notes.map(({ at }) => at).sort((a, b) => a - b);
    }

    /** How often since `since` a stream was told to come again, or got no answer. */
    turnedAway(since) {
        return this.clients.reduce((sum, { diary }) => sum + diary.filter(({ at, gateway, error }) => at >= since && (error || gateway === 'nginx')).length, 0);
    }

    /** Waits until each has the newest event of its channel; fails where one was lost, doubled, out of order or announced as lost. */
    async assertComplete({ history, shape }) {
        const newest = (channel) => history.channels.get(channel).events.length - 1;
        await until('every stream to have everything', () => {
            const late = this.clients.filter((client) => client.newest(client.channels[0]) < newest(client.channels[0]));
            if (late.length > 0) throw new Error(`${late.length} have not, such as ${late[0].name}`);
            return true;
        }, { ms: 30000, every: 100 }).catch(() => {}); // the verdict says it better
        const kept = await readKept(shape, history.channels.keys());
        assert.deepEqual(kept.faults, []);
        const { findings, gaps, delivered } = check({ history, snapshots: [kept], clients: this.clients });
        assert.deepEqual(findings, []);
        assert.equal(gaps, 0, 'nothing was announced as lost');
        assert.deepEqual(this.clients.flatMap(({ name, faults }) => faults.map(({ what }) => `${name}: ${what}`)), []);
        return delivered;
    }
}

/** The most of the times (ms, in order) that lie within one second. */
export function peakPerSecond(times) {
    let peak = 0;
    for (let first = 0, last = 0; last < times.length; last++) {
        while (times[last] - times[first] >= 1000) first++;
        peak = Math.max(peak, last - first + 1);
    }
    return peak;
}

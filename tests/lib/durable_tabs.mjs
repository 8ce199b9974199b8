// Tabs of browsers with an EventSource for durable channels, and publishers of these channels: what each tab got is held
// against what was published.

import assert from 'node:assert/strict';
import { History, numberIn } from '../chaos/history.mjs';
import { Publisher } from '../chaos/publisher.mjs';
import { Random } from '../chaos/random.mjs';
import { connectInPage } from './browser_clients.mjs';
import { until } from './wait.mjs';

const KEPT = 100000; // events of a channel: more than any test publishes

/** Publishes on each of the channels, `rate` batches a second, and goes on with a `history` where there is one. Returns { history, shape, stop }. */
export function startPublishers(scope, redis, channels, { rate = 5, history = new History() } = {}) {
    const shape = { replicas: 0, owner: async () => ({ port: redis.port }) };
    const publishers = channels.map((channel) => {
        if (!history.channels.has(channel)) history.add(channel);
        return new Publisher({ shape, channel, history, random: new Random(1, channel), rate, options: ['maxlen', KEPT] });
    });
    publishers.forEach((publisher) => publisher.start());
    const stop = () => Promise.all(publishers.map((publisher) => publisher.stop()));
    scope.defer(stop);
    return { history, shape, stop };
}

/** How many events of the channels were published. */
export function published(history, channels) {
    return channels.reduce((sum, channel) => sum + history.channels.get(channel).events.length - 1, 0);
}

export class DurableTab {
    /** Opens an EventSource for the channels in `page`, which is at page.html; resolves when a gateway serves it. */
    static async open(page, name, channels) {
        const tab = new DurableTab();
        Object.assign(tab, { page, name, channels });
        tab.client = await connectInPage(page, 'EventSource', `/stream?${channels.map((c) => `channel=${c}&`).join('')}control=1&last_event_id=earliest`,
            ['message', 'tick', 'gateway:gap', 'gateway:open']);
        await until(`${name} to be served`, async () => (await tab.now()).gateway, { ms: 60000, every: 100 });
        return tab;
    }

    /** { opens, state, gateway, count } as they are now; not all that it has seen: that would be much to ask for again and again. */
    now() {
        return this.page.evaluate(() => {
            const { events, opens, state } = Object.values(window.streams)[0]; // a reload would leave none
            const last = events.findLast((e) => e.type === 'gateway:open');
            return { opens, state: state(), gateway: last ? JSON.parse(last.data).gateway : null, count: events.filter((e) => e.type !== 'gateway:open').length };
        });
    }

    async hasAll(history, options) {
        const total = published(history, this.channels);
        await until(`${this.name} to have all ${total}`, async () => (await this.now()).count >= total, { every: 200, ...options });
    }

    /** Every event once, in order, and nothing else; no gap either. */
    async assertComplete(history) {
        const next = new Map(this.channels.map((channel) => [channel, 1]));
        for (const { type, data } of await this.client.events()) {
            if (type === 'gateway:open') continue;
            assert.notEqual(type, 'gateway:gap', `${this.name}: ${data}`);
            const channel = data.split(' ', 1)[0];
            const number = numberIn(channel, data);
            assert.equal(number, next.get(channel), `${this.name}, ${channel}: the event after ${next.get(channel) - 1}`);
            assert.equal(type, number % 3 === 0 ? 'tick' : 'message');
            next.set(channel, number + 1);
        }
        for (const channel of this.channels) assert.equal(next.get(channel), history.channels.get(channel).events.length, `${this.name}, ${channel}: all`);
    }
}

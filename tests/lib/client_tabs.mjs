// Tabs of a browser with the helper of deploy/client: what each of them was handed.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { connect, FORMS, load } from './durable.mjs';
import { ROOT } from './paths.mjs';
import { scopeOf } from './scope.mjs';
import { startTier } from './tier.mjs';
import { sleep, until } from './wait.mjs';

export const ARGS = ['--retry', '300ms', '--heartbeat', '1s', '--refusal', 'status'];

export const clientFiles = () => ({
    'client.html': fs.readFileSync(path.join(ROOT, 'tests/lib/client.html'), 'utf8'),
    'other.html': '<!doctype html><title>another page</title>',
    'sse-client.js': fs.readFileSync(path.join(ROOT, 'deploy/client/sse-client.js'), 'utf8'),
});

/**
 * Two gateways (`options`: of startTier) behind NGINX, and tabs: `opener(scope, url)` resolves to what opens a tab of one
 * profile at `url`. `silence`: of connect().
 */
export async function startTabs(t, opener, { args = [], silence = 9000, ...options } = {}) {
    const scope = scopeOf(t);
    const tier = await startTier(scope, { gateways: 2, nginx: true, files: clientFiles(), args: [...ARGS, ...args], ...options });
    const client = connect(scope, tier.redis);
    await load(client);
    const openTab = await opener(scope, `${tier.nginx.url}/client.html`);
    const counts = () => Promise.all(tier.gateways.map((g) => g.metric('connections')));
    const streams = async () => (await counts()).reduce((a, b) => a + b);
    return {
        scope, ...tier, streams,
        /** The gateway that has the stream, which is no longer one of `gateways`. */
        takeHolder: async () => tier.gateways.splice((await counts()).findIndex((n) => n > 0), 1)[0],
        open: (channels, more = {}, how) => ClientTab.open(openTab, channels, { silence, ...more }, how),
        durable: (channel, data, event = '', ...more) => FORMS.function(client, channel, data, event, '', ...more),
        oneStream: () => until('one stream in all', async () => {
            const now = await streams();
            return now === 1 || Promise.reject(new Error(`${now} streams`));
        }),
    };
}

/** Publishes 1, 2, 3 .. to each of `channels` until stop(), which resolves to all that were published. */
export function numbers(publish, channels, every = 20) {
    const all = [];
    let running = true;
    const done = (async () => {
        while (running) {
            all.push(String(all.length + 1));
            await Promise.all(channels.map((channel) => publish(channel, all.at(-1))));
            await sleep(every); // the rate, not a wait for something
        }
    })();
    return { all, stop: async () => ((running = false), await done, all) };
}

export class ClientTab {
    /** A tab of `channels`, with `options` for connect() and client.html; resolves once it is served. */
    static async open(openTab, channels, options = {}, { state = 'open' } = {}) {
        const tab = new ClientTab();
        tab.page = await openTab();
        await tab.page.waitForFunction(() => window.ready, null, { polling: 50 }); // a hidden page has no frames to poll at
        await tab.page.evaluate((options) => window.start(options), options);
        await tab.want(channels);
        if (state) await tab.is(state);
        return tab;
    }

    want(channels, event) {
        return this.page.evaluate((what) => window.want(what), { channels, event });
    }

    drop(channel) {
        return this.page.evaluate((channel) => window.handlers[channel](), channel);
    }

    log() {
        return this.page.evaluate(() => window.log);
    }

    async is(state) {
        await until(`a tab to be ${state}`, async () => {
            const { states } = await this.log();
            return states.at(-1) === state || Promise.reject(new Error(states.join()));
        }, { ms: 30000, every: 50 });
    }

    /** Data of the events of `channel`, in the order of their arrival. */
    async datas(channel) {
        return (await this.log()).events.filter((e) => e.channel === channel).map((e) => e.data);
    }

    /** Waits for the data `last` of `channel`, and holds what came to `wanted`. */
    async has(channel, wanted, { ms = 40000 } = {}) {
        await until(`${channel} to bring ${wanted.at(-1)}`, async () => {
            const datas = await this.datas(channel);
            return datas.includes(wanted.at(-1)) || Promise.reject(new Error(`the last is ${datas.at(-1)}`));
        }, { ms, every: 50 });
        assert.deepEqual(await this.datas(channel), wanted);
    }

    close() {
        return this.page.close();
    }
}

// Clients that others wrote, all of which give up for good on any answer but 200, on one durable channel behind a front, and
// what becomes of them while gateways and the front go and come.

import assert from 'node:assert/strict';
import { openPage } from './chromium.mjs';
import { connect, FORMS, load } from './durable.mjs';
import { Gateway } from './gateway.mjs';
import { NODE_CLIENTS } from './node_clients.mjs';
import { sleep, until } from './wait.mjs';

const PACE_MS = 20;

console.error = () => {}; // event-source-polyfill tells it each connection that was cut

export class Audience {
    published = [];

    /** `args`: of the gateways, with which one starts again, and `start`: other options for that; `clients`: how many of each kind. */
    static async open(scope, options) {
        const audience = await Audience.create(scope, options);
        await audience.all('to be open', async (c) => (await c.state()) === 'open');
        return audience;
    }

    /** As `open`, without waiting for the streams. */
    static async create(scope, { redis, gateways, front, args, clients = 2, browser, start = {}, load: withLibrary = true }) {
        const audience = Object.assign(new Audience(), { scope, redis, gateways: [...gateways], front, args, start });
        audience.publisher = connect(scope, redis, { retryStrategy: () => 100 });
        if (withLibrary) await audience.load();
        const url = `${front.url}/stream?channel=a`;
        audience.clients = Object.entries(NODE_CLIENTS).flatMap(([kind, make]) => Array.from({ length: clients }, (_, i) => nodeClient(scope, `${kind} (${i})`, make(url))));
        if (browser) audience.clients.push(await browserClient(scope, browser, front.url));
        return audience;
    }

    load() {
        return load(this.publisher);
    }

    /** Waits until `fact` holds for each client; one that is closed for good ends the wait. */
    async all(what, fact, { ms = 30000 } = {}) {
        await Promise.all(this.clients.map((client) => until(`${client.name} ${what}`, async () => {
            if ((await client.state()) === 'closed') throw Object.assign(new Error(`${client.name} is closed for good; waited for it ${what}`), { fatal: true });
            return fact(client);
        }, { ms, every: 50 })));
    }

    async publish(text = `event ${this.published.length}`) {
        await FORMS.function(this.publisher, 'a', text);
        this.published.push(text);
    }

    /** Publishes at a steady pace while `work` is done. */
    async publishWhile(work) {
        let over = false;
        const paced = (async () => {
            while (!over) {
                await this.publish();
                await sleep(PACE_MS);
            }
        })();
        try {
            await work();
        } finally {
            over = true;
            await paced;
        }
    }

    /** Each client gets each event once and in order, and is not closed. */
    async heard() {
        await this.publish();
        const last = this.published.at(-1);
        await this.all(`to get "${last}"`, async (c) => (await c.datas()).includes(last));
        for (const client of this.clients) assert.deepEqual(await client.datas(), this.published, client.name);
    }

    /** For a test whose front ends before its clients: event-source-polyfill throws where it is closed after its stream was cut. */
    close() {
        for (const client of this.clients) client.close();
    }

    /** How many streams each gateway has. */
    spread() {
        return Promise.all(this.gateways.map((g) => g.metric('connections')));
    }

    async away(i, signal) {
        this.gateways[i].process.signal(signal);
        await this.gateways[i].process.exit();
    }

    async back(i) {
        const { id, port, adminPort } = this.gateways[i];
        this.gateways[i] = await Gateway.start(this.scope, { redis: this.redis, id, port, adminPort, args: this.args, ...this.start });
    }

    /** One is told to end, another is killed, the front is loaded again. */
    async deploy() {
        await this.publishWhile(async () => {
            await this.away(0, 'SIGTERM');
            await this.back(0);
            await this.away(1, 'SIGKILL');
            await this.back(1);
            await this.front.reload();
            await this.away(2, 'SIGTERM');
            await this.back(2);
        });
    }

    /** All are killed at once; each client has heard from the front, or failed to, before they come back. */
    async allAway() {
        const fails = this.clients.map((c) => c.turns());
        await this.publishWhile(async () => {
            await Promise.all(this.gateways.map((_, i) => this.away(i, 'SIGKILL')));
            const before = await Promise.all(fails);
            await this.all('to have tried in vain', async (c) => (await c.turns()) > before[this.clients.indexOf(c)] + 1);
            await Promise.all(this.gateways.map((_, i) => this.back(i)));
        });
    }
}

function nodeClient(scope, name, client) {
    scope.defer(() => client.close());
    return {
        name,
        state: client.state,
        close: client.close,
        turns: () => client.opens() + client.errors(),
        // Some show an empty message for a block that has an id alone.
        datas: () => client.events.map((e) => e.data).filter((data) => data !== ''),
    };
}

async function browserClient(scope, browser, url) {
    const page = await openPage(scope, browser, url, { ignoreHTTPSErrors: true });
    await page.evaluate(() => {
        window.datas = [];
        window.turns = 0;
        window.source = new EventSource('/stream?channel=a');
        window.source.onmessage = (e) => window.datas.push(e.data);
        window.source.onopen = window.source.onerror = () => window.turns++;
    });
    return {
        name: 'Chromium',
        state: () => page.evaluate(() => ['connecting', 'open', 'closed'][window.source.readyState]),
        turns: () => page.evaluate(() => window.turns),
        datas: () => page.evaluate(() => window.datas),
        close: () => page.evaluate(() => window.source.close()),
    };
}

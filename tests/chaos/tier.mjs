// The tier under attack: NGINX, gateways, publishers, clients, and one of the shapes of Redis.

import { Gateway } from '../lib/gateway.mjs';
import { Nginx } from '../lib/nginx.mjs';
import { Answers } from './answers.mjs';
import { Client } from './client.mjs';
import { readKept } from './kept.mjs';
import { Publisher } from './publisher.mjs';
import { Random } from './random.mjs';

const ARGS = ['--durable', '*', '--retry', '300ms', '--heartbeat', '1s', '--refusal', 'status', '--drain-window', '1500ms', '--drain-timeout', '10s',
    // Streams are moved within seconds of a gateway that comes back, and by few of them.
    '--rebalance', 'on', '--rebalance-settle', '1s', '--rebalance-rate', '20/s', '--rebalance-tolerance', '0.05'];
const LONG = 1000000; // a stream that keeps all of a run
const SHORT = 50; // a stream that is full in no time
const HEAVY = 2000; // a stream of megabytes that only a few clients have: reading them takes the time of this very process
const HEAVY_EVERY = 6;

export class Tier {
    gateways = [];
    publishers = new Map();
    clients = [];
    /** Gateways that ended though nobody asked them to: how. */
    crashes = [];
    snapshots = [];
    #lives = 0;

    /** `cable`: the namespace that the last gateway runs in, if any. `observe`: { history, onEvent }. Resolves when gateways and NGINX are up; publishers and clients are started later. */
    static async start(scope, { shape, cable, seed, gateways, clients, rate, answers = 4, long = 4, short = 2 }, observe) {
        const tier = new Tier();
        Object.assign(tier, { scope, shape, cable, seed, rate, ...observe });
        tier.longChannels = Array.from({ length: long }, (_, i) => `chaos:long:${i + 1}`);
        tier.heavyChannel = 'chaos:heavy';
        tier.shortChannels = Array.from({ length: short }, (_, i) => `chaos:short:${i + 1}`);
        for (let i = 0; i < gateways; i++) {
            tier.gateways.push({ netns: i === gateways - 1 ? cable : undefined }); // its ports are chosen at the first start, and stay
            await tier.startGateway(i);
        }
        tier.nginx = await Nginx.start(scope, { gateways: tier.gateways });
        tier.clientCount = clients;
        tier.answers = new Answers(tier, { count: answers });
        return tier;
    }

    startTraffic() {
        for (let i = 0; i < this.clientCount; i++) this.#startClient({ heavy: i % HEAVY_EVERY === 0 });
        for (const [channels, kept] of [[this.longChannels, LONG], [this.shortChannels, SHORT], [[this.heavyChannel], HEAVY]]) {
            for (const channel of channels) this.#startPublisher(channel, kept);
        }
        this.answers.start();
    }

    #startPublisher(channel, kept) {
        this.history.add(channel, kept);
        const publisher = new Publisher({
            shape: this.shape, channel, history: this.history, rate: this.rate, random: new Random(this.seed, channel),
            options: ['maxlen', kept, 'maxage', 86400],
        });
        this.publishers.set(channel, publisher);
        publisher.start();
    }

    #startClient({ heavy }) {
        const name = `client-${this.clients.length + 1}`;
        const random = new Random(this.seed, name);
        const all = [...this.longChannels, ...this.shortChannels];
        const channels = random.sample(all, random.int(1, all.length));
        if (heavy) channels.push(this.heavyChannel);
        const client = new Client({ name, port: this.nginx.port, channels, random, onEvent: this.onEvent });
        this.clients.push(client);
        client.start();
    }

    /** A client goes for good, and one comes that has seen nothing. What the old one got is still checked, up to there. */
    async replaceClient(client) {
        await client.stop();
        client.gone = true;
        this.#startClient({ heavy: client.channels.includes(this.heavyChannel) });
    }

    /** How many streams have been ended so far, and not by their clients. */
    get streamsCut() {
        return this.clients.reduce((sum, client) => sum + client.cuts, 0);
    }

    /** The gateway that a client's stream comes from, if it runs. */
    gatewayOf(client) {
        return this.gateways.find(({ id }) => id === client.stream.gateway);
    }

    /** All that ever had a stream. */
    get audience() {
        return [...this.clients, ...this.answers.readers];
    }

    get present() {
        return this.clients.filter((client) => !client.gone);
    }

    /** Remembers what Redis has now: it may be made to forget. */
    async takeSnapshot() {
        this.snapshots.push(await readKept(this.shape, this.history.channels.keys()));
    }

    publisher(channel) {
        return this.publishers.get(channel);
    }

    /** Starts gateway `i`, in place of the one that was there, and waits until it is ready (or only until it is live). */
    async startGateway(i, ready = 'live') {
        this.noteCrash(i);
        this.#lives++;
        const { port, adminPort, netns } = this.gateways[i];
        const id = `gw${i + 1}.${this.#lives}`;
        this.gateways[i] = await Gateway.start(this.scope, { redisUrl: this.shape.url, id, port, adminPort, netns, args: ARGS, ready });
        this.gateways[i].netns = netns;
    }

    signalGateway(i, signal) {
        this.noteCrash(i);
        this.gateways[i].process.signal(signal);
    }

    /** Remembers the end of a gateway that nobody asked for. */
    noteCrash(i) {
        const { process, id } = this.gateways[i];
        if (!process || process.running || process.wantedEnd) return;
        process.wantedEnd = true; // said once
        this.crashes.push({ at: performance.now(), id, end: process.end, log: process.log().slice(-2000) });
    }
}

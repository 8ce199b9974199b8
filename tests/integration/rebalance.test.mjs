// --rebalance: a tier gets level by itself when a gateway joins, and no stream of it loses or doubles an event, or is
// moved twice. With REBALANCE_STREAMS=6000 as many streams, at the rate and with the times that are the defaults.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { connect, FORMS, load } from '../lib/durable.mjs';
import { Gateway } from '../lib/gateway.mjs';
import { Nginx } from '../lib/nginx.mjs';
import { freePort } from '../lib/ports.mjs';
import { Redis } from '../lib/redis.mjs';
import { Fleet, Numbers } from '../lib/returning.mjs';
import { scopeOf } from '../lib/scope.mjs';
import { sleep, until } from '../lib/wait.mjs';

const FULL = Number(process.env.REBALANCE_STREAMS ?? 0);
const STREAMS = FULL || 600;
const FAST = FULL ? [] : ['--rebalance-rate', '100/s', '--rebalance-settle', '2s', '--retry', '500ms'];
const CHANNELS = Array.from({ length: 10 }, (_, i) => `d:${i}`);

class Tier {
    /** `capacities`: --max-connections of each gateway; the last of them is not started yet. */
    static async start(scope, { args = [], workers, capacities = [8000, 8000, 8000, 8000], running = capacities.length - 1, streams = STREAMS } = {}) {
        const tier = new Tier();
        Object.assign(tier, { scope, capacities, workers, args: ['--durable', 'd:*', ...FAST, ...args], gateways: [] });
        tier.redis = await Redis.start(scope);
        tier.client = connect(scope, tier.redis);
        await load(tier.client);
        tier.places = await Promise.all(capacities.map(async () => ({ port: await freePort(), adminPort: await freePort() })));
        for (let i = 0; i < running; i++) await tier.startGateway(i);
        const least = Math.min(...capacities);
        const weigh = (text) => tier.places.reduce((all, { port }, i) => all.replace(`:${port} max_fails=0;`, (line) => line.replace(';', ` weight=${capacities[i] / least};`)), text);
        tier.nginx = await Nginx.start(scope, { gateways: tier.places.map(({ port }) => ({ host: '127.0.0.1', port })), change: weigh });
        tier.numbers = new Numbers((channel, text) => FORMS.function(tier.client, channel, text), CHANNELS, 5);
        scope.defer(() => tier.numbers.stop());
        tier.fleet = await Fleet.open(scope, tier.nginx.port, streams, CHANNELS);
        await until('all streams to be open', () => tier.fleet.open === streams, { ms: 60000 });
        return tier;
    }

    async startGateway(i, args = []) {
        this.gateways[i] = await Gateway.start(this.scope, {
            redis: this.redis, id: `gw${i + 1}`, workers: this.workers, ...this.places[i], args: ['--max-connections', String(this.capacities[i]), ...this.args, ...args],
        });
        return this.gateways[i];
    }

    get newest() {
        return this.gateways.at(-1);
    }

    countOf(gateway) {
        return this.fleet.counts().get(gateway.id) ?? 0;
    }

    /** Whether every gateway has its share of the streams, by capacity, within the tolerance. */
    isLevel(tolerance = 0.1) {
        const all = this.capacities.reduce((sum, n) => sum + n);
        return this.fleet.open === this.fleet.members.length && this.gateways.every((gateway, i) => {
            const share = (this.fleet.members.length * this.capacities[i]) / all;
            return Math.abs(this.countOf(gateway) - share) <= share * tolerance;
        });
    }

    view(gateway = this.gateways[0]) {
        return gateway.get('/metrics/sse', { port: gateway.adminPort }).then(({ body }) => JSON.parse(body));
    }

    /** Every number up to now, once and in order, at every stream. */
    async nothingLost() {
        const last = await this.numbers.stop();
        await until(`every stream to have ${last}`, () => this.fleet.members.every((member) => member.last === last), { ms: 30000 });
        assert.deepEqual(this.fleet.faults.slice(0, 5), []);
    }
}

/** The fourth gateway joins. Resolves to the second in which all were level, and the counts of each until `done`, or the end of `ms`; counts.txt in the logs has them, too. */
async function join(tier, done, ms) {
    const began = performance.now();
    await tier.startGateway(tier.gateways.length);
    const seconds = [];
    let level = Infinity;
    do {
        await sleep(Math.max(0, began + seconds.length * 1000 - performance.now()));
        seconds.push([...tier.gateways.map((gateway) => tier.countOf(gateway)), tier.fleet.open]);
        if (tier.isLevel()) level = Math.min(level, seconds.length - 1);
    } while (performance.now() - began < ms && !(await done()));
    fs.writeFileSync(path.join(tier.scope.folder, 'counts.txt'), seconds.map((counts, i) => `${i} s: ${counts.join(' ')}\n`).join(''));
    return { level, seconds };
}

for (const workers of [1, 2]) {
    test(`a fourth gateway joins: within a minute all are level, nothing is lost or doubled, and no stream is moved twice (${workers} workers)`, async (t) => {
        const tier = await Tier.start(scopeOf(t), { workers, args: ['--rebalance', 'on'] });
        const atRest = async () => (await Promise.all(tier.gateways.map((gateway) => tier.view(gateway)))).every(({ rebalance }) => !rebalance.running);
        const { level, seconds } = await join(tier, async () => tier.isLevel() && (await atRest()), 90000);
        assert.ok(level < 60 && tier.isLevel(), JSON.stringify(seconds));
        assert.equal(tier.fleet.mostMoves, 1);
        assert.ok(tier.fleet.moved <= STREAMS / 4 + 4, `${tier.fleet.moved} were moved`);
        const ended = await Promise.all(tier.gateways.map((gateway) => gateway.metric('closes_total', { reason: 'rebalance' })));
        assert.equal(ended.reduce((sum, n) => sum + n), tier.fleet.moved);
        await tier.nothingLost();
    });
}

test('with --rebalance off the fourth gateway stays empty', async (t) => {
    const tier = await Tier.start(scopeOf(t));
    await join(tier, () => false, FULL ? 60000 : 10000);
    assert.equal(tier.countOf(tier.newest), 0);
    assert.equal(tier.fleet.moved, 0);
    const { peers, rebalance } = await tier.view();
    assert.deepEqual(peers.map(({ id }) => id).sort(), ['gw1', 'gw2', 'gw3', 'gw4']);
    assert.deepEqual(rebalance, { mode: 'off', running: false });
    await tier.nothingLost();
});

test('a dry run moves nothing, and logs once what it would do', async (t) => {
    const tier = await Tier.start(scopeOf(t), { args: ['--rebalance', 'dry-run'] });
    await tier.startGateway(3);
    const line = new RegExp(`${STREAMS / 3} streams here, .* would end ${STREAMS / 12} of them`);
    await Promise.all(tier.gateways.slice(0, 3).map((gateway) => gateway.process.logged(line, { ms: 30000 })));
    await sleep(2000); // in which a round would have begun
    assert.equal(tier.fleet.moved, 0);
    for (const gateway of tier.gateways.slice(0, 3)) {
        assert.equal(gateway.process.log().match(/would end/g).length, 1);
        assert.equal(await gateway.metric('rebalance_mode', { mode: 'dry-run' }), 1);
        assert.equal(await gateway.metric('rebalance_surplus'), STREAMS / 12);
    }
    await tier.nothingLost();
});

test('a gateway with twice the capacity, and twice the weight in NGINX, gets twice the streams', async (t) => {
    const tier = await Tier.start(scopeOf(t), { args: ['--rebalance', 'on'], capacities: [3000, 3000, 6000] });
    await tier.startGateway(2);
    await until('all to be level by their weight', () => tier.isLevel(), { ms: 60000, every: 200 });
    assert.equal(tier.fleet.mostMoves, 1);
    await tier.nothingLost();
});

const SLOW = ['--rebalance', 'on', '--rebalance-rate', '5/s'];

async function running(tier) {
    await until('streams to be moved', async () => tier.fleet.moved > 0 && (await tier.view()).rebalance.running, { ms: 30000, every: 50 });
}

async function stopped(tier, gateways) {
    const is = (line) => (gateway) => gateway.process.log().includes(line);
    await until('all to have stopped', () => gateways.every((gateway) => !is('share: ends')(gateway) || is('rebalance: stopped after')(gateway)));
    assert.ok(gateways.some(is('rebalance: stopped after')));
    const moved = tier.fleet.moved;
    await sleep(4500); // the drain goes on, and the quiet time after a change of the tier would be over
    assert.ok(tier.fleet.moved - moved <= 1, `${tier.fleet.moved - moved} more were moved`);
}

test('the drain of a gateway stops the others from moving streams, until it is gone', async (t) => {
    const tier = await Tier.start(scopeOf(t), { args: SLOW, running: 2 });
    await tier.startGateway(2);
    await tier.startGateway(3, ['--drain-delay', '7s', '--drain-window', '0s']);
    await running(tier);
    tier.gateways[3].terminate();
    await until('its drain to be announced', async () => !(await tier.view()).peers.some(({ id, draining }) => id === 'gw4' && !draining));
    await stopped(tier, tier.gateways.slice(0, 2)); // though the third has few
    await tier.gateways[3].process.exit();
    await until('it to be gone', async () => !(await tier.view()).peers.some(({ id }) => id === 'gw4'), { ms: 2000 }); // and not after three seconds
    await tier.nothingLost();
});

test('without Redis no stream is moved; when it is back it goes on', async (t) => {
    const scope = scopeOf(t);
    const tier = await Tier.start(scope, { args: SLOW });
    await tier.startGateway(3);
    await running(tier);
    scope.defer(() => tier.redis.process.signal('SIGCONT'));
    tier.redis.process.signal('SIGSTOP');
    await until('all to be unready', async () => !(await Promise.all(tier.gateways.map((gateway) => gateway.ready()))).some(Boolean), { ms: 20000 });
    const moved = tier.fleet.moved;
    await sleep(2000);
    assert.equal(tier.fleet.moved, moved);
    tier.redis.process.signal('SIGCONT');
    await until('streams to be moved again', () => tier.fleet.moved > moved, { ms: 30000, every: 100 });
    await tier.nothingLost();
});

test('a proxy that sends streams back to the gateway that ended them is noticed, and left alone', async (t) => {
    const scope = scopeOf(t);
    const tier = await Tier.start(scope, { args: ['--rebalance', 'on'], capacities: [8000, 8000], running: 1, streams: 100 });
    const alone = await Gateway.start(scope, { redis: tier.redis, id: 'elsewhere', args: [...tier.args, '--max-connections', '8000'] });
    await tier.gateways[0].process.logged(/as many are here again: the proxy in front must know all gateways and choose by connections/, { ms: 40000 });
    assert.equal(tier.countOf(alone), 0);
    assert.ok(tier.fleet.moved <= 110, `${tier.fleet.moved} were moved`);
    await tier.nothingLost();
});

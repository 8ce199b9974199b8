// Real tiers behind NGINX beside the model: the same tier, the same event, and how far the two are apart.

import fs from 'node:fs';
import path from 'node:path';
import { Gateway } from '../lib/gateway.mjs';
import { Nginx } from '../lib/nginx.mjs';
import { BUILD } from '../lib/paths.mjs';
import { freePort } from '../lib/ports.mjs';
import { Redis } from '../lib/redis.mjs';
import { ownScope } from '../lib/scope.mjs';
import { Stream } from '../lib/stream.mjs';
import { sleep, until } from '../lib/wait.mjs';
import { Model } from './model.mjs';
import { plot } from './plot.mjs';
import { timeToLevel } from './record.mjs';
import { joins, leaves } from './scripts.mjs';

const AT_ONCE = 100; // connects in flight while the streams are opened

/** Event sources that come back when their `retry` is over, and what becomes of them. */
class Comers {
    counts = new Map(); // gateway -> open streams
    returns = []; // performance.now() of each answer to one that came back
    failed = 0;
    #closed = false;
    #streams = new Set();

    constructor(scope, port) {
        this.port = port;
        scope.defer(() => {
            this.#closed = true;
            this.#streams.forEach((s) => s.close());
        });
    }

    async open(count) {
        let next = 0;
        const starter = async () => {
            while (next < count) await this.#begin(next++);
        };
        await Promise.all(Array.from({ length: AT_ONCE }, starter));
        await until('all streams', () => this.total === count);
    }

    get total() {
        return [...this.counts.values()].reduce((a, b) => a + b, 0);
    }

    #count(gateway, by) {
        this.counts.set(gateway, (this.counts.get(gateway) ?? 0) + by);
        this.onChange?.();
    }

    async #connect(i) {
        const stream = await Stream.open(this.port, `/stream?channel=user:${i}`);
        this.#streams.add(stream);
        if (!stream.gateway) this.failed++; // NGINX found none
        else this.#count(stream.gateway, 1);
        return stream;
    }

    async #begin(i) {
        const stream = await this.#connect(i);
        this.#follow(i, stream).catch((error) => this.#closed || (this.error = error));
    }

    async #follow(i, stream) {
        for (;;) {
            await stream.closed;
            this.#streams.delete(stream);
            if (stream.gateway) this.#count(stream.gateway, -1);
            if (this.#closed) return;
            await sleep(stream.retry);
            if (this.#closed) return;
            stream = await this.#connect(i);
            this.returns.push(performance.now());
        }
    }
}

async function tier(scope, { gateways, joiners = 0, streams, args }) {
    const redis = await Redis.start(scope);
    const started = await Promise.all(Array.from({ length: gateways }, () => Gateway.start(scope, { redis, args, workers: 1 })));
    const later = await Promise.all(Array.from({ length: joiners }, async () => ({ host: '127.0.0.1', port: await freePort() })));
    const nginx = await Nginx.start(scope, { gateways: [...started, ...later] });
    const comers = new Comers(scope, nginx.port);
    await comers.open(streams);
    return { redis, gateways: started, later, comers };
}

/** One of `gateways` gets SIGTERM: when its streams came back, in seconds since then, sorted. */
export async function realDrain(scope, { gateways, streams, window, retry }) {
    const args = ['--retry', `${retry}s`, '--drain-window', `${window}s`];
    const real = await tier(scope, { gateways, streams, args });
    const ended = real.comers.counts.get(real.gateways[0].id);
    const begun = performance.now();
    real.gateways[0].terminate();
    await until('all streams are back', () => real.comers.returns.length >= ended && real.comers.total === streams, { ms: 60000 });
    if (real.comers.error) throw real.comers.error;
    return { ended, failed: real.comers.failed, times: real.comers.returns.map((t) => (t - begun) / 1000).sort((a, b) => a - b) };
}

/** The same in the model, over several seeds. */
export function modelDrain({ gateways, streams, window, retry }, seed = 1) {
    const model = new Model({ seed, gateways, streams, retry, step: 0.05, drain: { window, timeout: 60 } }).run(window + 2 * retry + 5, leaves(0, 1));
    return { ended: model.total.ended, perSecond: model.seconds.map((s) => s.returned) };
}

export function bySecond(times, length) {
    const counts = new Array(length).fill(0);
    for (const t of times) if (Math.floor(t) < length) counts[Math.floor(t)]++;
    return counts;
}

/** The largest distance of the two shares that are back, over all seconds: 0 where they are the same. */
export function distance(a, b) {
    const sum = (list) => list.reduce((x, y) => x + y, 0);
    let [x, y, far] = [0, 0, 0];
    for (let i = 0; i < Math.max(a.length, b.length); i++) {
        x += (a[i] ?? 0) / sum(a);
        y += (b[i] ?? 0) / sum(b);
        far = Math.max(far, Math.abs(x - y));
    }
    return far;
}

/**
 * One more joins, with rebalancing on: the time from when it is ready until all are within `tolerance` of the mean; how many
 * streams were moved, and the streams of each gateway by time.
 */
export async function realJoin(scope, { gateways, streams, retry, rate, tolerance, settle }) {
    const args = ['--retry', `${retry}s`, '--rebalance', 'on', '--rebalance-rate', `${rate}/s`, '--rebalance-tolerance', String(tolerance), '--rebalance-settle', `${settle}s`];
    const real = await tier(scope, { gateways, joiners: 1, streams, args });
    await sleep((settle + 2 * retry + 3) * 1000); // such gateways have been up for longer than that: the model begins there, too
    const { comers } = real;
    const mean = streams / (gateways + 1);
    const loads = [];
    const begun = performance.now();
    let uneven = begun;
    const joined = await Gateway.start(scope, { redis: real.redis, args, workers: 1, port: real.later[0].port });
    const ready = performance.now();
    comers.onChange = () => {
        const now = [...real.gateways, joined].map((g) => comers.counts.get(g.id) ?? 0);
        loads.push([(performance.now() - ready) / 1000, now]);
        if (now.some((n) => Math.abs(n - mean) > mean * tolerance)) uneven = performance.now();
    };
    const isLevel = () => (comers.counts.get(joined.id) ?? 0) >= mean * (1 - tolerance) && performance.now() - uneven > 3000;
    await until('all are level', isLevel, { ms: 120000 });
    comers.onChange = null;
    if (comers.error) throw comers.error;
    return { level: (uneven - ready) / 1000, moved: comers.returns.length, failed: comers.failed, loads };
}

export function modelJoin({ gateways, streams, retry, rate, tolerance, settle }, seed = 1) {
    const before = 15;
    const rebalance = { rate, tolerance, settle: settle * 1000 };
    const model = new Model({ seed, gateways, joiners: 1, streams, retry, rebalance }).run(before + 120, joins(before, 1));
    return { level: timeToLevel(model, before, tolerance), moved: model.total.moved, twice: model.total.movedTwice, loads: model.seconds.map((s) => [s.t - before, s.loads]) };
}

function drainPlot(real, model, title) {
    const points = (counts) => counts.map((n, t) => [t, n]);
    return { title, x: 'seconds since SIGTERM', y: 'streams that came back in each second', top: 1.4 * Math.max(...real), lines: [{ name: 'real', points: points(real), color: 1 }, { name: 'model', points: points(model), color: 0 }] };
}

function joinPlot(real, model, title) {
    const until_ = real.at(-1)[0];
    const last = (loads) => loads.filter(([t]) => t >= 0 && t <= until_).map(([t, counts]) => [t, counts.at(-1)]);
    return { title, x: 'seconds since it is ready', y: 'streams of the new gateway', left: true, lines: [{ name: 'real', points: last(real).filter((_, i) => i % 20 === 0), color: 1 }, { name: 'model', points: last(model), color: 0 }] };
}

async function inScope(name, act) {
    const scope = ownScope(path.join(BUILD, 'sim/logs', name));
    try {
        return await act(scope);
    } finally {
        await scope.end();
    }
}

const DRAINS = [{ gateways: 3, streams: 3000, window: 10, retry: 2 }, { gateways: 10, streams: 5000, window: 10, retry: 2 }];
const JOINS = [{ gateways: 3, streams: 3000, retry: 2, rate: 50, tolerance: 0.1, settle: 5 }, { gateways: 9, streams: 5000, retry: 2, rate: 10, tolerance: 0.1, settle: 5 }];

async function compareDrain(options) {
    const real = await inScope(`drain-${options.gateways}`, (scope) => realDrain(scope, options));
    const model = modelDrain(options);
    const seen = bySecond(real.times, model.perSecond.length);
    const lasts = model.perSecond.findLastIndex((n) => n > 0) + 1;
    const row = [`${options.gateways} gateways, ${options.streams} streams: one drained over ${options.window} s`, 'streams/s, most in a second', Math.max(...seen), Math.max(...model.perSecond)];
    const rows = [row, ['', 'the last is back in second', Math.ceil(real.times.at(-1)), lasts], ['', 'distance of the two curves', distance(seen, model.perSecond).toFixed(3), '0']];
    return { rows, chart: drainPlot(seen, model.perSecond, `One of ${options.gateways} gateways is drained: ${real.ended} streams`) };
}

async function compareJoin(options) {
    const real = await inScope(`join-${options.gateways}`, (scope) => realJoin(scope, options));
    const model = modelJoin(options);
    const row = [`${options.gateways} + 1 gateways, ${options.streams} streams, ${options.rate}/s, settle ${options.settle} s`, 'level after', `${real.level.toFixed(1)} s`, `${model.level.toFixed(1)} s`];
    return { rows: [row, ['', 'streams moved', real.moved, model.moved]], chart: joinPlot(real.loads, model.loads, `One more joins ${options.gateways} with ${options.streams.toLocaleString('en')} streams`) };
}

/** make sim ARGS=--real: three and ten gateways, as a table and a picture. */
export async function compareWithReality(results) {
    const all = [];
    for (const options of DRAINS) all.push(await compareDrain(options));
    for (const options of JOINS) all.push(await compareJoin(options));
    const rows = all.flatMap(({ rows }) => rows).map((cells) => `| ${cells.join(' | ')} |`);
    const text = ['| what | figure | real | model |', '| --- | --- | ---: | ---: |', ...rows].join('\n');
    console.log(text);
    const head = '# The model beside real gateways\n\nMade by `make sim ARGS=--real`: gateways, NGINX, Redis and clients on one machine.';
    fs.writeFileSync(path.join(results, 'real.md'), `${head}\n\n${text}\n\n![The last drain and the last join](real.svg)\n`);
    fs.writeFileSync(path.join(results, 'real.svg'), plot('the model beside real gateways', all[1].chart, all[3].chart));
}

// docs/runbook.md as a test takes it: of each symptom what is seen, what to type, and what is seen when it is over.
//
// In **Seen:** and **Over:** a word says what stands in the code behind it: alert `NAME`, log `LINE` (`..` is any text, N a
// number), metric `NAME{labels} VALUE` as /metrics prints it, without VALUE: above 0.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { command } from './command.mjs';
import { Gateway } from './gateway.mjs';
import { BUILD, ROOT } from './paths.mjs';
import { freePort } from './ports.mjs';
import { Prometheus } from './prometheus.mjs';
import { scopeOf } from './scope.mjs';
import { tempFolder } from './temp.mjs';
import { until } from './wait.mjs';

const TEXT = fs.readFileSync(path.join(ROOT, 'docs/runbook.md'), 'utf8');

/** heading -> text of its symptom. */
export const SYMPTOMS = new Map(TEXT.split(/^### /m).slice(1).map((text) => [text.slice(0, text.indexOf('\n')), text.replace(/^## .*/ms, '')]));

/** What **WHAT:** of a symptom says, up to the next such word. */
export const part = (text, what) => text.match(new RegExp(`^\\*\\*${what}:\\*\\*(.*?)(?=^\\*\\*\\w+:\\*\\*|$(?![^]))`, 'ms'))?.[1] ?? '';

/** The facts of one kind in a text: what stands in code behind the word. */
export const facts = (text, kind) => [...text.matchAll(new RegExp(`\\b${kind}\\s+\`([^\`]+)\``, 'g'))].map(([, fact]) => fact);

/** The lines of its `sh` blocks; one that ends with a backslash goes on in the next. */
export const commandsOf = (text) => [...text.matchAll(/^```sh\n(.*?)^```$/gms)].flatMap(([, block]) => block.replace(/\\\n\s*/g, '').split('\n').filter(Boolean));

const lineOf = (fact) => new RegExp(fact.split('..').map((words) => words.replace(/[.*+?^${}()|[\]\\]/g, '\\$&').replace(/\bN\b/g, '\\d+')).join('.*'));

function metricOf(fact) {
    const [, name, labels = '', value] = fact.match(/^sse_gateway_(\w+)(?:\{(.*)\})?(?: (\S+))?$/);
    return { name, labels: Object.fromEntries([...labels.matchAll(/(\w+)="([^"]*)"/g)].map(([, k, v]) => [k, v])), value: value === undefined ? undefined : Number(value) };
}

const AT_ONCE = 3; // most of such a test is waiting, for Prometheus to begin and for Redis to be missed
const symptoms = [];

/** A test of the symptom with this heading: `run(page, scope)` makes it, and sees what the page says. */
export function symptom(heading, options, run = options) {
    // When the file has named all of them.
    if (symptoms.length === 0) queueMicrotask(() => describe('docs/runbook.md', { concurrency: AT_ONCE }, () => symptoms.forEach((args) => define(...args))));
    symptoms.push([heading, run === options ? {} : options, run]);
}

function define(heading, options, run) {
    it(heading, options, async (t) => {
        assert.ok(SYMPTOMS.has(heading), `docs/runbook.md has no symptom "${heading}"`);
        const scope = scopeOf(t);
        try {
            await run(new Page(scope, SYMPTOMS.get(heading)), scope);
        } catch (error) {
            error.message += ` (logs: ${scope.folder})`; // the reporter looks here
            throw error;
        }
    });
}

class Page {
    #mark = 0; // where in the log what comes after the symptom begins

    constructor(scope, text) {
        this.scope = scope;
        this.text = text;
        this.folder = tempFolder(scope, 'etc');
    }

    /** Starts the gateway of the page, with `conf` as lines of its file of options, where `anonymous` stands, too; the rest as of Gateway.start. */
    async start({ conf = [], redis, args = [], anonymous = ['*'], ...options } = {}) {
        this.redis = redis;
        conf = [...anonymous.map((pattern) => `anonymous = ${pattern}`), ...conf];
        fs.writeFileSync(path.join(this.folder, 'sse-gateway.conf'), conf.map((line) => `${line}\n`).join(''));
        const place = { port: await freePort(), adminPort: await freePort() };
        const all = { redis, ...place, anonymous: [], args: ['--config', path.join(this.folder, 'sse-gateway.conf'), ...args], ...options };
        this.again = async (change = {}) => (this.gateway = await Gateway.start(this.scope, { ...all, ...change }));
        await this.again();
        return this.gateway;
    }

    /** Has a Prometheus scrape the gateways; before the symptom is made, since most alerts look at what grows. */
    async watch(gateways = [this.gateway]) {
        this.prometheus = await Prometheus.start(this.scope, { gateways });
        await until('a scrape of each', async () => (await this.prometheus.query('up == 1')).length === gateways.length);
    }

    log() {
        return this.gateway.process.log();
    }

    /** Waits for all that **Seen:** names, but for alerts where no Prometheus watches; `gateway`: whose metrics and log these are. */
    async seen({ gateway = this.gateway, ...options } = {}) {
        await this.#facts(part(this.text, 'Seen'), gateway, 0, options);
        if (this.prometheus) await this.alerted(options);
        this.#mark = gateway.process.log().length;
    }

    /** The alerts alone: of a gateway that is gone. */
    async alerted({ ms = 30000 } = {}) {
        for (const name of facts(part(this.text, 'Seen'), 'alert'))
            await until(`${name} fires`, async () => (await this.prometheus.firing()).some((alert) => alert.split(' ')[0] === name), { ms });
    }

    /** The log alone: of a gateway that has ended. */
    async logged(what = 'Seen') {
        for (const fact of facts(part(this.text, what), 'log')) await this.gateway.process.logged(lineOf(fact));
    }

    /** Waits until none of the alerts fires any more. */
    async quiet() {
        for (const name of facts(part(this.text, 'Seen'), 'alert'))
            await until(`${name} ends`, async () => !(await this.prometheus.firing()).some((alert) => alert.split(' ')[0] === name), { ms: 30000 });
    }

    /** Waits for all that **Over:** names. */
    async over({ gateway = this.gateway, ...options } = {}) {
        await this.#facts(part(this.text, 'Over'), gateway, this.#mark, options);
    }

    async #facts(text, gateway, from, options) {
        for (const fact of facts(text, 'log')) await until(`the log has ${lineOf(fact)}`, () => lineOf(fact).test(gateway.process.log().slice(from)), options);
        for (const fact of facts(text, 'metric')) {
            const { name, labels, value } = metricOf(fact);
            await until(`the metric ${fact}`, async () => {
                const now = (await gateway.metrics()).sum(`sse_gateway_${name}`, labels);
                if (value === undefined ? now > 0 : now === value) return true;
                throw new Error(String(now));
            }, options);
        }
    }

    /**
     * Types the commands of **Do:**, one after the other, as root of the gateway's host would; resolves to what each printed.
     * `map`: text of the page -> what stands here in its place; `only`: which commands; `fails`: those whose status is not 0;
     * `again`: how the gateway that `systemctl start` starts differs from that of start(); `env`: variables of the shell.
     */
    async type({ map = {}, only = /./, fails, again, env = {} } = {}) {
        const printed = [];
        for (const line of commandsOf(part(this.text, 'Do'))) {
            if (only.test(line)) printed.push(await this.#command(line, { map, fails: fails?.test(line), again, env }));
        }
        assert.ok(printed.length > 0, 'the page has commands');
        return printed;
    }

    async #command(line, { map, fails, again, env }) {
        const [, verb, unit] = line.match(/^systemctl (\w+) ([\w-]+)/) ?? [];
        if (verb) return this.#systemctl(verb, unit, again);
        const { gateway, folder } = this;
        const all = { ...map, '127.0.0.1:9180': `127.0.0.1:${gateway.adminPort}`, '127.0.0.1:8080': `${gateway.host}:${gateway.port}`,
            '/etc/sse-gateway/': `${folder}/` };
        const words = Object.entries(all).reduce((text, [from, to]) => text.replaceAll(from, () => to), line);
        const { code, out, err } = await command('bash', ['-c', `set -o pipefail; ${words}`], { cwd: folder, env: { ...env, PATH: `${this.#bin()}:${env.PATH ?? `${BUILD}:${process.env.PATH}`}` } });
        assert.equal(code !== 0, Boolean(fails), `${line}: status ${code}: ${out}${err}`);
        assert.doesNotMatch(out, /^(ERR|WRONGTYPE|NOPERM|NOAUTH) /, line); // of which redis-cli's status says nothing
        return out + err;
    }

    /** A folder with the programs of a host that know its one Redis and its one gateway. */
    #bin() {
        const { gateway, redis } = this;
        const programs = {
            'redis-cli': `exec /usr/bin/redis-cli -p ${redis?.port} "$@"`,
            'sse-publish': `exec ${BUILD}/sse-publish --redis redis://127.0.0.1:${redis?.port} "$@"`,
            journalctl: `cat ${gateway.process.logFile}`,
            pgrep: `echo ${gateway.process.pid}`,
        };
        this.bin ??= tempFolder(this.scope, 'bin');
        for (const [name, text] of Object.entries(programs)) fs.writeFileSync(path.join(this.bin, name), `#!/bin/sh\n${text}\n`, { mode: 0o755 });
        return this.bin;
    }

    async #systemctl(verb, unit, again) {
        if (unit === 'redis-server') {
            assert.ok(['start', 'restart'].includes(verb), verb);
            if (verb === 'restart' && this.redis.process.running) await this.redis.kill();
            await this.redis.run();
            return '';
        }
        assert.equal(unit, 'sse-gateway');
        const { process } = this.gateway;
        if (verb === 'reload') process.signal('SIGHUP');
        else if (verb === 'kill') process.signal('SIGTERM');
        else {
            if (verb !== 'start') {
                process.signal('SIGTERM');
                await process.exit(40000);
            }
            if (verb !== 'stop') {
                await this.again(again);
                this.#mark = 0;
            }
        }
        return '';
    }
}

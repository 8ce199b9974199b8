// docs/examples/tokens at work: Redis, gateways, NGINX, the application and its workers; and tabs that read an answer.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { openPage, startChromium } from './chromium.mjs';
import { command } from './command.mjs';
import { connect, history, load } from './durable.mjs';
import { startFirefox } from './firefox.mjs';
import { Gateway } from './gateway.mjs';
import { Nginx } from './nginx.mjs';
import { ROOT } from './paths.mjs';
import { freePort } from './ports.mjs';
import { Process } from './process.mjs';
import { Redis } from './redis.mjs';
import { until } from './wait.mjs';

const PAGE = fs.readFileSync(path.join(ROOT, 'docs/examples/tokens/answer.html'), 'utf8');
const ARGS = ['--retry', '300ms', '--heartbeat', '1s', '--refusal', 'status', '--durable', 'answer:*'];

/** (scope) -> a browser of its own: what opens a tab at a URL, and what sends a signal to all of it that has to do with the network. */
export const BROWSERS = {
    async Chromium(scope) {
        const browser = await startChromium(scope);
        const session = await browser.newBrowserCDPSession();
        const { processInfo } = await session.send('SystemInfo.getProcessInfo');
        const alive = () => processInfo.map(({ id }) => id).filter((pid) => fs.existsSync(`/proc/${pid}`));
        return { open: (url) => openPage(scope, browser, url), signal: (name) => alive().forEach((pid) => process.kill(pid, name)) };
    },
    async Firefox(scope) {
        const firefox = await startFirefox(scope);
        return { open: firefox.open, signal: (name) => firefox.process.signal(name) };
    },
};

/** Kills the one of `gateways` that has streams, and starts another in its place. */
export async function killGateway(scope, redis, gateways, args) {
    const counts = await Promise.all(gateways.map((g) => g.metric('connections')));
    const i = Math.max(counts.findIndex((n) => n > 0), 0); // none has a stream at the moment where a browser is about to come back
    const old = gateways[i];
    old.process.signal('SIGKILL');
    await old.process.exit();
    gateways[i] = await Gateway.start(scope, { redis, port: old.port, id: `${old.id}+`, args, ready: 'live' });
}

/** `example`: what prepare() says of docs/examples/tokens; `env`: of its programs. */
export async function startAnswers(scope, { program, folder, env: own }, { gateways: count = 2, env = {} } = {}) {
    const redis = await Redis.start(scope);
    const client = connect(scope, redis);
    await load(client);
    const gateways = await Promise.all(Array.from({ length: count }, () => Gateway.start(scope, { redis, args: ARGS })));
    const port = await freePort();
    const location = `    location /answers { proxy_pass http://127.0.0.1:${port}; }\n\n    location / {`;
    const nginx = await Nginx.start(scope, { gateways, files: { 'answer.html': PAGE }, change: (text) => text.replace('    location / {', () => location) });
    const all = { ...process.env, MODEL_TOKENS: '400', MODEL_PACE: '0.02', PYTHONUNBUFFERED: '1', ...own, REDIS_URL: redis.url, ...env };
    const start = (name, file, ...args) => new Process(scope, name, program, [path.join(folder, file), ...args], { env: all });
    const app = start('app', 'app.py', String(port));
    await app.ready('answers', () => fetch(`http://127.0.0.1:${port}/answers/x/stop`, { method: 'POST' }).then((said) => said.status === 404), { ms: 60000 });
    let workers = 0;
    return {
        redis, client, gateways, nginx,
        url: `${nginx.url}/answer.html`,
        startWorker: () => start(`worker-${++workers}`, 'worker.py', `w${workers}`),
        /** The whole answer, as the model would give it at once. */
        async wholeAnswer(question) {
            const said = await command(program, [path.join(folder, 'model.py'), question], { env: all });
            assert.equal(said.code, 0, said.err);
            return said.out;
        },
        events: (channel) => history(client, channel),
        killGateway: () => killGateway(scope, redis, gateways, ARGS),
        /** The questions that a worker has and has not said to be done. */
        pending: async () => (await client.xpending('answers', 'workers'))[0],
    };
}

/** A tab with answer.html; `page`: of playwright, or of tests/lib/firefox.mjs. */
export class AnswerTab {
    constructor(page) {
        this.page = page;
    }

    state() {
        return this.page.evaluate(() => ({
            text: document.getElementById('answer').textContent,
            isBusy: document.getElementById('answer').ariaBusy === 'true',
            note: document.getElementById('note').textContent,
            isClosed: typeof source !== 'undefined' && source?.readyState === EventSource.CLOSED,
        }));
    }

    /** Asks, and resolves to the channel of the answer. */
    async ask(question) {
        await this.page.evaluate((text) => {
            document.getElementById('question').value = text;
            document.querySelector('#ask button').click();
        }, question);
        return until('the channel of the answer', () => this.page.evaluate(() => new URLSearchParams(location.search).get('channel')), { every: 50 });
    }

    stop() {
        return this.page.evaluate(() => document.getElementById('stop').click());
    }

    /** Resolves once the answer has more than `length` characters. */
    grows(length) {
        return until(`more than ${length} characters`, async () => (await this.state()).text.length > length, { ms: 30000, every: 20 });
    }

    /** Waits for the end, and holds the text to `wanted`, unless that is undefined. */
    async ends(wanted, note = '') {
        await until('the end of the answer', async () => !(await this.state()).isBusy, { ms: 60000, every: 50 });
        const state = await this.state();
        assert.equal(state.note, note);
        if (wanted !== undefined) assert.equal(state.text, wanted);
        return state.text;
    }
}

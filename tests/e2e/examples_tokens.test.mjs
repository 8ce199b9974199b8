// docs/examples/tokens: an answer that a worker streams, in the EventSource that Chromium and Firefox have, through NGINX,
// where workers and gateways are killed, and its user reloads, opens it twice, or closes the lid.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { AnswerTab, startAnswers } from '../lib/answers.mjs';
import { openPage, startChromium } from '../lib/chromium.mjs';
import { brokenAt } from '../lib/durable.mjs';
import { prepare } from '../lib/examples.mjs';
import { startFirefox } from '../lib/firefox.mjs';
import { scopeOf, sharedScope } from '../lib/scope.mjs';
import { until } from '../lib/wait.mjs';

const example = prepare('tokens', 'python', '');
const chromium = await startChromium(sharedScope());

/** (scope) -> what opens a tab at a URL in a browser of its own, and what sends a signal to all of that browser that has to do with the network. */
const BROWSERS = {
    async Chromium(scope) {
        const browser = await startChromium(scope);
        const session = await browser.newBrowserCDPSession();
        const { processInfo } = await session.send('SystemInfo.getProcessInfo');
        return { open: (url) => openPage(scope, browser, url), signal: (name) => processInfo.filter(({ id }) => fs.existsSync(`/proc/${id}`)).forEach(({ id }) => process.kill(id, name)) };
    },
    async Firefox(scope) {
        const firefox = await startFirefox(scope);
        return { open: firefox.open, signal: (name) => firefox.process.signal(name) };
    },
};

async function start(t, options, startBrowser) {
    const programs = await example(t);
    if (!programs) return undefined;
    const scope = scopeOf(t);
    const world = await startAnswers(scope, programs, options);
    const log = path.join(world.nginx.folder, 'log/access.log');
    return {
        scope, ...world, ...(await startBrowser?.(scope)),
        /** How many requests for streams were answered so. Of one that lasts there is no line. */
        answered: (status) => fs.readFileSync(log, 'utf8').split('\n').filter((line) => line.includes(`"GET /stream" ${status} `)).length,
    };
}

/** What is wrong with the events of an answer that is over: '' where they are one chain with one end, the last. */
function wrongEnd(events, verdict) {
    const verdicts = events.filter((e) => ['done', 'stopped', 'failed'].includes(e.event));
    return brokenAt(events) || (verdicts.length === 1 && events.at(-1).event === verdict && events.at(-1).end ? '' : JSON.stringify(verdicts));
}

for (const [name, startBrowser] of Object.entries(BROWSERS)) {
    test(`${name}: an answer is whole where its worker and its gateways are killed in its middle, and in a tab that joins late`, async (t) => {
        const world = await start(t, { env: { SNAPSHOT_EVENTS: '60' } }, startBrowser);
        if (!world) return;
        const { open } = world;
        const whole = await world.wholeAnswer('why?');
        const tab = new AnswerTab(await open(world.url));
        const first = world.startWorker();
        const channel = await tab.ask('why?');
        await tab.grows(whole.length * .1);
        await world.killGateway();
        await tab.grows(whole.length * .3);
        first.signal('SIGKILL');
        await first.exit();
        const late = new AnswerTab(await open(`${world.url}?channel=${channel}`));
        await late.grows(whole.length * .3);
        world.startWorker();
        await tab.grows(whole.length * .5);
        await world.killGateway();
        await late.grows(whole.length * .7);
        await world.killGateway();
        for (const one of [tab, late]) await one.ends(whole);
        await until('the question to be done', async () => (await world.pending()) === 0);
        assert.equal(wrongEnd(await world.events(channel), 'done'), '');
        await new AnswerTab(await open(`${world.url}?channel=${channel}`)).ends(whole); // and when all is over
    });

    test(`${name}: the text is whole after a reload in the middle and in two tabs; after the end each load is one answer and one 204, and no more`, async (t) => {
        const world = await start(t, {}, startBrowser);
        if (!world) return;
        const whole = await world.wholeAnswer('why?');
        world.startWorker();
        const tab = new AnswerTab(await world.open(world.url));
        const channel = await tab.ask('why?');
        const url = `${world.url}?channel=${channel}`;
        await tab.grows(whole.length * .3);
        await tab.page.goto(url);
        const second = new AnswerTab(await world.open(url));
        await tab.page.goto(url);
        for (const one of [tab, second]) await one.ends(whole);
        const over = async (one) => {
            await one.ends(whole);
            await until('the browser to ask no more', async () => (await one.state()).isClosed);
        };
        for (const one of [tab, second]) await over(one);
        assert.equal(world.answered(204), 2);
        const before = world.answered(200);
        for (let load = 1; load <= 3; load++) { // each takes longer than a browser waits before it comes back
            await tab.page.goto(url);
            await over(tab);
            assert.deepEqual([world.answered(200), world.answered(204)], [before + load, 2 + load]);
        }
        for (const gateway of world.gateways) assert.equal(await gateway.metric('connections'), 0);
    });

    test(`${name}: the laptop sleeps while gateways are killed and the answer ends; the text is whole when it wakes up`, async (t) => {
        const world = await start(t, {}, startBrowser);
        if (!world) return;
        const whole = await world.wholeAnswer('and now?');
        world.startWorker();
        const tab = new AnswerTab(await world.open(world.url));
        const channel = await tab.ask('and now?');
        await tab.grows(whole.length * .2);
        world.signal('SIGSTOP');
        world.scope.defer(() => world.signal('SIGCONT'));
        await world.killGateway();
        await until('the end of the answer', async () => (await world.events(channel)).at(-1).end, { ms: 30000 });
        world.signal('SIGCONT');
        await tab.ends(whole);
        await until('the browser to ask no more', async () => (await tab.state()).isClosed, { ms: 30000 });
        assert.equal(world.answered(204), 1);
    });
}

test('a worker that was taken for dead writes nothing more when it wakes up', async (t) => {
    const world = await start(t);
    if (!world) return;
    const whole = await world.wholeAnswer('and then?');
    const tab = new AnswerTab(await openPage(world.scope, chromium, world.url));
    const first = world.startWorker();
    const channel = await tab.ask('and then?');
    await tab.grows(whole.length * .2);
    process.kill(first.pid, 'SIGSTOP');
    const { length } = (await tab.state()).text;
    world.startWorker();
    await tab.grows(length + 100);
    process.kill(first.pid, 'SIGCONT');
    await tab.ends(whole);
    const events = await world.events(channel);
    assert.equal(wrongEnd(events, 'done'), '');
    const writers = events.slice(1).map((e) => e.key?.split(' ')[0]).filter(Boolean);
    assert.deepEqual(writers.filter((w, i) => w !== writers[i - 1]), ['w1', 'w2']);
});

test('the stop button ends the answer for every tab, and its worker writes no more', async (t) => {
    const world = await start(t);
    if (!world) return;
    world.startWorker();
    const tab = new AnswerTab(await openPage(world.scope, chromium, world.url));
    const channel = await tab.ask('how long?');
    await tab.grows(100);
    const other = new AnswerTab(await openPage(world.scope, chromium, `${world.url}?channel=${channel}`));
    await other.grows(100);
    await other.stop();
    const text = await tab.ends(undefined, 'Stopped.');
    await other.ends(text, 'Stopped.');
    await until('the worker to be done with it', async () => (await world.pending()) === 0);
    const events = await world.events(channel);
    assert.equal(wrongEnd(events, 'stopped'), '');
    assert.equal(events.filter((e) => e.event === 'text').map((e) => e.data).join(''), text);
    await tab.stop(); // twice is once
    assert.deepEqual(await world.events(channel), events);
});

test('an answer that no gateway has had a stream of for a while is stopped; one whose tab comes back in time goes on', async (t) => {
    const world = await start(t, { env: { MODEL_TOKENS: '4000', UNHEARD_SECONDS: '3' } });
    if (!world) return;
    world.startWorker();
    const page = await openPage(world.scope, chromium, world.url);
    const tab = new AnswerTab(page);
    const channel = await tab.ask('for whom?');
    await tab.grows(50);
    await page.reload();
    await tab.grows(150);
    await page.close();
    const events = await until('the end of the answer', async () => {
        const all = await world.events(channel);
        return all.at(-1).end && all;
    }, { ms: 60000 });
    assert.equal(wrongEnd(events, 'stopped'), '');
});

// docs/examples/tokens: an answer that a worker streams, in the EventSource that Chromium and Firefox have, through NGINX, where workers
// and gateways are killed, and it is stopped.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AnswerTab, BROWSERS, startAnswers } from '../lib/answers.mjs';
import { openPage, startChromium } from '../lib/chromium.mjs';
import { brokenAt } from '../lib/durable.mjs';
import { prepare } from '../lib/examples.mjs';
import { scopeOf, sharedScope } from '../lib/scope.mjs';
import { until } from '../lib/wait.mjs';

const example = prepare('tokens', 'python', '');
const chromium = await startChromium(sharedScope());

async function start(t, options, startBrowser) {
    const programs = await example(t);
    if (!programs) return undefined;
    const scope = scopeOf(t);
    return { scope, ...(await startAnswers(scope, programs, options)), ...(await startBrowser?.(scope)) };
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

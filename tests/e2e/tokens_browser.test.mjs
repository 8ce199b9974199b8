// An answer in the EventSource that browsers have, where its user reloads, opens it twice, or closes the lid.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { AnswerTab, BROWSERS, startAnswers } from '../lib/answers.mjs';
import { prepare } from '../lib/examples.mjs';
import { scopeOf } from '../lib/scope.mjs';
import { until } from '../lib/wait.mjs';

const example = prepare('tokens', 'python', '');

async function start(t, startBrowser) {
    const programs = await example(t);
    if (!programs) return undefined;
    const scope = scopeOf(t);
    const world = await startAnswers(scope, programs);
    const log = path.join(world.nginx.folder, 'log/access.log');
    return {
        scope, ...world, ...(await startBrowser(scope)),
        /** How many requests for streams were answered so. Of one that lasts there is no line. */
        answered: (status) => fs.readFileSync(log, 'utf8').split('\n').filter((line) => line.includes(`"GET /stream" ${status} `)).length,
    };
}

for (const [name, startBrowser] of Object.entries(BROWSERS)) {
    test(`${name}: the text is whole after a reload in the middle and in two tabs; after the end each load is one answer and one 204, and no more`, async (t) => {
        const world = await start(t, startBrowser);
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
        const world = await start(t, startBrowser);
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

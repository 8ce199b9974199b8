// The helper of deploy/client in Chromium, which also freezes pages and keeps them for the way back.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openPage, startChromium } from '../lib/chromium.mjs';
import { clientPromises } from '../lib/client_promises.mjs';
import { numbers, startTabs } from '../lib/client_tabs.mjs';
import { sharedScope } from '../lib/scope.mjs';
import { until } from '../lib/wait.mjs';

const chromium = await startChromium(sharedScope());

/** Tabs in one context of `browser`. */
async function tabsOf(browser, scope, url) {
    const first = await openPage(scope, browser, url);
    let unused = first;
    return async () => {
        const page = unused ?? (await first.context().newPage());
        unused = null;
        await page.goto(url);
        return page;
    };
}

const opener = (scope, url) => tabsOf(chromium, scope, url);
const withCache = async (scope, url) => tabsOf(await startChromium(scope, { ignoreDefaultArgs: ['--disable-back-forward-cache'] }), scope, url);

clientPromises('Chromium', opener);

for (const others of [0, 2]) {
    test(`Chromium: a page that comes out of the back/forward cache, with ${others} other tabs, gets what it missed, and they get nothing twice`, async (t) => {
        const world = await startTabs(t, withCache);
        const tab = await world.open(['a', 'b']);
        const rest = [];
        for (let i = 0; i < others; i++) rest.push(await world.open(['a', 'c']));
        for (const n of ['1', '2']) await world.durable('a', n);
        await tab.has('a', ['1', '2']);
        await tab.page.goto(`${world.nginx.url}/other.html`);
        if (!others) await until('no stream', async () => (await world.streams()) === 0);
        for (const n of ['3', '4']) await Promise.all(['a', 'b', 'c'].map((channel) => world.durable(channel, n)));
        for (const other of rest) await other.has('a', ['1', '2', '3', '4']);
        await tab.page.goBack({ waitUntil: 'commit' }); // nothing is loaded on that way
        await until('the page to be back', async () => (await tab.log()).persisted === true);
        await tab.is('open');
        await world.durable('a', '5');
        await tab.has('a', ['1', '2', '3', '4', '5']);
        await tab.has('b', ['3', '4']);
        assert.deepEqual((await tab.log()).gaps, []);
        for (const other of rest) {
            await other.has('a', ['1', '2', '3', '4', '5']);
            await other.has('c', ['3', '4']);
            assert.deepEqual((await other.log()).gaps, []);
        }
        await world.oneStream();
    });
}

// A browser without a screen freezes nothing: the events come from the test.
test('Chromium: a page that is about to be frozen hands the stream over at once, and gets what it missed when it is resumed', async (t) => {
    const world = await startTabs(t, opener, { silence: 45000 }); // no tab takes the lock of another within this test
    const tabs = [await world.open(['a']), await world.open(['a']), await world.open(['a'])];
    const kept = numbers(world.durable, ['a']);
    const tell = (type) => tabs[0].page.evaluate((type) => document.dispatchEvent(new Event(type)), type);
    await until('events', () => kept.all.length > 20);
    await tell('freeze');
    const { events } = await tabs[0].log();
    const frozen = String(kept.all.length + 5);
    await until('the others to go on', async () => (await tabs[1].datas('a')).includes(frozen));
    assert.equal((await tabs[0].log()).events.length, events.length, 'nothing is done in a page that is to be frozen');
    await tell('resume');
    await until('events', () => kept.all.length > Number(frozen) + 50);
    await kept.stop();
    for (const tab of tabs) {
        await tab.has('a', kept.all);
        assert.deepEqual((await tab.log()).gaps, []);
    }
    await world.oneStream();
});

test('Chromium: the tab that holds the stream hangs: another takes the lock from it, and the first gets all when it comes back', async (t) => {
    const world = await startTabs(t, opener, { silence: 3000 });
    const tabs = [await world.open(['a']), await world.open(['a'])];
    const kept = numbers(world.durable, ['a']);
    await until('events', () => kept.all.length > 20);
    const hung = tabs[0].page.evaluate(() => {
        for (const end = Date.now() + 10000; Date.now() < end;);
    });
    const before = String(kept.all.length + 5);
    await until('the other to go on', async () => (await tabs[1].datas('a')).includes(before), { ms: 9000 });
    await hung;
    await kept.stop();
    for (const tab of tabs) {
        await tab.has('a', kept.all);
        assert.deepEqual((await tab.log()).gaps, []);
    }
    await world.oneStream();
});

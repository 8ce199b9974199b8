// The helper of deploy/client in Firefox, and on a laptop that sleeps: a Firefox that stands still.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { clientPromises } from '../lib/client_promises.mjs';
import { numbers, startTabs } from '../lib/client_tabs.mjs';
import { startFirefox } from '../lib/firefox.mjs';
import { sharedScope } from '../lib/scope.mjs';
import { until } from '../lib/wait.mjs';

const firefox = await startFirefox(sharedScope());

// Each test has an origin of its own, and so its own lock.
const opener = (scope, url) => async () => {
    const page = await firefox.open(url);
    scope.defer(() => page.close());
    return page;
};

clientPromises('Firefox', opener);

test('Firefox: the browser stands still while its gateway goes silent for good, and nothing is missing when it wakes up', async (t) => {
    const world = await startTabs(t, opener, { silence: 9000 });
    const tabs = [await world.open(['kept']), await world.open(['kept'])];
    const kept = numbers(world.durable, ['kept'], 100);
    await until('events', async () => (await tabs[1].datas('kept')).length > 5);
    const holder = await world.takeHolder();
    firefox.process.signal('SIGSTOP');
    holder.process.signal('SIGSTOP'); // says nothing, and keeps its connections: as what a laptop finds when it wakes up
    world.scope.defer(() => holder.process.signal('SIGCONT'));
    const asleep = kept.all.length;
    await until('a while', () => kept.all.length > asleep + 120, { ms: 60000 });
    firefox.process.signal('SIGCONT');
    await world.oneStream();
    await kept.stop();
    for (const tab of tabs) {
        await tab.has('kept', kept.all);
        assert.deepEqual((await tab.log()).gaps, []);
    }
});

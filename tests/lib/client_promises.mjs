// What the helper of deploy/client promises in every browser: one stream for all tabs, over HTTP/1.1, through NGINX onto
// real gateways.

import assert from 'node:assert/strict';
import http from 'node:http';
import { test } from 'node:test';
import { Keys } from './bearer.mjs';
import { ARGS, clientFiles, ClientTab, numbers, startTabs } from './client_tabs.mjs';
import { Gateway } from './gateway.mjs';
import { scopeOf } from './scope.mjs';
import { until } from './wait.mjs';

const TABS = 10;

/** The tests, for the browser of that name; `opener` as startTabs has it. */
export function clientPromises(browser, opener) {
    test(`${browser}: ${TABS} tabs over HTTP/1.1 are one stream, and each gets each event of its channels once and in order`, async (t) => {
        const world = await startTabs(t, opener);
        const tabs = [];
        for (let i = 0; i < TABS; i++) tabs.push(await world.open(['all', 'plain', `own:${i}`]));
        await world.oneStream();
        const [kept, plain] = [numbers(world.durable, ['all', ...tabs.map((_, i) => `own:${i}`)]), numbers((...a) => world.redis.publish(...a), ['plain'])];
        await until('100 events of each channel', () => kept.all.length >= 100 && plain.all.length >= 100, { ms: 60000 });
        await Promise.all([kept.stop(), plain.stop()]);
        for (const [i, tab] of tabs.entries()) {
            await tab.has('all', kept.all);
            await tab.has('plain', plain.all);
            await tab.has(`own:${i}`, kept.all);
            const { events, gaps, states } = await tab.log();
            assert.equal(events.length, 2 * kept.all.length + plain.all.length, 'nothing of the channels of other tabs');
            assert.deepEqual([gaps, states], [[], ['open']]);
        }
        await world.oneStream();
    });

    test(`${browser}: the tab that holds the stream is closed, six times, and no tab misses or doubles a durable event`, async (t) => {
        const world = await startTabs(t, opener);
        const tabs = [];
        for (let i = 0; i < 8; i++) tabs.push(await world.open(['all']));
        const kept = numbers(world.durable, ['all']);
        while (tabs.length > 2) { // the first of those that are left waits longest for the lock
            const before = kept.all.length;
            await until('events', async () => (await tabs[0].datas('all')).length > before + 10);
            await tabs.shift().close();
            const closed = String(kept.all.length);
            await until('the next one to go on', async () => (await tabs[0].datas('all')).includes(closed), { ms: 30000 });
        }
        await kept.stop();
        for (const tab of tabs) {
            await tab.has('all', kept.all);
            assert.deepEqual((await tab.log()).gaps, []);
        }
        await world.oneStream();
    });

    test(`${browser}: channels come and go with events in flight, and those that stay miss and double nothing, plain ones neither`, async (t) => {
        const world = await startTabs(t, opener);
        const [stays, changes] = [await world.open(['kept', 'plain']), await world.open(['kept'])];
        const [kept, plain] = [numbers(world.durable, ['kept', 'late']), numbers((...a) => world.redis.publish(...a), ['plain'])];
        const opened = () => Promise.all(world.gateways.map((g) => g.metric('connections_total'))).then(([a, b]) => a + b);
        for (let round = 0; round < 5; round++) {
            const before = await opened();
            await changes.want([`other:${round}`, 'late']);
            await changes.is('open');
            await changes.drop(`other:${round}`);
            await changes.drop('late');
            await until('the channels to be given up', async () => (await opened()) >= before + 2);
        }
        await Promise.all([kept.stop(), plain.stop()]);
        for (const tab of [stays, changes]) await tab.has('kept', kept.all);
        await stays.has('plain', plain.all);
        const late = (await changes.datas('late')).map(Number);
        assert.ok(late.length > 5 && late.every((n, i) => i === 0 || n > late[i - 1]), `each once and in order: ${late}`);
        assert.deepEqual((await stays.log()).states, ['open'], 'none of this is seen by a tab whose channels stay');
        assert.deepEqual([(await stays.log()).gaps, (await changes.log()).gaps], [[], []]);
        await world.oneStream();
    });

    test(`${browser}: what is late on the old stream is not lost when a new one replaces it, and stays in order`, async (t) => {
        const world = await startTabs(t, opener);
        const [stays, changes] = [await world.open(['plain']), await world.open(['plain'])];
        const holder = await world.takeHolder();
        world.gateways.push(holder);
        holder.process.signal('SIGSTOP');
        await world.redis.publish('plain', 'late');
        await changes.want(['new']);
        await changes.is('open');
        await world.redis.publish('plain', 'later');
        holder.process.signal('SIGCONT');
        for (const tab of [stays, changes]) await tab.has('plain', ['late', 'later']);
        await world.oneStream();
    });

    test(`${browser}: what a new stream brings late is nothing twice, though by then the next one is asked for`, async (t) => {
        const world = await startTabs(t, opener, { gateways: 3 }); // least_conn: each of three streams has one of its own
        const [stays, changes] = [await world.open(['plain']), await world.open(['plain'])];
        const first = await world.takeHolder();
        await changes.want(['one']);
        await changes.is('open');
        const fresh = await world.takeHolder();
        world.gateways.push(first, fresh);
        fresh.process.signal('SIGSTOP');
        await world.redis.publish('plain', 'late');
        await until('the old stream to bring it', async () => (await stays.datas('plain')).length > 0);
        await changes.want(['two']);
        await changes.is('open');
        fresh.process.signal('SIGCONT');
        await until('the second of the streams to be closed', async () => (await world.streams()) === 1);
        await world.redis.publish('plain', 'later');
        for (const tab of [stays, changes]) await tab.has('plain', ['late', 'later']);
    });

    test(`${browser}: the gateway of the stream is killed, then another one hangs: the next one brings what is missing`, async (t) => {
        const world = await startTabs(t, opener, { gateways: 3, silence: 3000 });
        const tabs = [await world.open(['kept']), await world.open(['kept'])];
        const kept = numbers(world.durable, ['kept']);
        for (const signal of ['SIGKILL', 'SIGSTOP']) {
            await until('events', async () => (await tabs[1].datas('kept')).length > 20);
            const holder = await world.takeHolder();
            holder.process.signal(signal);
            if (signal === 'SIGSTOP') world.scope.defer(() => holder.process.signal('SIGCONT'));
            await world.oneStream();
        }
        await kept.stop();
        for (const tab of tabs) {
            await tab.has('kept', kept.all);
            assert.deepEqual((await tab.log()).gaps, []);
        }
    });

    test(`${browser}: a gap is told to the tabs of its channel alone, by name of the event a handler gets what it asked for`, async (t) => {
        const world = await startTabs(t, opener, { args: ['--max-message', '1000'] });
        const [a, b] = [await world.open(['a']), await world.open(['b'])];
        await b.want(['named'], 'order');
        await b.is('open');
        await world.durable('a', '1');
        await world.durable('named', 'no');
        await world.durable('named', 'yes', 'order');
        await world.redis.publish('a', 'x'.repeat(1001));
        await world.durable('a', '2');
        await a.has('a', ['1', '2']);
        await b.has('named', ['yes']);
        assert.deepEqual((await a.log()).gaps, [{ channel: 'a', from: null, to: null }]);
        assert.deepEqual((await b.log()).gaps, []);
        const [event] = (await b.log()).events;
        assert.deepEqual(Object.keys(event).sort(), ['channel', 'data', 'lastEventId', 'type']);
        assert.equal(event.type, 'order');
    });

    test(`${browser}: each stream is opened with a ticket of its own, and none is refused`, async (t) => {
        const keys = new Keys({ defer: (undo) => t.after(undo) });
        const world = await startTabs(t, opener, { args: keys.args, anonymous: [] });
        const token = keys.token('ann', { channels: ['user:ann*'] });
        const tabs = [await world.open(['user:ann:1'], { token }), await world.open(['user:ann:2'], { token })];
        const kept = numbers(world.durable, ['user:ann:1', 'user:ann:2']);
        for (const [i, old] of world.gateways.entries()) {
            old.process.signal('SIGKILL');
            await old.process.exit();
            world.gateways[i] = await Gateway.start(world.scope, { redis: world.redis, port: old.port, args: [...ARGS, ...keys.args], anonymous: [] });
            await world.oneStream();
        }
        await kept.stop();
        await tabs[0].has('user:ann:1', kept.all);
        await tabs[1].has('user:ann:2', kept.all);
        const asked = (await tabs[0].log()).tickets;
        assert.ok(asked >= 3, `${asked} tickets`);
        assert.equal((await tabs[1].log()).tickets, 0, 'a tab that holds no stream asks for none');
        for (const gateway of world.gateways) assert.equal(await gateway.metric('auth_failures_total'), 0);
    });

    test(`${browser}: a channel that is refused is the matter of the tab that asked for it`, async (t) => {
        const world = await startTabs(t, opener, { anonymous: ['open:*'] });
        const good = await world.open(['open:1']);
        const bad = await world.open(['secret'], {}, { state: 'refused 403' });
        await world.durable('open:1', '1');
        const third = await world.open(['open:2']);
        await world.durable('open:2', '1');
        await good.has('open:1', ['1']);
        await third.has('open:2', ['1']);
        assert.deepEqual((await good.log()).states, ['open']);
        assert.deepEqual((await bad.log()).states, ['refused 403']);
    });

    test(`${browser}: where there are no Web Locks each tab has a stream of its own`, async (t) => {
        const world = await startTabs(t, opener);
        const tabs = [await world.open(['a'], { alone: true }), await world.open(['a'], { alone: true })];
        await world.durable('a', '1');
        for (const tab of tabs) await tab.has('a', ['1']);
        assert.equal(await world.streams(), 2);
    });

    test(`${browser}: the whole tier is gone for a while: the tabs are told, and miss nothing once it is back`, async (t) => {
        const world = await startTabs(t, opener);
        const tabs = [await world.open(['kept']), await world.open(['kept'])];
        await world.durable('kept', '1');
        await tabs[1].has('kept', ['1']);
        const gone = world.gateways.splice(0);
        gone.forEach((gateway) => gateway.process.signal('SIGKILL'));
        for (const tab of tabs) await tab.is('connecting');
        await world.durable('kept', '2');
        for (const { port, process } of gone) {
            await process.exit();
            world.gateways.push(await Gateway.start(world.scope, { redis: world.redis, port, args: ARGS }));
        }
        for (const tab of tabs) {
            await tab.is('open');
            await tab.has('kept', ['1', '2']);
            assert.deepEqual((await tab.log()).states, ['open', 'connecting', 'open']);
        }
        await world.oneStream();
    });

    test(`${browser}: a tab may begin earlier than now, and the others get nothing twice, nor what is older than they are`, async (t) => {
        const world = await startTabs(t, opener);
        const tab = await world.open(['a']);
        for (const n of ['1', '2', '3']) await world.durable('a', n);
        await tab.has('a', ['1', '2', '3']);
        const { lastEventId } = (await tab.log()).events[0];
        const late = await world.open(['a']);
        const [early, all] = [await world.open(['a'], { lastEventId }), await world.open(['a'], { lastEventId: 'earliest' })];
        await early.has('a', ['2', '3']);
        await all.has('a', ['1', '2', '3']);
        await world.durable('a', '4');
        await early.has('a', ['2', '3', '4']);
        for (const other of [tab, all]) await other.has('a', ['1', '2', '3', '4']);
        await late.has('a', ['4']);
        await world.oneStream();
    });

    test(`${browser}: a tab that begins where nothing is kept any more is told of the gap, and the others, who had it all, are not`, async (t) => {
        const world = await startTabs(t, opener);
        const tab = await world.open(['a']);
        for (const n of ['1', '2', '3', '4', '5']) await world.durable('a', n, '', 'maxlen', '2');
        await tab.has('a', ['1', '2', '3', '4', '5']);
        const { lastEventId } = (await tab.log()).events[0];
        const holder = await world.takeHolder(); // with it goes what its workers remember
        holder.terminate();
        await holder.process.exit();
        await world.oneStream();
        const early = await world.open(['a'], { lastEventId });
        await early.has('a', ['4', '5']);
        assert.deepEqual((await early.log()).gaps, [{ channel: 'a', from: 2, to: 3 }]);
        await world.durable('a', '6');
        await early.has('a', ['4', '5', '6']);
        await tab.has('a', ['1', '2', '3', '4', '5', '6']);
        assert.deepEqual((await tab.log()).gaps, []);
    });

    test(`${browser}: each tab is told once of the end of a channel, behind its last event; when all have ended no stream is asked for`, async (t) => {
        const world = await startTabs(t, opener, { silence: 3000 });
        const [one, both] = [await world.open(['a']), await world.open(['a', 'b'])];
        await world.durable('a', '1');
        await world.durable('a', '2', '', 'end', '600');
        for (const tab of [one, both]) {
            await until('the end', async () => (await tab.log()).ends.length > 0);
            await tab.has('a', ['1', '2']);
        }
        const late = await world.open(['a']);
        await until('the end of a channel that had ended before', async () => (await late.log()).ends.length > 0);
        assert.deepEqual((await late.log()).events, []);
        const replayed = await world.open(['a'], { lastEventId: 'earliest' });
        await until('the end behind what is kept', async () => (await replayed.log()).ends.length > 0);
        await replayed.has('a', ['1', '2']);
        await world.durable('b', '1', '', 'end', '600');
        const tabs = [one, both, late, replayed];
        for (const tab of tabs) await tab.is('ended 204');
        await until('no stream', async () => (await world.streams()) === 0);
        const ends = async () => (await Promise.all(world.gateways.map((g) => g.metric('closes_total', { reason: 'ended' })))).reduce((a, b) => a + b);
        const clock = await world.open(['clock'], { name: 'clock' });
        const ticks = numbers(world.durable, ['clock']);
        await until('what was under way', () => ticks.all.length > 30, { ms: 30000 });
        const before = await ends();
        await until('the time of several ticks', () => ticks.all.length > 150, { ms: 30000 });
        await clock.has('clock', await ticks.stop());
        assert.equal(await ends(), before, 'no further request');
        for (const tab of tabs) {
            const { ends, gaps, events, states } = await tab.log();
            assert.deepEqual([ends, gaps], [tab === both ? ['a', 'b'] : ['a'], []]);
            assert.equal(states.at(-1), 'ended 204', states.join());
            assert.equal(events.filter((e) => e.channel === 'a').length, tab === late ? 0 : 2);
        }
        // The channel begins anew for who comes then.
        await world.durable('a', 'anew');
        const newest = await world.open(['a', 'c']);
        await world.durable('a', 'more');
        for (const tab of [newest, one]) await until('the new life', async () => (await tab.datas('a')).at(-1) === 'more', { ms: 30000 });
    });

    test(`${browser}: 204 and what is wrong with the request are final, anything else is tried again, not before it may be`, async (t) => {
        const server = await scripted(t);
        const openTab = await opener(server.scope, `${server.url}/client.html`);
        const final = [204, 400, 401, 403, 404, 406], passing = [200, 408, 425, 429, 500, 502, 503];
        const tabs = new Map();
        const beginsEarlier = { lastEventId: 'earliest', silence: 3000 }; // such a tab asks for a stream until one has begun
        for (const status of [...final, ...passing]) tabs.set(status, await ClientTab.open(openTab, ['a'], { url: `/stream/${status}`, ...(final.includes(status) && beginsEarlier) }, { state: null }));
        await until('all to be tried again that may pass', () => passing.every((status) => server.times[status]?.length >= 2), { ms: 60000 });
        for (const status of final) {
            assert.deepEqual((await tabs.get(status).log()).states, [`${status === 204 ? 'ended' : 'refused'} ${status}`]);
            assert.equal(server.times[status].length, 1, status);
        }
        for (const status of passing) {
            assert.deepEqual((await tabs.get(status).log()).states, []);
            const [a, b] = server.times[status];
            // Chromium itself asks again after a 408 on a connection that it had.
            assert.ok(b - a >= ({ 200: 4500, 408: 0, 429: 4000, 503: 4000 }[status] ?? 900), `${status}: after ${b - a} ms`);
        }
    });
}

/** A server with the files of a tab, whose /stream/STATUS has that status, and 200 no events but `retry`; `times`: when each was asked. */
async function scripted(t) {
    const files = clientFiles(), times = {};
    const server = http.createServer(({ url }, response) => {
        const [, file, status] = new URL(url, 'http://a').pathname.split('/');
        if (file !== 'stream') return response.writeHead(200, { 'Content-Type': file.endsWith('js') ? 'text/javascript' : 'text/html' }).end(files[file]);
        (times[status] ??= []).push(performance.now());
        response.writeHead(Number(status), { 'Content-Type': 'text/event-stream', ...(['429', '503'].includes(status) && { 'Retry-After': '4' }) });
        response.end(status === '200' ? 'retry: 4500\n\n' : '');
    });
    await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
    const scope = scopeOf(t);
    scope.defer(() => server.closeAllConnections());
    scope.defer(() => server.close());
    return { url: `http://127.0.0.1:${server.address().port}`, times, scope };
}

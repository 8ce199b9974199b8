// A crowd at the door does not keep those inside waiting; who finds no place, or no descriptor, costs next to nothing; and
// what is given back is used again.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import { test } from 'node:test';
import { command } from '../lib/command.mjs';
import { Crowd, descriptorsAllowed } from '../lib/crowd.mjs';
import { exchange, RawConnection } from '../lib/raw_http.mjs';
import { scopeOf } from '../lib/scope.mjs';
import { openStreams } from '../lib/streams.mjs';
import { startTier } from '../lib/tier.mjs';
import { sleep, until } from '../lib/wait.mjs';

const CROWD = 4000; // stands in the queue of one listener, which has 4096 places
const MANY = Math.min(8000, descriptorsAllowed() - 500);

/** The messages are numbers, from 0 to before `count`. */
const assertAll = (stream, count) => assert.deepEqual(stream.events.map((e) => Number(e.data)), Array.from({ length: count }, (_, i) => i));

test(`${CROWD} clients that stand at the door do not hold up the messages of streams that run`, async (t) => {
    const scope = scopeOf(t);
    const { redis, gateway } = await startTier(scope, { workers: 1 });
    const running = await openStreams(scope, Array(5).fill({ port: gateway.port, path: '/stream?channel=a' }));
    const crowd = new Crowd(scope, { processes: 2 });
    let published = 0;
    const publish = () => redis.publishAll([['a', String(published++)]]);

    // While the gateway stands still, the crowd gathers.
    process.kill(gateway.process.pid, 'SIGSTOP');
    try {
        await crowd.open(gateway.port, '/stream?channel=a', CROWD);
        await crowd.until('everybody at the door', (s) => s.connected === CROWD);
    } finally {
        process.kill(gateway.process.pid, 'SIGCONT');
    }
    // Each message is published when the one before it has arrived.
    let inside = false;
    const letIn = crowd.until('everybody inside', (s) => s.open === CROWD, { every: 100 }).finally(() => (inside = true));
    while (!inside) {
        await publish();
        await Promise.all(running.map((s) => s.count(published, { every: 1 })));
    }
    await letIn;
    await publish();
    await Promise.all(running.map((s) => s.count(published)));
    for (const stream of running) assertAll(stream, published);

    await crowd.until('the newest message at everybody', (s) => s.lasts.every((n) => n === published - 1));
    const { firsts, broken, ended } = await crowd.stats();
    assert.deepEqual({ broken, ended }, { broken: 0, ended: 0 });
    // A member's first message says between which two it was let in. Were the queue emptied before any message has its turn,
    // all of them would have the same.
    const turns = new Set(firsts).size;
    t.diagnostic(`${turns} messages had their turn while ${CROWD} clients were let in`);
    assert.ok(turns >= 5, `${turns} messages had their turn while ${CROWD} clients were let in`);
    await gateway.metricIs('connections', CROWD + running.length);
    assert.equal(await gateway.metric('messages_dropped_total'), 0);
});

test(`${MANY} clients that come at once are all let in, and messages published every 50 ms meanwhile all arrive, in order`, async (t) => {
    const scope = scopeOf(t);
    const { redis, gateway } = await startTier(scope);
    const running = await openStreams(scope, Array(20).fill({ port: gateway.port, path: '/stream?channel=a' }));
    const crowd = new Crowd(scope, { processes: 2 });
    let published = 0;
    let inside = false;
    const letIn = crowd.open(gateway.port, '/stream?channel=crowd:%', MANY)
        .then(() => crowd.until('everybody inside', (s) => s.open === MANY, { every: 200 }))
        .finally(() => (inside = true));
    while (!inside) {
        await redis.publishAll([['a', String(published++)]]);
        await sleep(50);
    }
    await letIn;
    await Promise.all(running.map((s) => s.count(published)));
    for (const stream of running) assertAll(stream, published);
    await gateway.metricIs('connections', MANY + running.length);
    await gateway.metricIs('subscriptions', MANY + 1);

    await crowd.close();
    await gateway.metricIs('connections', running.length);
    await gateway.metricIs('sockets', running.length + 1); // and the one that asks
    await redis.publishAll([['a', String(published++)]]);
    await Promise.all(running.map((s) => s.count(published)));
});

/** Seconds of processor time that a process has used (proc(5); Linux counts 100 ticks a second). */
function cpuSeconds(pid) {
    const fields = fs.readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].split(' ');
    return (Number(fields[11]) + Number(fields[12])) / 100;
}

async function limitDescriptors(pid, limit) {
    const { code, err } = await command('prlimit', ['--pid', String(pid), `--nofile=${limit}:`]);
    assert.equal(code, 0, err);
}

test('without descriptors the gateway does not spin, keeps its streams, lets waiting clients go, and recovers', async (t) => {
    const scope = scopeOf(t);
    const { redis, gateway } = await startTier(scope);
    const { pid } = gateway.process;
    const held = () => fs.readdirSync(`/proc/${pid}/fd`).length;
    const running = await openStreams(scope, Array(50).fill({ port: gateway.port, path: '/stream?channel=a' }));
    let published = 0;
    const publish = async () => {
        await redis.publishAll([['a', String(published++)]]);
        await Promise.all(running.filter((s) => s.open).map((s) => s.count(published)));
    };
    await gateway.metricIs('sockets', running.length + 1); // and the one that asks
    assert.equal(await gateway.metric('accept_pauses_total'), 0);

    const starved = performance.now();
    await limitDescriptors(pid, held() + 10);
    const crowd = new Crowd(scope);
    await crowd.open(gateway.port, '/stream?channel=a', 300);
    await crowd.until('some inside, and some let go', (s) => s.open > 0 && s.ended > 2);
    const inside = (await crowd.stats()).open;
    assert.ok(inside <= 20, `${inside} inside`);

    const from = { cpu: cpuSeconds(pid), at: performance.now(), ended: (await crowd.stats()).ended };
    while (performance.now() - from.at < 3000) { // what does not happen has no end to wait for
        await publish();
        await sleep(100);
    }
    const window = (performance.now() - from.at) / 1000;
    const cpu = cpuSeconds(pid) - from.cpu;
    assert.ok(cpu < window / 4, `${cpu.toFixed(2)} s of processor time in ${window.toFixed(2)} s without descriptors`);
    const { ended } = await crowd.stats();
    assert.ok(ended > from.ended, 'clients at the door see an end, not a hang');
    assert.ok(ended - from.ended < 20 * window, `${ended - from.ended} were let go in ${window.toFixed(2)} s`);

    // What others give back is used at once.
    const gone = running.splice(0, 30);
    gone.forEach((s) => s.close());
    // A few may be held otherwise for the moment: in reserve, or by a probe of Redis.
    await crowd.until('25 more inside', (s) => s.open >= inside + 25, { ms: 10000 });
    await publish();
    // And with more descriptors all are let in who still stand there.
    await limitDescriptors(pid, 5000);
    const seconds = (performance.now() - starved) / 1000 + 1;
    await crowd.until('everybody inside who was not let go', (s) => s.open + s.ended === 300, { ms: 10000 });
    await publish();
    await crowd.until('the message at everybody', (s) => s.lasts.filter((n) => n === published - 1).length === s.open);
    for (const stream of running) assertAll(stream, published);

    const pauses = await gateway.metric('accept_pauses_total');
    assert.ok(pauses >= 5 && pauses <= 5 * 2 * seconds, `${pauses} pauses of two workers in ${seconds.toFixed(1)} s`);
    const told = gateway.process.log().match(/cannot accept/g)?.length ?? 0;
    assert.ok(told > 0 && told <= 2 * seconds, `${told} lines of two workers in ${seconds.toFixed(1)} s`);
    const { open } = await crowd.stats();
    await gateway.metricIs('connections', running.length + open);
});

const ask = (channel) => `GET /stream?channel=${channel} HTTP/1.1\r\nHost: a\r\n\r\n`;

for (const refusal of ['retry', 'status']) {
    test(`--max-connections: places that are given back are taken again, time after time (--refusal ${refusal})`, async (t) => {
        const scope = scopeOf(t);
        const cap = 30;
        const { gateway } = await startTier(scope, { args: ['--max-connections', String(cap), '--refusal', refusal] });
        const wanted = (count) => Array(count).fill({ port: gateway.port, path: '/stream?channel=a' });
        const streams = await openStreams(scope, wanted(cap));
        for (let round = 0; round < 20; round++) {
            await until('not ready, since full', async () => (await gateway.get('/health/ready')).status === 503);
            for (let i = 0; i < 3; i++) { // whoever is refused takes no place, and gives none back
                const answer = await exchange(gateway.port, ask('a'));
                if (refusal === 'status') assert.equal(answer.status, 503);
                else assert.match(answer.body, /^[0-9a-f]+\r\nretry: \d+\n\n\r\n0\r\n\r\n$/);
            }
            streams.splice(0, 7).forEach((s) => s.close());
            await gateway.metricIs('connections', cap - 7);
            assert.equal((await gateway.get('/health/ready')).status, 200);
            streams.push(...(await openStreams(scope, wanted(7))));
            await gateway.metricIs('connections', cap);
        }
        assert.ok(streams.every((s) => s.open));
        await gateway.metricIs('closes_total', 20 * 3, { labels: { reason: 'refused' } });
    });
}

test('--max-connections: who leaves before Redis has confirmed the channel gives the place back, too', async (t) => {
    const scope = scopeOf(t);
    const cap = 30;
    const { redis, gateway } = await startTier(scope, { args: ['--max-connections', String(cap)] });
    redis.process.signal('SIGSTOP');
    try {
        const waiting = Array.from({ length: cap }, (_, i) => {
            const connection = new RawConnection(gateway.port);
            scope.defer(() => connection.close());
            connection.send(ask(`c:${i}`));
            return connection;
        });
        await until('no place left', async () => (await gateway.get('/health/ready')).status === 503, { every: 5 });
        assert.match((await exchange(gateway.port, ask('a'))).body, /retry: \d+\n\n/);
        waiting.forEach((c) => c.close());
        await until('ready', () => gateway.ready(), { every: 5 });
        // Ready is said with the first place that is free; here all are to be.
        await until('no client any more', async () => (await gateway.metric('sockets')) <= 2, { every: 5 });
    } finally {
        redis.process.signal('SIGCONT');
    }
    const streams = await openStreams(scope, Array(cap).fill({ port: gateway.port, path: '/stream?channel=a' }));
    await redis.publish('a', 'x');
    await Promise.all(streams.map((s) => s.count(1)));
});

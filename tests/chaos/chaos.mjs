// One round: start the tier, let things go wrong as planned, let all come to rest, and say what was lost.

import { Netns, noNetns } from '../lib/netns.mjs';
import { sleep, until, within } from '../lib/wait.mjs';
import { check } from './checker.mjs';
import { startCluster } from './cluster.mjs';
import { ACKED, History } from './history.mjs';
import { Journal } from './journal.mjs';
import { cableNemeses, clientNemeses, gatewayNemeses, nginxNemeses } from './nemeses.mjs';
import { Random } from './random.mjs';
import { plan, run } from './schedule.mjs';
import { startSentinel } from './sentinel.mjs';
import { startSingle } from './single.mjs';
import { Tier } from './tier.mjs';

export const SHAPES = { single: startSingle, sentinel: startSentinel, cluster: startCluster };
const MARKER_MS = 30000;
const REST_MS = 30000;
const BACK_MS = 30000; // a fault and what follows from it are over after so long, or it is an error

/** Resolves to what report.mjs takes. `say(line)` is told what goes on; `only`: the kinds of faults, if not all. */
export async function chaos(scope, { seed, seconds, shape: shapeName, only, say = () => {}, gateways = 3, clients = 24, rate = 8, answers = 4 }) {
    const history = new History();
    const journal = new Journal();
    const onEvent = (client, channel, number, at) => journal.delivered(Math.max(history.event(channel, number)?.at ?? at, client.wantedSince), at);
    const cable = lastGatewaysCable(scope, say);
    const shape = await SHAPES[shapeName](scope, { host: cable?.road });
    const tier = await Tier.start(scope, { shape, cable, seed, gateways, clients, rate, answers }, { history, onEvent });
    const nemeses = chosen({ ...gatewayNemeses, ...nginxNemeses, ...clientNemeses, ...(cable && cableNemeses), ...shape.nemeses }, only);
    const faults = plan(seed, Object.keys(nemeses), seconds * 1000);
    say(`${faults.length} faults planned, of ${Object.keys(nemeses).length} kinds`);
    journal.start = performance.now();
    tier.startTraffic();
    const progress = setInterval(() => say(progressLine(tier, journal)), 5000);
    try {
        const over = () => performance.now() > journal.start + seconds * 1000 || journal.faults.some((fault) => fault.error);
        await run(faults, (index, kind) => attack(tier, journal, nemeses, index, kind), over);
        return await finish(tier, journal, { seed, seconds, shape: shapeName, faults }, say);
    } finally {
        clearInterval(progress);
        await Promise.all([...tier.publishers.values(), ...tier.present, tier.answers].map((each) => each.stop()));
    }
}

function lastGatewaysCable(scope, say) {
    const why = noNetns();
    if (why) say(`no cable will be pulled: ${why}`);
    return why ? undefined : new Netns(scope);
}

function chosen(nemeses, only) {
    if (!only) return nemeses;
    const unknown = only.filter((kind) => !(kind in nemeses));
    if (unknown.length > 0) throw new Error(`no such fault: ${unknown.join(', ')} (there are: ${Object.keys(nemeses).join(', ')})`);
    return Object.fromEntries(only.map((kind) => [kind, nemeses[kind]]));
}

async function attack(tier, journal, nemeses, index, kind) {
    const fault = journal.begin(index, kind);
    try {
        fault.seen = await nemeses[kind](tier, new Random(tier.seed, `${index} ${kind}`));
        await until(`every gateway to be live after ${kind}`, async () => (await Promise.all(tier.gateways.map((g) => g.live()))).every(Boolean), { ms: BACK_MS });
    } catch (error) {
        fault.error = error.message;
    }
    fault.to = performance.now();
}

/** No more faults: everything must arrive, and nothing twice when all clients come once more. */
async function finish(tier, journal, settings, say) {
    const problems = journal.faults.filter((fault) => fault.error).map((fault) => `fault #${fault.index}, ${fault.kind}: ${fault.error}`);
    const step = (what, work) => work().catch((error) => problems.push(`${what}: ${error.message}`));
    say('no more faults; waiting until everything has arrived');
    for (const publisher of tier.publishers.values()) publisher.resting = true;
    await step('gateways', () => until('every gateway to be ready', async () => (await Promise.all(tier.gateways.map((g) => g.ready()))).every(Boolean), { ms: REST_MS }));
    await step('answers', () => tier.answers.finish(REST_MS));
    await step('before the last reconnect', () => comeToRest(tier));
    await Promise.all(tier.present.map(async (client) => {
        await client.stop();
        client.start();
    }));
    await step('after the last reconnect', () => comeToRest(tier));
    tier.gateways.forEach((_, i) => tier.noteCrash(i));
    await step('what Redis has in the end', () => tier.takeSnapshot());
    problems.push(...tier.snapshots.flatMap(({ faults }) => faults.map((fault) => `in Redis: ${fault}`)), ...tier.crashes.map((crash) => `gateway ${crash.id} ended by itself: ${JSON.stringify(crash.end)}\n${crash.log}`));
    problems.push(...tier.answers.faults);
    for (const client of tier.audience) problems.push(...client.faults.map(({ at, what }) => `${client.name} at ${journal.seconds(at)} s: ${what}`));
    const clients = tier.audience.map((client) => (client.gone ? upToNewest(client) : client));
    return { settings, journal, tier, problems, result: check({ history: tier.history, snapshots: tier.snapshots, clients, failsOver: tier.shape.replicas > 0 }) };
}

/** An event of each channel that Redis acknowledges, and that every client gets: what was before it must have come, too. */
async function comeToRest(tier) {
    const markers = new Map();
    await Promise.all([...tier.publishers].map(async ([channel, publisher]) => {
        await until(`an acknowledged event of ${channel}`, async () => {
            await within(MARKER_MS, `an outcome of an event of ${channel}`, publisher.burst(1, 50));
            const { events } = tier.history.channels.get(channel);
            markers.set(channel, events.length - 1);
            return events.at(-1).state === ACKED;
        }, { ms: MARKER_MS, every: 100 });
    }));
    await until('every client to have everything', () => {
        const late = tier.present.flatMap((client) => client.channels.filter((channel) => client.newest(channel) < markers.get(channel)).map((channel) => `${client.name} ${channel}`));
        if (late.length > 0) throw new Error(`${late.length} have not, such as ${late.slice(0, 3).join(', ')}`);
        return true;
    }, { ms: REST_MS, every: 100 });
    await sleep(500); // for what comes twice to come
}

/** A client that has left is owed what came before its last event. */
function upToNewest(client) {
    return { name: client.name, got: client.got, left: true };
}

function progressLine(tier, journal) {
    const { acked, maybe, refused } = tier.history.counts();
    const delivered = [...journal.kinds.values()].reduce((sum, stats) => sum + stats.deliveries, 0);
    const worst = Math.max(...[...journal.kinds.values()].map((stats) => stats.worst));
    const open = tier.present.filter((client) => client.stream?.status === 200 && client.stream.open).length;
    return `${journal.seconds(performance.now()).padStart(7)} s  acknowledged ${acked} (unknown ${maybe}, refused ${refused})  delivered ${delivered}`
        + `  open ${open}/${tier.present.length}  worst ${Math.round(worst)} ms  ${journal.current.join(', ') || 'calm'}`;
}

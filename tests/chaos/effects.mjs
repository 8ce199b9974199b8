// What a fault can be seen to have done: { what was counted: how many }. A fault that finds nothing here had no effect, and the
// report says so.

import { until, within } from '../lib/wait.mjs';

const CUT_OFF = /scheduled to be closed ASAP for overcoming of output buffer limits/g;
const ASK_MS = 1000;
const SEEN_MS = 10000; // what does not show after so long, under whatever else goes on, is not counted

/** Streams that ended while `work` was done, and that no client ended. */
export async function streamsCut(tier, work) {
    const before = tier.streamsCut;
    await work();
    return { 'streams cut': tier.streamsCut - before };
}

/** Subscribers that Redis cut off because too much waited for them: the servers that run write it in their logs. */
export function subscribersCutOff(tier) {
    return tier.shape.nodes().reduce((sum, node) => sum + (node.process.log().match(CUT_OFF)?.length ?? 0), 0);
}

/** Grows when a gateway gives up a client that does not read: by what it drops then, or at the end of its stream. 0 where it does not say. */
export async function slowClients(gateway) {
    const metrics = await within(ASK_MS, 'metrics', gateway.metrics()).catch(() => null);
    if (!metrics) return 0;
    return metrics.sum('sse_gateway_closes_total', { reason: 'slow' }) + metrics.sum('sse_gateway_events_dropped_total', { reason: 'slow_client' });
}

/** Streams that these gateways have ended so far, for others to get them. Those that do not answer count as 0. */
export async function streamsMoved(gateways) {
    const ask = (gateway) => within(ASK_MS, 'metrics', gateway.metric('closes_total', { reason: 'rebalance' })).catch(() => 0);
    return (await Promise.all(gateways.map(ask))).reduce((sum, n) => sum + n, 0);
}

/** How many of the clients were told of a gap in `channel` on their way to what is its newest event now. */
export async function gapsTold(tier, clients, channel) {
    const newest = tier.history.channels.get(channel).events.length - 1;
    const before = new Map(clients.map((client) => [client, client.newest(channel)]));
    await seen('everybody to be up to date', () => clients.every((client) => client.newest(channel) >= newest));
    return clients.filter((client) => told(client.got.get(channel), before.get(client))).length;
}

/** Is there a gap behind the event with that number? */
const told = (items, number) => items.slice(items.findIndex((item) => item.number === number) + 1).some((item) => item.gap);

/** Resolves to whether `fact` came true: that it does not is for the report, not an error. */
export function seen(what, fact, ms = SEEN_MS) {
    return until(what, fact, { ms, every: 50 }).then(() => true, () => false);
}

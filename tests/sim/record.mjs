// What a model writes down of each second: streams that came back, what Redis did, and how even the tier is.

const CANARY_EVERY = 2; // seconds
const INTERNAL = 3; // channels that a gateway has for itself: its canary, announcements, revocations

export function newSecond(gateways) {
    return {
        returned: 0, fresh: 0, failed: 0, steepest: 0, accepts: new Int32Array(gateways),
        subscribes: 0, unsubscribes: 0, reads: 0, publishes: 0, messages: 0,
    };
}

/** How far the gateway that is farthest from the mean is from it, as a share of the mean. */
function unevenness({ up, count, weight }) {
    if (up.length === 0) return 1;
    const sum = (value) => up.reduce((all, g) => all + value(g), 0);
    const mean = sum((g) => count[g]) / sum((g) => weight[g]);
    return up.reduce((far, g) => Math.max(far, Math.abs(count[g] / weight[g] / mean - 1)), 0);
}

export function closeSecond(model) {
    const { second: s, count } = model;
    const canaries = model.redis ? model.live / CANARY_EVERY : 0;
    s.publishes += canaries;
    s.messages += canaries + model.publish * model.shared * model.live;
    const open = count.reduce((a, b) => a + b, 0);
    model.seconds.push({
        ...s, t: model.now, accepts: s.accepts.reduce((a, b) => Math.max(a, b), 0), off: unevenness(model), open, waiting: model.waiting,
        loads: model.room <= 16 ? Array.from(count) : undefined, subscriptions: open * model.own + model.live * (model.shared + INTERNAL),
    });
    model.second = newSecond(model.room);
}

/** The time from `since` until all gateways are within `tolerance` of the mean, and stay so; undefined where that never comes. */
export function timeToLevel(model, since, tolerance) {
    let level;
    for (const s of model.seconds) {
        if (s.t <= since) continue;
        if (s.off > tolerance || s.waiting > 0.05 * (s.open + s.waiting)) level = undefined;
        else level ??= s.t - since;
    }
    return level;
}

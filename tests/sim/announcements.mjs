// What gateways tell each other of themselves, as gateway/bus/announcer and gateway/process/peers have it: one table for
// all, since an announcement reaches every gateway that is up at once.

const MISSED = 3; // intervals without news, and GRACE: a row expires
const GRACE = 0.5;
const FIRST = [0.5, 1]; // seconds from the start of a gateway to its first announcement

export function firstAnnouncement(model) {
    return model.now + FIRST[0] + model.random.next() * (FIRST[1] - FIRST[0]);
}

/** Gateway `g` says what it holds; that was due at `due`, up to a step before `at`. */
export function announce(model, g, at, due = at) {
    const node = model.nodes[g];
    const every = model.announce(model.live);
    const draining = node.state === 'draining';
    if (!node.said || node.said.draining !== draining) model.members++;
    node.said = { count: model.count[g], draining, at, every };
    node.next = due + every * (0.9 + 0.2 * model.random.next());
    model.second.publishes++;
    model.second.messages += model.live;
}

/** Announcements that are due; and rows of gateways that are gone expire. */
export function announceAll(model) {
    if (!model.redis) return;
    model.nodes.forEach((node, g) => {
        if (node.state !== 'off' && model.now >= node.next) announce(model, g, model.now, node.next);
        if (node.said && model.now > node.said.at + MISSED * node.said.every + GRACE) forget(model, g);
    });
}

export function forget(model, g) {
    if (model.nodes[g].said) model.members++;
    model.nodes[g].said = null;
}

/** Sums over the table, as peers_sum of the gateway has them. */
export function survey(model) {
    const sum = { count: 0, capacity: 0, lowest: 0, lowestCapacity: 0, oldest: Infinity, draining: false };
    model.nodes.forEach(({ said }, g) => {
        if (!said) return;
        if (said.draining) {
            sum.draining = true;
            return;
        }
        const capacity = model.weight[g];
        sum.count += said.count;
        sum.capacity += capacity;
        if (sum.lowestCapacity === 0 || said.count * sum.lowestCapacity < sum.lowest * capacity) Object.assign(sum, { lowest: said.count, lowestCapacity: capacity });
        sum.oldest = Math.min(sum.oldest, said.at);
    });
    return sum;
}

// What one of each costs, as measured: docs/performance.md, tests/bench/results/full.md, and for Redis the measure of
// `make sim ARGS=--measure` (Redis 7.0, one core).

export const COSTS = {
    acceptUs: 30, // CPU of the gateway for a new stream
    acceptTlsUs: 600, // the same with a handshake of TLS 1.3
    streamBytes: 198, // an idle stream, on a channel that others have, too
    ownChannelBytes: 255, // what a channel of its own adds
    tlsBytes: 1250,
    gatewayBytes: 6e6, // a gateway without streams
    subscriptionBytes: 200, // Redis' memory for one subscription of one connection
    subscribeUs: 1.5, // CPU of Redis: SUBSCRIBE, and the same for UNSUBSCRIBE
    readUs: 2.2, // a look into a history: XREVRANGE, or XRANGE of few entries
    publishUs: 1.3,
    messageUs: 1.5, // of each copy that Redis sends to a subscriber: a third where many go out together
};

/** What Redis does in one second for `a` (see Model#account), as commands, messages, and the share of its core. */
export function redisLoad(a) {
    const commands = a.subscribes + a.unsubscribes + a.reads + a.publishes;
    const us = (a.subscribes + a.unsubscribes) * COSTS.subscribeUs + a.reads * COSTS.readUs + a.publishes * COSTS.publishUs +
        a.messages * COSTS.messageUs;
    return { commands, messages: a.messages, core: us / 1e6 };
}

export function gatewayMemory(streams, { own = 1, tls = false } = {}) {
    return COSTS.gatewayBytes + streams * (COSTS.streamBytes + own * COSTS.ownChannelBytes + (tls ? COSTS.tlsBytes : 0));
}

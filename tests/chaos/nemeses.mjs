// What goes wrong in front of Redis: gateways, NGINX and clients. One small function each; it returns when all is as before,
// and what it was seen to do (effects.mjs). One that only keeps something waiting returns nothing: deliveries come late.

import { sleep } from '../lib/wait.mjs';
import { gapsTold, seen, slowClients, streamsCut, streamsMoved } from './effects.mjs';

const SLOW = { bursts: 10, count: 300, size: 3000 }; // more than all buffers on the way to a client can take

function outage(tier, gateways, signal, ms) {
    return streamsCut(tier, async () => {
        gateways.forEach((i) => tier.signalGateway(i, signal));
        await Promise.all(gateways.map((i) => tier.gateways[i].process.exit(40000)));
        await sleep(ms);
        await Promise.all(gateways.map((i) => tier.startGateway(i)));
    });
}

const all = (tier) => tier.gateways.map((_, i) => i);

export const gatewayNemeses = {
    async 'gateway kill -9'(tier, random) {
        return outage(tier, [random.pick(all(tier))], 'SIGKILL', random.between(0, 1500));
    },
    async 'gateway SIGTERM'(tier, random) {
        return outage(tier, [random.pick(all(tier))], 'SIGTERM', random.between(0, 500));
    },
    /** And the others give it its share. */
    async 'gateway comes back empty'(tier, random) {
        const i = random.pick(all(tier));
        const others = tier.gateways.filter((_, n) => n !== i);
        await outage(tier, [i], 'SIGKILL', 1000); // long enough for its clients to be elsewhere
        const before = await streamsMoved(others);
        await seen('streams to be moved', async () => (await streamsMoved(others)) > before);
        await sleep(1500); // while they are
        return { 'streams moved': (await streamsMoved(others)) - before };
    },
    // The second one comes in the midst of the drain, and cuts the streams that are left.
    async 'gateway SIGTERM twice'(tier, random) {
        const gateway = random.pick(all(tier));
        return streamsCut(tier, async () => {
            tier.signalGateway(gateway, 'SIGTERM');
            await sleep(random.between(100, 1200));
            await outage(tier, [gateway], 'SIGTERM', random.between(0, 500));
        });
    },
    async 'gateway stands still'(tier, random) {
        const gateway = random.pick(all(tier));
        tier.signalGateway(gateway, 'SIGSTOP');
        await sleep(random.between(200, 5000));
        tier.signalGateway(gateway, 'SIGCONT');
    },
    async 'all gateways kill -9'(tier, random) {
        return outage(tier, all(tier), 'SIGKILL', random.between(0, 1500));
    },
    async 'gateways restarted in turn'(tier) {
        return streamsCut(tier, async () => {
            for (const i of all(tier)) await outage(tier, [i], 'SIGTERM', 0);
        });
    },
};

export const cableNemeses = {
    async 'gateway cable pulled'({ cable }, random) {
        cable.link('down');
        await sleep(random.between(200, 8000));
        cable.link('up');
    },
    // It keeps its clients, who see nothing of it but that nothing comes.
    async 'gateway cut off from Redis'({ cable }, random) {
        cable.closeRoad();
        await sleep(random.between(200, 8000));
        cable.openRoad();
    },
};

export const nginxNemeses = {
    async 'nginx reload'(tier) {
        const { nginx } = tier;
        const before = nginx.workers();
        const fresh = () => nginx.workers().filter((pid) => !before.includes(pid));
        nginx.process.signal('SIGHUP');
        await sleep(300);
        await seen('workers of the new generation', () => fresh().length > 0);
        return { 'new workers': fresh().length };
    },
    async 'nginx worker kill -9'(tier, random) {
        return streamsCut(tier, async () => {
            process.kill(random.pick(tier.nginx.workers()), 'SIGKILL');
            await sleep(300);
        });
    },
    async 'nginx kill -9'(tier, random) {
        const { nginx } = tier;
        return streamsCut(tier, async () => {
            const workers = nginx.workers();
            nginx.process.signal('SIGKILL');
            workers.forEach((pid) => process.kill(pid, 'SIGKILL')); // else they would keep the port and the streams
            await nginx.process.exit();
            await sleep(random.between(0, 1000));
            await nginx.run();
        });
    },
};

export const clientNemeses = {
    async 'client away'(tier, random) {
        const victims = random.sample(tier.present, random.int(1, 5));
        const resumed = victims.filter((client) => client.stream?.lastEventId);
        await away(victims, () => sleep(random.between(100, 4000)));
        return { 'streams resumed': resumed.length };
    },
    // A gateway may remember more than Redis has kept (REPLAY_RING_FRAMES), and then has a short absence to itself.
    async 'client away, stream trimmed'(tier, random) {
        const channel = random.pick(tier.shortChannels);
        const victims = random.sample(tier.present.filter((client) => client.channels.includes(channel)), 3);
        const count = random.chance(0.5) ? random.int(60, 300) : random.int(1100, 1400);
        await away(victims, () => tier.publisher(channel).burst(count, 100));
        return { 'clients told of a gap': await gapsTold(tier, victims, channel) };
    },
    async 'client new'(tier, random) {
        const old = random.pick(tier.present);
        await tier.replaceClient(old);
        return { 'new clients': 1 };
    },
    // On a connection of its own: one that was given much before has buffers for much more.
    async 'client does not read'(tier, random) {
        const victim = random.pick(tier.present.filter((client) => client.channels.includes(tier.heavyChannel)));
        await victim.stop();
        victim.start();
        const there = await seen('its stream', () => victim.stream.open && tier.gatewayOf(victim));
        const given = there ? await starve(tier, victim, random) : false;
        return { 'slow clients given up': Number(given) };
    },
};

async function away(clients, meanwhile) {
    await Promise.all(clients.map((client) => client.stop()));
    await meanwhile();
    clients.forEach((client) => client.start());
}

/** A client reads nothing for a while, and until its gateway has had enough of it. Resolves to whether that came. */
async function starve(tier, victim, random) {
    const gateway = tier.gatewayOf(victim);
    const publisher = tier.publisher(tier.heavyChannel);
    const { socket } = victim.stream;
    const before = await slowClients(gateway);
    const given = async () => await slowClients(gateway) > before;
    const feed = async () => {
        for (let bursts = 0; bursts < SLOW.bursts; bursts++) {
            await publisher.burst(SLOW.count, SLOW.size);
            if (await given()) return;
        }
    };
    socket.pause();
    await Promise.all([sleep(random.between(500, 3000)), feed()]);
    socket.resume();
    victim.wantedSince = performance.now();
    return given();
}

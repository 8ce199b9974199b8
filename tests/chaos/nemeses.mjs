// What goes wrong in front of Redis: gateways, NGINX and clients. One small function each; it returns when all is as before.

import { sleep } from '../lib/wait.mjs';

async function outage(tier, gateways, signal, ms) {
    gateways.forEach((i) => tier.signalGateway(i, signal));
    await Promise.all(gateways.map((i) => tier.gateways[i].process.exit(40000)));
    await sleep(ms);
    await Promise.all(gateways.map((i) => tier.startGateway(i)));
}

const all = (tier) => tier.gateways.map((_, i) => i);

export const gatewayNemeses = {
    async 'gateway kill -9'(tier, random) {
        await outage(tier, [random.pick(all(tier))], 'SIGKILL', random.between(0, 1500));
    },
    async 'gateway SIGTERM'(tier, random) {
        await outage(tier, [random.pick(all(tier))], 'SIGTERM', random.between(0, 500));
    },
    async 'gateway stands still'(tier, random) {
        const gateway = random.pick(all(tier));
        tier.signalGateway(gateway, 'SIGSTOP');
        await sleep(random.between(200, 5000));
        tier.signalGateway(gateway, 'SIGCONT');
    },
    async 'all gateways kill -9'(tier, random) {
        await outage(tier, all(tier), 'SIGKILL', random.between(0, 1500));
    },
    async 'gateways restarted in turn'(tier) {
        for (const i of all(tier)) await outage(tier, [i], 'SIGTERM', 0);
    },
};

export const cableNemeses = {
    async 'gateway cable pulled'({ cable }, random) {
        cable.link('down');
        await sleep(random.between(200, 8000));
        cable.link('up');
    },
};

export const nginxNemeses = {
    async 'nginx reload'(tier) {
        tier.nginx.process.signal('SIGHUP');
        await sleep(300);
    },
    async 'nginx worker kill -9'(tier, random) {
        process.kill(random.pick(tier.nginx.workers()), 'SIGKILL');
        await sleep(300);
    },
    async 'nginx kill -9'(tier, random) {
        const { nginx } = tier;
        const workers = nginx.workers();
        nginx.process.signal('SIGKILL');
        workers.forEach((pid) => process.kill(pid, 'SIGKILL')); // else they would keep the port and the streams
        await nginx.process.exit();
        await sleep(random.between(0, 1000));
        await nginx.run();
    },
};

export const clientNemeses = {
    async 'client away'(tier, random) {
        await away(tier, random.sample(tier.present, random.int(1, 5)), () => sleep(random.between(100, 4000)));
    },
    async 'client away, stream trimmed'(tier, random) {
        const channel = random.pick(tier.shortChannels);
        const victims = tier.present.filter((client) => client.channels.includes(channel));
        await away(tier, random.sample(victims, 3), () => tier.publisher(channel).burst(random.int(60, 300), 100));
    },
    async 'client new'(tier, random) {
        const old = random.pick(tier.present);
        await tier.replaceClient(old);
    },
    async 'client does not read'(tier, random) {
        const victim = random.pick(tier.present);
        const stream = victim.stream;
        stream.socket.pause();
        await Promise.all([sleep(random.between(500, 3000)), tier.publisher(random.pick(victim.channels)).burst(random.int(100, 1000), 3000)]);
        stream.socket.resume();
        victim.wantedSince = performance.now();
    },
};

async function away(tier, clients, meanwhile) {
    await Promise.all(clients.map((client) => client.stop()));
    await meanwhile();
    clients.forEach((client) => client.start());
}

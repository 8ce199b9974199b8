// Free ports, without a race between test processes: each process owns a block of ports for as long as it holds the
// block's first one open. Blocks lie below the kernel's ephemeral range, so no outgoing connection takes one either.

import net from 'node:net';

const FIRST = 20000;
const BLOCK = 40;
const BLOCKS = 300;

let guard;
let base;
let next;

function listen(port) {
    return new Promise((resolve, reject) => {
        const server = net.createServer();
        server.once('error', reject);
        server.listen({ port, host: '127.0.0.1', exclusive: true }, () => resolve(server));
    });
}

async function claimBlock() {
    const start = Math.floor(Math.random() * BLOCKS);
    for (let i = 0; i < BLOCKS; i++) {
        const port = FIRST + ((start + i) % BLOCKS) * BLOCK;
        try {
            guard = await listen(port);
            guard.unref();
            base = port;
            next = 1;
            return;
        } catch (error) {
            if (error.code !== 'EADDRINUSE') throw error;
        }
    }
    throw new Error('no free block of ports');
}

/** A port of 127.0.0.1 that nothing listens on and no other test process will be given. */
export async function freePort() {
    for (let tries = 0; tries < 4 * BLOCK; tries++) {
        if (!guard || next === BLOCK) await claimBlock();
        const port = base + next++;
        try {
            const server = await listen(port);
            await new Promise((resolve) => server.close(resolve));
            return port;
        } catch (error) {
            if (error.code !== 'EADDRINUSE') throw error;
        }
    }
    throw new Error('no free port');
}

/** `count` such ports that are neighbours. */
export async function freePorts(count) {
    const ports = [await freePort()];
    while (ports.length < count) {
        const port = await freePort();
        if (port !== ports.at(-1) + 1) ports.length = 0;
        ports.push(port);
    }
    return ports;
}

// Between a client and Redis, to cut a connection at a chosen byte.

import net from 'node:net';

/**
 * Passes bytes to Redis and back. `gate(data, connection)` is asked of what comes from the client: false swallows it.
 * `answered(connection)` is asked of what comes from Redis: false cuts the connection before it.
 */
export async function relayTo(scope, redis, gate, answered = () => true) {
    const sockets = new Set();
    let count = 0;
    const server = net.createServer((near) => {
        const far = net.connect(redis.port, '127.0.0.1');
        const number = count++;
        for (const socket of [near, far]) {
            sockets.add(socket);
            socket.on('error', () => {});
            socket.on('close', () => [near, far].forEach((each) => each.destroy()));
        }
        near.on('data', (data) => gate(data.toString(), number, near) && far.write(data));
        far.on('data', (data) => (answered(number) ? near.write(data) : near.destroy()));
    });
    await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
    scope.defer(() => {
        server.close();
        for (const socket of sockets) socket.destroy();
    });
    return `redis://127.0.0.1:${server.address().port}`;
}

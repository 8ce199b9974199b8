// Gateways with sockets that another process keeps open: socket_keeper.py, in the place of systemd.

import net from 'node:net';
import path from 'node:path';
import { command } from './command.mjs';
import { GATEWAY, ROOT } from './paths.mjs';
import { Process } from './process.mjs';

const KEEPER = path.join(ROOT, 'tests/lib/socket_keeper.py');

/** Runs a gateway with `sockets` (words of socket_keeper.py) once, to its end. */
export function runWith(words, args = ['--anonymous', '*']) {
    return command('python3', [KEEPER, '--once', ...words, '--', GATEWAY, ...args], { ms: 10000 });
}

export class Keeper {
    /** Keeps a gateway running with `sockets`; `args`: its options. */
    static start(scope, { sockets, names, redis, args = [], env = {} }) {
        const keeper = new Keeper();
        const words = [...(names ? ['--names', names] : []), ...sockets];
        keeper.process = new Process(scope, 'keeper', 'python3',
            [KEEPER, ...words, '--', GATEWAY, '--redis', redis.url, '--anonymous', '*', '--workers', '2', '--drain-window', '0s', ...args], { env });
        return keeper;
    }

    /** Process ids of the gateways so far. */
    get started() {
        return [...this.process.log().matchAll(/^started (\d+)$/gm)].map(([, pid]) => Number(pid));
    }

    get endings() {
        return [...this.process.log().matchAll(/^ended \d+ with (-?\d+)$/gm)].map(([, status]) => Number(status));
    }

    /** As `systemctl restart` does. */
    async restart(signal = 'SIGTERM') {
        const before = this.started.length;
        process.kill(this.started.at(-1), signal);
        await this.process.ready('runs again', () => this.started.length > before);
    }
}

/** Asks for a stream at `where` (options of net.connect): the status of the answer, or what went wrong. */
export function attempt(where, { ms = 15000 } = {}) {
    return new Promise((resolve) => {
        const socket = net.connect(where, () => socket.write('GET /stream?channel=a HTTP/1.1\r\nHost: gateway\r\n\r\n'));
        let text = '';
        const end = (how) => {
            resolve(text.match(/^HTTP\/1\.1 (\d+) /)?.[1] ?? how);
            socket.destroy();
        };
        socket.setTimeout(ms, () => end(`no answer in ${ms} ms`));
        socket.on('data', (bytes) => (text += bytes) && text.includes('\r\n\r\n') && end());
        socket.on('error', (error) => end(error.code));
        socket.on('close', () => end('closed without an answer'));
    });
}

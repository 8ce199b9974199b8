// A private redis-server in a folder of its own, and the ways to publish to it that are not ours.

import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import tls from 'node:tls';
import { redisTls } from './certificates.mjs';
import { command } from './command.mjs';
import { freePort } from './ports.mjs';
import { Process } from './process.mjs';
import { tempFolder } from './temp.mjs';
import { until, within } from './wait.mjs';

/** Configuration of a server that is to be had at another address of this machine, too. */
export const alsoAt = (host) => (host && host !== '127.0.0.1' ? ['--bind', '127.0.0.1', host, '--protected-mode', 'no'] : []);

export class Redis {
    /** `secure`: { ca, cert, key, clients } as redisTls has them: TLS alone, there is no plain port then. */
    static async start(scope, { password, secure, config = [], host = '127.0.0.1', port } = {}) {
        const redis = new Redis();
        redis.scope = scope;
        redis.host = host;
        redis.port = port ?? (await freePort());
        redis.folder = tempFolder(scope, 'redis');
        redis.socket = path.join(redis.folder, 'redis.sock');
        redis.password = password;
        redis.secure = secure;
        redis.config = config;
        await redis.run();
        return redis;
    }

    get url() {
        const auth = this.password ? `:${encodeURIComponent(this.password)}@` : '';
        return `${this.secure ? 'rediss' : 'redis'}://${auth}${this.host}:${this.port}`;
    }

    /** Starts the server (again). Resolves when it answers. */
    async run() {
        const { secure } = this;
        const listens = secure ? ['--port', '0', ...redisTls(this.port, secure.ca, secure, secure)] : ['--port', String(this.port)];
        const args = [...listens, '--bind', this.host, '--unixsocket', this.socket, '--dir', this.folder,
            '--save', '', '--appendonly', 'no', '--daemonize', 'no', '--loglevel', 'warning', ...this.config];
        if (this.password) args.push('--requirepass', this.password);
        this.process = new Process(this.scope, 'redis', 'redis-server', args);
        await this.process.ready('answers PING', () => this.pings(), { every: 5 });
    }

    async pings() {
        return /^\+PONG|^-NOAUTH/.test(await talk(this.connect(), 'PING\r\n'));
    }

    /** A socket to it. */
    connect() {
        return this.secure ? tls.connect({ port: this.port, host: this.host, ...this.tlsOptions }) : net.connect(this.port, this.host);
    }

    /** What Node.js wants to know of its TLS; the server's own certificate is the test's, too. */
    get tlsOptions() {
        const { ca, cert, key } = this.secure;
        return { ca: fs.readFileSync(ca.cert), cert: fs.readFileSync(cert), key: fs.readFileSync(key), checkServerIdentity: () => undefined };
    }

    /** Ends it as a crash would. */
    async kill() {
        this.process.signal('SIGKILL');
        await this.process.exit();
    }

    /** redis-cli with `args`; resolves to what it printed, without the last newline. */
    async cli(args, { input, ok = true } = {}) {
        const auth = this.password ? { REDISCLI_AUTH: this.password } : {};
        const { secure } = this;
        const how = secure ? ['--tls', '--cacert', secure.ca.cert, '--cert', secure.cert, '--key', secure.key] : [];
        const run = await command('redis-cli', ['-h', this.host, '-p', String(this.port), ...how, ...args], { input, env: auth });
        if (ok && run.code !== 0) throw new Error(`redis-cli ${args.join(' ')}: ${run.err}${run.out}`);
        return run.out.replace(/\n$/, '');
    }

    /** PUBLISH through redis-cli; the payload may hold any bytes. Resolves to the number of receivers. */
    async publish(channel, payload) {
        return Number(await this.cli(['-x', 'PUBLISH', channel], { input: payload }));
    }

    async numsub(...channels) {
        const lines = (await this.cli(['PUBSUB', 'NUMSUB', ...channels])).split('\n');
        return new Map(channels.map((c, i) => [c, Number(lines[2 * i + 1])]));
    }

    /** Resolves when `count` connections are subscribed to `channel`. */
    async subscribed(channel, count, options) {
        await until(`${count} subscribers of ${channel}`, async () => (await this.numsub(channel)).get(channel) === count, options);
    }

    /** Bytes that Redis keeps for its subscribers, all together. */
    async queuedForSubscribers() {
        const clients = await this.cli(['CLIENT', 'LIST', 'TYPE', 'pubsub']);
        return [...clients.matchAll(/ omem=(\d+)/g)].reduce((sum, [, bytes]) => sum + Number(bytes), 0);
    }

    /** Publishes [channel, payload] pairs over one connection, pipelined, in order; resolves when all are done. */
    publishAll(pairs, ms = 60000, verb = 'PUBLISH') {
        return within(ms, `${pairs.length} messages published`, new Promise((resolve, reject) => {
            const socket = this.connect();
            let lines = 0;
            const wanted = pairs.length + (this.password ? 1 : 0);
            socket.on('error', reject);
            socket.on('data', (data) => {
                for (const byte of data) if (byte === 10) lines++;
                if (/(^|\n)-[A-Z]+ /.test(data)) reject(new Error(data.toString()));
                if (lines >= wanted) {
                    socket.destroy();
                    resolve();
                }
            });
            if (this.password) socket.write(resp(['AUTH', this.password]));
            writeAll(socket, pairs, verb);
        }));
    }
}

async function writeAll(socket, pairs, verb) {
    const BATCH = 500;
    for (let i = 0; i < pairs.length; i += BATCH) {
        const parts = pairs.slice(i, i + BATCH).map(([channel, payload]) => resp([verb, channel, payload]));
        if (!socket.write(Buffer.concat(parts))) {
            await new Promise((resolve) => socket.once('drain', resolve).once('close', resolve));
        }
    }
}

function resp(args) {
    const parts = [Buffer.from(`*${args.length}\r\n`)];
    for (const arg of args) {
        const bytes = Buffer.from(arg);
        parts.push(Buffer.from(`$${bytes.length}\r\n`), bytes, Buffer.from('\r\n'));
    }
    return Buffer.concat(parts);
}

function talk(socket, text) {
    return new Promise((resolve, reject) => {
        socket.write(text);
        socket.once('data', (data) => {
            socket.destroy();
            resolve(data.toString());
        });
        socket.once('error', reject);
    });
}

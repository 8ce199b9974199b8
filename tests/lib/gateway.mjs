// One sse-gateway under test.

import fs from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import { GATEWAY } from './paths.mjs';
import { freePort } from './ports.mjs';
import { parseMetrics } from './metrics.mjs';
import { Process } from './process.mjs';
import { until } from './wait.mjs';

const SANITIZERS = {
    ASAN_OPTIONS: 'detect_leaks=1:abort_on_error=0:detect_stack_use_after_return=1:allocator_may_return_null=1',
    UBSAN_OPTIONS: 'print_stacktrace=1:halt_on_error=1',
    TSAN_OPTIONS: 'halt_on_error=0:second_deadlock_stack=1',
};

export class Gateway {
    /**
     * Starts a gateway on free ports, with --anonymous '*' unless `anonymous` says otherwise, and waits until it is ready
     * (`ready: 'live'`: until it is live; `ready: false`: not at all). `id: null`: the options say it, or the default holds; `netns`: the namespace that it runs in, if not this one;
     * `names`: the host names that it knows, if not this machine's; `tls`: { cert, key, ca }: clients connect by TLS;
     * `program`: another one than that of the build under test.
     */
    static async start(scope, { redis, redisUrl, id, args = [], anonymous = ['*'], ready = true, env = {}, port, adminPort, netns, names, tls, workers = Number(process.env.SSE_WORKERS ?? 2), stderr, program: binary = GATEWAY } = {}) {
        const gateway = new Gateway();
        gateway.ca = tls && fs.readFileSync(tls.ca);
        // Streams that end over a time would make each test wait for it; those of the drain say how long it takes.
        if (!args.some((a) => a.startsWith('--drain-window'))) args = ['--drain-window', '0s', ...args];
        if (tls) args = ['--tls-cert', tls.cert, '--tls-key', tls.key, ...args];
        gateway.port = port ?? (await freePort());
        gateway.adminPort = adminPort ?? (await freePort());
        gateway.host = netns?.there ?? '127.0.0.1';
        gateway.id = id ?? `gw-${gateway.port}`;
        const all = [...(id === null ? [] : ['--id', gateway.id]), '--listen', `${gateway.host}:${gateway.port}`, '--admin-listen', `${gateway.host}:${gateway.adminPort}`,
            '--redis', redisUrl ?? redis.url, '--workers', String(workers), ...anonymous.flatMap((a) => ['--anonymous', a]), ...args];
        const [program, ...before] = [...(netns?.via ?? []), ...(names?.via ?? []), binary];
        gateway.process = new Process(scope, gateway.id, program, [...before, ...all], { env: { ...SANITIZERS, ...env }, stderr });
        if (ready === 'live') await gateway.process.ready('is live', () => gateway.live(), { ms: 30000 });
        else if (ready) await gateway.process.ready('is ready', () => gateway.ready(), { ms: 30000 });
        return gateway;
    }

    get(path, { port = this.port, headers = {}, ms = 5000 } = {}) {
        return new Promise((resolve, reject) => {
            const secure = this.ca && port === this.port;
            const options = { host: this.host, port, path, headers, agent: false, timeout: ms, ...(secure && { ca: this.ca, ...this.clientTls }) };
            const request = (secure ? https : http).get(options, (response) => {
                let body = '';
                response.setEncoding('utf8');
                response.on('data', (text) => (body += text));
                response.on('end', () => resolve({ status: response.statusCode, headers: response.headers, body }));
                response.on('error', reject);
            });
            request.on('timeout', () => request.destroy(new Error(`GET ${path}: no answer within ${ms} ms`)));
            request.on('error', reject);
        });
    }

    async live() {
        return (await this.get('/health/live')).status === 200;
    }

    async ready() {
        return (await this.get('/health/ready')).status === 200;
    }

    async metrics() {
        const answer = await this.get('/metrics', { port: this.adminPort });
        if (answer.status !== 200) throw new Error(`/metrics: ${answer.status}`);
        return parseMetrics(answer.body);
    }

    /** The value of a metric, summed over the label sets that contain `labels`; 0 where there is none. */
    async metric(name, labels) {
        return (await this.metrics()).sum(`sse_gateway_${name}`, labels);
    }

    async metricIs(name, value, { labels, ...options } = {}) {
        await until(`${name} ${JSON.stringify(labels ?? {})} of ${this.id} is ${value}`,
            async () => {
                const now = await this.metric(name, labels);
                if (now === value) return true;
                throw new Error(String(now));
            }, options);
    }

    terminate() {
        this.process.signal('SIGTERM');
    }
}

// A private NGINX in front of gateways, with the configuration that deploy/nginx ships.

import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { command } from './command.mjs';
import { ROOT } from './paths.mjs';
import { freePort } from './ports.mjs';
import { Process } from './process.mjs';
import { tempFolder } from './temp.mjs';
import { until } from './wait.mjs';

export class Nginx {
    /**
     * `files`: name -> text of files that it serves beside the streams; `application`: the port of one whose sessions decide
     * about streams; `change`: takes the configuration and returns another; `netns`: the namespace that it runs in, if not this one.
     */
    static async start(scope, { gateways, files = {}, application, netns, change = (text) => text }) {
        const nginx = new Nginx();
        nginx.scope = scope;
        nginx.host = netns?.there ?? '127.0.0.1';
        nginx.via = netns?.via ?? [];
        nginx.port = await freePort();
        nginx.url = `http://${nginx.host}:${nginx.port}`;
        const folder = (nginx.folder = tempFolder(scope, 'nginx'));
        for (const name of ['log', 'tmp', 'html']) fs.mkdirSync(path.join(folder, name));
        for (const [name, text] of Object.entries(files)) {
            const file = path.join(folder, 'html', name);
            fs.mkdirSync(path.dirname(file), { recursive: true });
            fs.writeFileSync(file, text);
        }
        fs.writeFileSync(path.join(folder, 'nginx.conf'), change(await config(nginx, gateways, application)));
        await nginx.run();
        return nginx;
    }

    /** Starts it (again). Resolves when it answers. */
    async run() {
        const [program, ...before] = [...this.via, 'nginx'];
        this.process = new Process(this.scope, 'nginx', program, [...before, ...placeOf(this)]);
        await this.process.ready('answers', () => answers(this), { every: 10 });
    }

    /** `nginx -s reload`; resolves when none but new workers take connections. */
    reload() {
        return reload(this);
    }

    /** The pids of its worker processes. */
    workers() {
        return workersOf(this);
    }
}

/** Where an NGINX has its files, as arguments. */
export const placeOf = ({ folder }) => ['-p', `${folder}/`, '-c', 'nginx.conf', '-e', 'stderr'];

export function workersOf({ process: { pid } }) {
    return fs.readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ').filter(Boolean).map(Number);
}

export async function reload(nginx) {
    const before = workersOf(nginx);
    const said = await command('nginx', [...placeOf(nginx), '-s', 'reload']);
    if (said.code !== 0) throw new Error(`nginx -s reload: ${said.err}`);
    const takes = (pid) => /worker process(?! is shutting down)/.test(fs.readFileSync(`/proc/${pid}/cmdline`, 'utf8'));
    await until('new workers of NGINX alone', () => {
        const now = workersOf(nginx).filter(takes);
        return now.length === before.length && now.every((pid) => !before.includes(pid));
    });
}

/** The configuration as it is shipped, but for errors that go to the log of the test and times to come back that it can wait for. */
async function config({ host, port }, gateways, application) {
    const made = await command(path.join(ROOT, 'deploy/local/nginx-conf'),
        [`${host}:${port} backlog=4096`, 'html', ...gateways.map((g) => `${g.host}:${g.port}`)], { env: { NGINX_CONNECTIONS: '8192' } });
    if (made.code !== 0) throw new Error(`deploy/local/nginx-conf: ${made.err}`);
    const changes = {
        'error_log log/nginx.log': 'error_log stderr',
        'types {': 'types { text/javascript js;',
        'retry: $sse_retry_seconds${sse_retry_tenths}00': 'retry: 3${sse_retry_tenths}0',
    };
    const text = application ? withSessions(made.out, application) : made.out;
    return Object.entries(changes).reduce((text, [from, to]) => {
        if (!text.includes(from)) throw new Error(`deploy/local/nginx-conf made no "${from}"`);
        return text.replace(from, () => to);
    }, text);
}

/** As deploy/nginx/sse-gateway-sessions.conf says: that file in the place of the location of the streams. */
function withSessions(text, application) {
    const sessions = fs.readFileSync(path.join(ROOT, 'deploy/nginx/sse-gateway-sessions.conf'), 'utf8');
    const own = sessions.replace(/127\.0\.0\.1:3000;  # site: application/, `127.0.0.1:${application};`);
    const changed = text.replace(/ {4}location ~ \^\/stream[^]*?\n {4}\}\n/, () => own);
    if (own === sessions || changed === text) throw new Error('deploy/nginx: no line to put the sessions in');
    return changed;
}

/** Any answer will do: which files there are is the test's matter. */
function answers({ host, port }) {
    return new Promise((resolve, reject) => {
        http.get({ host, port, path: '/', agent: false }, (response) => {
            response.resume();
            resolve(true);
        }).on('error', reject);
    });
}

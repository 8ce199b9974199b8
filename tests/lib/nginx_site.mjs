// A private NGINX with one of the sites of deploy/nginx as it is shipped: the file itself, with other values on its lines marked
// "site:", and its snippets beside it.

import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { command } from './command.mjs';
import { placeOf, reload, workersOf } from './nginx.mjs';
import { ROOT } from './paths.mjs';
import { freePort } from './ports.mjs';
import { Process } from './process.mjs';
import { tempFolder } from './temp.mjs';

export const FOLDER = path.join(ROOT, 'deploy/nginx');
const MODULES = { lua: ['ndk_http', 'ngx_http_lua'], stream: ['ngx_stream'] };

export class NginxSite {
    /**
     * `site`: a file of deploy/nginx. `gateways`: of the lines marked "site: gateway", and of any mark named in `marks`: { blue: [gateway] };
     * `values`: what stands in the place of the first argument of lines with other marks; `files`: what it serves beside the streams.
     */
    static async start(scope, site, options) {
        const nginx = await NginxSite.prepare(scope, site, options);
        await nginx.run();
        return nginx;
    }

    /** The same, not started: with its folder, for `nginx -t`. */
    static async prepare(scope, site, { gateways, marks = {}, values = {}, files = {}, port, change = (text) => text }) {
        const nginx = new NginxSite();
        nginx.scope = scope;
        nginx.port = port ?? (await freePort());
        nginx.plainPort = await freePort();
        nginx.name = `nginx-${site}`;
        nginx.secure = 'certificate' in values;
        nginx.url = `${nginx.secure ? 'https' : 'http'}://127.0.0.1:${nginx.port}`;
        nginx.folder = tempFolder(scope, 'nginx');
        for (const name of ['log', 'tmp', 'html', 'snippets']) fs.mkdirSync(path.join(nginx.folder, name));
        for (const [name, text] of Object.entries(files)) {
            fs.mkdirSync(path.dirname(path.join(nginx.folder, 'html', name)), { recursive: true });
            fs.writeFileSync(path.join(nginx.folder, 'html', name), text);
        }
        const all = { gateway: gateways, ...marks };
        const own = {
            listen: `127.0.0.1:${nginx.port}`, plain: `127.0.0.1:${nginx.plainPort}`, name: '_', log: 'log/access.log', root: 'html',
            redirect: `301 https://127.0.0.1:${nginx.port}$request_uri`, ...values,
        };
        const put = (name, text) => fs.writeFileSync(path.join(nginx.folder, name), change(text, name));
        for (const name of filesOf(site)) put(name, quick(withValues(read(name), all, own)));
        put('nginx.conf', mainFile(site));
        return nginx;
    }

    /** Runs `nginx -t`; resolves to { code, err }. */
    check() {
        return command('nginx', ['-t', ...placeOf(this)]);
    }

    async run() {
        this.process = new Process(this.scope, this.name, 'nginx', placeOf(this));
        await this.process.ready('listens', async () => (await listens(this.port)) && this.workers().length > 0, { every: 10 });
    }

    workers() {
        return workersOf(this);
    }

    /** `nginx -s reload`; resolves when none but new workers take connections. */
    reload() {
        return reload(this);
    }

    accessLog() {
        return fs.readFileSync(path.join(this.folder, 'log/access.log'), 'utf8');
    }
}

/** All files of deploy/nginx, snippets too; the two that deploy/local/nginx-conf and tests/lib/nginx.mjs fill in are not among them. */
export function shippedFiles() {
    return fs.readdirSync(FOLDER, { recursive: true }).filter((name) => /\.(conf|servers)$/.test(name) && !/^sse-gateway/.test(name));
}

export const sites = () => shippedFiles().filter((name) => /^sse-.*\.conf$/.test(name));

/** What is copied for a site. */
export const filesOf = (site) => shippedFiles().filter((name) => name === site || /^snippets/.test(name) || (/servers$/.test(name) && site === 'sse-blue-green.conf'));

export const read = (name) => fs.readFileSync(path.join(FOLDER, name), 'utf8');

function mainFile(site) {
    const modules = Object.keys(MODULES).filter((kind) => site.includes(kind)).flatMap((kind) => MODULES[kind]);
    const include = `include ${site};`;
    return `${modules.map((name) => `load_module /usr/lib/nginx/modules/${name}_module.so;\n`).join('')}
        daemon off; worker_processes 2; pid nginx.pid; error_log stderr warn; worker_rlimit_nofile 4096; events { worker_connections 2048; }
        ${site === 'sse-stream.conf' ? include : `http {
            client_body_temp_path tmp/client_body; proxy_temp_path tmp/proxy; fastcgi_temp_path tmp/fastcgi; uwsgi_temp_path tmp/uwsgi; scgi_temp_path tmp/scgi;
            types { text/html html; text/javascript js; }
            ${include}
        }`}\n`;
}

/** Lines with a mark that has gateways become one for each of those; in others the first argument is replaced. */
function withValues(text, gateways, values) {
    const written = new Set();
    return text.split('\n').flatMap((line) => {
        const mark = line.match(/(?:#|--) site: (\w+)$/)?.[1];
        if (!mark) return [line];
        const block = `${mark} ${/backup/.test(line)}`; // the backups of a second upstream are a block of their own
        if (gateways[mark]) return written.has(block) ? [] : (written.add(block), gateways[mark].map((gateway) => gatewayLine(line, gateway)));
        if (mark === 'share') return [line];
        if (values[mark] === undefined) throw new Error(`deploy/nginx: no value for "site: ${mark}"`);
        return [mark === 'redirect' ? line.replace(/return [^;]+/, () => `return ${values[mark]}`)
            : line.replace(/^(\s*\w+\s+)[^\s;]+/, (_, directive) => directive + values[mark])];
    }).join('\n');
}

const gatewayLine = (line, { host, port, adminPort }) => line.replace(/[\d.]+:\d+/, `${host}:${port}`)
    .replace(/host = "[^"]+", port = \d+, admin = \d+/, `host = "${host}", port = ${port}, admin = ${adminPort}`);

/** Times to come back that a test can wait for. */
const quick = (text) => text.replace('retry: $sse_retry_seconds${sse_retry_tenths}00', () => 'retry: 3${sse_retry_tenths}0');

function listens(port) {
    return new Promise((resolve, reject) => {
        const socket = net.connect(port, '127.0.0.1', () => {
            socket.destroy();
            resolve(true);
        });
        socket.on('error', reject);
    });
}

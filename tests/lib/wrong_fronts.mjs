// NGINX, HAProxy and Caddy with configurations that harm event streams: the real programs, with as little as it takes.

import fs from 'node:fs';
import path from 'node:path';
import { connects } from './haproxy.mjs';
import { freePort } from './ports.mjs';
import { Process } from './process.mjs';
import { tempFolder } from './temp.mjs';

async function started(scope, name, file, text, args) {
    const port = await freePort();
    const folder = tempFolder(scope, name);
    fs.mkdirSync(path.join(folder, 'tmp'));
    fs.writeFileSync(path.join(folder, file), text(port, folder));
    const process = new Process(scope, name, name, args(folder), { env: { XDG_DATA_HOME: folder, XDG_CONFIG_HOME: folder } });
    process.wantedEnd = true;
    await process.ready('listens', () => connects('127.0.0.1', port));
    return `http://127.0.0.1:${port}/stream`;
}

/** Resolves to the URL of its streams. `lines` stand in the location that passes on to `gateway`, `outside` in http {}. */
export const wrongNginx = (scope, gateway, lines, { outside = '' } = {}) => started(scope, 'nginx', 'nginx.conf', (port) => `
    daemon off; worker_processes 1; pid nginx.pid; error_log stderr crit; events { worker_connections 256; }
    http {
        access_log off; ${outside}
        client_body_temp_path tmp/body; proxy_temp_path tmp/proxy; fastcgi_temp_path tmp/fastcgi; uwsgi_temp_path tmp/uwsgi; scgi_temp_path tmp/scgi;
        server { listen 127.0.0.1:${port}; location /stream { proxy_pass http://127.0.0.1:${gateway.port}; ${lines} } }
    }`, (folder) => ['-p', `${folder}/`, '-c', 'nginx.conf', '-e', 'stderr']);

/** Resolves to the URL of its streams. `lines` stand in the backend. */
export const wrongHaproxy = (scope, gateway, lines) => started(scope, 'haproxy', 'haproxy.cfg', (port) => `
global
    log stdout format raw local0
defaults
    mode http
    timeout connect 2s
    timeout client 60s
    timeout server 60s
frontend web
    bind 127.0.0.1:${port}
    default_backend sse
backend sse
${lines.map((line) => `    ${line}\n`).join('')}    server gw1 127.0.0.1:${gateway.port}
`, (folder) => ['-db', '-f', path.join(folder, 'haproxy.cfg')]);

/** Resolves to the URL of its streams. `lines` stand in the `reverse_proxy` to `gateway`, `outside` beside it. */
export const wrongCaddy = (scope, gateway, lines, { outside = '' } = {}) => started(scope, 'caddy', 'Caddyfile', (port) => `
{
    admin off
}
http://127.0.0.1:${port} {
    ${outside}
    reverse_proxy 127.0.0.1:${gateway.port} {
        ${lines}
    }
}
`, (folder) => ['run', '--config', path.join(folder, 'Caddyfile'), '--adapter', 'caddyfile']);

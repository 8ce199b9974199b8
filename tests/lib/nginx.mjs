// A private NGINX in front of gateways, with least_conn over a zone, as deploy/nginx has it.

import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { freePort } from './ports.mjs';
import { Process } from './process.mjs';
import { tempFolder } from './temp.mjs';

export class Nginx {
    /** `files`: name -> text of files that it serves beside the streams. */
    static async start(scope, { gateways, files = {} }) {
        const nginx = new Nginx();
        nginx.port = await freePort();
        nginx.url = `http://127.0.0.1:${nginx.port}`;
        const folder = tempFolder(scope, 'nginx');
        fs.mkdirSync(path.join(folder, 'html'));
        nginx.html = path.join(folder, 'html');
        for (const [name, text] of Object.entries(files)) {
            fs.mkdirSync(path.dirname(path.join(nginx.html, name)), { recursive: true });
            fs.writeFileSync(path.join(nginx.html, name), text);
        }
        const file = path.join(folder, 'nginx.conf');
        fs.writeFileSync(file, config({ folder, port: nginx.port, servers: gateways.map((g) => `127.0.0.1:${g.port}`) }));
        nginx.process = new Process(scope, 'nginx', 'nginx', ['-p', folder, '-c', file, '-e', 'stderr', '-g', 'daemon off;']);
        await nginx.process.ready('answers', () => answers(nginx.port), { every: 10 });
        return nginx;
    }
}

function answers(port) {
    return new Promise((resolve, reject) => {
        http.get({ host: '127.0.0.1', port, path: '/alive', agent: false }, (response) => {
            response.resume();
            resolve(response.statusCode === 204);
        }).on('error', reject);
    });
}

function config({ folder, port, servers }) {
    const temp = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
        .map((kind) => `    ${kind}_temp_path ${folder}/${kind};`).join('\n');
    return `
worker_processes 2;
worker_rlimit_nofile 16384;
pid ${folder}/nginx.pid;
error_log stderr warn;
events { worker_connections 8192; }
http {
    access_log off;
${temp}
    types { text/html html; text/javascript js; }
    default_type text/plain;
    upstream gateways {
        zone gateways 256k;
        least_conn;
${servers.map((s) => `        server ${s} max_fails=0;`).join('\n')}
    }
    server {
        listen 127.0.0.1:${port} backlog=4096;
        location = /alive { return 204; }
        location / { root ${folder}/html; try_files $uri $uri.js =404; }
        location /stream {
            proxy_pass http://gateways;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host $http_host;
            proxy_buffering off;
            proxy_read_timeout 60s;
            proxy_next_upstream error timeout http_503;
            error_page 500 502 503 504 =200 @sse_retry;
        }
        location @sse_retry {
            default_type text/event-stream;
            add_header Cache-Control no-store;
            return 200 "retry: 300\\n\\n";
        }
    }
}
`;
}

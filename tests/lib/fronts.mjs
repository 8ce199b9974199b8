// NGINX or HAProxy in front of gateways, as deploys meet them: TLS and HTTP/2 to browsers, and a plain port for thousands of
// other streams.

import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { pageFiles } from './browser_clients.mjs';
import { Authority } from './certificates.mjs';
import { Haproxy } from './haproxy.mjs';
import { Nginx } from './nginx.mjs';
import { freePort } from './ports.mjs';
import { tempFolder } from './temp.mjs';

/** One of FRONTS: resolves to { port, page }: the plain port, and the URL of page.html by TLS. */
export async function startFront(scope, name, gateways) {
    const pair = await (await Authority.create(scope)).sign('localhost');
    const secure = await freePort();
    const { port } = await FRONTS[name](scope, gateways, pair, secure);
    return { port, page: `https://127.0.0.1:${secure}/page.html` };
}

export const FRONTS = {
    NGINX: (scope, gateways, { cert, key }, secure) => Nginx.start(scope, {
        gateways,
        files: pageFiles(),
        change: (text) => replaced(text, [
            [/^ *listen .*;$/m, (line) => `${line}\n    listen 127.0.0.1:${secure} ssl http2;\n    ssl_certificate ${cert};\n    ssl_certificate_key ${key};`],
            // One of its workers may have all the streams, and a stream takes two of these.
            [/worker_connections \d+;/, () => 'worker_connections 18000;'],
            [/worker_rlimit_nofile \d+;/, () => 'worker_rlimit_nofile 20000;'],
            // As it is shipped: what thousands are told to wait may not be so short as what one test waits for.
            ['retry: 3${sse_retry_tenths}0', () => 'retry: $sse_retry_seconds${sse_retry_tenths}00'],
        ]),
    }),
    async HAProxy(scope, gateways, { cert, key }, secure) {
        const pem = path.join(tempFolder(scope, 'pem'), 'site.pem');
        fs.writeFileSync(pem, fs.readFileSync(cert, 'utf8') + fs.readFileSync(key, 'utf8'));
        const site = await startSite(scope);
        return Haproxy.start(scope, {
            gateways,
            change: (text) => replaced(text, [
                [/^ *bind .*$/m, (line) => `${line}\n    bind 127.0.0.1:${secure} ssl crt ${pem} alpn h2,http/1.1\n    default_backend site`],
                [/$/, () => `\nbackend site\n    timeout connect 2s\n    timeout server 60s\n    server site 127.0.0.1:${site}\n`],
            ]),
        });
    },
};

function replaced(text, changes) {
    return changes.reduce((text, [from, to]) => {
        if (text.search(from) < 0 && !text.includes(from)) throw new Error(`no ${from} in the configuration`);
        return text.replace(from, to);
    }, text);
}

/** The site that HAProxy has beside the streams: page.html and what belongs to it. Resolves to its port. */
async function startSite(scope) {
    const files = pageFiles();
    const types = { '.html': 'text/html', '.js': 'text/javascript' };
    const server = http.createServer(({ url }, response) => {
        const file = files[url.slice(1)];
        response.writeHead(file ? 200 : 404, { 'Content-Type': types[path.extname(url)] ?? 'text/plain' }).end(file ?? 'none');
    });
    await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
    scope.defer(() => new Promise((resolve) => {
        server.close(resolve);
        server.closeAllConnections();
    }));
    return server.address().port;
}

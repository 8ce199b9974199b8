// NGINX or HAProxy in front of gateways, as deploys meet them and as deploy/ ships them: TLS and HTTP/2 to browsers; and a plain
// port for thousands of other streams.

import http from 'node:http';
import path from 'node:path';
import { pageFiles } from './browser_clients.mjs';
import { Authority } from './certificates.mjs';
import { Haproxy } from './haproxy.mjs';
import { NginxSite } from './nginx_site.mjs';
import { freePort } from './ports.mjs';

/** One of FRONTS: resolves to { port, page }: the plain port, and the URL of page.html by TLS. */
export async function startFront(scope, name, gateways) {
    const pair = await (await Authority.create(scope)).sign('localhost');
    const { port, url } = await FRONTS[name](scope, gateways, pair);
    return { port, page: `${url}/page.html` };
}

export const FRONTS = {
    async NGINX(scope, gateways, { cert, key }) {
        const port = await freePort();
        const { url } = await NginxSite.start(scope, 'sse-tls.conf', {
            gateways, values: { certificate: cert, key }, files: pageFiles(), change: (text, name) => changed(text, name, port),
        });
        return { port, url };
    },
    async HAProxy(scope, gateways, pair) {
        const { plainPort, url } = await Haproxy.start(scope, { gateways, pair, application: await startApplication(scope), redirects: false });
        return { port: plainPort, url };
    },
};

const CHANGES = {
    'nginx.conf': [
        // One worker may have all the streams, and a stream takes two of these.
        [/worker_connections \d+;/, () => 'worker_connections 18000;'],
        [/worker_rlimit_nofile \d+;/, () => 'worker_rlimit_nofile 20000;'],
    ],
    'sse-tls.conf': [[/^ *listen .* ssl http2;.*$/m, (line, port) => `${line}\n    listen 127.0.0.1:${port} backlog=4096;`]],
    // As it is shipped: what thousands are told to wait may not be as short as what one test waits for.
    'snippets/sse-server.conf': [['retry: 3${sse_retry_tenths}0', () => 'retry: $sse_retry_seconds${sse_retry_tenths}00']],
};

function changed(text, name, port) {
    return (CHANGES[name] ?? []).reduce((text, [from, to]) => {
        if (!text.match(from) && !text.includes(from)) throw new Error(`${name} has no ${from}`);
        return text.replace(from, (line) => to(line, port));
    }, text);
}

/** What HAProxy has beside the streams: page.html and what belongs to it. Resolves to its port. */
async function startApplication(scope) {
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

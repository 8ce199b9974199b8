// The fronts that are measured, each with the configuration that deploy/ ships, before one gateway.
//
// Each: { name, streams: 'h1' | 'h2', load: [arguments for the load], args: [options of the gateway],
//         start(context, gateway) -> { child, port } or undefined where there is no front }.
import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { fillSite } from '../lib/site.mjs';
import { freePort, start, waitFor } from './process.mjs';
import { certificate, root } from './servers.mjs';

const TLS = ['--tls', '1'];
const COMMANDS = ['/usr/sbin', '/usr/bin', '/usr/local/sbin', '/usr/local/bin'];
const installed = (program) => COMMANDS.some((folder) => existsSync(join(folder, program)));

const accepts = (port) => new Promise((resolve, reject) => {
  const socket = connect(port, '127.0.0.1', () => { socket.destroy(); resolve(true); });
  socket.on('error', reject);
});

async function started(context, name, port, argv, env) {
  const log = context.log(name);
  const child = start(context.core, argv, { log, env });
  await waitFor(`${name} listening`, () => {
    if (child.exitCode !== null) throw new Error(`${name} ended`);
    return accepts(port);
  }).catch((error) => { throw new Error(`${error.message}: ${readFileSync(log, 'utf8').slice(-600)}`); });
  return { child, port };
}

const folderOf = (context, name, ...below) => {
  const folder = join(context.folder, name);
  for (const one of ['', ...below]) mkdirSync(join(folder, one), { recursive: true });
  return folder;
};

function nginx(context, name, port, text) {
  const folder = folderOf(context, name, 'log', 'tmp', 'html');
  cpSync(join(root, 'deploy/nginx/snippets'), join(folder, 'snippets'), { recursive: true });
  writeFileSync(join(folder, 'nginx.conf'), text.replace(/worker_processes \d+;/, 'worker_processes 1;'));
  return started(context, name, port, ['nginx', '-p', `${folder}/`, '-c', 'nginx.conf', '-e', 'log/nginx.log']);
}

const nginxMain = (text) => `daemon off; worker_processes 1; worker_rlimit_nofile 20000; pid nginx.pid; error_log log/nginx.log;
events { worker_connections 16000; }\n${text}\n`;

async function nginxPlain(context, gateway) {
  const port = await freePort();
  return nginx(context, 'nginx', port, execFileSync(join(root, 'deploy/local/nginx-conf'),
    [`127.0.0.1:${port} backlog=4096`, 'html', `127.0.0.1:${gateway.port}`], { encoding: 'utf8', env: { ...process.env, NGINX_CONNECTIONS: '16000' } }));
}

async function nginxTls(context, gateway) {
  const [port, plain] = [await freePort(), await freePort()];
  const { cert, key } = certificate(context);
  return nginx(context, 'nginx-tls', port, nginxMain(`http {
${['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((one) => `${one}_temp_path tmp/${one};`).join(' ')}
${fillSite('deploy/nginx/sse-tls.conf', {
    gateway: [`server 127.0.0.1:${gateway.port} max_fails=0;`], plain: [`listen 127.0.0.1:${plain};`], name: ['server_name _;'],
    redirect: ['return 301 https://$host$request_uri;'], listen: [`listen 127.0.0.1:${port} ssl http2 backlog=4096;`],
    certificate: [`ssl_certificate ${cert};`], key: [`ssl_certificate_key ${key};`], log: ['access_log log/access.log sse_gateway;'], root: ['root html;'],
  })}
}`));
}

async function nginxStream(context, gateway) {
  const port = await freePort();
  return nginx(context, 'nginx-stream', port, `load_module /usr/lib/nginx/modules/ngx_stream_module.so;\n${nginxMain(fillSite('deploy/nginx/sse-stream.conf', {
    gateway: [`server 127.0.0.1:${gateway.port} max_fails=0;`], listen: [`listen 127.0.0.1:${port} backlog=4096;`],
    log: ['access_log log/access.log sse_gateway;'],
  }))}`);
}

async function haproxy(context, name, file, values) {
  const folder = folderOf(context, name);
  const port = await freePort();
  writeFileSync(join(folder, 'haproxy.cfg'), fillSite(`deploy/haproxy/${file}`, {
    log: ['log stdout format raw local0'], user: [], socket: [`stats socket ${folder}/admin.sock`], stats: [`bind 127.0.0.1:${await freePort()}`],
    ...values(port, folder),
  }));
  return started(context, name, port, ['haproxy', '-db', '-f', join(folder, 'haproxy.cfg')]);
}

const haproxyHttp = (tls) => (context, gateway) => haproxy(context, tls ? 'haproxy-tls' : 'haproxy', 'haproxy.cfg', (port, folder) => {
  const { cert, key } = certificate(context);
  writeFileSync(join(folder, 'site.pem'), readFileSync(cert, 'utf8') + readFileSync(key, 'utf8'));
  return {
    listen: [`bind 127.0.0.1:${port}${tls ? ` ssl crt ${folder}/site.pem alpn h2,http/1.1` : ''}`], redirect: [], origins: [],
    gateway: [`server gw1 127.0.0.1:${gateway.port}`], 'ticket gateway': [`server gw1 127.0.0.1:${gateway.port}`],
    application: ['server application 127.0.0.1:9'],
  };
});

const haproxyTcp = (context, gateway) => haproxy(context, 'haproxy-tcp', 'haproxy-tcp.cfg', (port) => ({
  listen: [`bind 127.0.0.1:${port}`], gateway: [`server gw1 127.0.0.1:${gateway.port} send-proxy-v2`],
}));

async function caddy(context, gateway) {
  const folder = folderOf(context, 'caddy');
  const port = await freePort();
  const { cert, key } = certificate(context);
  const to = [`to 127.0.0.1:${gateway.port}`];
  writeFileSync(join(folder, 'Caddyfile'), fillSite('deploy/caddy/Caddyfile', {
    admin: [`admin localhost:${await freePort()}`, 'auto_https off'], origins: ['@other_origin header Origin https://page.test'],
    name: [`https://:${port} {`, '\tbind 127.0.0.1', `\ttls ${cert} ${key}`],
    gateways: to, 'ticket gateways': to, application: ['reverse_proxy 127.0.0.1:9'],
  }));
  return started(context, 'caddy', port, ['caddy', 'run', '--config', join(folder, 'Caddyfile'), '--adapter', 'caddyfile'],
    { XDG_DATA_HOME: folder, XDG_CONFIG_HOME: folder });
}

const none = async () => undefined;
const over = (name, streams, start, { load = [], args = ['--refusal', 'status'], needs = name.split(/\W/)[0].toLowerCase() } = {}) =>
  ({ name, streams, start, load, args, available: () => start === none || installed(needs) });

export const fronts = (context) => {
  const { cert, key } = certificate(context);
  const own = ['--tls-cert', cert, '--tls-key', key];
  return [
    over('none', 'h1', none),
    over('NGINX', 'h1', nginxPlain),
    over('HAProxy', 'h1', haproxyHttp(false)),
    over('NGINX, TLS', 'h1', nginxTls, { load: TLS }),
    over('HAProxy, TLS', 'h1', haproxyHttp(true), { load: TLS }),
    over('Caddy, TLS', 'h1', caddy, { load: TLS }),
    over('NGINX, TLS and HTTP/2', 'h2', nginxTls),
    over('HAProxy, TLS and HTTP/2', 'h2', haproxyHttp(true)),
    over('Caddy, TLS and HTTP/2', 'h2', caddy),
    over('none, TLS by the gateway', 'h1', none, { load: TLS, args: own }),
    over('NGINX stream, TLS by the gateway', 'h1', nginxStream, { load: TLS, args: [...own, '--proxy-protocol', 'any'] }),
    over('HAProxy TCP, TLS by the gateway', 'h1', haproxyTcp, { load: TLS, args: [...own, '--proxy-protocol', 'any'] }),
  ].filter((front) => front.available());
};

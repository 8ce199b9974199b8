// The servers that are measured. Each: { name, about, start(context) -> { child, port, load: [arguments for the load] } }.
// `context` has core, redisPort, folder, log(name).
import { execFileSync } from 'node:child_process';
import { createHmac } from 'node:crypto';
import { connect } from 'node:net';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { freePort, start, waitFor } from './process.mjs';

export const root = join(import.meta.dirname, '..', '..');

function accepts(port) {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => { socket.destroy(); resolve(true); });
    socket.on('error', reject);
  });
}

// A Redis of its own at `port`, on the core of the load.
export async function startRedis(context, port) {
  const child = start(context.loadCore, ['redis-server', '--port', String(port), '--bind', '127.0.0.1', '--save', '', '--dir', context.folder,
    '--client-output-buffer-limit', 'pubsub 32mb 8mb 60'], { log: context.log('redis') });
  await waitFor('Redis', () => accepts(port), { everyMs: 2 });
  return child;
}

async function listening(name, child, port) {
  await waitFor(`${name} listening`, () => accepts(port));
  if (child.exitCode !== null) throw new Error(`${name} ended at once; see its log`);
}

const floor = {
  name: 'floor',
  about: 'one thread, one send() per socket and message (tests/bench/floor.c)',
  async start(context) {
    const port = await freePort();
    const child = start(context.core, [join(root, 'build/bench/floor'), String(port), String(context.redisPort)],
      { log: context.log('floor') });
    await listening('floor', child, port);
    return { child, port, load: [] };
  },
};

// A token like those of identity providers, signed with HS256.
function token(secret) {
  const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const now = Math.floor(Date.now() / 1000);
  const claims = { iss: 'https://login.example', sub: 'auth0|64b7f2c1a9e8d3', aud: 'https://sse.example', iat: now, exp: now + 86400, jti: 'aZ3kT9', channels: ['bench:*'] };
  const signed = `${part({ alg: 'HS256', typ: 'JWT', kid: '2026-11' })}.${part(claims)}`;
  return `${signed}.${createHmac('sha256', secret).update(signed).digest('base64url')}`;
}

// `tokens`: each stream has one, and no channel is open without. `revocation: false`: Redis is not asked about each.
export function gateway({ workers = 1, core, tokens = false, revocation = true, args = [], load = [] } = {}) {
  return {
    name: tokens ? `gateway, tokens${revocation ? '' : ', --revocation off'}` : workers === 1 ? 'gateway' : `gateway, ${workers} workers`,
    about: 'sse-gateway',
    async start(context) {
      const port = await freePort();
      const admin = await freePort();
      const secret = 'a secret of the bench that has more than 32 bytes';
      const file = join(context.folder, 'secret');
      if (tokens) writeFileSync(file, secret);
      const child = start(core ?? context.core, [join(root, 'build/sse-gateway'), ...(tokens ? ['--jwt-secret-file', file, '--revocation', revocation ? 'on' : 'off'] : ['--anonymous', '*']), '--id', 'bench',
        '--listen', `127.0.0.1:${port}`, '--admin-listen', `127.0.0.1:${admin}`, '--workers', String(workers),
        '--redis', `redis://127.0.0.1:${context.redisPort}`, '--heartbeat', '15s', '--log-level', 'warn', ...args],
      { log: context.log('gateway') });
      await waitFor('the gateway ready', async () => (await fetch(`http://127.0.0.1:${admin}/health/ready`)).ok);
      return { child, port, admin, load: tokens ? [...load, '--token', token(secret)] : load };
    },
  };
}

const nchanModule = '/usr/lib/nginx/modules/ngx_nchan_module.so';
const nchan = {
  name: 'Nchan',
  about: 'NGINX with Nchan and Redis (Debian: libnginx-mod-nchan)',
  available: () => existsSync(nchanModule),
  async start(context) {
    const port = await freePort();
    const prefix = join(context.folder, 'nchan');
    mkdirSync(join(prefix, 'temp'), { recursive: true });
    writeFileSync(join(prefix, 'nginx.conf'), `
load_module ${nchanModule};
daemon off;
worker_processes 1;
worker_rlimit_nofile 20000;
pid ${prefix}/nginx.pid;
error_log ${context.log('nchan')} error;
events { worker_connections 19000; }
http {
  access_log off;
  client_body_temp_path ${prefix}/temp; proxy_temp_path ${prefix}/temp; fastcgi_temp_path ${prefix}/temp;
  uwsgi_temp_path ${prefix}/temp; scgi_temp_path ${prefix}/temp;
  keepalive_requests 1000000;
  nchan_shared_memory_size 512m;
  upstream redis_server { nchan_redis_server redis://127.0.0.1:${context.redisPort}; }
  server {
    listen 127.0.0.1:${port} backlog=4096;
    location = /sub { nchan_subscriber eventsource; nchan_channel_id $arg_channel; nchan_redis_pass redis_server;
                      nchan_subscriber_first_message newest; nchan_message_timeout 10s; }
    location = /pub { nchan_publisher; nchan_channel_id $arg_channel; nchan_redis_pass redis_server; nchan_message_timeout 10s; }
  }
}
`);
    const child = start(context.core, ['nginx', '-p', prefix, '-c', join(prefix, 'nginx.conf')], { log: context.log('nchan') });
    await listening('Nchan', child, port);
    // It takes a while until it has Redis; a subscriber is refused before.
    await waitFor('Nchan with Redis', async () => (await fetch(`http://127.0.0.1:${port}/pub?channel=ready`, { method: 'POST', body: 'x' })).ok);
    return { child, port, load: ['--path', '/sub?channel=', '--post', '/pub?channel='] };
  },
};

function node(name, about, script) {
  return {
    name,
    about,
    available: () => existsSync(join(import.meta.dirname, 'node_modules')),
    async start(context) {
      const port = await freePort();
      const child = start(context.core, [process.execPath, join(import.meta.dirname, 'peers', script), String(port),
        String(context.redisPort)], { log: context.log(script) });
      await listening(name, child, port);
      return { child, port, load: [] };
    },
  };
}

// A certificate for this run, made once: { cert, key }.
export function certificate(context) {
  const [cert, key] = ['tls.crt', 'tls.key'].map((file) => join(context.folder, file));
  if (!existsSync(cert))
    execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', key, '-out', cert,
      '-subj', '/CN=localhost', '-days', '2'], { stdio: 'ignore' });
  return { cert, key };
}

const OVER_TLS = ['--tls', '13'];

const gatewayTls = (name, load) => ({
  name,
  about: `sse-gateway with --tls-cert (${load.join(' ')} of the load)`,
  start(context) {
    const { cert, key } = certificate(context);
    return gateway({ args: ['--tls-cert', cert, '--tls-key', key], load }).start(context);
  },
});

// Only NGINX is measured: the gateway behind it is on the core of the load.
const nginxTls = {
  name: 'NGINX, TLS',
  about: 'NGINX that ends TLS before a gateway',
  async start(context) {
    const behind = await gateway({ core: context.loadCore }).start(context);
    const port = await freePort();
    const prefix = join(context.folder, 'nginx-tls');
    const { cert, key } = certificate(context);
    mkdirSync(join(prefix, 'temp'), { recursive: true });
    writeFileSync(join(prefix, 'nginx.conf'), `
daemon off;
worker_processes 1;
worker_rlimit_nofile 20000;
pid ${prefix}/nginx.pid;
error_log ${context.log('nginx-tls')} error;
events { worker_connections 19000; }
http {
  access_log off;
  client_body_temp_path ${prefix}/temp; proxy_temp_path ${prefix}/temp; fastcgi_temp_path ${prefix}/temp;
  uwsgi_temp_path ${prefix}/temp; scgi_temp_path ${prefix}/temp;
  server {
    listen 127.0.0.1:${port} ssl backlog=4096;
    ssl_certificate ${cert}; ssl_certificate_key ${key};
    ssl_protocols TLSv1.2 TLSv1.3;
    location / { proxy_pass http://127.0.0.1:${behind.port}; proxy_http_version 1.1; proxy_set_header Connection "";
                 proxy_buffering off; proxy_read_timeout 1h; }
  }
}
`);
    const child = start(context.core, ['nginx', '-p', prefix, '-c', join(prefix, 'nginx.conf')], { log: context.log('nginx-tls') });
    await listening('NGINX', child, port);
    return { child, port, load: OVER_TLS, behind: [behind.child] };
  },
};

export const tlsPeers = [gatewayTls('gateway, TLS', OVER_TLS), gatewayTls('gateway, TLS 1.2', ['--tls', '12']), nginxTls];

export const peers = [
  floor,
  gateway(),
  nchan,
  node('Node, plain http', 'Node.js http with ioredis', 'node_http.mjs'),
  node('Node, better-sse', 'Node.js with better-sse and ioredis', 'node_better_sse.mjs'),
].filter((server) => server.available?.() ?? true);

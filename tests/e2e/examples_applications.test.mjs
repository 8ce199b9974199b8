// docs/examples: the applications whose users open streams, behind NGINX as deploy/nginx has it, with gateways that let nobody else in.

import assert from 'node:assert/strict';
import path from 'node:path';
import { test } from 'node:test';
import { Keys } from '../lib/bearer.mjs';
import { command } from '../lib/command.mjs';
import { prepare } from '../lib/examples.mjs';
import { Gateway } from '../lib/gateway.mjs';
import { Nginx } from '../lib/nginx.mjs';
import { freePort } from '../lib/ports.mjs';
import { Process } from '../lib/process.mjs';
import { Redis } from '../lib/redis.mjs';
import { scopeOf } from '../lib/scope.mjs';
import { Stream } from '../lib/stream.mjs';
import { openStream } from '../lib/streams.mjs';
import { tempFolder } from '../lib/temp.mjs';

const django = prepare('django', 'python', '');
const express = prepare('express', 'node', 'app.mjs');
const tickets = prepare('go-tickets', 'go');
const OF_NGINX = ['--refusal', 'status', '--trusted-proxy', '127.0.0.1'];

/** What a browser does with cookies, and a page with the one of Django against forged requests. */
class Visitor {
    cookies = new Map();

    constructor(nginx) {
        this.nginx = nginx;
    }

    get headers() {
        const Cookie = [...this.cookies].map(([name, value]) => `${name}=${value}`).join('; ');
        return { ...(Cookie && { Cookie }), ...(this.cookies.has('csrftoken') && { 'X-CSRFToken': this.cookies.get('csrftoken') }) };
    }

    async fetch(target, form, headers = {}) {
        const body = form && new URLSearchParams(form);
        const answer = await fetch(this.nginx.url + target, { method: form ? 'POST' : 'GET', body, headers: { ...this.headers, ...headers } });
        for (const cookie of answer.headers.getSetCookie()) {
            const [, name, value] = cookie.match(/^([^=]+)=([^;]*)/);
            this.cookies.set(name, value);
        }
        return { status: answer.status, text: await answer.text() };
    }

    async status(scope, target) {
        const stream = await Stream.open(this.nginx.port, target, { headers: this.headers });
        scope.defer(() => stream.close());
        return stream.status;
    }
}

/** Redis, two gateways with these options, and NGINX, which passes `paths` on to the application and asks it where `decides`. */
async function startTier(scope, { args, port, paths, decides }) {
    const redis = await Redis.start(scope);
    const gateways = await Promise.all([0, 1].map(() => Gateway.start(scope, { redis, anonymous: [], args: [...OF_NGINX, ...args] })));
    const own = `    location ~ ^/(${paths})$ { proxy_pass http://127.0.0.1:${port}; }\n\n    location / {`;
    const change = (text) => text.replace('    location / {', () => own);
    return { redis, gateways, nginx: await Nginx.start(scope, { gateways, change, ...(decides && { application: port }) }) };
}

async function startApplication(scope, nginx, name, { program, args, env }, own, options) {
    const app = new Process(scope, name, program, args, { env: { ...env, ...own }, ...options });
    await app.ready('answers', async () => (await new Visitor(nginx).fetch('/login').catch(() => ({ status: 502 }))).status !== 502, { ms: 60000 });
}

async function hears(scope, { redis, nginx }, channel, target, headers) {
    const stream = await openStream(scope, nginx.port, target, { headers });
    await redis.publish(channel, 'for you');
    assert.deepEqual((await stream.count(1)).map((e) => e.data), ['for you']);
}

test('Django: who has signed in gets a cookie for his own streams and no others; a stranger gets none', async (t) => {
    const { program, env, folder } = (await django(t)) ?? {};
    if (!program) return;
    const scope = scopeOf(t);
    const keys = new Keys(scope);
    const port = await freePort();
    const tier = await startTier(scope, { args: [...keys.args, '--jwt-audience', 'sse'], port, paths: 'login|token' });
    const own = {
        ...env, PYTHONPATH: `${env.PYTHONPATH}:${folder}`, SECRET_KEY: 'of this test', JWT_SECRET_FILE: path.join(keys.folder, 'jwt.secret'),
        DATABASE: path.join(tempFolder(scope, 'django'), 'site.sqlite3'), DJANGO_SUPERUSER_PASSWORD: 'the first',
    };
    const manage = (...args) => ['-m', 'django', ...args, '--settings', 'settings'];
    for (const args of [manage('migrate'), manage('createsuperuser', '--noinput', '--username', 'ann', '--email', 'ann@site.example')]) {
        const made = await command(program, args, { env: own, ms: 120000 });
        assert.equal(made.code, 0, made.err);
    }
    await startApplication(scope, tier.nginx, 'django', { program, args: manage('runserver', '--noreload', String(port)) }, own);

    const stranger = new Visitor(tier.nginx);
    assert.equal((await stranger.fetch('/login')).status, 204);
    assert.equal((await stranger.fetch('/token', {})).status, 401);
    assert.equal((await stranger.fetch('/login', { name: 'ann', password: 'a guess' })).status, 401);
    assert.equal(await stranger.status(scope, '/stream?channel=user:1'), 401);

    const ann = new Visitor(tier.nginx);
    await ann.fetch('/login');
    assert.equal((await ann.fetch('/login', { name: 'ann', password: 'the first' })).status, 204);
    assert.equal(await ann.status(scope, '/stream?channel=user:1'), 401); // not yet
    assert.deepEqual(JSON.parse((await ann.fetch('/token', {})).text), { channels: ['user:1', 'news'], expires_in: 600 });
    await hears(scope, tier, 'user:1', '/stream?channel=user:1&channel=news', ann.headers);
    assert.equal(await ann.status(scope, '/stream?channel=user:2'), 403);
    ann.cookies.delete('csrftoken');
    assert.equal((await ann.fetch('/token', {})).status, 403); // as a page of another site would ask
});

test('Express: NGINX asks the session which channels a stream may have, until its user signs out', async (t) => {
    const app = await express(t);
    if (!app) return;
    const scope = scopeOf(t);
    const port = await freePort();
    const headers = ['--channels-header', 'X-SSE-Channels', '--subject-header', 'X-SSE-Subject'];
    const tier = await startTier(scope, { args: [...headers, '--max-connections-per-user', '1'], port, paths: 'login|logout', decides: true });
    await startApplication(scope, tier.nginx, 'express', app, { PORT: String(port), SESSION_SECRET: 'of this test' });

    const stranger = new Visitor(tier.nginx);
    assert.equal((await stranger.fetch('/login', { name: 'ann', password: 'a guess' })).status, 401);
    assert.equal((await stranger.fetch('/login', { name: 'nobody' })).status, 401);
    assert.equal(await stranger.status(scope, '/stream?channel=user:ann'), 401);
    assert.equal((await stranger.fetch('/sse-auth')).status, 404); // for NGINX alone

    const ann = new Visitor(tier.nginx);
    assert.equal((await ann.fetch('/login', { name: 'ann', password: 'the first' })).status, 204);
    await hears(scope, tier, 'user:ann', '/stream?channel=user:ann&channel=news', ann.headers);
    assert.equal(await ann.status(scope, '/stream?channel=user:ben'), 403);
    const before = ann.headers;
    assert.equal((await ann.fetch('/logout', {})).status, 204);
    const gone = await Stream.open(tier.nginx.port, '/stream?channel=news', { headers: before });
    scope.defer(() => gone.close());
    assert.equal(gone.status, 401);
});

test('Go: a ticket opens one stream of its user by the URL alone, and none of somebody else', async (t) => {
    const app = await tickets(t);
    if (!app) return;
    const scope = scopeOf(t);
    const keys = new Keys(scope);
    const port = await freePort();
    const tier = await startTier(scope, { args: keys.args, port, paths: 'login|stream-ticket' });
    const { port: gateway } = tier.gateways[0];
    await startApplication(scope, tier.nginx, 'go', app, { LISTEN: `127.0.0.1:${port}`, GATEWAY: `127.0.0.1:${gateway}`, JWT_SECRET_FILE: path.join(keys.folder, 'jwt.secret') });

    const visitor = new Visitor(tier.nginx);
    const basic = (text) => ({ Authorization: `Basic ${Buffer.from(text).toString('base64')}` });
    const ask = (channel, headers) => visitor.fetch(`/stream-ticket?channel=${channel}`, {}, headers);
    for (const headers of [{}, basic('ann:a guess'), basic('nobody:'), { Authorization: `Bearer ${keys.token('ann', { exp: 1 })}` }]) {
        assert.equal((await ask('user:ann', headers)).status, 401);
    }
    const ann = basic('ann:the first');
    assert.equal((await ask('user:ben', ann)).status, 403);
    const { ticket, expires_in } = JSON.parse((await ask('user:ann', ann)).text);
    assert.equal(expires_in, 30);
    assert.equal(await visitor.status(scope, '/stream?channel=user:ann'), 401);
    await hears(scope, tier, 'user:ann', `/stream?channel=user:ann&ticket=${ticket}`);
    assert.equal(await visitor.status(scope, `/stream?channel=user:ann&ticket=${ticket}`), 401); // it is spent
    const another = JSON.parse((await ask('user:ann', ann)).text).ticket;
    assert.equal(await visitor.status(scope, `/stream?channel=user:ben&ticket=${another}`), 403);
});

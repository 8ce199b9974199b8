// `make run ARGS=--auth`: the page with a login, tokens and tickets, as a person uses it.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openPage, startChromium } from '../lib/chromium.mjs';
import { command } from '../lib/command.mjs';
import { somePorts, startRun } from '../lib/make_run.mjs';
import { PUBLISH } from '../lib/paths.mjs';
import { scopeOf } from '../lib/scope.mjs';

/** The `jti` of a token. */
const tokenId = (token) => JSON.parse(Buffer.from(token.split('.')[1], 'base64url')).jti;

test('the page asks for a login, subscribes by a ticket, and goes on with a new one where its stream ended', async (t) => {
    const scope = scopeOf(t);
    const ports = await somePorts();
    const run = await startRun(scope, ports, ['--auth', '--login-port', String(ports.login)]);
    const publish = async (...args) => {
        const sent = await command(PUBLISH, ['--redis', `redis://127.0.0.1:${ports.redis}`, ...args]);
        assert.equal(sent.code, 0, sent.err);
    };
    const page = await openPage(scope, await startChromium(scope), `http://127.0.0.1:${ports.port}/`);
    const tickets = [];
    page.on('request', (r) => {
        const ticket = new URL(r.url()).searchParams.get('ticket');
        if (ticket) tickets.push(ticket);
    });
    const tokens = [];
    page.on('response', async (r) => {
        if (new URL(r.url()).pathname === '/token' && r.ok()) tokens.push((await r.json()).token);
    });
    const shows = (text) => page.waitForFunction((t) => document.querySelector('#events').textContent.includes(t), text);

    await page.waitForSelector('[data-state=refused]');
    assert.match(await page.textContent('#problem'), /Sign in first/);
    await page.fill('#user', 'ann');
    await page.click('#login-button');
    await page.waitForSelector('[data-state=open]');
    await publish('--durable', 'user:ann', 'for ann alone');
    await shows('for ann alone');
    assert.equal(tickets.length, 1);

    // The browser comes back by itself, with the spent ticket; then the page does, with another one, of a new token.
    await publish('--revoke-token', tokenId(tokens[0]));
    await page.waitForSelector('[data-state=reconnecting]');
    await publish('--durable', 'user:ann', 'while she was away');
    await page.waitForSelector('[data-state=open]', { timeout: 30000 });
    await shows('while she was away');
    assert.equal(new Set(tickets).size, 2);
    assert.ok(!run.log().includes(tokens[0]), 'no log has a token');

    await page.screenshot({ path: `${scope.folder}/signed-in.png`, fullPage: true });
    await page.click('#logout');
    await page.click('#form button.main');
    await page.waitForSelector('[data-state=refused]');
    run.signal('SIGINT');
    assert.deepEqual(await run.exit(60000), { code: 0, signal: null });
});

// Chromium, a page of one host and gateways of another, with a cookie that the browser sends to both.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { pageFiles } from '../lib/browser_clients.mjs';
import { openPage, startChromium } from '../lib/chromium.mjs';
import { Gateway } from '../lib/gateway.mjs';
import { scopeOf, sharedScope } from '../lib/scope.mjs';
import { startTier } from '../lib/tier.mjs';
import { until } from '../lib/wait.mjs';

const browser = await startChromium(sharedScope());
const ARGS = ['--retry', '300ms', '--heartbeat', '1s'];

/** An EventSource with credentials in the page. */
function connect(page, name, url) {
    return page.evaluate(([name, url]) => {
        const source = new EventSource(url, { withCredentials: true });
        const stream = ((window.mine ??= {})[name] = { datas: [], opens: 0, state: () => source.readyState });
        source.onopen = () => stream.opens++;
        source.onmessage = (e) => stream.datas.push(e.data);
    }, [name, url]);
}

const look = (page, name) => page.evaluate((name) => ({ ...window.mine[name], state: window.mine[name].state() }), name);

test('an EventSource with credentials works from an allowed origin, exact or by its star, and fails from a foreign one before anything is subscribed', async (t) => {
    const scope = scopeOf(t);
    const { redis, nginx } = await startTier(scope, { nginx: true, files: pageFiles(), args: ARGS });
    // Chromium takes *.localhost for this machine, and site.localhost for a site whose cookies its hosts share.
    const site = (host) => `http://${host}.site.localhost:${nginx.port}`;
    const exact = await Gateway.start(scope, { redis, args: [...ARGS, '--cors-origin', site('app')] });
    const star = await Gateway.start(scope, { redis, args: [...ARGS, '--cors-origin', site('*')] });
    const stream = (gateway) => `http://gw.site.localhost:${gateway.port}/stream?channel=a`;

    const open = async (host) => {
        const page = await openPage(scope, browser, `${site(host)}/page.html`);
        await page.evaluate(() => (document.cookie = 'session=1; domain=site.localhost'));
        return page;
    };
    const evil = await open('evil');
    await connect(evil, 'exact', stream(exact));
    await until('the foreign page to be refused for good', async () => (await look(evil, 'exact')).state === 2);
    assert.equal((await look(evil, 'exact')).opens, 0);
    assert.equal(await exact.metric('subscriptions'), 0, 'nothing was subscribed to');
    assert.equal(await exact.metric('closes_total', { reason: 'bad_request' }), 1, 'the cookie came, and the request was refused');

    const app = await open('app');
    await connect(app, 'exact', stream(exact));
    await connect(app, 'star', stream(star));
    await until('both to be open', async () => (await look(app, 'exact')).state === 1 && (await look(app, 'star')).state === 1);
    await redis.publish('a', 'x');
    for (const name of ['exact', 'star']) await until(`the message on ${name}`, async () => (await look(app, name)).datas[0] === 'x');
});

test('fetch subscribes with a body from an allowed origin, by a preflight; a form of a foreign page, which needs none, is refused with its cookie', async (t) => {
    const scope = scopeOf(t);
    const { redis, nginx } = await startTier(scope, { nginx: true, files: pageFiles(), args: ARGS });
    const site = (host) => `http://${host}.site.localhost:${nginx.port}`;
    const gateway = await Gateway.start(scope, { redis, args: [...ARGS, '--cors-origin', site('app')] });
    const url = `http://gw.site.localhost:${gateway.port}/stream`;
    const post = async (host, type, body) => {
        const page = await openPage(scope, browser, `${site(host)}/page.html`);
        await page.evaluate(() => (document.cookie = 'session=1; domain=site.localhost'));
        return page.evaluate(([url, type, body]) => fetch(url, { method: 'POST', credentials: 'include', headers: { 'content-type': type }, body })
            .then((answer) => answer.text(), (error) => `failed: ${error.message}`), [url, type, body]);
    };
    const text = post('app', 'application/json', JSON.stringify({ channel: Array.from({ length: 60 }, (_, i) => `a-longer-name:${i}`), wait: 50 }));
    await gateway.metricIs('connections', 1);
    await redis.publish('a-longer-name:59', 'hello');
    assert.match(await text, /\ndata: hello\n\n/);
    const denied = await gateway.metric('denials_total', { reason: 'origin' });
    assert.match(await post('evil', 'application/x-www-form-urlencoded', 'channel=a&live=0'), /^failed: /);
    assert.equal(await gateway.metric('denials_total', { reason: 'origin' }), denied + 1);
});

// Pages of other origins: which may read what, and that none of them uses the cookies of the gateway's own.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Gateway } from '../lib/gateway.mjs';
import { exchange } from '../lib/raw_http.mjs';
import { scopeOf, sharedScope } from '../lib/scope.mjs';
import { openStream } from '../lib/streams.mjs';
import { startTier } from '../lib/tier.mjs';

const shared = sharedScope();
const ORIGINS = ['--cors-origin', 'https://app.example', '--cors-origin', 'https://*.example.com'];
const { redis, gateway } = await startTier(shared, { args: ORIGINS, anonymous: ['open'] });

const ask = (line, ...fields) => `${line} HTTP/1.1\r\n${['Host: gw.test', ...fields].map((f) => `${f}\r\n`).join('')}\r\n`;
const ANSWERS = {
    'a preflight': [204, 'OPTIONS /stream?channel=open', 'Access-Control-Request-Method: GET'],
    'the head of a stream': [200, 'HEAD /stream?channel=open'],
    'no channel': [400, 'GET /stream'],
    'a channel that is not open': [403, 'GET /stream?channel=closed'],
    'nothing there': [404, 'GET /nothing'],
    'a method that is not taken': [405, 'DELETE /stream'],
    'a type that is not served': [406, 'GET /stream?channel=open', 'Accept: text/html'],
};

for (const [name, [status, line, ...fields]] of Object.entries(ANSWERS)) {
    test(`${status}, ${name}: pages of allowed origins may read it, with credentials; others not`, async () => {
        for (const [origin, allowed] of Object.entries({
            'https://app.example': true, 'https://a.example.com': true, 'https://a.b.example.com': true,
            'https://example.com': false, 'https://a.example.com.evil': false, 'https://evil.example': false, null: false,
        })) {
            const { headers, status: got } = await exchange(gateway.port, ask(line, `Origin: ${origin}`, 'Connection: close', ...fields));
            assert.equal(got, status);
            assert.equal(headers['access-control-allow-origin'], allowed ? origin : undefined, origin);
            assert.equal(headers['access-control-allow-credentials'], allowed ? 'true' : undefined, origin);
            assert.match(headers.vary, /\bOrigin\b/i);
        }
    });
}

test('a preflight says the methods of its path, and what fetch clients send, for a while', async () => {
    const { headers } = await exchange(gateway.port, ask('OPTIONS /stream', 'Origin: https://a.example.com', 'Access-Control-Request-Method: GET'));
    assert.equal(headers['access-control-allow-methods'], 'GET, HEAD, OPTIONS, POST');
    for (const name of ['Authorization', 'Last-Event-ID', 'Cache-Control', 'Content-Type']) assert.match(headers['access-control-allow-headers'], new RegExp(`\\b${name}\\b`));
    assert.ok(Number(headers['access-control-max-age']) >= 600);
});

test('cookies from a page of a foreign origin are 403, before anything is subscribed to', async () => {
    for (const origin of ['https://evil.example', 'https://gw.test.evil', 'http://gw.test:8080', 'null']) {
        const fields = [`Origin: ${origin}`, 'Cookie: session=1'];
        const answer = await exchange(gateway.port, ask('GET /stream?channel=open', ...fields).replace('Host: gw.test', 'Host: gw.test:80'));
        assert.equal(answer.status, 403, origin);
        assert.match(JSON.parse(answer.body).detail, /--cors-origin/);
        assert.equal((await exchange(gateway.port, ask('HEAD /stream?channel=open', ...fields).replace('Host: gw.test', 'Host: gw.test:80'))).status, 403);
    }
    assert.equal(await gateway.metric('subscriptions'), 0);
});

test('cookies of a request that a foreign page had the browser send without an Origin are 403, before anything is subscribed to', async () => {
    for (const site of ['cross-site', 'same-site']) {
        for (const line of ['GET /stream?channel=open', 'HEAD /stream?channel=open']) {
            const answer = await exchange(gateway.port, ask(line, 'Cookie: session=1', `Sec-Fetch-Site: ${site}`, 'Connection: close'));
            assert.equal(answer.status, 403, `${line} ${site}`);
        }
    }
    assert.equal(await gateway.metric('subscriptions'), 0);
    for (const site of ['same-origin', 'none']) {
        const answer = await exchange(gateway.port, ask('HEAD /stream?channel=open', 'Cookie: session=1', `Sec-Fetch-Site: ${site}`, 'Connection: close'));
        assert.equal(answer.status, 200, site);
    }
});

for (const origin of ['https://gw.test', 'http://gw.test', 'https://app.example', 'https://x.example.com', undefined]) {
    test(`cookies from a page of ${origin ?? 'no other origin'} open a stream`, async (t) => {
        const headers = { Host: 'gw.test', Cookie: 'session=1', ...(origin && { Origin: origin }) };
        const stream = await openStream(scopeOf(t), gateway.port, '/stream?channel=open', { headers });
        assert.equal(stream.status, 200);
    });
}

test('a foreign origin without cookies opens what is open to all', async (t) => {
    const stream = await openStream(scopeOf(t), gateway.port, '/stream?channel=open', { headers: { Host: 'gw.test', Origin: 'https://evil.example' } });
    assert.equal(stream.status, 200);
    assert.equal(stream.headers['access-control-allow-origin'], undefined);
});

test('--cors-origin * lets nobody bring cookies', async (t) => {
    const any = await Gateway.start(scopeOf(t), { redis, args: ['--cors-origin', '*'] });
    const answer = await exchange(any.port, ask('GET /stream?channel=open', 'Origin: https://evil.example', 'Cookie: a=b'));
    assert.equal(answer.status, 403);
    assert.equal(answer.headers['access-control-allow-origin'], '*');
    assert.equal(answer.headers['access-control-allow-credentials'], undefined);
});

test('an absolute target is the same request, where it names the host that Host does', async () => {
    assert.equal((await exchange(gateway.port, ask('HEAD http://gw.test/stream?channel=open'))).status, 200);
    assert.equal((await exchange(gateway.port, ask('HEAD http://evil.test/stream?channel=open'))).status, 400);
    const { status, headers } = await exchange(gateway.port, ask('OPTIONS *'));
    assert.equal(status, 204);
    assert.match(headers.allow, /GET, HEAD, OPTIONS/);
});

// Refusals that may pass: what a client is told while the gateway is not ready.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Gateway } from '../lib/gateway.mjs';
import { freePort } from '../lib/ports.mjs';
import { exchange } from '../lib/raw_http.mjs';
import { scopeOf } from '../lib/scope.mjs';
import { openStream } from '../lib/streams.mjs';

async function unready(t, args = []) {
    const scope = scopeOf(t);
    const gateway = await Gateway.start(scope, { redisUrl: `redis://127.0.0.1:${await freePort()}`, ready: 'live', args });
    return { scope, gateway };
}

const ask = (more = '') => `GET /stream?channel=a HTTP/1.1\r\nHost: a\r\n${more}\r\n`;

test('--refusal retry, the default: 200, a jittered time to come back, a blank line and a clean end', async (t) => {
    const { scope, gateway } = await unready(t, ['--cors-origin', 'https://app.example']);
    const times = new Set();
    for (let i = 0; i < 30; i++) {
        const stream = await openStream(scope, gateway.port, '/stream?channel=a', { keep: true, headers: { Origin: 'https://app.example' } });
        assert.equal(await stream.ended(), 'clean');
        assert.match(stream.headers['content-type'], /^text\/event-stream/);
        assert.equal(stream.headers['access-control-allow-origin'], 'https://app.example', 'or the browser gives up');
        assert.match(stream.body, /^retry: \d+\n\n$/);
        times.add(stream.retry);
    }
    assert.ok(times.size > 5, [...times].join(' '));
});

test('--refusal retry to HTTP/1.0 is close-delimited', async (t) => {
    const { gateway } = await unready(t);
    const answer = await exchange(gateway.port, 'GET /stream?channel=a HTTP/1.0\r\n\r\n');
    assert.equal(answer.status, 200);
    assert.match(answer.body, /^retry: \d+\n\n$/);
});

test('--refusal status: 503 with Retry-After and a problem, for a proxy that tries the next', async (t) => {
    const { gateway } = await unready(t, ['--refusal', 'status', '--cors-origin', 'https://app.example']);
    const answer = await exchange(gateway.port, ask('Origin: https://app.example\r\n'));
    assert.equal(answer.status, 503);
    assert.match(answer.headers['retry-after'], /^[1-9]\d*$/);
    assert.match(answer.headers['content-type'], /^application\/problem\+json/);
    assert.equal(JSON.parse(answer.body).status, 503);
    assert.equal(answer.headers['access-control-allow-origin'], 'https://app.example');
});

test('what is wrong for good is said for good, ready or not', async (t) => {
    const { gateway } = await unready(t);
    assert.equal((await exchange(gateway.port, 'GET /stream?channel=a%20b HTTP/1.1\r\nHost: a\r\n\r\n')).status, 400);
    assert.equal((await exchange(gateway.port, 'GET /stream?channel=a HTTP/1.1\r\nHost: a\r\nAccept: text/html\r\n\r\n')).status, 406);
});

// What tests of several fronts share: a certificate, an application behind the front, and one request.

import assert from 'node:assert/strict';
import http from 'node:http';
import https from 'node:https';
import { Authority } from './certificates.mjs';

process.env.NODE_TLS_REJECT_UNAUTHORIZED = '0'; // some clients cannot be told of a CA

/** Options of gateways behind a front that asks the next one. */
export const ARGS = ['--refusal', 'status', '--retry', '300ms', '--heartbeat', '1s', '--durable', '*', '--trusted-proxy', '127.0.0.1'];

/** Resolves to { cert, key, ca }: files, for localhost. */
export async function certificate(scope) {
    const ca = await Authority.create(scope);
    return { ...(await ca.sign('localhost')), ca: ca.cert };
}

/** The application's pages: one page, and what it was asked. */
export async function startApplication(scope) {
    const asked = [];
    const server = http.createServer((request, response) => {
        asked.push(request);
        response.writeHead(200, { 'Content-Type': 'text/html' }).end('<!doctype html><title>page</title>');
    });
    await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
    scope.defer(() => new Promise((resolve) => (server.closeAllConnections(), server.close(resolve))));
    return { port: server.address().port, asked };
}

/** Resolves to { status, headers, body }. */
export function get(url, { method = 'GET', headers = {} } = {}) {
    return new Promise((resolve, reject) => {
        const request = (url.startsWith('https') ? https : http).request(url, { method, headers, agent: false }, (response) => {
            let body = '';
            response.setEncoding('utf8').on('data', (text) => (body += text));
            response.on('end', () => resolve({ status: response.statusCode, headers: response.headers, body }));
        });
        request.once('error', reject);
        request.end();
    });
}

/** What a front answers in the place of gateways that are away: a browser comes back, in 2 to 6 s. */
const COME_BACK = /^retry: [2-5]\d\d\d\n\n$/;

/** Ends all gateways: each of twenty answers of the front brings browsers back, and those of a page of https://page.test, too. */
export async function checkOwnAnswers({ front, gateways }) {
    for (const gateway of gateways) gateway.terminate();
    for (const gateway of gateways) await gateway.process.exit();
    const answers = await Promise.all(Array.from({ length: 20 }, () => get(`${front.url}/stream?channel=a&ticket=secret`, { headers: { Origin: 'https://page.test' } })));
    for (const { status, headers, body } of answers) {
        assert.equal(status, 200);
        assert.equal(headers['content-type'], 'text/event-stream');
        assert.equal(headers['cache-control'], 'no-store');
        assert.match(body, COME_BACK);
        assert.equal(headers['access-control-allow-origin'], 'https://page.test');
        assert.equal(headers['access-control-allow-credentials'], 'true');
        assert.equal(headers.vary, 'Origin');
    }
    assert.ok(new Set(answers.map(({ body }) => body)).size >= 4, 'they come back at different times');
    const other = await get(`${front.url}/stream?channel=a`, { headers: { Origin: 'https://other.test' } });
    assert.equal(other.headers['access-control-allow-origin'], undefined);
    assert.ok(!front.process.log().includes('secret'), 'the log has no tickets');
}

/** Where every gateway refuses, a browser is told to come back; an answer that is final stays as it is. */
export async function checkRefusal(front) {
    const refused = await get(`${front.url}/stream?channel=a`);
    assert.deepEqual([refused.status, refused.headers['content-type']], [200, 'text/event-stream']);
    assert.match(refused.body, COME_BACK);
    assert.equal((await get(`${front.url}/stream?channel=__a`)).status, 400);
}

/** Kills the first gateway, which the front may not have noticed yet. */
export async function killOne({ gateways }) {
    gateways[0].process.signal('SIGKILL');
    await gateways[0].process.exit();
}

/** A client cannot say its own address, user or channels by a header; `asked`: of the application behind the front. */
export async function checkHeaders(front, asked) {
    const headers = { 'X-Forwarded-For': '192.0.2.1', Forwarded: 'for=192.0.2.1', 'X-SSE-Channels': 'a', 'X-SSE-Subject': 'eve' };
    assert.equal((await get(front.url, { headers })).status, 200);
    const got = asked[0].headers;
    assert.deepEqual([got['x-forwarded-for'], got.forwarded, got['x-sse-channels'], got['x-sse-subject']], ['127.0.0.1', undefined, undefined, undefined]);
}

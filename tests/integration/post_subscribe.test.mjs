// POST /stream: what a query says may stand in a body, for lists that no URL has room for. The same checks as for GET; a body
// that is not read is refused before it comes; and thousands of channels of one stream cost what thousands of channels cost.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { bearer, Keys, ticketOf } from '../lib/bearer.mjs';
import { connect, FORMS, load } from '../lib/durable.mjs';
import { exchange, RawConnection } from '../lib/raw_http.mjs';
import { scopeOf } from '../lib/scope.mjs';
import { Stream } from '../lib/stream.mjs';
import { openStream } from '../lib/streams.mjs';
import { startTier } from '../lib/tier.mjs';
import { until, within } from '../lib/wait.mjs';

const FORM = 'application/x-www-form-urlencoded';
const JSON_TYPE = 'application/json';

/** The bytes of a POST. `body`: bytes, or what becomes JSON. `fields`: whole lines. */
function post(target, body, { type = typeof body === 'string' ? FORM : JSON_TYPE, fields = [], length } = {}) {
    const bytes = Buffer.from(typeof body === 'string' ? body : JSON.stringify(body));
    const lines = [`POST ${target} HTTP/1.1`, 'Host: a', ...(type ? [`Content-Type: ${type}`] : []), `Content-Length: ${length ?? bytes.length}`, ...fields];
    return Buffer.concat([Buffer.from(`${lines.join('\r\n')}\r\n\r\n`), bytes]);
}

/** Opens a stream by POST. */
async function subscribe(scope, port, target, body, { fields = [], ...options } = {}) {
    const stream = new Stream();
    scope.defer(() => stream.close());
    const listens = JSON.stringify(body).includes('control'); // Stream looks for it in the text of the request
    stream.start(port, '127.0.0.1', post(target, body, { fields: [...(listens ? ['X-Asks: control=1'] : []), ...fields], ...options }));
    await within(15000, 'an answer', stream.answered);
    return stream;
}

async function problem(port, bytes, status, detail) {
    const answer = await exchange(port, bytes);
    assert.equal(answer.status, status, answer.text);
    if (detail) assert.match(JSON.parse(answer.body).detail, detail);
    assert.ok(!answer.reset);
    return answer;
}

const datas = ({ events }) => events.map((e) => e.data);
const numbered = (n, name = 'c') => Array.from({ length: n }, (_, i) => `${name}:${i}`);

test('a form and a JSON body say what a query says, and are read in pieces of any size', async (t) => {
    const scope = scopeOf(t);
    const { gateway, redis } = await startTier(scope);
    const control = ['control=1', { control: 1 }, { control: '1' }, { control: true }, { control: [0, 1] }];
    for (const channels of ['channel=a&channel=b%3A1', { channel: ['a', 'b:1'] }, { channel: ['a', 'b:1', 'a'], unknown: { deep: null }, last_event_id: null }]) {
        const body = typeof channels === 'string' ? `${channels}&${control[0]}` : { ...channels, ...control[1] };
        const stream = await subscribe(scope, gateway.port, '/stream/', body);
        assert.equal(stream.status, 200);
        await until('gateway:open', () => stream.events.length === 1);
        assert.deepEqual(Object.keys(JSON.parse(stream.events[0].data).channels), ['a', 'b:1']);
        await redis.publish('b:1', 'hello');
        await until('the event', () => datas(stream).includes('hello'));
        stream.close();
    }
    for (const body of control.slice(1)) {
        const stream = await subscribe(scope, gateway.port, '/stream?channel=a', body);
        await until('gateway:open', () => stream.events.length === 1);
        stream.close();
    }
    const whole = post('/stream?channel=q', { channel: numbered(60), control: 1 }, { type: 'Application/JSON ; charset=utf-8' });
    for (const size of [1, 7, 100]) {
        const connection = new RawConnection(gateway.port);
        scope.defer(() => connection.close());
        for (let at = 0; at < whole.length; at += size) {
            connection.send(whole.subarray(at, at + size));
            await new Promise(setImmediate);
        }
        await until('gateway:open', () => connection.text.includes('"c:59":"fresh"'));
        assert.match(connection.text, /"q":"fresh"/);
        connection.close();
    }
});

test('of the query and the body, channels add up, and for other parameters the body counts', async (t) => {
    const scope = scopeOf(t);
    const { gateway, redis } = await startTier(scope);
    const client = connect(scope, redis);
    await load(client);
    for (let i = 1; i <= 4; i++) await FORMS.function(client, 'a', `${i}`);
    const all = await subscribe(scope, gateway.port, '/stream?live=0&last_event_id=nonsense', { channel: 'a', last_event_id: 'earliest' });
    assert.equal(await all.ended(), 'clean');
    assert.deepEqual(datas(all), ['1', '2', '3', '4']);
    const [, second, third] = all.events.map((e) => e.lastEventId);
    const rest = async (target, body, fields = []) => {
        const stream = await subscribe(scope, gateway.port, target, body, { fields });
        assert.equal(await stream.ended(), 'clean');
        return datas(stream);
    };
    assert.deepEqual(await rest(`/stream?channel=a&last_event_id=${third}`, `live=0&last_event_id=${second}`), ['3', '4']);
    // A client that comes back brings a newer id by itself.
    assert.deepEqual(await rest('/stream?channel=a', `live=0&last_event_id=${second}`, [`Last-Event-ID: ${third}`]), ['4']);
    assert.deepEqual(await rest('/stream?channel=b&channel=a&live=1', { channel: ['a'], live: 0, lastEventId: third }), ['4']);
    assert.deepEqual(await rest('/stream?wait=60', { channel: 'a', last_event_id: third, wait: 1 }), ['4']);
});

test('what the head says of the body is refused before the body is read, and without a reset', async (t) => {
    const scope = scopeOf(t);
    const { gateway } = await startTier(scope);
    const [port, T] = [gateway.port, '/stream?channel=a'];
    const head = (...fields) => `POST ${T} HTTP/1.1\r\nHost: a\r\n${fields.map((f) => `${f}\r\n`).join('')}\r\n`;
    await problem(port, head(), 411, /Content-Length/);
    await problem(port, `${head('Transfer-Encoding: chunked', `Content-Type: ${FORM}`)}3\r\na=b\r\n0\r\n\r\n`, 411, /chunked/);
    await problem(port, head('Content-Length: 65537', `Content-Type: ${FORM}`), 413, /65536/);
    await problem(port, head('Content-Length: 9000000000000000000', `Content-Type: ${FORM}`, 'Expect: 100-continue'), 413);
    for (const type of ['text/plain', 'multipart/form-data; boundary=x', 'application/jsonx', 'application/x-www-form-urlencoded2', '']) {
        await problem(port, head('Content-Length: 9', `Content-Type: ${type}`), 415, /form-urlencoded or application\/json/);
    }
    await problem(port, head('Content-Length: 9'), 415);
    await problem(port, head('Content-Length: 9', `Content-Type: ${FORM}`, 'Accept: text/html'), 406);
    await problem(port, head('Content-Length: 9', `Content-Type: ${FORM}`, `Content-Type: ${JSON_TYPE}`), 400);
    // Elsewhere bodies are what they were.
    await problem(port, `POST /nothing HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n`, 404);
    await problem(port, `POST /health/live HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n`, 405);
    await problem(port, `POST /nothing HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n`, 501);
    await problem(port, `POST /health/live HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n`, 417);
    await problem(port, `GET ${T} HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n`, 413);
    await problem(port, `PUT ${T} HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n`, 405);
});

test('what a body says wrong is 400, with one line that says what', async (t) => {
    const scope = scopeOf(t);
    const { gateway } = await startTier(scope);
    const json = (text) => post('/stream?channel=a', text, { type: JSON_TYPE });
    for (const text of ['{', '[]', '"a"', 'null', '{} {}', '{"channel":"a","channel":"b"}', '{"channel":"a\\u0000"}', '\xff', `${'['.repeat(30000)}`, '{"channel":[["a"]]}']) {
        await problem(gateway.port, json(text), 400);
    }
    await problem(gateway.port, json('[1]'), 400, /^the body is not one JSON object/);
    await problem(gateway.port, json('{"channel":{}}'), 400, /^"channel" is a text/);
    await problem(gateway.port, json('{"wait":1.5}'), 400, /^"wait" is a text, a whole number/);
    await problem(gateway.port, json('{"wait":61}'), 400, /^wait is a number of seconds from 1 to 60$/);
    await problem(gateway.port, json('{"channel":["a","sse:x"]}'), 400, /reserved/);
    await problem(gateway.port, post('/stream?channel=a', 'channel=b&x=%'), 400, /^the body has a broken percent-encoding/);
    await problem(gateway.port, post('/stream', numbered(65).map((c) => `channel=${c}`).join('&')), 400, /^more than 64 channels/);
    await problem(gateway.port, post('/stream', ''), 400, /^no channel/);
    assert.equal((await exchange(gateway.port, post('/stream?channel=a&live=0', '', { type: '' }))).status, 200, 'an empty body needs no type');
});

test('Expect: 100-continue is answered once, before the body', async (t) => {
    const scope = scopeOf(t);
    const { gateway } = await startTier(scope);
    const body = JSON.stringify({ channel: 'a', live: 0 });
    const connection = new RawConnection(gateway.port);
    scope.defer(() => connection.close());
    connection.send(post('/stream', '', { type: JSON_TYPE, length: body.length, fields: ['Expect: 100-Continue'] }));
    await until('100', () => connection.text === 'HTTP/1.1 100 Continue\r\n\r\n');
    connection.send(body.slice(0, 5));
    connection.send(body.slice(5));
    await connection.closed;
    assert.match(connection.text, /^HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 200 OK\r\n/);
    assert.equal(connection.text.split('100 Continue').length, 2);
});

test('a body that does not come in the time of its head is answered with 408', async (t) => {
    const scope = scopeOf(t);
    const { gateway } = await startTier(scope);
    const connection = new RawConnection(gateway.port);
    scope.defer(() => connection.close());
    const asked = performance.now();
    connection.send(post('/stream', 'channel=a', { length: 1000 }));
    const drip = setInterval(() => connection.send('x'), 500); // which extends nothing
    scope.defer(() => clearInterval(drip));
    await within(20000, 'the end', connection.closed);
    assert.equal(connection.answer().status, 408);
    assert.match(JSON.parse(connection.answer().body).detail, /body/);
    assert.ok(performance.now() - asked < 16000);
});

test('tokens, tickets and cookies count for POST as for GET, and a page of another origin is refused before its body', async (t) => {
    const scope = scopeOf(t);
    const keys = new Keys(scope);
    const { gateway } = await startTier(scope, { anonymous: [], args: [...keys.args, '--cors-origin', 'https://app.example'] });
    const body = { channel: ['user:ann'], live: 0 };
    const status = async (fields, target = '/stream', what = body) => (await exchange(gateway.port, post(target, what, { fields }))).status;
    const token = `Authorization: Bearer ${keys.token('ann')}`;
    assert.equal(await status([]), 401);
    assert.equal(await status([token]), 200);
    assert.equal(await status([token], '/stream', { channel: ['user:ann', 'user:bob'] }), 403);
    const target = `/stream?ticket=${await ticketOf(gateway, keys.token('ann'))}`;
    assert.equal(await status([], target), 200);
    assert.equal(await status([], target), 401, 'it was spent');
    // A form of another page, which a browser sends with cookies and without a preflight.
    for (const fields of [['Origin: https://evil.example'], ['Origin: null'], ['Sec-Fetch-Site: cross-site'], ['Sec-Fetch-Site: same-site', 'Origin: https://x.app.example']]) {
        const cookie = `Cookie: __Secure-sse_token=${keys.token('ann')}`;
        await problem(gateway.port, post('/stream', '', { type: FORM, length: 20, fields: [cookie, ...fields] }), 403, /another origin/);
    }
    assert.equal(await status([`Cookie: __Secure-sse_token=${keys.token('ann')}`, 'Origin: https://app.example']), 200);
    const preflight = await exchange(gateway.port, 'OPTIONS /stream HTTP/1.1\r\nHost: a\r\nOrigin: https://app.example\r\nAccess-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: content-type\r\n\r\n');
    assert.match(preflight.headers['access-control-allow-methods'], /\bPOST\b/);
    assert.match(preflight.headers['access-control-allow-headers'], /Content-Type/);
});

test('a stream of 4,096 channels opens, hears each of them, and goes on from its id', async (t) => {
    const scope = scopeOf(t);
    const { gateway, redis } = await startTier(scope, { args: ['--max-channels', '4096'] });
    const client = connect(scope, redis);
    await load(client);
    const channels = numbered(4096);
    await problem(gateway.port, post('/stream', { channel: [...channels, 'more'] }), 400, /^more than 4096 channels/);
    const body = { channel: channels, control: 1 };
    const stream = await subscribe(scope, gateway.port, '/stream', body);
    await until('gateway:open', () => stream.events.length === 1);
    assert.equal(Object.keys(JSON.parse(stream.events[0].data).channels).length, 4096);
    await Promise.all(channels.map((c, i) => (i % 8 ? client.publish(c, c) : FORMS.function(client, c, c))));
    await stream.count(4097, { ms: 60000 });
    assert.deepEqual(new Set(datas(stream).slice(1)), new Set(channels));
    assert.ok(stream.lastEventId.length <= 1024);
    stream.close();
    // About a hundred channels have room in an id: the first ones go on, and a loss in another one is told, if there may be one.
    await FORMS.function(client, 'c:0', 'next');
    const again = await subscribe(scope, gateway.port, '/stream', { channel: channels, last_event_id: stream.lastEventId });
    await until('what was missed', () => datas(again).includes('next'));
    assert.ok(!again.events.some((e) => e.type === 'gateway:gap' && JSON.parse(e.data).channel === 'c:0'));
    again.close();
    await gateway.metricIs('connections', 0);
});

test('through NGINX, and from fetch of Node.js', async (t) => {
    const scope = scopeOf(t);
    const { nginx, redis } = await startTier(scope, { nginx: true, args: ['--max-channels', '4096'] });
    const answer = await fetch(`http://127.0.0.1:${nginx.port}/stream`, {
        method: 'POST', headers: { 'content-type': JSON_TYPE }, body: JSON.stringify({ channel: numbered(2000, 'a-longer-name'), wait: 50 }),
    });
    assert.equal(answer.status, 200);
    const text = answer.text();
    await redis.publish('a-longer-name:1999', 'hello');
    assert.match(await text, /\ndata: hello\n\n/);
});

test('behind NGINX, a POST that a gateway refuses for now gets its stream of the next one', async (t) => {
    const scope = scopeOf(t);
    const { nginx, gateways } = await startTier(scope, { nginx: true, gateways: 2, args: ['--refusal', 'status', '--max-connections', '1'] });
    await openStream(scope, gateways[0].port, '/stream?channel=a');
    for (let i = 0; i < 6; i++) {
        const stream = await subscribe(scope, nginx.port, '/stream', { channel: 'a', live: 0 });
        await stream.ended();
        assert.equal(stream.gateway, gateways[1].id);
        await gateways[1].metricIs('connections', 0);
    }
});

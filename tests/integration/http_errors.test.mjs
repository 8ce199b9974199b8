// What is asked for wrongly gets its status, a reason in application/problem+json, and the end of the connection.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RawConnection, exchange } from '../lib/raw_http.mjs';
import { scopeOf, sharedScope } from '../lib/scope.mjs';
import { startTier } from '../lib/tier.mjs';
import { openStream } from '../lib/streams.mjs';
import { until } from '../lib/wait.mjs';

const shared = sharedScope();
const { gateway, redis } = await startTier(shared, { args: ['--cors-origin', 'https://app.example', '--max-channels', '4'], anonymous: ['*'] });

const get = (target, ...headers) => `GET ${target} HTTP/1.1\r\n${['Host: a', ...headers].map((h) => h + '\r\n').join('')}\r\n`;
const quoted = (text) => JSON.stringify(text.length > 90 ? `${text.slice(0, 90)}...` : text);

function isProblem(answer, status) {
    assert.equal(answer.status, status, `${answer.text}`);
    assert.match(answer.headers['content-type'], /^application\/problem\+json/);
    assert.equal(Number(answer.headers['content-length']), Buffer.byteLength(answer.body));
    assert.match(answer.headers.connection ?? '', /close/i);
    const problem = JSON.parse(answer.body);
    assert.equal(problem.status, status);
    assert.equal(typeof problem.title, 'string');
    return problem;
}

// Channels: 1-128 bytes of A-Z a-z 0-9 _ . : @ / -, none that is reserved.
const BAD_TARGETS = {
    'no channel': '/stream',
    'an empty query': '/stream?',
    'an empty channel': '/stream?channel=',
    'a channel without a value': '/stream?channel',
    'a channel with a blank': '/stream?channel=a%20b',
    'a channel with a plus, which is a blank': '/stream?channel=a+b',
    'a channel with a star': '/stream?channel=a*',
    'a channel with an encoded NUL': '/stream?channel=a%00b',
    'a channel with an encoded line end': '/stream?channel=a%0d%0ab',
    'a channel beyond ASCII': '/stream?channel=%C3%A4',
    'a channel with a brace': '/stream?channel=%7Ba%7D',
    'a channel of 129 bytes': `/stream?channel=${'x'.repeat(129)}`,
    'one bad channel among good ones': '/stream?channel=a&channel=b%20c&channel=d',
    'a reserved name, __': '/stream?channel=__keyspace',
    'a reserved name, sse:': '/stream?channel=sse:gateways',
    'a reserved name in percent-encoding': '/stream?channel=%73se%3agateways',
    'more channels than --max-channels': '/stream?channel=a&channel=b&channel=c&channel=d&channel=e',
    'a broken percent-encoding': '/stream?channel=a%2',
    'a percent-encoding that is no hex': '/stream?channel=a%zz',
};

for (const [name, target] of Object.entries(BAD_TARGETS)) {
    test(`400 for ${name}, and the reason`, async () => {
        const problem = isProblem(await exchange(gateway.port, get(target)), 400);
        assert.ok(problem.detail?.length > 10, `a detail that helps, not ${JSON.stringify(problem.detail)}`);
    });
}

const GOOD_TARGETS = {
    'a trailing slash': ['/stream/?channel=t1', 't1'],
    'a channel of 128 bytes': [`/stream?channel=${'x'.repeat(128)}`, 'x'.repeat(128)],
    'every kind of character': ['/stream?channel=aZ09_.:@/-', 'aZ09_.:@/-'],
    'percent-encoded characters': ['/stream?channel=user%3A42%2Fx%40y', 'user:42/x@y'],
    'unknown parameters beside the channel': ['/stream?x=1&channel=t2&y=2&z', 't2'],
    'as many channels as --max-channels': ['/stream?channel=m1&channel=m2&channel=m3&channel=m4', 'm4'],
    'the same channel many times': [`/stream?${Array(20).fill('channel=dup').join('&')}`, 'dup'],
    'a name that only contains sse:': ['/stream?channel=a:sse:b', 'a:sse:b'],
    'a name that begins with one underscore': ['/stream?channel=_x', '_x'],
    'a Last-Event-ID of another server': ['/stream?channel=lid&last_event_id=%20%C3%A4%7B%0a', 'lid'],
    'a last_event_id with an encoded NUL': ['/stream?last_event_id=a%00&channel=lid', 'lid'],
    'a lastEventId with a broken percent-encoding': ['/stream?lastEventId=%zz&channel=lid', 'lid'],
};

for (const [name, [target, channel]] of Object.entries(GOOD_TARGETS)) {
    test(`200 for ${name}`, async (t) => {
        const stream = await openStream(scopeOf(t), gateway.port, target);
        await redis.publish(channel, 'x');
        await stream.count(1);
    });
}

const ACCEPTS = {
    'text/event-stream': 200,
    '*/*': 200,
    'text/*': 200,
    'text/html, */*;q=0.1': 200,
    'text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8': 200,
    'TEXT/Event-Stream': 200,
    'text/event-stream;q=0.5, text/html': 200,
    'text/html': 406,
    'application/json, text/html': 406,
    'text/event-stream;q=0': 406,
    'text/event-stream;q=0, */*': 406,
    'text/*;q=0, */*': 406,
    'image/*': 406,
};

for (const [accept, status] of Object.entries(ACCEPTS)) {
    test(`Accept: ${accept} is ${status}`, async (t) => {
        if (status === 406) {
            isProblem(await exchange(gateway.port, get('/stream?channel=a', `Accept: ${accept}`)), 406);
        } else {
            const stream = await openStream(scopeOf(t), gateway.port, '/stream?channel=a', { headers: { Accept: accept } });
            assert.equal(stream.status, 200);
        }
    });
}

test('no Accept at all is fine', async (t) => {
    const connection = new RawConnection(gateway.port);
    t.after(() => connection.close());
    connection.send(get('/stream?channel=a'));
    await until('200', () => connection.answer().status === 200);
});

for (const method of ['PUT', 'DELETE', 'PATCH']) {
    test(`${method} is 405 with Allow`, async () => {
        const answer = await exchange(gateway.port, `${method} /stream?channel=a HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n`);
        isProblem(answer, 405);
        for (const allowed of ['GET', 'HEAD', 'OPTIONS', 'POST']) assert.match(answer.headers.allow, new RegExp(`\\b${allowed}\\b`));
    });
}

for (const target of ['/', '/nothing', '/streams', '/stream/x', '/stream//', '/STREAM?channel=a', '/metrics', '/metrics/sse', '/dashboard', '/health', '/../stream']) {
    test(`404 for ${target} on the public listener`, async () => {
        isProblem(await exchange(gateway.port, get(target)), 404);
    });
}

test('a CORS preflight of an allowed origin is answered; of another one it allows nothing', async () => {
    const preflight = (origin) => exchange(gateway.port, `OPTIONS /stream?channel=a HTTP/1.1\r\nHost: a\r\nOrigin: ${origin}\r\n` +
        'Access-Control-Request-Method: GET\r\nAccess-Control-Request-Headers: last-event-id, cache-control\r\nConnection: close\r\n\r\n');
    const allowed = await preflight('https://app.example');
    assert.equal(allowed.status, 204);
    assert.equal(allowed.headers['access-control-allow-origin'], 'https://app.example');
    assert.equal(allowed.headers['access-control-allow-credentials'], 'true');
    assert.match(allowed.headers['access-control-allow-methods'], /\bGET\b/);
    assert.match(allowed.headers['access-control-allow-headers'], /last-event-id/i);
    assert.match(allowed.headers.vary, /\bOrigin\b/i);
    const other = await preflight('https://evil.example');
    assert.equal(other.headers['access-control-allow-origin'], undefined);
    assert.match(other.headers.vary, /\bOrigin\b/i);
});

test('errors carry CORS too, or a page could not read the reason', async () => {
    const answer = await exchange(gateway.port, get('/stream', 'Origin: https://app.example'));
    isProblem(answer, 400);
    assert.equal(answer.headers['access-control-allow-origin'], 'https://app.example');
    assert.match(answer.headers.vary, /\bOrigin\b/i);
});

// `Origin` stands where a browser has it: among the first fields.
const FROM_PAGE = ['Origin: https://app.example'];
const CORS_ERRORS = {
    'a header that is folded': [400, get('/stream?channel=a', ...FROM_PAGE, 'X: a\r\n b')],
    'two Hosts': [400, get('/stream?channel=a', ...FROM_PAGE, 'Host: b')],
    'a body on GET': [413, get('/stream?channel=a', ...FROM_PAGE, 'Content-Length: 5') + 'hello'],
    'a target of 20 KB': [414, get(`/stream?channel=a&x=${'y'.repeat(15000)}`, ...FROM_PAGE)],
    'Expect': [417, get('/stream?channel=a', ...FROM_PAGE, 'Expect: 100-continue')],
    'a cookie of 20 KB': [431, get('/stream?channel=a', ...FROM_PAGE, `Cookie: ${'y'.repeat(20000)}`)],
    'Transfer-Encoding': [501, get('/stream?channel=a', ...FROM_PAGE, 'Transfer-Encoding: chunked')],
    'HTTP/1.2': [505, get('/stream?channel=a', ...FROM_PAGE).replace('1.1', '1.2')],
};

for (const [name, [status, request]] of Object.entries(CORS_ERRORS)) {
    test(`${status} for ${name} carries CORS, too`, async () => {
        const answer = await exchange(gateway.port, request);
        isProblem(answer, status);
        assert.equal(answer.headers['access-control-allow-origin'], 'https://app.example');
        assert.equal(answer.headers['access-control-allow-credentials'], 'true');
        assert.match(answer.headers.vary, /\bOrigin\b/i);
        const other = await exchange(gateway.port, request.replace('app.example', 'evil.example'));
        isProblem(other, status);
        assert.equal(other.headers['access-control-allow-origin'], undefined);
        assert.match(other.headers.vary, /\bOrigin\b/i);
    });
}

test('an Origin that is not whole, or is no field, allows nothing', async () => {
    const long = 'y'.repeat(20000);
    for (const lines of [[`Cookie: ${long}`, ...FROM_PAGE], [`X: Origin: https://app.example${long}`], [`Origin: https://app.example${long}`], [`XOrigin: https://app.example`, `Cookie: ${long}`]]) {
        const answer = await exchange(gateway.port, get('/stream?channel=a', ...lines));
        isProblem(answer, 431);
        assert.equal(answer.headers['access-control-allow-origin'], undefined, lines[0].slice(0, 60));
    }
});

test('what fetch clients send beside Accept is allowed to them', async () => {
    const wanted = ['accept', 'authorization', 'cache-control', 'content-type', 'last-event-id', 'traceparent', 'tracestate', 'x-requested-with'];
    const answer = await exchange(gateway.port, `OPTIONS /stream?channel=a HTTP/1.1\r\nHost: a\r\nOrigin: https://app.example\r\n` +
        `Access-Control-Request-Method: GET\r\nAccess-Control-Request-Headers: ${wanted.join(',')}\r\n\r\n`);
    assert.equal(answer.status, 204);
    const allowed = answer.headers['access-control-allow-headers'].toLowerCase().split(/, */);
    assert.deepEqual(allowed.sort(), wanted);
});

test('--cors-origin * allows all, without credentials', async (t) => {
    const scope = scopeOf(t);
    const { gateway } = await startTier(scope, { args: ['--cors-origin', '*'] });
    const stream = await openStream(scope, gateway.port, '/stream?channel=a', { headers: { Origin: 'https://any.example' } });
    assert.equal(stream.headers['access-control-allow-origin'], '*');
    assert.equal(stream.headers['access-control-allow-credentials'], undefined);
});

test('without --cors-origin no origin is allowed', async (t) => {
    const scope = scopeOf(t);
    const { gateway } = await startTier(scope);
    const stream = await openStream(scope, gateway.port, '/stream?channel=a', { headers: { Origin: 'https://any.example' } });
    assert.equal(stream.headers['access-control-allow-origin'], undefined);
});

test('--anonymous patterns say which channels are open to all', async (t) => {
    const scope = scopeOf(t);
    const { gateway } = await startTier(scope, { anonymous: ['public:*', 'news'] });
    for (const channel of ['public:a', 'public:', 'news']) {
        assert.equal((await openStream(scope, gateway.port, `/stream?channel=${channel}`)).status, 200);
    }
    for (const channels of ['channel=private', 'channel=newsroom', 'channel=public', 'channel=news&channel=private']) {
        const answer = await exchange(gateway.port, get(`/stream?${channels}`));
        assert.ok([401, 403].includes(answer.status), answer.text);
        isProblem(answer, answer.status);
    }
});

test('--path moves the streams', async (t) => {
    const scope = scopeOf(t);
    const { gateway } = await startTier(scope, { args: ['--path', '/events/live'] });
    assert.equal((await openStream(scope, gateway.port, '/events/live?channel=a')).status, 200);
    assert.equal((await openStream(scope, gateway.port, '/events/live/?channel=a')).status, 200);
    isProblem(await exchange(gateway.port, get('/stream?channel=a')), 404);
});

// An EventSource that gets a permanent error is deaf for good, and its last id is whatever some server has once sent it.
const LAST_EVENT_IDS = {
    'with a control character': 'a\x01b',
    'of control characters alone': '\x1b\x7f',
    'with bytes that are no UTF-8': '\xff\xfe',
    'of 1 KiB and a byte': 'x'.repeat(1025),
    'of 20 KB': 'x'.repeat(20_000),
    'of 500 KB': 'x'.repeat(500_000),
    'of 500 KB of control characters': '\x02'.repeat(500_000),
    'of an id of ours, 500 KB of blanks, and more': `earliest${' '.repeat(500_000)}x`,
};

for (const [name, id] of Object.entries(LAST_EVENT_IDS)) {
    test(`a Last-Event-ID ${name} is one that nobody knows: the stream opens, with a gap`, async (t) => {
        const connection = new RawConnection(gateway.port);
        t.after(() => connection.close());
        connection.send(get('/stream?channel=odd', `Last-Event-ID: ${id}`, 'Accept: text/event-stream'));
        await until('an answer', () => connection.text.includes('\r\n\r\n'));
        assert.equal(connection.answer().status, 200, connection.text);
        await redis.publish('odd', 'x');
        await until('the event', () => connection.text.includes('data: x'));
        assert.match(connection.text, /event: gateway:gap\n.*data: x/s);
    });
}

test('a request behind one with an odd Last-Event-ID is read from where it begins', async () => {
    const pages = ['', 'Last-Event-ID: \x01', `Last-Event-ID: ${'y'.repeat(30_000)}`].map((more) => get('/health/live', ...(more ? [more] : [])));
    const answer = await exchange(gateway.port, pages.join('') + pages.join('') + get('/nothing'));
    assert.equal(answer.text.split('HTTP/1.1 200').length, 7, answer.text);
    assert.equal(answer.text.split('HTTP/1.1 404').length, 2, answer.text);
});

// Heads on which proxies and servers disagree are refused, so that nobody can hide a second request in a first.
const A = '/stream?channel=a';
const HOSTILE = [
    [400, 'no Host', `GET ${A} HTTP/1.1\r\n\r\n`],
    [400, 'two Hosts', get(A, 'Host: b')],
    [400, 'two equal Hosts', get(A, 'Host: a')],
    [400, 'a blank before the colon', get(A, 'X-A : b')],
    [400, 'a folded header', get(A, 'X-A: b\r\n c')],
    [400, 'a header folded with a tab', get(A, 'X-A: b\r\n\tc')],
    [400, 'a header without a colon', get(A, 'X-A')],
    [400, 'an empty header name', get(A, ': b')],
    [400, 'a NUL in a header', get(A, 'X-A: b\0c')],
    [400, 'a bare CR in a header', get(A, 'X-A: b\rX-B: c')],
    [400, 'a bare CR before the end', `GET ${A} HTTP/1.1\r\nHost: a\r\r\n\r\n`],
    [400, 'a control character in the target', get('/stream?channel=a\x01')],
    [400, 'a blank in the target', get('/stream?channel=a b')],
    [400, 'a tab between the words', `GET\t${A}\tHTTP/1.1\r\nHost: a\r\n\r\n`],
    [400, 'lower case http', `GET ${A} http/1.1\r\nHost: a\r\n\r\n`],
    [400, 'a version that is none', `GET ${A} HTTP/1.1x\r\nHost: a\r\n\r\n`],
    [400, 'HTTP/0.9', `GET ${A}\r\n\r\n`],
    [400, 'a target without a slash', get('stream?channel=a')],
    [400, 'Content-Length and Transfer-Encoding', get(A, 'Content-Length: 5', 'Transfer-Encoding: chunked')],
    [400, 'two different Content-Lengths', get(A, 'Content-Length: 5', 'Content-Length: 6')],
    [400, 'a list of Content-Lengths', get(A, 'Content-Length: 5, 5')],
    [400, 'a Content-Length that is no number', get(A, 'Content-Length: +0')],
    [400, 'a Content-Length beyond numbers', get(A, 'Content-Length: 99999999999999999999999')],
    [[400, 501], 'a Transfer-Encoding that is not chunked', get(A, 'Transfer-Encoding: gzip')],
    [[400, 413, 501], 'a chunked body on a GET', get(A, 'Transfer-Encoding: chunked') + '5\r\nhello\r\n0\r\n\r\n'],
    [[400, 413], 'a body on a GET', get(A, 'Content-Length: 5') + 'hello'],
    [[400, 501], 'Transfer-Encoding with a blank', get(A, 'Transfer-Encoding: \x0bchunked')],
    [[400, 417], 'an unknown expectation', get(A, 'Expect: 200-maybe')],
    [505, 'HTTP/2.0', `GET ${A} HTTP/2.0\r\nHost: a\r\n\r\n`],
    [505, 'HTTP/1.2', `GET ${A} HTTP/1.2\r\nHost: a\r\n\r\n`],
    [[400, 505], 'the HTTP/2 preface', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'],
    [[400, 405, 501], 'a method that is none', `FROB ${A} HTTP/1.1\r\nHost: a\r\n\r\n`],
    [[400, 405, 501], 'a method in lower case', `get ${A} HTTP/1.1\r\nHost: a\r\n\r\n`],
    [501, 'a method of 30 bytes', `${'A'.repeat(30)} ${A} HTTP/1.1\r\nHost: a\r\n\r\n`],
    [[400, 405, 501], 'CONNECT', 'CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n'],
    [400, 'a TLS hello', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03' + 'r'.repeat(300)],
    [400, 'the PROXY protocol, which is off', `PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n${get(A)}`],
    [414, 'a target of 100 KB', get(`/stream?channel=a&x=${'y'.repeat(100_000)}`)],
    [400, 'a NUL in Last-Event-ID', get(A, 'Last-Event-ID: a\0b')],
    [400, 'a bare CR in Last-Event-ID', get(A, 'Last-Event-ID: a\rHost: b')],
    [400, 'a bare LF in Last-Event-ID', get(A, 'Last-Event-ID: a\nHost: b')],
    [400, 'a folded Last-Event-ID', get(A, 'Last-Event-ID: a\r\n b')],
    [400, 'two Last-Event-IDs', get(A, 'Last-Event-ID: a', 'Last-Event-ID: b')],
    [400, 'a control character in a field that is nearly Last-Event-ID', get(A, 'Last-Event-IDs: \x01')],
    [431, 'a Last-Event-ID of 2 MB', get(A, `Last-Event-ID: ${'y'.repeat(2_000_000)}`)],
    [431, 'a header of 100 KB', get(A, `X-A: ${'y'.repeat(100_000)}`)],
    [431, 'thousands of headers', get(A, ...Array.from({ length: 5000 }, (_, i) => `X-${i}: y`))],
];

for (const [status, name, request] of HOSTILE) {
    test(`${status} for ${name}`, async () => {
        const answer = await exchange(gateway.port, request);
        assert.ok([status].flat().includes(answer.status), `${quoted(request)} got ${answer.text.slice(0, 300)}`);
        isProblem(answer, answer.status);
        assert.equal(answer.text.split('HTTP/1.').length, 2, `one answer: ${answer.text}`);
    });
}

test('lines that end in LF alone are refused or understood as one request, never as two', async () => {
    const answer = await exchange(gateway.port, `GET /nothing HTTP/1.1\nHost: a\n\nGET /health/live HTTP/1.1\nHost: a\n\n`);
    assert.equal(answer.text.split('HTTP/1.').length, 2, answer.text);
});

test('empty lines before a request are passed over (RFC 9112, 2.2)', async () => {
    const answer = await exchange(gateway.port, `\r\n${get('/nothing')}`);
    isProblem(answer, 404);
});

test('a client that ends its side before the head is whole is let go', async (t) => {
    const connection = new RawConnection(gateway.port);
    t.after(() => connection.close());
    connection.send('GET /stream?chan');
    connection.socket.end();
    await connection.closed;
    assert.ok(connection.text === '' || connection.answer().status === 400, connection.text);
});

test('a client that sends nothing, or its head too slowly, is told 408 or just closed, and others do not wait', async (t) => {
    const silent = new RawConnection(gateway.port);
    const slow = new RawConnection(gateway.port);
    t.after(() => [silent, slow].forEach((c) => c.close()));
    slow.send('GET /stream?channel=a HTTP/1.1\r\nHost: a\r\nOrigin: https://app.example\r\n');
    const dripping = setInterval(() => slow.send('X-A: b\r\n'), 1000);
    t.after(() => clearInterval(dripping));
    const stream = await openStream(scopeOf(t), gateway.port, '/stream?channel=a');
    assert.equal(stream.status, 200);
    await until('the slow ones to be closed', () => silent.socket.closed && slow.socket.closed, { ms: 60000, every: 100 });
    isProblem(slow.answer(), 408);
    assert.equal(slow.answer().headers['access-control-allow-origin'], 'https://app.example');
    assert.ok(silent.text === '' || silent.answer().status === 408, silent.text);
});

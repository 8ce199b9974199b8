// Tokens that others made (npm jose): who gets in, who hears what, when a stream ends, and how keys are changed.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import { test } from 'node:test';
import { command } from '../lib/command.mjs';
import { GATEWAY } from '../lib/paths.mjs';
import { scopeOf } from '../lib/scope.mjs';
import { Stream } from '../lib/stream.mjs';
import { openStream } from '../lib/streams.mjs';
import { startTier } from '../lib/tier.mjs';
import { Issuer, bearer, now, writeJwks } from '../lib/tokens.mjs';

const start = (scope, args, options) => startTier(scope, { anonymous: [], args, ...options });

for (const algorithm of ['HS256', 'HS384', 'HS512', 'RS256', 'PS256', 'ES256', 'EdDSA']) {
    test(`a token of ${algorithm} opens the channels that it gives, and no others`, async (t) => {
        const scope = scopeOf(t);
        const issuer = await Issuer.create(scope, algorithm);
        const { redis, gateway } = await start(scope, issuer.args());
        const token = await issuer.token({ sub: '42', channels: ['news', 'team:*'] });
        const stream = await openStream(scope, gateway.port, '/stream?channel=user:42&channel=news&channel=team:7', bearer(token));
        for (const channel of ['user:42', 'news', 'team:7']) await redis.publish(channel, channel);
        await stream.count(3);
        const denied = await gateway.get('/stream?channel=user:42&channel=user:43', bearer(token));
        assert.equal(denied.status, 403);
        const foreign = await (await Issuer.create(scope, algorithm)).token({ sub: '42' });
        assert.equal((await gateway.get('/stream?channel=user:42', bearer(foreign))).status, 401);
        await gateway.metricIs('tokens_accepted_total', 2);
        await gateway.metricIs('tokens_refused_total', 1, { labels: { reason: 'signature' } });
    });
}

test('a key set has keys for several algorithms, found by their ids', async (t) => {
    const scope = scopeOf(t);
    const issuers = await Promise.all(['RS256', 'ES256', 'EdDSA'].map((a) => Issuer.create(scope, a, { kid: `key of ${a}` })));
    const { gateway } = await start(scope, ['--jwks', writeJwks(scope, issuers)]);
    for (const issuer of issuers) {
        await openStream(scope, gateway.port, '/stream?channel=user:1', bearer(await issuer.token({ sub: '1' })));
        const other = await issuer.token({ sub: '1' }, { kid: 'another key' });
        assert.equal((await gateway.get('/stream?channel=user:1', bearer(other))).status, 401);
    }
    await gateway.metricIs('keys', 3);
});

test('what is refused is said as RFC 6750 says it', async (t) => {
    const scope = scopeOf(t);
    const issuer = await Issuer.create(scope);
    const { gateway } = await startTier(scope, { anonymous: ['public:*'], args: issuer.args() });
    const says = async (path, options) => {
        const { status, headers, body } = await gateway.get(path, options);
        assert.equal(JSON.parse(body).status, status);
        return [status, headers['www-authenticate']];
    };
    assert.deepEqual(await says('/stream?channel=user:1'), [401, 'Bearer realm="sse"']);
    assert.deepEqual(await says('/stream?channel=user:1', bearer('a.b.c')),
        [401, 'Bearer realm="sse", error="invalid_token", error_description="The token is malformed."']);
    assert.deepEqual(await says('/stream?channel=user:1', bearer(await issuer.token({ sub: '1' }, { seconds: -61 }))),
        [401, 'Bearer realm="sse", error="invalid_token", error_description="The token has expired."']);
    assert.deepEqual(await says('/stream?channel=public:a', bearer('')),
        [401, 'Bearer realm="sse", error="invalid_token", error_description="The token is malformed."'], 'a bad token is never ignored');
    assert.deepEqual(await says('/stream?channel=user:2', bearer(await issuer.token({ sub: '1' }))),
        [403, 'Bearer realm="sse", error="insufficient_scope", error_description="The channel user:2 is not open to you."']);
    await openStream(scope, gateway.port, '/stream?channel=public:a');
    await openStream(scope, gateway.port, '/stream?channel=public:a&channel=user:1', bearer(await issuer.token({ sub: '1' })));
    await openStream(scope, gateway.port, '/stream?channel=public:a', { headers: { Authorization: 'Basic YTpi' } });
});

test('a 403 is the same whether the channel exists or not', async (t) => {
    const scope = scopeOf(t);
    const issuer = await Issuer.create(scope);
    const { gateway } = await start(scope, issuer.args());
    await openStream(scope, gateway.port, '/stream?channel=user:2', bearer(await issuer.token({ sub: '2' })));
    const token = bearer(await issuer.token({ sub: '1' }));
    const [exists, exists_not] = await Promise.all(['user:2', 'user:9'].map((channel) => gateway.get(`/stream?channel=${channel}`, token)));
    assert.equal(exists.body.replaceAll('user:2', 'user:9'), exists_not.body);
    assert.deepEqual(Object.keys(exists.headers), Object.keys(exists_not.headers));
});

test('the header counts before the cookie, the cookie before the query, and the query only where it is named', async (t) => {
    const scope = scopeOf(t);
    const issuer = await Issuer.create(scope);
    const { redis, gateway } = await start(scope, [...issuer.args(), '--token-query', 'access_token']);
    const plain = await start(scope, issuer.args());
    const [a, b, c] = await Promise.all(['a', 'b', 'c'].map((sub) => issuer.token({ sub })));
    const cookie = (token) => ({ Cookie: `theme=dark; __Secure-sse_token=${token}; x=y` });
    const ask = async (at, sub, { header, inCookie, query }) => (await Stream.open(at.port, `/stream?channel=user:${sub}${query ? `&access_token=${query}` : ''}`,
        { headers: { ...(header && bearer(header).headers), ...(inCookie && cookie(inCookie)) } }));
    for (const [sub, from] of [['a', { header: a, inCookie: b, query: c }], ['b', { inCookie: b, query: c }], ['c', { query: c }], ['c', { query: c, inCookie: '' }]]) {
        const stream = await ask(gateway, sub, from);
        scope.defer(() => stream.close());
        assert.equal(stream.status, 200, sub);
    }
    const ignored = await ask(plain.gateway, 'c', { query: c });
    ignored.close();
    assert.equal(ignored.status, 401);
    await redis.publish('user:a', 'x');
    for (const token of [a, b, c]) assert.ok(!gateway.process.log().includes(token.slice(0, 30)), 'no token is in the log');
});

test('the log has no token, at its most talkative and of requests that are refused, too', async (t) => {
    const scope = scopeOf(t);
    const issuer = await Issuer.create(scope);
    const { gateway } = await start(scope, [...issuer.args(), '--token-query', 'access_token', '--log-level', 'debug']);
    const token = await issuer.token({ sub: 'a' }, { seconds: -1 });
    await gateway.get(`/stream?channel=user:a&access_token=${token}`);
    await gateway.get(`/stream?channel=b%20d&access_token=${token}`);
    await gateway.get(`/nothing?access_token=${token}`);
    await gateway.get('/stream?channel=user:a', bearer(token));
    await gateway.process.logged(/connection ended/);
    for (const part of token.split('.')) assert.ok(!gateway.process.log().includes(part));
});

test('a stream ends cleanly when its token expires, says so, and is asked to come back soon', async (t) => {
    const scope = scopeOf(t);
    const issuer = await Issuer.create(scope);
    const { gateway } = await start(scope, [...issuer.args(), '--heartbeat', '1h']);
    const expires = now() + 3;
    const token = await issuer.token({ sub: '1', exp: expires });
    const [told, plain, lasting] = await Promise.all(['&control=1', '', '&control=1'].map(async (query, i) => openStream(scope, gateway.port,
        `/stream?channel=user:1${query}`, { keep: true, ...bearer(i === 2 ? await issuer.token({ sub: '1' }) : token) })));
    assert.equal(await told.ended(), 'clean');
    assert.equal(await plain.ended(), 'clean');
    assert.ok(now() >= expires && Date.now() / 1000 < expires + 3, `it ended at exp, not ${Date.now() / 1000 - expires} s later`);
    assert.match(told.body, /event: gateway:close\ndata: \{"reason":"expired"\}\n\nretry: (5|6|7|8|9)\d\d\n\n$|retry: 1000\n\n$/);
    assert.match(plain.body, /retry: \d{3,4}\n\n$/);
    assert.doesNotMatch(plain.body, /gateway:close/);
    await gateway.metricIs('closes_total', 2, { labels: { reason: 'expired' } });
    assert.equal(lasting.end, undefined);
});

test('heartbeats go on until the token expires', async (t) => {
    const scope = scopeOf(t);
    const issuer = await Issuer.create(scope);
    const { gateway } = await start(scope, [...issuer.args(), '--heartbeat', '500ms']);
    const stream = await openStream(scope, gateway.port, '/stream?channel=user:1', { keep: true, ...bearer(await issuer.token({ sub: '1' }, { seconds: 4 })) });
    assert.equal(await stream.ended(), 'clean');
    assert.ok(stream.body.split(':\n').length > 3, stream.body);
});

test('claims, grants, issuer, audience and algorithms are as the options say', async (t) => {
    const scope = scopeOf(t);
    const issuer = await Issuer.create(scope, 'HS256');
    const { gateway } = await start(scope, [...issuer.args(), '--channels-claim', 'https://sse.example/channels', '--grant', 'team:{team}:*', '--grant', 'all',
        '--jwt-issuer', 'https://login.example', '--jwt-audience', 'sse', '--jwt-audience', 'other', '--jwt-algorithms', 'HS512,HS256', '--token-cookie', 'off']);
    const good = { iss: 'https://login.example', aud: ['x', 'sse'], sub: '1', team: 't', 'https://sse.example/channels': 'a b:*' };
    const status = async (channel, claims, options = {}) => {
        const answer = await Stream.open(gateway.port, `/stream?channel=${channel}`, bearer(await issuer.token(claims, options)));
        answer.close();
        return answer.status;
    };
    for (const channel of ['a', 'b:1', 'team:t:1', 'all']) assert.equal(await status(channel, good), 200, channel);
    assert.equal(await status('user:1', good), 403);
    assert.equal(await status('team:*:1', { ...good, team: '*' }), 400);
    assert.equal(await status('team:x:1', { ...good, team: '*' }), 403);
    assert.equal(await status('a', { ...good, iss: 'https://evil.example' }), 401);
    assert.equal(await status('a', { ...good, aud: 'third' }), 401);
    assert.equal((await gateway.get('/stream?channel=a', { headers: { Cookie: `off=${await issuer.token(good)}` } })).status, 401);
});

test('SIGHUP changes keys while streams go on, and keeps the old ones where the new ones are wrong', async (t) => {
    const scope = scopeOf(t);
    const [old, next] = await Promise.all([Issuer.create(scope), Issuer.create(scope)]);
    const { redis, gateway } = await start(scope, old.args());
    const status = async (issuer) => {
        const answer = await Stream.open(gateway.port, '/stream?channel=user:1', bearer(await issuer.token({ sub: '1' })));
        answer.close();
        return answer.status;
    };
    const stream = await openStream(scope, gateway.port, '/stream?channel=user:1', bearer(await old.token({ sub: '1' })));
    const file = old.write();

    fs.writeFileSync(file, 'too short\n');
    gateway.process.signal('SIGHUP');
    await gateway.process.logged(/SIGHUP: the keys of tokens stay as they were: --jwt-secret-file: .*32/);
    assert.equal(await status(old), 200);

    fs.writeFileSync(file, `${next.secret}\n`);
    gateway.process.signal('SIGHUP');
    await gateway.process.logged(/SIGHUP: the keys of tokens were read again: 1/);
    assert.equal(await status(next), 200);
    assert.equal(await status(old), 401);
    await redis.publish('user:1', 'still here');
    await stream.count(1);
    assert.ok(!gateway.process.log().includes(next.secret));
});

test('wrong keys are found by --check-config, in one line', async (t) => {
    const scope = scopeOf(t);
    const issuer = await Issuer.create(scope, 'ES256');
    const file = issuer.write();
    for (const [args, says] of [
        [['--jwt-secret-file', file], /--jwt-secret-file: .* 32 to/],
        [['--jwt-key', '/nowhere'], /--jwt-key: cannot read \/nowhere/],
        [['--jwks', file], /--jwks: .* no JWK Set/],
        [['--jwks', 'http://a.example/'], /--jwks: .* https/],
        [['--jwt-key', file, '--jwt-algorithms', 'HS256'], /--jwt-algorithms: none of the keys/],
        [['--jwt-key', file, '--jwks-ca', file], /--jwks-ca is of no use/],
        [['--jwt-key', file, '--jwt-algorithms', 'none'], /no algorithm/],
        [['--jwt-key', file, '--grant', 'a{b'], /no channel pattern/],
        [[], /nobody could subscribe/],
    ]) {
        const run = await command(GATEWAY, ['--check-config', ...args]);
        assert.equal(run.code, 2, args.join(' '));
        assert.match(run.err, says);
        assert.equal(run.err.trim().split('\n').length, 1);
    }
    assert.equal((await command(GATEWAY, ['--check-config', '--jwt-key', file])).code, 0);
});

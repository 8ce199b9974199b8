// --jwks https://..: the keys of a real OpenID provider, fetched, changed, and away.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Authority } from '../lib/certificates.mjs';
import { OidcProvider } from '../lib/oidc_provider.mjs';
import { scopeOf } from '../lib/scope.mjs';
import { Stream } from '../lib/stream.mjs';
import { openStream } from '../lib/streams.mjs';
import { startTier } from '../lib/tier.mjs';
import { Issuer, bearer } from '../lib/tokens.mjs';
import { until } from '../lib/wait.mjs';

const PATH = '/stream?channel=user:ann&channel=news';

async function start(scope, { args = [], away = false } = {}) {
    const ca = await Authority.create(scope);
    const issuers = await Promise.all(['ES256', 'RS256', 'ES256'].map((a, i) => Issuer.create(scope, a, { kid: `k${i}` })));
    const provider = await OidcProvider.start(scope, { ca, issuers: issuers.slice(0, 2) });
    if (away) await provider.leave();
    const tier = await startTier(scope, {
        anonymous: [],
        args: ['--jwks', provider.jwks, '--jwks-ca', ca.cert, '--jwt-issuer', provider.url, '--jwt-audience', provider.audience, '--channels-claim', 'scope',
            '--refusal', 'status', ...args],
    });
    const status = async (token) => {
        const answer = await Stream.open(tier.gateway.port, PATH, bearer(token));
        answer.close();
        return answer.status;
    };
    return { ...tier, ca, issuers, provider, status };
}

const fetched = (gateway, times) => gateway.metricIs('jwks_fetches_total', times);

test("an access token of the provider opens the client's stream", async (t) => {
    const scope = scopeOf(t);
    const { redis, gateway, provider } = await start(scope);
    await fetched(gateway, 1);
    const stream = await openStream(scope, gateway.port, PATH, bearer(await provider.token()));
    await redis.publish('user:ann', 'a');
    await redis.publish('news', 'b');
    await stream.count(2);
    await gateway.metricIs('keys', 2);
    assert.ok(await gateway.metric('jwks_age_seconds') < 60);
});

test('a token with a key that is new is told to come back, and is good as soon as the key has been fetched', async (t) => {
    const scope = scopeOf(t);
    const { redis, gateway, provider, issuers, status } = await start(scope);
    await fetched(gateway, 1);
    const open = await openStream(scope, gateway.port, PATH, bearer(await provider.token()));
    provider.use([issuers[2]]);
    const token = await provider.token();
    assert.equal(await status(token), 503);
    await until('the new key is known', async () => (await status(token)) === 200);
    await fetched(gateway, 2);
    await gateway.metricIs('keys', 1);
    await redis.publish('news', 'a');
    await open.count(1);
});

test('unknown keys cost one fetch in 30 s, and their clients are refused for good once it has been made', async (t) => {
    const scope = scopeOf(t);
    const { gateway, provider, status } = await start(scope);
    await fetched(gateway, 1);
    const stranger = (kid) => Issuer.create(scope, 'ES256', { kid }).then((issuer) => issuer.token({ sub: 'ann', iss: provider.url, aud: provider.audience, scope: 'news' }));
    const first = await stranger('x0');
    assert.equal(await status(first), 503);
    await fetched(gateway, 2);
    await until('it is refused for good', async () => (await status(first)) === 401);
    for (let i = 1; i < 20; i++) assert.equal(await status(await stranger(`x${i}`)), 503);
    assert.equal(provider.requests, 2);
    assert.equal(await status(await provider.token()), 200);
});

test('while the provider is away the keys that are there stay in use; SIGHUP fetches anew', async (t) => {
    const scope = scopeOf(t);
    const { gateway, provider, status } = await start(scope);
    await fetched(gateway, 1);
    const token = await provider.token();
    await provider.leave();
    gateway.process.signal('SIGHUP');
    await gateway.process.logged(/--jwks: .*; the keys that are there stay in use/);
    assert.ok(await gateway.metric('jwks_fetch_failures_total') >= 1);
    assert.equal(await status(token), 200);
    await provider.listen();
    gateway.process.signal('SIGHUP');
    await fetched(gateway, 2);
    assert.equal(await status(token), 200);
});

test('a gateway that starts without its provider tells clients to come back, and serves them when it is there', async (t) => {
    const scope = scopeOf(t);
    const { gateway, provider, status, issuers } = await start(scope, { away: true });
    await gateway.process.logged(/no token can be checked yet/);
    assert.equal((await gateway.metrics()).sum('sse_gateway_jwks_age_seconds'), 0);
    const early = await issuers[0].token({ sub: 'ann', iss: provider.url, aud: provider.audience, scope: 'news' });
    assert.equal(await status(early), 503);
    await provider.listen();
    await until('it is served', async () => (await status(early)) === 200, { ms: 20000 });
});

test('a server whose certificate is of another CA is not believed', async (t) => {
    const scope = scopeOf(t);
    const other = await Authority.create(scope, 'other');
    const { gateway, provider, status } = await start(scope, { args: ['--jwks-ca', other.cert] });
    await gateway.process.logged(/--jwks: .*certificate/i);
    assert.equal(provider.requests, 0);
    assert.equal(await status(await provider.token()), 503);
});

test('with --seccomp keys are fetched, too', async (t) => {
    const scope = scopeOf(t);
    const { gateway, provider, status } = await start(scope, { args: ['--seccomp'] });
    await fetched(gateway, 1);
    assert.equal(await status(await provider.token()), 200);
    gateway.process.signal('SIGHUP');
    await fetched(gateway, 2);
});

// sse_gateway_denials_total: who was answered 401 or 403, and why, is counted by reason.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { bearer, Keys, now, ticketOf } from '../lib/bearer.mjs';
import { command } from '../lib/command.mjs';
import { PUBLISH } from '../lib/paths.mjs';
import { scopeOf } from '../lib/scope.mjs';
import { Stream } from '../lib/stream.mjs';
import { startTier } from '../lib/tier.mjs';

const pathOf = (channel, ticket) => `/stream?channel=${channel}&ticket=${ticket}`;

test('each reason to answer 401 or 403 is counted once for each answer', async (t) => {
    const scope = scopeOf(t);
    const keys = new Keys(scope);
    const { redis, gateway } = await startTier(scope, { anonymous: [], args: [...keys.args, '--trusted-proxy', '127.0.0.1', '--channels-header', 'X-Channels'] });
    const spent = await ticketOf(gateway, keys.token('ann'));
    const first = await Stream.open(gateway.port, pathOf('user:ann', spent));
    scope.defer(() => first.close());
    assert.equal(first.status, 200);
    assert.equal((await command(PUBLISH, ['--redis', redis.url, '--revoke-token', 'stolen', '--for', '1h'])).code, 0);
    const asked = {
        no_token: [401, '/stream?channel=user:ann', {}],
        channel: [403, '/stream?channel=user:bob', { headers: bearer(keys.token('ann')) }],
        ticket: [401, pathOf('user:ann', 'x'), {}],
        ticket_spent: [401, pathOf('user:ann', spent), {}],
        revoked: [401, '/stream?channel=user:ann', { headers: bearer(keys.token('ann', { jti: 'stolen', iat: now() - 60 })) }],
        vouched: [403, '/stream?channel=user:ann', { headers: { 'X-Channels': '***' } }],
        origin: [403, '/stream?channel=user:ann', { headers: { Origin: 'https://evil.example', Cookie: 'a=b' } }],
    };
    for (const [reason, [status, path, options]] of Object.entries(asked)) {
        assert.equal((await gateway.get(path, options)).status, status, reason);
        await gateway.metricIs('denials_total', 1, { labels: { reason } });
    }
    await gateway.metricIs('denials_total', 0, { labels: { reason: 'ticket_expired' } });
});

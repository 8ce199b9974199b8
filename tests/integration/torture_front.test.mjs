// One call fails while a ticket is asked for, a user is revoked, or keys are fetched: what was asked for may be refused for a
// while, and everything else works.

import '../lib/plain_build.mjs';
import assert from 'node:assert/strict';
import path from 'node:path';
import { before, test } from 'node:test';
import { bearer, Keys, post, ticketOf } from '../lib/bearer.mjs';
import { buildPlain, Calls } from '../lib/calls.mjs';
import { Gateway } from '../lib/gateway.mjs';
import { Redis } from '../lib/redis.mjs';
import { scopeOf } from '../lib/scope.mjs';
import { openStream } from '../lib/streams.mjs';

const ENOMEM = 12;
const EAGAIN = 11;

before(() => buildPlain());

/** A gateway with keys, of which `fail` (options of Calls) fails once `calls.arm()` was called. */
async function start(t, fail, options = {}) {
    const scope = scopeOf(t);
    const keys = new Keys(scope);
    const redis = options.redis ?? (await Redis.start(scope));
    const calls = new Calls(path.join(scope.folder, 'calls'), { error: ENOMEM, nth: 1, ...fail });
    const gateway = await Gateway.start(scope, { redis, env: calls.env, anonymous: ['open'], ...options, args: [...keys.args, ...(options.args ?? [])] });
    return { scope, keys, redis, calls, gateway };
}

for (const [what, fail] of Object.entries({
    'no random number': { fail: 'getrandom', place: 'ticket_keys_sign', error: EAGAIN },
    'no memory for its signature': { fail: 'malloc', place: 'hmac_sign', nth: 3 },
})) {
    test(`POST /ticket with ${what} is 503, counted and logged, and given when it is asked for again`, async (t) => {
        const { scope, keys, calls, gateway } = await start(t, fail);
        const token = keys.token('ann');
        calls.arm();
        const answer = await post(gateway, '/ticket', { headers: bearer(token) });
        assert.equal(calls.counted > 0, true);
        assert.equal(answer.status, 503, answer.body);
        assert.match(answer.headers['retry-after'], /^\d+$/);
        await gateway.metricIs('tickets_failed_total', 1);
        await gateway.process.logged(/cannot sign a ticket/);
        const stream = await openStream(scope, gateway.port, `/stream?channel=user:ann&ticket=${await ticketOf(gateway, token)}`);
        assert.equal(stream.status, 200);
    });
}

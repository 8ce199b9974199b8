// Many answers at once, behind NGINX: what `make bench-tokens` does with 1,000 of 2,000 tokens, in small.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isWhole, markdown } from '../bench/tokens_table.mjs';
import { tokensRun } from '../bench/tokens_run.mjs';
import { scopeOf } from '../lib/scope.mjs';

for (const [how, singly] of [['one event a window', false], ['one event a token', true]]) {
    test(`50 answers of 200 tokens at once, ${how}, reloaded twice and joined late: every text is whole, and every reader is answered 204 at its first return`, async (t) => {
        const run = await tokensRun(scopeOf(t), { answers: 50, tokens: 200, rate: 80, windowMs: 50, singly, spreadMs: 500, reloads: 2, lateOf: 2, gateways: 3, workers: 2, readers: 2 });
        assert.ok(isWhole(run), JSON.stringify(run.readers));
        assert.deepEqual([run.tokens, run.readers.whole, run.readers.tokens], [10000, 75, 15000]);
        assert.equal(run.events === run.tokens, singly);
        assert.match(markdown(run), /^\| answers at once for one core of Redis \| [\d,]+ \|$/m);
    });
}

// A short round of what `make chaos` does, always the same one.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import { test } from 'node:test';
import { chaos } from '../chaos/chaos.mjs';
import { passed, text } from '../chaos/report.mjs';
import { scopeOf } from '../lib/scope.mjs';

test('durable channels lose nothing, double nothing and keep their order while everything around them fails', async (t) => {
    const scope = scopeOf(t);
    const log = `${scope.folder}/chaos.log`;
    const round = await chaos(scope, { seed: 4, seconds: 15, shape: 'single', clients: 12, rate: 4, say: (line) => fs.appendFileSync(log, `${line}\n`) });
    fs.appendFileSync(log, text(round));
    assert.ok(passed(round), `\n${text(round)}`);
    assert.ok(round.journal.faults.length >= 4, 'there were faults');
    assert.ok(round.result.delivered > 500, `${round.result.delivered} deliveries`);
});

// A short round of what `make chaos` does, always the same one.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import { test } from 'node:test';
import { chaos } from '../chaos/chaos.mjs';
import { passed, text } from '../chaos/report.mjs';
import { scopeOf } from '../lib/scope.mjs';

// Those that are over soon, and need neither root nor namespaces; with this seed, each comes once where the machine is quick.
const FAULTS = ['gateway kill -9', 'gateway SIGTERM', 'all gateways kill -9', 'nginx worker kill -9', 'nginx reload', 'client away',
    'client away, stream trimmed', 'client new', 'redis kill -9', 'redis forgets all', 'CLIENT KILL of everybody', 'output buffer overflows'];

test('durable channels lose nothing, double nothing and keep their order while everything around them fails', async (t) => {
    const scope = scopeOf(t);
    const log = `${scope.folder}/chaos.log`;
    const round = await chaos(scope, { seed: 158, seconds: 13, shape: 'single', only: FAULTS, clients: 12, rate: 4, say: (line) => fs.appendFileSync(log, `${line}\n`) });
    fs.appendFileSync(log, text(round));
    assert.ok(passed(round), `\n${text(round)}`);
    assert.ok(round.journal.faults.length >= 6, `${round.journal.faults.length} faults`);
    assert.ok(round.result.delivered > 500, `${round.result.delivered} deliveries`);
});

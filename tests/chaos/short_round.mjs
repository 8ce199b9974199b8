// A short round for `make test`, always the same one: what the three of tests/e2e/chaos*.test.mjs have in common.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import { scopeOf } from '../lib/scope.mjs';
import { chaos } from './chaos.mjs';
import { passed, text } from './report.mjs';

/** `only`: faults that are over soon, and need neither root nor namespaces. `effective`: those that must be seen to have done something. */
export async function shortRound(t, { shape, seed, seconds, only, effective, faults }) {
    const scope = scopeOf(t);
    const log = `${scope.folder}/chaos.log`;
    const round = await chaos(scope, { seed, seconds, shape, only, clients: 12, rate: 4, say: (line) => fs.appendFileSync(log, `${line}\n`) });
    fs.appendFileSync(log, text(round));
    assert.ok(passed(round), `\n${text(round)}`);
    assert.ok(round.journal.faults.length >= faults, `${round.journal.faults.length} faults\n${text(round)}`);
    assert.ok(round.result.delivered > 500, `${round.result.delivered} deliveries`);
    const ended = round.tier.answers.readers.filter(({ finished }) => finished).length;
    assert.ok(ended >= 5, `${ended} readers were answered 204`);
    assert.deepEqual(round.journal.without.filter((kind) => effective.includes(kind)), [], `\n${text(round)}`);
}

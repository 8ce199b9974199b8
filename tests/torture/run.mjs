// make torture: of each kind of call the first, the second, the third .. fails, each in a run of its own.
//
//      run.mjs [--only CALL,..] [--workers 1,2] [--lanes N] [--from N] [--to N] [--step N] [--place FUNCTION,..]
//
// Exit status 1 where clients saw what they must not see (scenario.mjs).

import path from 'node:path';
import { parseArgs } from 'node:util';
import { ROOT } from '../lib/paths.mjs';
import { ownScope } from '../lib/scope.mjs';
import { CALLS } from './scenario.mjs';
import { inLanes, casesOf } from './lanes.mjs';

const { values } = parseArgs({
    options: {
        only: { type: 'string', default: Object.keys(CALLS).join(',') },
        workers: { type: 'string', default: '1,2' },
        lanes: { type: 'string', default: '6' },
        from: { type: 'string', default: '1' },
        to: { type: 'string', default: '100000' },
        logs: { type: 'string', default: 'logs' },
        place: { type: 'string', default: '' },
        step: { type: 'string', default: '1' },
    },
});
const only = values.only.split(',');
if (only.some((call) => !(call in CALLS))) {
    console.error(`usage: make torture [ONLY=${Object.keys(CALLS).join(',')}]`);
    process.exit(2);
}
const scope = ownScope(path.join(ROOT, 'build/torture', values.logs));
let failed = 0;
let total = 0;
try {
    for (const call of only) {
        const kinds = {};
        await inLanes(scope, Number(values.lanes), async (run) => {
            const range = { from: Number(values.from), to: Number(values.to), step: Number(values.step), places: values.place.split(',') };
            return casesOf(run, call, values.workers.split(',').map(Number), range);
        }, (result) => {
            total++;
            kinds[result.end] = (kinds[result.end] ?? 0) + 1;
            if (result.faults.length === 0) return;
            failed++;
            console.log(`FAIL ${result.name}: ${result.faults.join('\n    ')}\n${result.trace.replace(/^/gm, '      ')}`);
        });
        console.log(`${call}: ${JSON.stringify(kinds)}`);
    }
} finally {
    await scope.end();
}
console.log(`\n${total - failed} passed, ${failed} failed`);
process.exit(failed > 0 ? 1 : 0);

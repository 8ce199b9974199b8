// make torture: of each kind of call the first, the second, the third .. fails, each in a run of its own.
//
//      run.mjs [--only CALL,..] [--workers 1,2] [--lanes N] [--from N] [--to N] [--times N] [--place FUNCTION,..] [--logs FOLDER]
//
// `--times`: as many in a row fail. `--place`: only calls from within these functions of the gateway. Of calls that are
// many and have always held, some are taken (scenario.mjs, `most`), unless `--from` or `--to` say which.
//
// Exit status 1 where clients saw what they must not see (scenario.mjs).

import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { ROOT } from '../lib/paths.mjs';
import { ownScope } from '../lib/scope.mjs';
import { toolOptions } from '../lib/tool_options.mjs';
import { CALLS } from './scenario.mjs';
import { inLanes, casesOf } from './lanes.mjs';

const USAGE = `make torture [ONLY=${Object.keys(CALLS).join(',')}]`;
const values = toolOptions(USAGE, {
    only: { type: 'string', default: Object.keys(CALLS).join(',') },
    workers: { type: 'string', default: '1,2' },
    lanes: { type: 'string', default: '6' },
    from: { type: 'string' },
    to: { type: 'string' },
    times: { type: 'string', default: '1' },
    logs: { type: 'string', default: 'logs' },
    place: { type: 'string', default: '' },
});
const only = values.only.split(',');
if (only.some((call) => !(call in CALLS))) {
    console.error(`usage: ${USAGE}`);
    process.exit(2);
}
const scope = ownScope(path.join(ROOT, 'build/torture', values.logs));

/** Where in the source the call was made. */
function lines(trace) {
    return trace.split('\n').filter((line) => line.includes('/sse-gateway ')).map((line) => {
        const [file, address] = line.split(' ');
        const { stdout } = spawnSync('addr2line', ['-f', '-s', '-e', file, address], { encoding: 'utf8' });
        return `        ${(stdout || line).trim().replace('\n', ' ')}\n`;
    }).join('');
}

let failed = 0;
let total = 0;
try {
    for (const call of only) {
        const kinds = {};
        await inLanes(scope, Number(values.lanes), async (run) => {
            const range = { from: values.from && Number(values.from), to: values.to && Number(values.to), places: values.place.split(','), times: Number(values.times) };
            return casesOf(run, call, values.workers.split(',').map(Number), range);
        }, (result) => {
            total++;
            kinds[result.end] = (kinds[result.end] ?? 0) + 1;
            if (result.faults.length === 0) return;
            failed++;
            console.log(`FAIL ${result.name}: ${result.faults.join('\n    ')}\n${lines(result.trace)}`);
        }, CALLS[call]);
        console.log(`${call}: ${JSON.stringify(kinds)}`);
    }
} finally {
    await scope.end();
}
console.log(`\n${total - failed} passed, ${failed} failed`);
process.exit(failed > 0 ? 1 : 0);

// make chaos: a round of faults against the whole tier, and a verdict on what its clients saw.
//
//      run.mjs [--time SECONDS] [--seed N] [--shape single] [--only FAULT,..] [--clients N] [--rate N] [--answers N]
//
// Exit status 1 where an event was lost, duplicated, reordered or missing without a word, or something crashed.

import fs from 'node:fs';
import path from 'node:path';
import { ROOT } from '../lib/paths.mjs';
import { ownScope } from '../lib/scope.mjs';
import { toolOptions } from '../lib/tool_options.mjs';
import { chaos, SHAPES } from './chaos.mjs';
import { json, passed, text } from './report.mjs';

const USAGE = `make chaos [TIME=seconds] [SEED=number] [SHAPE=${Object.keys(SHAPES).join('|')}] [ONLY=fault,fault]`;
const values = toolOptions(USAGE, {
    time: { type: 'string', default: '60' },
    seed: { type: 'string' },
    shape: { type: 'string', default: 'single' },
    only: { type: 'string' },
    clients: { type: 'string', default: '24' },
    rate: { type: 'string', default: '8' }, // batches a second and channel
    answers: { type: 'string', default: '4' }, // channels that end, written at once
});
const seconds = Number(values.time);
const seed = Number(values.seed || Math.floor(Math.random() * 1e6));
if (!(seconds > 0) || !Number.isInteger(seed) || !(values.shape in SHAPES)) {
    console.error(`usage: ${USAGE}`);
    process.exit(2);
}
const out = path.join(ROOT, 'build/chaos');
const scope = ownScope(path.join(out, 'logs', values.shape));
console.log(`chaos: shape ${values.shape}, ${seconds} s, seed ${seed}; logs in ${scope.folder}`);

let round;
let ok = false;
try {
    const only = values.only ? values.only.split(/,(?! )/) : undefined;
    round = await chaos(scope, { seed, seconds, shape: values.shape, only, clients: Number(values.clients), rate: Number(values.rate), answers: Number(values.answers), say: (line) => console.log(line) });
} catch (error) {
    console.error(error);
} finally {
    const end = await scope.end().catch((error) => error);
    if (round) {
        if (end) round.problems.push(end.message);
        ok = passed(round);
        const file = path.join(out, `${values.shape}-${seed}.json`);
        fs.writeFileSync(file, JSON.stringify(json(round), null, 1));
        console.log(`\n${text(round)}\nall of it: ${file}`);
    } else if (end) {
        console.error(end);
    }
}
process.exit(ok ? 0 : 1);

// The options of what is run by hand: chaos, torture, the benchmarks, the simulator.

import { parseArgs } from 'node:util';

/**
 * The values of `options`, which are as parseArgs takes them. `--help` prints `usage` and ends the process; so does an option
 * that is none of them, with a line that names it, and status 2.
 */
export function toolOptions(usage, options) {
    let values, wrong;
    try {
        ({ values } = parseArgs({ options: { ...options, help: { type: 'boolean' } } }));
    } catch (error) {
        wrong = error.message.split('. ')[0];
    }
    if (values && !values.help) return values;
    if (wrong) console.error(wrong);
    (wrong ? console.error : console.log)(`usage: ${usage}`);
    process.exit(wrong ? 2 : 0);
}

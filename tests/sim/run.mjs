// make sim: plays deploys, growth and accidents of tiers of 3 to 1,000 gateways with up to 10 million streams, prints what
// came of them, and writes it to tests/sim/results/.
//
//   make sim                       all of it
//   make sim ARGS='--only rolling' a section by a word of its title
//   make sim ARGS=--real           10 gateways behind NGINX beside the model, and no more
//   make sim ARGS=--measure        what things cost Redis: the constants of costs.mjs
import fs from 'node:fs';
import { fileURLToPath } from 'node:url';
import { toolOptions } from '../lib/tool_options.mjs';
import { SECTIONS } from './sections.mjs';

const RESULTS = fileURLToPath(new URL('results/', import.meta.url));

function table({ head, rows }) {
    const line = (cells) => `| ${cells.join(' | ')} |`;
    return [line(head), line(head.map((_, i) => (i === 0 ? '---' : '---:'))), ...rows.map(line)].join('\n');
}

function markdown(section) {
    const pictures = (section.plots ?? []).map(({ file, label }) => `![${label}](${file})`);
    return [`## ${section.title}`, section.text, table(section), ...pictures].join('\n\n');
}

const values = toolOptions("make sim [ARGS='[--only WORD] [--seed N] | --real | --measure']",
    { only: { type: 'string' }, real: { type: 'boolean' }, measure: { type: 'boolean' }, seed: { type: 'string', default: '1' } });
if (values.real || values.measure) {
    if (values.measure) await (await import('./measure.mjs')).measureRedis();
    if (values.real) await (await import('./real.mjs')).compareWithReality(RESULTS);
    process.exit();
}
const started = performance.now();
const texts = [];
for (const make of SECTIONS) {
    if (values.only && !make.name.includes(values.only)) continue;
    const begun = performance.now();
    const section = make(Number(values.seed));
    console.log(`\n${section.title} (${((performance.now() - begun) / 1000).toFixed(1)} s)\n\n${table(section)}`);
    for (const { file, svg } of section.plots ?? []) fs.writeFileSync(RESULTS + file, svg);
    texts.push(markdown(section));
}
if (!values.only) {
    const head = `# What the simulator says\n\nMade by \`make sim\` (seed ${values.seed}); [docs/testing.md](../../../docs/testing.md#simulator) says what is modelled.`;
    fs.writeFileSync(`${RESULTS}sim.md`, `${[head, ...texts].join('\n\n')}\n`);
}
console.log(`\n${((performance.now() - started) / 1000).toFixed(0)} s${values.only ? '' : ', written to tests/sim/results/'}`);

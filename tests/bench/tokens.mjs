// make bench-tokens: 1,000 answers of 2,000 tokens at once through three gateways behind NGINX, each with a reader that reloads twice, and
// a second one that joins late for every other answer. Prints in Markdown what it cost; exit status 1 where a text was not whole.
//
//   tokens.mjs [--answers 1000] [--tokens 2000] [--rate 20] [--window 100] [--singly] [--reloads 2] [--late-of 2] [--gateways 3] [--json]

import path from 'node:path';
import '../lib/plain_build.mjs';
import { ROOT } from '../lib/paths.mjs';
import { ownScope } from '../lib/scope.mjs';
import { toolOptions } from '../lib/tool_options.mjs';
import { isWhole, markdown } from './tokens_table.mjs';
import { tokensRun } from './tokens_run.mjs';

const USAGE = "make bench-tokens [ARGS='[--answers N] [--tokens N] [--rate N] [--window MS] [--singly] [--reloads N] [--late-of N] [--gateways N] [--json]']";
const values = toolOptions(USAGE, {
  answers: { type: 'string', default: '1000' },
  tokens: { type: 'string', default: '2000' },
  rate: { type: 'string', default: '20' }, // tokens a second and answer
  window: { type: 'string', default: '100' }, // ms: what gathers in it is one append
  reloads: { type: 'string', default: '2' },
  'late-of': { type: 'string', default: '2' },
  gateways: { type: 'string', default: '3' },
  singly: { type: 'boolean', default: false }, // each token an event of its own, instead of one event with the text of a window
  json: { type: 'boolean', default: false },
});
const number = (name) => Number(values[name]);
const scope = ownScope(path.join(ROOT, 'build/bench/tokens-logs'));
let ok = false;
try {
  const run = await tokensRun(scope, {
    answers: number('answers'), tokens: number('tokens'), rate: number('rate'), windowMs: number('window'), singly: values.singly, spreadMs: 5000, reloads: number('reloads'),
    lateOf: number('late-of'), gateways: number('gateways'), workers: 2, readers: 2,
  }, (line) => console.error(line));
  console.log(values.json ? JSON.stringify(run, null, 1) : markdown(run));
  ok = isWhole(run);
} finally {
  await scope.end();
}
process.exit(ok ? 0 : 1);

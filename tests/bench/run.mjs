// make bench: measures the gateway, the floor and the peers that are installed, in turn, in one run; writes results/.
//
//      run.mjs [--quick] [--only SCENARIO,..] [--rounds N] [--check]
//
// --only measures these scenarios again, and leaves the others in results/ as they are.
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { toolOptions } from '../lib/tool_options.mjs';
import { freePort, stop } from './process.mjs';
import { gateway, peers, startRedis, tlsPeers } from './servers.mjs';
import * as scenarios from './scenarios.mjs';
import { judge, table } from './targets.mjs';
import { plot } from './plot.mjs';

const USAGE = "make bench [QUICK=1] [ARGS='[--only ROW,..] [--rounds N] [--check]']";
const options = toolOptions(USAGE, { quick: { type: 'boolean' }, only: { type: 'string' }, rounds: { type: 'string' }, check: { type: 'boolean' } });
const quick = options.quick ?? false;
const rounds = Number(options.rounds ?? (quick ? 1 : 2));
const slow = new Set(['Nchan', 'Node, plain http', 'Node, better-sse']);

// Who takes part: everybody, or what the targets compare. `often`: how many rounds the floor and the gateway get for each one,
// where a machine that is slow for a moment would decide; the others get one in all then. `full`: not in
// a quick run, unless --only names it.
const both = peers.filter((server) => !slow.has(server.name));
const twoWorkers = gateway({ workers: 2 });
const withTokens = gateway({ tokens: true });
const only = options.only?.split(',');
const rows = [
  { name: 'one_channel', run: scenarios.oneChannel, who: [...peers, withTokens], often: quick ? 1 : 3,
    size: quick ? { streams: 2000, messages: 30, rate: 20 } : { streams: 10000, messages: 100, rate: 8 } },
  // Nchan takes part where it can keep up.
  { name: 'own_5000', run: scenarios.ownChannels, who: [...both, twoWorkers, withTokens, ...peers.filter((server) => !quick && server.name === 'Nchan')],
    often: quick ? 1 : 3, size: { streams: 5000, rate: 5000, messages: quick ? 10000 : 25000 } },
  { name: 'own_20000', run: scenarios.ownChannels, who: [...both, twoWorkers, withTokens],
    often: quick ? 1 : 3, size: { streams: 5000, rate: 20000, messages: quick ? 20000 : 100000 } },
  { name: 'tls', run: scenarios.overTls, who: tlsPeers, often: quick ? 1 : 3,
    size: quick ? { streams: 1000, messages: 60, rate: 10 } : { streams: 5000, messages: 100, rate: 4 } },
  { name: 'accept', run: scenarios.accept, who: [gateway(), withTokens, gateway({ tokens: true, revocation: false })], often: quick ? 1 : 3, size: { streams: quick ? 2000 : 10000 } },
  { name: 'ingest', run: scenarios.ingest, who: both, size: { messages: quick ? 300000 : 1000000 } },
  { name: 'workers_2', run: scenarios.oneChannel, who: [gateway({ workers: 1, core: '0,1' }), gateway({ workers: 2, core: '0,1' })],
    size: quick ? { streams: 2000, messages: 30, rate: 20 } : { streams: 10000, messages: 100, rate: 4 } },
  { name: 'resume', run: scenarios.resume, who: [gateway()],
    size: { streams: quick ? 1000 : 5000, events: 256, bytes: 1024 } },
  { name: 'resubscribe', run: scenarios.resubscribe, who: [gateway()], full: true,
    size: { streams: 3125, each: 64 } },
  { name: 'idle', run: scenarios.idle, who: [gateway()], once: true,
    size: quick ? { streams: 10000, seconds: 15 } : { streams: 19000, seconds: 30 } },
  { name: 'latency_64', run: scenarios.latency, who: quick ? both : peers,
    size: { streams: 64, messages: quick ? 60 : 200, rate: 20 } },
  { name: 'latency_2048', run: scenarios.latency, who: quick ? both : peers, often: quick ? 1 : 3,
    size: { streams: 2048, messages: quick ? 60 : 200, rate: 20 } },
];
const unknown = only?.find((name) => !rows.some((row) => row.name === name));
if (unknown !== undefined || !(Number.isInteger(rounds) && rounds > 0)) {
  console.error(unknown === undefined ? `--rounds is a whole number from 1, not ${options.rounds}` : `there is no row ${unknown}, only ${rows.map((row) => row.name).join(', ')}`);
  process.exit(2);
}
const plan = rows.filter((row) => (only ? only.includes(row.name) : !(quick && row.full)));

function say(text) {
  process.stdout.write(`${text}\n`);
}

const out = join(import.meta.dirname, 'results');
const name = quick ? 'quick' : 'full';
const before = join(out, `${name}.json`);
const kept = only && existsSync(before) ? JSON.parse(readFileSync(before, 'utf8')).scenarios : {};

// A peer that cannot be measured is said and left out; the gateway and the floor must be.
async function measure(one, server, context) {
  try {
    return await one.run(server, context, one.size);
  } catch (error) {
    if (!slow.has(server.name)) throw error;
    say(`  not measured: ${error.message}`);
    return undefined;
  }
}

const folder = mkdtempSync(join(tmpdir(), 'sse-bench-'));
const results = { when: new Date().toISOString().slice(0, 10), quick, rounds, machine: scenarios.machine(), scenarios: kept };
const context = { core: 0, loadCore: 1, redisPort: await freePort(), folder, log: (name) => join(folder, `${name.replace(/\W+/g, '_')}.log`) };
const redis = await startRedis(context, context.redisPort);
try {
  for (const one of plan) {
    results.scenarios[one.name] = { size: one.size, servers: {} };
    const least = one.once ? 1 : rounds;
    for (let round = 1; round <= least * (one.often ?? 1); round++)
      for (const server of round === 1 || !one.often ? one.who : one.who.filter((server) => !slow.has(server.name))) {
        const begin = performance.now();
        const figures = await measure(one, server, context);
        say(`${one.name}, round ${round}: ${server.name} (${((performance.now() - begin) / 1000).toFixed(1)} s)`);
        if (figures) (results.scenarios[one.name].servers[server.name] ??= []).push(figures);
      }
  }
} finally {
  await stop(redis);
}
rmSync(folder, { recursive: true, force: true });

const verdicts = judge(results);
const text = table(results, verdicts);
mkdirSync(out, { recursive: true });
writeFileSync(join(out, `${name}.json`), `${JSON.stringify({ ...results, verdicts }, null, 1)}\n`);
writeFileSync(join(out, `${name}.md`), text);
if (results.scenarios.one_channel) writeFileSync(join(out, `${name}.svg`), plot(results));
say(`\n${text}\nwritten to tests/bench/results/${name}.{json,md,svg}`);
if (options.check && verdicts.some((verdict) => !verdict.holds)) process.exitCode = 1;

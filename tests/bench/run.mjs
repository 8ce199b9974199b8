// make bench: measures the gateway, the floor and the peers that are installed, in turn, in one run; writes results/.
//
//      run.mjs [--quick] [--only SCENARIO,..] [--rounds N] [--check]
//
// --only measures these scenarios again, and leaves the others in results/ as they are.
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { freePort, start, stop, waitFor } from './process.mjs';
import { gateway, peers } from './servers.mjs';
import * as scenarios from './scenarios.mjs';
import { judge, table } from './targets.mjs';
import { plot } from './plot.mjs';

const { values: options } = parseArgs({
  options: { quick: { type: 'boolean' }, only: { type: 'string' }, rounds: { type: 'string' }, check: { type: 'boolean' } },
});
const quick = options.quick ?? false;
const rounds = Number(options.rounds ?? (quick ? 1 : 2));
const slow = new Set(['Nchan', 'Node, plain http', 'Node, better-sse']);

// Who takes part: everybody, or what the targets compare. `often`: how many rounds those two get for each one, where a
// machine that is slow for a moment would decide; the others get one in all then.
const both = peers.filter((server) => !slow.has(server.name));
const only = options.only?.split(',');
const plan = [
  { name: 'one_channel', run: scenarios.oneChannel, who: peers, often: quick ? 1 : 3,
    size: quick ? { streams: 2000, messages: 40, rate: 20 } : { streams: 10000, messages: 100, rate: 8 } },
  { name: 'many_channels', run: scenarios.manyChannels, who: quick ? both : peers.filter((server) => !server.name.startsWith('Node')),
    size: quick ? { streams: 2000, messages: 20000, rate: 20000 } : { streams: 10000, messages: 100000, rate: 20000 } },
  { name: 'ingest', run: scenarios.ingest, who: both, size: { messages: quick ? 300000 : 1000000 } },
  { name: 'workers_2', run: scenarios.oneChannel, who: [gateway({ workers: 1, core: '0,1' }), gateway({ workers: 2, core: '0,1' })],
    size: quick ? { streams: 2000, messages: 40, rate: 20 } : { streams: 10000, messages: 100, rate: 4 } },
  { name: 'resume', run: scenarios.resume, who: [gateway()],
    size: { streams: quick ? 1000 : 5000, events: 256, bytes: 1024 } },
  { name: 'idle', run: scenarios.idle, who: [gateway()], once: true,
    size: quick ? { streams: 10000, seconds: 15 } : { streams: 19000, seconds: 30 } },
  { name: 'latency_64', run: scenarios.latency, who: quick ? both : peers,
    size: { streams: 64, messages: quick ? 60 : 200, rate: 20 } },
  { name: 'latency_2048', run: scenarios.latency, who: quick ? both : peers, often: quick ? 1 : 3,
    size: { streams: 2048, messages: quick ? 60 : 200, rate: 20 } },
].filter((one) => !only || only.includes(one.name));

function say(text) {
  process.stdout.write(`${text}\n`);
}

async function withRedis(folder, body) {
  const port = await freePort();
  const child = start(1, ['redis-server', '--port', String(port), '--bind', '127.0.0.1', '--save', '', '--dir', folder,
    '--client-output-buffer-limit', 'pubsub 32mb 8mb 60'], { log: join(folder, 'redis.log') });
  try {
    await waitFor('Redis', async () => (await fetch(`http://127.0.0.1:${port}/`).catch((error) => error.cause?.code !== 'ECONNREFUSED')));
    return await body(port);
  } finally {
    await stop(child);
  }
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
await withRedis(folder, async (redisPort) => {
  const context = { core: 0, loadCore: 1, redisPort, folder, log: (name) => join(folder, `${name.replace(/\W+/g, '_')}.log`) };
  for (const one of plan) {
    results.scenarios[one.name] = { size: one.size, servers: {} };
    const least = one.once ? 1 : rounds;
    for (let round = 1; round <= least * (one.often ?? 1); round++)
      for (const server of round === 1 || !one.often ? one.who : both) {
        const begin = performance.now();
        const figures = await measure(one, server, context);
        say(`${one.name}, round ${round}: ${server.name} (${((performance.now() - begin) / 1000).toFixed(1)} s)`);
        if (figures) (results.scenarios[one.name].servers[server.name] ??= []).push(figures);
      }
  }
});
rmSync(folder, { recursive: true, force: true });

const verdicts = judge(results);
const text = table(results, verdicts);
mkdirSync(out, { recursive: true });
writeFileSync(join(out, `${name}.json`), `${JSON.stringify({ ...results, verdicts }, null, 1)}\n`);
writeFileSync(join(out, `${name}.md`), text);
if (results.scenarios.one_channel) writeFileSync(join(out, `${name}.svg`), plot(results));
say(`\n${text}\nwritten to tests/bench/results/${name}.{json,md,svg}`);
if (options.check && verdicts.some((verdict) => !verdict.holds)) process.exitCode = 1;

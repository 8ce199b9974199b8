// make bench-fronts: what a front costs beside the gateway behind it. For each front: one gateway and the front on core 0, Redis
// and the load on core 1; CPU of both per delivery, and memory of both per stream. Only figures of one run may be compared.
// Writes results/fronts.{json,md}, and the table of docs/balancing.md.
//
//      fronts.mjs [--only "NAME;.."] [--streams N] [--seconds S]         (--only: prints, and writes nothing)
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { toolOptions } from '../lib/tool_options.mjs';
import { Conversation, cpuMicroseconds, freePort, sharedOutBytes, start, stop } from './process.mjs';
import { machine } from './scenarios.mjs';
import { gateway, root, startRedis } from './servers.mjs';
import { fronts } from './fronts_started.mjs';

const options = toolOptions("make bench-fronts [ARGS='[--only \"NAME;..\"] [--streams N] [--seconds S]']",
  { only: { type: 'string' }, streams: { type: 'string', default: '1000' }, seconds: { type: 'string', default: '4' } });
const STREAMS = Number(options.streams);
const SECONDS = Number(options.seconds);
const SINGLE = { channels: STREAMS, rate: 2000 }; // a channel per stream: each message is one delivery
const TOGETHER = { channels: 1, rate: 10 };       // one channel: each message is STREAMS deliveries

const folder = mkdtempSync(join(tmpdir(), 'sse-fronts-'));
const context = { core: 0, loadCore: 1, redisPort: await freePort(), folder, log: (name) => join(folder, `${name.replace(/\W+/g, '_')}.log`) };

async function withChild(argv, body) {
  const child = start(context.loadCore, argv, { log: context.log('load'), pipe: true });
  try {
    return await body(new Conversation(child, context.log('load')));
  } finally {
    await stop(child);
  }
}

const cLoad = (port, streams, channels, more) => [join(root, 'build/bench/load'), '--port', String(port), '--redis-port', String(context.redisPort),
  '--streams', String(streams), '--channels', String(channels), ...more];

// { open(), publish(count, rate) }, whichever protocol the streams have.
function withStreams(front, port, channels, body) {
  if (front.streams === 'h1') {
    return withChild(cLoad(port, STREAMS, channels, front.load), (load) => body({
      open: () => load.ask('open'),
      publish: (count, rate) => load.ask(`publish ${count} ${rate} 1 100`),
    }));
  }
  return withChild([process.execPath, join(import.meta.dirname, 'h2_load.mjs'), String(port), String(STREAMS), String(channels)], (streams) =>
    withChild(cLoad(port, 0, channels, []), (publisher) => body({
      open: () => streams.ask('open'),
      async publish(count, rate) {
        const expected = (count * STREAMS) / channels;
        const [{ deliveries }] = await Promise.all([streams.ask(`await ${expected}`), publisher.ask(`publish ${count} ${rate} 1 100`)]);
        return { deliveries, lost: expected - deliveries };
      },
    })));
}

// CPU microseconds per delivery of both.
async function deliver(load, pids, count, rate) {
  const before = pids.map(cpuMicroseconds);
  const { deliveries, lost } = await load.publish(count, rate);
  const spent = pids.map((pid, i) => (cpuMicroseconds(pid) - before[i]) / deliveries);
  if (lost !== 0) throw new Error(`${lost} deliveries are missing`);
  return spent;
}

async function measureRunning(front, pids, port) {
  const empty = pids.map(sharedOutBytes);
  const figures = {};
  await withStreams(front, port, SINGLE.channels, async (load) => {
    await load.open();
    await load.publish(STREAMS, SINGLE.rate); // each stream has had an event: its buffers are there
    figures.bytes = pids.map((pid, i) => (sharedOutBytes(pid) - empty[i]) / STREAMS);
    figures.single = await deliver(load, pids, SINGLE.rate * SECONDS, SINGLE.rate);
  });
  await withStreams(front, port, TOGETHER.channels, async (load) => {
    await load.open();
    await load.publish(3, 10);
    figures.together = await deliver(load, pids, TOGETHER.rate * SECONDS, TOGETHER.rate);
  });
  return figures;
}

async function measure(front) {
  const behind = await gateway({ args: front.args }).start(context);
  let before;
  try {
    before = await front.start(context, behind);
    return await measureRunning(front, [behind, before].filter(Boolean).map(({ child }) => child.pid), (before ?? behind).port);
  } finally {
    if (before) await stop(before.child);
    await stop(behind.child);
  }
}

const digits = (value) => (value >= 100 ? Math.round(value).toLocaleString('en') : value.toPrecision(value < 1 ? 1 : 2));
const cell = (value) => (value === undefined ? '' : digits(value));
const times = ([own, front]) => (front === undefined ? '' : `${digits(front / own)} x`);
const kib = (bytes) => (bytes === undefined ? '' : (bytes / 1024).toFixed(1));

function table(results) {
  const row = (cells) => `| ${cells.join(' | ')} |\n`;
  return row(['front', 'CPU us, one channel: front', 'gateway', 'ratio', 'CPU us, singly: front', 'gateway', 'ratio', 'KiB per stream: front', 'gateway']) +
    row(['---', ...Array(8).fill('---:')]) +
    results.fronts.map(({ name, together, single, bytes }) => row([name, cell(together[1]), cell(together[0]), times(together),
      cell(single[1]), cell(single[0]), times(single), kib(bytes[1]), kib(bytes[0])])).join('');
}

// The lines of docs/balancing.md between its two comments.
function writeDocument(text) {
  const file = join(root, 'docs/balancing.md');
  const document = readFileSync(file, 'utf8');
  const changed = document.replace(/(<!-- fronts: [^>]*-->\n)[^]*?(<!-- \/fronts -->)/, (_, begin, end) => begin + text + end);
  if (!/<!-- \/fronts -->/.test(document)) throw new Error('docs/balancing.md has no place for the table');
  writeFileSync(file, changed);
}

const results = { when: new Date().toISOString().slice(0, 10), machine: machine(), streams: STREAMS, seconds: SECONDS, fronts: [] };
const redis = await startRedis(context, context.redisPort);
try {
  for (const front of fronts(context).filter(({ name }) => !options.only || options.only.split(";").includes(name))) {
    const begin = performance.now();
    results.fronts.push({ name: front.name, ...(await measure(front).catch((error) => { throw new Error(`${front.name}: ${error.message}`); })) });
    process.stdout.write(`${front.name} (${((performance.now() - begin) / 1000).toFixed(1)} s)\n`);
  }
} finally {
  await stop(redis);
}
rmSync(folder, { recursive: true, force: true });

const text = table(results);
process.stdout.write(`\n${text}`);
if (!options.only) {
  const out = join(import.meta.dirname, 'results');
  mkdirSync(out, { recursive: true });
  writeFileSync(join(out, 'fronts.json'), `${JSON.stringify(results, null, 1)}\n`);
  writeFileSync(join(out, 'fronts.md'), `Measured on ${results.when} (${results.machine.cpu}, Linux ${results.machine.kernel}): one gateway and the front on core 0, ` +
    `load and Redis on core 1; ${STREAMS} streams, events of 100 bytes.\n\n${text}`);
  writeDocument(text);
}

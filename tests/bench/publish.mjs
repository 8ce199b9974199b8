// make bench-publish: how many durable events a second one Redis takes, by function and by script, singly and in batches, with
// options and by the library of before (version 4), beside plain PUBLISH and XADD.
//
// Redis runs on core 0, redis-benchmark and the subscriber on core 1. All ways are measured in turn, ROUNDS times over; the
// table has the medians. Only figures of one run may be compared. MESSAGES=200000 and ROUNDS=5 say how much. Figures are those
// of an event, also where a command has several.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { LIBRARY, LIBRARY_4, SCRIPT } from '../lib/library.mjs';
import { cpuMicroseconds, freePort, start, stop, waitFor } from './process.mjs';

const MESSAGES = Number(process.env.MESSAGES ?? 200000);
const ROUNDS = Number(process.env.ROUNDS ?? 5);
const SIZES = [100, 1024];
const CHANNEL = 'bench:publish';

const sha1 = createHash('sha1').update(SCRIPT).digest('hex');
// Beside version 5 in one Redis, under names of its own.
const library4 = LIBRARY_4.replace('name=sse\n', 'name=sse4\n').replaceAll("'sse_publish'", "'sse4_publish'").replaceAll("'sse_version'", "'sse4_version'");
const single = (...options) => (data) => ['FCALL', 'sse_publish', '1', CHANNEL, data, ...options];
const batch = (count) => (data) => ['FCALL', 'sse_append', '1', CHANNEL, String(count), ...Array(count).fill(['', data]).flat()];
const WAYS = {
  'PUBLISH': (data) => ['PUBLISH', CHANNEL, data],
  // What keeping an entry costs by itself.
  'XADD': (data) => ['XADD', 'stream', 'MAXLEN', '=', '1000', '*', 'epoch', '1', 'prev', '0-0', 'event', '', 'retry', '', 'data', data],
  'FCALL sse_publish, version 4': (data) => ['FCALL', 'sse4_publish', '1', CHANNEL, data],
  'FCALL sse_publish': single(),
  'FCALL, 10 entries a node': single(),
  'FCALL, maxlen 1000': single('', '', 'maxlen', '1000'),
  'FCALL, maxbytes of 500 events': (data) => single('', '', 'maxbytes', String(500 * (data.length + 64)))(data),
  'FCALL, key': single('', '', 'key', 'worker-3 __rand_int__'),
  'FCALL sse_append of 4': batch(4),
  'FCALL sse_append of 16': batch(16),
  'EVALSHA': (data) => ['EVALSHA', sha1, '1', CHANNEL, data],
};

// Events of one command, where it has several.
const EVENTS = { 'FCALL sse_append of 4': 4, 'FCALL sse_append of 16': 16 };

// stream-node-max-entries, where it is not Redis' own 100: the fewer, the less each trim has to step over.
const NODE_ENTRIES = { 'FCALL, 10 entries a node': 10 };

function must(program, args, input) {
  const run = spawnSync(program, args, { input, encoding: 'utf8' });
  if (run.status !== 0) throw new Error(`${program} ${args.slice(0, 6).join(' ')}: ${run.stderr}${run.stdout}`);
  return run.stdout;
}

// A second, and the CPU of Redis for one. -e: an answer that is an error ends it.
function measure(redis, port, args, events) {
  const commands = Math.ceil(MESSAGES / events);
  const before = cpuMicroseconds(redis.pid);
  const out = must('taskset', ['-c', '1', 'redis-benchmark', '-p', String(port), '-n', String(commands), '-c', '16', '-P', '32',
    '-r', '1000000000', '-e', '--csv', ...args]);
  const rate = Number(out.trim().split('\n').at(-1).split('","')[1]);
  return { rate: rate * events, cpu: (cpuMicroseconds(redis.pid) - before) / (commands * events) };
}

// Reads all that it is sent, and looks at nothing.
function subscribe(port) {
  const child = start(1, [process.execPath, '-e',
    `require('node:net').connect(${port}, '127.0.0.1').on('data', () => {}).write('SUBSCRIBE ${CHANNEL}\\r\\n')`], { log: '/dev/null' });
  return waitFor('the subscriber', () => must('redis-cli', ['-p', String(port), 'PUBSUB', 'NUMSUB', CHANNEL]).trim().endsWith('1'))
    .then(() => child);
}

const answers = (port) => new Promise((resolve) => {
  const socket = connect(port, '127.0.0.1', () => { socket.destroy(); resolve(true); });
  socket.on('error', () => resolve(false));
});

function median(numbers) {
  const sorted = [...numbers].sort((a, b) => a - b);
  return sorted[sorted.length >> 1];
}

async function round(results, redis, port) {
  for (const subscribers of [0, 1]) {
    const subscriber = subscribers ? await subscribe(port) : null;
    for (const size of SIZES) {
      for (const [way, command] of Object.entries(WAYS)) {
        const key = `${subscribers} | ${size} B | ${way}`;
        if (!results.has(key)) results.set(key, []);
        must('redis-cli', ['-p', String(port), 'CONFIG', 'SET', 'stream-node-max-entries', String(NODE_ENTRIES[way] ?? 100)]);
        results.get(key).push(measure(redis, port, command('x'.repeat(size)), EVENTS[way] ?? 1));
      }
    }
    if (subscriber) await stop(subscriber);
  }
}

function print(results) {
  let plain;
  console.log('| subscribers | data | way | a second | of PUBLISH | CPU of Redis, us each |\n|---|---|---|---|---|---|');
  for (const [key, runs] of results) {
    const rate = median(runs.map((run) => run.rate));
    if (key.endsWith('| PUBLISH')) plain = rate;
    console.log(`| ${key} | ${Math.round(rate)} | ${(rate / plain).toFixed(3)} | ${median(runs.map((run) => run.cpu)).toFixed(1)} |`);
  }
}

const folder = mkdtempSync(join(tmpdir(), 'sse-bench-'));
const port = await freePort();
const redis = start(0, ['redis-server', '--port', String(port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no', '--dir', folder,
  '--client-output-buffer-limit', 'pubsub 0 0 0'], { log: join(folder, 'log') });
try {
  await waitFor('Redis', () => answers(port));
  must('redis-cli', ['-p', String(port), '-x', 'FUNCTION', 'LOAD'], LIBRARY);
  must('redis-cli', ['-p', String(port), '-x', 'FUNCTION', 'LOAD'], library4);
  must('redis-cli', ['-p', String(port), '-x', 'SCRIPT', 'LOAD'], SCRIPT);
  const results = new Map();
  for (let i = 0; i < ROUNDS; i++) await round(results, redis, port);
  print(results);
} finally {
  await stop(redis);
  rmSync(folder, { recursive: true, force: true });
}

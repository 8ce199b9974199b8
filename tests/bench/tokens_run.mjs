// Many answers at once through a tier behind NGINX: whether every reader has the whole text, and what it cost.

import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { startTier } from '../lib/tier.mjs';
import { within } from '../lib/wait.mjs';
import { cpuMicroseconds, ownBytes } from './process.mjs';

const SAMPLE_MS = 500;

/**
 * `options`: { answers, tokens each, rate: of tokens a second and answer, windowMs: what gathers in it is one sse_append, singly: each token is an event of its own,
 * spreadMs: within which answers begin, reloads of each reader, lateOf: one of so many answers has a second reader, gateways, workers and readers: processes }.
 * Resolves to { options, seconds, appends, events, tokens, bytes, readers: sums, cpu: { redis, gateways: [..], nginx, workers, readers } in seconds, redisPeak, gatewayPeak in bytes }.
 */
export async function tokensRun(scope, options, say = () => {}) {
  const { redis, gateways, nginx } = await startTier(scope, { gateways: options.gateways, nginx: true, workers: 1, args: ['--durable', 'answer:*', '--retry', '1s'] });
  const parts = (count) => Array.from({ length: count }, (_, part) => Array.from({ length: options.answers }, (_, i) => i).filter((i) => i % count === part));
  const cpuOf = () => ({ redis: cpuMicroseconds(redis.process.pid), gateways: gateways.map(({ process: { pid } }) => cpuMicroseconds(pid)), nginx: cpuMicroseconds(nginx.process.pid) });
  const before = cpuOf();
  const began = performance.now();
  const readers = parts(options.readers).map((answers) => child(scope, 'tokens_readers.mjs', { ...options, port: nginx.port, answers }));
  const workers = parts(options.workers).map((answers) => child(scope, 'tokens_worker.mjs', { ...options, redisPort: redis.port, answers }));
  const peak = watch(redis, gateways, () => say(`${Math.round((performance.now() - began) / 1000)} s`));
  const limit = 60000 + options.spreadMs + 3000 * options.tokens / options.rate;
  const wrote = await within(limit, 'the end of all answers', Promise.all(workers.map(({ done }) => done)));
  const read = await within(60000, 'a 204 for every reader', Promise.all(readers.map(({ done }) => done)));
  const after = cpuOf();
  const used = (a, b) => (b - a) / 1e6;
  return {
    options, seconds: (performance.now() - began) / 1000, ...sums(wrote, ['appends', 'events', 'tokens', 'bytes']), lateMs: Math.max(...wrote.map(({ lateMs }) => lateMs)),
    readers: { ...sums(read, ['whole', 'streams', 'reloads', 'late', 'events', 'tokens', 'bytes', 'gaps', 'ends', 'noContent', 'refused', 'after200']), broken: read.flatMap(({ broken }) => broken) },
    cpu: {
      redis: used(before.redis, after.redis), gateways: gateways.map((_, i) => used(before.gateways[i], after.gateways[i])), nginx: used(before.nginx, after.nginx),
      workers: sums(wrote, ['cpu']).cpu, readers: sums(read, ['cpu']).cpu,
    },
    ...(await peak.stop()),
  };
}

const sums = (all, names) => Object.fromEntries(names.map((name) => [name, all.reduce((sum, one) => sum + one[name], 0)]));

function child(scope, file, settings) {
  const it = fork(fileURLToPath(new URL(file, import.meta.url)), [JSON.stringify(settings)]);
  scope.defer(() => it.kill('SIGKILL'));
  const done = new Promise((resolve, reject) => {
    it.on('message', (message) => message.done && resolve(message));
    it.on('exit', (code) => reject(new Error(`${file} ended with ${code}`)));
    it.on('error', reject);
  });
  done.catch(() => {}); // it is waited for, too
  return { done };
}

/** Memory while the run goes on. `stop()` resolves to { redisPeak, gatewayPeak }. */
function watch(redis, gateways, onSample) {
  let [gatewayPeak, samples] = [0, 0];
  const timer = setInterval(() => {
    gatewayPeak = Math.max(gatewayPeak, ...gateways.map(({ process: { pid } }) => ownBytes(pid)));
    if (++samples % 10 === 0) onSample();
  }, SAMPLE_MS);
  return {
    stop: async () => {
      clearInterval(timer);
      const redisPeak = Number(/used_memory_peak:(\d+)/.exec(await redis.cli(['INFO', 'memory']))[1]);
      return { redisPeak, gatewayPeak };
    },
  };
}

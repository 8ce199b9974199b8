// Processes of the bench: started on a core, watched for CPU and memory, ended by id.
import { spawn } from 'node:child_process';
import { createServer } from 'node:net';
import { once } from 'node:events';
import { openSync, readFileSync, readdirSync } from 'node:fs';
import { createInterface } from 'node:readline';

export function freePort() {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.on('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

// Starts `argv` on `core`; what it says on standard error goes to `log`.
export function start(core, argv, { log, env, pipe = false } = {}) {
  const err = openSync(log, 'a');
  const child = spawn('taskset', ['-c', String(core), ...argv], {
    stdio: [pipe ? 'pipe' : 'ignore', pipe ? 'pipe' : err, err],
    env: { ...process.env, ...env },
  });
  child.on('error', (error) => { throw error; });
  return child;
}

export async function stop(child) {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, 'exit');
  child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), 5000);
  await gone;
  clearTimeout(timer);
}

function processTree(pid) {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim();
  const below = children ? children.split(' ').flatMap((child) => processTree(Number(child))) : [];
  return [pid, ...below];
}

// CPU microseconds of a process, its threads and its children, from the scheduler's own account (nanosecond resolution).
export function cpuMicroseconds(pid) {
  let ns = 0;
  for (const id of processTree(pid))
    for (const task of readdirSync(`/proc/${id}/task`))
      ns += Number(readFileSync(`/proc/${id}/task/${task}/schedstat`, 'utf8').split(' ')[0]);
  return ns / 1000;
}

// Memory of its own: what is not backed by a file.
export function ownBytes(pid) {
  let kib = 0;
  for (const id of processTree(pid)) {
    const status = readFileSync(`/proc/${id}/status`, 'utf8');
    for (const field of ['RssAnon', 'RssShmem'])
      kib += Number(new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(status)?.[1] ?? 0);
  }
  return kib * 1024;
}

// Proportional share of memory, of which pages that several processes have count once in all.
export function sharedOutBytes(pid) {
  const kib = processTree(pid).map((id) => Number(/^Pss:\s+(\d+) kB/m.exec(readFileSync(`/proc/${id}/smaps_rollup`, 'utf8'))[1]));
  return kib.reduce((sum, one) => sum + one, 0) * 1024;
}

// A child that answers each line with a line of JSON.
export class Conversation {
  constructor(child, log) {
    this.child = child;
    this.waiting = [];
    createInterface({ input: child.stdout }).on('line', (line) => this.waiting.shift()?.resolve(JSON.parse(line)));
    child.on('exit', (code) => {
      for (const one of this.waiting.splice(0)) one.reject(new Error(`the load ended with code ${code}: ${readFileSync(log, 'utf8').trim().split('\n').at(-1)}`));
    });
  }

  ask(line) {
    return new Promise((resolve, reject) => {
      this.waiting.push({ resolve, reject });
      this.child.stdin.write(`${line}\n`);
    });
  }
}

export async function waitFor(what, fact, { timeoutMs = 10000, everyMs = 20 } = {}) {
  const deadline = Date.now() + timeoutMs;
  for (;;) {
    try {
      if (await fact()) return;
    } catch { /* not yet */ }
    if (Date.now() > deadline) throw new Error(`${what} did not come about within ${timeoutMs} ms`);
    await new Promise((resolve) => setTimeout(resolve, everyMs));
  }
}

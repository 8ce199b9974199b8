// What is measured, one function each: (server, context, size) -> figures. A server is started afresh for each.
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { Conversation, cpuMicroseconds, freePort, ownBytes, start, stop, waitFor } from './process.mjs';
import { root, startRedis } from './servers.mjs';

async function withServer(server, context, body) {
  const running = await server.start(context);
  try {
    return await body(running);
  } finally {
    await stop(running.child);
    for (const other of running.behind ?? []) await stop(other);
  }
}

async function withLoad(running, context, { streams, channels, first = 0, stride = 1, each = 1, prefix = 'bench' }, body) {
  const child = start(context.loadCore, [join(root, 'build/bench/load'), '--port', String(running.port), '--redis-port',
    String(context.redisPort), '--streams', String(streams), '--channels', String(channels), '--first', String(first),
    '--stride', String(stride), '--each', String(each), '--prefix', prefix,
    ...running.load], { log: context.log('load'), pipe: true });
  try {
    return await body(new Conversation(child, context.log('load')));
  } finally {
    await stop(child);
  }
}

// Runs one command of the load and says what the server's CPU did meanwhile.
async function measured(running, load, command) {
  const before = cpuMicroseconds(running.child.pid);
  const result = await load.ask(command);
  // The server may still be at it when the last delivery has arrived: a delivery is counted with its tail.
  return { ...result, cpu: cpuMicroseconds(running.child.pid) - before };
}

function deliveries(result) {
  return {
    cpu_us_per_delivery: result.cpu / result.deliveries,
    lost: result.lost, duplicated: result.duplicated, reordered: result.reordered, closed: result.closed,
    latency_us: result.latency_us, last_us: result.last_us, late_us: result.late_us, seconds: result.seconds,
  };
}

// Accepting, memory of idle streams, one channel to all, and bursts of 10: all on the same streams.
export async function oneChannel(server, context, { streams, messages, rate }) {
  return withServer(server, context, async (running) => {
    const empty = ownBytes(running.child.pid);
    return withLoad(running, context, { streams, channels: 1 }, async (load) => {
      const opened = await measured(running, load, 'open');
      await load.ask('hold 1');
      const bytes = (ownBytes(running.child.pid) - empty) / streams;
      await load.ask('publish 3 10 1 100'); // warms up
      const single = await measured(running, load, `publish ${messages} ${rate} 1 100`);
      const burst = await measured(running, load, `publish ${messages * 4} ${rate * 2} 10 100`);
      return {
        accept_us: opened.cpu / streams,
        accepts_per_second: streams / opened.seconds,
        bytes_per_stream: bytes,
        single: deliveries(single),
        burst: deliveries(burst),
      };
    });
  });
}

// A channel per stream, and messages that come alone: one write to Redis each, evenly spaced. Streams get their messages in
// another order than they were opened in, and each only every `streams` messages, so that its socket is not in a cache.
export async function ownChannels(server, context, { streams, messages, rate }) {
  const stride = 1 + 2 * Math.floor(streams * 0.309); // the golden section, and odd
  return withServer(server, context, (running) => withLoad(running, context, { streams, channels: streams, stride }, async (load) => {
    await load.ask('open');
    await load.ask(`publish ${streams} 10000 1 100`); // warms up: every stream has had a message
    return deliveries(await measured(running, load, `publish ${messages} ${rate} 1 100`));
  }));
}

export async function latency(server, context, { streams, messages, rate }) {
  return withServer(server, context, (running) => withLoad(running, context, { streams, channels: 1 }, async (load) => {
    await load.ask('open');
    await load.ask(`publish ${rate} ${rate} 1 100`);
    return deliveries(await measured(running, load, `publish ${messages} ${rate} 1 100`));
  }));
}

// 20,000 descriptors a process: the streams of the server and of the load are bounded by it.
export async function idle(server, context, { streams, seconds }) {
  return withServer(server, context, (running) => withLoad(running, context, { streams, channels: 1 }, async (load) => {
    await load.ask('open');
    await load.ask('hold 2'); // then for whole intervals of 15 s: each stream has its heartbeats within
    const held = await measured(running, load, `hold ${seconds}`);
    return { core_share: held.cpu / 1e6 / seconds, closed: held.closed, streams };
  }));
}

// Streams over TLS, one channel to all: memory, handshakes and deliveries.
export async function overTls(server, context, { streams, messages, rate }) {
  return withServer(server, context, async (running) => {
    const empty = ownBytes(running.child.pid);
    return withLoad(running, context, { streams, channels: 1 }, async (load) => {
      const opened = await measured(running, load, 'open');
      await load.ask('hold 1');
      const bytes = (ownBytes(running.child.pid) - empty) / streams;
      await load.ask('publish 3 10 1 100'); // warms up
      return { accept_us: opened.cpu / streams, bytes_per_stream: bytes,
        ...deliveries(await measured(running, load, `publish ${messages} ${rate} 1 100`)) };
    });
  });
}

// All that one Redis can publish, with the gateway subscribed, and without (`publish` of a channel nobody listens to).
export async function ingest(server, context, { messages }) {
  return withServer(server, context, (running) => withLoad(running, context, { streams: 1, channels: 1 }, async (load) => {
    await load.ask('open');
    const result = await measured(running, load, `publish ${messages} 0 50 100`);
    return { ...deliveries(result), per_second: messages / result.seconds };
  }));
}

// The most memory of its own that the server takes while `work` goes on.
async function peakBytes(running, work) {
  let peak = 0;
  const sample = () => (peak = Math.max(peak, ownBytes(running.child.pid)));
  const timer = setInterval(sample, 10);
  try {
    return { result: await work, peak };
  } finally {
    sample();
    clearInterval(timer);
  }
}

// All streams come at once and ask for the history of one durable channel, while another channel has live traffic.
export async function resume(server, context, { streams, events, bytes }) {
  return withServer(server, context, async (running) => {
    const idle = await withLoad(running, context, { streams, channels: 1, prefix: 'idle' }, async (load) => {
      await load.ask('open');
      await load.ask('hold 1');
      return ownBytes(running.child.pid);
    });
    const live = { streams: 64, channels: 1, prefix: 'live' };
    return withLoad(running, context, live, (other) => withLoad(running, context, { streams, channels: 1, prefix: 'resume' }, async (load) => {
      await other.ask('open');
      await load.ask(`keep ${events} ${bytes}`);
      const quiet = await other.ask('publish 60 20 1 100');
      const { result: [resumed, busy], peak } = await peakBytes(running,
        Promise.all([measured(running, load, `resume ${events}`), other.ask('publish 60 20 1 100')]));
      return { ...deliveries(resumed), memory_growth: peak - idle, live_latency_us: busy.latency_us, quiet_latency_us: quiet.latency_us };
    }));
  });
}

// How many channels a Redis has subscribers for, asked over one connection.
async function subscribedChannels(port) {
  const socket = connect(port, '127.0.0.1');
  await once(socket, 'connect');
  return {
    async count() {
      socket.write('INFO stats\r\n');
      for (let text = ''; ;) {
        text += (await once(socket, 'data'))[0];
        const found = /^pubsub_channels:(\d+)\r$/m.exec(text);
        if (found && text.endsWith('\r\n\r\n')) return Number(found[1]);
      }
    },
    close: () => socket.destroy(),
  };
}

// Redis is killed and comes back without a memory: the time until a message has come through after all channels have been
// subscribed again (it goes behind all confirmations), and what Redis took for that. Then each channel is heard.
export async function resubscribe(server, outer, { streams, each }) {
  const channels = streams * each;
  const context = { ...outer, redisPort: await freePort() };
  let redis = await startRedis(context, context.redisPort);
  try {
    return await withServer(server, context, (running) => withLoad(running, context, { streams, channels, each }, async (load) => {
      await load.ask('open');
      let redisNow = await subscribedChannels(context.redisPort);
      await waitFor('all channels subscribed', async () => (await redisNow.count()) >= channels);
      await load.ask('hold 1');
      const all = await redisNow.count(); // the gateway has some for itself
      redisNow.close();
      redis.kill('SIGKILL');
      await once(redis, 'exit');
      const cpuBefore = cpuMicroseconds(running.child.pid);
      redis = await startRedis(context, context.redisPort);
      const back = performance.now();
      redisNow = await subscribedChannels(context.redisPort);
      await waitFor('all channels subscribed again', async () => (await redisNow.count()) >= all, { timeoutMs: 60000, everyMs: 5 });
      const subscribed = (performance.now() - back) / 1000;
      redisNow.close();
      await load.ask('reconnect');
      const first = await load.ask('publish 1 0 1 100');
      const seconds = (performance.now() - back) / 1000;
      const spent = { redis_cpu_ms: cpuMicroseconds(redis.pid) / 1000, cpu_ms: (cpuMicroseconds(running.child.pid) - cpuBefore) / 1000 };
      const rest = await load.ask(`publish ${channels} 20000 20 100`);
      return { channels, subscribed, seconds, ...spent, lost: first.lost + rest.lost, duplicated: rest.duplicated, reordered: rest.reordered };
    }));
  } finally {
    await stop(redis);
  }
}

export function machine() {
  const cpu = /^model name\s*: (.*)$/m.exec(readFileSync('/proc/cpuinfo', 'utf8'))?.[1] ?? 'unknown';
  const kernel = readFileSync('/proc/sys/kernel/osrelease', 'utf8').trim();
  return { cpu, kernel };
}

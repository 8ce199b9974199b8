// The load over HTTP/2: holds streams of one connection each, as browsers with one tab do, and counts the messages in them.
//
//      h2_load.mjs PORT STREAMS CHANNELS
//
// Stream i listens to bench:(i % CHANNELS). Commands on standard input, one answer each on standard output (JSON):
//      open          opens the streams, some at a time: {"opened":N}
//      await COUNT   waits until COUNT messages have arrived since the last answer: {"deliveries":..}; ten seconds without any end it
import { connect } from 'node:http2';
import { createInterface } from 'node:readline';

const [port, streams, channels] = process.argv.slice(2).map(Number);
const AT_ONCE = 16;
const QUIET_MS = 10000;

let deliveries = 0;
let last = Date.now();

function open(i) {
  return new Promise((resolve, reject) => {
    const session = connect(`https://localhost:${port}`, { rejectUnauthorized: false, lookup: (_, options, done) => done(null, options.all ? [{ address: '127.0.0.1', family: 4 }] : '127.0.0.1', 4) });
    session.on('error', reject);
    const stream = session.request({ ':path': `/stream?channel=bench:${i % channels}`, accept: 'text/event-stream' });
    stream.on('error', reject);
    stream.on('response', (head) => (head[':status'] === 200 ? resolve() : reject(new Error(`status ${head[':status']}`))));
    stream.setEncoding('latin1');
    // A message begins with a mark of load.h; each is in one frame, since none is longer than a frame.
    stream.on('data', (text) => {
      deliveries += text.split('data: #0').length - 1;
      last = Date.now();
    });
  });
}

async function openAll() {
  let next = 0;
  const worker = async () => {
    while (next < streams) await open(next++);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  return { opened: streams };
}

async function awaitCount(count) {
  last = Date.now();
  while (deliveries < count && Date.now() - last < QUIET_MS) await new Promise((resolve) => setTimeout(resolve, 5));
  const answer = { deliveries };
  deliveries = 0;
  return answer;
}

process.on('SIGTERM', () => process.exit(0));
for await (const line of createInterface({ input: process.stdin })) {
  const [command, count] = line.split(' ');
  process.stdout.write(`${JSON.stringify(await (command === 'open' ? openAll() : awaitCount(Number(count))))}\n`);
}

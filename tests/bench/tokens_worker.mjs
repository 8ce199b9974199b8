// A process that writes answers: so many tokens a second each, what has gathered in a window by one sse_append, as one event
// with their text or as one event for each; the last with the end. One connection for all, as an application's worker has. Says 'begun' and 'done' to the process that started it.

import { setTimeout as sleep } from 'node:timers/promises';
import { Connection } from '../chaos/resp.mjs';
import { channelOf, tokenOf } from './tokens_text.mjs';

const { redisPort, answers, tokens, rate, windowMs, spreadMs, singly } = JSON.parse(process.argv[2]);
const counts = { appends: 0, events: 0, tokens: 0, bytes: 0, lateMs: 0 };

async function write(connection, answer) {
  await sleep(Math.random() * spreadMs);
  const began = performance.now();
  for (let sent = 0; sent < tokens;) {
    await sleep(windowMs);
    const due = Math.min(tokens, Math.floor((performance.now() - began) * rate / 1000));
    const count = Math.min(due - sent, 256);
    if (count < 1) continue;
    const texts = Array.from({ length: count }, (_, i) => tokenOf(answer, sent + i));
    const events = singly ? texts : [texts.join('')];
    const last = sent + count === tokens;
    const before = performance.now();
    await connection.call('FCALL', 'sse_append', 1, `sse:{${channelOf(answer)}}`, events.length, ...events.flatMap((text) => ['', text]),
      'maxlen', tokens, 'maxage', 3600, 'key', `${sent}`, ...(last ? ['end', 3600] : []));
    counts.lateMs = Math.max(counts.lateMs, performance.now() - before);
    sent += count;
    counts.appends++;
    counts.events += events.length;
    counts.tokens += count;
    for (const text of events) counts.bytes += Buffer.byteLength(text);
  }
}

const connection = await Connection.open({ port: redisPort });
process.send({ begun: performance.now() });
await Promise.all(answers.map((answer) => write(connection, answer)));
const { user, system } = process.cpuUsage();
process.send({ done: true, ...counts, cpu: (user + system) / 1e6 });
connection.lose();

// A process of readers: one for each answer that reloads twice, and for some answers another one that joins late. Each reads
// until it is answered 204, and compares the checksum of its text. Says what became of them to the process that started it.

import { createHash } from 'node:crypto';
import http from 'node:http';
import { channelOf, checksumOf, tokensIn } from './tokens_text.mjs';

const { port, answers, tokens, reloads, lateOf } = JSON.parse(process.argv[2]);
const RETRY_MS = 500;
const counts = { whole: 0, broken: [], streams: 0, reloads: 0, late: 0, events: 0, tokens: 0, bytes: 0, gaps: 0, ends: 0, noContent: 0, refused: 0, after200: 0 };

class Reader {
  #hash = createHash('sha256');
  #rest = '';
  #isOver = false; // gateway:end was there

  /** `reloadAt`: after how many tokens it reloads, ascending. `onToken(count)`, where it is given, for each. */
  constructor(answer, { reloadAt = [], onToken = () => {} } = {}) {
    Object.assign(this, { answer, reloadAt, onToken, count: 0, id: '' });
    this.done = new Promise((resolve) => (this.resolve = resolve));
    this.#connect();
  }

  #connect() {
    counts.streams++;
    this.#rest = '';
    const path = `/stream?channel=${channelOf(this.answer)}&last_event_id=earliest`;
    const headers = { Accept: 'text/event-stream', ...(this.id && { 'Last-Event-ID': this.id }) };
    this.request = http.get({ host: '127.0.0.1', port, path, headers, agent: false }, (response) => this.#answered(response));
    this.request.on('error', () => this.#again());
  }

  #answered(response) {
    if (response.statusCode === 204) {
      counts.noContent++;
      return this.#finish();
    }
    if (response.statusCode !== 200) {
      counts.refused++;
      response.resume();
    } else {
      if (this.#isOver && response.headers['x-sse-gateway']) counts.after200++; // NGINX itself answers where no gateway does
      response.setEncoding('utf8');
      response.on('data', (text) => this.#take(text));
    }
    response.on('close', () => this.#again());
    response.on('error', () => {});
  }

  #again() {
    if (this.finished || this.timer) return;
    this.request.destroy();
    this.timer = setTimeout(() => {
      this.timer = undefined;
      this.#connect();
    }, RETRY_MS * (1 + Math.random()));
  }

  #take(text) {
    counts.bytes += Buffer.byteLength(text);
    const blocks = (this.#rest + text).split('\n\n');
    this.#rest = blocks.pop();
    for (const block of blocks) {
      if (this.timer) return; // the page is gone
      this.#block(block);
    }
  }

  #block(block) {
    let [type, data] = ['', ''];
    for (const line of block.split('\n')) {
      if (line.startsWith('data: ')) data += `${line.slice(6)}\n`;
      else if (line.startsWith('id: ')) this.id = line.slice(4);
      else if (line.startsWith('event: ')) type = line.slice(7);
    }
    if (type === 'gateway:gap') counts.gaps++;
    if (type === 'gateway:end') {
      counts.ends++;
      this.#isOver = true;
    }
    if (type !== '' || data === '') return;
    const text = data.slice(0, -1);
    counts.events++;
    counts.tokens += tokensIn(text);
    this.count += tokensIn(text);
    this.#hash.update(text);
    this.onToken(this.count);
    if (this.count >= this.reloadAt[0]) {
      this.reloadAt.shift();
      counts.reloads++;
      this.#again();
    }
  }

  #finish() {
    this.finished = true;
    this.request.destroy();
    const isWhole = this.count === tokens && this.#hash.digest('hex') === checksumOf(this.answer, tokens);
    if (isWhole) counts.whole++;
    else counts.broken.push({ answer: this.answer, count: this.count });
    this.resolve();
  }
}

const somewhere = () => 1 + Math.floor(Math.random() * (tokens - 1));

function read(answer) {
  const joinAt = answer % lateOf === 0 ? somewhere() : 0;
  return new Promise((resolve) => {
    const late = [];
    const onToken = (count) => {
      if (joinAt === 0 || count < joinAt || late.length > 0) return;
      counts.late++;
      late.push(new Reader(answer));
    };
    const reader = new Reader(answer, { reloadAt: Array.from({ length: reloads }, somewhere).sort((a, b) => a - b), onToken });
    reader.done.then(() => Promise.all(late.map(({ done }) => done))).then(resolve);
  });
}

process.on('message', () => process.send({ progress: counts }));
await Promise.all(answers.map(read));
const { user, system } = process.cpuUsage();
process.send({ done: true, ...counts, cpu: (user + system) / 1e6 });
process.disconnect();

// What users copy from the documents does what is said there.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { command } from '../lib/command.mjs';
import { connect, history } from '../lib/durable.mjs';
import { snippet } from '../lib/docs.mjs';
import { BUILD, PUBLISH, ROOT } from '../lib/paths.mjs';
import { freePort } from '../lib/ports.mjs';
import { Process } from '../lib/process.mjs';
import { Redis } from '../lib/redis.mjs';
import { scopeOf } from '../lib/scope.mjs';
import { openStream } from '../lib/streams.mjs';
import { startTier } from '../lib/tier.mjs';
import { tempFolder } from '../lib/temp.mjs';
import { until } from '../lib/wait.mjs';

async function start(t, channel) {
    const scope = scopeOf(t);
    const tier = await startTier(scope);
    return { scope, ...tier, stream: await openStream(scope, tier.gateway.port, `/stream?channel=${channel}`) };
}

/** Runs lines of a shell, with our Redis and our sse-publish. */
async function shell({ redis }, lines) {
    const script = `set -e
        redis-cli() { command redis-cli -p ${redis.port} "$@"; }
        sse-publish() { ${PUBLISH} --redis ${redis.url} "$@"; }
        ${lines}`;
    const result = await command('bash', ['-c', script]);
    assert.equal(result.code, 0, result.err);
    assert.doesNotMatch(result.out, /^\(error\)|^ERR/m, result.out);
}

/** Events as words: NAME:DATA, without a name DATA alone; the gateway's own are left out. */
const words = (stream) => stream.events.filter((e) => !e.type.startsWith('gateway:'))
    .map((e) => (e.type === 'message' ? e.data : `${e.type}:${e.data}`)).join(' ');

async function hears(stream, expected) {
    await until('as many events', () => words(stream).length >= expected.length);
    assert.equal(words(stream), expected);
}

test('the commands of the README publish an event each', async (t) => {
    const tier = await start(t, 'user:42');
    await shell(tier, snippet('README.md', 'PUBLISH user:42 hello').replaceAll('-p 6399 ', ''));
    await hears(tier.stream, 'hello order:{"total":3} order:{"total":3}');
});

test('the first three commands of the README: a gateway, a stream, an event', async (t) => {
    const scope = scopeOf(t);
    const redis = await Redis.start(scope);
    const [port, adminPort] = [await freePort(), await freePort()];
    const lines = fs.readFileSync(path.join(ROOT, 'README.md'), 'utf8').match(/^ {4}(?:sse-gateway|curl|sse-publish) .*$/gm).slice(-3).map((line) => line.trim());
    assert.deepEqual(lines.map((line) => line.split(' ')[0]), ['sse-gateway', 'curl', 'sse-publish']);
    const env = { PATH: `${BUILD}:${process.env.PATH}`, SSE_GATEWAY_REDIS: redis.url, SSE_PUBLISH_REDIS: redis.url, SSE_GATEWAY_LISTEN: `127.0.0.1:${port}`,
        SSE_GATEWAY_ADMIN_LISTEN: `127.0.0.1:${adminPort}` };
    const typed = (line) => ['-c', `exec ${line.replace(':8080/', `:${port}/`)}`];
    const gateway = new Process(scope, 'gateway', 'bash', typed(lines[0]), { env });
    await gateway.logged(/delivery is proven: ready/);
    const curl = new Process(scope, 'curl', 'bash', typed(lines[1]), { env });
    await redis.subscribed('public:news', 1);
    const { code, out, err } = await command('bash', typed(lines[2]), { env });
    assert.equal(code, 0, err);
    assert.match(out, /^1 gateway$/m);
    await curl.logged(/data: hello$/m); // its progress, which a terminal does not show, is in the same log
});

test('the commands of docs/publishing.md publish an event each', async (t) => {
    const tier = await start(t, 'user:42');
    await shell(tier, snippet('docs/publishing.md', 'tail -f').replace(/^tail -f.*$/m, ''));
    await shell(tier, snippet('docs/publishing.md', '# bash'));
    await shell(tier, snippet('docs/publishing.md', '--install'));
    await hears(tier.stream, `hello {"total":3} hello${' order:{"total":3}'.repeat(4)}`);
});

test('the code of docs/tokens.md: lines become an answer with an end; an append goes behind its `after`; the stop is the last event, once', async (t) => {
    const tier = await start(t, 'answer:ann:17');
    await shell(tier, `answer() { printf '%s\\n' The best answer.; }; ${snippet('docs/tokens.md', '--coalesce')}`);
    await hears(tier.stream, 'text:The text:best text:answer.');
    await tier.stream.ended(15000);
    const stop = snippet('docs/tokens.md', '"stopped"');
    const lines = ['import redis', `r = redis.Redis(port=${tier.redis.port}, decode_responses=True)`, 'key = "sse:{answer:ann:17}"',
        'r.fcall("sse_append", 1, key, 41, *["text", "."] * 41)', snippet('docs/tokens.md', '"sse_append"'), stop, stop];
    const said = await command('/usr/bin/python3', ['-c', lines.join('\n')]);
    assert.equal(said.code, 0, said.err);
    const events = await history(connect(tier.scope, tier.redis), 'answer:ann:17');
    assert.deepEqual(events.slice(-3).map((e) => [e.offset, e.event, e.data, e.end]), [[42, 'text', 'All the ', undefined], [43, 'text', 'best', undefined], [44, 'stopped', '', '3600']]);
});

test('the lines that docs/tokens.md adds to the tier of the tutorial are options that a gateway takes', async (t) => {
    const cwd = tempFolder(scopeOf(t), 'tokens');
    const [config] = snippet('docs/tutorial.md', 'cat >tier/gateway.conf').split('sse-gateway --config');
    const lines = `mkdir tier; ${config}\n${snippet('docs/tokens.md', '>>tier/gateway.conf')}\n${BUILD}/sse-gateway --config tier/gateway.conf --check-config`;
    const { code, err } = await command('bash', ['-ec', lines], { cwd });
    assert.equal(code, 0, err);
});

test('the JavaScript of docs/publishing.md publishes an event each', async (t) => {
    const tier = await start(t, 'user:42');
    const redis = connect(tier.scope, tier.redis);
    const [durable] = snippet('docs/publishing.md', 'redis.fcall(').match(/^.*ioredis.*$/m);
    const code = snippet('docs/publishing.md', 'redis.publish(') + durable;
    await new Function('redis', 'order', `return (async () => {${code}\n})();`)(redis, { total: 3 });
    await hears(tier.stream, 'order:{"total":3} order:{"total":3}');
});

test('the Node.js client of docs/subscribing.md prints what is published', async (t) => {
    const { scope, gateway, redis } = await start(t, 'other');
    const code = snippet('docs/subscribing.md', "from 'eventsource'").replace("'eventsource'", "'eventsource-4'")
        .replace('127.0.0.1:8080', `127.0.0.1:${gateway.port}`);
    const client = new Process(scope, 'client', process.execPath, ['--input-type=module', '-e', code], { cwd: `${ROOT}/tests` });
    await until('the client to print it', async () => {
        await redis.publish('news', 'hello');
        return client.log().includes('hello\n');
    }, { every: 100 });
});

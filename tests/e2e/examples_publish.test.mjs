// docs/examples: the publishers in seven languages, each with the client library that people use there.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { command } from '../lib/command.mjs';
import { connect, history } from '../lib/durable.mjs';
import { prepare } from '../lib/examples.mjs';
import { ROOT } from '../lib/paths.mjs';
import { freePort } from '../lib/ports.mjs';
import { Redis } from '../lib/redis.mjs';
import { scopeOf, sharedScope } from '../lib/scope.mjs';
import { openStream } from '../lib/streams.mjs';
import { startTier } from '../lib/tier.mjs';
import { until } from '../lib/wait.mjs';

const PUBLISHERS = {
    python: prepare('python', 'python', 'publish.py'),
    node: prepare('node', 'node', 'publish.mjs'),
    go: prepare('go', 'go'),
    java: prepare('java', 'java', 'Publish.java'),
    php: prepare('php', 'php', 'publish.php'),
    ruby: prepare('ruby', 'ruby', 'publish.rb'),
    rust: prepare('rust', 'rust'),
};
const TEXT = 'na\u00efve \u20ac \u{1f600} "quoted" \\n {"a": [1]}\n second: line\n\ndata: \u2028 the last';
const DATA = TEXT.split('\n').map((line) => `data: ${line}\n`).join('');

const shared = sharedScope();
const { redis, gateway } = await startTier(shared, { args: ['--heartbeat', '5m'] });
const bare = await Redis.start(shared); // no gateway has loaded the function
const nobody = await freePort();

/** Runs a publisher; resolves to its status and what it printed. */
function run({ program, args, env }, port, channel, text) {
    const where = { REDIS_URL: `redis://127.0.0.1:${port}`, REDIS_HOST: '127.0.0.1', REDIS_PORT: String(port), LC_ALL: 'C.UTF-8' };
    return command(program, [...args, channel, text], { env: { ...env, ...where }, ms: 60000 });
}

for (const [language, prepared] of Object.entries(PUBLISHERS)) {
    test(`${language}: a stream gets the plain, the named and the durable event byte for byte, and Redis keeps the last`, async (t) => {
        const publisher = await prepared(t);
        if (!publisher) return;
        const scope = scopeOf(t);
        const channel = `example:${language}`;
        const stream = await openStream(scope, gateway.port, `/stream?channel=${channel}`, { keep: true });
        const { code, out, err } = await run(publisher, redis.port, channel, TEXT);
        assert.equal(code, 0, err);
        const [, id] = out.match(/^plain: gateways 1\nnamed: gateways 1\ndurable: gateways 1, id (\d+\.1)\n$/) ?? assert.fail(out);
        await until('all three', () => stream.events.length >= 3 && stream.body.endsWith('\n\n'));
        const cursor = stream.lastEventId;
        assert.match(cursor, /^[\w-]+$/);
        assert.equal(stream.body, `retry: 2000\n${DATA}\nevent: order\n${DATA}\nid: ${cursor}\nevent: order\n${DATA}\n`);
        const kept = await history(connect(scope, redis), channel);
        assert.deepEqual(kept.map((e) => [`${e.epoch}.${e.offset}`, e.event, e.data]), [[id, 'order', TEXT]]);
        const again = await openStream(scope, gateway.port, `/stream?channel=${channel}&last_event_id=earliest`);
        await again.count(1);
        assert.deepEqual(again.events[0], { type: 'order', data: TEXT, lastEventId: again.lastEventId });
    });

    test(`${language}: one line says what to do where Redis lacks the function, refuses the event, or is not there`, async (t) => {
        const publisher = await prepared(t);
        if (!publisher) return;
        for (const [port, channel, out, err] of [
            [bare.port, 'news', 'plain: gateways 0\nnamed: gateways 0\n', /^publish: [^\n]*sse_publish[^\n]*sse-publish --install[^\n]*\n$/],
            [redis.port, 'no blanks', 'plain: gateways 0\nnamed: gateways 0\n', /^publish: [^\n]*channel "no blanks" holds other characters[^\n]*\n$/],
            [nobody, 'news', '', /^publish: [^\n]+\n$/],
        ]) {
            const said = await run(publisher, port, channel, 'x');
            assert.equal(said.code, 1, said.err);
            assert.match(said.err, err);
            assert.ok(out.startsWith(said.out), said.out); // some print all at the end
        }
    });
}

test('each example has less than 60 lines, and the index names it', () => {
    const folder = path.join(ROOT, 'docs/examples');
    const index = fs.readFileSync(path.join(folder, 'README.md'), 'utf8');
    const files = fs.readdirSync(folder, { recursive: true }).filter((name) => /\.(py|mjs|go|java|php|rb|rs|html)$/.test(name));
    assert.ok(files.length >= Object.keys(PUBLISHERS).length, files.join(' '));
    for (const name of files) {
        const lines = fs.readFileSync(path.join(folder, name), 'utf8').trimEnd().split('\n');
        assert.ok(lines.length < 60, `${name} has ${lines.length} lines`);
        assert.ok(index.includes(`](${name})`), `README.md does not link to ${name}`);
    }
});

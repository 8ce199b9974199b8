// docs/sizing.md: its calculator, typed as it stands there, gives its examples, and reckons with its table of costs.
// tests/docs/check-text holds that table to what was measured.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { command } from '../lib/command.mjs';
import { snippet } from '../lib/docs.mjs';
import { connect, load } from '../lib/durable.mjs';
import { ROOT } from '../lib/paths.mjs';
import { Redis } from '../lib/redis.mjs';
import { scopeOf } from '../lib/scope.mjs';

const TEXT = fs.readFileSync(path.join(ROOT, 'docs/sizing.md'), 'utf8');
const CALCULATOR = snippet('docs/sizing.md', 'size() {');
const rows = (section) => TEXT.split(`## ${section}\n`)[1].split('\n## ')[0].split('\n').filter((line) => /^\| /.test(line)).map((line) => line.split(/ *\| */).slice(1, -1));

/** What `size ARGUMENTS` prints, by its first words. */
async function size(args) {
    const run = await command('sh', ['-c', CALCULATOR.replace(/^size .*$/m, `size ${args}`)]);
    assert.equal(run.code, 0, run.err);
    return new Map(run.out.trim().split('\n').map((line) => line.match(/^(.*?) +([\d.]+)$/).slice(1)));
}

test('the calculator gives the examples', async () => {
    const [, args, ...figures] = rows('Examples');
    assert.equal(args[0], '`size`');
    assert.ok(args.length >= 4);
    for (let i = 1; i < args.length; i++) {
        const printed = await size(args[i]);
        assert.deepEqual(figures.map((row) => [row[0], row[i]]), [...printed], args[i]);
    }
    assert.match(CALCULATOR, new RegExp(`^size ${args[1]}$`, 'm'));
});

test('the calculator reckons with the costs of the table', () => {
    const cost = (what) => {
        const found = rows('What one costs').filter(([name]) => name.startsWith(what));
        assert.equal(found.length, 1, what);
        return found[0][1].match(/[\d.]+/)[0];
    };
    const { delivery, alone, nginx_many, nginx_alone } = Object.fromEntries([...CALCULATOR.matchAll(/(\w+) = ([\d.]+)(?:;|$)/gm)].map(([, k, v]) => [k, v]));
    assert.deepEqual([delivery, alone, nginx_many, nginx_alone],
        [cost('delivery:'), cost('message that comes alone'), cost('NGINX with TLS and HTTP/2: delivery'), cost('the same, delivery')]);
    for (const text of [`heartbeats = ${cost('20,000 idle')} / 20000`, `rate * (${cost('Redis: durable')} + copies * ${cost('Redis: copy')})`,
        `(${cost('idle stream, own')} + ${cost('socket')}000 + ${1024 * Number(cost('event on its way'))})`, `(${cost('the same, memory')} * 1024`])
        assert.ok(CALCULATOR.includes(text), text);
});

test('a history of 1,000 events of 100 bytes takes what the table says, and the formula of histories gives it', async (t) => {
    const scope = scopeOf(t);
    const client = connect(scope, await Redis.start(scope));
    await load(client);
    for (let i = 0; i < 1000; i++) await client.call('FCALL', 'sse_publish', 1, 'a', 'x'.repeat(100));
    const bytes = Number(await client.call('MEMORY', 'USAGE', 'sse:{a}', 'SAMPLES', '0'));
    const [[, says]] = rows('What one costs').filter(([name]) => name.startsWith('Redis: history'));
    assert.ok(Math.abs(bytes - 1000 * Number(says.match(/\d+/)[0])) < 0.03 * bytes, `${bytes} bytes, and not ${says}`);
    const over = Number(TEXT.match(/\(size \+ (\d+) B\)/)[1]);
    assert.ok(Math.abs(bytes - 1000 * (100 + over)) < 0.03 * bytes, `${bytes} bytes`);
});

// What is run by hand says in a line what is wrong with its options, and how it is called.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import test from 'node:test';
import { ROOT } from '../lib/paths.mjs';

const call = (tool, ...args) => spawnSync(process.execPath, [path.join(ROOT, 'tests', tool), ...args], { encoding: 'utf8' });

for (const tool of ['bench/fronts.mjs', 'bench/run.mjs', 'bench/tokens.mjs', 'chaos/run.mjs', 'sim/run.mjs', 'torture/run.mjs']) {
    test(`${tool}: an option that it has not, and --help`, () => {
        const wrong = call(tool, '--nonsense');
        assert.deepEqual([wrong.status, wrong.stdout], [2, '']);
        assert.match(wrong.stderr, /^Unknown option '--nonsense'\nusage: make .*\n$/);
        const help = call(tool, '--help');
        assert.deepEqual([help.status, help.stderr], [0, '']);
        assert.match(help.stdout, /^usage: make .*\n$/);
    });
}

test('bench/run.mjs: a row that there is not, and a number that is none', () => {
    assert.match(call('bench/run.mjs', '--only', 'own_5000,own').stderr, /^there is no row own, only one_channel, .*\n$/);
    assert.match(call('bench/run.mjs', '--rounds', 'many').stderr, /^--rounds is a whole number from 1, not many\n$/);
});

// What the manuals and docs/options.md say of options is what the programs say.

import assert from 'node:assert/strict';
import path from 'node:path';
import { test } from 'node:test';
import { command } from '../lib/command.mjs';
import { BUILD, ROOT } from '../lib/paths.mjs';

test('manuals, docs/options.md and --help name the same options and defaults', async () => {
    const check = await command(path.join(ROOT, 'tests/docs/check-options'), [BUILD]);
    assert.equal(check.code, 0, `tests/docs/check-options:\n${check.out}${check.err}`);
});

// The static probes of the program: what its file says.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { command } from '../lib/command.mjs';
import { GATEWAY } from '../lib/paths.mjs';

test('the notes of the program name accept, deliver and close of sse_gateway, each with the arguments that docs/operations.md lists', async () => {
    const { out, code, err } = await command('readelf', ['-n', '-W', GATEWAY], { env: { LC_ALL: 'C' } });
    assert.equal(code, 0, err);
    const probes = [...out.matchAll(/Provider: sse_gateway\s+Name: (\w+)\s+Location:[^\n]+\s+Arguments: ([^\n]+)/g)];
    const found = Object.fromEntries(probes.map(([, name, args]) => [name, args.trim().split(' ').filter((a) => a.includes('@')).length]));
    assert.deepEqual(found, { accept: 3, deliver: 4, close: 4 });
});

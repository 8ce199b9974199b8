// docs/runbook.md: what a refused system call looks like, with a library that makes one.

import '../lib/plain_build.mjs';
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { before } from 'node:test';
import { buildPlain } from '../lib/calls.mjs';
import { BUILD } from '../lib/paths.mjs';
import { Redis } from '../lib/redis.mjs';
import { symptom } from '../lib/runbook.mjs';
import { until } from '../lib/wait.mjs';

before(() => buildPlain());

const EPERM = 1;
const UNTRIED = 255;
const [EXECVE, KILL] = [1, 8]; // attempts of tests/lib/intruder.c

symptom('The filter of system calls refuses one', async (page, scope) => {
    const redis = await Redis.start(scope);
    const file = path.join(scope.folder, 'intruder');
    fs.writeFileSync(file, Buffer.from([0, UNTRIED]));
    const attempt = async (number) => {
        fs.writeFileSync(file, Buffer.from([number, UNTRIED]), { flag: 'r+' });
        await until(`attempt ${number}`, () => !page.gateway.process.running || fs.readFileSync(file)[1] !== UNTRIED);
        return fs.readFileSync(file)[1];
    };
    await page.start({ redis, conf: ['seccomp = yes'], env: { LD_PRELOAD: path.join(BUILD, 'tests/intruder.so'), INTRUDER_FILE: file } });
    assert.equal(await attempt(KILL), EPERM);
    page.gateway.process.wantedEnd = true;
    await attempt(EXECVE);
    assert.deepEqual(await page.gateway.process.exit(), { code: null, signal: 'SIGSYS' });

    const printed = await page.type();
    assert.match(printed.at(-1), /^Seccomp:\s+0$/m);
    assert.equal(await attempt(KILL), 0);
    await page.over();
});

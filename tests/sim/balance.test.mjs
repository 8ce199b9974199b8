// The model's rule for rebalancing and the gateway's, gateway/process/balance.c, decide the same.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { test } from 'node:test';
import { Random } from '../chaos/random.mjs';
import { BUILD, ROOT } from '../lib/paths.mjs';
import { Balance } from './rebalance.mjs';

const TIERS = 200;
const STEPS = 400;

/** A tier as one gateway sees it, over some time: mostly quiet, so that rounds begin and end, with changes of all kinds. */
function* views(random, obeys) {
    const view = { now: random.int(1, 5000), isAllowed: true, own: random.int(0, 3000), ownCapacity: random.int(1, 20_000), others: random.int(0, 9000), members: random.int(0, 3), moved: 0 };
    view.allCapacity = view.ownCapacity + random.int(0, 60_000);
    let newest = view.now;
    for (let i = 0; i < STEPS; i++) {
        view.now += random.chance(0.9) ? 100 : random.int(0, 2000);
        if (random.chance(0.02)) view.isAllowed = !view.isAllowed;
        if (random.chance(0.1)) view.isAllowed = true;
        if (random.chance(0.01)) view.members = random.int(0, 3);
        if (random.chance(0.05)) view.own = Math.max(0, view.own + random.int(-50, 50));
        if (random.chance(0.05)) view.others = Math.max(0, view.others + random.int(-200, 200));
        if (random.chance(0.02)) view.own += random.int(0, 2000);
        if (random.chance(0.5)) newest = view.now;
        view.oldestNews = random.chance(0.05) ? view.now - random.int(0, Math.min(view.now, 20_000)) : newest;
        Object.assign(view, random.chance(0.1) ? { lowest: 0, lowestCapacity: 0 } : { lowest: random.int(0, 1000), lowestCapacity: random.int(1, 20_000) });
        yield view;
        const ended = Math.min(obeys.end, view.own);
        view.own -= ended;
        view.moved += ended;
        if (random.chance(0.3)) view.others += ended;
        else if (random.chance(0.2)) view.own += ended;
    }
}

test('the model ends as many streams as gateway/process/balance.c does, at every step of 200 random tiers', () => {
    const program = path.join(BUILD, 'sim/balance_steps');
    const made = spawnSync('make', [`SANITIZER=${path.relative('build', path.relative(ROOT, BUILD))}`, path.relative(ROOT, program)], { cwd: ROOT, encoding: 'utf8' });
    assert.equal(made.status, 0, made.stdout + made.stderr);

    const random = new Random(11);
    const asked = [];
    const expected = [];
    const seen = new Set();
    for (let n = 0; n < TIERS; n++) {
        const settings = { tolerance: random.int(1, 40) / 100, rate: random.int(1, 500), settle: random.int(0, 3000), returns: random.int(0, 4000) };
        asked.push(`S ${settings.tolerance} ${settings.rate} ${settings.settle} ${settings.returns}`);
        const balance = new Balance(settings);
        const obeys = { end: 0 };
        for (const v of views(random, obeys)) {
            asked.push(`V ${[v.now, Number(v.isAllowed), v.own, v.ownCapacity, v.others, v.allCapacity, v.lowest, v.lowestCapacity, v.members, v.oldestNews, v.moved].join(' ')}`);
            const step = balance.step(v);
            obeys.end = step.end;
            seen.add(step.event).add(step.end > 0);
            expected.push(`${step.end} ${step.minAge} ${step.event}`);
        }
    }
    for (const what of ['begun', 'done', 'stopped', 'in vain', true]) assert.ok(seen.has(what), `no step was ${what}`);

    const run = spawnSync(program, { input: `${asked.join('\n')}\n`, encoding: 'utf8', maxBuffer: 1 << 28 });
    assert.equal(run.status, 0, run.stderr);
    const answers = run.stdout.trim().split('\n');
    assert.equal(answers.length, expected.length);
    const views_ = asked.filter((line) => line.startsWith('V'));
    answers.forEach((answer, i) => assert.equal(answer, expected[i], `step ${i}: ${views_[i]}`));
});

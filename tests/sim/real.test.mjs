// The model against gateways behind NGINX. The tolerances are wide, since the tests share their machine; without them a
// drain is 0.03 away from the model, and a tier is level within a second of what it says.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { scopeOf } from '../lib/scope.mjs';
import { bySecond, distance, modelDrain, modelJoin, realDrain, realJoin } from './real.mjs';

test('streams of a drain come back as the model says: second by second, and the most in one', async (t) => {
    const options = { gateways: 3, streams: 900, window: 3, retry: 1 };
    const real = await realDrain(scopeOf(t), options);
    const model = modelDrain(options);
    const seen = bySecond(real.times, model.perSecond.length);
    t.diagnostic(`real ${seen.join(' ')}, model ${model.perSecond.join(' ')}`);
    assert.equal(real.ended, model.ended);
    assert.equal(real.failed, 0);
    const far = distance(seen, model.perSecond);
    assert.ok(far < 0.2, `${far.toFixed(2)} apart: ${seen.join(' ')}`);
    assert.ok(Math.max(...seen) < 1.5 * Math.max(...model.perSecond), `${Math.max(...seen)} streams in a second`);
});

test('a fourth gateway that joins is level with the three when the model says so, and no stream is moved that need not be', async (t) => {
    const options = { gateways: 3, streams: 600, retry: 1, rate: 20, tolerance: 0.1, settle: 2 };
    const real = await realJoin(scopeOf(t), options);
    const model = modelJoin(options);
    t.diagnostic(`level after: real ${real.level.toFixed(1)} s, model ${model.level.toFixed(1)} s; moved: real ${real.moved}, model ${model.moved}`);
    assert.ok(Math.abs(real.level - model.level) < 5 + 0.3 * model.level, `real ${real.level}, model ${model.level} s`);
    assert.ok(Math.abs(real.moved - model.moved) < 30, `real ${real.moved}, model ${model.moved} streams`);
    assert.equal(real.failed, 0);
});

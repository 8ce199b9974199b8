// A short round of what `make chaos` does, always the same one. Those with SHAPE=sentinel and cluster have files of their own:
// files run side by side.

import { test } from 'node:test';
import { shortRound } from '../chaos/short_round.mjs';

// With this seed, each comes once where the machine is quick.
const FAULTS = ['gateway kill -9', 'gateway SIGTERM', 'all gateways kill -9', 'nginx worker kill -9', 'nginx reload', 'client away',
    'client away, stream trimmed', 'client new', 'redis kill -9', 'redis forgets all', 'CLIENT KILL of everybody', 'output buffer overflows'];

test('durable channels lose nothing, double nothing and keep their order while everything around them fails', (t) =>
    shortRound(t, { shape: 'single', seed: 158, seconds: 13, only: FAULTS, effective: ['all gateways kill -9', 'output buffer overflows'], faults: 6 }));

// A short round of what `make chaos SHAPE=cluster` does, always the same one.

import { test } from 'node:test';
import { shortRound } from '../chaos/short_round.mjs';

const TAKEN_OVER = ['redis master kill -9, failover', 'redis failover as asked', 'redis slots moved'];
const OTHERS = ['gateway kill -9', 'client away, stream trimmed', 'CLIENT KILL of subscribers', 'output buffer overflows'];

test('durable channels lose nothing without a word while slots of a cluster change hands', (t) =>
    shortRound(t, { shape: 'cluster', seed: 370, seconds: 16, only: [...TAKEN_OVER, ...OTHERS], effective: [...TAKEN_OVER, 'output buffer overflows'], faults: 3 }));

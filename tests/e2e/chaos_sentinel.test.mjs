// A short round of what `make chaos SHAPE=sentinel` does, always the same one.

import { test } from 'node:test';
import { shortRound } from '../chaos/short_round.mjs';

const FAILOVERS = ['redis master kill -9, failover', 'redis failover as asked'];
const OTHERS = ['redis replica kill -9', 'gateway kill -9', 'client away, stream trimmed', 'CLIENT KILL of subscribers', 'output buffer overflows'];

test('durable channels lose nothing without a word through failovers by sentinels', (t) =>
    shortRound(t, { shape: 'sentinel', seed: 62, seconds: 16, only: [...FAILOVERS, ...OTHERS], effective: [...FAILOVERS, 'output buffer overflows'], faults: 3 }));

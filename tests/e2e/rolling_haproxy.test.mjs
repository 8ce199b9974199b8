// Deploys as docs/deploying.md has them, behind HAProxy, while browsers have tabs open and streams come back. `make rolling` is the
// same in full size.

import { testDeploys } from '../lib/deploys.mjs';

testDeploys('HAProxy');

// The helper of deploy/client in Firefox.

import { clientPromises } from '../lib/client_promises.mjs';
import { startFirefox } from '../lib/firefox.mjs';
import { sharedScope } from '../lib/scope.mjs';

const firefox = await startFirefox(sharedScope());

// Each test has an origin of its own, and so its own lock.
clientPromises('Firefox', (scope, url) => async () => {
    const page = await firefox.open(url);
    scope.defer(() => page.close());
    return page;
});

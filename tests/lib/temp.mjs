// Folders for what must not lie among the logs: sockets (whose paths may have 107 bytes), data of Redis and NGINX.

import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';

const made = new Set();
process.on('exit', () => made.forEach((folder) => fs.rmSync(folder, { recursive: true, force: true, maxRetries: 3 })));

/** A new folder that goes with the scope, at the latest with this process. */
export function tempFolder(scope, kind) {
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), `sse-${kind}-`));
    fs.chmodSync(folder, 0o755); // NGINX's workers are another user where the tests run as root
    made.add(folder);
    scope.defer(() => {
        fs.rmSync(folder, { recursive: true, force: true });
        made.delete(folder);
    });
    return folder;
}

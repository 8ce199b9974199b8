// `make run`, started for a test at ports of its own.

import fs from 'node:fs';
import path from 'node:path';
import { BUILD, ROOT } from './paths.mjs';
import { freePorts } from './ports.mjs';
import { Process, sanitizerReport } from './process.mjs';

export const RUN = path.join(ROOT, 'deploy/local/run');
export const SANITIZER = ['address', 'thread'].find((name) => BUILD === path.join(ROOT, 'build', name)) ?? '';
export const ENV = { SANITIZER, TERM: 'dumb', ASAN_OPTIONS: 'detect_leaks=1' };

/** Three neighbouring ports for gateways, three for their metrics, one each for NGINX, its HTTPS, Redis and the login; and the options that say so. */
export async function somePorts() {
    const [port, redis, gateway, , , admin, , , login, https] = await freePorts(10);
    return { port, https, redis, gateway, admin, login, args: ['--port', port, '--https-port', https, '--redis-port', redis, '--gateway-port', gateway, '--admin-port', admin].map(String) };
}

export async function startRun(scope, ports, more = []) {
    const folder = path.join(ROOT, 'run', String(ports.port));
    scope.defer(() => keepLogs(scope, folder)); // once it has ended
    const run = new Process(scope, `run-${ports.port}`, RUN, [...ports.args, ...more], { env: ENV });
    await run.ready('greets', () => run.log().includes(`http://127.0.0.1:${ports.port}`) && run.log().includes('sse-publish'), { ms: 120000 });
    return run;
}

/** Puts the logs of its programs among those of the test, and looks into them for what a sanitizer reported. */
function keepLogs(scope, folder) {
    const reports = [];
    for (const name of fs.existsSync(`${folder}/log`) ? fs.readdirSync(`${folder}/log`) : []) {
        const text = fs.readFileSync(path.join(folder, 'log', name), 'utf8');
        fs.writeFileSync(path.join(scope.folder, `${path.basename(folder)}-${name}`), text);
        const report = sanitizerReport(text);
        if (report) reports.push(`${name}: ${report}`);
    }
    fs.rmSync(folder, { recursive: true, force: true });
    if (reports.length > 0) throw new Error(reports.join('\n'));
}


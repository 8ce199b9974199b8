// What deploy/prometheus and deploy/grafana ship, with Debian's Prometheus and real gateways.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { Authority } from '../lib/certificates.mjs';
import { command } from '../lib/command.mjs';
import { Gateway } from '../lib/gateway.mjs';
import { OidcProvider } from '../lib/oidc_provider.mjs';
import { ROOT } from '../lib/paths.mjs';
import { Prometheus } from '../lib/prometheus.mjs';
import { Redis } from '../lib/redis.mjs';
import { scopeOf, sharedScope } from '../lib/scope.mjs';
import { tempFolder } from '../lib/temp.mjs';
import { Issuer } from '../lib/tokens.mjs';
import { until } from '../lib/wait.mjs';

const FOLDER = path.join(ROOT, 'deploy/prometheus');
const read = (file) => fs.readFileSync(path.join(ROOT, file), 'utf8');

// Between them the three have every metric: one ends TLS, one fetches keys, and one can be seen while it drains.
const shared = sharedScope();
const redis = await Redis.start(shared);
const ca = await Authority.create(shared);
const provider = await OidcProvider.start(shared, { ca, issuers: [await Issuer.create(shared, 'ES256', { kid: 'a' })] });
const [stopped, fetches, drains] = await Promise.all([
    Gateway.start(shared, { redis, tls: { ...(await ca.sign('gateway', { days: 60 })), ca: ca.cert } }),
    Gateway.start(shared, { redis, args: ['--jwks', provider.jwks, '--jwks-ca', ca.cert, '--jwt-issuer', provider.url, '--jwt-audience', provider.audience] }),
    Gateway.start(shared, { redis, args: ['--drain-delay', '60s', '--drain-timeout', '90s'] }),
]);
const gateways = [stopped, fetches, drains];
await fetches.metricIs('jwks_fetches_total', 1);
const prometheus = await Prometheus.start(shared, { gateways });

const instance = (gateway) => `${gateway.host}:${gateway.adminPort}`;
const fires = (what) => until(`${what} fires`, async () => (await prometheus.firing()).includes(what));

/** Runs promtool in a folder with what deploy/prometheus ships, each file changed by `change(text, file)`. */
async function promtool(scope, args, change = (text) => text) {
    const folder = tempFolder(scope, 'promtool');
    for (const file of fs.readdirSync(FOLDER)) fs.writeFileSync(path.join(folder, file), change(read(`deploy/prometheus/${file}`), file));
    return command('promtool', args, { cwd: folder });
}

/** What the panels, annotations and variables of the dashboard ask, with values for its variables. */
function dashboardQueries() {
    const dashboard = JSON.parse(read('deploy/grafana/sse-gateway.json'));
    const targets = dashboard.panels.flatMap((panel) => panel.targets ?? []);
    return [...targets, ...dashboard.annotations.list].map(({ expr }) =>
        expr.replaceAll('$job', 'sse-gateway').replaceAll('$instance', '.*').replaceAll('$__rate_interval', '1m'));
}

const alertQueries = () => [...read('deploy/prometheus/alerts.yml').matchAll(/^ +expr: (.*)$/gm)].map(([, expr]) => expr);

test('promtool takes the configuration and the alerts, and none with a misspelt key or function', async (t) => {
    const scope = scopeOf(t);
    const config = ['check', 'config', 'prometheus.yml'];
    const right = await promtool(scope, config);
    assert.equal(right.code, 0, right.out + right.err);
    for (const [from, to] of [['scrape_configs:', 'scrape_config:'], ['job_name:', 'jobname:'], ['annotations:', 'annotation:'], ['increase(sse', 'incraese(sse']]) {
        const wrong = await promtool(scope, config, (text) => text.replace(from, to));
        assert.notEqual(wrong.code, 0, `${to} is noticed`);
    }
});

test('each alert comes when it should and for whom it should, and none in a tier that is well', async (t) => {
    const scope = scopeOf(t);
    const rules = ['test', 'rules', 'alerts_test.yml'];
    const [right, wrong] = await Promise.all([promtool(scope, rules),
        promtool(scope, rules, (text) => text.replace('increase(sse_gateway_gaps_total', 'increase(sse_gateway_gap_total'))]);
    assert.equal(right.code, 0, right.out + right.err);
    assert.notEqual(wrong.code, 0, 'an alert that never comes is noticed');
    const names = [...read('deploy/prometheus/alerts.yml').matchAll(/- alert: (\w+)/g)].map(([, name]) => name);
    assert.ok(names.length >= 15);
    const held = read('deploy/prometheus/alerts_test.yml');
    assert.deepEqual(names.filter((name) => !new RegExp(`alertname(=|: )"?${name}\\b`).test(held)), [], 'alerts that no test holds');
});

test('promtool has nothing to say about the metrics of a gateway', async () => {
    for (const gateway of gateways) {
        const { body } = await gateway.get('/metrics', { port: gateway.adminPort });
        const check = await command('promtool', ['check', 'metrics'], { input: body });
        assert.deepEqual({ code: check.code, said: check.out + check.err }, { code: 0, said: '' });
    }
});

test('Prometheus scrapes three gateways, and no alert fires', async () => {
    await until('three are up', async () => (await prometheus.query('sum(up{job="sse-gateway"})'))[0]?.value[1] === '3');
    await until('each hears all', async () => (await prometheus.query('sse_gateway_tier_gateways == 3')).length === 3);
    await until('each alert was looked at', async () => (await prometheus.health()).every((health) => health === 'ok'));
    await until('no alert fires', async () => (await prometheus.firing()).length === 0);
    // The text format has no units: Prometheus asked for OpenMetrics, and understood it.
    assert.equal((await prometheus.unit('sse_gateway_sent_bytes')), 'bytes');
    assert.equal((await prometheus.unit('sse_gateway_delivery_latency_seconds')), 'seconds');
});

test('the dashboard is JSON with ids of its own for each panel, and no panel lies over another', () => {
    const { panels } = JSON.parse(read('deploy/grafana/sse-gateway.json'));
    assert.equal(new Set(panels.map((p) => p.id)).size, panels.length);
    const taken = new Set();
    for (const { title, gridPos: { x, y, w, h } } of panels) {
        assert.ok(x + w <= 24, title);
        for (let i = x; i < x + w; i++)
            for (let j = y; j < y + h; j++) assert.equal(taken.size === taken.add(`${i} ${j}`).size, false, `${title} lies over another`);
    }
});

test('Prometheus understands each query of the dashboard and the alerts, and gateways have each series that they name', async () => {
    drains.terminate();
    await drains.metricIs('draining', 1);
    const queries = [...dashboardQueries(), ...alertQueries()];
    assert.ok(queries.length > 60);
    for (const query of queries) await prometheus.query(query);
    const series = new Set(queries.flatMap((query) => query.match(/\b(?:sse_gateway_|process_)\w+\{[^}]*\}/g) ?? []));
    for (const name of queries.flatMap((query) => query.match(/\b(?:sse_gateway_|process_)\w+/g) ?? []))
        assert.ok([...series].some((s) => s.startsWith(`${name}{`)), `${name} is asked for with its job`);
    for (const one of series) await until(`there is ${one}`, async () => (await prometheus.query(`count(${one})`)).length === 1, { ms: 5000 });
});

test('an alert fires when a gateway is stopped, for that gateway', async () => {
    stopped.terminate();
    await stopped.process.exit();
    await fires(`SseGatewayDown ${instance(stopped)}`);
    assert.deepEqual((await prometheus.firing()).filter((alert) => /Down/.test(alert)), [`SseGatewayDown ${instance(stopped)}`]);
});

test('an alert fires when Redis is gone, for each gateway that is up', async () => {
    await redis.kill();
    await fires(`SseGatewayNoRedis ${instance(fetches)}`);
    await fires(`SseGatewayNotReady ${instance(fetches)}`);
});

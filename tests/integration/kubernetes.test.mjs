// What deploy/kubernetes ships, rendered by kubectl and held to the types of the API and to a real gateway.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { parse, parseAllDocuments } from 'yaml';
import { command } from '../lib/command.mjs';
import { unknownOptions } from '../lib/environment.mjs';
import { faultsOf, misspelt } from '../lib/kubernetes.mjs';
import { ROOT } from '../lib/paths.mjs';
import { scopeOf } from '../lib/scope.mjs';
import { tempFolder } from '../lib/temp.mjs';
import { startTier } from '../lib/tier.mjs';

const FOLDER = path.join(ROOT, 'deploy/kubernetes');

const kustomize = (folder) => command('kubectl', ['kustomize', folder], { env: { HOME: folder } });

async function render() {
    const run = await kustomize(FOLDER);
    assert.equal(run.code, 0, run.err);
    return parseAllDocuments(run.out).map((document) => document.toJS());
}
const documents = await render();
const of = (kind) => documents.find((d) => d.kind === kind);
const pod = of('Deployment').spec.template.spec;
const container = pod.containers[0];
const seconds = (text) => Number(text.match(/^(\d+)s$/)[1]);
const settings = Object.fromEntries(container.env.map(({ name, value }) => [name, value]));

test('each document keeps to the API of Kubernetes, and any key that is misspelt would be noticed', async (t) => {
    const wrong = documents.flatMap(misspelt);
    assert.ok(wrong.length > 100);
    const other = { ...of('Service'), apiVersion: 'v2' };
    const faults = await faultsOf(scopeOf(t), [...documents, other, ...wrong.map(({ copy }) => copy)]);
    documents.forEach(({ kind }, i) => assert.deepEqual(faults[i], [], kind));
    assert.notDeepEqual(faults[documents.length], [], 'a version that there is not');
    const missed = wrong.filter((_, i) => faults[documents.length + 1 + i].length === 0);
    assert.deepEqual(missed.map(({ at, copy }) => `${copy.kind ?? ''} ${at.join('.')}`), []);
});

test('kubectl takes kustomization.yaml, all files of the folder are in it, and a misspelt key is noticed', async (t) => {
    const kustomization = fs.readFileSync(path.join(FOLDER, 'kustomization.yaml'), 'utf8');
    const files = fs.readdirSync(FOLDER).filter((file) => file !== 'kustomization.yaml');
    assert.deepEqual(parse(kustomization).resources.sort(), files.sort());
    assert.equal(documents.length, files.length);
    assert.match(container.image, /^registry\.example\.com\/sse-gateway:/);
    const folder = tempFolder(scopeOf(t), 'kustomize');
    fs.cpSync(FOLDER, folder, { recursive: true });
    for (const [from, to] of [['resources:', 'resource:'], ['images:', 'imagess:'], ['newTag:', 'newTagg:'], ['- pdb.yaml', '- pbd.yaml']]) {
        fs.writeFileSync(path.join(folder, 'kustomization.yaml'), kustomization.replace(from, to));
        assert.notEqual((await kustomize(folder)).code, 0, to);
    }
});

test('a pod has more time to end than the hook and the drain take', () => {
    const hook = Number(container.lifecycle.preStop.exec.command[1]);
    assert.equal(container.lifecycle.preStop.exec.command[0], 'sleep');
    assert.ok(seconds(settings.SSE_GATEWAY_DRAIN_WINDOW) < seconds(settings.SSE_GATEWAY_DRAIN_TIMEOUT));
    assert.ok(pod.terminationGracePeriodSeconds >= hook + seconds(settings.SSE_GATEWAY_DRAIN_TIMEOUT) + 5);
});

test('selectors, ports and names of the documents fit each other', () => {
    const labels = of('Deployment').spec.template.metadata.labels;
    for (const [kind, selector] of [['Deployment', 'selector.matchLabels'], ['Service', 'selector'], ['PodDisruptionBudget', 'selector.matchLabels'], ['NetworkPolicy', 'podSelector.matchLabels'],
        ['ServiceMonitor', 'selector.matchLabels']])
        assert.deepEqual(selector.split('.').reduce((v, k) => v[k], of(kind).spec), labels, kind);
    assert.deepEqual(of('Service').metadata.labels, labels);
    const ports = container.ports.map(({ name }) => name);
    for (const { name, port, targetPort } of of('Service').spec.ports) {
        assert.ok(ports.includes(targetPort));
        assert.equal(port, container.ports.find((p) => p.name === name).containerPort);
    }
    for (const { port } of of('NetworkPolicy').spec.ingress.flatMap((rule) => rule.ports)) assert.ok(ports.includes(port));
    assert.ok(of('Service').spec.ports.some(({ name }) => name === of('ServiceMonitor').spec.endpoints[0].port));
    assert.equal(of('HorizontalPodAutoscaler').spec.scaleTargetRef.name, of('Deployment').metadata.name);
    const dockerfile = fs.readFileSync(path.join(ROOT, 'deploy/docker/Dockerfile'), 'utf8');
    for (const { containerPort } of container.ports) assert.match(dockerfile, new RegExp(`^EXPOSE .*\\b${containerPort}\\b`, 'm'));
    assert.match(dockerfile, new RegExp(`^USER ${pod.securityContext.runAsUser}:${pod.securityContext.runAsGroup}$`, 'm'));
});

test('a gateway takes the options of the deployment, answers its probes, and has the metrics that it scales by', async (t) => {
    assert.deepEqual(await unknownOptions(settings), []);
    const env = Object.fromEntries(Object.entries(settings).filter(([name, value]) => value && !/_(REDIS|DRAIN_WINDOW)$/.test(name)));
    const { gateway } = await startTier(scopeOf(t), { env, anonymous: [] });
    for (const probe of ['readinessProbe', 'livenessProbe']) {
        const { path: page, port } = container[probe].httpGet;
        assert.equal(port, 'admin');
        assert.equal((await gateway.get(page, { port: gateway.adminPort })).status, 200);
    }
    const { metrics } = of('HorizontalPodAutoscaler').spec;
    assert.ok((await gateway.metrics()).has(metrics[0].pods.metric.name));
    assert.equal(await gateway.metric('capacity'), Number(settings.SSE_GATEWAY_MAX_CONNECTIONS));
    assert.ok(Number(metrics[0].pods.target.averageValue) < await gateway.metric('capacity'));
    assert.equal((await gateway.get(of('ServiceMonitor').spec.endpoints[0].path, { port: gateway.adminPort })).status, 200);
});

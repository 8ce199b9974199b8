// The chart of deploy/helm, rendered by the real helm (tests/get-helm) and held to the types of the API, to deploy/kubernetes
// and to the gateway's options.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { before, test } from 'node:test';
import Ajv from 'ajv';
import { parse, parseAllDocuments, stringify } from 'yaml';
import { command } from '../lib/command.mjs';
import { unknownOptions } from '../lib/environment.mjs';
import { faultsOf, misspelt } from '../lib/kubernetes.mjs';
import { GATEWAY, ROOT } from '../lib/paths.mjs';
import { scopeOf, sharedScope } from '../lib/scope.mjs';
import { tempFolder } from '../lib/temp.mjs';

const HELM = path.join(ROOT, 'build/tools/helm');
const CHART = path.join(ROOT, 'deploy/helm/sse-gateway');
const DEFAULTS = parse(fs.readFileSync(path.join(CHART, 'values.yaml'), 'utf8'));
const skip = process.arch !== 'x64' && 'there is no helm for this machine (tests/get-helm)';

const scope = sharedScope();
const folder = tempFolder(scope, 'helm');
const env = { HOME: folder };
let files = 0;

const helm = (...args) => command(HELM, args, { env, ms: 60000 });

/** Renders the chart with `values` beside its own: what `helm template` did. */
function run(values = {}, release = 'sse-gateway') {
    const file = path.join(folder, `values-${files++}.yaml`);
    fs.writeFileSync(file, stringify(values));
    return helm('template', release, CHART, '--values', file);
}

async function render(values, release) {
    const { code, out, err } = await run(values, release);
    assert.equal(code, 0, err);
    const documents = parseAllDocuments(out).map((document) => {
        assert.deepEqual(document.errors, [], out);
        return document.toJS();
    });
    return { documents, of: (kind) => documents.find((d) => d.kind === kind) };
}

/** What is refused, in one line that `said` is in. */
async function refused(values, said) {
    const { code, err } = await run(values);
    assert.notEqual(code, 0, JSON.stringify(values));
    assert.match(err, said);
}

const settingsOf = (deployment) => Object.fromEntries(deployment.spec.template.spec.containers[0].env.map(({ name, value }) => [name, value]));

// All that can be had, and as little as can be.
const FULL = {
    fullnameOverride: 'streams', image: { tag: '9.9.9' }, imagePullSecrets: [{ name: 'registry' }],
    redis: { urlSecret: { name: 'redis', key: 'address' } },
    options: { anonymous: ['public:*', 'news'], 'jwt-secret-file': '/keys/jwt', rebalance: 'on', 'rebalance-tolerance': 0.2, seccomp: true, 'max-connections': 1000000 },
    drain: { preStop: 10, delay: 5, window: 60, timeout: 90 },
    mounts: [{ path: '/keys', secret: 'keys' }, { path: '/jwks', configMap: 'jwks' }],
    env: [{ name: 'TZ', value: 'UTC' }], envFrom: [{ configMapRef: { name: 'more' } }],
    service: { headless: false, type: 'LoadBalancer', annotations: { a: 'b' } }, serviceAccount: { annotations: { role: 'x' } },
    networkPolicy: { egress: [{ ports: [{ port: 443 }] }] }, serviceMonitor: { enabled: true, interval: '30s', labels: { release: 'prometheus' } },
    podAnnotations: { a: 'b' }, podLabels: { team: 'x' }, priorityClassName: 'high', nodeSelector: { disk: 'fast' },
    tolerations: [{ key: 'k', operator: 'Exists' }], affinity: { nodeAffinity: {} },
};
const LEAST = { autoscaling: { enabled: false }, replicas: 2, serviceAccount: { create: false }, podDisruptionBudget: { enabled: false }, networkPolicy: { enabled: false }, resources: null, options: { 'max-connections': null } };

before(() => skip || assert.ok(fs.existsSync(HELM), 'tests/get-helm puts helm there; tests/run calls it'));

test('helm lint has nothing against the chart, with any of three sets of values', { skip }, async () => {
    for (const values of [{}, FULL, LEAST]) {
        const file = path.join(folder, 'lint.yaml');
        fs.writeFileSync(file, stringify(values));
        const { code, out, err } = await helm('lint', '--strict', CHART, '--values', file);
        assert.equal(code, 0, out + err);
    }
});

test('what is rendered keeps to the API of Kubernetes, and a key that is misspelt there would be noticed', { skip }, async (t) => {
    const sets = await Promise.all([{}, FULL, LEAST].map((values) => render(values)));
    assert.deepEqual(sets.map(({ documents }) => documents.length), [6, 7, 2]);
    const documents = sets.flatMap((set) => set.documents);
    const wrong = misspelt(sets[1].of('ServiceAccount')).concat(misspelt(sets[1].of('ServiceMonitor')));
    const faults = await faultsOf(scopeOf(t), [...documents, ...wrong.map(({ copy }) => copy)]);
    documents.forEach(({ kind }, i) => assert.deepEqual(faults[i], [], kind));
    const missed = wrong.filter(({ at }, i) => faults[documents.length + i].length === 0 && !at.includes('annotations'));
    assert.deepEqual(missed.map(({ at }) => at.join('.')), []);
});

/** Without what a chart has beside the same thing for Kustomize: its labels, and what is a default of Kubernetes. */
function plain(document) {
    const text = JSON.stringify(document, (key, value) => {
        if (['imagePullPolicy', 'serviceAccountName', 'jobLabel', 'app.kubernetes.io/instance', 'app.kubernetes.io/version', 'app.kubernetes.io/managed-by', 'helm.sh/chart'].includes(key)) return undefined;
        if (key === 'env') return [...value].sort((a, b) => (a.name < b.name ? -1 : 1));
        return value;
    });
    const copy = JSON.parse(text);
    if (!['Service', 'Deployment', 'ServiceMonitor'].includes(copy.kind)) delete copy.metadata.labels;
    return copy;
}

test('by default the chart deploys what deploy/kubernetes does', { skip }, async () => {
    const kustomize = await command('kubectl', ['kustomize', path.join(ROOT, 'deploy/kubernetes')], { env });
    assert.equal(kustomize.code, 0, kustomize.err);
    const { documents, of } = await render({ serviceMonitor: { enabled: true } });
    for (const document of parseAllDocuments(kustomize.out).map((d) => d.toJS())) assert.deepEqual(plain(of(document.kind)), plain(document));
    assert.deepEqual(documents.map(({ kind }) => kind).sort(), ['Deployment', 'HorizontalPodAutoscaler', 'NetworkPolicy', 'PodDisruptionBudget', 'Service', 'ServiceAccount', 'ServiceMonitor']);
});

test('each value that is misspelt is refused, at any depth, and each of another type', { skip }, async () => {
    const isValid = new Ajv({ strict: false }).compile(JSON.parse(fs.readFileSync(path.join(CHART, 'values.schema.json'), 'utf8')));
    assert.ok(isValid(DEFAULTS), JSON.stringify(isValid.errors));
    const paths = (value, at = []) => Object.entries(value).flatMap(([key, below]) => [[...at, key],
        ...(below && typeof below === 'object' && !Array.isArray(below) && key !== 'resources' ? paths(below, [...at, key]) : [])]);
    const nested = (at, value) => at.reduceRight((below, key) => ({ [key]: below }), value);
    const all = paths(DEFAULTS);
    assert.ok(all.length > 50);
    for (const at of all) {
        const wrong = nested([...at.slice(0, -1), `${at.at(-1)}x`], at.reduce((value, key) => value[key], DEFAULTS));
        assert.ok(!isValid(wrong), at.join('.'));
        if (!['options', 'resources', 'affinity'].includes(at[0])) assert.ok(!isValid(nested(at, { x: [1] })), `type of ${at.join('.')}`);
    }
    // helm heeds that schema.
    for (const values of [{ replica: 3 }, { drain: { windows: 3 } }, { options: { anonymus: ['a'] } }]) await refused(values, /schema/);
});

test('what does not go together is refused with the reason', { skip }, async () => {
    await refused({ drain: { delay: 10, window: 20, timeout: 30 } }, /drain\.timeout must be longer than drain\.delay and drain\.window together/);
    await refused({ autoscaling: { averageStreams: 10000 } }, /averageStreams must be less than options\.max-connections/);
    await refused({ autoscaling: { minReplicas: 20 } }, /maxReplicas must not be less/);
    await refused({ mounts: [{ path: '/a' }] }, /oneOf|schema/i);
    await refused({ mounts: [{ path: '/a', secret: 'a', configMap: 'b' }] }, /oneOf|schema/i);
    await refused({ redis: { url: 'http://redis' } }, /pattern/);
});

test('a pod has more time to end than the hook and the drain take, whatever these are', { skip }, async () => {
    for (const drain of [{}, { preStop: 0, window: 0, timeout: 1 }, FULL.drain, { window: 600, timeout: 900 }]) {
        const { of } = await render({ drain });
        const { terminationGracePeriodSeconds: grace, containers: [{ lifecycle }] } = of('Deployment').spec.template.spec;
        const settings = settingsOf(of('Deployment'));
        assert.equal(lifecycle === undefined, drain.preStop === 0);
        assert.equal(grace, Number(lifecycle?.preStop.exec.command[1] ?? 0) + parseInt(settings.SSE_GATEWAY_DRAIN_TIMEOUT) + 10);
        assert.equal(settings.SSE_GATEWAY_DRAIN_DELAY, drain.delay ? `${drain.delay}s` : undefined);
    }
});

test('the gateway takes what the chart makes of options, and each option of the gateway can be given', { skip }, async (t) => {
    const secret = path.join(tempFolder(scopeOf(t), 'keys'), 'jwt');
    fs.writeFileSync(secret, 'x'.repeat(32));
    for (const values of [{}, FULL]) {
        const settings = settingsOf((await render(values)).of('Deployment'));
        assert.deepEqual(await unknownOptions(settings), []);
        const given = Object.fromEntries(Object.entries(settings).filter(([name, value]) => value !== undefined && name !== 'TZ'));
        if (given.SSE_GATEWAY_JWT_SECRET_FILE) given.SSE_GATEWAY_JWT_SECRET_FILE = secret;
        const { code, out, err } = await command(GATEWAY, ['--print-config'], { env: given });
        assert.equal(code, 0, err);
        const most = values.options?.['max-connections'] ?? DEFAULTS.options['max-connections'];
        for (const line of ['anonymous = public:*', `max-connections = ${most}`, ...(values.options ? ['anonymous = news', 'rebalance = on', 'rebalance-tolerance = 0.2', 'seccomp = yes'] : ['refusal = status'])])
            assert.ok(out.split('\n').includes(line), `${line} in ${out}`);
    }
    const { propertyNames } = JSON.parse(fs.readFileSync(path.join(CHART, 'values.schema.json'), 'utf8')).properties.options;
    const own = ['config', 'check-config', 'print-config', 'version', 'help', 'healthcheck', 'id', 'redis', 'listen', 'admin-listen', 'listen-mode', 'listen-group', 'drain-delay', 'drain-window', 'drain-timeout'];
    const options = [...(await command(GATEWAY, ['--help'])).out.matchAll(/^ {2}(?:-., )?--([a-z0-9-]+)/gm)].map(([, name]) => name);
    assert.deepEqual([...propertyNames.enum].sort(), options.filter((name) => !own.includes(name)).sort(), 'options of values.schema.json');
});

test('another release has names and selectors of its own, which fit each other', { skip }, async () => {
    const { documents, of } = await render({ serviceMonitor: { enabled: true } }, 'second');
    for (const { metadata } of documents) assert.equal(metadata.name, 'second-sse-gateway');
    const labels = of('Deployment').spec.template.metadata.labels;
    assert.equal(labels['app.kubernetes.io/instance'], 'second');
    for (const selector of [of('Deployment').spec.selector.matchLabels, of('Service').spec.selector, of('PodDisruptionBudget').spec.selector.matchLabels, of('NetworkPolicy').spec.podSelector.matchLabels, of('ServiceMonitor').spec.selector.matchLabels])
        assert.deepEqual(selector, labels);
    assert.equal(of('HorizontalPodAutoscaler').spec.scaleTargetRef.name, of('Deployment').metadata.name);
    assert.equal(of('ServiceMonitor').spec.jobLabel, 'app.kubernetes.io/name');
});

test('keys and passwords come from Secrets, and are in no other document', { skip }, async () => {
    const { of } = await render(FULL);
    const { containers: [container], volumes, securityContext } = of('Deployment').spec.template.spec;
    assert.deepEqual(container.env.find(({ name }) => name === 'SSE_GATEWAY_REDIS').valueFrom, { secretKeyRef: { name: 'redis', key: 'address' } });
    assert.deepEqual(volumes.map(({ secret, configMap }) => secret?.secretName ?? configMap.name), ['keys', 'jwks']);
    assert.deepEqual(container.volumeMounts.map(({ mountPath, readOnly }) => [mountPath, readOnly]), [['/keys', true], ['/jwks', true]]);
    assert.equal(securityContext.fsGroup, securityContext.runAsGroup);
});

test('README.md of the chart has a row for each value', () => {
    const rows = fs.readFileSync(path.join(CHART, 'README.md'), 'utf8').split('\n').filter((line) => line.startsWith('| `'));
    const named = rows.flatMap((row) => [...row.split('|')[1].matchAll(/`([^`]+)`/g)].map(([, name]) => name)).sort();
    const FREE = ['options', 'resources'];
    const leaves = (value, at) => Object.entries(value).flatMap(([key, below]) => {
        const name = at ? `${at}.${key}` : key;
        return below && typeof below === 'object' && !Array.isArray(below) && Object.keys(below).length > 0 && !FREE.includes(name) ? leaves(below, name) : [name];
    });
    assert.deepEqual(named, leaves(DEFAULTS).sort());
});

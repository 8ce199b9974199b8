// Each file of deploy/ is held by a test that would notice a misspelt word of it.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { command } from '../lib/command.mjs';
import { partFaults, partsOf } from '../lib/grafana.mjs';
import { filesOf, NginxSite } from '../lib/nginx_site.mjs';
import { ROOT } from '../lib/paths.mjs';
import { scopeOf } from '../lib/scope.mjs';
import { tempFolder } from '../lib/temp.mjs';
import { misspellings } from '../lib/types.mjs';

const FOLDER = path.join(ROOT, 'deploy');
const read = (file) => fs.readFileSync(path.join(FOLDER, file), 'utf8');
const THIS = 'integration/deploy_files';

// What holds which files: tests that run them, or a program that reads them, which refuses words that it does not know.
const HELD = [
    [/^caddy\//, [THIS, 'e2e/front_caddy']],
    [/^client\//, ['integration/client_files']],
    [/^dashboard\//, ['integration/dashboard']],
    [/^demo\/index\.html$/, ['e2e/front_nginx']],
    [/^demo\/login\.py$/, ['e2e/make_run_auth']],
    [/^demo\/tokens\.html$/, ['e2e/make_run_tokens']],
    [/^docker\//, ['integration/containers']],
    [/^grafana\//, [THIS, 'integration/monitoring']],
    [/^haproxy\//, [THIS, 'e2e/front_haproxy', 'e2e/front_tcp']],
    [/^helm\//, ['integration/helm']],
    [/^keepalived\//, [THIS, 'e2e/front_keepalived']],
    [/^kubernetes\//, ['integration/kubernetes']],
    [/^local\//, ['e2e/make_run']],
    [/^nginx\/sse-gateway/, ['e2e/front_nginx', 'integration/sessions']],
    [/^nginx\//, [THIS, 'integration/nginx_sites']],
    [/^package\//, ['e2e/package']],
    [/^prometheus\//, ['integration/monitoring']],
    [/^sysctl\//, ['integration/host']],
    [/^systemd\//, ['integration/sandbox', 'integration/socket_activation']],
];

test('each file of deploy/ is held by tests that are there', () => {
    const files = fs.readdirSync(FOLDER, { recursive: true }).filter((file) => fs.statSync(path.join(FOLDER, file)).isFile());
    assert.deepEqual(files.filter((file) => !HELD.some(([pattern]) => pattern.test(file))), [], 'held by no test');
    const tests = new Set(HELD.filter(([pattern]) => files.some((file) => pattern.test(file))).flatMap(([, names]) => names));
    assert.deepEqual([...tests].filter((name) => !fs.existsSync(path.join(ROOT, 'tests', `${name}.test.mjs`))), []);
});

/** The first line of each word at the begin of lines, as { word, text } where `text` is the file with that word misspelt. */
function misspelt(text, pattern = /^(\s*)([a-z][a-z_-]+)\b/) {
    const lines = text.split('\n');
    const found = new Map();
    lines.forEach((line, i) => {
        const [, space, word] = line.match(pattern) ?? [];
        if (word && !found.has(word)) found.set(word, lines.with(i, `${space}${word}x${line.slice(space.length + word.length)}`).join('\n'));
    });
    return [...found].map(([word, wrong]) => ({ word, text: wrong }));
}

async function eachIsNoticed(list, check) {
    const missed = [];
    for (let i = 0; i < list.length; i += 4) {
        await Promise.all(list.slice(i, i + 4).map(async ({ word, text }) => {
            const { out = '', err } = await check(text, word);
            if (!`${out}${err}`.includes(`${word}x`)) missed.push(word);
        }));
    }
    assert.deepEqual(missed, []);
}

const READERS = {
    'haproxy/haproxy.cfg': ['haproxy', '-c', '-f'],
    'haproxy/haproxy-tcp.cfg': ['haproxy', '-c', '-f'],
    'caddy/Caddyfile': ['caddy', 'adapt', '--adapter', 'caddyfile', '--config'],
    'keepalived/keepalived.conf': ['keepalived', '--config-test', '--use-file'],
};

for (const [file, [program, ...args]] of Object.entries(READERS)) {
    test(`${program} notices each word of ${file} that is misspelt`, async (t) => {
        const folder = tempFolder(scopeOf(t), 'misspelt');
        const list = misspelt(read(file));
        assert.ok(list.length >= 15);
        await eachIsNoticed(list, async (text, word) => {
            const name = path.join(folder, word);
            fs.writeFileSync(name, text);
            return command(program, [...args, name], { env: { HOME: folder, XDG_DATA_HOME: folder, XDG_CONFIG_HOME: folder } });
        });
    });
}

test('NGINX notices each word of a site and its snippets that is misspelt', async (t) => {
    const scope = scopeOf(t);
    const site = 'sse-rate-limit.conf';
    const gateways = [{ host: '127.0.0.1', port: 9 }];
    assert.equal((await (await NginxSite.prepare(scope, site, { gateways })).check()).code, 0);
    for (const file of filesOf(site)) {
        const words = misspelt(fs.readFileSync(path.join(FOLDER, 'nginx', file), 'utf8'), /^(\s*)(?!default )([a-z][a-z_]+)\b(?=[^:]*[;{]\s*(#.*)?$)/);
        assert.ok(words.length >= 2, file);
        await eachIsNoticed(words, async (_, word) => {
            const change = (text, name) => (name === file ? text.replace(new RegExp(`^(\\s*)${word}\\b`, 'm'), `$1${word}x`) : text);
            return (await NginxSite.prepare(scope, site, { gateways, change })).check();
        });
    }
});

test('the dashboard has the keys and words that Grafana knows, and one that is misspelt would be noticed', async (t) => {
    const dashboard = JSON.parse(read('grafana/sse-gateway.json'));
    const { panels, ...rest } = dashboard;
    const kinds = [...new Set(panels.map(({ type }) => type))].map((type) => panels.find((panel) => panel.type === type));
    const wrong = partsOf({ ...rest, panels: kinds }).flatMap(([type, value]) => misspellings(value).map(({ at, copy }) => ({ at, part: [type, copy] })));
    assert.ok(wrong.length > 60);
    const parts = partsOf(dashboard);
    const faults = await partFaults(scopeOf(t), [...parts, ...wrong.map(({ part }) => part)]);
    assert.deepEqual(faults.slice(0, parts.length).flat(), []);
    assert.deepEqual(wrong.filter((_, i) => faults[parts.length + i].length === 0).map(({ at }) => at.join('.')), []);
});

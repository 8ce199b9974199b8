// The Debian package: built, and installed, upgraded and purged in a tree of its own, which stands for a host.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { before, test } from 'node:test';
import { command } from '../lib/command.mjs';
import { ROOT } from '../lib/paths.mjs';
import { sharedScope } from '../lib/scope.mjs';
import { tempFolder } from '../lib/temp.mjs';

const scope = sharedScope();
const folder = tempFolder(scope, 'package');
const tree = path.join(folder, 'tree');
const CONF = 'etc/sse-gateway/sse-gateway.conf';
const PROGRAMS = ['sse-gateway', 'sse-publish'];
const COMPLETIONS = {
    bash: (program) => `usr/share/bash-completion/completions/${program}`,
    zsh: (program) => `usr/share/zsh/vendor-completions/_${program}`,
    fish: (program) => `usr/share/fish/vendor_completions.d/${program}.fish`,
};
let version;
let packages; // the one that `make deb` builds, and the same with another version and another file of options

async function run(program, args, options = {}) {
    const { code, out, err } = await command(program, args, { ms: 280000, ...options });
    assert.equal(code, 0, `${program} ${args.join(' ')}: ${out}${err}`);
    return out;
}

const inTree = (file) => path.join(tree, file);
const read = (file) => fs.readFileSync(inTree(file), 'utf8');

// Maintainer scripts run outside of the tree and get it as DPKG_ROOT; the host's own packages are what it depends on.
async function dpkg(...args) {
    const words = ['dpkg', `--root=${tree}`, `--log=${path.join(scope.folder, 'dpkg.log')}`, '--force-script-chrootless', '--force-depends', '--force-confdef', ...args];
    return process.getuid() === 0 ? run(words[0], words.slice(1)) : run('unshare', ['--map-root-user', ...words]);
}

/** Files and links of the tree, without dpkg's own. */
function files() {
    const all = fs.readdirSync(tree, { recursive: true }).map(String);
    return all.filter((file) => !file.startsWith('var/lib/dpkg') && !fs.lstatSync(inTree(file)).isDirectory()).sort();
}

async function withNextVersion(deb) {
    const unpacked = path.join(folder, 'next');
    await run('dpkg-deb', ['--raw-extract', deb, unpacked]);
    const control = path.join(unpacked, 'DEBIAN/control');
    fs.writeFileSync(control, fs.readFileSync(control, 'utf8').replace(/^Version: .*/m, '$&+next'));
    fs.appendFileSync(path.join(unpacked, CONF), '\n# The next version says more.\n');
    const next = path.join(folder, 'next.deb');
    await run('dpkg-deb', ['--root-owner-group', '--build', unpacked, next]);
    return next;
}

before(async () => {
    // What make hands to its children is not for this one: it builds as from a shell.
    const env = { MAKEFLAGS: '', MAKELEVEL: '', SANITIZER: '' };
    version = (await run('make', ['-s', '-C', ROOT, 'version'], { env })).trim();
    const built = await run('flock', [path.join(ROOT, 'debian/control'), 'make', '-C', ROOT, 'BUILD=build', 'deb'], { env });
    fs.writeFileSync(path.join(scope.folder, 'make-deb.log'), built);
    const deb = fs.readdirSync(path.join(ROOT, 'build/deb')).find((file) => new RegExp(`^sse-gateway_${version}_.*deb$`).test(file));
    assert.ok(deb, built);
    packages = [path.join(ROOT, 'build/deb', deb)];
    packages.push(await withNextVersion(packages[0]));
    for (const part of ['info', 'updates', 'triggers']) fs.mkdirSync(inTree(`var/lib/dpkg/${part}`), { recursive: true });
    fs.writeFileSync(inTree('var/lib/dpkg/status'), '');
    await dpkg('--install', packages[0]);
});

test('lintian has no word against the package', async () => {
    assert.equal(await run('lintian', ['--allow-root', '--fail-on', 'warning', packages[0]]), '');
});

test('the package has the programs, and all that belongs to them, in its place', async () => {
    const unit = files().find((file) => file.endsWith('lib/systemd/system/sse-gateway.service'));
    const wanted = [CONF, unit, unit.replace(/service$/, 'socket'), 'usr/share/doc/sse-gateway/README.Debian', 'usr/share/doc/sse-gateway/examples/sysctl/90-sse-gateway.conf'];
    for (const part of ['sse-client.js', 'sse-client.d.ts', 'README.md']) wanted.push(`usr/share/sse-gateway/client/${part}`);
    for (const front of ['nginx/sse-gateway.conf', 'haproxy/haproxy.cfg', 'caddy/Caddyfile', 'prometheus/alerts.yml', 'grafana/sse-gateway.json']) wanted.push(`usr/share/doc/sse-gateway/examples/${front}`);
    for (const text of ['README.md', 'SECURITY.md', 'docs/deploying.md', 'docs/asyncapi.yaml', 'docs/images/dashboard-light.png']) wanted.push(`usr/share/doc/sse-gateway/${text}`);
    for (const program of PROGRAMS) wanted.push(`usr/bin/${program}`, `usr/share/man/man1/${program}.1.gz`, ...Object.values(COMPLETIONS).map((file) => file(program)));
    assert.deepEqual(wanted.filter((file) => !files().includes(file)), []);
    assert.match(read(unit), /^ExecStart=\/usr\/bin\/sse-gateway --config \/etc\/sse-gateway\/sse-gateway\.conf /m);
    assert.deepEqual(files().filter((file) => file.includes('.wants/')), [], 'it is not enabled');
    const depends = await run('dpkg-deb', ['--field', packages[0], 'Depends']);
    assert.match(depends, /\blibhiredis/);
});

test('what the documents of the package link to is in the package, but for what belongs to the source', () => {
    const source = /^(tests|common|gateway|deploy\/(docker|kubernetes|helm|local|demo|systemd))\/|^(CONTRIBUTING|CHANGELOG)\.md$|^LICENSE$/;
    const docs = 'usr/share/doc/sse-gateway';
    const pages = files().filter((file) => file.startsWith(docs) && /^(docs\/)?[^/]+\.md$/.test(path.relative(docs, file)));
    assert.ok(pages.length > 15, `${pages}`);
    for (const page of pages) {
        const targets = [...read(page).matchAll(/\]\((?!https?:)([^)#\s]+)/g)].map(([, target]) => path.relative(docs, path.join(path.dirname(page), target)));
        assert.deepEqual(targets.filter((target) => !source.test(target) && !fs.existsSync(inTree(path.join(docs, target)))), [], page);
    }
});

test('programs and manuals say the version of the Makefile', async () => {
    for (const program of PROGRAMS) {
        assert.equal(await run(inTree(`usr/bin/${program}`), ['--version']), `${program} ${version}\n`);
        assert.match(await run('zcat', [inTree(`usr/share/man/man1/${program}.1.gz`)]), new RegExp(`^\\.Os sse-gateway ${version}$`, 'm'));
    }
});

test('a gateway does not start with the file of options as it is; it does when one channel is open, with all defaults written out', async () => {
    const gateway = inTree('usr/bin/sse-gateway');
    const asIs = await command(gateway, ['--check-config', '--config', inTree(CONF)]);
    assert.notEqual(asIs.code, 0);
    assert.match(asIs.err, /nobody could subscribe/);
    const edited = path.join(folder, 'edited.conf');
    const keys = (await run(gateway, ['--anonymous', 'a', '--print-config'])).matchAll(/^(?:# (?=.* is not set$))?([a-z][a-z0-9-]+)(?= =| is not set)/gm);
    assert.deepEqual([...keys].map(([, key]) => key).filter((key) => !new RegExp(`^#${key} = `, 'm').test(read(CONF))), []);
    // A value in capitals is the kind of value.
    const written = read(CONF).replace(/^#([a-z0-9-]+ = .*)$/gm, (line, option) => (/= [A-Z:]+$/.test(option) ? line : option));
    assert.match(written, /^redis = redis:\/\/127\.0\.0\.1:6379$/m);
    fs.writeFileSync(edited, `${written}\nanonymous = public:*\n`);
    await run(gateway, ['--check-config', '--config', edited]);
});

test('each option of --help is completed by bash, zsh and fish', async () => {
    for (const program of PROGRAMS) {
        const options = [...(await run(inTree(`usr/bin/${program}`), ['--help'])).matchAll(/^ {2}(?:-., )?--([a-z0-9-]+)/gm)].map(([, name]) => name).sort();
        assert.ok(options.length > 20);
        const file = Object.fromEntries(Object.entries(COMPLETIONS).map(([shell, name]) => [shell, inTree(name(program))]));
        const bash = await run('bash', ['-c', `source "$0"; COMP_WORDS=("$1" --) COMP_CWORD=1; _${program.replace('-', '_')}; printf '%s\\n' "\${COMPREPLY[@]}"`, file.bash, program]);
        assert.deepEqual(bash.match(/(?<=^--).+/gm).sort(), options);
        const fish = await run('fish', ['--no-config', '-c', 'source $argv[1]; complete -C "$argv[2] --"', file.fish, program]);
        assert.deepEqual(fish.match(/(?<=^--)[a-z0-9-]+/gm).sort(), options);
        // Its functions complete in a terminal only: here they are one that prints what it is given.
        const zsh = await run('zsh', ['-f', '-c', '_arguments() { print -rl -- "$@" }; source "$0"', file.zsh]);
        assert.deepEqual(zsh.match(/(?<=^\*?--)[a-z0-9-]+/gm).sort(), options);
    }
});

test('each command of --help is completed by bash, zsh and fish', async () => {
    const [bash, zsh, fish] = ['bash', 'zsh', 'fish'].map((shell) => inTree(COMPLETIONS[shell]('sse-publish')));
    const commands = (await run(inTree('usr/bin/sse-publish'), ['--help'])).match(/(?<=^ {2})[a-z]+(?= |$)/gm);
    assert.deepEqual(commands, ['doctor', 'gateways', 'history', 'subscribe']);
    for (const word of commands) {
        const begun = word.slice(0, 3);
        assert.equal(await run('bash', ['-c', 'source "$0"; COMP_WORDS=(sse-publish "$1") COMP_CWORD=1; _sse_publish; printf "%s\\n" "${COMPREPLY[@]}"', bash, begun]), `${word}\n`);
        assert.match(await run('fish', ['--no-config', '-c', 'source $argv[1]; complete -C "sse-publish $argv[2]"', fish, begun]), new RegExp(`^${word}\\t.+\n$`));
    }
    assert.match(await run('zsh', ['-f', '-c', '_arguments() { print -rl -- "$@" }; source "$0"', zsh]), new RegExp(`^1: :\\(${commands.join(' ')}\\)$`, 'm'));
});

test('values and files are completed by bash, with and without the sign of equality', async () => {
    const file = inTree(COMPLETIONS.bash('sse-gateway'));
    const complete = async (words) => (await run('bash', ['-c', 'source "$0"; COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)); _sse_gateway; echo "${COMPREPLY[@]}"', file, 'sse-gateway', ...words])).trim();
    assert.equal(await complete(['--pubsub', '']), 'auto classic sharded');
    assert.equal(await complete(['--pubsub', '=']), 'auto classic sharded');
    assert.equal(await complete(['--pubsub', '=', 'sh']), 'sharded');
    assert.equal(await complete(['--config', inTree('etc/sse-gateway/sse')]), inTree(CONF));
    assert.equal(await complete(['--heartbeat', '']), '');
});

test('an upgrade keeps an edited file of options and an enabled service, and a purge leaves nothing', async () => {
    const edited = read(CONF).replace('#anonymous = PATTERN', 'anonymous = public:*');
    assert.notEqual(edited, read(CONF));
    fs.writeFileSync(inTree(CONF), edited);
    await run('systemctl', [`--root=${tree}`, 'enable', 'sse-gateway.service', 'sse-gateway.socket']);
    await dpkg('--install', packages[1]);
    assert.equal(read(CONF), edited);
    assert.match(read(`${CONF}.dpkg-dist`), /The next version says more/);
    for (const unit of ['service', 'socket']) assert.ok(files().some((file) => file.endsWith(`.wants/sse-gateway.${unit}`)), `the ${unit} is still enabled`);
    await dpkg('--purge', 'sse-gateway');
    assert.deepEqual(files(), []);
    assert.ok(!fs.existsSync(inTree('etc/sse-gateway')));
});

test('an upgrade replaces a file of options that nobody edited', async () => {
    await dpkg('--install', packages[0]);
    await dpkg('--install', packages[1]);
    assert.match(read(CONF), /The next version says more/);
    await dpkg('--purge', 'sse-gateway');
});

// The examples of docs/examples, installed and built below build/examples: their own lock files say which versions.
// Where a registry cannot be reached the test is skipped, with what the package manager said; any other failure is one.

import fs from 'node:fs';
import path from 'node:path';
import { command } from './command.mjs';
import { ROOT } from './paths.mjs';

const EXAMPLES = path.join(ROOT, 'docs/examples');
const OUT = path.join(ROOT, 'build/examples');
const FETCH_MS = 200000;
const UNREACHABLE = new RegExp(['resolve host', 'no such host', 'name resolution', 'unknown host', 'no route to host', 'network is unreachable',
    'connection refused', 'connect to server', 'new connection', 'timed out', 'took more than', 'no plugin found for prefix'].join('|'), 'i');

class Unreachable extends Error {}

/** Runs what installs or builds an example, in its folder. */
async function step(folder, program, args, env) {
    const made = await command(program, args, { cwd: folder, env, ms: FETCH_MS }).catch((error) => ({ code: -1, out: '', err: error.message }));
    if (made.code === 0) return made.out;
    const said = `${made.err}${made.out}`;
    const line = said.split('\n').find((text) => UNREACHABLE.test(text));
    if (line) throw new Unreachable(`${program} reaches no registry: ${line.trim().slice(0, 200)}`);
    throw new Error(`${program} ${args.join(' ')} in ${path.relative(ROOT, folder)}:\n${said}`);
}

/** Runs `install(folder)` unless `out` has been made from this lock file already, perhaps meanwhile, by another test. */
async function once(lock, out, install) {
    const wanted = fs.readFileSync(lock, 'utf8');
    const isMade = () => fs.existsSync(path.join(out, '.installed-from')) && fs.readFileSync(path.join(out, '.installed-from'), 'utf8') === wanted;
    if (isMade()) return;
    const made = `${out}.${process.pid}`;
    try {
        await install(made);
        fs.mkdirSync(made, { recursive: true });
        fs.writeFileSync(path.join(made, '.installed-from'), wanted);
        if (isMade()) return;
        fs.rmSync(out, { recursive: true, force: true });
        fs.renameSync(made, out);
    } finally {
        fs.rmSync(made, { recursive: true, force: true });
    }
}

/** Each: (folder of the example, folder of its own below build/examples) -> { program, args, env, folder } of what runs `file`. */
const LANGUAGES = {
    async python(folder, out, file) {
        const lock = path.join(folder, 'requirements.txt');
        const pip = ['-m', 'pip', 'install', '--quiet', '--retries', '1', '--disable-pip-version-check', '--no-compile', '-r', lock, '--target'];
        await once(lock, out, (made) => step(folder, 'python3', [...pip, made]));
        return { program: 'python3', args: [path.join(folder, file)], folder, env: { PYTHONPATH: out, PYTHONPYCACHEPREFIX: path.join(out, 'pycache') } };
    },
    /** Runs a copy, beside which Node.js finds the packages of the tests. */
    async node(folder, out, file) {
        const read = (name) => JSON.parse(fs.readFileSync(name, 'utf8')).dependencies;
        const tested = read(path.join(ROOT, 'tests/package.json'));
        for (const [name, version] of Object.entries(read(path.join(folder, 'package.json')))) {
            if (tested[name] !== version) throw new Error(`${folder}/package.json: ${name} ${version}, and the tests have ${tested[name]}`);
        }
        fs.rmSync(out, { recursive: true, force: true });
        fs.cpSync(folder, out, { recursive: true });
        fs.symlinkSync(path.join(ROOT, 'tests/node_modules'), path.join(out, 'node_modules'));
        return { program: process.execPath, args: [path.join(out, file)] };
    },
    async go(folder, out) {
        fs.mkdirSync(path.dirname(out), { recursive: true });
        await step(folder, 'go', ['build', '-mod=readonly', '-o', out, '.']);
        return { program: out, args: [] };
    },
    async java(folder, out, file) {
        const mvn = ['-q', '-B', 'dependency:copy-dependencies'];
        await once(path.join(folder, 'pom.xml'), out, (made) => step(folder, 'mvn', [...mvn, `-DoutputDirectory=${made}`]));
        await step(folder, 'javac', ['-encoding', 'UTF-8', '-Xlint:all', '-Werror', '-cp', path.join(out, '*'), '-d', out, file]);
        return { program: 'java', args: ['-cp', `${out}:${out}/*`, file.replace('.java', '')] };
    },
    async php(folder, out, file) {
        return { program: 'php', args: [path.join(folder, file)] };
    },
    async ruby(folder, out, file) {
        return { program: 'ruby', args: [path.join(folder, file)] };
    },
    async rust(folder, out) {
        const [, minor] = (await step(folder, 'cargo', ['--version'])).match(/^cargo 1\.(\d+)/);
        // Before 1.68 cargo fetches the whole index of crates.io, for minutes, unless told otherwise.
        const sparse = minor < 68 ? { RUSTC_BOOTSTRAP: '1', CARGO_UNSTABLE_SPARSE_REGISTRY: 'true' } : {};
        await step(folder, 'cargo', ['build', '--quiet', '--locked'], { CARGO_TARGET_DIR: out, CARGO_NET_RETRY: '1', ...sparse });
        return { program: path.join(out, 'debug/publish'), args: [] };
    },
};

/**
 * Begins to install and build the example in docs/examples/FOLDER. Returns a function for its test `t`: it resolves to
 * { program, args, env }, or to undefined where it has skipped the test.
 */
export function prepare(folder, language, file) {
    const made = LANGUAGES[language](path.join(EXAMPLES, folder), path.join(OUT, `${folder}-${language}`), file);
    made.catch(() => {}); // the test that asks for it hears of it
    return async (t) => {
        try {
            return await made;
        } catch (error) {
            if (!(error instanceof Unreachable)) throw error;
            t.skip(error.message);
        }
    };
}

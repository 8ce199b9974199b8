// Debian's Firefox, driven by WebDriver BiDi (https://w3c.github.io/webdriver-bidi/): playwright-core speaks to patched
// Firefoxes only. Just what a test of event streams needs.

import fs from 'node:fs';
import path from 'node:path';
import { WebSocket } from 'undici';
import { Process } from './process.mjs';
import { tempFolder } from './temp.mjs';
import { until, within } from './wait.mjs';

const PLACES = [process.env.FIREFOX, '/usr/bin/firefox-esr', '/usr/bin/firefox'];
const ANSWER_MS = 60000; // a first start on a busy machine takes long

// A browser that asks nobody outside for anything.
const PREFS = {
    'app.normandy.enabled': false,
    'app.update.enabled': false,
    'browser.safebrowsing.malware.enabled': false,
    'browser.safebrowsing.phishing.enabled': false,
    'browser.shell.checkDefaultBrowser': false,
    'datareporting.policy.dataSubmissionEnabled': false,
    'extensions.update.enabled': false,
    'network.captive-portal-service.enabled': false,
    'network.connectivity-service.enabled': false,
    'services.settings.server': 'data:,',
    'toolkit.telemetry.enabled': false,
};

class Session {
    #next = 1;
    #waiting = new Map();

    constructor(socket) {
        this.socket = socket;
        socket.addEventListener('message', ({ data }) => this.#take(JSON.parse(data)));
        socket.addEventListener('close', () => this.#end());
    }

    send(method, params = {}) {
        const id = this.#next++;
        const answer = new Promise((resolve, reject) => this.#waiting.set(id, { resolve, reject }));
        this.socket.send(JSON.stringify({ id, method, params }));
        return within(ANSWER_MS, `Firefox to answer to ${method}`, answer);
    }

    #take({ id, type, result, error, message }) {
        const waiting = this.#waiting.get(id);
        this.#waiting.delete(id);
        if (type === 'error') waiting?.reject(new Error(`Firefox: ${error}: ${message}`));
        else waiting?.resolve(result);
    }

    #end() {
        for (const { reject } of this.#waiting.values()) reject(new Error('Firefox has closed the connection'));
    }
}

/** With the face of a page of playwright, as far as tests need it. */
class Page {
    constructor(session, context) {
        Object.assign(this, { session, context });
    }

    async goto(url) {
        await this.session.send('browsingContext.navigate', { context: this.context, url, wait: 'complete' });
    }

    /** The value of `body(argument)` in the page, by way of JSON. */
    async evaluate(body, argument) {
        const call = `async (text) => JSON.stringify(await (${body})(JSON.parse(text)))`;
        const { type, result, exceptionDetails } = await this.session.send('script.callFunction', {
            functionDeclaration: call, arguments: [{ type: 'string', value: JSON.stringify(argument ?? null) }],
            target: { context: this.context }, awaitPromise: true,
        });
        if (type !== 'success') throw new Error(`in the page: ${exceptionDetails.text}`);
        return result.type === 'string' ? JSON.parse(result.value) : undefined;
    }

    waitForFunction(fact) {
        return until(`${fact} in the page`, () => this.evaluate(fact));
    }

    async close() {
        if (this.closed) return;
        this.closed = true;
        await this.session.send('browsingContext.close', { context: this.context });
    }
}

/** A Firefox with a new profile, closed with the scope. `open(url)`: a tab at `url`; `process`: the one that has its network. */
export async function startFirefox(scope) {
    const program = PLACES.find((place) => place && fs.existsSync(place));
    if (!program) throw new Error('no Firefox: install the package firefox-esr, or set FIREFOX to its path');
    const profile = tempFolder(scope, 'firefox');
    const prefs = Object.entries(PREFS).map(([name, value]) => `user_pref(${JSON.stringify(name)}, ${JSON.stringify(value)});\n`);
    fs.writeFileSync(path.join(profile, 'user.js'), prefs.join(''));
    const firefox = new Process(scope, 'firefox', program, ['--headless', '--no-remote', '--profile', profile, '--remote-debugging-port', '0'],
        { env: { HOME: profile, MOZ_CRASHREPORTER_DISABLE: '1' } });
    const [, address] = await firefox.ready('listens', () => firefox.log().match(/WebDriver BiDi listening on (\S+)/), { ms: ANSWER_MS });
    const session = await connect(`${address}/session`);
    scope.defer(() => session.socket.close());
    await session.send('session.new', { capabilities: { alwaysMatch: { acceptInsecureCerts: true } } });
    return {
        process: firefox,
        async open(url) {
            const { context } = await session.send('browsingContext.create', { type: 'tab' });
            const page = new Page(session, context);
            await page.goto(url);
            return page;
        },
    };
}

/** A page at `url` in a Firefox of its own. */
export async function openFirefoxPage(scope, url) {
    return (await startFirefox(scope)).open(url);
}

async function connect(address) {
    const socket = new WebSocket(address);
    await within(ANSWER_MS, `a connection to ${address}`, new Promise((resolve, reject) => {
        socket.addEventListener('open', resolve);
        socket.addEventListener('error', ({ error }) => reject(error));
    }));
    return new Session(socket);
}

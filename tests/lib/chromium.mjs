// Debian's Chromium, driven by playwright-core: the browser that people have.

import fs from 'node:fs';
import { chromium } from 'playwright-core';

const PLACES = [process.env.CHROMIUM, '/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];
const FLAGS = ['--no-sandbox', '--disable-gpu', '--disable-background-networking', '--disable-component-update', '--disable-sync', '--no-first-run',
    '--disable-dev-shm-usage'];

/** A browser with a new profile, closed with the scope. `options`: of chromium.launch. */
export async function startChromium(scope, options) {
    const executablePath = PLACES.find((place) => place && fs.existsSync(place));
    if (!executablePath) throw new Error('no Chromium: install the package chromium, or set CHROMIUM to its path');
    const browser = await chromium.launch({ executablePath, args: FLAGS, headless: true, timeout: 60000, ...options });
    scope.defer(() => browser.close());
    return browser;
}

/** A page at `url`, in a context of its own (`options`: of the context); what its console says becomes a file in the scope's log folder. */
export async function openPage(scope, browser, url, options) {
    const context = await browser.newContext(options);
    const page = await context.newPage();
    const log = `${scope.folder}/page.log`;
    page.on('console', (message) => fs.appendFileSync(log, `${message.type()}: ${message.text()}\n`));
    page.on('pageerror', (error) => fs.appendFileSync(log, `error: ${error.message}\n`));
    scope.defer(() => context.close());
    await page.goto(url);
    return page;
}

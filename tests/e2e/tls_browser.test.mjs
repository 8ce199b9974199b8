// Browsers' EventSource by TLS, straight to a gateway: their TLS is not OpenSSL's.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startChromium } from '../lib/chromium.mjs';
import { openFirefoxPage } from '../lib/firefox.mjs';
import { scopeOf, sharedScope } from '../lib/scope.mjs';
import { startTls } from '../lib/tls.mjs';
import { until } from '../lib/wait.mjs';

const shared = sharedScope();
const browser = await startChromium(shared);

async function openInsecure(scope, url) {
    const context = await browser.newContext({ ignoreHTTPSErrors: true });
    scope.defer(() => context.close());
    const page = await context.newPage();
    await page.goto(url);
    return page;
}

// Chromium may resume no session whose certificate it was told to overlook.
for (const [name, open, resumes] of [['Chromium', openInsecure, false], ['Firefox', openFirefoxPage, true]]) {
    test(`${name} gets small and large events by TLS${resumes ? ', and its later connections resume the session' : ''}`, async (t) => {
        const scope = scopeOf(t);
        const { redis, gateway } = await startTls(scope);
        const page = await open(scope, `https://127.0.0.1:${gateway.port}/health/live`);
        await page.evaluate(() => {
            window.got = [];
            window.source = new EventSource('/stream?channel=a');
            window.source.onmessage = (e) => window.got.push(e.data);
        });
        await until('EventSource to be open', () => page.evaluate(() => window.source.readyState === 1));
        const texts = ['small', 'x'.repeat(700_000), ...Array.from({ length: 200 }, (_, i) => `event ${i}`)];
        await redis.publishAll(texts.map((text) => ['a', text]));
        await until('all events', () => page.evaluate((n) => window.got.length === n, texts.length));
        assert.ok(await page.evaluate((all) => window.got.every((text, i) => text === all[i]), texts));
        // More streams at once than connections that are there.
        await page.evaluate(() => (window.more = [1, 2, 3].map((i) => new EventSource(`/stream?channel=${i}`))).length);
        await until('the others to be open', () => page.evaluate(() => window.more.every((s) => s.readyState === 1)));
        if (resumes) assert.ok((await gateway.metric('tls_handshakes_total', { kind: 'resumed' })) > 0);
    });
}

// docs/examples/position: pages that are rendered from data, and go on with a stream.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { command } from '../lib/command.mjs';
import { connect, FORMS } from '../lib/durable.mjs';
import { prepare } from '../lib/examples.mjs';
import { Redis } from '../lib/redis.mjs';
import { relayTo } from '../lib/relay.mjs';
import { scopeOf, sharedScope } from '../lib/scope.mjs';
import { openStream } from '../lib/streams.mjs';
import { startTier } from '../lib/tier.mjs';
import { until } from '../lib/wait.mjs';

const PAGES = {
    python: prepare('position/python', 'python', 'page.py'),
    node: prepare('position/node', 'node', 'page.mjs'),
    go: prepare('position/go', 'go'),
};

const shared = sharedScope();
const { redis, gateway } = await startTier(shared);
const bare = await Redis.start(shared); // no gateway has loaded the function

const run = ({ program, args, env }, url, user) => command(program, [...args, user], { env: { ...env, REDIS_URL: url, LC_ALL: 'C.UTF-8' }, ms: 60000 });

for (const [language, prepared] of Object.entries(PAGES)) {
    test(`${language}: nothing is lost of what comes between position and data, and between data and stream`, async (t) => {
        const example = await prepared(t);
        if (!example) return;
        const scope = scopeOf(t);
        const client = connect(scope, redis);
        const order = async (number) => {
            await client.rpush(`table:orders:${language}`, JSON.stringify({ number }));
            await FORMS.function(client, `orders:${language}`, JSON.stringify({ number }));
        };
        await until('the function', async () => (await client.call('FUNCTION', 'LIST')).length > 0);
        await order(1);
        // The question for the data waits until order 2 is in.
        let held = false;
        const url = await relayTo(scope, redis, (text, number, near) => {
            if (held || !/lrange/i.test(text)) return true;
            held = true;
            void order(2).then(() => near.emit('data', Buffer.from(text)));
            return false;
        });
        const { code, out, err } = await run(example, url, language);
        assert.equal(code, 0, err);
        assert.ok(held);
        await order(3);
        const page = JSON.parse(out);
        assert.deepEqual(page.orders, [{ number: 1 }, { number: 2 }]);
        const stream = await openStream(scope, gateway.port, page.stream);
        await stream.count(2);
        assert.deepEqual(stream.events.map((e) => JSON.parse(e.data).number), [2, 3]);
    });

    test(`${language}: a page without orders, and one line where Redis lacks the function`, async (t) => {
        const example = await prepared(t);
        if (!example) return;
        const { out } = await run(example, redis.url, 'nobody');
        assert.deepEqual(JSON.parse(out).orders, []);
        const said = await run(example, bare.url, language);
        assert.equal(said.code, 1);
        assert.match(said.err, /^page: [^\n]*sse_position[^\n]*sse-publish --install[^\n]*\n$/);
    });
}

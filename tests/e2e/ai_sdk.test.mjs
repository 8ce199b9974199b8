// docs/examples/tokens/ai-sdk-transport.mjs under the chat of the AI SDK (npm ai), as useChat has it, with an answer of streamText.

import assert from 'node:assert/strict';
import path from 'node:path';
import { test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { AbstractChat } from 'ai';
import { killGateway } from '../lib/answers.mjs';
import { connect, history, load } from '../lib/durable.mjs';
import { prepare } from '../lib/examples.mjs';
import { Gateway } from '../lib/gateway.mjs';
import { Nginx } from '../lib/nginx.mjs';
import { freePort } from '../lib/ports.mjs';
import { Process } from '../lib/process.mjs';
import { Redis } from '../lib/redis.mjs';
import { scopeOf } from '../lib/scope.mjs';
import { until } from '../lib/wait.mjs';

const ARGS = ['--retry', '300ms', '--heartbeat', '1s', '--refusal', 'status', '--durable', 'chat:*'];
const MODEL = { MODEL_TOKENS: '300', MODEL_PACE: '0.02' };
const app = await prepare('tokens', 'node', 'ai-sdk-app.mjs')();
const importExample = (name) => import(pathToFileURL(path.join(path.dirname(app.args[0]), name)));
const { ChannelTransport } = await importExample('ai-sdk-transport.mjs');
Object.assign(process.env, MODEL);
const TEXT = (await importExample('ai-sdk-model.mjs')).tokens.join('');

/** What @ai-sdk/react's Chat is, with plain fields in the place of React's state. */
class Chat extends AbstractChat {
    constructor(id, transport, messages = []) {
        const state = {
            status: 'ready', error: undefined, messages,
            pushMessage: (message) => state.messages.push(message),
            popMessage: () => state.messages.pop(),
            replaceMessage: (i, message) => (state.messages[i] = structuredClone(message)),
            snapshot: (value) => structuredClone(value),
        };
        super({ id, transport, state });
    }

    /** The texts of the assistant's messages. */
    get answers() {
        return this.messages.filter((m) => m.role === 'assistant').map((m) => m.parts.filter((p) => p.type === 'text').map((p) => p.text).join(''));
    }
}

async function start(t) {
    const scope = scopeOf(t);
    const redis = await Redis.start(scope);
    const client = connect(scope, redis);
    await load(client);
    const gateways = await Promise.all([0, 1].map(() => Gateway.start(scope, { redis, args: ARGS })));
    const port = await freePort();
    const location = `    location /chat { proxy_pass http://127.0.0.1:${port}; }\n\n    location / {`;
    const nginx = await Nginx.start(scope, { gateways, change: (text) => text.replace('    location / {', () => location) });
    const program = new Process(scope, 'app', app.program, [...app.args, String(port)], { env: { REDIS_URL: redis.url, ...MODEL } });
    await program.ready('answers', () => fetch(`http://127.0.0.1:${port}/chat/nobody`).then((said) => said.status === 204), { ms: 60000 });
    const transport = new ChannelTransport({ api: `${nginx.url}/chat`, stream: `${nginx.url}/stream` });
    return {
        scope, gateways, transport,
        chat: (messages) => new Chat('c1', transport, messages),
        events: async () => history(client, await client.get('answer-of:c1')),
        killGateway: () => killGateway(scope, redis, gateways, ARGS),
    };
}

const grows = (chat, length) => until(`an answer of ${length} characters`, () => (chat.answers.at(-1) ?? '').length > length || Promise.reject(chat.error ?? new Error(chat.status)));

test('the AI SDK: an answer is whole while gateways are killed, and in a chat that is resumed in its middle; after its end nothing is resumed', async (t) => {
    const world = await start(t);
    const chat = world.chat();
    const sent = chat.sendMessage({ text: 'why?' });
    await grows(chat, TEXT.length * .2);
    await world.killGateway();
    await grows(chat, TEXT.length * .4);
    const [question] = chat.messages;
    const resumed = world.chat([question]); // what a reload begins with: the answer is not stored yet
    const reading = resumed.resumeStream();
    await grows(resumed, TEXT.length * .4);
    await world.killGateway();
    await Promise.all([sent, reading]);
    for (const one of [chat, resumed]) assert.deepEqual([one.status, one.error, one.answers], ['ready', undefined, [TEXT]]);
    assert.equal(resumed.lastMessage.id, chat.lastMessage.id);
    const events = await world.events();
    assert.deepEqual(events.filter((e) => e.end).map((e) => e.data), ['[DONE]']);
    assert.equal(events.at(-1).data, '[DONE]');
    assert.equal(await world.transport.reconnectToStream({ chatId: 'c1' }), null);
    const later = world.chat(structuredClone(chat.messages));
    await later.resumeStream();
    assert.deepEqual([later.status, later.answers], ['ready', [TEXT]]);
});

test('the AI SDK: what useChat stops is its own stream; the stop of the transport ends the answer for all', async (t) => {
    const world = await start(t);
    const chat = world.chat();
    const sent = chat.sendMessage({ text: 'how long?' });
    await grows(chat, 100);
    await chat.stop();
    await sent;
    const resumed = world.chat([chat.messages[0]]);
    const reading = resumed.resumeStream();
    await grows(resumed, chat.answers[0].length + 100);
    await world.transport.stop('c1');
    await reading;
    assert.equal(resumed.status, 'ready');
    assert.ok(resumed.answers[0].length < TEXT.length && TEXT.startsWith(resumed.answers[0]));
    const events = await world.events();
    assert.deepEqual(events.slice(-2).map((e) => e.data), ['{"type":"abort"}', '[DONE]']);
    await world.transport.stop('c1'); // twice is once
    assert.deepEqual(await world.events(), events);
});

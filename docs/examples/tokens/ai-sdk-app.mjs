// The application behind ai-sdk-transport.mjs: REDIS_URL=redis://127.0.0.1:6379 node ai-sdk-app.mjs PORT
// What streamText gives goes into a channel as JSON, the parts of 40 ms in one append. The gateways: --durable 'chat:*'
import { randomUUID } from 'node:crypto';
import http from 'node:http';
import { json } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { convertToModelMessages, streamText, toUIMessageStream } from 'ai';
import { Redis } from 'ioredis';
import { model } from './ai-sdk-model.mjs';

const KEPT = 3600; // s
const BOUNDS = ['maxage', KEPT, 'maxlen', 20000, 'maxbytes', 4000000]; // parts cannot be summed up: all of an answer is kept
const redis = new Redis(process.env.REDIS_URL);
const append = (channel, last, parts, ...options) => redis.call('FCALL', 'sse_append', 1, `sse:{${channel}}`, parts.length,
    ...parts.flatMap((part) => ['', part]), 'after', last, ...BOUNDS, ...options);

async function write(channel, messages) {
    const [stopping, waiting] = [new AbortController(), []];
    const { stream } = streamText({ model, messages: await convertToModelMessages(messages), abortSignal: stopping.signal });
    const reading = (async () => {
        for await (const part of toUIMessageStream({ stream, sendStart: false })) waiting.push(JSON.stringify(part));
        waiting.push('[DONE]');
    })();
    for (let last = 1, isOver = false; !isOver;) {
        await Promise.race([reading, sleep(40)]);
        const parts = waiting.splice(0, 256);
        isOver = parts.at(-1) === '[DONE]';
        if (parts.length > 0) await append(channel, last, parts, 'key', last, ...(isOver ? ['end', KEPT] : [])).catch(() => stopping.abort(isOver = true));
        last += parts.length;
    }
}

async function newest(chatId) { // the chat's newest answer
    const channel = await redis.get(`answer-of:${chatId}`);
    const [entry] = await redis.xrevrange(`sse:{${channel}}`, '+', '-', 'COUNT', 1);
    return entry && { channel, last: entry[0].split('-')[1], isOver: entry[1].some((name, i) => i % 2 === 0 && name === 'end') };
}

const METHODS = {
    async POST(_, request) {
        const [{ chatId, messages }, channel] = [await json(request), `chat:${randomUUID()}`];
        await append(channel, 0, [JSON.stringify({ type: 'start', messageId: randomUUID() })]);
        await redis.set(`answer-of:${chatId}`, channel, 'EX', KEPT);
        write(channel, messages).catch((error) => console.error(error));
        return { channel };
    },
    GET: async (chatId) => newest(chatId).then((found) => (found && !found.isOver ? { channel: found.channel } : null)),
    async DELETE(chatId) { // from here on the writer's `after` is refused
        for (let found; (found = await newest(chatId)) && !found.isOver;) {
            await append(found.channel, found.last, ['{"type":"abort"}', '[DONE]'], 'end', KEPT).catch((e) => e.message.startsWith('FENCED') || Promise.reject(e));
        }
        return null;
    },
};

http.createServer(async (request, response) => {
    const said = await METHODS[request.method](decodeURIComponent(request.url.split('/')[2] ?? ''), request);
    response.writeHead(said ? 200 : 204, { 'Content-Type': 'application/json' }).end(said ? JSON.stringify(said) : undefined);
}).listen(process.argv[2], '127.0.0.1');

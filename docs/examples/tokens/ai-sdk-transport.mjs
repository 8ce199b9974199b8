// A transport for useChat of the AI SDK (npm ai): an answer goes on after a reload, in another tab, at another gateway.
//     const { messages, sendMessage } = useChat({ id, messages: stored, resume: true, transport });
//     stopButton.onclick = () => transport.stop(id);
// stop() of useChat ends the stream of its own tab, as a reload does; the answer goes on. ai-sdk-app.mjs is the other side.
import { EventSourceParserStream } from 'eventsource-parser/stream';

export class ChannelTransport {
    resumeStreamIsReplay = true; // what is resumed begins at the start of the answer

    constructor({ api = '/chat', stream = '/stream' } = {}) {
        Object.assign(this, { api, stream });
    }

    async sendMessages({ chatId, messages, trigger, messageId, abortSignal, headers, body }) {
        const own = { 'Content-Type': 'application/json', ...Object.fromEntries(new Headers(headers)) };
        const text = JSON.stringify({ ...body, chatId, messages, trigger, messageId });
        return this.#parts(await this.#ask('', { method: 'POST', headers: own, body: text }), abortSignal);
    }

    async reconnectToStream({ chatId, abortSignal, headers }) {
        const said = await this.#ask(`/${encodeURIComponent(chatId)}`, { headers, signal: abortSignal });
        return said.status === 204 ? null : this.#parts(said, abortSignal); // 204: no answer is being written
    }

    async stop(chatId, headers) {
        await this.#ask(`/${encodeURIComponent(chatId)}`, { method: 'DELETE', headers });
    }

    async #ask(path, options) {
        const said = await fetch(this.api + path, options);
        return said.ok ? said : Promise.reject(new Error(`${this.api} answered ${said.status}`));
    }

    async #parts(said, signal) {
        const closing = new AbortController();
        signal?.addEventListener('abort', () => closing.abort());
        const parts = this.#follow((await said.json()).channel, closing.signal);
        return new ReadableStream({
            pull: (controller) => parts.next().then(({ value, done }) => (done ? controller.close() : controller.enqueue(value))),
            cancel: () => closing.abort(),
        });
    }

    async *#follow(channel, signal, id = 'earliest', pause = 1000) {
        for (; !signal.aborted; await new Promise((resolve) => setTimeout(resolve, pause))) {
            const said = await fetch(`${this.stream}?${new URLSearchParams({ channel, last_event_id: id })}`, { signal }).catch(() => null);
            if (said?.status === 204) return;
            if (said && said.status < 500 && ![200, 429].includes(said.status)) throw new Error(`${this.stream} answered ${said.status}`);
            const parser = new EventSourceParserStream({ onRetry: (ms) => (pause = ms) });
            const events = said?.ok && said.body.pipeThrough(new TextDecoderStream()).pipeThrough(parser).getReader();
            for (let event; events && (event = (await events.read().catch(() => ({}))).value);) {
                id = event.id || id;
                if (event.event === 'gateway:end' || event.data === '[DONE]') return events.cancel();
                if (event.event === 'gateway:gap') throw new Error('A part of this answer is lost.');
                if (!event.event) yield JSON.parse(event.data);
            }
        }
    }
}

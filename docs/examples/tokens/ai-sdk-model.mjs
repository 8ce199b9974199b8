// In the place of a model: 40 tokens a second, of the SDK's own package for tests.

import { simulateReadableStream } from 'ai';
import { MockLanguageModelV4 } from 'ai/test';

const COUNT = Number(process.env.MODEL_TOKENS ?? 400);
const PACE = Number(process.env.MODEL_PACE ?? 0.025) * 1000;
const usage = { inputTokens: { total: 1 }, outputTokens: { total: COUNT } };

export const tokens = Array.from({ length: COUNT }, (_, i) => ['The ', 'na\u00efve ', 'answer,\n', '<b>', '\u{1f600}\n\n', ` ${i} `][i % 6]);

export const model = new MockLanguageModelV4({
    doStream: async () => ({
        stream: simulateReadableStream({
            initialDelayInMs: 0,
            chunkDelayInMs: PACE,
            chunks: [
                { type: 'stream-start', warnings: [] },
                { type: 'text-start', id: 't' },
                ...tokens.map((delta) => ({ type: 'text-delta', id: 't', delta })),
                { type: 'text-end', id: 't' },
                { type: 'finish', finishReason: { unified: 'stop', raw: 'stop' }, usage },
            ],
        }),
    }),
});

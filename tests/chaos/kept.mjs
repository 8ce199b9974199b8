// What Redis has of each channel, read from the streams themselves.

import { sleep } from '../lib/wait.mjs';
import { numberIn } from './history.mjs';
import { Connection, Lost, Refused } from './resp.mjs';

const PAGE = 1000;
const AT_ONCE = 8; // connections

/** { at, kept: channel -> Map of number -> EPOCH.OFFSET.MS, faults: what is wrong in the streams } */
export async function readKept(shape, channels) {
    const at = performance.now();
    const kept = new Map();
    const faults = [];
    const left = [...channels];
    const reader = async () => {
        for (let channel = left.pop(); channel; channel = left.pop()) kept.set(channel, await patiently(() => readStream(shape, channel, faults)));
    };
    await Promise.all(Array.from({ length: AT_ONCE }, reader));
    return { at, kept, faults };
}

async function readStream(shape, channel, faults) {
    const connection = await Connection.open(await shape.owner(channel));
    try {
        const numbers = new Map();
        let from = '-';
        let last;
        for (;;) {
            const page = await connection.callWithin(10000, 'XRANGE', `sse:{${channel}}`, from, '+', 'COUNT', PAGE);
            for (const [id, fields] of page) {
                const entry = Object.fromEntries(fields.flatMap((field, i) => (i % 2 ? [] : [[field, fields[i + 1]]])));
                if (last && entry.prev !== last) faults.push(`${channel}: entry ${id} names ${entry.prev} as the one before, which is ${last}`);
                const number = numberIn(channel, entry.data);
                if (numbers.has(number)) faults.push(`${channel}: number ${number} is in the stream twice`);
                const [ms, offset] = id.split('-');
                numbers.set(number, `${entry.epoch}.${offset}.${ms}`);
                last = id;
            }
            if (page.length < PAGE) return numbers;
            from = `(${last}`;
        }
    } finally {
        connection.lose();
    }
}

/** Redis may be busy with coming back. */
async function patiently(read) {
    for (let tries = 0; ; tries++) {
        try {
            return await read();
        } catch (error) {
            if (!(error instanceof Lost) && !(error instanceof Refused)) throw error;
            if (tries === 100) throw error;
            await sleep(100);
        }
    }
}

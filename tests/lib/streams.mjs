// Many streams at once.

import { Stream } from './stream.mjs';

const AT_ONCE = 100; // connects in flight: fewer than the shortest listen backlog

/** Opens a stream for each path (or { port, path, ...options }) and closes all with the scope; resolves when all have answered. */
export async function openStreams(scope, wanted) {
    const streams = new Array(wanted.length);
    let next = 0;
    scope.defer(() => streams.forEach((s) => s?.close()));
    const worker = async () => {
        while (next < wanted.length) {
            const i = next++;
            const { port, path, ...options } = wanted[i];
            streams[i] = await Stream.open(port, path, options);
            if (streams[i].status !== 200) throw new Error(`GET ${path}: ${streams[i].status}`);
        }
    };
    await Promise.all(Array.from({ length: Math.min(AT_ONCE, wanted.length) }, worker));
    return streams;
}

export async function openStream(scope, port, path, options) {
    return (await openStreams(scope, [{ port, path, ...options }]))[0];
}

/** How many of the values there are of each kind. */
export function countBy(values) {
    const counts = new Map();
    for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1);
    return counts;
}

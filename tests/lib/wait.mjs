// Waiting for facts. Nothing in these tests sleeps for a fixed time to give something a chance to happen.

export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Asks `fact` until it gives something true, which is returned; throws after `ms` with the last answer or error. */
export async function until(what, fact, { ms = 15000, every = 20 } = {}) {
    const deadline = performance.now() + ms;
    let last;
    for (;;) {
        try {
            last = await fact();
            if (last) return last;
        } catch (error) {
            if (error.fatal) throw error;
            last = error;
        }
        if (performance.now() > deadline) {
            const said = last instanceof Error ? last.message : JSON.stringify(last);
            throw new Error(`not within ${ms} ms: ${what} (last answer: ${said})`);
        }
        await sleep(every);
    }
}

/** Awaits a promise, but no longer than `ms`. */
export async function within(ms, what, promise) {
    let timer;
    const late = new Promise((_, reject) => {
        timer = setTimeout(() => reject(new Error(`not within ${ms} ms: ${what}`)), ms);
    });
    try {
        return await Promise.race([promise, late]);
    } finally {
        clearTimeout(timer);
    }
}

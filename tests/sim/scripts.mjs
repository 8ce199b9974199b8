// What happens to a tier, as scripts for Model#run: each is asked at every step, and does what is due.

/** `act(model)` once, at `at` seconds. */
export function once(at, act) {
    let done = false;
    return (model) => {
        if (done || model.now < at) return;
        done = true;
        act(model);
    };
}

export function several(...scripts) {
    return (model) => scripts.forEach((script) => script(model));
}

/**
 * A rolling restart: `together` gateways get SIGTERM, each starts again `model.restart` seconds after its end, and `pause`
 * seconds after the last of them is ready the next are due. `script.ended` is when the last one was ready.
 */
export function rolling({ at, together = 1, pause = 0 }) {
    let next = 0;
    let batch = [];
    let resumeAt = at;
    const script = (model) => {
        if (script.ended !== undefined) return;
        for (const node of batch) {
            if (model.isOff(node.g) && node.offAt === undefined) node.offAt = model.now;
            if (node.offAt !== undefined && !node.ready && model.now >= node.offAt + model.restart) {
                model.start(node.g);
                node.ready = true;
                resumeAt = model.now + pause;
            }
        }
        if (!batch.every((node) => node.ready) || model.now < resumeAt) return;
        batch = [];
        for (; batch.length < together && next < model.gateways; next++) {
            model.terminate(next);
            batch.push({ g: next });
        }
        if (batch.length === 0) script.ended = model.now;
    };
    return script;
}

/** All gateways killed at `at`, all there again `away` seconds later. */
export function allKilled({ at, away }) {
    const each = (model, act) => Array.from({ length: model.gateways }, (_, g) => act(g));
    return several(once(at, (model) => each(model, (g) => model.kill(g))), once(at + away, (model) => each(model, (g) => model.start(g))));
}

export function redisAway({ at, away }) {
    return several(once(at, (model) => model.setRedis(false)), once(at + away, (model) => model.setRedis(true)));
}

/** `n` gateways join at once; `n` are ended at once. */
export const joins = (at, n) => once(at, (model) => Array.from({ length: n }, (_, i) => model.start(model.gateways + i)));
export const leaves = (at, n) => once(at, (model) => Array.from({ length: n }, (_, g) => model.terminate(g)));

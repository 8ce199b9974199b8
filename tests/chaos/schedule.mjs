// What goes wrong when: all of it follows from the seed and the kinds there are.

import { Random } from './random.mjs';

const FIRST_MS = 2000;

/** [{ at, kinds }] in ms from the start, until `ms`. Each kind comes before any comes again; a quarter come in pairs. */
export function plan(seed, kinds, ms) {
    const random = new Random(seed, 'schedule');
    const faults = [];
    let bag = [];
    const draw = () => {
        if (bag.length === 0) bag = random.sample(kinds, kinds.length);
        return bag.pop();
    };
    for (let at = FIRST_MS; at < ms; at += random.between(200, 3500)) {
        const faulty = [draw()];
        if (random.chance(0.25)) {
            const second = draw();
            if (mix(faulty[0], second)) faulty.push(second);
            else bag.push(second);
        }
        faults.push({ at: Math.round(at), kinds: faulty });
    }
    return faults;
}

/** Two that take the same process down and up again get into each other's way. */
const mix = (a, b) => subject(a) !== subject(b);
const subject = (kind) => kind.match(/gateway|nginx|client (?!KILL|PAUSE)/)?.[0] ?? 'redis';

/** Runs the plan until `stopped()`; `fault(index, kind)` does one. A fault that is due while others last comes when they are over. */
export async function run(faults, fault, stopped) {
    const start = performance.now();
    for (const [index, { at, kinds }] of faults.entries()) {
        await until(start + at, stopped);
        if (stopped()) return;
        await Promise.all(kinds.map((kind) => fault(index, kind)));
    }
}

async function until(time, stopped) {
    for (let left = time - performance.now(); left > 0 && !stopped(); left = time - performance.now()) {
        await new Promise((resolve) => setTimeout(resolve, Math.min(left, 200)));
    }
}

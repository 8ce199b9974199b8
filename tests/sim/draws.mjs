// Random numbers of streams: how many of many take one way. All draws come from the run's seeded generator.

const FEW = 24; // up to this mean a binomial draw is exact; above it, a rounded normal one

/** How many of `n` independent tries with chance `p` succeed. */
export function binomial(random, n, p) {
    if (n <= 0 || p <= 0) return 0;
    if (p >= 1) return n;
    if (p > 0.5) return n - binomial(random, n, 1 - p);
    const mean = n * p;
    if (mean > FEW) {
        const normal = Math.sqrt(-2 * Math.log(1 - random.next())) * Math.cos(2 * Math.PI * random.next());
        return Math.min(n, Math.max(0, Math.round(mean + normal * Math.sqrt(mean * (1 - p)))));
    }
    // Successes are found by the gaps between them, which are geometric: about `mean` draws instead of `n`.
    const log = Math.log1p(-p);
    let successes = -1;
    for (let at = 0; at <= n; successes++) at += 1 + Math.floor(Math.log(1 - random.next()) / log);
    return successes;
}

/** Shares `n` out among ways with the chances `weights` (sum `total`): `take(way, count)` for each that gets any. */
export function share(random, n, weights, total, take) {
    for (let i = 0; i < weights.length && n > 0; i++) {
        if (weights[i] <= 0) continue;
        const count = binomial(random, n, weights[i] / total);
        total -= weights[i];
        if (count === 0) continue;
        n -= count;
        take(i, count);
    }
}

/** Takes `n` of the things in `counts` (of which there are `total`) away at random: `take(kind, count)`. */
export function withdraw(random, n, counts, from, to, total, take) {
    for (let i = from; i < to && n > 0; i++) {
        const here = counts[i];
        if (here === 0) continue;
        const least = n - (total - here);
        const count = Math.min(here, n, Math.max(least, binomial(random, n, here / total)));
        total -= here;
        if (count === 0) continue;
        n -= count;
        take(i, count);
    }
}

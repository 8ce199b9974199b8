// The Prometheus text format, version 0.0.4, as strictly as these tests need it.

const SAMPLE = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (-?[0-9.]+(?:e[+-]?[0-9]+)?|[+-]Inf|NaN)$/;
const LABEL = /([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"(?:,|$)/y;

class Metrics {
    samples = [];
    types = new Map();
    help = new Map();

    sum(name, labels = {}) {
        return this.samples
            .filter((s) => s.name === name && Object.entries(labels).every(([k, v]) => s.labels[k] === v))
            .reduce((sum, s) => sum + s.value, 0);
    }

    has(name) {
        return this.samples.some((s) => s.name === name);
    }
}

/** Parses an exposition; throws on a line that is no sample, HELP or TYPE. */
export function parseMetrics(text) {
    const metrics = new Metrics();
    if (!text.endsWith('\n')) throw new Error('metrics: the last line has no newline');
    for (const line of text.slice(0, -1).split('\n')) {
        if (line === '') continue;
        const comment = line.match(/^# (HELP|TYPE) (\S+) (.*)$/);
        if (comment) {
            (comment[1] === 'TYPE' ? metrics.types : metrics.help).set(comment[2], comment[3]);
            continue;
        }
        const sample = line.match(SAMPLE);
        if (!sample) throw new Error(`metrics: not a sample: ${line}`);
        metrics.samples.push({ name: sample[1], labels: parseLabels(sample[2] ?? '', line), value: Number(sample[3].replace('Inf', 'Infinity')) });
    }
    return metrics;
}

function parseLabels(text, line) {
    const labels = {};
    LABEL.lastIndex = 0;
    while (LABEL.lastIndex < text.length) {
        const label = LABEL.exec(text);
        if (!label) throw new Error(`metrics: bad labels: ${line}`);
        labels[label[1]] = label[2];
    }
    return labels;
}

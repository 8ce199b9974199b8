// Pictures of the results: lines over time or size, one or two charts beside each other.

const WIDTH = 380;
const HEIGHT = 262;
const LEFT = 62;
const RIGHT = 22;
const TOP = 46;
const BOTTOM = 42;
const COLORS = 8;

const STYLE = `<style>
  text { font: 12px system-ui, sans-serif; fill: #333 } .title { font-weight: 600; font-size: 13px } .y { text-anchor: end } .x { text-anchor: middle }
  .grid { stroke: #d5dae0; stroke-width: 1 } path, .key { fill: none; stroke-width: 2 }
  .c0 { stroke: #0b7a75 } .c1 { stroke: #d1495b } .c2 { stroke: #3066be } .c3 { stroke: #e3a008 } .c4 { stroke: #7b4fa3 } .c5 { stroke: #5f6b77 } .c6 { stroke: #8a5a2b } .c7 { stroke: #4caf50 }
  .thin { stroke-width: 1.2 }
  @media (prefers-color-scheme: dark) { text { fill: #ddd } .grid { stroke: #3c444d } .c0 { stroke: #2bb3ab } .c2 { stroke: #6b9bf0 } .c4 { stroke: #b58ad6 } .c5 { stroke: #a3afbb } }
</style>`;

function short(value) {
    if (value >= 1e6) return `${+(value / 1e6).toPrecision(3)}M`;
    if (value >= 1e4) return `${+(value / 1e3).toPrecision(3)}k`;
    if (value >= 1e3) return value.toLocaleString('en');
    return String(+value.toPrecision(3));
}

/** Round numbers from `low` to `high`; powers of ten where `log`. */
function ticks(low, high, log) {
    if (log) {
        const all = [];
        for (let p = Math.ceil(Math.log10(low)); p <= Math.log10(high) + 1e-9; p++) all.push(10 ** p);
        return all;
    }
    const raw = (high - low) / 5;
    const unit = 10 ** Math.floor(Math.log10(raw));
    const step = unit * [1, 2, 5, 10].find((m) => m * unit >= raw);
    const all = [];
    for (let value = Math.ceil(low / step) * step; value <= high + step * 1e-9; value += step) all.push(+value.toPrecision(12));
    return all;
}

/** `lines`: [{ name, points: [[x, y]], color, thin }]; those without a name are not in the key, which stands at the `left`, or `key` of the height below the top. */
function chart({ title, x, y, lines, log = false, top, key: keyAt = 0, left = false }, at) {
    const points = lines.flatMap((line) => line.points);
    const xs = points.map((p) => p[0]);
    const low = { x: Math.min(...xs), y: log ? Math.min(...points.map((p) => p[1])) / 1.5 : 0 };
    const high = { x: Math.max(...xs), y: top ?? Math.max(...points.map((p) => p[1])) * (log ? 1.5 : 1.05) };
    const part = (value, from, to) => (log ? Math.log(value / from) / Math.log(to / from) : (value - from) / (to - from));
    const px = (value) => at + LEFT + part(value, low.x, high.x) * (WIDTH - LEFT - RIGHT);
    const py = (value) => HEIGHT - BOTTOM - part(Math.min(value, high.y), low.y, high.y) * (HEIGHT - TOP - BOTTOM);
    const grid = ticks(low.y, high.y, log).map((value) => `<line class="grid" x1="${at + LEFT}" x2="${at + WIDTH - RIGHT}" y1="${py(value).toFixed(1)}" y2="${py(value).toFixed(1)}"/>` +
        `<text class="y" x="${at + LEFT - 6}" y="${(py(value) + 4).toFixed(1)}">${short(value)}</text>`);
    const below = ticks(low.x, high.x, log).map((value) => `<text class="x" x="${px(value).toFixed(1)}" y="${HEIGHT - BOTTOM + 16}">${short(value)}</text>`);
    const drawn = lines.map((line, i) => `<path class="c${(line.color ?? i) % COLORS}${line.thin ? ' thin' : ''}" d="${line.points
        .map(([a, b], n) => `${n ? 'L' : 'M'}${px(a).toFixed(1)} ${py(Math.max(b, log ? low.y : b)).toFixed(1)}`).join('')}"/>`);
    const named = lines.map((line, i) => ({ ...line, color: (line.color ?? i) % COLORS })).filter((line) => line.name);
    const keyY = (i) => TOP + 10 + keyAt * (HEIGHT - TOP - BOTTOM) + 16 * i;
    const keyX = at + (left ? LEFT + 12 : WIDTH - 172);
    const key = named.map((line, i) => `<line class="key c${line.color}" x1="${keyX}" x2="${keyX + 18}" y1="${keyY(i)}" y2="${keyY(i)}"/>` +
        `<text x="${keyX + 23}" y="${keyY(i) + 4}">${line.name}</text>`);
    return `<text class="title" x="${at + 10}" y="18">${title}</text>${grid.join('')}${below.join('')}${drawn.join('')}${key.join('')}` +
        `<text class="x" x="${at + (LEFT + WIDTH - RIGHT) / 2}" y="${HEIGHT - 8}">${x}</text><text x="${at + 10}" y="34">${y}</text>`;
}

export function plot(label, ...charts) {
    return `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH * charts.length}" viewBox="0 0 ${WIDTH * charts.length} ${HEIGHT}" role="img" aria-label="${label}">\n${STYLE}\n${
        charts.map((c, i) => chart(c, i * WIDTH)).join('\n')}\n</svg>\n`;
}

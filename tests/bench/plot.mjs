// The picture that the README shows: CPU per delivery and memory per stream, shorter is better.
import { typical } from './targets.mjs';

const WIDTH = 760;
const LEFT = 170;
const BAR = 22;

function bars(results, title, unit, path, top) {
  const entries = Object.keys(results.scenarios.one_channel.servers)
    .map((name) => ({ name, value: typical(results, 'one_channel', name, path) }))
    .filter((entry) => Number.isFinite(entry.value));
  const most = Math.max(...entries.map((entry) => entry.value));
  const rows = entries.map((entry, i) => {
    const y = top + 34 + i * (BAR + 8);
    const width = Math.max(1, (entry.value / most) * (WIDTH - LEFT - 110));
    const value = entry.value >= 100 ? Math.round(entry.value).toLocaleString('en') : entry.value.toPrecision(2);
    return `<text class="name" x="${LEFT - 10}" y="${y + 16}">${entry.name}</text>` +
      `<rect class="${entry.name === 'gateway' ? 'ours' : 'bar'}" x="${LEFT}" y="${y}" width="${width.toFixed(1)}" height="${BAR}" rx="3"/>` +
      `<text x="${LEFT + width + 8}" y="${y + 16}">${value} ${unit}</text>`;
  });
  return { svg: `<text class="title" x="10" y="${top + 18}">${title}</text>${rows.join('')}`, bottom: top + 34 + entries.length * (BAR + 8) };
}

export function plot(results) {
  const streams = results.scenarios.one_channel.size.streams.toLocaleString('en');
  const cpu = bars(results, `CPU per delivery, one channel, ${streams} streams`, 'µs', 'single.cpu_us_per_delivery', 8);
  const memory = bars(results, 'Own memory per idle stream', 'B', 'bytes_per_stream', cpu.bottom + 18);
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${memory.bottom + 8}" role="img" aria-label="CPU per delivery and memory per stream of the gateway and its peers">
<style>
  text { font: 14px system-ui, sans-serif; fill: #333 } .title { font-weight: 600; font-size: 15px } .name { text-anchor: end }
  .bar { fill: #9aa7b4 } .ours { fill: #0b7a75 }
  @media (prefers-color-scheme: dark) { text { fill: #ddd } .bar { fill: #5f6b77 } .ours { fill: #2bb3ab } }
</style>
${cpu.svg}
${memory.svg}
</svg>
`;
}

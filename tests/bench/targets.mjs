// The targets, and what was measured against each. A ratio is taken within each round; its median over the rounds counts.

function median(numbers) {
  const sorted = [...numbers].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

// NaN where there is none: JSON makes null of the infinity of a peer that lost everything.
function figure(rounds, path) {
  return rounds.map((round) => path.split('.').reduce((value, key) => value?.[key], round) ?? NaN);
}

export function typical(results, scenario, server, path) {
  const rounds = results.scenarios[scenario]?.servers[server];
  return rounds ? median(figure(rounds, path)) : undefined;
}

function ratio(results, scenario, path, base = 'floor', basePath = path, server = 'gateway') {
  const servers = results.scenarios[scenario]?.servers;
  if (!servers?.[server] || !servers[base]) return undefined;
  const above = figure(servers[server], path);
  const below = figure(servers[base], basePath);
  return median(above.map((value, i) => value / below[i]));
}

function total(results, field) {
  let sum = 0;
  for (const one of Object.values(results.scenarios))
    for (const round of [...(one.servers.gateway ?? []), ...(one.servers['gateway, 2 workers'] ?? []), ...(one.servers['gateway, tokens'] ?? [])])
      for (const part of [round, round.single, round.burst]) sum += part?.[field] ?? 0;
  return sum;
}

// Messages that come alone, each to a stream with a channel of its own.
function ownChannels(results, rate) {
  const scenario = `own_${rate.replace(',', '')}`;
  const work = `own channels, ${rate} single messages/s`;
  return [
    [work, 'CPU per delivery over the floor', 1.15, 'x', ratio(results, scenario, 'cpu_us_per_delivery')],
    [work, 'p50 latency over the floor', 1.15, 'x', ratio(results, scenario, 'latency_us.p50')],
    [work, 'p99 latency over the floor', 1.15, 'x', ratio(results, scenario, 'latency_us.p99')],
    [`${work}, 2 workers`, 'CPU per delivery over the floor', 1.5, 'x',
      ratio(results, scenario, 'cpu_us_per_delivery', 'floor', undefined, 'gateway, 2 workers')],
    [`${work}, HS256 tokens`, 'CPU per delivery over the floor', 1.15, 'x',
      ratio(results, scenario, 'cpu_us_per_delivery', 'floor', undefined, 'gateway, tokens')],
  ];
}

// work, what is measured, limit, unit, value
function rows(results) {
  return [
    ['one channel, 100 B', 'CPU per delivery over the floor', 1.10, 'x', ratio(results, 'one_channel', 'single.cpu_us_per_delivery')],
    ['one channel, 100 B, HS256 tokens', 'CPU per delivery over the floor', 1.10, 'x',
      ratio(results, 'one_channel', 'single.cpu_us_per_delivery', 'floor', undefined, 'gateway, tokens')],
    ['bursts of 10', 'CPU per delivery over the floor (single messages)', 0.30, 'x',
      ratio(results, 'one_channel', 'burst.cpu_us_per_delivery', 'floor', 'single.cpu_us_per_delivery')],
    ...ownChannels(results, '5,000'),
    ...ownChannels(results, '20,000'),
    ['2,048 streams, 20 messages/s', 'p99 of the last stream served, over the floor', 1.15, 'x', ratio(results, 'latency_2048', 'last_us.p99')],
    ['64 streams, 20 messages/s', 'p99 latency', 2500, 'us', typical(results, 'latency_64', 'gateway', 'latency_us.p99')],
    ['idle plain stream', 'own memory', 512, 'B', typical(results, 'one_channel', 'gateway', 'bytes_per_stream')],
    ['one channel over TLS, 100 B', 'CPU per delivery over that of NGINX, which ends TLS before a gateway', 1.3, 'x',
      ratio(results, 'tls', 'cpu_us_per_delivery', 'NGINX, TLS', undefined, 'gateway, TLS')],
    ['one channel over TLS 1.2, 100 B', 'CPU per delivery over that of NGINX with TLS 1.3', 1.3, 'x',
      ratio(results, 'tls', 'cpu_us_per_delivery', 'NGINX, TLS', undefined, 'gateway, TLS 1.2')],
    ['idle TLS stream', 'own memory', 12288, 'B', typical(results, 'tls', 'gateway, TLS', 'bytes_per_stream')],
    ['idle stream of TLS 1.2', 'own memory', 12288, 'B', typical(results, 'tls', 'gateway, TLS 1.2', 'bytes_per_stream')],
    ['accepting', 'CPU per stream over the floor', 1.5, 'x', ratio(results, 'one_channel', 'accept_us')],
    ['accepting with an HS256 token', 'CPU per stream over one without', 1.5, 'x', ratio(results, 'accept', 'accept_us', 'gateway', 'accept_us', 'gateway, tokens')],
    ['accepting with an HS256 token, --revocation off', 'CPU per stream over one without', 1.5, 'x',
      ratio(results, 'accept', 'accept_us', 'gateway', 'accept_us', 'gateway, tokens, --revocation off')],
    ['ingest', 'time for all that Redis takes, over the floor', 1.1, 'x', ratio(results, 'ingest', 'seconds')],
    ['all streams resume 256 events of 1 KiB', 'memory beyond that of idle streams, over the ring of 1 MiB', 2, 'x',
      typical(results, 'resume', 'gateway', 'memory_growth') / (1 << 20)],
    ['live events meanwhile', 'p99 latency, 64 streams', 10000, 'us', typical(results, 'resume', 'gateway', 'live_latency_us.p99')],
    ['200,000 channels, Redis lost', `time from its being back to all of them heard (CPU of Redis: ${number(typical(results, 'resubscribe', 'gateway', 'redis_cpu_ms'))} ms)`,
      1.5, 's', typical(results, 'resubscribe', 'gateway', 'seconds')],
    ['idle, heartbeats every 15 s', 'share of a core for 20,000 streams', 0.02, '',
      (typical(results, 'idle', 'gateway', 'core_share') / results.scenarios.idle?.size.streams) * 20000 || undefined],
    ['2 workers', 'CPU per delivery over 1 worker', 1.1, 'x',
      ratio(results, 'workers_2', 'single.cpu_us_per_delivery', 'gateway', undefined, 'gateway, 2 workers')],
    ['everything', 'lost, duplicated, reordered', 0, '',
      total(results, 'lost') + total(results, 'duplicated') + total(results, 'reordered')],
  ];
}

export function judge(results) {
  return rows(results)
    .filter(([, , , , value]) => value !== undefined && !Number.isNaN(value))
    .map(([work, what, limit, unit, value]) => ({ work, what, limit, unit, value, holds: value <= limit }));
}

function number(value) {
  if (value === undefined || Number.isNaN(value)) return '';
  return Math.abs(value) >= 100 ? Math.round(value).toLocaleString('en') : value.toPrecision(3);
}

function markdown(head, body) {
  const line = (cells) => `| ${cells.join(' | ')} |\n`;
  return line(head) + line(head.map((_, i) => (i === 0 ? '---' : '---:'))) + body.map(line).join('');
}

export function table(results, verdicts) {
  const names = [...new Set(Object.values(results.scenarios).flatMap((one) => Object.keys(one.servers)))];
  const columns = [
    ['CPU us per delivery', 'one_channel', 'single.cpu_us_per_delivery'],
    ['same, bursts of 10', 'one_channel', 'burst.cpu_us_per_delivery'],
    ['own channels, 5,000/s', 'own_5000', 'cpu_us_per_delivery'],
    ['p50 us', 'own_5000', 'latency_us.p50'],
    ['p99 us', 'own_5000', 'latency_us.p99'],
    ['own channels, 20,000/s', 'own_20000', 'cpu_us_per_delivery'],
    ['p50 us', 'own_20000', 'latency_us.p50'],
    ['p99 us', 'own_20000', 'latency_us.p99'],
    ['accept us', 'one_channel', 'accept_us'],
    ['B per stream', 'one_channel', 'bytes_per_stream'],
    ['p50 us, 64', 'latency_64', 'latency_us.p50'],
    ['p99 us, 64', 'latency_64', 'latency_us.p99'],
    ['last p99 us, 2,048', 'latency_2048', 'last_us.p99'],
    ['messages/s taken', 'ingest', 'per_second'],
  ];
  const { one_channel: one, own_5000: own } = results.scenarios;
  const sizes = [one && `${one.size.streams} streams on one channel`, own && `${own.size.streams} streams with a channel each`];
  return `Measured on ${results.when} (${results.machine.cpu}, Linux ${results.machine.kernel}), ${results.rounds} round(s), ` +
    `server on core 0, load and Redis on core 1; ${sizes.filter(Boolean).join('; ')}.\n\n` +
    markdown(['server', ...columns.map(([head]) => head)],
      names.filter((name) => columns.some(([, scenario, path]) => typical(results, scenario, name, path) !== undefined))
        .map((name) => [name, ...columns.map(([, scenario, path]) => number(typical(results, scenario, name, path)))])) +
    '\n' +
    markdown(['target', 'measured as', 'limit', 'measured', 'holds'],
      verdicts.map((v) => [v.work, v.what, `${v.limit} ${v.unit}`.trim(), `${number(v.value)} ${v.unit}`.trim(), v.holds ? 'yes' : '**no**']));
}

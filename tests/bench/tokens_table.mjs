// What a run of answers showed (tokens_run.mjs), in Markdown. Pure.

const thousands = (n) => Math.round(n).toString().replace(/\B(?=(\d{3})+$)/g, ',');
const mib = (bytes) => `${(bytes / 1048576).toFixed(bytes < 10485760 ? 1 : 0)} MiB`;
const seconds = (n) => n.toFixed(1);
const micros = (n) => (n * 1e6).toFixed(1);

/** Has every reader the whole text, and was it answered 204 the first time that it came back after the end? */
export function isWhole({ options: { answers }, readers }) {
  const wanted = answers + readers.late;
  return readers.broken.length === 0 && readers.whole === wanted && readers.noContent === wanted && readers.after200 === 0 && readers.gaps === 0;
}

/** How many there is room for follows from the cost of one append or event, and from how many a second there are where the machine keeps up. */
export function markdown(run) {
  const { options, readers, cpu } = run;
  const gateways = cpu.gateways.reduce((sum, one) => sum + one, 0);
  const appends = Math.min(options.rate, 1000 / options.windowMs); // a second and answer
  const events = options.singly ? options.rate : appends;
  const share = (used) => `${Math.round(100 * used / run.seconds)} %`;
  const rows = [
    ['', ''],
    ['---', '---:'],
    ['CPU of Redis, of a core', share(cpu.redis)],
    ['CPU of each gateway, of a core', cpu.gateways.map(share).join(', ')],
    ['answers at once for one core of Redis', thousands(run.appends / cpu.redis / appends)],
    ['readers at once for one core of a gateway', thousands(readers.events / gateways / events)],
    ['readers at once for one core of NGINX', thousands(readers.events / cpu.nginx / events)],
    ['CPU of Redis for an event, appended and published', `${micros(cpu.redis / run.events)} us`],
    ['CPU of a gateway for an event to a reader', `${micros(gateways / readers.events)} us`],
    ['memory of Redis at the peak', `${mib(run.redisPeak)}, ${thousands(run.redisPeak / run.events)} bytes an event`],
    ['memory of a gateway at the peak', mib(run.gatewayPeak)],
  ];
  return [
    ...rows.map((row) => `| ${row.join(' | ')} |`), '',
    `${thousands(options.answers)} answers of ${thousands(options.tokens)} tokens at once, ${options.rate} tokens/s each, gathered for ${options.windowMs} ms,`
      + ` ${options.singly ? 'each an event of its own' : 'one event for each window'}: ${thousands(run.tokens)} tokens in ${thousands(run.events)} events by ${thousands(run.appends)} appends`
      + ` (${(run.tokens / run.appends).toFixed(1)} tokens each), ${mib(run.bytes)} of text, in ${thousands(run.seconds)} s.`,
    `${thousands(readers.whole)} of ${thousands(options.answers + readers.late)} readers have the whole text: ${thousands(readers.events)} events, ${mib(readers.bytes)}, ${thousands(readers.reloads)} reloads,`
      + ` ${thousands(readers.late)} joined late, ${readers.gaps} gaps; ${thousands(readers.noContent)} were answered 204, ${readers.after200} only after another 200.`,
    `CPU seconds: Redis ${seconds(cpu.redis)}, gateways ${cpu.gateways.map(seconds).join(' + ')}, NGINX ${seconds(cpu.nginx)}, the workers ${seconds(cpu.workers)}, the readers ${seconds(cpu.readers)}.`
      + ` Slowest append ${thousands(run.lateMs)} ms.`,
  ].join('\n');
}

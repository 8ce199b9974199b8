// What a run of answers showed (tokens_run.mjs), in Markdown. Pure.

const TOKENS_A_SECOND = 40; // of an answer, where the table says how many there is room for

const thousands = (n) => Math.round(n).toString().replace(/\B(?=(\d{3})+$)/g, ',');
const mib = (bytes) => `${(bytes / 1048576).toFixed(bytes < 10485760 ? 1 : 0)} MiB`;
const seconds = (n) => n.toFixed(1);

/** Has every reader the whole text, and was it answered 204 the first time that it came back after the end? */
export function isWhole({ options: { answers }, readers }) {
  const wanted = answers + readers.late;
  return readers.broken.length === 0 && readers.whole === wanted && readers.noContent === wanted && readers.after200 === 0 && readers.gaps === 0;
}

export function markdown(run) {
  const { options, readers, cpu } = run;
  const gateways = cpu.gateways.reduce((sum, one) => sum + one, 0);
  const rows = [
    ['', 'CPU seconds', 'a CPU second', `answers at ${TOKENS_A_SECOND} tokens/s a core`],
    ['---', '---:', '---:', '---:'],
    ['Redis', seconds(cpu.redis), `${thousands(run.tokens / cpu.redis)} tokens in`, thousands(run.tokens / cpu.redis / TOKENS_A_SECOND)],
    [`${options.gateways} gateways (${cpu.gateways.map(seconds).join(', ')})`, seconds(gateways), `${thousands(readers.events / gateways)} tokens out`,
      `${thousands(readers.events / gateways / TOKENS_A_SECOND)} readers`],
    ['NGINX', seconds(cpu.nginx), `${thousands(readers.events / cpu.nginx)} tokens out`, `${thousands(readers.events / cpu.nginx / TOKENS_A_SECOND)} readers`],
    ['the workers', seconds(cpu.workers), `${thousands(run.tokens / cpu.workers)} tokens`, ''],
  ];
  return [
    ...rows.map((row) => `| ${row.join(' | ')} |`), '',
    `${thousands(options.answers)} answers of ${thousands(options.tokens)} tokens at once, ${options.rate} tokens/s each, gathered for ${options.windowMs} ms:`
      + ` ${thousands(run.tokens)} tokens in ${thousands(run.batches)} batches (${(run.tokens / run.batches).toFixed(1)} each), ${mib(run.bytes)} of text, in ${seconds(run.seconds)} s.`,
    `${thousands(readers.whole)} of ${thousands(options.answers + readers.late)} readers have the whole text: ${thousands(readers.events)} tokens in ${mib(readers.bytes)}, ${thousands(readers.reloads)} reloads,`
      + ` ${thousands(readers.late)} joined late, ${readers.gaps} gaps; ${thousands(readers.noContent)} were answered 204, ${readers.after200} only after another 200.`,
    `Memory: Redis at most ${mib(run.redisPeak)} (${thousands(run.redisPeak / run.tokens)} bytes a token), a gateway at most ${mib(run.gatewayPeak)}. Slowest append ${thousands(run.lateMs)} ms.`,
  ].join('\n');
}

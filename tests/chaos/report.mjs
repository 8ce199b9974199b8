// What a round showed, for a human at 3 a.m., and as JSON.

import { FAILURES, sums } from './checker.mjs';

const SHOWN = 20; // findings and problems; the JSON has all

/** True when nothing was wrong. */
export function passed({ problems, result }) {
    return problems.length === 0 && !result.findings.some(({ kind }) => FAILURES.includes(kind));
}

export function text(round) {
    const { settings, problems, result, journal } = round;
    const failures = result.findings.filter(({ kind }) => FAILURES.includes(kind));
    const sum = sums(result.findings);
    const lines = [table(round), '', ...noEffect(journal)];
    for (const finding of failures.slice(0, SHOWN)) lines.push(...explain(finding, round));
    if (failures.length > SHOWN) lines.push(`... and ${failures.length - SHOWN} more findings, in the JSON`);
    for (const problem of problems.slice(0, SHOWN)) lines.push(`PROBLEM ${problem}`);
    const said = new Map();
    for (const publisher of round.tier.publishers.values()) for (const [error, count] of publisher.errors) said.set(error, (said.get(error) ?? 0) + count);
    for (const [error, count] of round.tier.answers.errors) said.set(error, (said.get(error) ?? 0) + count);
    for (const [error, count] of said) lines.push(`Redis refused ${count} x ${error}`);
    const { acked, maybe, refused } = round.tier.history.counts();
    const none = journal.kinds.get('none').worst;
    lines.push(
        `published: ${acked} acknowledged, ${maybe} with an unknown outcome, ${refused} refused; ${result.delivered} deliveries to ${round.tier.audience.length} clients`,
        answersLine(round.tier),
        `lost ${sum.lost}, duplicated ${sum.duplicated}, reordered ${sum.reordered}, unannounced ${sum.unannounced}, refused ${sum.refused}, open ${sum.open}, early ${sum.early};`
            + ` worst delay ${Math.round(Math.max(...[...journal.kinds.values()].map((k) => k.worst)))} ms, without a fault ${Math.round(none)} ms`,
        `legitimate: ${result.gaps} x gateway:gap for ${sum.announced} events gone from Redis (${result.emptyGaps.length} where nothing was missing, of which ${result.snapshotGaps} before a snapshot); ${sum.untold} lost by Redis without a trace; ${sum.collided} with the id of one that was lost; ${sum.superseded} superseded; ${sum.again} published again`,
        `${passed(round) ? 'PASSED' : 'FAILED'}: shape ${settings.shape}, ${settings.seconds} s, seed ${settings.seed}`,
    );
    if (!passed(round)) lines.push(`again: make chaos SHAPE=${settings.shape} TIME=${settings.seconds} SEED=${settings.seed}`);
    return lines.join('\n');
}

function answersLine({ answers: { counts, readers } }) {
    const sum = (of) => readers.reduce((total, reader) => total + of(reader), 0);
    return `answers: ${Object.entries(counts).map(([what, count]) => `${count} ${what}`).join(', ')};`
        + ` ${readers.length} readers, ${sum(({ reloads }) => reloads)} reloads, ${sum(({ finished }) => Number(Boolean(finished)))} answered 204`;
}

/** A reader that has had its answer without a fault is one of very many. */
const worthShowing = ({ tries, finished, faults }) => !tries || !finished || faults.length > 0;

function table({ journal, result }) {
    const rows = [['fault', 'runs', 'deliveries', 'worst delay', 'empty gaps', 'announced', ...FAILURES, ' seen of the faults']];
    for (const [kind, { runs, deliveries, worst }] of [...journal.kinds].sort(([a], [b]) => a.localeCompare(b))) {
        const mine = sums(result.findings.filter(({ at }) => (at === undefined ? ['none'] : journal.blamedKinds(at, at)).includes(kind)));
        const empty = result.emptyGaps.filter((at) => journal.blamedKinds(at, at).includes(kind)).length;
        rows.push([kind, runs || '', deliveries, `${Math.round(worst)} ms`, empty || '', mine.announced || '', ...FAILURES.map((failure) => mine[failure] || '.'), runs ? ` ${effect(journal.seen(kind))}` : '']);
    }
    const widths = rows[0].map((_, i) => Math.max(...rows.map((row) => String(row[i]).length)));
    const left = (i) => i === 0 || i === widths.length - 1;
    return rows.map((row) => row.map((cell, i) => (left(i) ? String(cell).padEnd(widths[i]) : String(cell).padStart(widths[i]))).join('  ').trimEnd()).join('\n');
}

/** A fault that does nothing tests nothing: the round is not what it looks like. */
function noEffect(journal) {
    return journal.without.map((kind) => `NO EFFECT of "${kind}" in ${journal.kind(kind).runs} runs: ${effect(journal.seen(kind))}`);
}

const effect = (seen) => Object.entries(seen).map(([what, count]) => `${count} ${what}`).join(', ');

/** One finding, with what its client did at that time. */
function explain({ kind, client: name, channel, numbers, after, before, at, announced, words }, { journal, tier }) {
    const client = tier.audience.find((c) => c.name === name);
    const faults = at === undefined ? [] : journal.blame(at, at).map((fault) => `${fault.kind} (#${fault.index})`);
    const sent = (event) => (event?.sent > 1 ? `, sent ${event.sent} times` : '');
    const id = (n) => (n ? `${n} (${tier.history.event(channel, n)?.id ?? 'id unknown'}${sent(tier.history.event(channel, n))})` : 'the start');
    const lines = [`${kind.toUpperCase()} ${name} ${channel}: ${range(numbers)}, after ${id(after)}, ${before ? `before ${id(before)}` : 'and nothing more'}`
        + `${announced ? ', announced though Redis has it' : ''}; at ${at === undefined ? 'the end' : `${journal.seconds(at)} s`}${faults.length > 0 ? `, during or after ${faults.join(' and ')}` : ''}`];
    const near = client.diary.filter((note) => at === undefined || (note.at < at && (note.ended ?? Infinity) > at - 10000)).slice(-3);
    if (words) lines.push(`    it got .. ${words} ..`);
    for (const note of near) {
        lines.push(`    ${journal.seconds(note.at)} s to ${note.ended ? journal.seconds(note.ended) : 'the end'}${note.ended ? '' : ''}: ${note.gateway ?? note.error} ${note.end ?? ''}`
            + ` with id "${note.id}" ${note['gateway:open'] ?? ''} ${note['gateway:close'] ?? ''}`.trimEnd());
    }
    return lines;
}

function range(numbers) {
    if (numbers.length === 1) return `${numbers[0]}`;
    return `${numbers.length} events, ${numbers[0]} to ${numbers.at(-1)}`;
}

/** The ids of the events around a finding, by number. */
function ids({ channel, numbers, after, before }, { history, snapshots }) {
    const { events } = history.channels.get(channel) ?? { events: [] }; // a finding may be about several channels
    const id = (n) => events[n]?.id ?? snapshots.at(-1)?.kept.get(channel)?.get(n) ?? null;
    return Object.fromEntries([after - 1, after, ...numbers.slice(0, SHOWN), before].filter((n) => n > 0).map((n) => [n, id(n)]));
}

/** All of it, for machines. */
export function json({ settings, journal, tier, problems, result }) {
    return {
        ...settings,
        problems,
        sums: sums(result.findings),
        gaps: result.gaps,
        emptyGaps: result.emptyGaps.length,
        snapshotGaps: result.snapshotGaps,
        delivered: result.delivered,
        published: tier.history.counts(),
        kinds: Object.fromEntries([...journal.kinds].map(([kind, stats]) => [kind, { ...stats, seen: journal.seen(kind) }])),
        withoutEffect: journal.without,
        journal: journal.faults.map(({ from, to, ...fault }) => ({ ...fault, from: journal.seconds(from), to: journal.seconds(to) })),
        findings: result.findings.map(({ at, ...finding }) => ({ ...finding, ...(FAILURES.includes(finding.kind) && { ids: ids(finding, tier) }), at: at === undefined ? null : journal.seconds(at) })),
        answers: tier.answers.counts,
        clients: tier.audience.filter(worthShowing).map(({ name, channels, connects, diary, faults }) => ({ name, channels, connects, diary: diary.slice(-200), faults })),
    };
}

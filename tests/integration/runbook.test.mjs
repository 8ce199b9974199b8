// docs/runbook.md as a whole: symptoms, their tests, alerts and log lines belong together.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { parse } from 'yaml';
import { ROOT } from '../lib/paths.mjs';
import { commandsOf, facts, part, SYMPTOMS } from '../lib/runbook.mjs';

const read = (file) => fs.readFileSync(path.join(ROOT, file), 'utf8');
const FOLDER = 'tests/integration';
const ALERTS = parse(read('deploy/prometheus/alerts.yml')).groups.flatMap(({ rules }) => rules);

/** As GitHub makes the anchor of a heading. */
const anchor = (heading) => heading.toLowerCase().replace(/[^a-z0-9 _-]/g, '').replaceAll(' ', '-');

test('each symptom says what is seen, the cause, what to do and when it is over, in this order', () => {
    assert.ok(SYMPTOMS.size >= 35);
    for (const [heading, text] of SYMPTOMS) {
        assert.deepEqual([...text.matchAll(/^\*\*(\w+):\*\*/gm)].map(([, what]) => what), ['Seen', 'Cause', 'Do', 'Over'], heading);
        assert.ok(commandsOf(part(text, 'Do')).length > 0, `${heading}: what to type`);
        assert.equal(commandsOf(text).length, commandsOf(part(text, 'Do')).length, `${heading}: commands stand in Do`);
    }
});

test('each symptom has a test of its name, and each such test a symptom', () => {
    const tests = fs.readdirSync(path.join(ROOT, FOLDER)).filter((name) => /^runbook_\w+\.test\.mjs$/.test(name))
        .flatMap((name) => [...read(`${FOLDER}/${name}`).matchAll(/^symptom\('([^']+)'/gm)].map(([, heading]) => heading));
    assert.deepEqual(tests.sort(), [...SYMPTOMS.keys()].sort());
});

test('each alert names the symptom that names it, and the runbook names no other', () => {
    const named = new Map([...SYMPTOMS].flatMap(([heading, text]) => facts(part(text, 'Seen'), 'alert').map((alert) => [`${alert} ${anchor(heading)}`, heading])));
    for (const { alert, annotations } of ALERTS) {
        const [, at] = annotations.runbook?.match(/^docs\/runbook\.md#(.+)$/) ?? [];
        assert.ok(named.has(`${alert} ${at}`), `${alert}: runbook: ${annotations.runbook}`);
    }
    const alerts = new Set(ALERTS.map(({ alert }) => alert));
    assert.deepEqual([...named.keys()].filter((key) => !alerts.has(key.split(' ')[0])), []);
});

test('each metric that the runbook names is one of docs/', () => {
    const known = fs.readdirSync(path.join(ROOT, 'docs')).filter((name) => name.endsWith('.md') && name !== 'runbook.md').map((name) => read(`docs/${name}`)).join();
    for (const [name] of read('docs/runbook.md').matchAll(/sse_gateway_\w+[a-z]/g)) assert.ok(known.includes(name), name);
});

// A fault of the gateway; a kernel without random numbers or memory; lines for the one who traces an event, who reads them.
const NOT_MADE = ['FILE:LINE: ..', 'cannot sign a ticket', 'out of memory', 'cannot report a traced event', 'the traceparent or trace-to'];

/** The longest part of a line that does not differ from one time to the next. */
const fixed = (line) => line.split(/\.\.|\b[A-Z]+\b/).map((text) => text.trim()).reduce((a, b) => (b.length > a.length ? b : a));

test('each log line that asks for something has a symptom', () => {
    const lines = [...SYMPTOMS.values()].flatMap((text) => [...text.replace(/^```.*?^```$/gms, '').matchAll(/`([^`]+)`/g)].map(([, line]) => line.replaceAll('\n', ' ')));
    const rows = [...read('docs/operations.md').matchAll(/^\| (`.*?) \| [a-z, ]*(?:warn|error)[a-z, ]* \| (.*) \|$/gm)].filter(([, , todo]) => !/^nothing/.test(todo));
    assert.ok(rows.length > 30);
    const isTold = (line) => line.length > 6 && lines.some((told) => told.includes(fixed(line)) || (fixed(told).length > 10 && line.includes(fixed(told))));
    const missing = rows.map(([, cell]) => cell).filter((cell) => !NOT_MADE.some((text) => cell.startsWith(`\`${text}`)))
        .filter((cell) => ![...cell.matchAll(/`([^`]+)`/g)].some(([, line]) => isTold(line)));
    assert.deepEqual(missing, []);
});

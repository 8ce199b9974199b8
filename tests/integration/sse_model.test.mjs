// Random publishes with all options, by the function library and by the script, beside a plain model of what
// docs/protocol.md says: the same entries, messages, answers and lifetimes after each of them.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Random } from '../chaos/random.mjs';
import { LIBRARY, SCRIPT, connect, history, keyOf, listen } from '../lib/durable.mjs';
import { HistoryModel } from '../lib/history_model.mjs';
import { Redis } from '../lib/redis.mjs';
import { scopeOf } from '../lib/scope.mjs';

const SEED = process.env.SEED ?? String(Date.now());
const STEPS = 400;

// The library asks Redis for the time and says how long a key is to live. Here the key `clock` says the first, and the hash
// `ends` hears the second: nothing expires while a test is slow.
const CLOCK = `local function real() return redis end
local redis = {register_function = redis.register_function, pcall = function(command, ...)
    local call = real().pcall
    if command == 'TIME' then
        local ms = call('GET', 'clock')
        return {string.sub(ms, 1, -4), tostring(tonumber(string.sub(ms, -3)) * 1000)}
    elseif command == 'PEXPIRE' then
        local key, ms = ...
        return call('HSET', 'ends', key, string.format('%d', call('GET', 'clock') + ms))
    end
    return call(command, ...)
end}\n`;
const FUNCTIONS = LIBRARY.replace('\n', `\n${CLOCK}`);

const flat = (o) => Object.entries(o).flatMap(([name, value]) => [name, String(value)]);
const CALLS = {
    function: (client, channel, [[event, data]], retry, o) => client.call('FCALL', 'sse_publish', '1', channel, data, event, retry, ...flat(o)),
    script: (client, channel, [[event, data]], retry, o) => client.call('EVAL', CLOCK + SCRIPT, '1', channel, data, event, retry, ...flat(o)),
};
const appendMany = (client, channel, events, o) =>
    client.call('FCALL', 'sse_append', '1', channel, String(events.length), ...events.flat(), ...flat(o));

// What a run is made of. Entries are deleted from a history only where each one says its bytes, or none does: of what is
// deleted between two that say them, the room may be taken until it would have been trimmed.
const KINDS = {
    'no bytes are counted': { options: ['maxlen', 'maxage', 'key', 'after', 'snapshot', 'end'], xdel: true },
    'few bytes are kept, of single events': { options: ['maxlen', 'maxage', 'key', 'snapshot'], maxbytes: () => [700, 2000, 20000], always: true, xdel: true, single: true },
    'few bytes are kept': { options: ['maxlen', 'maxage', 'key', 'snapshot'], maxbytes: () => [700, 2000, 20000], always: true },
    'many bytes are kept': { options: ['maxlen', 'key'], maxbytes: () => [65536, 70000, 200000], always: true, big: true },
    'some events count bytes': { options: ['maxlen', 'maxage', 'key', 'snapshot', 'end', 'after'], maxbytes: () => [900, 66000] },
};

function randomOptions(random, kind, model) {
    const o = {};
    const pick = (list) => list[random.int(0, list.length - 1)];
    const values = {
        maxlen: () => pick([1, 5, 127, 128, 200, 1000]),
        maxage: () => pick([1, 60, 3600]),
        key: () => `k${random.int(0, 40)}`,
        after: () => (random.chance(0.7) ? (model.entries.at(-1)?.end ? 0 : model.entries.at(-1)?.offset ?? 0) : random.int(0, 5)),
        snapshot: () => 1,
        end: () => pick([1, 7200]),
    };
    const rare = { snapshot: 0.04, end: 0.02, after: 0.1, maxlen: 0.2, maxage: 0.1, key: 0.3 };
    for (const name of kind.options) if (random.chance(rare[name])) o[name] = values[name]();
    if (kind.maxbytes && (kind.always || random.chance(0.4))) o.maxbytes = pick(kind.maxbytes());
    if (random.chance(0.05)) o.traceparent = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';
    if (random.chance(0.05)) o['trace-to'] = 'sse:trace:0123456789abcdef0123456789abcdef';
    return o;
}

function randomEvents(random, kind, many) {
    const length = () => (random.chance(0.02) ? random.int(0, 40000) : random.int(0, kind.big ? 1500 : 120));
    const text = () => (random.chance(0.2) ? '50% \r\n of it\n' : '') + 'x'.repeat(length());
    const count = !many ? 1 : random.chance(0.1) ? random.int(200, 256) : random.int(1, 20);
    return Array.from({ length: count }, () => [['', '', 'token', 'a b%'][random.int(0, 3)], text()]);
}

async function advance(random, client, run) {
    const step = random.chance(0.02) ? -5000 : random.chance(0.05) ? random.int(900, 120000) : random.chance(0.5) ? 0 : random.int(1, 60);
    run.now += step;
    await client.set('clock', String(run.now));
}

async function disturb(random, kind, client, run, form) {
    const { model } = run;
    if (random.chance(0.01)) {
        await client.del(keyOf('n'));
        model.forget();
    }
    if (kind.xdel && random.chance(0.1)) {
        // A key lives as long as its newest entry said. Nobody knows any more what a deleted one said: so only the like goes.
        const [before, newest] = model.entries.slice(-2);
        const likeBefore = newest && [before, newest].every((e) => e.maxage === undefined && e.end === undefined);
        const index = likeBefore && random.chance(0.3) ? model.entries.length - 1 : random.int(0, model.entries.length - 2);
        if (model.entries.length > 1) {
            await client.xdel(keyOf('n'), model.entries[index].id);
            model.remove(index);
        }
    }
    if (form === 'function' && random.chance(0.05)) await client.call('FUNCTION', 'LOAD', 'REPLACE', FUNCTIONS);
}

// Each entry as text, without what the model and the library note for themselves.
const stored = (entries) => entries.map(({ bytes, counted, ...fields }) =>
    JSON.stringify(Object.entries(fields).map(([name, value]) => `${name} ${value}`.slice(0, 200)).sort()));

const difference = (entries, expected) => {
    const at = entries.findIndex((entry, i) => entry !== expected[i]);
    if (at < 0 && entries.length === expected.length) return '';
    return `${entries.length} entries, not ${expected.length}; at ${at}: ${entries.at(at)}\nand not ${expected.at(at)}`;
};

async function step(random, kind, client, run, form) {
    const { model } = run;
    await advance(random, client, run);
    await disturb(random, kind, client, run, form);
    const many = form === 'function' && !kind.single && random.chance(0.3);
    const o = randomOptions(random, kind, model);
    const events = randomEvents(random, kind, many);
    const retry = many || random.chance(0.9) ? '' : '250';
    const expected = model.publish(run.now, events, retry, o);
    const answer = await (many ? appendMany(client, 'n', events, o) : CALLS[form](client, 'n', events, retry, o)).catch((error) => error);
    const where = `SEED=${SEED}, step ${run.step}: ${many ? `sse_append of ${events.length}` : 'sse_publish'} ${JSON.stringify(o)}`;
    if (expected.error) {
        assert.equal(answer.message, `FENCED ${many ? 'sse_append' : 'sse_publish'}: ${expected.error}`, where);
    } else {
        assert.deepEqual(answer, [expected.id, expected.messages.length > 0 ? 1 : 0], where);
        run.messages.push(...expected.messages);
    }
    assert.equal(difference(stored(await history(client, 'n')), stored(model.entries)), '', where);
    if (expected.lifetime) {
        const left = Number(await client.hget('ends', keyOf('n'))) - Math.max(run.now, model.entries.at(-1).ms);
        const [least, most] = expected.lifetime.map((seconds) => seconds * 1000);
        assert.ok(left <= most + 1, `${where}: ${left} ms left, at most ${most}`);
        assert.ok(Number(await client.hget('ends', keyOf('n'))) - run.now >= least, `${where}: ${left} ms left, at least ${least}`);
    }
}

for (const [name, kind] of Object.entries(KINDS)) {
    for (const form of ['function', 'script']) {
        test(`${form}: random publishes store, publish, keep and answer what the protocol says: ${name}`, async (t) => {
            const scope = scopeOf(t);
            const redis = await Redis.start(scope);
            const client = connect(scope, redis);
            await client.call('FUNCTION', 'LOAD', 'REPLACE', FUNCTIONS);
            const heard = await listen(scope, redis, 'n');
            const random = new Random(SEED, `${name}/${form}`);
            const run = { now: 1764273600000, model: new HistoryModel(), messages: [], step: 0 };
            for (; run.step < STEPS; run.step++) await step(random, kind, client, run, form);
            await heard.count(run.messages.length);
            assert.deepEqual(heard.map(String), run.messages);
        });
    }
}

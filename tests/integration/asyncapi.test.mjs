// docs/asyncapi.yaml: a document that AsyncAPI's own parser takes, and whose schemas and examples are what a real gateway
// sends and what it takes.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { Parser } from '@asyncapi/parser';
import Ajv from 'ajv';
import { parse } from 'yaml';
import { bearer, Keys, ticketOf } from '../lib/bearer.mjs';
import { connect, listen, load } from '../lib/durable.mjs';
import { Gateway } from '../lib/gateway.mjs';
import { ROOT } from '../lib/paths.mjs';
import { Redis } from '../lib/redis.mjs';
import { scopeOf } from '../lib/scope.mjs';
import { Stream } from '../lib/stream.mjs';
import { startTier } from '../lib/tier.mjs';
import { until } from '../lib/wait.mjs';

const TEXT = fs.readFileSync(path.join(ROOT, 'docs/asyncapi.yaml'), 'utf8');
const api = parse(TEXT);
const { messages, securitySchemes } = api.components;
const ajv = new Ajv({ strict: false, validateSchema: false, allErrors: true }).addSchema(api, 'api');

/** Why `value` is not as the part of the document at `place` says: '' where it is. */
function faults(place, value) {
    const validate = ajv.getSchema(`api#/components/${place}`);
    return validate(value) ? '' : `${place}: ${ajv.errorsText(validate.errors)}: ${JSON.stringify(value)}`;
}

/** Asserts that an event of the stream, { id, event, retry, data }, is the message `name`. */
function assertIs(name, { data, ...headers }) {
    const payload = messages[name].contentType === 'application/json' ? JSON.parse(data) : data;
    assert.equal(faults(`messages/${name}/headers`, headers), '');
    assert.equal(faults(`messages/${name}/payload`, payload), '');
    return payload;
}

/** What has come over a stream, as { id, event, retry, data }; the first `retry:` and the last one belong to no event. */
function eventsOf(stream) {
    const blocks = stream.body.replace(/^retry: \d+\n/, '').replace(/^:\n/gm, '').split('\n\n').slice(0, -1);
    return blocks.map((block) => {
        const event = {};
        for (const [, name, value] of block.matchAll(/^(\w+): (.*)$/gm)) {
            if (name === 'retry') event.retry = Number(value);
            else event[name] = name === 'data' && 'data' in event ? `${event.data}\n${value}` : value;
        }
        return event;
    }).filter((event) => 'data' in event);
}

async function open(scope, gateway, path, options) {
    const stream = await Stream.open(gateway.port, path, { keep: true, ...options });
    scope.defer(() => stream.close());
    stream.event = (name) => until(`${name} on ${path}`, () => eventsOf(stream).find((event) => event.event === name));
    return stream;
}

const sorted = (event) => Object.fromEntries(Object.entries(event).sort(([a], [b]) => a.localeCompare(b)));
const errorsOf = async (text) => (await new Parser().parse(text)).diagnostics.filter(({ severity }) => severity <= 1).map(({ path, message }) => `${path.join('.')}: ${message}`);

test("AsyncAPI's parser has nothing to say against docs/asyncapi.yaml, and notices what is misspelt or missing", async () => {
    assert.deepEqual(await errorsOf(TEXT), []);
    for (const [from, to] of [['action: receive', 'action: recieve'], ["$ref: '#/components/messages/event'", "$ref: '#/components/messages/evnt'"], ['type: httpApiKey', 'type: apiKeyy']]) {
        assert.ok(TEXT.includes(from), from);
        assert.notDeepEqual(await errorsOf(TEXT.replace(from, to)), [], `${to} is noticed`);
    }
});

test('each message has examples that are as its schemas say, and no message takes the control events of another', () => {
    for (const [name, message] of Object.entries(messages)) {
        assert.ok(message.examples.length > 0, name);
        for (const { headers, payload } of message.examples) {
            assert.equal(faults(`messages/${name}/payload`, payload), '');
            if (headers) assert.equal(faults(`messages/${name}/headers`, headers), '');
        }
    }
    const control = ['gatewayOpen', 'gatewayGap', 'gatewayEnd', 'gatewayClose'];
    for (const one of control) {
        for (const other of ['event', 'durableEvent', ...control.filter((name) => name !== one)])
            assert.notEqual(faults(`messages/${other}/headers`, messages[one].examples[0].headers), '', `${one} is no ${other}`);
    }
});

test('gateway:open and gateway:gap of a real stream are as the file says: fresh, resumed, with a hole, and of a plain channel', async (t) => {
    const scope = scopeOf(t);
    const { redis, gateways: [gateway, other] } = await startTier(scope, { gateways: 2 });
    const client = connect(scope, redis);
    await load(client);
    const append = (n) => client.call('FCALL', 'sse_publish', 1, 'kept', String(n), '', '', 'maxlen', '2');
    await append(1);
    const first = await open(scope, gateway, '/stream?channel=kept&channel=plain&control=1');
    const begin = await first.event('gateway:open');
    assert.deepEqual(assertIs('gatewayOpen', begin).channels, { kept: 'fresh', plain: 'fresh' });

    await redis.cli(['client', 'kill', 'type', 'pubsub']);
    assert.deepEqual(assertIs('gatewayGap', await until('the gap of the plain channel', () => eventsOf(first).find(({ event, data }) => event === 'gateway:gap' && data.includes('"plain"')))),
        { channel: 'plain', from: null, to: null });

    await until('both to be ready', async () => (await gateway.ready()) && other.ready());
    await append(2);
    const resumed = await open(scope, gateway, `/stream?channel=kept&last_event_id=${begin.id}&control=1`);
    assert.deepEqual(assertIs('gatewayOpen', await resumed.event('gateway:open')).channels, { kept: 'resumed' });
    for (const n of [3, 4, 5]) await append(n);
    const hole = await open(scope, other, `/stream?channel=kept&last_event_id=${begin.id}&control=1`);
    assert.deepEqual(assertIs('gatewayOpen', await hole.event('gateway:open')).channels, { kept: 'gap' });
    assert.deepEqual(assertIs('gatewayGap', await hole.event('gateway:gap')), { channel: 'kept', from: 2, to: 3 });
});

test('gateway:end is as the file says, and gateway:close behind it says ended', async (t) => {
    const scope = scopeOf(t);
    const { redis, gateway } = await startTier(scope);
    const client = connect(scope, redis);
    await load(client);
    const stream = await open(scope, gateway, '/stream?channel=answer&control=1&source=1');
    await client.call('FCALL', 'sse_publish', 1, 'answer', 'all', '', '', 'end', '60');
    const end = await stream.event('gateway:end');
    assert.deepEqual(assertIs('gatewayEnd', end), { channel: 'answer' });
    assert.equal(end.source, 'answer');
    assert.equal(assertIs('gatewayClose', await stream.event('gateway:close')).reason, 'ended');
});

test('gateway:close is as the file says for each reason that can be had here, and its reasons are those of docs/protocol.md', async (t) => {
    const scope = scopeOf(t);
    const redis = await Redis.start(scope);
    const keys = new Keys(scope);
    const gateway = await Gateway.start(scope, { redis, args: [...keys.args, '--max-connections-per-user', '1', '--user-cap-policy', 'oldest'] });
    const of = (user, claims) => open(scope, gateway, `/stream?channel=user:${user}&control=1`, { headers: bearer(keys.token(user, claims)) });
    const reason = async (stream) => assertIs('gatewayClose', await stream.event('gateway:close')).reason;
    const expires = await of('e', { exp: Math.floor(Date.now() / 1000) + 2 });
    const replaced = await of('a');
    const revoked = await of('b', { iat: Math.floor(Date.now() / 1000) - 5 });
    const drained = await of('a');
    await redis.cli(['publish', '__sse:revoke', `sub ${Math.floor(Date.now() / 1000) - 1} b`]);
    const aged = await Gateway.start(scope, { redis, args: ['--max-stream-age', '1s'] });
    assert.equal(await reason(await open(scope, aged, '/stream?channel=x&control=1')), 'age');
    assert.deepEqual([await reason(replaced), await reason(revoked), await reason(expires)], ['replaced', 'revoked', 'expired']);
    gateway.terminate();
    assert.equal(await reason(drained), 'drain');

    const row = fs.readFileSync(path.join(ROOT, 'docs/protocol.md'), 'utf8').match(/^\| `gateway:close` \| (.*?) \|/m)[1];
    const named = [...row.matchAll(/`(?:\{"reason":")?([a-z]+)(?:"\})?`/g)].map(([, name]) => name);
    assert.deepEqual([...messages.gatewayClose.payload.properties.reason.enum].sort(), named.sort());
});

test('what the examples publish arrives as the examples of the stream have it, and is as their schemas say', async (t) => {
    const scope = scopeOf(t);
    const { redis, gateway } = await startTier(scope, { args: ['--durable', 'kept'] });
    const client = connect(scope, redis);
    await load(client);
    const plain = await open(scope, gateway, '/stream?channel=plain');
    for (const { payload } of [...messages.plain.examples, ...messages.envelope.examples]) await redis.publish('plain', payload);
    const wanted = messages.plain.examples.length + messages.envelope.examples.length;
    await until('each of them', () => eventsOf(plain).length === wanted);
    for (const event of eventsOf(plain)) assertIs('event', event);
    for (const { headers, payload } of messages.event.examples)
        assert.ok(eventsOf(plain).some((event) => JSON.stringify(sorted(event)) === JSON.stringify(sorted({ ...headers, data: payload }))), payload);

    const kept = await open(scope, gateway, '/stream?channel=kept');
    for (const { payload } of messages.durable.examples) await client.call('FCALL', 'sse_publish', 1, 'kept', ...payload);
    const durable = () => eventsOf(kept).filter(({ event }) => event !== 'gateway:open');
    await until('each of them', () => durable().length === messages.durable.examples.length);
    for (const event of durable()) assertIs('durableEvent', event);
    const [{ headers, payload }] = messages.durableEvent.examples;
    assert.deepEqual(durable().map(({ event, data }) => [event, data]), [[undefined, payload], [headers.event, payload]]);
});

test('with source=1 events, durable ones and gaps name their channel as the file says, and without it nothing does', async (t) => {
    const scope = scopeOf(t);
    const { redis, gateway } = await startTier(scope, { args: ['--max-message', '100'] });
    const client = connect(scope, redis);
    await load(client);
    assert.equal(faults('schemas/query', { channel: ['plain', 'kept'], source: '1' }), '');
    const [named, other] = await Promise.all(['&source=1', ''].map((more) => open(scope, gateway, `/stream?channel=plain&channel=kept${more}`)));
    await redis.publish('plain', 'hello');
    await client.call('FCALL', 'sse_publish', 1, 'kept', '1');
    await redis.publish('plain', 'x'.repeat(101)); // too large: a gap
    await Promise.all([named.event('gateway:gap'), other.event('gateway:gap')]);
    for (const [stream, sources] of [[named, [/^plain$/, /^kept \d+-1$/, /^plain$/]], [other, [/^undefined$/, /^undefined$/, /^undefined$/]]]) {
        const events = eventsOf(stream).filter(({ event }) => event !== 'gateway:open');
        assert.equal(events.length, 3);
        ['event', 'durableEvent', 'gatewayGap'].forEach((kind, i) => assertIs(kind, events[i]));
        events.forEach(({ source }, i) => assert.match(String(source), sources[i]));
    }
});

test('a traced event, published with every option that the file counts, is delivered and reported as the file says', async (t) => {
    const scope = scopeOf(t);
    const { redis, gateway } = await startTier(scope);
    const client = connect(scope, redis);
    await load(client);
    const trace = '9d1c0f3ab1e24c33a5d50f5d3cf7a1c2';
    const heard = await listen(scope, redis, api.channels.traces.address.replace('{trace}', trace));
    const stream = await open(scope, gateway, '/stream?channel=kept');
    const traced = ['traceparent', '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01', 'trace-to', `sse:trace:${trace}`];
    const payload = ['{"total":3}', 'order', '5000', 'maxlen', '100', 'maxage', '3600', 'pubsub', 'classic', ...traced];
    assert.equal(faults('messages/durable/payload', payload), '');
    assert.notEqual(faults('messages/durable/payload', [...payload, 'a']), '', 'there is no sixth option');
    await client.call('FCALL', 'sse_publish', 1, 'kept', ...payload);
    assertIs('durableEvent', await stream.event('order'));
    await redis.publish('kept', messages.envelope.examples.at(-1).payload);
    for (const report of await heard.count(2)) assert.equal(faults('messages/traceReport/payload', JSON.parse(report)), '');
    assert.deepEqual(Object.keys(JSON.parse(heard[0])).sort(), Object.keys(messages.traceReport.payload.properties).sort());
});

test('names of channels that the file allows open a stream, and others do not', async (t) => {
    const scope = scopeOf(t);
    const { gateway } = await startTier(scope);
    const names = ['news', 'user:42', 'a.b_c:d@e/f-g', 'x'.repeat(128), 'x'.repeat(129), '__x', '_x', 'sse:x', 'sseX', 'ss', 'a b', 'a*', 'ü', 'a{b}', ''];
    for (const name of names) {
        const stream = await open(scope, gateway, `/stream?channel=${encodeURIComponent(name)}`);
        assert.equal(stream.status, faults('schemas/query', { channel: [name] }) ? 400 : 200, name);
        stream.close();
    }
    assert.equal(faults('schemas/query', { channel: ['a'], control: '1', last_event_id: 'earliest' }), '');
});

test('each way to show a token that the file names opens a stream, and none opens none', async (t) => {
    const scope = scopeOf(t);
    const redis = await Redis.start(scope);
    const keys = new Keys(scope);
    const gateway = await Gateway.start(scope, { redis, anonymous: ['public'], args: keys.args });
    const { bearer: header, cookie, ticket } = securitySchemes;
    const token = keys.token('1');
    assert.deepEqual([header.scheme, cookie.in, ticket.in], ['bearer', 'cookie', 'query']);
    const status = async (path, headers) => {
        const stream = await open(scope, gateway, path, { headers });
        stream.close();
        return stream.status;
    };
    assert.equal(await status('/stream?channel=user:1', {}), 401);
    assert.equal(await status('/stream?channel=public', {}), 200);
    assert.equal(await status('/stream?channel=user:1', { Authorization: `Bearer ${token}` }), 200);
    assert.equal(await status('/stream?channel=user:1', { Cookie: `${cookie.name}=${token}` }), 200);
    assert.equal(await status(`/stream?channel=user:1&${ticket.name}=${await ticketOf(gateway, token)}`, {}), 200);
});

test('announcements of a real gateway, its last one too, are as the file says', async (t) => {
    const scope = scopeOf(t);
    const redis = await Redis.start(scope);
    const heard = await listen(scope, redis, api.channels.announcements.address);
    const gateway = await Gateway.start(scope, { redis });
    await heard.count(2);
    gateway.terminate();
    await gateway.process.exit();
    const all = await until('the last one', () => heard.length > 0 && heard.at(-1).includes('leaving') && heard.map((payload) => JSON.parse(payload)));
    const known = Object.keys(messages.announcement.payload.properties);
    for (const one of all) {
        assert.equal(faults('messages/announcement/payload', one), '');
        assert.deepEqual(Object.keys(one).filter((member) => !known.includes(member)), [], 'members that the file lacks');
    }
});

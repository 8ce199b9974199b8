import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SseDecoder } from './sse_decoder.mjs';

function decode(...parts) {
    const events = [];
    const decoder = new SseDecoder((event) => events.push(event));
    for (const part of parts) decoder.push(Buffer.from(part));
    return { events, decoder };
}
const datas = (...parts) => decode(...parts).events.map((e) => e.data);

test('decoder: the examples of the standard', () => {
    assert.deepEqual(datas('data: YHOO\ndata: +2\ndata: 10\n\n'), ['YHOO\n+2\n10']);
    const { events } = decode(': test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\n');
    assert.deepEqual(events, [
        { type: 'message', data: 'first event', lastEventId: '1' },
        { type: 'message', data: 'second event', lastEventId: '' },
        { type: 'message', data: ' third event', lastEventId: '' },
    ]);
    assert.deepEqual(datas('data\n\ndata\ndata\n\ndata:'), ['', '\n']);
    assert.deepEqual(datas('data:test\n\ndata: test\n\n'), ['test', 'test']);
});

test('decoder: LF, CR and CRLF end a line, also where a read cuts CRLF in two', () => {
    assert.deepEqual(datas('data: a\rdata: b\r\ndata: c\n\r\n'), ['a\nb\nc']);
    assert.deepEqual(datas('data: a\r', '\ndata: b\r\n', '\r', '\ndata: c\n\n'), ['a\nb', 'c']);
    assert.deepEqual(datas('data: a\r\r'), ['a']);
    assert.deepEqual(datas('data: a\r', '', '\n', '\n'), ['a']);
    assert.deepEqual(datas(...'data: a\r\ndata: b\rdata: c\n\n\r\n\rdata: d\r\n\n'), ['a\nb\nc', 'd']);
});

test('decoder: an unfinished event at the end is discarded', () => {
    assert.deepEqual(datas('data: a\n\ndata: b\n'), ['a']);
});

test('decoder: the id is committed at the blank line, even with no data, and a NUL in it is ignored', () => {
    assert.equal(decode('id: 7\n').decoder.lastEventId, '');
    const { events, decoder } = decode('id: 7\n\nid: 8\0\ndata: x\n\n');
    assert.equal(decoder.lastEventId, '7');
    assert.deepEqual(events, [{ type: 'message', data: 'x', lastEventId: '7' }]);
});

test('decoder: an event name belongs to one block only', () => {
    const { events } = decode('event: a\n\ndata: x\n\nevent: b\ndata: y\n\n');
    assert.deepEqual(events.map((e) => e.type), ['message', 'b']);
});

test('decoder: retry takes ASCII digits only', () => {
    assert.equal(decode('retry: 25\nretry: 3s\nretry: \nretry: -1\n').decoder.retry, 25);
});

test('decoder: one BOM at the start is dropped, field names are exact, characters may be cut by reads', () => {
    assert.deepEqual(datas('\ufeffdata: a\n\n\ufeffdata: b\n\nData: c\n\n data: d\n\n'), ['a']);
    const euro = Buffer.from('data: \u20ac\n\n');
    assert.deepEqual(datas(euro.subarray(0, 7), euro.subarray(7, 8), euro.subarray(8)), ['\u20ac']);
});

// Payloads that have broken other servers, and what a client must see: `data` (and perhaps `type`, `id`), or that nothing comes.

const lines = (text) => text.replace(/\r\n|\r|\n/g, '\n');
const envelope = (fields, body) => Buffer.concat([Buffer.from(`\x1eSSE/1\n${fields}\n`), Buffer.from(body)]);
const bytes = (...values) => Buffer.from(values);
const KiB = 1024;

const TEXTS = {
    'a word': 'hello',
    'an empty body': '',
    'one space': ' ',
    'a leading space': ' indented',
    'two leading spaces': '  indented',
    'trailing spaces': 'x  ',
    'a tab': '\tx\t',
    'LF in the middle': 'a\nb',
    'CR in the middle': 'a\rb',
    'CRLF in the middle': 'a\r\nb',
    'LF then CR': 'a\n\rb',
    'all line ends in a row': 'a\r\n\r\r\n\n\nb',
    'a final LF': 'a\n',
    'a final CR': 'a\r',
    'a final CRLF': 'a\r\n',
    'nothing but LF': '\n',
    'nothing but CRLF': '\r\n',
    'a first LF': '\na',
    'a data field': 'data: x',
    'a data field in a later line': 'a\ndata: x',
    'an event field': 'event: evil',
    'a forged event after LF LF': 'a\n\nevent: evil\ndata: x\n\n',
    'a forged event after CR CR': 'a\r\revent: evil\rdata: x\r\r',
    'a forged event after CRLF CRLF': 'a\r\n\r\nevent: evil\r\ndata: x\r\n\r\n',
    'a forged id and retry': 'a\nid: 666\nretry: 1\n',
    'a comment': ': no comment',
    'a colon': ':',
    'JSON': '{"a":[1,2.50,"\\u0000\\n"],"b":"\u00e4\u20ac\u{1f600}"}',
    'text beyond ASCII': '\u00e4\u00f6\u00fc \u20ac \u{1f600} \u2028\u2029\u0085\u00a0',
    'a byte order mark': '\ufeffx',
    'the highest character': '\u{10ffff}',
    'control characters but NUL': Array.from({ length: 31 }, (_, i) => String.fromCharCode(i + 1)).filter((c) => !'\r\n'.includes(c)).join(''),
    'a chunk end': 'a\r\n0\r\n\r\nb',
    'almost an envelope': '\x1eSSE/2\nevent: x\n\nbody',
    'half an envelope mark': '\x1eSSE',
    'a large text': 'x'.repeat(300 * KiB),
    'many lines': 'line\n'.repeat(20000),
    '1 MiB': 'm'.repeat(KiB * KiB),
};

const DROPPED = {
    'a NUL': 'a\0b',
    'a single NUL': '\0',
    'a lone continuation byte': bytes(0x61, 0x80, 0x62),
    'a cut sequence at the end': bytes(0x61, 0xe2, 0x82),
    'an overlong slash': bytes(0xc0, 0xaf),
    'an overlong NUL': bytes(0xc0, 0x80),
    'a surrogate': bytes(0xed, 0xa0, 0x80),
    'a character above U+10FFFF': bytes(0xf4, 0x90, 0x80, 0x80),
    'a byte that UTF-8 never has': bytes(0xff),
    'latin1 text': Buffer.from('caf\u00e9', 'latin1'),
    'an envelope with a NUL in its body': envelope('event: x\n', 'a\0b'),
    'an envelope with invalid UTF-8 in its body': envelope('event: x\n', bytes(0xff)),
    'an envelope with invalid UTF-8 in the event name': Buffer.concat([Buffer.from('\x1eSSE/1\nevent: '), bytes(0xff), Buffer.from('\n\nx')]),
    'an envelope with a NUL in its id': envelope('id: a\0b\n', 'x'),
    'an envelope with a CR in its event name': envelope('event: a\rdata: evil\n', 'x'),
    'an envelope with a retry that is no number': envelope('retry: soon\n', 'x'),
    'an envelope with a negative retry': envelope('retry: -1\n', 'x'),
    'an envelope that claims a name of ours': envelope('event: gateway:gap\n', 'x'),
    'an envelope without its blank line': Buffer.from('\x1eSSE/1\nevent: x'),
};

// Their streams are told that they were lost; of the others, no event was ever made.
const TOO_LARGE = {
    'one byte more than --max-message': 'm'.repeat(KiB * KiB + 1),
    'four times --max-message': 'm'.repeat(4 * KiB * KiB),
};

const ENVELOPES = {
    'an envelope with an id that could not come back as a header, without that id,': { payload: envelope('event: order\nid: a\x01b\n', 'x'), data: 'x', type: 'order' },
    'an envelope with an id beyond 1 KiB, without that id,': { payload: envelope(`id: ${'7'.repeat(1025)}\n`, 'x'), data: 'x', type: 'message' },
    'an envelope with all fields': { payload: envelope('event: order\nid: 42\nretry: 5000\n', '{"total":3}'), data: '{"total":3}', type: 'order', id: '42', retry: 5000 },
    'an envelope without fields': { payload: envelope('', 'plain'), data: 'plain', type: 'message' },
    'an envelope with an empty body': { payload: envelope('event: tick\n', ''), data: '', type: 'tick' },
    'an envelope with unknown fields': { payload: envelope('color: red\nevent: x\nzzz\n', 'y'), data: 'y', type: 'x' },
    'an envelope whose body looks like fields': { payload: envelope('event: x\n', '\n\nevent: evil\ndata: y\n\n'), data: '\n\nevent: evil\ndata: y\n\n', type: 'x' },
    'an envelope with line ends in its body': { payload: envelope('event: x\n', 'a\r\nb\rc\nd'), data: 'a\nb\nc\nd', type: 'x' },
    'an envelope with a name beyond ASCII': { payload: envelope('event: \u00fcbung\n', 'x'), data: 'x', type: '\u00fcbung' },
    'an envelope inside an envelope': { payload: envelope('event: x\n', '\x1eSSE/1\nevent: y\n\nz'), data: '\x1eSSE/1\nevent: y\n\nz', type: 'x' },
};

export const DELIVERED = [
    ...Object.entries(TEXTS).map(([name, payload]) => ({ name, payload, data: lines(payload), type: 'message' })),
    ...Object.entries(ENVELOPES).map(([name, rest]) => ({ name, ...rest })),
];

export const REFUSED = [
    ...Object.entries(DROPPED).map(([name, payload]) => ({ name, payload, announced: false })),
    ...Object.entries(TOO_LARGE).map(([name, payload]) => ({ name, payload, announced: true })),
];

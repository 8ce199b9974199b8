// sse-publish against a real Redis: what arrives, what it prints, and how it fails.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { test } from 'node:test';
import { command } from '../lib/command.mjs';
import { noNetns } from '../lib/netns.mjs';
import { PUBLISH, ROOT } from '../lib/paths.mjs';
import { Redis } from '../lib/redis.mjs';
import { scopeOf } from '../lib/scope.mjs';
import { until } from '../lib/wait.mjs';

const VERSION = fs.readFileSync(path.join(ROOT, 'Makefile'), 'utf8').match(/^VERSION +:= (.*)$/m)[1];
const ENVELOPE = '\x1eSSE/1\n';

const publish = (redis, args, options) => command(PUBLISH, ['--redis', redis.url, ...args], options);

/** Collects, byte for byte, what Redis delivers on one channel. */
class Subscriber {
    static async start(scope, redis, channel) {
        const subscriber = new Subscriber();
        subscriber.bytes = Buffer.alloc(0);
        subscriber.messages = [];
        subscriber.socket = net.connect(redis.port, '127.0.0.1');
        subscriber.socket.on('data', (data) => subscriber.feed(data));
        subscriber.socket.on('error', () => {});
        scope.defer(() => subscriber.socket.destroy());
        subscriber.socket.write(`SUBSCRIBE ${channel}\r\n`);
        await redis.subscribed(channel, 1);
        return subscriber;
    }

    feed(data) {
        this.bytes = Buffer.concat([this.bytes, data]);
        for (let parts = this.take(); parts; parts = this.take()) {
            if (parts[0].toString() === 'message') this.messages.push(parts[2]);
        }
    }

    /** One array of three bulk strings (or an integer at its end), taken off the buffer; undefined where it is not whole. */
    take() {
        let at = 0;
        const line = () => {
            const end = this.bytes.indexOf('\r\n', at);
            if (end < 0) return undefined;
            const text = this.bytes.toString('latin1', at, end);
            at = end + 2;
            return text;
        };
        if (line() === undefined) return undefined;
        const parts = [];
        while (parts.length < 3) {
            const head = line();
            if (head === undefined) return undefined;
            const length = head[0] === '$' ? Number(head.slice(1)) : -2;
            if (at + length + 2 > this.bytes.length) return undefined;
            parts.push(this.bytes.subarray(at, at + Math.max(length, 0)));
            at += length + 2;
        }
        this.bytes = this.bytes.subarray(at);
        return parts;
    }

    async received(count) {
        await until(`${count} messages (there are ${this.messages.length})`, () => this.messages.length >= count);
        assert.equal(this.messages.length, count);
        return this.messages;
    }
}

function assertEnds(result, code, out, err) {
    assert.equal(result.code, code, `status ${result.code ?? result.signal}: ${result.err}${result.out}`);
    for (const [said, expected] of [[result.out, out], [result.err, err]]) {
        if (expected instanceof RegExp) assert.match(said, expected);
        else assert.equal(said, expected);
    }
}

const ARRIVES = {
    'an argument': [['hello'], '', 'hello'],
    'an empty argument': [[''], '', ''],
    'an argument that begins with a dash': [['--', '-5'], '', '-5'],
    'JSON, byte for byte': [['{"a": 1,\n"b":  2}'], '', '{"a": 1,\n"b":  2}'],
    'standard input without its last line break': [[], 'hi\n', 'hi'],
    'standard input, named': [['-'], 'a\nb\r\n', 'a\nb'],
    'standard input with two line breaks at its end': [[], 'hi\n\n', 'hi\n'],
    'empty standard input': [[], '', ''],
    'all fields': [['--event', 'order', '--id', '17', '--retry', '250', 'x'], '', `${ENVELOPE}event: order\nid: 17\nretry: 250\n\nx`],
    'an empty id': [['--id=', 'x'], '', `${ENVELOPE}id: \n\nx`],
    'data that looks like an envelope': [[], `${ENVELOPE}event: evil\n\nx`, `${ENVELOPE}\n${ENVELOPE}event: evil\n\nx`],
    'a megabyte': [[], 'é'.repeat(1 << 19), 'é'.repeat(1 << 19)],
};

for (const [name, [args, input, expected]] of Object.entries(ARRIVES)) {
    test(`${name} arrives`, async (t) => {
        const scope = scopeOf(t);
        const redis = await Redis.start(scope);
        const subscriber = await Subscriber.start(scope, redis, 'news');
        const words = args[0] === '--' ? ['--', 'news', ...args.slice(1)] : [...args.slice(0, -1), 'news', ...args.slice(-1)];
        assertEnds(await publish(redis, words, { input }), 0, '1 gateway\n', '');
        const [message] = await subscriber.received(1);
        assert.ok(message.equals(Buffer.from(expected)), `${message.length} bytes: ${message.toString('latin1', 0, 200)}`);
    });
}

test('what no gateway can pass on is published with a warning', async (t) => {
    const scope = scopeOf(t);
    const redis = await Redis.start(scope);
    const subscriber = await Subscriber.start(scope, redis, 'news');
    const bytes = Buffer.from(Array.from({ length: 256 }, (_, i) => i));
    assertEnds(await publish(redis, ['news'], { input: bytes }), 0, '1 gateway\n', /^sse-publish: warning: .* NUL byte\n$/);
    assertEnds(await publish(redis, ['news'], { input: Buffer.from([0xff]) }), 0, '1 gateway\n', /^sse-publish: warning: .* UTF-8 text\n$/);
    const messages = await subscriber.received(2);
    assert.ok(messages[0].equals(bytes));
});

test('what is larger than gateways let through is published with a warning that tells both sizes', async (t) => {
    const scope = scopeOf(t);
    const redis = await Redis.start(scope);
    const heard = await Subscriber.start(scope, redis, 'news');
    const most = 'x'.repeat(1 << 20);
    const said = /^sse-publish: warning: the message has 1048577 bytes, and gateways drop what has more than their --max-message: 1048576 unless set[^\n]*\n$/;
    assertEnds(await publish(redis, ['news'], { input: most }), 0, '1 gateway\n', '');
    assertEnds(await publish(redis, ['news'], { input: `${most}x` }), 0, '1 gateway\n', said);
    assertEnds(await publish(redis, ['--max-message', '2MiB', 'news'], { input: `${most}x` }), 0, '1 gateway\n', '');
    const small = ['--max-message=19', '--event=e', 'news'];
    assertEnds(await publish(redis, [...small, 'xx']), 0, '1 gateway\n', ''); // what counts is the message with its envelope
    assertEnds(await publish(redis, [...small, 'xxx']), 0, '1 gateway\n', /^sse-publish: warning: the message has 20 bytes,.* 19 as given/);
    assertEnds(await publish(redis, ['--durable', 'news'], { input: `${most}x` }), 0, /^1 gateway, id /, /the message has 1048577 bytes,[^\n]*; it is kept, and read in vain by each client that comes back\n$/);
    assertEnds(await publish(redis, ['--lines', '--max-message', '3', 'news'], { input: 'one\nfour\nfives\n' }), 0, '3 lines, 1 gateway\n', /^sse-publish: warning: line 2 has 4 bytes, [^\n]*\n$/);
    await heard.received(9);
});

test('standard input that does not block, as a parent may leave it, is waited for', async (t) => {
    const scope = scopeOf(t);
    const redis = await Redis.start(scope);
    const subscriber = await Subscriber.start(scope, redis, 'news');
    const unblock = 'fcntl(STDIN, F_SETFL, O_NONBLOCK) or die; exec @ARGV';
    const child = spawn('perl', ['-MFcntl', '-e', unblock, PUBLISH, '--redis', redis.url, '--lines', 'news'], { stdio: ['pipe', 'ignore', 'inherit'] });
    scope.defer(() => child.kill('SIGKILL'));
    const ended = new Promise((resolve) => child.once('close', resolve));
    child.stdin.on('error', () => {}); // its status says why it ended
    for (const [i, text] of ['one\n', 'two\n'].entries()) {
        child.stdin.write(text);
        await subscriber.received(i + 1);
    }
    child.stdin.end();
    assert.equal(await ended, 0);
});

test('it prints how many received, for people and for machines', async (t) => {
    const scope = scopeOf(t);
    const redis = await Redis.start(scope);
    assertEnds(await publish(redis, ['news', 'x']), 0, '0 gateways\n', /^sse-publish: warning: no gateway .*"news".*\n$/);
    assertEnds(await publish(redis, ['--json', 'news', 'x']), 0, '{"channel":"news","receivers":0}\n', '');
    assertEnds(await publish(redis, ['--lines', '--json', 'news']), 0,
        '{"channel":"news","lines":0,"receivers_min":0,"receivers_max":0}\n', '');
    await Subscriber.start(scope, redis, 'news');
    assertEnds(await publish(redis, ['--json', 'news', 'x']), 0, '{"channel":"news","receivers":1}\n', '');
    assertEnds(await publish(redis, ['--lines', '--json', 'news'], { input: 'a\nb' }), 0,
        '{"channel":"news","lines":2,"receivers_min":1,"receivers_max":1}\n', '');
    assertEnds(await publish(redis, ['--lines', 'news'], { input: 'a\n' }), 0, '1 line, 1 gateway\n', '');
});

test('100,000 lines arrive, each once and in order', async (t) => {
    const scope = scopeOf(t);
    const redis = await Redis.start(scope);
    const subscriber = await Subscriber.start(scope, redis, 'news');
    const lines = Array.from({ length: 100000 }, (_, i) => (i % 1000 === 0 ? '' : `line ${i}`));
    assertEnds(await publish(redis, ['--lines', 'news'], { input: lines.join('\r\n') + '\n' }), 0, '100000 lines, 1 gateway\n', '');
    const messages = await subscriber.received(lines.length);
    assert.equal(messages.findIndex((message, i) => message.toString() !== lines[i]), -1);
});

test('a line goes out while the input stays open', async (t) => {
    const scope = scopeOf(t);
    const redis = await Redis.start(scope);
    const subscriber = await Subscriber.start(scope, redis, 'news');
    const child = spawn(PUBLISH, ['--redis', redis.url, '--lines', '--event', 'log', 'news'], { stdio: ['pipe', 'ignore', 'inherit'] });
    scope.defer(() => child.kill('SIGKILL'));
    for (const [i, text] of ['one\n', 'two\nthr', 'ee\n'].entries()) {
        child.stdin.write(text);
        await subscriber.received(i + 1);
    }
    child.stdin.end();
    assert.deepEqual(subscriber.messages.map(String), ['one', 'two', 'three'].map((data) => `${ENVELOPE}event: log\n\n${data}`));
});

test('a Redis that dies is told, with how many lines it had confirmed', async (t) => {
    const scope = scopeOf(t);
    const redis = await Redis.start(scope);
    const subscriber = await Subscriber.start(scope, redis, 'news');
    const child = spawn(PUBLISH, ['--redis', redis.url, '--lines', 'news'], { stdio: ['pipe', 'pipe', 'pipe'] });
    scope.defer(() => child.kill('SIGKILL'));
    let out = '';
    let err = '';
    child.stdout.on('data', (data) => (out += data));
    child.stderr.on('data', (data) => (err += data));
    const ended = new Promise((resolve) => child.once('close', resolve));
    child.stdin.write('one\ntwo\n');
    await subscriber.received(2);
    await redis.kill();
    child.stdin.end('three\n');
    assert.equal(await ended, 1);
    assert.equal(out, '');
    assert.match(err, /^sse-publish: .*redis:\/\/127\.0\.0\.1:\d+\/0.*\nsse-publish: Redis confirmed 2 lines before that\n$/);
});

test('a Redis that says nothing is given up after --timeout', async (t) => {
    const scope = scopeOf(t);
    const redis = await Redis.start(scope);
    redis.process.signal('SIGSTOP');
    const result = await publish(redis, ['--timeout', '200ms', 'news', 'x'], { ms: 5000 });
    redis.process.signal('SIGCONT');
    assertEnds(result, 1, '', /^sse-publish: no answer from redis:\S+ within 200 ms; whether the event was published is not known\n$/);
});

test('passwords, users and rights', async (t) => {
    const scope = scopeOf(t);
    const redis = await Redis.start(scope, { password: 'hush/@%' });
    await redis.cli(['ACL', 'SETUSER', 'reader', 'on', '>secret', '+ping', '&*']);
    await redis.cli(['ACL', 'SETUSER', 'writer', 'on', '>secret', '+publish', 'resetchannels', '&ok']);
    const at = (credentials) => ({ url: `redis://${credentials}127.0.0.1:${redis.port}` });
    assertEnds(await publish(redis, ['--json', 'news', 'x']), 0, '{"channel":"news","receivers":0}\n', '');
    assertEnds(await publish(at('writer:secret@'), ['--json', 'ok', 'x']), 0, '{"channel":"ok","receivers":0}\n', '');
    for (const [credentials, said] of [['', /NOAUTH/], [':secret@', /WRONGPASS/], ['reader:secret@', /NOPERM/], ['writer:secret@', /NOPERM/]]) {
        const result = await publish(at(credentials), ['news', 'x']);
        assertEnds(result, 1, '', /^[^\n]+\n$/);
        assert.match(result.err, said);
        assert.ok(!result.err.includes('secret'), result.err);
    }
});

/** Runs a command where the one name server is never heard of: its packets end in a link that leads nowhere. */
const UNRESOLVED = ['-mn', 'sh', '-ec', `ip link add near type veth peer name far
    ip addr add 192.0.2.1/24 dev near
    ip link set near up
    ip link set far up
    ip neigh add 192.0.2.2 lladdr 02:00:00:00:00:02 dev near
    mount --bind "$1" /etc/resolv.conf
    shift
    exec "$@"`, 'sh'];

test('--timeout bounds the look-up of a name, too', { skip: noNetns() }, async (t) => {
    const scope = scopeOf(t);
    const resolv = path.join(scope.folder, 'resolv.conf');
    fs.writeFileSync(resolv, 'nameserver 192.0.2.2\n');
    const url = 'redis://redis.example.com';
    const result = await command('unshare', [...UNRESOLVED, resolv, PUBLISH, '--redis', url, '--timeout', '300ms', 'news', 'x'], { ms: 4000 });
    assertEnds(result, 1, '', /^sse-publish: cannot reach redis:\S+: its name was not resolved within 300 ms\n$/);
});

test('a unix socket, a database, and the URL in the environment', async (t) => {
    const scope = scopeOf(t);
    const redis = await Redis.start(scope);
    const by = (url, args) => command(PUBLISH, ['--json', 'news', ...args], { env: { SSE_PUBLISH_REDIS: url } });
    for (const url of [`redis+unix://${redis.socket}`, `redis+unix://${redis.socket}?db=3`, `${redis.url}/3`, `redis://localhost:${redis.port}`]) {
        assertEnds(await by(url, ['x']), 0, '{"channel":"news","receivers":0}\n', '');
    }
    assertEnds(await by(`${redis.url}/99`, ['x']), 1, '', /DB index is out of range/);
    await redis.kill();
    assertEnds(await by(redis.url, ['x']), 1, '', /^sse-publish: cannot reach redis:\S+: Connection refused\n$/);
    fs.rmSync(redis.socket, { force: true });
    assertEnds(await by(`redis+unix://${redis.socket}`, ['x']), 1, '', /No such file or directory\n$/);
});

const USAGE = {
    'no channel': [[], 'CHANNEL'],
    'a channel with a blank': [['a b', 'x'], 'CHANNEL'],
    'a reserved channel': [['__x', 'x'], 'reserved'],
    'another reserved channel': [['sse:x', 'x'], 'reserved'],
    'a channel that is too long': [['x'.repeat(129), 'x'], '128'],
    'an empty channel': [['', 'x'], 'CHANNEL'],
    'too many words': [['news', 'hello', 'world'], 'quotes'],
    'lines and data': [['--lines', 'news', 'x'], '--lines'],
    'an unknown option': [['--evnet', 'x', 'news'], '--event'],
    'an option cut short': [['--even', 'x', 'news'], '--event'],
    'data that begins with a dash': [['news', '-5'], '--'],
    'an event of the gateway': [['--event', 'gateway:gap', 'news', 'x'], 'gateway:'],
    'an event with a line break': [['--event', 'a\nb', 'news', 'x'], '--event'],
    'an id with a carriage return': [['--id', 'a\rb', 'news', 'x'], '--id'],
    'a retry that is no number': [['--retry', '5s', 'news', 'x'], '--retry'],
    'a retry that is too large': [['--retry', '4294967296', 'news', 'x'], '--retry'],
    'a durable event with an id': [['--durable', '--id', '7', 'news', 'x'], '--id'],
    'a history without --durable': [['--keep', '7', 'news', 'x'], '--durable'],
    'a time for it without --durable': [['--keep-for', '1h', 'news', 'x'], '--durable'],
    'a history of nothing': [['--durable', '--keep', '0', 'news', 'x'], '--keep'],
    'a history of no time': [['--durable', '--keep-for', '999ms', 'news', 'x'], '--keep-for'],
    'an id that no browser could send back': [['--id', 'x'.repeat(1025), 'news', 'x'], '--id'],
    'an id with a control character': [['--id', 'a\x01b', 'news', 'x'], '--id'],
    'files for TLS and a URL without': [['--redis', 'redis://h', '--redis-ca', 'x.crt', 'news', 'x'], 'rediss://'],
    'a user without a password': [['--redis', 'redis://bob@h', 'news', 'x'], 'password'],
    'the name of an event to install': [['--install', '--event', 'x'], '--install'],
    'a length of history to install': [['--install', '--keep', '5'], '--install'],
    'a channel to install': [['--install', 'news'], '--install'],
    'an event to install': [['--install', '--durable'], '--install'],
    'a position of no channel': [['--position'], 'CHANNEL'],
    'a position and how to publish': [['--position', '--event', 'x', 'news'], '--position'],
    'a position of a channel that cannot be': [['--position', 'news', 'a b'], 'CHANNEL'],
    'a position and the library': [['--position', '--install', 'news'], 'channels alone'],
    'positions of too many channels': [['--position', ...Array.from({ length: 513 }, (_, i) => `c:${i}`)], '512'],
    'a certificate without its key': [['--redis', 'rediss://h', '--redis-cert', 'x.crt', 'news', 'x'], '--redis-key'],
    'a URL without a host': [['--redis', 'redis://me:secret', 'news', 'x'], '--redis'],
};

for (const [name, [args, mention]] of Object.entries(USAGE)) {
    test(`exit 2 and one line for ${name}`, async () => {
        const result = await command(PUBLISH, args);
        assertEnds(result, 2, '', /^sse-publish: [^\n]+\n$/);
        assert.ok(result.err.includes(mention), `${mention} in: ${result.err}`);
        assert.ok(!result.err.includes('secret'), result.err);
    });
}

test('exit 2 for input that is too large or cannot be read', async (t) => {
    const scope = scopeOf(t);
    const redis = await Redis.start(scope);
    const large = Buffer.alloc((16 << 20) + 1, 'x');
    assertEnds(await publish(redis, ['news'], { input: large }), 2, '', /^sse-publish: standard input has more than 16 MiB\n$/);
    assertEnds(await publish(redis, ['--lines', 'news'], { input: large }), 2, '', /^sse-publish: line 1 has more than 16 MiB\n.*confirmed 0 lines/);
    const shell = (redirect) => command('sh', ['-c', `exec "$0" --redis "$1" news ${redirect}`, PUBLISH, redis.url]);
    assertEnds(await shell('</'), 2, '', /cannot read standard input: Is a directory\n$/);
    // A closed descriptor must not become the connection, which would then be read from or printed to.
    assertEnds(await shell('<&-'), 2, '', /cannot read standard input: Bad file descriptor\n$/);
    assertEnds(await shell('x >&-'), 1, '', /the result could not be printed\n$/);
});

test('--help and --version need no Redis', async () => {
    const broken = { env: { SSE_PUBLISH_REDIS: 'nonsense' } };
    const help = await command(PUBLISH, ['--help'], broken);
    assert.equal(help.code, 0);
    assert.match(help.out, /^Usage: sse-publish /);
    assertEnds(await command(PUBLISH, ['--version'], broken), 0, `sse-publish ${VERSION}\n`, '');
});

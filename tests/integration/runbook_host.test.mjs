// docs/runbook.md, "The host": each symptom is made, seen as the page says, and ended by what it says to type.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { FullPipe } from '../lib/full_pipe.mjs';
import { GATEWAY } from '../lib/paths.mjs';
import { command } from '../lib/command.mjs';
import { noNames } from '../lib/names.mjs';
import { Redis } from '../lib/redis.mjs';
import { facts, part, symptom } from '../lib/runbook.mjs';
import { openStream } from '../lib/streams.mjs';
import { tempFolder } from '../lib/temp.mjs';
import { until } from '../lib/wait.mjs';

symptom('A gateway cannot accept connections', async (page, scope) => {
    const redis = await Redis.start(scope);
    const gateway = await page.start({ redis, workers: 1 });
    await page.watch();
    const stream = await openStream(scope, gateway.port, '/stream?channel=a');
    // Somebody lowers the limit of the process while it runs.
    const open = fs.readdirSync(`/proc/${gateway.process.pid}/fd`).length;
    execFileSync('prlimit', ['--pid', String(gateway.process.pid), `--nofile=${open + 4}:4096`]);
    const sockets = [];
    scope.defer(() => sockets.forEach((socket) => socket.destroy()));
    for (let i = 0; i < 12; i++) sockets.push(net.connect(gateway.port, '127.0.0.1').on('error', () => {}));
    await page.logged();
    const [limit, used] = await page.type();
    assert.match(limit, new RegExp(`Max open files +${open + 4} `));
    assert.ok(Number(used) >= open, used);
    await page.seen();
    await redis.publish('a', 'x');
    await stream.count(1);
    sockets.forEach((socket) => socket.destroy());
    await openStream(scope, gateway.port, '/stream?channel=a');
    const pauses = await gateway.metric('accept_pauses_total');
    for (let i = 0; i < 20; i++) await openStream(scope, gateway.port, '/stream?channel=a');
    assert.equal(await gateway.metric('accept_pauses_total'), pauses);
});

symptom('The log is not read', async (page, scope) => {
    const redis = await Redis.start(scope);
    const pipe = new FullPipe(scope);
    const gateway = await page.start({ redis, args: ['--log-level', 'debug', '--log-buffer', '8KiB'], stderr: pipe.writer });
    await page.watch();
    const stream = await openStream(scope, gateway.port, '/stream?channel=a');
    await until('lines that are dropped', async () => {
        for (let i = 0; i < 20; i++) await gateway.get('/health/live');
        return (await gateway.metric('log_lines_dropped_total')) > 0;
    }, { ms: 60000 });
    await page.alerted();
    const [disk, dropped] = await page.type();
    assert.match(disk, /Use%/);
    assert.match(dropped, /^sse_gateway_log_lines_dropped_total [1-9]/m);
    assert.ok(stream.open && (await gateway.ready()));
    let text = '';
    const [line] = facts(part(page.text, 'Over'), 'log');
    await until(line, () => /\d+ lines were dropped: standard error was not read in time/.test((text += pipe.read())));
});

symptom('The disk is full of logs', { skip: noNames() }, async (page, scope) => {
    const redis = await Redis.start(scope);
    const place = tempFolder(scope, 'disk');
    // A disk of 64 KiB, which the gateway and what it starts see, and nobody else.
    const via = ['unshare', '--mount', '--propagation', 'private', 'sh', '-c', 'mount -t tmpfs -o size=64k none "$0" && exec "$@" 2>>"$0/log"', place];
    const gateway = await page.start({ redis, conf: ['log-level = debug'], netns: { there: '127.0.0.1', via } });
    await page.watch();
    const disk = `/proc/${gateway.process.pid}/root${place}`;
    const stream = await openStream(scope, gateway.port, '/stream?channel=a');
    await until('lines that are dropped', async () => {
        await Promise.all(Array.from({ length: 20 }, () => gateway.get('/health/live')));
        return (await gateway.metric('log_lines_dropped_total')) > 0;
    }, { ms: 60000 });
    await page.seen();
    const [full, , level] = await page.type({ map: { 'df -h /var/log': `nsenter --target ${gateway.process.pid} --mount df -h ${place}` } });
    assert.match(full, / 100% /);
    assert.match(level, /log-level = debug/);
    await redis.publish('a', 'x');
    await stream.count(1);
    fs.truncateSync(path.join(disk, 'log'));
    await until('the gateway to say so', async () => {
        await gateway.get('/health/live');
        return /"\d+ lines were dropped: standard error was not read in time/.test(fs.readFileSync(path.join(disk, 'log'), 'utf8'));
    });
});

symptom('A library is missing', async (page, scope) => {
    const folder = tempFolder(scope, 'program');
    const copy = path.join(folder, 'sse-gateway');
    const text = fs.readFileSync(GATEWAY);
    const name = Buffer.from('libhiredis.so');
    const at = text.indexOf(name);
    assert.ok(at > 0);
    text.write('libmissing.so', at); // as on a host that has not got it
    fs.writeFileSync(copy, text, { mode: 0o755 });
    const run = await command(copy, ['--version']);
    assert.equal(run.code, 127);
    assert.match(run.err, new RegExp(part(page.text, 'Seen').match(/`([^`]+)`/)[1].split('..').join('.*')));
    page.gateway = { port: 0, adminPort: 0, process: {} };
    const [missing] = await page.type({ only: /ldd/, env: { PATH: `${folder}:${process.env.PATH}` } });
    assert.match(missing, /libmissing\.so.* => not found/);
    const right = await command(GATEWAY, ['--version']);
    assert.deepEqual([right.code, /^sse-gateway \d/.test(right.out)], [0, true]);
});

// The sections of tests/sim/results/sim.md: each plays its scenarios and makes a table, and plots where they say more.

import { COSTS, gatewayMemory, redisLoad } from './costs.mjs';
import { Model } from './model.mjs';
import { plot } from './plot.mjs';
import { timeToLevel } from './record.mjs';
import { allKilled, joins, leaves, once, redisAway, rolling, several } from './scripts.mjs';

const AT = 10; // when things begin, in seconds
const TIERS = [[3, 6000], [10, 100_000], [100, 1_000_000], [1000, 10_000_000]]; // gateways, streams

const count = (n) => (n === undefined || Number.isNaN(n) ? '-' : n >= 100 || Number.isInteger(n) ? Math.round(n).toLocaleString('en') : String(+n.toPrecision(2)));
const seconds = (s) => (s === undefined ? 'never' : s >= 10 ? `${Math.round(s)} s` : `${+s.toFixed(1)} s`);
const percent = (part) => `${part >= 0.1 ? Math.round(part * 100) : +(part * 100).toPrecision(2)} %`;
const bytes = (b) => (b >= 1e9 ? `${+(b / 1e9).toPrecision(3)} GB` : `${+(b / 1e6).toPrecision(3)} MB`);
const most = (model, value, since = 0) => model.seconds.reduce((max, s) => (s.t > since ? Math.max(max, value(s)) : max), 0);
const over = (model, value) => model.seconds.map((s) => [s.t - AT, value(s)]);
const core = (model, since = AT) => most(model, (s) => redisLoad(s).core, since);

function pacing(seed) {
    const rows = [];
    const lines = [];
    const others = [];
    const play = (options, script) => new Model({ seed, gateways: 10, streams: 100_000, ...options }).run(AT + 100, script);
    for (const retry of [1, 2, 5]) {
        for (const window of [0, 2, 10, 30, 60]) {
            const model = play({ retry, drain: { window, timeout: 90 } }, leaves(AT, 1));
            rows.push([`${window} s`, `${retry} s`, count(most(model, (s) => s.returned)), count(most(model, (s) => s.steepest)), window ? count(10_000 / window) : '-',
                percent(core(model)), seconds(model.seconds.findLast((s) => s.returned > 0).t - AT)]);
            if (retry === 2 && window <= 30) lines.push({ name: `--drain-window ${window}s`, points: over(model, (s) => s.returned) });
            if (window === 0) others.push({ name: `--retry ${retry}s`, points: over(model, (s) => s.returned) });
        }
    }
    for (const [name, cutRetry] of [['kill -9', [1, 1]], ['kill -9, were the first `retry:` jittered', [1, 2]]]) {
        const model = play({ cutRetry }, once(AT, (m) => m.kill(0)));
        rows.push([name, '2 s', count(most(model, (s) => s.returned)), count(most(model, (s) => s.steepest)), '-', percent(core(model)),
            seconds(model.seconds.findLast((s) => s.returned > 0).t - AT)]);
        others.push({ name: cutRetry[1] === 1 ? 'kill -9' : 'kill -9, jittered', points: over(model, (s) => s.returned) });
    }
    for (const line of [...lines, ...others]) line.points = line.points.filter(([t]) => t >= -3 && t <= 40);
    return {
        title: 'Pacing: one of ten gateways ends, 10,000 streams each',
        text: 'How fast 10,000 streams come back to the other nine. Streams are ended evenly over `--drain-window`, and each waits for one to two times ' +
            '`--retry`: whichever is longer spreads them. The paced rate is streams / window. What was cut knows only the `retry:` at its head, the same for all.',
        head: ['`--drain-window`', '`--retry`', 'streams/s, most in a second', 'in 100 ms, per second', 'paced rate', 'core of Redis', 'all back after'],
        rows,
        plots: [{ file: 'pacing.svg', label: 'Streams that come back in each second after one of ten gateways was ended',
            svg: plot('reconnects by time', { title: '10,000 streams drained, --retry 2s', x: 'seconds since SIGTERM', y: 'streams/s', top: 10_000, lines },
                { title: 'All at once: --drain-window 0s, or kill -9', x: 'seconds since the signal', y: 'streams/s', top: 10_000, lines: others }) }],
    };
}

function delay(seed) {
    const rows = [];
    for (const [name, notices] of [['no (NGINX)', Infinity], ['after 1 s (HAProxy)', 1], ['after 10 s', 10]]) {
        for (const delay of [0, 2, 5, 15]) {
            const model = new Model({ seed, gateways: 10, streams: 100_000, churn: 1 / 600, notices, drain: { delay, window: 10, timeout: 40 } }).run(AT + 60, leaves(AT, 1));
            const last = model.seconds.findLast((s) => s.returned > 0);
            rows.push([name, `${delay} s`, count(model.total.late), count(most(model, (s) => s.returned)), seconds(last.t - AT)]);
        }
    }
    return {
        title: 'drain-delay',
        text: 'One of ten gateways with 100,000 streams ends while users come and go (167 new streams a second). Until its listeners close after `--drain-delay`, it gets new streams as long as the front does not know that it drains; ' +
            'each of these comes back once more. From then on a connection is refused, and the front takes the next gateway: a front that does not ask needs no delay.',
        head: ['does the front notice?', '`--drain-delay`', 'streams that come to it nevertheless', 'streams/s, most', 'all back after'],
        rows,
    };
}

function rollingRestart(seed) {
    const rows = [];
    const plots = [];
    for (const [gateways, streams, together] of [...TIERS.map((t) => [...t, 1]), [100, 1_000_000, 10], [1000, 10_000_000, 100]]) {
        if (gateways === 1000 && together === 1) continue; // an hour and a half
        const lengths = [];
        for (const rebalance of [null, {}]) {
            const script = rolling({ at: AT, together });
            const batches = Math.ceil(gateways / together);
            const model = new Model({ seed, gateways, streams, rebalance, step: gateways > 10 ? 0.2 : 0.1 }).run(AT + batches * 13 + 90, script);
            const level = timeToLevel(model, script.ended, 0.1);
            const after = model.seconds.find((s) => s.t >= script.ended + 5);
            lengths.push([model, level]);
            if (!rebalance) {
                rows.push([count(gateways), count(streams), count(together), seconds(script.ended - AT), count(most(model, (s) => s.returned)),
                    count(((streams / gateways) * together) / 10), count(most(model, (s) => s.accepts, 1)), +(model.total.returned / streams).toFixed(2), percent(core(model)),
                    after.off >= 0.995 ? 'empty' : `${percent(after.off)} off`]);
            } else rows.at(-1).push(seconds(level), percent(model.total.moved / streams));
        }
        if (gateways === 10) {
            plots.push({ file: 'rolling.svg', label: 'Streams of each of ten gateways during a rolling restart, without and with rebalancing',
                svg: plot('streams by gateway during a rolling restart', ...lengths.map(([model], i) => ({
                    title: `Rolling restart of ten, --rebalance ${i ? 'on' : 'off'}`, x: 'seconds', y: 'streams of each gateway',
                    lines: Array.from({ length: 10 }, (_, g) => ({ points: over(model, (s) => s.loads[g]), color: g, thin: true })) }))) });
        }
    }
    return {
        title: 'Rolling restart behind least_conn',
        text: 'One gateway after the other (or several at once) is drained over 10 s, starts again 2 s after its end, and the next one is due. ' +
            'With rebalancing, the last columns say when all are within 10 % of the mean after the last one is ready, and how many streams were moved for that.',
        head: ['gateways', 'streams', 'at once', 'lasts', 'streams/s, most', 'paced rate', 'at one gateway', 'reconnects a stream', 'core of Redis', 'the last one, 5 s later', 'level after', 'moved'],
        rows, plots,
    };
}

function fronts(seed) {
    const rows = [];
    const views = [['least_conn', 1], ['least_conn', 8], ['random two least_conn', 1], ['random', 1], ['round robin', 1], ['ip_hash', 1]];
    for (const [front, n] of views) {
        const name = n > 1 ? `${front}, ${n} independent balancers` : front;
        const restart = rolling({ at: AT });
        const rolled = new Model({ seed, gateways: 10, streams: 100_000, front, views: n }).run(AT + 150, restart);
        const row = [name, +(rolled.total.returned / 100_000).toFixed(2), count(most(rolled, (s) => s.accepts, 1)), percent(rolled.seconds.at(-1).off)];
        for (const rebalance of [null, {}]) {
            const joined = new Model({ seed, gateways: 3, joiners: 1, streams: 6000, front, views: n, rebalance, churn: rebalance ? 0 : 1 / 600 }).run(AT + 1800, joins(AT, 1));
            row.push(seconds(timeToLevel(joined, AT, 0.1)));
            if (rebalance) row.push(percent(joined.total.moved / 1500), count(joined.total.movedTwice));
        }
        rows.push(row);
    }
    return {
        title: 'Fronts',
        text: 'A rolling restart of ten gateways with 100,000 streams, and a fourth gateway that joins three with 6,000: by itself, where a stream lasts ten minutes ' +
            'in the mean, and with rebalancing, where none ends. 100 % moved is what the new gateway lacks. Rebalancing needs a front that looks at connections: others bring streams back to where they were.',
        head: ['front', 'rolling: reconnects a stream', 'at one gateway, streams/s', 'off the mean at the end', 'join: level by churn', 'by rebalancing', 'moved', 'twice'],
        rows,
    };
}

function scaleOut(seed) {
    const rows = [];
    const cases = [[3, 1, 6000], [3, 1, 60_000], [9, 1, 100_000], [10, 1, 100_000], [10, 5, 100_000], [99, 1, 1_000_000], [100, 100, 1_000_000], [999, 1, 10_000_000], [900, 100, 10_000_000]];
    for (const [gateways, joiners, streams] of cases) {
        const model = new Model({ seed, gateways, joiners, streams, rebalance: {}, step: gateways > 100 ? 0.2 : 0.1 }).run(AT + 290, joins(AT, joiners));
        const lacks = (streams / (gateways + joiners)) * joiners;
        rows.push([`${gateways} + ${joiners}`, count(streams), seconds(timeToLevel(model, AT, 0.1)), percent(model.total.moved / lacks),
            count(model.total.movedTwice), count(most(model, (s) => s.returned)), count(most(model, (s) => s.accepts, 1)), percent(most(model, (s) => s.accepts, 1) * COSTS.acceptUs / 1e6), percent(core(model))]);
    }
    const side = [null, {}].map((rebalance) => new Model({ seed, joiners: 1, rebalance }).run(70, joins(AT, 1)));
    return {
        title: 'Scale-out with rebalancing, at the defaults',
        text: '`--rebalance-tolerance 0.1`, `--rebalance-rate 50/s`, `--retry 2s`, behind least_conn, and no stream ends by itself.',
        head: ['gateways', 'streams', 'level after', 'moved of what lacked', 'twice', 'streams/s, most', 'at one gateway', 'its core', 'core of Redis'],
        rows,
        plots: [{ file: 'join.svg', label: 'Streams of each gateway when a fourth joins, with rebalancing off and on',
            svg: plot('a fourth gateway joins', ...side.map((model, i) => ({ title: `A fourth joins, --rebalance ${i ? 'on' : 'off'}`, x: 'seconds since it is ready', y: 'streams of each gateway', key: 0.4,
                lines: [0, 1, 2, 3].map((g) => ({ name: g < 3 ? `gateway ${g + 1}` : 'the new one', points: over(model, (s) => s.loads[g]) })) }))) }],
    };
}

function settings(seed) {
    const rows = [];
    const lines = [];
    const play = (gateways, streams, options) => {
        const model = new Model({ seed, gateways, joiners: 1, streams, ...options }).run(AT + 590, joins(AT, 1));
        return [seconds(timeToLevel(model, AT, 0.1)), count(most(model, (s) => s.returned)), percent(model.total.moved / (streams / (gateways + 1))), count(model.total.movedTwice)];
    };
    const add = (name, options) => rows.push([name, ...play(3, 6000, options), ...play(9, 100_000, options)]);
    for (const rate of [10, 50, 200, 1000]) add(`--rebalance-rate ${rate}/s${rate === 50 ? ' (as all defaults)' : ''}`, { rebalance: { rate } });
    for (const settle of [1000, 5000, 30_000]) add(`--rebalance-settle ${settle / 1000}s`, { rebalance: { settle } });
    for (const retry of [1, 5]) add(`--retry ${retry}s`, { retry, rebalance: {} });
    for (const period of [2, 5, 10]) add(`announced every ${period} s`, { announce: () => period, rebalance: {} });
    for (const rate of [10, 50, 200]) {
        const model = new Model({ seed, gateways: 9, joiners: 1, streams: 100_000, rebalance: { rate } }).run(200, joins(AT, 1));
        lines.push({ name: `--rebalance-rate ${rate}/s`, points: over(model, (s) => s.loads[9]) });
    }
    return {
        title: 'Rebalance settings',
        text: 'One setting at a time differs from the defaults; a fourth gateway joins three with 6,000 streams, a tenth joins nine with 100,000.',
        head: ['', '3 + 1: level after', 'streams/s', 'moved', 'twice', '9 + 1: level after', 'streams/s', 'moved', 'twice'],
        rows,
        plots: [{ file: 'rate.svg', label: 'Streams of a tenth gateway that joined nine, by --rebalance-rate',
            svg: plot('streams of a gateway that joined', { title: 'A tenth joins nine with 100,000', x: 'seconds since it is ready', y: 'its streams', key: 0.6, lines }) }],
    };
}

function rest(seed) {
    const rows = [];
    for (const streams of [1000, 10_000, 100_000]) {
        for (const front of ['least_conn', 'random two least_conn', 'random']) {
            const moved = [0.02, 0.05, 0.1, 0.2].map((tolerance) => {
                const model = new Model({ seed, gateways: 10, streams, front, churn: 1 / 600, rebalance: { tolerance } }).run(1800);
                return percent(model.total.moved / streams * 2);
            });
            rows.push([front, count(streams), ...moved]);
        }
    }
    return {
        title: 'Rebalancing where there is nothing to do',
        text: 'Ten gateways, users who come and go (ten minutes in the mean), half an hour: the share of all streams that is moved in an hour, by `--rebalance-tolerance`. A tolerance must be above the noise of the front.',
        head: ['front', 'streams', '0.02', '0.05', '0.1', '0.2'],
        rows,
    };
}

function accidents(seed) {
    const rows = [];
    const add = (name, [gateways, streams], options, script, length = 70) => {
        const model = new Model({ seed, gateways, streams, ...options }).run(AT + length, script);
        const last = model.seconds.findLast((s) => s.returned > 0);
        rows.push([name, count(gateways), count(streams), count(most(model, (s) => s.returned)), count(most(model, (s) => s.steepest)), count(most(model, (s) => s.accepts, 1)), count(model.total.failed),
            percent(core(model)), last ? seconds(last.t - AT) : '-', percent(model.seconds.at(-1).off)]);
    };
    for (const tier of TIERS) {
        add('one killed with -9', tier, {}, once(AT, (m) => m.kill(0)));
        add('all killed, back after 5 s', tier, {}, allKilled({ at: AT, away: 5 }));
        add('Redis away for 30 s', tier, { churn: 1 / 600 }, redisAway({ at: AT, away: 30 }));
        const half = Math.ceil(tier[0] / 3);
        add(`scale-in: ${half} drained at once`, tier, {}, leaves(AT, half));
    }
    for (const tier of TIERS.slice(1, 3)) {
        const canary = { joiners: 1, capacity: (g) => (g === tier[0] ? 0.25 : 1), rebalance: {} };
        add('canary of a quarter\'s weight, drained after 60 s', tier, canary, several(joins(AT, 1), once(AT + 60, (m) => m.terminate(m.gateways))), 90);
    }
    return {
        title: 'Accidents, scale-in, a canary',
        text: 'Streams that find no gateway are told by the front to come back after 2 to 5.9 s (`@sse_retry`), and count as refused each time. With Redis away, open streams stay; 1 of 600 streams ends each second and another comes. More than 100 % of a core: it takes Redis so many seconds; a cluster shares that out.',
        head: ['what', 'gateways', 'streams', 'streams/s, most in a second', 'in 100 ms, per second', 'at one gateway', 'refused', 'core of Redis', 'all back after', 'off the mean'],
        rows,
    };
}

function redis(seed) {
    const rows = [];
    for (const [gateways, streams] of [...TIERS.slice(0, 3), [316, 3_000_000], TIERS[3]]) {
        const play = (announce) => new Model({ seed, gateways, streams, churn: 1 / 600, step: 0.2, ...announce }).run(20);
        const [grown, fixed] = [play({}), play({ announce: () => 1 })].map((model) => model.seconds.slice(5).reduce((a, s) => {
            const load = redisLoad(s);
            return { commands: a.commands + load.commands / 15, messages: a.messages + load.messages / 15, core: a.core + load.core / 15, subscriptions: s.subscriptions };
        }, { commands: 0, messages: 0, core: 0 }));
        rows.push([count(gateways), count(streams), count(grown.commands), count(fixed.messages), percent(fixed.core), count(grown.messages), percent(grown.core), count(grown.subscriptions),
            bytes(grown.subscriptions * COSTS.subscriptionBytes), bytes(gatewayMemory(streams / gateways)), bytes(gatewayMemory(streams / gateways, { tls: true }))]);
    }
    const sizes = [3, 10, 30, 100, 300, 1000];
    const traffic = (period) => sizes.map((n) => [n, n * n / period(n)]);
    return {
        title: 'Redis and memory while nothing happens',
        text: 'Each stream has a channel of its own and lasts ten minutes in the mean, all share one more; what applications publish comes on top. Announcements are delivered to every gateway: once a second they are n² messages a second; ' +
            'with a period of 10 ms for each gateway, 1 s at least, each gateway gets 100 a second at most. Redis sends some 650,000 messages a second at best.',
        head: ['gateways', 'streams', 'commands/s', 'messages/s, announced each second', 'core of Redis', 'messages/s, as it is', 'core of Redis', 'subscriptions', 'memory of Redis for them', 'a gateway', 'with TLS'],
        rows,
        plots: [{ file: 'announcements.svg', label: 'Messages a second for announcements by the number of gateways',
            svg: plot('announcements', { title: 'Announcements', x: 'gateways', y: 'messages/s sent by Redis', log: true, key: 0.6,
                lines: [{ name: 'every second', points: traffic(() => 1), color: 1 }, { name: 'as it is', points: traffic((n) => Math.max(1, n / 100)), color: 0 }, { name: 'what Redis can', points: sizes.map((n) => [n, 650_000]), color: 5 }] }) }],
    };
}

export const SECTIONS = [pacing, delay, rollingRestart, fronts, scaleOut, settings, rest, accidents, redis];

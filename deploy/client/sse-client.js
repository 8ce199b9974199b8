// One stream of sse-gateway for all tabs of a browser. README.md says how to use it, and what holds.
//
// Each tab asks for a Web Lock. The one that gets it is the leader: it reads one stream with the channels of all tabs, and
// sends each event to the others by BroadcastChannel. Messages of a leader carry its `term`, which grows from leader to
// leader. A tab tells the leader what it wants, and pings it. A tab receives its own messages, too.

const unique = (list) => [...new Set(list)];

export function connect(url, { ticket, credentials = 'same-origin', lastEventId = '', name = url, silence = 45000 } = {}) {
    // ---- A tab

    const tab = Math.random();
    const lock = `sse-client ${name}`;
    const handlers = new Set();
    const seen = new Map(); // channel -> [ms, offset] of its newest durable event
    const told = new Set(); // channels whose end the page was told of
    let over = new Set(); // channels that have ended, of all tabs
    let bus, timer, queue, resign, telling;
    let last = lastEventId; // of the newest event of the stream
    let need = lastEventId; // a stream must begin here, or this tab misses something; '' once one did
    let wasAway = need;
    let term = 0, quietTicks = 0, served = [], state = 'connecting';

    const channels = () => unique([...handlers].map((h) => h.channel));
    const want = (wanted = channels()) => send({ tab, wanted, need, last });

    /** Once for all handlers that come and go in one turn. */
    function tell() {
        telling ??= Promise.resolve().then(() => {
            telling = null;
            want();
            tellEnds();
            show();
        });
    }

    function send(message) {
        bus?.postMessage(message);
        receive(message);
    }

    function receive(m) {
        if (!m.term) return isLeader && hear(m);
        if (m.term < term) return; // its tab was taken for dead
        if (m.term > term) stop();
        term = m.term;
        quietTicks = 0;
        if (m.event) take(m.event);
        if (m.begun === need) need = '';
        if (m.served) {
            served = m.served;
            last = m.last || last;
            if (served[0]) for (const channel of seen.keys()) served.includes(channel) || seen.delete(channel);
            // What this tab has not seen is older than the tab.
            if (!wasAway) for (const [channel, at] of m.seen) if (served.includes(channel) && !seen.has(channel)) seen.set(channel, at);
            show();
        }
        over = m.over ?? over;
        tellEnds();
        if (m.refused?.some((channel) => channels().includes(channel))) show(m.status === 204 ? 'ended' : 'refused', m.status);
        if (m.asks) want();
    }

    function show(now = channels().every((channel) => served.includes(channel)) ? 'open' : 'connecting', status) {
        if (now === state || !handlers.size || (now === 'connecting' && (state === 'refused' || state === 'ended'))) return;
        state = now;
        client.onState?.(state, status);
    }

    /** Once for each channel, until an event opens it again. */
    function tellEnds() {
        for (const channel of need ? [] : channels()) {
            if (!over.has(channel) || told.has(channel)) continue;
            told.add(channel);
            client.onEnd?.({ channel });
        }
    }

    function take({ at, isReplay, ...event }) {
        const { channel, type, data } = event;
        const before = seen.get(channel);
        over[type === 'gateway:end' ? 'add' : 'delete'](channel);
        if (need) return;
        last = event.lastEventId || last;
        const gap = (what) => channels().includes(channel) && client.onGap?.(what);
        if (type === 'gateway:gap') {
            const what = JSON.parse(data);
            if (!isReplay) seen.delete(channel);
            else if (before) {
                if (what.to && what.to <= before[1]) return;
                before[1] = Math.max(before[1], what.to);
            }
            return gap(what);
        }
        if (at) {
            if (before) {
                if (at[0] < before[0] || (at[0] === before[0] && at[1] <= before[1])) return;
                if (at[1] > before[1] + 1) gap({ channel, from: before[1] + 1, to: at[1] - 1 });
            }
            seen.set(channel, at);
        }
        if (type === 'gateway:end') return;
        told.delete(channel);
        for (const h of [...handlers]) {
            if (h.channel !== channel || (h.event && h.event !== type)) continue;
            try {
                h.handler(event);
            } catch (error) {
                reportError(error);
            }
        }
    }

    // ---- The leader

    let isLeader, tabs, union, refused;
    let overlap, doubled = new Map(); // channel -> plain events that may come by `next`, and by `stream`, once more
    let tried; // where streams of `union` could not begin, and never will
    // AbortControllers, with `channels`. `next` replaces `stream` a second after it was opened: what is on its way by the
    // old one comes first, and events of the new one are `held` meanwhile.
    let stream, next;
    let from, begun; // where the next stream has to begin for a tab that was away, where the newest such stream began
    let retry = 2000, failures = 0, due = 0, replayUntil = 0, overlapUntil = 0;

    const say = (message) => isLeader && send({ term, ...message });
    const serving = () => (next?.held ? next : stream)?.channels ?? [];
    const sayServed = () => say({ served: serving(), last, begun, seen, over });

    function lead() {
        isLeader = true;
        tabs = new Map();
        union = [];
        refused = [];
        tried = [];
        from = begun = '';
        term = Math.max(term + 1, Date.now());
        sayServed();
        say({ asks: 1 });
    }

    function close() {
        due = 0;
        stream?.abort();
        next?.abort();
        stream = next = null;
    }

    function stop() {
        isLeader = false;
        close();
    }

    // What a tab says.
    function hear(m) {
        if (m.tab) {
            const isNew = !tabs.has(m.tab);
            m.missed = 0;
            tabs.set(m.tab, m);
            last ||= m.last;
            if (m.wanted[0] && m.need && ![begun, next?.from, ...tried].includes(m.need)) {
                from = m.need;
                schedule(50);
            }
            if (!compare() && isNew) stream ? sayServed() : next || schedule(50);
        } else say({});
        poke();
    }

    /** Is the union of the channels another one? */
    function compare() {
        const before = union.join();
        union = unique([...tabs.values()].flatMap((m) => m.wanted)).sort();
        refused = refused.filter((channel) => union.includes(channel));
        if (union.join() === before) return false;
        tried = [];
        // A page that goes is often followed by one with the same channels.
        schedule(union.every((channel) => serving().includes(channel)) ? 2000 : 50);
        return true;
    }

    function schedule(ms) {
        if (due && due <= Date.now() + ms) return;
        due = Date.now() + ms;
        setTimeout(poke, ms + 9);
    }

    // Timers of a hidden tab are late: each message, too, does what is due.
    function poke() {
        if (next?.held && next.until <= Date.now()) promote();
        if (!due || due > Date.now()) return;
        due = 0;
        open();
    }

    async function open() {
        const mine = Object.assign(new AbortController(), { channels: union.filter((channel) => !refused.includes(channel)), heard: Date.now(), from });
        const { signal } = mine;
        let wait = 0, status;
        if (next?.held) promote();
        next?.abort();
        next = mine;
        overlap = new Map();
        if (!mine.channels[0]) {
            close();
            return sayServed();
        }
        try {
            const query = new URLSearchParams([['control', 1], ['source', 1], ['last_event_id', from || last], ...mine.channels.map((channel) => ['channel', channel])]);
            if (ticket) query.set('ticket', await ticket(mine.channels));
            const response = await fetch(`${url}?${query}`, { credentials, signal, cache: 'no-store', headers: { Accept: 'text/event-stream' } });
            status = response.status;
            wait = response.headers.get('Retry-After') * 1000;
            if (status !== 200) throw status;
            await read(response.body.getReader(), mine);
            if (mine.channels.every((channel) => over.has(channel))) status = 204; // as it would be answered now
            wait = retry; // of this stream alone: the gateway spreads them
        } catch {}
        if (next === mine && mine.held) promote();
        if (next === mine) next = null;
        else if (stream === mine) stream = null;
        else return; // replaced, or stopped
        if (next?.held) return promote();
        if (status === 204 || (/^4(?!08|25|29)/.test(status) && !(ticket && status === 401))) {
            const without = mine.channels.filter((channel) => !stream?.channels.includes(channel));
            if (stream) refused.push(...without);
            tried.push(mine.from);
            if (status === 204) for (const channel of without) over.add(channel);
            return say({ refused: without, status, over, begun: status === 204 ? mine.from : undefined });
        }
        if (!stream) sayServed();
        schedule(wait || Math.min(30000, retry * 2 ** failures++) * (0.5 + Math.random()));
    }

    async function read(reader, mine) {
        const decoder = new TextDecoder();
        let text = '', fields = {};
        for (;;) {
            const { value, done } = await reader.read();
            if (done) return;
            mine.heard = Date.now();
            const lines = (text + decoder.decode(value, { stream: true })).split('\n');
            text = lines.pop();
            for (const line of lines) {
                const [, field, value] = line.match(/^([^:]*):? ?(.*)$/s);
                if (field === 'retry') retry = +value;
                else if (line) fields[field] = field === 'data' && 'data' in fields ? `${fields.data}\n${value}` : value;
                else {
                    if ('data' in fields && !mine.signal.aborted) pass(fields, mine);
                    fields = {};
                }
            }
        }
    }

    function pass(fields, mine) {
        const { event: type = 'message', data, id: lastEventId, source = '' } = fields;
        const [channel, position] = source.split(' ');
        const at = position?.split('-').map(Number);
        if (type === 'gateway:open') return begin(mine, lastEventId);
        if (!served.includes(channel)) return;
        if (mine === next && stream.channels.includes(channel)) return mine.held.push(fields);
        if (!at && mine === stream && type !== 'gateway:end' && isDoubled(channel, type + data)) return;
        // The old stream's id says nothing of the new one's channels.
        say({ event: { channel, type, data, lastEventId: next?.held && mine === stream ? last : lastEventId, at, isReplay: Date.now() < replayUntil } });
    }

    function begin(mine, lastEventId) {
        mine.held = [];
        mine.until = Date.now() + 1000;
        failures = 0;
        last = lastEventId || mine.from || last;
        if (mine.from) {
            replayUntil = Date.now() + 30000;
            over = new Set(); // it is told anew, behind what is replayed
            begun = mine.from;
            if (from === begun) from = '';
        }
        if (stream && !mine.from) setTimeout(poke, 1009);
        else promote();
        sayServed();
        if (from) schedule(50);
    }

    function promote() {
        stream?.abort();
        stream = next;
        next = null;
        doubled = overlap;
        overlapUntil = Date.now() + 5000;
        for (const fields of stream.held) pass(fields, stream);
    }

    // A plain event has no position. What came by the old stream since the new one was asked for may come by the new one,
    // too, in the same order; late, when the next one is asked for already.
    function isDoubled(channel, key) {
        const keys = doubled.get(channel) ?? [];
        const i = Date.now() > overlapUntil ? -1 : keys.indexOf(key);
        keys.splice(0, i < 0 ? keys.length : i + 1);
        if (next && i < 0) {
            if (!overlap.has(channel)) overlap.set(channel, []);
            overlap.get(channel).push(key);
        }
        return i >= 0;
    }

    // ---- Life

    function campaign(steal) {
        queue?.abort();
        const mine = (queue = new AbortController());
        if (!bus) return lead();
        const leads = () => new Promise((resolve) => {
            resign = resolve;
            if (mine === queue && timer) lead();
            else resolve();
        });
        // Fails when it is given up, or when another tab steals the lock.
        navigator.locks.request(lock, steal ? { steal } : { signal: mine.signal }, leads).catch(() => {
            if (mine !== queue || !timer) return;
            stop();
            campaign();
        });
    }

    function tick() {
        if (isLeader) {
            const reading = next || stream;
            if (reading && Date.now() - reading.heard > silence) reading.abort();
            for (const [key, m] of tabs) if (++m.missed > 3) tabs.delete(key);
            compare();
            say({ asks: 1 });
            poke();
        } else if (++quietTicks > 3) {
            quietTicks = 0;
            campaign(true);
        } else if (quietTicks > 1) send({ ping: 1 });
    }

    function enter() {
        if (timer) return;
        timer = setInterval(tick, silence / 9);
        if (navigator.locks && self.BroadcastChannel) {
            bus = new BroadcastChannel(lock);
            bus.onmessage = ({ data }) => receive(data);
        }
        campaign();
        want();
    }

    // In the back/forward cache, or frozen, a page has neither lock nor stream.
    function leave() {
        if (!timer) return;
        clearInterval(timer);
        timer = 0;
        stop();
        queue.abort();
        want([]);
        bus?.close();
        resign?.();
        served = [];
        show();
    }

    function comeBack() {
        if (timer) return;
        wasAway = need = last;
        enter();
    }

    const on = { pagehide: leave, pageshow: comeBack, freeze: leave, resume: comeBack, online: () => isLeader && schedule(0) };
    const client = {
        on(channel, handler, { event } = {}) {
            const h = { channel, handler, event };
            handlers.add(h);
            tell();
            return () => {
                handlers.delete(h);
                tell();
            };
        },
        close() {
            for (const type in on) removeEventListener(type, on[type], true);
            handlers.clear();
            leave();
        },
    };
    for (const type in on) addEventListener(type, on[type], true);
    enter();
    return client;
}

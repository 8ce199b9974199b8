// One channel's history as docs/protocol.md has it, in the plainest way: what each publish stores, publishes, keeps and
// answers, by a clock that the caller sets. It forgets nothing and saves nothing, so it is slow where the library is quick.

const MAXLEN = 1000;
const MAXAGE = 86400;
const sizeOf = (event, data) => Buffer.byteLength(event) + Buffer.byteLength(data) + 64;
const escape = (text) => text.replace(/[%\r\n]/g, (c) => ({ '%': '%25', '\r': '%0D', '\n': '%0A' })[c]);
const isBefore = (a, b) => a.ms < b.ms || (a.ms === b.ms && a.offset < b.offset);

export class HistoryModel {
    entries = []; // the oldest first
    #highest = { ms: 0, offset: 0 }; // of all ids that the stream ever had

    forget() {
        this.entries = [];
        this.#highest = { ms: 0, offset: 0 };
    }

    /** XDEL of the entry `index`. */
    remove(index) {
        this.entries.splice(index, 1);
    }

    /** Returns { error } or { id, receivers: 0 } for a duplicate, or { id, messages, lifetime: [least, most] } in seconds. */
    publish(now, events, retry, o = {}) {
        const last = this.entries.at(-1);
        const begins = !last || last.end !== undefined;
        const same = o.key && this.entries.findLast((e) => e.key === o.key && last.offset - e.offset < 256);
        if (same) return { id: `${same.epoch}.${same.offset}`, messages: [] };
        const offset = begins ? 0 : last.offset;
        if (o.after !== undefined && o.after !== offset) return { error: `the last offset of the channel is ${offset}, not ${o.after}` };

        const added = this.#place(now, events, retry, o, begins ? null : last);
        const due = this.#isDue(added, last, o);
        if (begins || o.snapshot) this.entries = [];
        this.entries.push(...added);
        this.#trim(added, due, o);
        this.#highest = added.at(-1);
        const maxage = o.maxage ?? MAXAGE;
        return {
            id: `${added.at(-1).epoch}.${added.at(-1).offset}`,
            messages: messagesOf(added, begins ? '0-0' : last.id, o),
            lifetime: o.end ? [o.end, o.end] : [maxage, maxage + maxage / 256],
        };
    }

    #place(now, events, retry, o, behind) {
        const last = this.entries.at(-1);
        let ms = Math.max(now, last?.ms ?? 0);
        if (last && !behind && ms === last.ms) ms++;
        const first = (behind?.offset ?? 0) + 1;
        if (!isBefore(this.#highest, { ms, offset: first })) ms = this.#highest.ms + 1;
        let prev = behind?.id ?? '0-0';
        let base = behind?.base;
        return events.map(([event, data], i) => {
            const entry = { id: `${ms}-${first + i}`, ms, offset: first + i, epoch: behind?.epoch ?? ms, prev, event, retry, data };
            if (o.snapshot && i === 0) base = entry.id;
            if (o.maxage && o.maxage !== MAXAGE) entry.maxage = o.maxage * 1000;
            if (base) entry.base = base;
            if (i === events.length - 1) {
                if (o.key) entry.key = o.key;
                if (o.end) entry.end = o.end;
            }
            prev = entry.id;
            return entry;
        });
    }

    #isDue(added, last, o) {
        const size = added.reduce((sum, e) => sum + sizeOf(e.event, e.data), 0);
        const before = added[0].offset - 1;
        const usual = !last || added[0].ms - last.ms >= 1000 || Math.floor(before / 8) !== Math.floor(added.at(-1).offset / 8);
        const forBytes = o.maxbytes !== undefined && (o.snapshot || added[0].offset === 1 || o.maxbytes < 65536 || size > o.maxbytes / 128);
        return usual || (o.maxlen ?? MAXLEN) < 128 || forBytes;
    }

    #trim(added, due, o) {
        if (!due) return;
        const newest = added.at(-1);
        const oldest = added[0].ms - (o.maxage ?? MAXAGE) * 1000;
        let keep = this.entries.slice(-(o.maxlen ?? MAXLEN)).filter((e) => e.ms >= oldest || e === newest);
        if (o.maxbytes) {
            const counted = this.#counted(added, o.maxbytes);
            let sum = counted.reduce((total, e) => total + e.size, 0);
            while (counted.length > 1 && sum > o.maxbytes) sum -= counted.shift().size;
            newest.counted = counted;
            keep = keep.filter((e) => !isBefore(e, counted[0]));
        }
        this.entries = keep;
    }

    // The newest events that the bytes are counted of: those that the newest counting entry had, and what came after it.
    #counted(added, maxbytes) {
        const sized = (e) => ({ ms: e.ms, offset: e.offset, size: sizeOf(e.event, e.data) });
        const counted = [];
        let sum = 0;
        for (const entry of this.entries.slice(0, this.entries.length - added.length).reverse()) {
            if (entry.counted) {
                counted.unshift(...entry.counted);
                break;
            }
            const one = sized(entry);
            if (counted.length > 0 && sum + one.size > maxbytes) break;
            sum += one.size;
            counted.unshift(one);
        }
        return [...counted, ...added.map(sized)];
    }
}

function messagesOf(added, prev, o) {
    const messages = [];
    for (let first = 0; first < added.length;) {
        let last = first;
        let bytes = sizeOf(added[first].event, added[first].data) - 64;
        for (; last + 1 < added.length; last++) {
            bytes += sizeOf(added[last + 1].event, added[last + 1].data) - 64;
            if (bytes >= 65536) break;
        }
        const earlier = added.slice(first, last).map((e) => `earlier: ${escape(e.event).replaceAll(' ', '%20')} ${escape(e.data)}\n`);
        const before = first === 0 ? prev : added[first - 1].id;
        const { id, epoch, event, retry, data } = added[last];
        messages.push(['\x1eSSE/1\n', ...earlier, last > first ? `first: ${before}\n` : '', event ? `event: ${event}\n` : '', retry ? `retry: ${retry}\n` : '',
            o.traceparent ? `traceparent: ${o.traceparent}\n` : '', o['trace-to'] ? `trace-to: ${o['trace-to']}\n` : '',
            o.snapshot && first === 0 ? 'snapshot: 1\n' : '', o.end && last === added.length - 1 ? 'end: 1\n' : '',
            `durable: ${id} ${last === 0 ? prev : added[last - 1].id} ${epoch}\n\n${data}`].join(''));
        first = last + 1;
    }
    return messages;
}

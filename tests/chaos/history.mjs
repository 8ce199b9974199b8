// What was published, and what Redis said to it. Events are numbered per channel; their text follows from channel, number
// and size, so that one which was cut or mixed is found where it arrives.

/** What is known of an event: ACKED: Redis has it. MAYBE: the connection was lost before the answer. REFUSED: Redis has it not. */
export const [ACKED, MAYBE, REFUSED] = ['acked', 'maybe', 'refused'];

export const eventText = (channel, number, size) => `${channel} ${number} ${size} `.padEnd(size, number % 7 === 0 ? 'ab\ncd\n' : 'abcdefg ');

/** The number of the event whose text this is; NaN where it is the text of none. */
export function numberIn(channel, text) {
    const [name, number, size] = text.split(' ', 3);
    return name === channel && text === eventText(channel, Number(number), Number(size)) ? Number(number) : NaN;
}

export class History {
    // name -> { kept: how many the stream keeps, events: by number, from 1: { state, at, id, sent: how often, acked: when, life: of the
    // channel, snapshot: it stands for all before it, end: it is the last of its life } }
    channels = new Map();

    add(channel, kept) {
        this.channels.set(channel, { kept, events: [null] });
    }

    /** The next event of a channel; its outcome is not known yet. `more`: what else is known of it. */
    next(channel, more = {}) {
        const { events } = this.channels.get(channel);
        events.push({ state: MAYBE, at: performance.now(), id: undefined, sent: 1, ...more });
        return events.length - 1;
    }

    /** The number of the newest event of which `fact(event)` holds; 0 where there is none. */
    newest(channel, fact) {
        return Math.max(0, this.channels.get(channel).events.findLastIndex((event) => event && fact(event)));
    }

    event(channel, number) {
        return this.channels.get(channel).events[number];
    }

    counts() {
        const sum = { acked: 0, maybe: 0, refused: 0 };
        for (const { events } of this.channels.values()) for (const event of events) if (event) sum[event.state]++;
        return sum;
    }
}

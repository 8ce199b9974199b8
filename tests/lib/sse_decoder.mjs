// A reference decoder of event streams, written line by line from the WHATWG HTML standard, 9.2.6 "Interpreting an event
// stream". It exists to be obviously right, not fast, and shares nothing with the code under test.

export class SseDecoder {
    #utf8 = new TextDecoder('utf-8'); // replaces what is invalid, drops one leading BOM, as "UTF-8 decode" does
    #line = '';
    #skipLf = false; // the text so far ended with a CR: an LF that comes next belongs to it
    #data = '';
    #type = '';
    #lastId = '';

    /** The last event ID string of the event source: committed at a blank line. */
    lastEventId = '';
    /** The reconnection time that was last set, or null. */
    retry = null;

    /** `dispatch({ type, data, lastEventId })` is called for each event. */
    constructor(dispatch) {
        this.dispatch = dispatch;
    }

    /** A new connection of an event source that had this id: browsers keep it until another comes, which the standard leaves open. */
    resume(lastEventId) {
        this.lastEventId = this.#lastId = lastEventId;
    }

    push(bytes) {
        let text = this.#utf8.decode(bytes, { stream: true });
        if (this.#skipLf && text !== '') {
            this.#skipLf = false;
            if (text.startsWith('\n')) text = text.slice(1);
        }
        let start = 0;
        for (const { index, 0: lineEnd } of text.matchAll(/\r\n|\r|\n/g)) {
            const line = this.#line + text.slice(start, index);
            this.#line = '';
            start = index + lineEnd.length;
            this.#takeLine(line);
        }
        this.#line += text.slice(start);
        this.#skipLf ||= text.endsWith('\r');
    }

    #takeLine(line) {
        if (line === '') return this.#dispatch();
        if (line.startsWith(':')) return;
        const colon = line.indexOf(':');
        if (colon < 0) return this.#takeField(line, '');
        const value = line.slice(colon + 1);
        this.#takeField(line.slice(0, colon), value.startsWith(' ') ? value.slice(1) : value);
    }

    #takeField(name, value) {
        if (name === 'event') this.#type = value;
        else if (name === 'data') this.#data += value + '\n';
        else if (name === 'id') {
            if (!value.includes('\0')) this.#lastId = value;
        } else if (name === 'retry') {
            if (/^[0-9]+$/.test(value)) this.retry = parseInt(value, 10);
        }
    }

    #dispatch() {
        this.lastEventId = this.#lastId;
        const data = this.#data;
        const type = this.#type;
        this.#data = '';
        this.#type = '';
        if (data === '') return;
        this.dispatch({ type: type === '' ? 'message' : type, data: data.slice(0, -1), lastEventId: this.lastEventId });
    }
}

// The chunked transfer coding (RFC 9112, 7.1), strictly, keeping what other decoders throw away: where chunks end.

const HEX = /^[0-9a-fA-F]{1,8}$/;
const LIMIT = 4096;

export class ChunkedDecoder {
    #line = '';
    #left = 0;
    #state = 'size';

    /** `data(bytes)` for each piece of payload, `chunk()` after each whole chunk, `last()` after the last chunk. */
    constructor({ data, chunk = () => {}, last }) {
        Object.assign(this, { data, chunk, last });
    }

    get done() {
        return this.#state === 'done';
    }

    push(bytes) {
        let at = 0;
        while (at < bytes.length) {
            if (this.#state === 'done') throw new Error(`bytes after the last chunk: ${JSON.stringify(bytes.subarray(at).toString())}`);
            if (this.#state === 'data') {
                const part = bytes.subarray(at, at + this.#left);
                at += part.length;
                this.#left -= part.length;
                this.data(part);
                if (this.#left === 0) {
                    this.#state = 'crlf';
                    this.chunk();
                }
            } else {
                this.#line += String.fromCharCode(bytes[at++]);
                if (this.#line.endsWith('\r\n')) this.#takeLine();
                else if (this.#line.length > LIMIT) throw new Error(`bad chunk framing: ${JSON.stringify(this.#line.slice(0, 80))}`);
            }
        }
    }

    #takeLine() {
        const line = this.#line.slice(0, -2);
        this.#line = '';
        if (this.#state === 'size') {
            if (!HEX.test(line)) throw new Error(`bad chunk size: ${JSON.stringify(line)}`);
            this.#left = parseInt(line, 16);
            this.#state = this.#left === 0 ? 'trailer' : 'data';
        } else if (line !== '') {
            throw new Error(`bad chunk end: ${JSON.stringify(line)}`);
        } else if (this.#state === 'crlf') {
            this.#state = 'size';
        } else {
            this.#state = 'done';
            this.last();
        }
    }
}

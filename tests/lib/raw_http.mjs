// Bytes in, bytes out: for requests that no HTTP library would send and answers whose exact bytes matter.

import net from 'node:net';
import { within } from './wait.mjs';

/** Sends `bytes` and resolves when the server has closed, to { text, reads, head, status, headers, body, reset }. */
export async function exchange(port, bytes, { ms = 15000, host = '127.0.0.1', halfClose = false } = {}) {
    const connection = new RawConnection(port, host);
    connection.send(bytes);
    if (halfClose) connection.socket.end();
    await within(ms, `the server to close after ${JSON.stringify(String(bytes).slice(0, 200))}`, connection.closed).finally(() => connection.close());
    return connection.answer();
}

export class RawConnection {
    reads = [];
    reset = false;

    constructor(port, host = '127.0.0.1') {
        this.socket = net.connect({ port, host, noDelay: true, allowHalfOpen: true });
        this.socket.on('data', (bytes) => this.reads.push(bytes));
        this.closed = new Promise((resolve) => {
            this.socket.once('end', () => this.socket.end()).once('close', resolve);
        });
        this.socket.on('error', (error) => {
            this.reset ||= error.code === 'ECONNRESET' || error.code === 'EPIPE';
        });
    }

    send(bytes) {
        this.socket.write(typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes);
    }

    close() {
        this.socket.destroy();
    }

    get text() {
        return Buffer.concat(this.reads).toString('utf8');
    }

    answer() {
        const text = this.text;
        const end = text.indexOf('\r\n\r\n');
        const head = end < 0 ? '' : text.slice(0, end);
        const [first, ...lines] = head.split('\r\n');
        const headers = {};
        for (const line of lines) {
            const colon = line.indexOf(':');
            const name = line.slice(0, colon).toLowerCase();
            headers[name] = name in headers ? `${headers[name]}, ${line.slice(colon + 1).trim()}` : line.slice(colon + 1).trim();
        }
        return {
            text, reads: this.reads, reset: this.reset, head, headers,
            status: Number(first.match(/^HTTP\/1\.[01] (\d{3}) /)?.[1] ?? 0),
            version: first.slice(0, 8),
            body: end < 0 ? '' : text.slice(end + 4),
        };
    }
}

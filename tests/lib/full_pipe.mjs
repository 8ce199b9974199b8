// A pipe that nobody reads and that is full: what a log shipper that stands still leaves to the process before it.

import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { tempFolder } from './temp.mjs';

const FILL = Buffer.alloc(4096, '.'.repeat(4095) + '\n');

export class FullPipe {
    constructor(scope, { full = true } = {}) {
        const file = path.join(tempFolder(scope, 'pipe'), 'pipe');
        execFileSync('mkfifo', [file]);
        // Open for both, it needs no partner; without waiting, so that filling it ends.
        this.reader = fs.openSync(file, fs.constants.O_RDWR | fs.constants.O_NONBLOCK);
        /** For the process: waits, as standard error does. */
        this.writer = fs.openSync(file, fs.constants.O_WRONLY);
        scope.defer(() => [this.reader, this.writer].forEach((fd) => fs.closeSync(fd)));
        if (full) this.fill();
    }

    fill() {
        for (let size = FILL.length; size > 0; size = size === 1 ? 0 : size >> 1) {
            try {
                for (;;) fs.writeSync(this.reader, FILL, 0, size);
            } catch (error) {
                if (error.code !== 'EAGAIN') throw error;
            }
        }
    }

    /** Takes what is in it now, what fill() put there included. */
    read() {
        const parts = [];
        const buffer = Buffer.alloc(65536);
        try {
            for (;;) parts.push(Buffer.from(buffer.subarray(0, fs.readSync(this.reader, buffer))));
        } catch (error) {
            if (error.code !== 'EAGAIN') throw error;
        }
        return Buffer.concat(parts).toString();
    }
}

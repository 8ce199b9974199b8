// What one test (or one file of tests) started and must end: its log folder and a stack of things to undo.

import fs from 'node:fs';
import { after } from 'node:test';
import { logFolder } from './paths.mjs';

// A test file that exits while a scope is open has ended early: not a success, whatever its status was going to be.
let open = 0;
process.on('exit', () => {
    if (open > 0) process.exitCode = 1;
});

class Scope {
    #undo = [];

    constructor(folder) {
        open++;
        this.folder = folder;
        fs.rmSync(folder, { recursive: true, force: true });
        fs.mkdirSync(folder, { recursive: true });
    }

    /** `undo` runs when the test is over, last in first out, whatever happened; what it throws fails the test. */
    defer(undo) {
        this.#undo.push(undo);
    }

    async end() {
        const errors = [];
        while (this.#undo.length > 0) {
            try {
                await this.#undo.pop()();
            } catch (error) {
                errors.push(error);
            }
        }
        open--;
        if (errors.length === 1) throw errors[0];
        if (errors.length > 1) throw new Error(errors.map((e) => e.message).join('\n'));
    }
}

/** A scope that its owner ends, for programs that are no tests. */
export function ownScope(folder) {
    return new Scope(folder);
}

/** A scope that ends with the test `t`. */
export function scopeOf(t) {
    const scope = new Scope(logFolder(process.argv[1], t.name));
    t.after(() => scope.end());
    return scope;
}

/** A scope that ends with the file, for what several of its tests share. Called at the top level of a test file. */
export function sharedScope() {
    const scope = new Scope(logFolder(process.argv[1], 'shared'));
    after(async () => {
        try {
            await scope.end();
        } catch (error) {
            error.message += ` (logs: ${scope.folder})`; // such a failure belongs to no test: the reporter looks here
            throw error;
        }
    });
    return scope;
}

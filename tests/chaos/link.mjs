// The connection of a publisher to the server that owns its channel, made again where it was lost.

import { LIBRARY } from '../lib/library.mjs';
import { sleep } from '../lib/wait.mjs';
import { Connection, Lost, Refused } from './resp.mjs';

export const ANSWER_MS = 4000;
/** What Redis refuses in these words has not been done. */
export const NOT_DONE = /^(LOADING|READONLY|MOVED|ASK|TRYAGAIN|CLUSTERDOWN|MASTERDOWN|NOREPLICAS|OOM|MISCONF|BUSY|ERR Function not found)/;
/** Nor will it be at this connection. */
export const ELSEWHERE = /^(LOADING|READONLY|MOVED|CLUSTERDOWN|MASTERDOWN|ERR Function not found)/;

export class Link {
    #connection = null;

    /**
     * `shape` knows which server owns the channel. `kills`: what an old connection still has in a buffer of Redis must not come
     * after what a new one sends, so Redis is told to close the old one first.
     */
    constructor({ shape, channel, kills = false }) {
        Object.assign(this, { shape, channel, kills });
    }

    /** Resolves to the connection; to null where `isStopped()` before there is one. */
    async get(isStopped) {
        while (!this.#connection || this.#connection.why) {
            try {
                this.#connection = await this.#connect(this.#connection);
            } catch (error) {
                if (!(error instanceof Lost) && !(error instanceof Refused)) throw error;
                if (isStopped()) return null;
                await sleep(50);
            }
        }
        return this.#connection;
    }

    lose(why) {
        this.#connection?.lose(why);
    }

    async #connect(old) {
        const connection = await Connection.open(await this.shape.owner(this.channel));
        try {
            if (this.kills && old?.address === connection.address) await connection.callWithin(ANSWER_MS, 'CLIENT', 'KILL', 'ADDR', old.local).catch(noSuchClient);
            await connection.callWithin(ANSWER_MS, 'FCALL_RO', 'sse_version', 0)
                .catch(() => connection.callWithin(ANSWER_MS, 'FUNCTION', 'LOAD', 'REPLACE', LIBRARY));
            return connection;
        } catch (error) {
            connection.lose();
            throw error;
        }
    }
}

function noSuchClient(error) {
    if (!/^ERR No such client/.test(error.message)) throw error;
}

/** An error of Redis in few words, the same for all of its kind. */
export const inShort = (message) => message.replace(/^(MOVED|ASK) .*/, '$1').split(' ').slice(0, 12).join(' ');

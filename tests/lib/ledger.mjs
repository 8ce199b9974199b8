// What was published, so that what arrived can be held against it: numbered messages, whose text follows from channel,
// number and size. A message that is cut, mixed or repeated is found, and so is a hole that nobody told.

import assert from 'node:assert/strict';

const text = (channel, number, size) => `${channel} ${number} `.padEnd(size, String.fromCharCode(97 + (number % 26)));

export class Ledger {
    #sizes = new Map(); // channel -> size of each message, by number

    /** The next message of a channel, as Redis.publishAll takes it. Sizes are in characters, framing not included. */
    next(channel, size = 0) {
        if (!this.#sizes.has(channel)) this.#sizes.set(channel, []);
        const sizes = this.#sizes.get(channel);
        sizes.push(size);
        return [channel, text(channel, sizes.length - 1, size)];
    }

    count(channel) {
        return this.#sizes.get(channel)?.length ?? 0;
    }

    /** True when the newest message of each channel is among the events. */
    isCurrent(events, channels = [...this.#sizes.keys()]) {
        return channels.every((channel) => {
            const last = events.findLast((e) => e.type === 'message' && e.data.startsWith(`${channel} `));
            return this.count(channel) === 0 || (last && numberOf(last) === this.count(channel) - 1);
        });
    }

    /** Every message of the channels, whole, once, in order, and nothing else. */
    assertComplete(stream, channels = [...this.#sizes.keys()]) {
        const { missing, gaps } = this.assertHolesTold(stream, channels);
        assert.deepEqual({ missing, gaps }, { missing: 0, gaps: 0 });
    }

    /**
     * Messages of the channels, whole, once, in order, up to the newest; for each hole one gateway:gap of its channel,
     * between the last event before it and the next one; no gateway:gap elsewhere. Where one had left when more was
     * dropped, another follows: so a few in a row are right, one for each event that was dropped is not. Returns how many
     * are missing and how many gaps there were, and each channel's first number of which everything came.
     */
    assertHolesTold(stream, channels = [...this.#sizes.keys()]) {
        assert.equal(stream.fault, undefined);
        const next = new Map(channels.map((channel) => [channel, 0]));
        const told = new Map();
        const completeFrom = new Map(channels.map((channel) => [channel, 0]));
        let missing = 0;
        let gaps = 0;
        for (const { type, data } of stream.events) {
            if (type === 'gateway:gap') {
                const { channel } = JSON.parse(data);
                assert.ok(next.has(channel), `a gap of ${channel}`);
                told.set(channel, (told.get(channel) ?? 0) + 1);
                assert.ok(told.get(channel) <= 3, `a fourth gap of ${channel} after ${next.get(channel) - 1}, with no event between them`);
                gaps++;
                continue;
            }
            assert.equal(type, 'message');
            const [channel] = data.split(' ', 1);
            const number = numberOf({ data });
            const expected = next.get(channel);
            assert.ok(expected !== undefined, `an event of ${channel}`);
            assert.equal(data, text(channel, number, this.#sizes.get(channel)[number]), `the text of ${channel} ${number}`);
            assert.ok(number >= expected, `${channel}: ${number} after ${expected - 1}`);
            if (told.get(channel)) assert.notEqual(number, expected, `a gap of ${channel} before ${number}, where nothing is missing`);
            else assert.equal(number, expected, `${channel}: a hole without gateway:gap`);
            if (number > expected) completeFrom.set(channel, number);
            missing += number - expected;
            next.set(channel, number + 1);
            told.set(channel, 0);
        }
        for (const channel of channels) assert.equal(next.get(channel), this.count(channel), `${channel}: events up to the newest`);
        return { missing, gaps, completeFrom };
    }

    /** Bytes on the wire of the messages of `channel` from number `from` to before `to`: chunk framing, field, blank line. */
    wireBytes(channel, from, to) {
        let sum = 0;
        for (let i = from; i < to; i++) {
            const body = 'data: \n\n'.length + text(channel, i, this.#sizes.get(channel)[i]).length;
            sum += body.toString(16).length + 4 + body;
        }
        return sum;
    }
}

function numberOf({ data }) {
    return Number(data.slice(data.indexOf(' ') + 1, data.indexOf(' ', data.indexOf(' ') + 1)));
}

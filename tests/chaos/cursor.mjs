// The places that a last event id names, as gateway/fanout/cursor.h has them: without the names of their channels.

const HEAD = 4; // check and flags
const SHORT = 3; // bytes of a channel's name, and of one of a long entry
const LONG = 8;
const HAS_LONG = 2;

/** [{ ms, offset }] */
export function placesIn(text) {
    const bytes = Buffer.from(text, 'base64url');
    let at = HEAD;
    const number = () => {
        let value = 0n;
        for (let shift = 0n; at < bytes.length; shift += 7n) {
            value |= BigInt(bytes[at] & 127) << shift;
            if (bytes[at++] < 128) break;
        }
        return Number(value);
    };
    const newest = number();
    let long = bytes[HEAD - 1] & HAS_LONG ? bytes[at++] : 0;
    const places = [];
    while (at < bytes.length) {
        at += long-- > 0 ? LONG : SHORT;
        const offset = number();
        if (offset > 0) places.push({ ms: newest - number(), offset });
    }
    return places;
}

#include "gateway/client/end_some.h"

#include "gateway/client/stream.h"

// Slots that one call looks at: where few of very many connections are streams of that age, a call must not hold the
// loop up. Some milliseconds where no slot is in the caches.
#define SLOTS_MAX 65536u

size_t end_some_streams(struct client_context *cx, size_t n, uint64_t min_age_ms, enum close_reason reason)
{
    size_t ended = 0;
    // Each stream is met once in a lap of `ending`, which goes on from call to call: so the streams that there are
    // cost a lap in all, and none of them is passed over while others are met twice.
    for (size_t slots = SLOTS_MAX; slots > 0 && ended < n && cx->streams > 0; slots--) {
        struct conn *c = id_table_draw(&cx->conns, &cx->ending, &cx->random);
        if (!c || c->state != CONN_STREAM || stream_age_ms(c) < min_age_ms)
            continue;
        stream_end(c, reason);
        ended++;
    }
    return ended;
}

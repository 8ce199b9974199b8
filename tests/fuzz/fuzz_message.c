// Any payload of a channel: one event that no client can take for two, or none for a reason. A durable one
// has its place.
#include "gateway/fanout/message.h"

#include <stdlib.h>
#include <string.h>

#include "common/envelope.h"
#include "tests/fuzz/fuzz.h"

static void take(const char *payload, size_t len)
{
    static const struct payload_policy policy;
    enum counter dropped = COUNTER_COUNT;
    struct frame *f = message_frame(&policy, (struct channel_ref){.name = "news", .len = 4, .hash = 7},
                                    payload, len, &dropped);
    bool is_whole = dropped == COUNTER_COUNT || dropped == COUNTER_IDS_DROPPED;
    CHECK((f != NULL) == is_whole);
    if (!f)
        return;
    const char *body = f->wire + f->body_at;
    const char *end = memmem(body, f->body_len, "\n\n", 2);
    CHECK(end == body + f->body_len - 2 && !memchr(body, '\r', f->body_len));
    CHECK(!f->is_gap && !f->rest);
    if (f->id_line_len > 0) // "id: ", the id, LF
        CHECK(envelope_id_returns(body + 4, f->id_line_len - 5));
    if (f->durable)
        CHECK(f->id_line_len > 0 && f->at.offset > 0 && event_id_before(f->prev, f->at));
    else
        CHECK(event_id_is_zero(f->at));
    frame_release(f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    // As it is, as the rest of an envelope, and as that of a durable event's place.
    static const char *const begins[] = {"", "\x1eSSE/1\n", "\x1eSSE/1\ndurable: "};
    for (size_t i = 0; i < sizeof begins / sizeof *begins; i++) {
        size_t len = strlen(begins[i]);
        char *payload = must_alloc(len + size);
        memcpy(payload, begins[i], len);
        if (size > 0)
            memcpy(payload + len, data, size);
        take(payload, len + size);
        free(payload);
    }
    return 0;
}

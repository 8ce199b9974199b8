// Any payload of a channel: events that no client can take for more than they are, or none for a reason. A durable one has
// its place.
#include "gateway/fanout/message.h"

#include <stdlib.h>
#include <string.h>

#include "common/envelope.h"
#include "tests/fuzz/fuzz.h"

static void check(const struct message_event *e)
{
    const struct frame *f = e->frame;
    CHECK((f != NULL) == (e->dropped == COUNTER_COUNT || e->dropped == COUNTER_IDS_DROPPED));
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
}

static void take(const char *payload, size_t len)
{
    static const struct payload_policy policy;
    struct message_event events[MESSAGE_EVENTS_MAX];
    size_t count = message_events(&policy, (struct channel_ref){.name = "news", .len = 4, .hash = 7}, payload,
                                  len, 100, events);
    CHECK(count > 0 && count <= MESSAGE_EVENTS_MAX);
    const struct frame *before = NULL;
    for (size_t i = 0; i < count; i++) {
        check(&events[i]);
        const struct frame *f = events[i].frame;
        CHECK(!f || count == 1 || f->durable);
        CHECK(!f || !before || (event_id_before(before->at, f->at) && before->epoch == f->epoch));
        before = f ? f : before;
    }
    for (size_t i = 0; i < count; i++)
        frame_release(events[i].frame);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    // As it is, as the rest of an envelope, as that of a durable event's place, and as lines of several events.
    static const char *const begins[] = {
        "", "\x1eSSE/1\n", "\x1eSSE/1\ndurable: ", "\x1eSSE/1\nfirst: 9-3\ndurable: 10-5 10-4 9\nearlier: "};
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

#include "gateway/fanout/gap.h"

#include <inttypes.h>
#include <stdio.h>

#include "common/pattern.h"
#include "gateway/fanout/cursor.h"

#define NUMBER_MAX 24

static const char *number_or_null(uint64_t n, char text[NUMBER_MAX])
{
    snprintf(text, NUMBER_MAX, "%" PRIu64, n);
    return n ? text : "null";
}

static struct frame *make(struct channel_ref channel, uint64_t from, uint64_t to, const struct event_id *at)
{
    char data[CHANNEL_NAME_MAX + 96], first[NUMBER_MAX], last[NUMBER_MAX], id[CURSOR_MAX];
    int data_len =
        snprintf(data, sizeof data, "{\"channel\":\"%.*s\",\"from\":%s,\"to\":%s}", (int)channel.len,
                 channel.name, number_or_null(from, first), number_or_null(to, last));
    struct sse_event event = {
        .event = "gateway:gap", .event_len = 11, .data = data, .data_len = (size_t)data_len};
    if (at) {
        event.id = id;
        event.id_len = cursor_encode(
            &(struct cursor_entry){.hash = cursor_hash(channel.name, channel.len), .at = *at}, 1, id);
    }
    struct frame *f = frame_create(&event, channel);
    if (f)
        f->is_gap = true;
    return f;
}

struct frame *gap_frame(struct channel_ref channel)
{
    return make(channel, 0, 0, NULL);
}

struct frame *gap_frame_durable(struct channel_ref channel, uint64_t from, uint64_t to, struct event_id prev,
                                struct event_id at)
{
    struct frame *f = make(channel, from, to, &at);
    if (f) {
        f->durable = true;
        f->prev = prev;
        f->at = at;
    }
    return f;
}

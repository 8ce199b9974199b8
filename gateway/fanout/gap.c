#include "gateway/fanout/gap.h"

#include <inttypes.h>
#include <stdio.h>

#include "common/pattern.h"
#include "gateway/fanout/message.h"

#define NUMBER_MAX 24

static const char *number_or_null(uint64_t n, char text[NUMBER_MAX])
{
    snprintf(text, NUMBER_MAX, "%" PRIu64, n);
    return n ? text : "null";
}

static struct frame *make(struct channel_ref channel, uint64_t from, uint64_t to,
                          const struct event_place *place)
{
    char data[CHANNEL_NAME_MAX + 96], first[NUMBER_MAX], last[NUMBER_MAX];
    int data_len =
        snprintf(data, sizeof data, "{\"channel\":\"%.*s\",\"from\":%s,\"to\":%s}", (int)channel.len,
                 channel.name, number_or_null(from, first), number_or_null(to, last));
    const struct sse_event event = {
        .event = "gateway:gap", .event_len = 11, .data = data, .data_len = (size_t)data_len};
    struct frame *f = place ? message_durable_frame(channel, place, &event) : frame_create(&event, channel);
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
    return make(channel, from, to, &(struct event_place){.at = at, .prev = prev});
}

#include "gateway/fanout/gap.h"

#include <stdio.h>

#include "common/pattern.h"

struct frame *gap_frame(uint64_t channel_hash, const char *channel, size_t channel_len)
{
    char data[CHANNEL_NAME_MAX + 64];
    int len = snprintf(data, sizeof data, "{\"channel\":\"%.*s\",\"from\":null,\"to\":null}",
                       (int)channel_len, channel);
    struct sse_event event = {.event = "gateway:gap", .event_len = 11, .data = data, .data_len = (size_t)len};
    struct frame *f = frame_create(&event, channel_hash, channel, channel_len);
    if (f)
        f->is_gap = true;
    return f;
}

// One channel in the text of a cursor. A text that no gateway has made is CURSOR_UNKNOWN for every channel.
#pragma once

#include "gateway/fanout/cursor.h"

static inline enum cursor_result cursor_find(const char *text, size_t len, const char *channel,
                                             size_t channel_len, struct event_id *at)
{
    struct cursor c;
    return cursor_read(&c, text, len) ? cursor_look_up(&c, cursor_hash(channel, channel_len), at)
                                      : CURSOR_UNKNOWN;
}

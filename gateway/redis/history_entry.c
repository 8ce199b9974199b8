#include "gateway/redis/history_entry.h"

#include <string.h>

#include "common/envelope.h"
#include "gateway/fanout/gap.h"

static bool read_event_id(const redisReply *text, struct event_id *out)
{
    return text->len > 0 && event_id_parse(text->str, (size_t)text->len, out) == (size_t)text->len;
}

static const redisReply *field(const redisReply *entry, const char *name)
{
    const redisReply *fields = entry->element[1];
    for (size_t i = 0; i + 1 < fields->elements; i += 2) {
        const redisReply *key = fields->element[i];
        if (key->type == REDIS_REPLY_STRING && (size_t)key->len == strlen(name) &&
            memcmp(key->str, name, strlen(name)) == 0 && fields->element[i + 1]->type == REDIS_REPLY_STRING)
            return fields->element[i + 1];
    }
    return NULL;
}

static bool read_number(const redisReply *text, uint64_t *out)
{
    return text && text->len > 0 &&
           event_id_parse_number(text->str, (size_t)text->len, out) == (size_t)text->len;
}

bool history_entry_event_id(const redisReply *entry, struct event_id *at, uint64_t *epoch)
{
    if (entry->type != REDIS_REPLY_ARRAY || entry->elements != 2 ||
        entry->element[0]->type != REDIS_REPLY_STRING || entry->element[1]->type != REDIS_REPLY_ARRAY)
        return false;
    if (!read_number(field(entry, "epoch"), epoch))
        *epoch = 0;
    return read_event_id(entry->element[0], at);
}

size_t history_entry_size(const redisReply *entry)
{
    size_t size = 0;
    if (entry->type == REDIS_REPLY_ARRAY && entry->elements == 2 &&
        entry->element[1]->type == REDIS_REPLY_ARRAY)
        for (size_t i = 0; i < entry->element[1]->elements; i++)
            size += entry->element[1]->element[i]->len;
    return size;
}

// False where the entry is not one of the function's, which numbers its entries without a hole.
static bool read_place(const redisReply *entry, struct event_place *place)
{
    const redisReply *text = field(entry, "prev");
    struct event_id prev;
    if (!text || !read_event_id(text, &prev) || !event_id_before(prev, place->at) ||
        place->at.offset != prev.offset + 1 || place->epoch == 0)
        return false;
    place->prev = prev;
    return true;
}

// False, and the reason, where the entry is no event. Empty fields are absent ones.
static bool read_event(const redisReply *entry, size_t max_message, struct sse_event *event,
                       enum counter *dropped)
{
    const redisReply *name = field(entry, "event"), *retry = field(entry, "retry"),
                     *data = field(entry, "data");
    uint64_t ms = 0;
    *dropped = COUNTER_DROPPED_ENVELOPE;
    if (!data || (name && name->len > 0 && !envelope_event_valid(name->str, (size_t)name->len)) ||
        (retry && retry->len > 0 && (!read_number(retry, &ms) || ms > UINT32_MAX)))
        return false;
    *event = (struct sse_event){.data = data->str, .data_len = (size_t)data->len};
    if (name && name->len > 0) {
        event->event = name->str;
        event->event_len = (size_t)name->len;
    }
    event->has_retry = retry && retry->len > 0;
    event->retry_ms = (uint32_t)ms;
    *dropped = COUNTER_DROPPED_TOO_LARGE;
    if (event->data_len > max_message)
        return false;
    *dropped = COUNTER_DROPPED_NOT_TEXT;
    if (!sse_text_valid(event->data, event->data_len) || !sse_text_valid(event->event, event->event_len))
        return false;
    *dropped = COUNTER_COUNT;
    return true;
}

struct frame *history_entry_frame(const redisReply *entry, struct channel_ref channel, size_t max_message,
                                  struct event_id prev, enum counter *dropped)
{
    struct event_place place = {.prev = prev};
    struct sse_event event;
    *dropped = COUNTER_DROPPED_ENVELOPE;
    if (!history_entry_event_id(entry, &place.at, &place.epoch))
        return NULL;
    bool ours = read_place(entry, &place);
    if (ours && read_event(entry, max_message, &event, dropped))
        return message_durable_frame(channel, &place, &event);
    uint64_t offset = ours ? place.at.offset : 0;
    struct frame *gap = gap_frame_durable(channel, offset, offset, place.prev, place.at);
    if (gap)
        gap->is_foreign = !ours;
    return gap;
}

#include "gateway/redis/history_entry.h"

#include <string.h>

#include "common/envelope.h"
#include "common/utf8.h"
#include "gateway/fanout/gap.h"

static bool read_event_id(const redisReply *text, struct event_id *out)
{
    return text->len > 0 && event_id_parse(text->str, (size_t)text->len, out) == (size_t)text->len;
}

// The value of a field, which is no STRING where it was too large for the reader. NULL: there is no such
// field.
static const redisReply *field(const redisReply *entry, const char *name)
{
    const redisReply *fields = entry->element[1];
    for (size_t i = 0; i + 1 < fields->elements; i += 2) {
        const redisReply *key = fields->element[i];
        if (key->type == REDIS_REPLY_STRING && (size_t)key->len == strlen(name) &&
            memcmp(key->str, name, strlen(name)) == 0)
            return fields->element[i + 1];
    }
    return NULL;
}

static bool is_text(const redisReply *value)
{
    return value && value->type == REDIS_REPLY_STRING;
}

static bool read_number(const redisReply *text, uint64_t *out)
{
    return is_text(text) && text->len > 0 &&
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

// The id of the newest snapshot. False where the entry names none.
static bool read_base(const redisReply *entry, struct event_id *base)
{
    const redisReply *text = field(entry, "base");
    return is_text(text) && read_event_id(text, base);
}

bool history_entry_has_snapshot(const redisReply *entry)
{
    struct event_id base;
    return read_base(entry, &base);
}

bool history_entry_ends(const redisReply *entry)
{
    return is_text(field(entry, "end"));
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

// False where sse_publish cannot have written the entry: it writes the id of the entry before into each
// entry, and numbers entries without a hole.
static bool read_place(const redisReply *entry, struct event_id before, struct event_place *place)
{
    const redisReply *text = field(entry, "prev");
    struct event_id prev;
    if (!is_text(text) || !read_event_id(text, &prev) || !event_id_before(prev, place->at) ||
        event_id_before(prev, before) || place->at.offset != prev.offset + 1 || place->epoch == 0 ||
        !field(entry, "data"))
        return false;
    place->prev = prev;
    struct event_id base;
    place->is_snapshot = read_base(entry, &base) && event_id_equal(base, place->at);
    place->ends = history_entry_ends(entry);
    return true;
}

// False, and the reason, where the entry is no event. Empty fields are absent ones.
static bool read_event(const redisReply *entry, size_t max_message, struct sse_event *event,
                       enum counter *dropped)
{
    const redisReply *name = field(entry, "event"), *retry = field(entry, "retry"),
                     *data = field(entry, "data");
    uint64_t ms = 0;
    *dropped = COUNTER_DROPPED_TOO_LARGE;
    if (!is_text(data) || (name && !is_text(name)))
        return false;
    *dropped = COUNTER_DROPPED_ENVELOPE;
    if ((name && name->len > 0 && !envelope_event_valid(name->str, (size_t)name->len)) ||
        (is_text(retry) && retry->len > 0 && (!read_number(retry, &ms) || ms > UINT32_MAX)))
        return false;
    *event = (struct sse_event){.data = data->str, .data_len = (size_t)data->len};
    if (name && name->len > 0) {
        event->event = name->str;
        event->event_len = (size_t)name->len;
    }
    event->has_retry = is_text(retry) && retry->len > 0;
    event->retry_ms = (uint32_t)ms;
    *dropped = COUNTER_DROPPED_TOO_LARGE;
    if (event->data_len > max_message)
        return false;
    *dropped = COUNTER_DROPPED_NOT_TEXT;
    if (!utf8_text_valid(event->data, event->data_len) || !utf8_text_valid(event->event, event->event_len))
        return false;
    *dropped = COUNTER_COUNT;
    return true;
}

struct frame *history_entry_frame(const redisReply *entry, struct channel_ref channel, size_t max_message,
                                  struct event_id before, enum counter *dropped)
{
    struct event_place place;
    struct sse_event event;
    *dropped = COUNTER_FOREIGN_ENTRIES;
    if (!history_entry_event_id(entry, &place.at, &place.epoch))
        return NULL;
    if (!read_place(entry, before, &place)) {
        place.prev = event_id_before(before, place.at) ? before : (struct event_id){0};
        struct frame *gap = gap_frame_durable(channel, 0, 0, place.prev, place.at);
        if (gap)
            gap->is_foreign = true;
        return gap;
    }
    if (read_event(entry, max_message, &event, dropped))
        return message_durable_frame(channel, &place, &event);
    struct frame *gap = gap_frame_durable(channel, place.at.offset, place.at.offset, place.prev, place.at);
    if (gap) {
        gap->epoch = place.epoch;
        gap->ends = place.ends;
    }
    return gap;
}

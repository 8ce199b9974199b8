#include "publisher-cli/history_entry.h"

#include <errno.h>
#include <hiredis/hiredis.h>
#include <stdlib.h>
#include <string.h>

#define FIELDS 5 // that each entry has, before those that only some have

// Two numbers with `between` between them, and nothing else.
static bool read_pair(const char *text, char between, uint64_t *first, uint64_t *second)
{
    char *end;
    if (*text < '0' || *text > '9')
        return false;
    errno = 0;
    *first = strtoull(text, &end, 10);
    if (*end != between || end[1] < '0' || end[1] > '9')
        return false;
    *second = strtoull(end + 1, &end, 10);
    return *end == '\0' && errno == 0;
}

bool history_id_read(const char *text, struct history_id *id)
{
    return read_pair(text, '.', &id->epoch, &id->offset);
}

static bool read_number(const char *text, uint64_t *number)
{
    char *end;
    if (*text < '0' || *text > '9')
        return false;
    errno = 0;
    *number = strtoull(text, &end, 10);
    return *end == '\0' && errno == 0;
}

// Milliseconds below 2^32, or none.
static bool is_retry(struct span text)
{
    size_t digits = 0;
    while (digits < text.len && text.bytes[digits] >= '0' && text.bytes[digits] <= '9')
        digits++;
    return digits == text.len && digits <= 10 && (digits < 2 || text.bytes[0] != '0');
}

static bool are_texts(const struct redisReply *fields)
{
    bool ok =
        fields->type == REDIS_REPLY_ARRAY && fields->elements >= 2u * FIELDS && fields->elements % 2 == 0;
    for (size_t i = 0; ok && i < fields->elements; i++)
        ok = fields->element[i]->type == REDIS_REPLY_STRING;
    return ok;
}

// A field that only some entries have. One that is not known here is passed over: it is of a later version.
static bool read_extra(const char *name, const struct redisReply *value, struct history_entry *entry)
{
    if (strcmp(name, "key") == 0)
        entry->key = (struct span){value->str, value->len};
    else if (strcmp(name, "end") == 0)
        return read_number(value->str, &entry->end_s);
    else if (strcmp(name, "base") == 0) // of the newest snapshot: its own id in that itself
        entry->is_snapshot = strcmp(value->str, entry->stream_id) == 0;
    return true;
}

static bool read_extras(const struct redisReply *fields, struct history_entry *entry)
{
    entry->key = (struct span){"", 0};
    entry->end_s = 0;
    entry->is_snapshot = false;
    for (size_t i = 2u * FIELDS; i < fields->elements; i += 2) {
        if (!read_extra(fields->element[i]->str, fields->element[i + 1], entry))
            return false;
    }
    return true;
}

bool history_entry_read(const struct redisReply *reply, struct history_entry *entry)
{
    static const char *const names[FIELDS] = {"epoch", "prev", "event", "retry", "data"};
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2 ||
        reply->element[0]->type != REDIS_REPLY_STRING || !are_texts(reply->element[1]))
        return false;
    struct redisReply *const *fields = reply->element[1]->element;
    for (size_t i = 0; i < FIELDS; i++) {
        if (strcmp(fields[2 * i]->str, names[i]) != 0)
            return false;
    }
    entry->stream_id = reply->element[0]->str;
    entry->event = (struct span){fields[5]->str, fields[5]->len};
    entry->retry = (struct span){fields[7]->str, fields[7]->len};
    entry->data = (struct span){fields[9]->str, fields[9]->len};
    return read_pair(entry->stream_id, '-', &entry->time_ms, &entry->id.offset) &&
           read_number(fields[1]->str, &entry->id.epoch) && is_retry(entry->retry) &&
           read_extras(reply->element[1], entry);
}

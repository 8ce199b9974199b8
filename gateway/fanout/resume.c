#include "gateway/fanout/resume.h"

#include <string.h>

#include "gateway/fanout/cursor.h"

static void resume_by_cursor(const struct cursor *cursor, struct hub_name *name)
{
    struct event_id at;
    switch (cursor_look_up(cursor, name->cursor_hash, &at)) {
    case CURSOR_KNOWN:
        name->from = FROM_EVENT_ID;
        name->at = at;
        break;
    case CURSOR_UNKNOWN:
        name->from = name->from == FROM_EVENT_ID ? FROM_EVENT_ID : FROM_UNKNOWN;
        break;
    case CURSOR_NEW:
        break;
    }
}

static void resume_by_id(const char *id, size_t len, struct hub_name *names, size_t count)
{
    static const char earliest[] = "earliest";
    bool is_earliest = len == sizeof earliest - 1 && memcmp(id, earliest, len) == 0;
    struct cursor cursor;
    bool is_cursor = cursor_read(&cursor, id, len);
    for (size_t i = 0; i < count; i++) {
        struct hub_name *name = &names[i];
        if (is_cursor)
            resume_by_cursor(&cursor, name);
        else if (is_earliest)
            name->from = name->from == FROM_NOW ? FROM_EARLIEST : name->from;
        else
            name->from = name->from == FROM_EVENT_ID ? FROM_EVENT_ID : FROM_UNKNOWN;
    }
}

void resume_from(const char *ids, struct hub_name *names, size_t count)
{
    for (size_t i = 0; *ids && i < count; i++)
        names[i].cursor_hash = cursor_hash(names[i].channel.name, names[i].channel.len);
    while (*ids) {
        size_t len = strcspn(ids, ",");
        resume_by_id(ids, len, names, count);
        ids += len + (ids[len] == ',');
    }
}

// Any text as a last event id: what it says of a channel is what a cursor of that place says again. And any
// places: what goes into a cursor comes out of it. A list of several begins a stream as each of them alone says.
#include "gateway/fanout/cursor.h"

#include <stdlib.h>
#include <string.h>

#include "gateway/fanout/resume.h"
#include "tests/fuzz/fuzz.h"
#include "tests/unit/lib/cursor_find.h"

#define ENTRIES 80

static void any_text(const char *text, size_t len)
{
    struct event_id at, again;
    char out[CURSOR_MAX];
    if (cursor_find(text, len, "news", 4, &at) != CURSOR_KNOWN)
        return;
    const struct cursor_entry entry = {.hash = cursor_hash("news", 4), .at = at};
    size_t n = cursor_encode(&entry, 1, out);
    CHECK(n > 0 && n <= CURSOR_MAX);
    CHECK(cursor_find(out, n, "news", 4, &again) == CURSOR_KNOWN && event_id_equal(at, again));
}

// Pairs that share 24 bits of their hash.
static const char *const shared[] = {"room:1655",  "room:5650",  "room:6139", "room:9162",  "room:139",
                                     "room:9552",  "room:5473",  "room:9621", "room:6246",  "room:10457",
                                     "room:577",   "room:11279", "room:4634", "room:11357", "room:6727",
                                     "room:12242", "room:763",   "room:12252"};
#define SHARED (sizeof shared / sizeof *shared)

static const char *name_of(size_t i, size_t *len)
{
    static char single[ENTRIES];
    single[i] = (char)(' ' + i);
    *len = i < SHARED ? strlen(shared[i]) : 1;
    return i < SHARED ? shared[i] : &single[i];
}

// Where a channel begins, by looking for it in each part of the list.
static enum hub_from begins(const char *ids, struct channel_ref channel, struct event_id *at)
{
    enum hub_from from = FROM_NOW;
    for (const char *id = ids; *id; id += *id == ',') {
        size_t len = strcspn(id, ",");
        struct event_id one;
        enum cursor_result result = cursor_find(id, len, channel.name, channel.len, &one);
        bool is_earliest = len == 8 && memcmp(id, "earliest", 8) == 0;
        if (result == CURSOR_KNOWN) {
            from = FROM_EVENT_ID;
            *at = one;
        } else if (is_earliest) {
            from = from == FROM_NOW ? FROM_EARLIEST : from;
        } else if (result == CURSOR_UNKNOWN && from != FROM_EVENT_ID) {
            from = FROM_UNKNOWN;
        }
        id += len;
    }
    return from;
}

// The text before, between and behind two cursors of `entries`.
static void any_list(const char *text, size_t len, const struct cursor_entry *entries, size_t count)
{
    static const char *const channels[] = {"room:1655", "room:5650", "room:6139", "news"};
    struct hub_name names[sizeof channels / sizeof *channels];
    char *ids = must_alloc(3 * len + 2 * CURSOR_MAX + 8);
    size_t n = 0;
    for (size_t i = 0; i < 3; i++) {
        memcpy(ids + n, text, len);
        n += strnlen(ids + n, len);
        if (i == 2)
            break;
        ids[n++] = ',';
        n += cursor_encode(entries + i * count / 2, count / 2, ids + n);
        ids[n++] = ',';
    }
    ids[n] = '\0';
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        names[i] = (struct hub_name){.channel = channel_ref(channels[i], strlen(channels[i]))};
    resume_from(ids, names, sizeof names / sizeof *names);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct event_id at = {0};
        CHECK(names[i].from == begins(ids, names[i].channel, &at));
        CHECK(event_id_equal(names[i].at, at));
    }
    free(ids);
}

// Each name once; two numbers of up to eight bytes each.
static void any_places(const uint8_t *data, size_t size)
{
    struct cursor_entry entries[ENTRIES];
    char *out = must_alloc(CURSOR_MAX);
    size_t count = 0;
    for (; count < ENTRIES && size >= 17; count++, data += 17, size -= 17) {
        size_t len;
        const char *name = name_of(count, &len);
        entries[count] = (struct cursor_entry){.hash = cursor_hash(name, len)};
        memcpy(&entries[count].at.ms, data, 8);
        memcpy(&entries[count].at.offset, data + 8, 8);
        entries[count].at.ms >>= data[16] % 8 * 8;
        entries[count].at.offset >>= data[16] / 8 % 8 * 8;
        entries[count].result = data[16] >= 250   ? CURSOR_UNKNOWN
                                : data[16] >= 240 ? CURSOR_NEW
                                                  : CURSOR_KNOWN;
        if (entries[count].at.offset == 0) // as places without events have it in a gateway
            entries[count].at.ms = 0;
    }
    size_t n = cursor_encode(entries, count, out);
    CHECK(n > 0 && n <= CURSOR_MAX);
    for (size_t i = 0; i < count; i++) {
        struct event_id at;
        size_t len;
        const char *name = name_of(i, &len);
        enum cursor_result r = cursor_find(out, n, name, len, &at);
        CHECK(r == entries[i].result || r == CURSOR_UNKNOWN); // which one that was left out is, too
        CHECK(r != CURSOR_KNOWN || event_id_equal(at, entries[i].at));
    }
    any_text(out, n);
    any_list((const char *)data, size < 64 ? size : 64, entries, count);
    free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = must_alloc(size);
    if (size > 0)
        memcpy(text, data, size);
    any_text(text, size);
    free(text);
    any_places(data, size);
    return 0;
}

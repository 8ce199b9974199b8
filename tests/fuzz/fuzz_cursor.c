// Any text as a last event id: what it says of a channel is what a cursor of that place says again. And any
// places: what goes into a cursor comes out of it.
#include "gateway/fanout/cursor.h"

#include <stdlib.h>
#include <string.h>

#define ENTRIES 80

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool promise)
{
    if (!promise)
        abort();
}

static void any_text(const char *text, size_t len)
{
    struct event_id at, again;
    char out[CURSOR_MAX];
    if (cursor_find(text, len, "news", 4, &at) != CURSOR_KNOWN)
        return;
    const struct cursor_entry entry = {.channel = "news", .channel_len = 4, .at = at};
    size_t n = cursor_encode(&entry, 1, out);
    require(n > 0 && n <= CURSOR_MAX);
    require(cursor_find(out, n, "news", 4, &again) == CURSOR_KNOWN && event_id_equal(at, again));
}

// Names of one byte, each once; two numbers of up to eight bytes each.
static void any_places(const uint8_t *data, size_t size)
{
    static char names[ENTRIES];
    struct cursor_entry entries[ENTRIES];
    char *out = malloc(CURSOR_MAX);
    size_t count = 0;
    require(out != NULL);
    for (; count < ENTRIES && size >= 17; count++, data += 17, size -= 17) {
        names[count] = (char)(' ' + count);
        entries[count] = (struct cursor_entry){.channel = &names[count], .channel_len = 1};
        memcpy(&entries[count].at.ms, data, 8);
        memcpy(&entries[count].at.offset, data + 8, 8);
        entries[count].at.ms >>= data[16] % 8 * 8;
        entries[count].at.offset >>= data[16] / 8 % 8 * 8;
        entries[count].unknown = data[16] >= 250;
        if (entries[count].at.offset == 0) // as all places without events
            entries[count].at.ms = 0;
    }
    size_t n = cursor_encode(entries, count, out);
    require(n > 0 && n <= CURSOR_MAX);
    for (size_t i = 0; i < count; i++) {
        struct event_id at;
        enum cursor_result r = cursor_find(out, n, entries[i].channel, 1, &at);
        require(r != CURSOR_NEW && !(entries[i].unknown && r == CURSOR_KNOWN));
        require(r != CURSOR_KNOWN || event_id_equal(at, entries[i].at));
    }
    any_text(out, n);
    free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    // In memory of its own, so that a byte too much is noticed.
    char *text = malloc(size + 1);
    if (!text)
        return 0;
    if (size > 0)
        memcpy(text, data, size);
    any_text(text, size);
    free(text);
    any_places(data, size);
    return 0;
}

// Where a stream begins, by one id or several: each cursor speaks for its channels, and no other text for any.
#include "gateway/fanout/resume.h"

#include <stdio.h>
#include <string.h>

#include "gateway/fanout/cursor.h"
#include "tests/unit/lib/unit_main.h"

enum { CHANNELS = 3 };

static struct hub_name names[CHANNELS];
static char said[128];

// A cursor that names the channels of `word`: "ab" has event 1 of a and event 1 of b, "a2" event 2 of a, "a0" the
// beginning of a.
static size_t add_cursor(const char *word, size_t len, char *out)
{
    struct cursor_entry entries[CHANNELS];
    size_t count = 0;
    for (size_t i = 0; i < len; i++) {
        uint64_t offset = i + 1 < len && word[i + 1] < 'a' ? (uint64_t)word[i + 1] - '0' : 1;
        entries[count++] = (struct cursor_entry){
            .hash = cursor_hash(word + i, 1),
            .at = offset ? (struct event_id){.ms = 1000 + offset, .offset = offset} : (struct event_id){0}};
        i += i + 1 < len && word[i + 1] < 'a';
    }
    return cursor_encode(entries, count, out);
}

// Where a, b and c begin: "a:2 b:now c:gap".
static const char *begin(const char *list)
{
    static const char *const channels[CHANNELS] = {"a", "b", "c"};
    char ids[4096] = "";
    size_t len = 0;
    for (const char *p = list; *p; p += strspn(p, " ")) {
        size_t n = strcspn(p, " ");
        len += len ? (size_t)snprintf(ids + len, sizeof ids - len, ",") : 0;
        if (strchr("abc", *p))
            len += add_cursor(p, n, ids + len);
        else
            len += (size_t)snprintf(ids + len, sizeof ids - len, "%.*s", (int)n, p);
        ids[len] = '\0';
        p += n;
    }
    for (size_t i = 0; i < CHANNELS; i++)
        names[i] = (struct hub_name){.channel = channel_ref(channels[i], 1)};
    resume_from(ids, names, CHANNELS);
    said[0] = '\0';
    for (size_t i = 0; i < CHANNELS; i++) {
        static const char *const froms[] = {
            [FROM_NOW] = "now", [FROM_EARLIEST] = "earliest", [FROM_UNKNOWN] = "gap"};
        size_t at = strlen(said);
        if (names[i].from == FROM_EVENT_ID)
            snprintf(said + at, sizeof said - at, " %s:%u", channels[i], (unsigned)names[i].at.offset);
        else
            snprintf(said + at, sizeof said - at, " %s:%s", channels[i], froms[names[i].from]);
    }
    return said + 1;
}

TEST(each_cursor_speaks_for_its_channels)
{
    static const char *const rows[][2] = {
        {"", "a:now b:now c:now"},
        {"ab2", "a:1 b:2 c:now"},
        {"a b2 c0", "a:1 b:2 c:0"},
        {"c b2 a7", "a:7 b:2 c:1"},
        {"a2b a5", "a:5 b:1 c:now"}, // the later one
        {"a5 a2b", "a:2 b:1 c:now"},
        {"earliest", "a:earliest b:earliest c:earliest"},
        {"earliest b2", "a:earliest b:2 c:earliest"},
        {"b2 earliest", "a:earliest b:2 c:earliest"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        ck_assert_str_eq(begin(rows[i][0]), rows[i][1]);
}

TEST(a_broken_one_is_a_gap_for_the_channels_that_no_other_names)
{
    static const char *const rows[][2] = {
        {"?", "a:gap b:gap c:gap"},          {"? a3", "a:3 b:gap c:gap"},
        {"a3 ? b", "a:3 b:1 c:gap"},         {"a b c ?", "a:1 b:1 c:1"},
        {"? earliest", "a:gap b:gap c:gap"}, {"earliest a ?", "a:1 b:gap c:gap"},
        {"Earliest", "a:gap b:gap c:gap"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        ck_assert_str_eq(begin(rows[i][0]), rows[i][1]);
}

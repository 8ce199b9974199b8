// What a stream asks for is read as the contract says, and what it must not ask for is refused with a line
// that says why.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/client/http_target.h"
#include "gateway/client/stream_body.h"
#include "gateway/client/stream_request.h"
#include "tests/unit/lib/unit_main.h"

#define MAX_CHANNELS 3

static struct stream_request asked;
static char detail[256];

static void setup(void)
{
    ck_assert(stream_request_init(&asked, MAX_CHANNELS));
}

static void teardown(void)
{
    stream_request_deinit(&asked);
}

TESTS_WITH(.setup = setup, .teardown = teardown);

static int parse(const char *query, const char *last_event_id_header)
{
    struct http_request req = {0};
    if (query != NULL)
        req.query = (struct http_text){query, strlen(query)};
    if (last_event_id_header != NULL)
        req.last_event_id = (struct http_text){last_event_id_header, strlen(last_event_id_header)};
    return stream_request_parse(&asked, &req, detail, sizeof(detail));
}

static int parse_body(const char *type, const char *query, const char *body)
{
    struct http_request req = {.method = HTTP_POST,
                               .content_type = {type, strlen(type)},
                               .content_length = (int64_t)strlen(body),
                               .query = {query, strlen(query)}};
    int status = stream_body_check(&req, detail, sizeof detail);
    req.body = (struct http_text){body, strlen(body)};
    return status ? status : stream_request_parse(&asked, &req, detail, sizeof(detail));
}

static void check_channels(const char *want) // separated by commas
{
    char got[512] = "";
    size_t len = 0;
    for (size_t i = 0; i < asked.channel_count; i++) {
        ck_assert_uint_eq(strlen(asked.channels[i].name), asked.channels[i].len);
        len +=
            (size_t)snprintf(got + len, sizeof(got) - len, "%s%s", i > 0 ? "," : "", asked.channels[i].name);
    }
    ck_assert_str_eq(got, want);
}

static void check_refused(const char *query, const char *word)
{
    ck_assert_int_eq(parse(query, NULL), 400);
    ck_assert_msg(strstr(detail, word) != NULL, "no \"%s\" in: %s", word, detail);
}

TEST(channels)
{
    ck_assert_int_eq(parse("channel=user:42", NULL), 0);
    check_channels("user:42");
    ck_assert_int_eq(parse("channel=b&x=y&channel=a", NULL), 0);
    check_channels("b,a");
    ck_assert_int_eq(parse("channel=A-Z_.:%40%2F-9", NULL), 0);
    check_channels("A-Z_.:@/-9");
    ck_assert_int_eq(parse("token=%20+&channel=a&unknown", NULL), 0);
    check_channels("a");
}

TEST(channels_asked_twice_count_once)
{
    ck_assert_int_eq(parse("channel=a&channel=b&channel=a&channel=c&channel=%61&channel=b", NULL), 0);
    check_channels("a,b,c");
}

TEST(too_many_channels)
{
    check_refused("channel=a&channel=b&channel=c&channel=d", "more than 3 channels");
}

TEST(bad_channels)
{
    char longest[200] = "channel=", longer[208];
    memset(longest + 8, 'x', CHANNEL_NAME_MAX);
    ck_assert_int_eq(parse(longest, NULL), 0);
    (void)snprintf(longer, sizeof(longer), "%sx", longest);
    check_refused(longer, "longer than 128");
    check_refused(NULL, "no channel");
    check_refused("", "no channel");
    check_refused("Channel=a", "no channel"); // names of parameters are case-sensitive
    check_refused("channel", "empty");
    check_refused("channel=", "empty");
    check_refused("channel=a&channel=", "empty");
    check_refused("channel=a+b", "\"a b\"");
    check_refused("channel=a*", "byte other");
    check_refused("channel=%C3%A9", "byte other");
    check_refused("channel=__sse", "reserved");
    check_refused("channel=sse:x", "reserved");
    check_refused("channel=a%00", "percent-encoding");
    check_refused("channel=a&x=%", "percent-encoding");
}

TEST(a_stream_may_be_read_once)
{
    static const struct {
        const char *query;
        bool once;
        unsigned wait_s;
    } cases[] = {
        {"channel=a", false, 0},
        {"channel=a&live=1", false, 0},
        {"channel=a&live=0", true, 0},
        {"live=0&channel=a&live=1", false, 0}, // the last one counts
        {"channel=a&wait=1", true, 1},
        {"channel=a&wait=60", true, 60},
        {"channel=a&wait=007", true, 7},
        {"channel=a&live=1&wait=25", true, 25},
        {"channel=a&Live=0&Wait=5", false, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ck_assert_int_eq(parse(cases[i].query, NULL), 0);
        ck_assert_msg(asked.once == cases[i].once && asked.wait_s == cases[i].wait_s, "%s", cases[i].query);
    }
    static const char *const wrong[] = {"live", "live=", "live=2", "live=00", "live=no"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        char query[64];
        (void)snprintf(query, sizeof query, "channel=a&%s", wrong[i]);
        check_refused(query, "live is 0");
    }
    static const char *const waits[] = {"", "0", "61", "-1", "+5", "1s", "%201", "4294967297", "256"};
    for (size_t i = 0; i < sizeof waits / sizeof *waits; i++) {
        char query[64];
        (void)snprintf(query, sizeof query, "channel=a&wait=%s", waits[i]);
        check_refused(query, "seconds from 1 to 60");
    }
}

TEST(a_refusal_fits_its_room)
{
    struct http_request req = {0};
    char small[8];
    ck_assert_int_eq(stream_request_parse(&asked, &req, small, sizeof(small)), 400);
    ck_assert_str_eq(small, "no chan");
    char *query = malloc(4096); // a name of any length, not repeated whole
    ck_assert_ptr_nonnull(query);
    memset(query, 'x', 4095);
    query[4095] = '\0';
    memcpy(query, "channel=", 8);
    check_refused(query, "xxx...\" is longer");
    free(query);
}

TEST(last_event_id_from_header_then_query)
{
    static const struct {
        const char *query, *header, *want;
    } cases[] = {
        {"channel=a", NULL, ""},
        {"channel=a", "h", "h"},
        {"channel=a&last_event_id=q&lastEventId=c", "h", "h"},
        {"channel=a&last_event_id=q&lastEventId=c", NULL, "q"},
        {"lastEventId=c&last_event_id=q&channel=a", NULL, "q"},
        {"lastEventId=c&channel=a", NULL, "c"},
        {"channel=a&last_event_id=q", "", "q"},
        {"channel=a&last_event_id=&lastEventId=c", "", "c"},
        {"channel=a&last_event_id=1&last_event_id=2", NULL, "1,2"},
        {"last_event_id=1&lastEventId=c&channel=a&last_event_id=2,3&last_event_id=", NULL, "1,2,3"},
        {"lastEventId=1&channel=a&lastEventId=%2c2,,", NULL, "1,2"},
        {"lastEventId=c&last_event_id=1&channel=a&lastEventId=d&last_event_id=2", NULL, "1,2"},
        {"channel=a&last_event_id=q", "1, 2,3 ,\t4", "1,2,3,4"},
        {"channel=a", ",", ""},
        {"channel=a&last_event_id=1&last_event_id=%&last_event_id=a/b,2", NULL, "1,?,?,2"},
        {"channel=a&last_event_id=earliest", NULL, "earliest"},
        {"channel=a&last_event_id=%61-_.~9Z", NULL, "a-_.~9Z"},
        {"channel=a&LASTEVENTID=c", NULL, ""},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        ck_assert_int_eq(parse(cases[i].query, cases[i].header), 0);
        ck_assert_str_eq(asked.last_event_id, cases[i].want);
    }
}

TEST(a_foreign_last_event_id_is_a_question_mark)
{
    static const char *const foreign[] = {"a b", "a\tb", "a\xff", "a/b", "?", "a:b", "\"x\"", "{}"};
    for (size_t i = 0; i < sizeof(foreign) / sizeof(foreign[0]); i++) {
        ck_assert_int_eq(parse("channel=a", foreign[i]), 0);
        ck_assert_str_eq(asked.last_event_id, "?");
    }
    static const char *const queries[] = {
        "channel=a&last_event_id=%0A", "channel=a&last_event_id=a%00", "channel=a&lastEventId=%",
        "lastEventId=%zz&channel=a",   "last_event_id=%4&channel=a",
    };
    for (size_t i = 0; i < sizeof(queries) / sizeof(*queries); i++) {
        ck_assert_int_eq(parse(queries[i], NULL), 0);
        ck_assert_str_eq(asked.last_event_id, "?");
        check_channels("a");
    }
    check_refused("channel=a&last_event_i%00=1", "percent-encoding");
    char id[LAST_EVENT_ID_MAX + 2];
    memset(id, 'i', sizeof(id));
    id[LAST_EVENT_ID_MAX] = '\0';
    ck_assert_int_eq(parse("channel=a", id), 0);
    ck_assert_str_eq(asked.last_event_id, id);
    id[LAST_EVENT_ID_MAX] = 'i';
    id[LAST_EVENT_ID_MAX + 1] = '\0';
    ck_assert_int_eq(parse("channel=a", id), 0);
    ck_assert_str_eq(asked.last_event_id, "?");
}

TEST(ids_have_a_bound_together_and_behind_it_is_a_question_mark)
{
    enum { LEN = 63, FIT = LAST_EVENT_IDS_MAX / (LEN + 1), GIVEN = FIT + 3 };
    char ids[GIVEN * (LEN + 1) + 1];
    memset(ids, 'i', sizeof(ids));
    for (size_t i = 1; i <= GIVEN; i++)
        ids[i * (LEN + 1) - 1] = ',';
    ids[sizeof(ids) - 1] = '\0';
    ck_assert_int_eq(parse("channel=a", ids), 0);
    ids[FIT * (LEN + 1)] = '?';
    ids[FIT * (LEN + 1) + 1] = '\0';
    ck_assert_str_eq(asked.last_event_id, ids);
    // Each byte of the bound may be one of an id.
    memset(ids, 'j', sizeof(ids));
    for (size_t i = 1; i < 4; i++)
        ids[i * LAST_EVENT_ID_MAX] = ',';
    ids[LAST_EVENT_IDS_MAX] = '\0';
    ck_assert_int_eq(parse("channel=a", ids), 0);
    ck_assert_uint_eq(strlen(asked.last_event_id), LAST_EVENT_IDS_MAX);
}

TEST(short_ids_have_a_bound_too_since_each_is_looked_at_for_each_channel)
{
    char ids[2 * (LAST_EVENT_IDS_COUNT + 9)] = "", want[sizeof(ids)] = "";
    for (unsigned i = 0; i < LAST_EVENT_IDS_COUNT + 4; i++) {
        strcat(ids, i > 0 ? ",i" : "i");
        if (i < LAST_EVENT_IDS_COUNT)
            strcpy(want, ids);
        if (i + 1 == LAST_EVENT_IDS_COUNT) {
            ck_assert_int_eq(parse("channel=a", ids), 0);
            ck_assert_str_eq(asked.last_event_id, want);
        }
    }
    strcat(want, ",?");
    ck_assert_int_eq(parse("channel=a", ids), 0);
    ck_assert_str_eq(asked.last_event_id, want);
    // As several parameters, of which the later ones have no room either.
    ck_assert_int_eq(parse("channel=a&last_event_id=1&last_event_id=2", NULL), 0);
    ck_assert_str_eq(asked.last_event_id, "1,2");
}

TEST(control_is_one_or_off)
{
    static const struct {
        const char *query;
        bool want;
    } cases[] = {
        {"channel=a", false},
        {"channel=a&control=1", true},
        {"control=1&channel=a", true},
        {"channel=a&control", false},
        {"channel=a&control=0", false},
        {"channel=a&control=true", false},
        {"channel=a&control=11", false},
        {"channel=a&control=%31", true},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        ck_assert_int_eq(parse(cases[i].query, NULL), 0);
        ck_assert_int_eq(asked.control, cases[i].want);
        ck_assert(!asked.source);
    }
}

#define FORM "application/x-www-form-urlencoded"
#define JSON "application/json"

TEST(a_body_adds_channels_to_those_of_the_query)
{
    static const char *const forms[] = {"channel=c&channel=a&channel=b", "channel=%63&&x=y&channel=b"};
    static const char *const objects[] = {"{\"channel\":[\"c\",\"a\",\"b\"]}",
                                          " {\"x\":{\"y\":1},\"channel\":[\"c\",\"b\"],\"wait\":null}\n"};
    for (size_t i = 0; i < 2; i++) {
        ck_assert_int_eq(parse_body(FORM, "channel=a", forms[i]), 0);
        check_channels("a,c,b");
        ck_assert_int_eq(parse_body(JSON "; charset=utf-8", "channel=a", objects[i]), 0);
        check_channels("a,c,b");
    }
    ck_assert_int_eq(parse_body("", "channel=a", ""), 0);
    check_channels("a");
    ck_assert_int_eq(parse_body(FORM, "channel=a", "channel=b&channel=c&channel=d"), 400);
    ck_assert_ptr_nonnull(strstr(detail, "more than 3"));
}

TEST(of_single_values_that_of_the_body_counts)
{
    ck_assert_int_eq(parse_body(FORM, "channel=a&control=1&source=0&live=1&wait=9&last_event_id=q",
                                "control=0&source=1&live=0&wait=8&lastEventId=b"),
                     0);
    ck_assert(!asked.control && asked.source && asked.once);
    ck_assert_uint_eq(asked.wait_s, 8);
    ck_assert_str_eq(asked.last_event_id, "b");
    ck_assert_int_eq(parse_body(JSON, "channel=a",
                                "{\"control\":true,\"source\":\"1\",\"live\":0,\"wait\":60,"
                                "\"lastEventId\":\"c\",\"last_event_id\":[\"i1\",\"i2\"]}"),
                     0);
    ck_assert(asked.control && asked.source && asked.once);
    ck_assert_uint_eq(asked.wait_s, 60);
    ck_assert_str_eq(asked.last_event_id, "i1,i2");
}

TEST(a_body_that_cannot_be_read_is_refused_with_its_reason)
{
    static const struct {
        const char *type, *body;
        int status;
        const char *word;
    } cases[] = {
        {"text/plain", "channel=b", 415, "application/json"},
        {"", "channel=b", 415, "application/json"},
        {"application/jso", "{}", 415, "application/json"},
        {FORM, "channel=%", 400, "the body has a broken"},
        {FORM, "channel=*", 400, "byte other"},
        {JSON, "channel=b", 400, "not one JSON object"},
        {JSON, "[\"b\"]", 400, "not one JSON object"},
        {JSON, "{\"channel\":\"b\"} x", 400, "not one JSON object"},
        {JSON, "{\"channel\":\"b\",\"channel\":\"c\"}", 400, "not one JSON object"},
        {JSON, "{\"channel\":\"b\\u0000\"}", 400, "not one JSON object"},
        {JSON, "{\"x\":[[[1]]]}", 400, "not one JSON object"},
        {JSON, "{\"channel\":{\"b\":1}}", 400, "\"channel\" is a text"},
        {JSON, "{\"channel\":[\"b\",null]}", 400, "\"channel\" is a text"},
        {JSON, "{\"wait\":2.5}", 400, "\"wait\" is a text"},
        {JSON, "{\"wait\":-1}", 400, "seconds from 1 to 60"},
        {JSON, "{\"channel\":7,\"live\":7}", 400, "live is 0"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ck_assert_msg(parse_body(cases[i].type, "channel=a", cases[i].body) == cases[i].status, "%s",
                      cases[i].body);
        ck_assert_msg(strstr(detail, cases[i].word) != NULL, "%s: %s", cases[i].body, detail);
    }
    struct http_request req = {.method = HTTP_POST, .content_length = -1};
    ck_assert_int_eq(stream_body_check(&req, detail, sizeof detail), 411);
    req.content_length = STREAM_BODY_MAX + 1;
    ck_assert_int_eq(stream_body_check(&req, detail, sizeof detail), 413);
    ck_assert_uint_eq(stream_body_len(&req), 0);
}

TEST(what_was_read_before_is_forgotten)
{
    ck_assert_int_eq(parse("channel=a&channel=b&control=1&source=1", "7"), 0);
    ck_assert(asked.source);
    ck_assert_int_eq(parse("channel=c", NULL), 0);
    check_channels("c");
    ck_assert_str_eq(asked.last_event_id, "");
    ck_assert(!asked.control);
    ck_assert(!asked.source);
    ck_assert_int_eq(parse("channel=*", NULL), 400);
    ck_assert_int_eq(parse("channel=d", NULL), 0);
    check_channels("d");
}

TEST(the_longest_target_fits_whatever_the_limit)
{
    struct stream_request many;
    ck_assert(stream_request_init(&many, SIZE_MAX));
    char *query = malloc(HTTP_TARGET_MAX);
    ck_assert_ptr_nonnull(query);
    size_t len = 0, count = 0;
    for (; len + 16 < HTTP_TARGET_MAX; count++)
        len += (size_t)sprintf(query + len, "channel=%zx&", count);
    struct http_request req = {.query = {query, len}};
    ck_assert_int_eq(stream_request_parse(&many, &req, detail, sizeof(detail)), 0);
    ck_assert_uint_eq(many.channel_count, count);
    memset(query, 'v', HTTP_TARGET_MAX); // one parameter, as long as a target can be
    memcpy(query, "channel=a&v=", 12);
    req.query.len = HTTP_TARGET_MAX - 2;
    ck_assert_int_eq(stream_request_parse(&many, &req, detail, sizeof(detail)), 0);
    free(query);
    stream_request_deinit(&many);
}

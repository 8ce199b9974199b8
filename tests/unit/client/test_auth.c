#include "gateway/client/auth.h"

#include <stdio.h>
#include <string.h>

#include "gateway/auth/authenticator.h"
#include "tests/unit/lib/scratch.h"
#include "tests/unit/lib/tokens.h"
#include "tests/unit/lib/unit_main.h"

static const char *const patterns[] = {"news", "public:*", "chat:lobby"};
static const struct client_settings some = {.anonymous = patterns, .anonymous_count = 3};
static const struct client_settings none = {.anonymous_count = 0};
static const char *const everything[] = {"*"};
static const struct client_settings all = {.anonymous = everything, .anonymous_count = 1};

static const struct {
    const struct client_settings *settings;
    const char *channels[4];
    const char *refused; // NULL: all are open
} wants[] = {
    {&some, {"news"}, NULL},
    {&some, {"public:"}, NULL},
    {&some, {"public:a"}, NULL},
    {&some, {"chat:lobby"}, NULL},
    {&some, {"news", "public:a", "chat:lobby"}, NULL},
    {&some, {"new"}, "new"},
    {&some, {"news2"}, "news2"},
    {&some, {"News"}, "News"},
    {&some, {"public"}, "public"},
    {&some, {"chat:lobby:"}, "chat:lobby:"},
    {&some, {"user:42"}, "user:42"},
    // One that is closed closes them all, wherever it stands, and the first is named.
    {&some, {"user:42", "news"}, "user:42"},
    {&some, {"news", "user:42"}, "user:42"},
    {&some, {"news", "user:1", "user:2"}, "user:1"},
    {&none, {"news"}, "news"},
    {&all, {"news", "user:42", "a"}, NULL},
};

static struct counters counters;

TEST_EACH(a_stream_is_open_where_each_of_its_channels_is, wants)
{
    struct stream_channel channels[4];
    struct stream_request want = {.channels = channels};
    char detail[256] = "untouched", expected[256];
    for (const char *const *name = wants[_i].channels; *name; name++) {
        struct stream_channel *c = &channels[want.channel_count++];
        c->len = strlen(*name);
        memcpy(c->name, *name, c->len + 1);
    }
    int status = auth_check(wants[_i].settings, &counters, NULL, &want, detail, sizeof detail);
    if (!wants[_i].refused) {
        ck_assert_int_eq(status, 0);
        return;
    }
    snprintf(expected, sizeof expected, "The channel %s is not open to you.", wants[_i].refused);
    ck_assert_int_eq(status, 403);
    ck_assert_str_eq(detail, expected);
}

// ---- where a token is found: auth_identify and what an answer then says

#define SECRET "0123456789abcdef0123456789abcdef"
#define FAR 4000000000l

static struct authenticator *keys;
static struct client_settings with_keys = {.token_cookie = "__Secure-sse_token", .token_query = "t"};

static void make_keys(void)
{
    static const char *const grants[] = {"{sub}"};
    FILE *f = fopen(scratch_path("secret"), "w");
    ck_assert_ptr_nonnull(f);
    ck_assert_int_ge(fputs(SECRET, f), 0);
    ck_assert_int_eq(fclose(f), 0);
    const struct authenticator_settings settings = {
        .secret_file = scratch_path("secret"),
        .algorithms = JWT_ALL,
        .policy = {.channels_claim = "channels", .grants = grants, .grant_count = 1}};
    char error[256];
    keys = authenticator_create(&settings, error, sizeof error);
    ck_assert_msg(keys != NULL, "%s", error);
    with_keys.authenticator = keys;
}

static void free_keys(void)
{
    authenticator_destroy(keys);
}

TESTS_WITH(.setup_once = scratch_setup, .teardown_once = scratch_teardown, .setup = make_keys,
           .teardown = free_keys);

// `text` with each "{sub}" replaced by a token of that subject.
static const char *fill(const char *text, char *out, size_t size)
{
    size_t n = 0;
    for (const char *at = text; *at; at++) {
        const char *end = *at == '{' ? strchr(at, '}') : NULL;
        if (!end) {
            out[n++] = *at;
            continue;
        }
        char claims[128];
        snprintf(claims, sizeof claims, "{\"sub\":\"%.*s\",\"exp\":%ld}", (int)(end - at - 1), at + 1, FAR);
        n += (size_t)snprintf(out + n, size - n, "%s",
                              token_make("{\"alg\":\"HS256\"}", claims, SIGN_HS256, NULL, SECRET));
        at = end;
    }
    out[n] = '\0';
    return out;
}

static const struct {
    const char *authorization, *cookie, *query;
    const char *who; // the subject; NULL: nobody; "": a token that is refused
} places[] = {
    {"Bearer {a}", "__Secure-sse_token={b}", "t={c}", "a"},
    {"bearer   {a}", NULL, NULL, "a"},
    {NULL, "__Secure-sse_token={b}", "t={c}", "b"},
    {NULL, "x=1; __Secure-sse_token={b}; y=2", NULL, "b"},
    {NULL, "x=1;__Secure-sse_token={b}", NULL, "b"},
    {NULL, "__Secure-sse_token={a}; __Secure-sse_token={b}", NULL, "a"},
    {NULL, "x__Secure-sse_token={b}; __secure-sse_token={b}; __Secure-sse_token2={b}", NULL, NULL},
    {NULL, "__Secure-sse_token; __Secure-sse_token =x", NULL, NULL},
    {NULL, "__Secure-sse_token=; x=y", "t={c}", "c"},
    {NULL, NULL, "channel=x&t={c}&t={a}", "c"},
    {NULL, NULL, "T={c}&tt={c}&t", NULL},
    {"Basic YTpi", "__Secure-sse_token={b}", NULL, "b"},
    {"Bearerx {a}", NULL, NULL, NULL},
    {"Bearer", NULL, NULL, ""},
    {"Bearer ", "__Secure-sse_token={b}", NULL, ""}, // a bad token is never passed over for another one
    {"Bearer {a} {b}", NULL, NULL, ""},
    {"Bearer {a},", NULL, NULL, ""},
    {NULL, "__Secure-sse_token=\"{b}\"", NULL, ""},
    {NULL, NULL, "t=x", ""},
    {NULL, NULL, NULL, NULL},
};

static struct http_text text_of(const char *s, char *room, size_t size)
{
    if (!s)
        return (struct http_text){0};
    (void)fill(s, room, size);
    return (struct http_text){room, strlen(room)};
}

TEST_EACH(the_first_token_that_is_there_counts, places)
{
    char rooms[3][2048], detail[256] = "";
    const struct http_request req = {.authorization =
                                         text_of(places[_i].authorization, rooms[0], sizeof rooms[0]),
                                     .cookie = text_of(places[_i].cookie, rooms[1], sizeof rooms[1]),
                                     .query = text_of(places[_i].query, rooms[2], sizeof rooms[2])};
    struct principal *who = NULL;
    const char *expected = places[_i].who;
    int status = auth_identify(&with_keys, &counters, &req, &who, detail, sizeof detail);
    ck_assert_int_eq(status, expected && !*expected ? 401 : 0);
    ck_assert_int_eq(who != NULL, expected && *expected);
    if (who)
        ck_assert_str_eq(who->subject, expected);
    // 401 says that a token is wrong, or that one is missing; 403 that it gives too little.
    ck_assert_str_eq(auth_error(&with_keys, NULL, &req, 401), expected ? "invalid_token" : "");
    ck_assert_int_eq(auth_error(&with_keys, who, &req, 403) != NULL, who != NULL);
    ck_assert_ptr_null(auth_error(&with_keys, who, &req, 400));
    principal_destroy(who);
}

TEST(without_keys_no_token_is_looked_at)
{
    const struct http_request req = {.authorization = {"Bearer x", 8}};
    struct principal *who = NULL;
    char detail[256];
    ck_assert_int_eq(auth_identify(&some, &counters, &req, &who, detail, sizeof detail), 0);
    ck_assert_ptr_null(who);
}

TEST(what_a_token_could_open_is_401_without_one_and_403_with_another)
{
    struct stream_channel channel = {.name = "a", .len = 1};
    const struct stream_request want = {.channels = &channel, .channel_count = 1};
    const struct principal nobody_special = {.subject = "b"};
    char detail[256];
    ck_assert_int_eq(auth_check(&with_keys, &counters, NULL, &want, detail, sizeof detail), 401);
    ck_assert_int_eq(auth_check(&with_keys, &counters, &nobody_special, &want, detail, sizeof detail), 403);
    ck_assert_int_eq(auth_check(&none, &counters, NULL, &want, detail, sizeof detail), 403);
}

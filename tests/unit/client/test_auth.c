#include "gateway/client/auth.h"

#include <stdio.h>
#include <string.h>

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
    int status = auth_check(wants[_i].settings, NULL, &want, detail, sizeof detail);
    if (!wants[_i].refused) {
        ck_assert_int_eq(status, 0);
        return;
    }
    snprintf(expected, sizeof expected, "The channel %s is not open to you.", wants[_i].refused);
    ck_assert_int_eq(status, 403);
    ck_assert_str_eq(detail, expected);
}

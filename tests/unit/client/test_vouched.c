// What a trusted proxy says of a client by two headers.
#include "gateway/client/vouched.h"

#include <stdio.h>
#include <string.h>

#include "tests/unit/lib/unit_main.h"

TESTS_WITH(.timeout_s = 10);

static const struct vouched_headers both = {.channels = "X-Channels", .subject = "X-Subject"};

// Words: the subject, or -, then the patterns; a status; or nothing.
static const char *said(const struct vouched_headers *headers, const char *fields)
{
    static char words[8192];
    struct principal *who = NULL;
    struct vouched_error error = {0};
    words[0] = '\0';
    switch (vouched_identify(headers, (struct http_text){fields, strlen(fields)}, &who, &error)) {
    case VOUCHED:
        strcat(words, who->subject ? who->subject : "-");
        for (size_t i = 0; i < who->pattern_count; i++)
            strcat(strcat(words, " "), who->patterns[i]);
        break;
    case VOUCHED_BAD:
        ck_assert_ptr_nonnull(error.detail);
        ck_assert_ptr_null(who);
        sprintf(words, "%d", error.status);
        break;
    case VOUCHED_NOTHING:
        ck_assert_ptr_null(who);
        return "nothing";
    case VOUCHED_NO_MEMORY:
        return "no memory";
    }
    principal_destroy(who);
    return words;
}

static const struct {
    const char *fields, *said;
} rows[] = {
    {"Host: x\r\n\r\n", "nothing"},
    {"X-Channels: news\r\n\r\n", "- news"},
    {"x-channels: news, user:7:*\r\nX-SUBJECT: ann\r\n\r\n", "ann news user:7:*"},
    {"X-Channels: a b,c ,\td,, e\r\n\r\n", "- a b c d e"},
    {"X-Channels:\r\n\r\n", "-"},
    {"X-Channels: ,\r\nX-Subject:\r\n\r\n", "-"},
    {"X-Subject: Ann Lee\r\n\r\n", "Ann Lee"},
    {"X-Channels: *\r\n\r\n", "- *"},
    // One of two may be the client's own.
    {"X-Channels: a\r\nX-Channels: b\r\n\r\n", "400"},
    {"X-Subject: ann\r\nx-subject: ann\r\n\r\n", "400"},
    {"X-Channels: a\r\nX-Subject: a\r\nX-Subject: b\r\n\r\n", "400"},
    {"X-Channels: a, b*c\r\n\r\n", "403"},
    {"X-Channels: \"a\"\r\n\r\n", "403"},
    {"X-Channels: \xc3\xa4\r\n\r\n", "403"},
};

TEST_EACH(a_proxy_lists_the_patterns_and_names_the_subject, rows)
{
    ck_assert_str_eq(said(&both, rows[_i].fields), rows[_i].said);
}

TEST(a_header_that_no_option_names_is_not_read)
{
    static const struct vouched_headers none = {0}, subject = {.subject = "X-Subject"};
    static const char fields[] = "X-Channels: a\r\nX-Channels: b\r\nX-Subject: ann\r\n\r\n";
    ck_assert_str_eq(said(&none, fields), "nothing");
    ck_assert_str_eq(said(&subject, fields), "ann");
}

TEST_LOOP(the_list_and_the_subject_have_a_bound, 0, 2)
{
    char fields[4096] = "X-Channels: ";
    for (int i = 0; i < VOUCHED_PATTERNS_MAX + _i; i++)
        strcat(fields, "a,");
    strcat(fields, "\r\n\r\n");
    ck_assert_int_eq(strcmp(said(&both, fields), "403") == 0, _i == 1);
    snprintf(fields, sizeof fields, "X-Subject: %0*d\r\n\r\n", VOUCHED_SUBJECT_MAX + _i, 0);
    ck_assert_int_eq(strcmp(said(&both, fields), "403") == 0, _i == 1);
}

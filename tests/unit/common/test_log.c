#include "common/log.h"

#include <check.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// Each test runs in a child of its own (Check forks), so standard error may be bent to a pipe and left there.
static int log_pipe;

static void capture(void)
{
    int fds[2];

    ck_assert_int_eq(pipe(fds), 0);
    ck_assert_int_ge(dup2(fds[1], STDERR_FILENO), 0);
    close(fds[1]);
    log_pipe = fds[0];
}

// All that was written so far, which is one read of the pipe.
static const char *captured(void)
{
    static char text[65536];
    ssize_t n;

    close(STDERR_FILENO);
    n = read(log_pipe, text, sizeof(text) - 1);
    ck_assert_int_ge(n, 0);
    text[n] = '\0';
    return text;
}

START_TEST(a_text_line_has_time_level_module_and_message)
{
    const char *line;
    int y, mo, d, h, mi, s, ms, end = 0;

    log_setup(LOG_LEVEL_INFO, LOG_FORMAT_TEXT, "gw1");
    log_info("redis", "connected to %s:%d", "localhost", 6379);
    line = captured();
    ck_assert_int_eq(sscanf(line, "%4d-%2d-%2dT%2d:%2d:%2d.%3dZ %n", &y, &mo, &d, &h, &mi, &s, &ms, &end), 7);
    ck_assert_int_eq(end, 25);
    ck_assert_str_eq(line + end, "info  redis: connected to localhost:6379\n");
}
END_TEST

START_TEST(a_json_line_is_one_object)
{
    json_t *object;

    log_setup(LOG_LEVEL_INFO, LOG_FORMAT_JSON, "gw\"1");
    log_warn("listener", "say \"%s\" \\ done", "hi");
    object = json_loads(captured(), 0, NULL);
    ck_assert_ptr_nonnull(object);
    ck_assert_str_eq(json_string_value(json_object_get(object, "level")), "warn");
    ck_assert_str_eq(json_string_value(json_object_get(object, "module")), "listener");
    ck_assert_str_eq(json_string_value(json_object_get(object, "id")), "gw\"1");
    ck_assert_str_eq(json_string_value(json_object_get(object, "msg")), "say \"hi\" \\ done");
    ck_assert_uint_eq(strlen(json_string_value(json_object_get(object, "ts"))), 24);
    json_decref(object);
}
END_TEST

START_TEST(lines_below_the_level_are_not_written)
{
    log_setup(LOG_LEVEL_WARN, LOG_FORMAT_TEXT, NULL);
    log_debug("x", "hidden");
    log_info("x", "hidden");
    log_error("x", "yes");
    log_set_level(LOG_LEVEL_DEBUG);
    log_debug("x", "now");
    {
        const char *text = captured();

        ck_assert_ptr_null(strstr(text, "hidden"));
        ck_assert_ptr_nonnull(strstr(text, "error x: yes\n"));
        ck_assert_ptr_nonnull(strstr(text, "debug x: now\n"));
    }
}
END_TEST

static const struct {
    const char *in, *out;
} escapes[] = {
    {"a\nb", "a\\nb"},
    {"a\r\tb", "a\\r\\tb"},
    {"\x1b[31m", "\\x1b[31m"},
    {"\x7f", "\\x7f"},
    {"caf\xc3\xa9", "caf\xc3\xa9"},
    {"\xf0\x9f\x98\x80", "\xf0\x9f\x98\x80"},
    {"\xc2\x9b", "\\xc2\\x9b"},
    {"\xff", "\\xff"},
    {"\xc3", "\\xc3"},
    {"\xe2\x82", "\\xe2\\x82"},
    {"\xed\xa0\x80", "\\xed\\xa0\\x80"},
    {"\xc0\xaf", "\\xc0\\xaf"},
    {"\xe0\x80\xaf", "\\xe0\\x80\\xaf"},
    {"\xf0\x80\x80\x80", "\\xf0\\x80\\x80\\x80"},
    {"\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80"},
};

START_TEST(control_characters_and_bad_utf8_are_escaped)
{
    const char *message;

    log_setup(LOG_LEVEL_INFO, LOG_FORMAT_TEXT, "gw1");
    log_info("x", "%s", escapes[_i].in);
    message = strstr(captured(), "x: ");
    ck_assert_ptr_nonnull(message);
    ck_assert_uint_eq(strlen(message), 3 + strlen(escapes[_i].out) + 1);
    ck_assert_int_eq(strncmp(message + 3, escapes[_i].out, strlen(escapes[_i].out)), 0);
}
END_TEST

START_TEST(bad_utf8_in_json_still_parses)
{
    json_t *object;

    log_setup(LOG_LEVEL_INFO, LOG_FORMAT_JSON, "\xff");
    log_info("x", "%s", "\xff\n");
    object = json_loads(captured(), 0, NULL);
    ck_assert_ptr_nonnull(object);
    ck_assert_str_eq(json_string_value(json_object_get(object, "msg")), "\\xff\\n");
    json_decref(object);
}
END_TEST

// A message of any length and content is one bounded line, whole JSON, cut between characters.
START_TEST(a_long_message_is_cut)
{
    static const char *const fill[] = {"x", "\"", "\\", "\n", "\xc3\xa9", "\xff"};
    char huge[20000] = "";
    const char *line;
    json_t *object;

    for (size_t i = 0; i + 3 < sizeof(huge); i += strlen(fill[_i]))
        memcpy(huge + i, fill[_i], strlen(fill[_i]) + 1);
    log_setup(LOG_LEVEL_INFO, LOG_FORMAT_JSON, "\"\"\"\"");
    log_info("x", "%s", huge);
    line = captured();
    ck_assert_uint_le(strlen(line), 4096);
    object = json_loads(line, 0, NULL);
    ck_assert_ptr_nonnull(object);
    ck_assert_ptr_nonnull(strstr(json_string_value(json_object_get(object, "msg")), "..."));
    json_decref(object);
}
END_TEST

START_TEST(names_are_known)
{
    enum log_level level;
    enum log_format format;

    ck_assert(log_level_from_name("debug", &level) && level == LOG_LEVEL_DEBUG);
    ck_assert(log_level_from_name("error", &level) && level == LOG_LEVEL_ERROR);
    ck_assert(!log_level_from_name("loud", &level));
    ck_assert(log_format_from_name("json", &format) && format == LOG_FORMAT_JSON);
    ck_assert(!log_format_from_name("", &format));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("log");
    TCase *tcase = tcase_create("log");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_add_checked_fixture(tcase, capture, NULL);
    tcase_add_test(tcase, a_text_line_has_time_level_module_and_message);
    tcase_add_test(tcase, a_json_line_is_one_object);
    tcase_add_test(tcase, lines_below_the_level_are_not_written);
    tcase_add_loop_test(tcase, control_characters_and_bad_utf8_are_escaped, 0,
                        sizeof(escapes) / sizeof(escapes[0]));
    tcase_add_test(tcase, bad_utf8_in_json_still_parses);
    tcase_add_loop_test(tcase, a_long_message_is_cut, 0, 6);
    tcase_add_test(tcase, names_are_known);
    suite_add_tcase(suite, tcase);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

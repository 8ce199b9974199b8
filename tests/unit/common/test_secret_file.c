#include "common/secret_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/lib/scratch.h"
#include "tests/unit/lib/unit_main.h"

static const char *file_with(const char *text)
{
    const char *path = scratch_path("secret");
    FILE *f = fopen(path, "we");

    ck_assert_ptr_nonnull(f);
    ck_assert_int_ge(fputs(text, f), 0);
    ck_assert_int_eq(fclose(f), 0);
    return path;
}

TESTS_WITH(.setup_once = scratch_setup, .teardown_once = scratch_teardown);

TEST_LOOP(a_secret_is_the_first_line_of_its_file, 0, 4)
{
    static const char *const texts[] = {"hush", "hush\n", "hush\r\n", "hush\nmore\n"};
    char *secret = strdup("another"), error[256] = "";

    ck_assert(secret_file_read("x-file", file_with(texts[_i]), &secret, error, sizeof error));
    ck_assert_str_eq(secret, "hush");
    free(secret);
}

TEST(what_is_no_secret_is_refused_and_replaces_none)
{
    char long_text[SECRET_MAX + 2], *secret = strdup("another"), error[256];
    memset(long_text, 'x', sizeof long_text);
    long_text[SECRET_MAX + 1] = '\0';
    const char *const texts[] = {"", "\nhush\n", long_text};

    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        ck_assert(!secret_file_read("x-file", file_with(texts[i]), &secret, error, sizeof error));
        ck_assert_ptr_nonnull(strstr(error, "--x-file: "));
        ck_assert_ptr_nonnull(strstr(error, "must hold one line of 1 to 512 bytes"));
    }
    long_text[SECRET_MAX] = '\0';
    ck_assert(!secret_file_read("x-file", "/nowhere/secret", &secret, error, sizeof error));
    ck_assert_str_eq(error, "--x-file: cannot read /nowhere/secret: No such file or directory");
    ck_assert(!secret_file_read("x-file", "/", &secret, error, sizeof error));
    ck_assert_str_eq(secret, "another");
    ck_assert(secret_file_read("x-file", file_with(long_text), &secret, error, sizeof error));
    ck_assert_uint_eq(strlen(secret), SECRET_MAX);
    free(secret);
}

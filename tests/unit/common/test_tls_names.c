// Which certificate is for which host name.
#include "common/tls_names.h"

#include <stdio.h>
#include <string.h>

#include "tests/unit/lib/unit_main.h"

static struct tls_names names;

static void add(const char *host, size_t certificate)
{
    ck_assert(tls_names_add(&names, host, strlen(host), certificate));
}

static void setup(void)
{
    names = (struct tls_names){0};
}

static void teardown(void)
{
    tls_names_deinit(&names);
}

TESTS_WITH(.setup = setup, .teardown = teardown);

TEST(no_names_match_nothing)
{
    tls_names_sort(&names);
    ck_assert_int_eq(tls_names_find(&names, "a.example"), -1);
    ck_assert_int_eq(tls_names_find(&names, ""), -1);
}

TEST(a_name_is_found_in_any_case_and_with_the_dot_of_the_root)
{
    add("One.Example", 1);
    add("two.example.", 2);
    tls_names_sort(&names);
    ck_assert_int_eq(tls_names_find(&names, "oNE.exaMPLE"), 1);
    ck_assert_int_eq(tls_names_find(&names, "two.example"), 2);
    ck_assert_int_eq(tls_names_find(&names, "two.example."), 2);
    ck_assert_int_eq(tls_names_find(&names, "one.exampl"), -1);
    ck_assert_int_eq(tls_names_find(&names, "one.examplee"), -1);
}

TEST(a_wildcard_is_one_whole_label_and_an_exact_name_comes_before_it)
{
    add("*.example", 3);
    add("exact.example", 1);
    add("*", 7);
    add("f*.example", 8);
    tls_names_sort(&names);
    ck_assert_int_eq(tls_names_find(&names, "a.example"), 3);
    ck_assert_int_eq(tls_names_find(&names, "exact.example"), 1);
    ck_assert_int_eq(tls_names_find(&names, "foo.example"), 3);
    ck_assert_int_eq(tls_names_find(&names, "example"), -1);
    ck_assert_int_eq(tls_names_find(&names, ".example"), -1);
    ck_assert_int_eq(tls_names_find(&names, "a.b.example"), -1);
    ck_assert_int_eq(tls_names_find(&names, "*.example"), -1);
}

TEST(of_one_name_in_several_certificates_the_first_counts)
{
    for (size_t i = 5; i > 0; i--)
        add("same.example", i);
    tls_names_sort(&names);
    ck_assert_int_eq(tls_names_find(&names, "same.example"), 1);
}

TEST(what_is_no_host_name_is_left_out)
{
    char longest[TLS_HOST_MAX + 2];
    memset(longest, 'a', sizeof longest);
    ck_assert(tls_names_add(&names, longest, TLS_HOST_MAX + 1, 1));
    ck_assert(tls_names_add(&names, "a\0b", 3, 1));
    ck_assert(tls_names_add(&names, "a b", 3, 1));
    ck_assert(tls_names_add(&names, "", 0, 1));
    ck_assert(tls_names_add(&names, "m\xc3\xbcller", 7, 1));
    ck_assert_uint_eq(names.count, 0);
    ck_assert(tls_names_add(&names, longest, TLS_HOST_MAX, 2));
    tls_names_sort(&names);
    longest[TLS_HOST_MAX] = '\0';
    ck_assert_int_eq(tls_names_find(&names, longest), 2);
}

TEST(many_names_are_all_found)
{
    char host[32];
    for (size_t i = 0; i < 500; i++) {
        snprintf(host, sizeof host, "h%zu.example", i * 7919 % 500);
        add(host, i * 7919 % 500);
    }
    tls_names_sort(&names);
    for (long i = 0; i < 500; i++) {
        snprintf(host, sizeof host, "h%ld.example", i);
        ck_assert_int_eq(tls_names_find(&names, host), i);
    }
}

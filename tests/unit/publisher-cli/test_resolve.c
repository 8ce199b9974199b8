// Meant for ThreadSanitizer, too: a look-up is a thread.
#include "publisher-cli/resolve.h"

#include <arpa/inet.h>
#include <check.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *host;
    int family;
} hosts[] = {{"127.0.0.1", AF_INET}, {"::1", AF_INET6}, {"localhost", 0}};

START_TEST(an_address_and_a_name_are_resolved)
{
    struct failure failure;
    struct addrinfo *found = resolve(hosts[_i].host, 6380, 10000, &failure);

    ck_assert_ptr_nonnull(found);
    ck_assert_int_eq(found->ai_socktype, SOCK_STREAM);
    if (hosts[_i].family)
        ck_assert_int_eq(found->ai_family, hosts[_i].family);
    if (found->ai_family == AF_INET)
        ck_assert_uint_eq(ntohs(((const struct sockaddr_in *)(const void *)found->ai_addr)->sin_port), 6380);
    freeaddrinfo(found);
}
END_TEST

START_TEST(what_is_no_name_is_told)
{
    struct failure failure = {""};

    ck_assert_ptr_null(resolve("no..name", 6379, 10000, &failure));
    ck_assert_uint_gt(strlen(failure.text), 0);
}
END_TEST

// Whichever is faster, nothing is freed twice, or not at all.
START_TEST(a_look_up_that_is_given_up_cleans_up_after_itself)
{
    struct failure failure;

    for (int i = 0; i < 50; i++) {
        struct addrinfo *found = resolve("localhost", 6379, (uint64_t)(i % 2), &failure);

        if (found)
            freeaddrinfo(found);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("resolve");
    TCase *tcase = tcase_create("resolve");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_add_loop_test(tcase, an_address_and_a_name_are_resolved, 0, sizeof(hosts) / sizeof(hosts[0]));
    tcase_add_test(tcase, what_is_no_name_is_told);
    tcase_add_test(tcase, a_look_up_that_is_given_up_cleans_up_after_itself);
    suite_add_tcase(suite, tcase);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

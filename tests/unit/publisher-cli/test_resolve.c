// Meant for ThreadSanitizer, too: a look-up is a thread.
#include "publisher-cli/resolve.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#include "tests/unit/lib/unit_main.h"

static const struct {
    const char *host;
    int family;
} hosts[] = {{"127.0.0.1", AF_INET}, {"::1", AF_INET6}, {"localhost", 0}};

TEST_EACH(an_address_and_a_name_are_resolved, hosts)
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

TEST(what_is_no_name_is_told)
{
    struct failure failure = {""};

    ck_assert_ptr_null(resolve("no..name", 6379, 10000, &failure));
    ck_assert_uint_gt(strlen(failure.text), 0);
}

// Whichever is faster, nothing is freed twice, or not at all.
TEST(a_look_up_that_is_given_up_cleans_up_after_itself)
{
    struct failure failure;

    for (int i = 0; i < 50; i++) {
        struct addrinfo *found = resolve("localhost", 6379, (uint64_t)(i % 2), &failure);

        if (found)
            freeaddrinfo(found);
    }
}

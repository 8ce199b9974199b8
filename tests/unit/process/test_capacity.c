// Streams get what is left of the limit of open files, and nothing that the gateway needs itself.
#include "gateway/process/capacity.h"

#include <string.h>
#include <sys/resource.h>

#include "common/options.h"
#include "tests/unit/lib/unit_main.h"

static char error[512];

static uint64_t reserved(uint64_t workers, uint64_t listeners, enum redis_url_kind redis)
{
    return capacity_reserved(
        &(struct capacity_needs){.workers = workers, .listeners = listeners, .redis = redis});
}

TEST(each_worker_and_each_listener_of_it_is_counted)
{
    uint64_t one = reserved(1, 1, REDIS_URL_TCP);
    ck_assert_uint_eq(reserved(63, 1, REDIS_URL_TCP), one + 62 * 4);
    ck_assert_uint_eq(reserved(1, 16, REDIS_URL_TCP), one + 15 * 2);
    ck_assert_uint_eq(reserved(63, 16, REDIS_URL_TCP), one + 62 * 4 + 15 * 63 * 2);
}

TEST(a_cluster_has_connections_to_many_nodes)
{
    ck_assert_uint_ge(reserved(1, 1, REDIS_URL_CLUSTER), reserved(1, 1, REDIS_URL_TCP) + 3 * 63);
}

static const struct {
    uint64_t limit, asked, streams, streamless;
} shares[] = {
    {1024, OPTION_UNSET, 860, 64},
    {200, OPTION_UNSET, 36, 64},
    {3300, OPTION_UNSET, 3000, 200},
    {100100, OPTION_UNSET, 98976, 1024},
    {1024, 10, 10, 914},  // not as many as usual
    {1024, 860, 860, 64}, // all that may be asked for
    {100000, 10, 10, 1024},
    {100000, 80000, 80000, 19900},
    {1000100, 100000, 100000, 25000},
};

TEST_EACH(what_is_left_is_shared_by_streams_and_connections_that_have_none, shares)
{
    struct capacity c;
    ck_assert(capacity_share(shares[_i].limit, 100, shares[_i].asked, &c, error, sizeof error));
    ck_assert_uint_eq(c.streams, shares[_i].streams);
    ck_assert_uint_eq(c.streamless, shares[_i].streamless);
    ck_assert_uint_le(c.streams + c.streamless + 100, shares[_i].limit);
    ck_assert(capacity_share(RLIM_INFINITY, 100, OPTION_UNSET, &c, error, sizeof error));
    ck_assert_uint_eq(c.streams, CAPACITY_STREAMS_MAX); // as many as --max-connections may ask for, and announcements say
}

TEST(too_low_a_limit_is_told_with_what_is_needed)
{
    struct capacity c;
    ck_assert(!capacity_share(1024, 100, 861, &c, error, sizeof error));
    ck_assert_str_eq(error, "861 streams need 1025 open files (164 of them for workers, listeners, Redis and "
                            "connections that have no stream yet), but 1024 are allowed; raise the limit "
                            "(ulimit -n, LimitNOFILE=) or lower --max-connections");
    for (uint64_t limit = 0; limit <= 164; limit += 41)
        ck_assert(!capacity_share(limit, 100, OPTION_UNSET, &c, error, sizeof error));
    ck_assert_ptr_nonnull(strstr(error, "or lower --workers"));
}

TEST(the_limit_is_raised_as_far_as_allowed)
{
    struct rlimit limit;
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = 64;
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    ck_assert_uint_eq(capacity_raise_limit(), limit.rlim_max);
}

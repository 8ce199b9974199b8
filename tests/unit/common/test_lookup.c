// Meant for ThreadSanitizer, too: each lookup is a thread.
#include <unistd.h>

static ssize_t write_to(int fd, const void *bytes, size_t len);
#define write write_to
#include "common/lookup.c"
#undef write

#include <arpa/inet.h>
#include <netinet/in.h>

#include "tests/unit/lib/loop.h"
#include "tests/unit/lib/unit_main.h"

static struct ev_loop *loop;
static unsigned done, found_loopback;

static void on_done(void *ctx, const struct addrinfo *found, const char *error)
{
    ck_assert_ptr_eq(ctx, &loop);
    ck_assert_msg(found != NULL, "%s", error);
    done++;
    for (; found; found = found->ai_next) {
        const struct sockaddr_in *four = (const void *)found->ai_addr;
        const struct sockaddr_in6 *six = (const void *)found->ai_addr;
        ck_assert_int_eq(found->ai_socktype, SOCK_STREAM);
        if (found->ai_family == AF_INET)
            found_loopback +=
                ntohl(four->sin_addr.s_addr) == INADDR_LOOPBACK && ntohs(four->sin_port) == 6380;
        else
            found_loopback += IN6_IS_ADDR_LOOPBACK(&six->sin6_addr) && ntohs(six->sin6_port) == 6380;
    }
}

static _Atomic bool wake_up_is_lost;

static ssize_t write_to(int fd, const void *bytes, size_t len)
{
    return wake_up_is_lost ? -1 : write(fd, bytes, len);
}

static void setup(void)
{
    loop = ev_loop_new(EVFLAG_AUTO);
}

static void teardown(void)
{
    ev_loop_destroy(loop);
}

TESTS_WITH(.setup = setup, .teardown = teardown);

static bool is_done(void *ctx)
{
    return done >= *(unsigned *)ctx;
}

TEST(a_name_is_resolved_while_the_loop_turns)
{
    unsigned one = 1;
    struct lookup *l = lookup_start(loop, "localhost", 6380, on_done, &loop);
    ck_assert_ptr_nonnull(l);
    loop_wait(loop, is_done, &one);
    ck_assert_uint_ge(found_loopback, 1);
    ev_run(loop, EVRUN_NOWAIT);
    ck_assert_uint_eq(done, 1); // told once
    lookup_release(l);
}

TEST(a_lookup_that_is_released_is_not_heard_of_again)
{
    enum { COUNT = 30 };
    struct lookup *lookups[COUNT];
    unsigned one = 1;
    for (int i = 0; i < COUNT; i++)
        ck_assert_ptr_nonnull(lookups[i] = lookup_start(loop, "localhost", 6380, on_done, &loop));
    for (int i = 0; i < COUNT; i++) // some of them before, some after their thread has ended
        lookup_release(lookups[i]);
    struct lookup *last = lookup_start(loop, "localhost", 6380, on_done, &loop);
    loop_wait(loop, is_done, &one);
    ck_assert_uint_eq(done, 1);
    lookup_release(last);
    lookup_release(NULL); // no effect
}

static bool is_over(void *ctx)
{
    return lookup_is_over(ctx);
}

static void on_tick(struct ev_loop *ticking, ev_timer *w, int events)
{
    (void)ticking, (void)w, (void)events;
}

TEST(a_lookup_whose_wake_up_is_lost_is_known_to_be_over)
{
    ev_timer tick;
    ev_timer_init(&tick, on_tick, 0.01, 0.01);
    ev_timer_start(loop, &tick);
    wake_up_is_lost = true;
    struct lookup *l = lookup_start(loop, "localhost", 6380, on_done, &loop);
    loop_wait(loop, is_over, l);
    ck_assert_uint_eq(done, 0);
    lookup_release(l);
    ev_timer_stop(loop, &tick);
}

static const char *failure;

static void on_failure(void *ctx, const struct addrinfo *found, const char *error)
{
    (void)ctx;
    ck_assert_ptr_null(found);
    failure = error;
}

TEST(a_lookup_that_cannot_be_watched_has_failed)
{
    struct lookup *l = lookup_start(loop, "localhost", 6380, on_failure, NULL);
    ev_io_stop(loop, &l->io); // as libev does it
    ev_feed_event(loop, &l->io, EV_ERROR | EV_READ | EV_WRITE);
    ev_run(loop, EVRUN_NOWAIT);
    ck_assert_ptr_nonnull(failure);
    lookup_release(l);
}

static const struct {
    const char *host;
    int family; // 0: no address
} hosts[] = {{"127.0.0.1", AF_INET}, {"::1", AF_INET6}, {"localhost", 0}, {"", 0},
             {"127.0.0.1x", 0},      {"[::1]", 0}};

TEST_EACH(an_address_is_known_without_asking, hosts)
{
    struct addrinfo *found = lookup_numeric(hosts[_i].host, 6380);
    ck_assert_int_eq(found ? found->ai_family : 0, hosts[_i].family);
    if (found)
        freeaddrinfo(found);
}

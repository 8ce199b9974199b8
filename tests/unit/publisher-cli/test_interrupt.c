#include "publisher-cli/interrupt.h"

#include <pthread.h>
#include <time.h>
#include <unistd.h>

#include "tests/unit/lib/unit_main.h"

static void *write_later(void *fd)
{
    const struct timespec later = {.tv_nsec = 300000000};
    (void)nanosleep(&later, NULL); // what would wake it early makes the test weaker, not wrong
    ck_assert_int_eq(write(*(int *)fd, "x", 1), 1);
    return NULL;
}

// 2^31 and more have no room in poll's timeout; of 2^32 + 1 the lower half is 1 ms.
static const uint64_t times[] = {UINT64_C(1) << 31, (UINT64_C(1) << 32) + 1, UINT64_C(9999999999999999),
                                 UINT64_MAX};

TEST_EACH(a_time_of_more_than_31_bits_is_waited, times)
{
    int fds[2];
    pthread_t thread;
    ck_assert_int_eq(pipe(fds), 0);
    ck_assert_int_eq(pthread_create(&thread, NULL, write_later, &fds[1]), 0);
    ck_assert(interrupt_within(fds[0], times[_i]));
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    (void)close(fds[0]); // they were only waited for
    (void)close(fds[1]);
}

TEST(without_a_signal_it_ends_in_time)
{
    ck_assert(!interrupt_within(-1, 10));
    ck_assert(!interrupt_within(-1, 0));
}

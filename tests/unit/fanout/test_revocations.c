// Which names are known not to be revoked, and when nothing is known.
#include "gateway/fanout/revocations.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "common/thread.h"
#include "tests/unit/lib/unit_main.h"

static struct revocations *known;

static void setup(void)
{
    known = revocations_create();
    ck_assert_ptr_nonnull(known);
}

static void teardown(void)
{
    revocations_destroy(known);
}

TESTS_WITH(.setup = setup, .teardown = teardown, .timeout_s = 30);

static bool excludes(const char *subject, const char *id)
{
    return revocations_excludes(known, (const char *const[]){subject, id});
}

static void add(unsigned kind, const char *name)
{
    revocations_add(known, kind, name, strlen(name));
}

TEST(nobody_is_excluded_before_the_first_load_is_complete)
{
    ck_assert(!excludes("ann", NULL));
    uint64_t load = revocations_begin(known);
    ck_assert(!excludes("ann", "t1"));
    ck_assert(!revocations_is_whole(known));
    revocations_complete(known, load);
    ck_assert(revocations_is_whole(known));
    ck_assert(excludes("ann", "t1"));
}

TEST(a_subject_or_a_token_that_is_there_is_not_excluded_and_others_are)
{
    uint64_t load = revocations_begin(known);
    add(0, "ann");
    revocations_complete(known, load);
    add(1, "t1"); // by a message
    ck_assert(!excludes("ann", NULL));
    ck_assert(!excludes("ann", "t2"));
    ck_assert(!excludes("bob", "t1"));
    ck_assert(!excludes(NULL, "t1"));
    ck_assert(excludes("bob", "t2"));
    ck_assert(excludes("t1", "ann")); // a subject is no token
    ck_assert(excludes("bob", NULL));
}

TEST(what_came_by_a_message_during_a_load_is_there_after_it)
{
    uint64_t load = revocations_begin(known);
    add(0, "ann");
    revocations_complete(known, load);
    ck_assert(!excludes("ann", NULL));
}

TEST(a_load_that_a_loss_interrupts_is_never_complete)
{
    uint64_t first = revocations_begin(known);
    revocations_forget(known);
    ck_assert(!revocations_is_latest(known, first));
    revocations_complete(known, first);
    ck_assert(!excludes("bob", NULL));
    uint64_t second = revocations_begin(known);
    revocations_complete(known, first);
    ck_assert(!excludes("bob", NULL));
    revocations_complete(known, second);
    ck_assert(excludes("bob", NULL));
    revocations_forget(known);
    ck_assert(!excludes("bob", NULL));
    revocations_forget(NULL);
}

TEST(a_new_load_forgets_names_that_have_no_key_any_more)
{
    uint64_t load = revocations_begin(known);
    add(0, "ann");
    revocations_complete(known, load);
    revocations_complete(known, revocations_begin(known));
    ck_assert(excludes("ann", NULL));
}

TEST(of_100000_names_none_is_excluded_and_few_others_are_asked_about)
{
    char name[32];
    unsigned asked = 0;
    uint64_t load = revocations_begin(known);
    for (int i = 0; i < 100000; i++) {
        snprintf(name, sizeof name, "user-%d", i);
        add(0, name);
    }
    revocations_complete(known, load);
    for (int i = 0; i < 100000; i++) {
        snprintf(name, sizeof name, "user-%d", i);
        ck_assert(!excludes(name, NULL));
        snprintf(name, sizeof name, "other-%d", i);
        asked += !excludes(name, NULL);
    }
    ck_assert_uint_lt(asked, 4000);
}

static _Atomic bool stop;

static void *reload_for_ever(void *ctx)
{
    (void)ctx;
    while (!atomic_load(&stop)) {
        uint64_t load = revocations_begin(known);
        add(0, "ann");
        revocations_complete(known, load);
    }
    return NULL;
}

TEST(a_name_that_each_load_finds_is_at_no_moment_excluded_on_another_thread)
{
    pthread_t thread;
    atomic_store(&stop, false);
    ck_assert(thread_start(&thread, "bus", reload_for_ever, NULL));
    unsigned excluded = 0;
    for (int i = 0; i < 200000; i++)
        excluded += excludes("ann", NULL);
    atomic_store(&stop, true);
    pthread_join(thread, NULL);
    ck_assert_uint_eq(excluded, 0);
}

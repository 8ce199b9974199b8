#include "gateway/auth/principal.h"

#include <string.h>

#include "tests/unit/lib/unit_main.h"

TEST(a_principal_owns_its_texts)
{
    char subject[] = "ann", token_id[] = "t1", pattern[] = "user:ann";
    const char *const patterns[] = {pattern, "news:*"};
    const struct principal from = {
        .subject = subject, .token_id = token_id, .expires_s = 7, .patterns = patterns, .pattern_count = 2};
    struct principal *p = principal_create(&from);
    memset(subject, 'x', 3);
    memset(token_id, 'x', 2);
    memset(pattern, 'x', 8);
    ck_assert_str_eq(p->subject, "ann");
    ck_assert_str_eq(p->token_id, "t1");
    ck_assert_int_eq(p->expires_s, 7);
    ck_assert(principal_may(p, "user:ann", 8));
    ck_assert(principal_may(p, "news:1", 6));
    ck_assert(!principal_may(p, "user:anne", 9));
    ck_assert(!principal_may(p, "xxxxxxxx", 8));
    principal_destroy(p);
}

TEST(nobody_may_have_nothing)
{
    struct principal *p = principal_create(&(struct principal){0});
    ck_assert_ptr_null(p->subject);
    ck_assert(!principal_may(p, "news", 4));
    ck_assert(!principal_may(NULL, "news", 4));
    principal_destroy(p);
}

TEST(a_principal_ends_where_its_token_expires_whatever_the_clock_does_later)
{
    struct principal p = {.expires_s = 1060};
    principal_admit(&p, 1000, 5000);
    ck_assert_uint_eq(principal_lasts_ms(&p, 5000), 60000);
    ck_assert_uint_eq(principal_lasts_ms(&p, 64999), 1);
    ck_assert_uint_eq(principal_lasts_ms(&p, 65000), 0);
    ck_assert_uint_eq(principal_lasts_ms(&p, 99999), 0);
    principal_admit(&p, 1060, 5000);
    ck_assert_uint_eq(principal_lasts_ms(&p, 5000), 0);
    p.expires_s = 253402300799;
    principal_admit(&p, 0, 5000);
    ck_assert_uint_eq(principal_lasts_ms(&p, 5000), PRINCIPAL_FAR_MS);
}

TEST(one_without_an_end_lasts)
{
    struct principal p = {0};
    principal_admit(&p, 1000, 5000);
    principal_admit(NULL, 1000, 5000);
    ck_assert_uint_eq(principal_lasts_ms(&p, UINT64_MAX), PRINCIPAL_FAR_MS);
    ck_assert_uint_eq(principal_lasts_ms(NULL, UINT64_MAX), PRINCIPAL_FAR_MS);
}

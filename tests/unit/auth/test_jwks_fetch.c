// When key sets are fetched; that they are, and what then, is in tests/integration/oidc.test.mjs.
#include "gateway/auth/jwks_fetch.h"

#include <stdio.h>

#include "gateway/auth/https_get.h"
#include "tests/unit/lib/unit_main.h"

static const struct {
    const char *field;
    int64_t seconds;
} fields[] = {
    {"max-age=300", 300},
    {"public, max-age=0", 0},
    {"Public,Max-Age=20,must-revalidate", 20},
    {"max-age=99999999999999999999", INT64_MAX},
    {"s-maxage=300", -1},
    {"x-max-age=300", -1},
    {"max-age=\"300\"", -1},
    {"max-age=-1", -1},
    {"max-age=", -1},
    {"no-store", -1},
    {"", -1},
};

TEST_EACH(an_answer_says_for_how_long_it_may_be_kept, fields)
{
    ck_assert_int_eq(https_max_age(fields[_i].field), fields[_i].seconds);
}

static const struct {
    int64_t max_age_s;
    uint32_t ms;
} ages[] = {{-1, 600000},      {0, 60000},        {59, 60000},       {60, 60000},          {300, 300000},
            {86399, 86399000}, {86400, 86400000}, {86401, 86400000}, {INT64_MAX, 86400000}};

TEST_EACH(keys_are_fetched_again_within_bounds, ages)
{
    ck_assert_uint_eq(jwks_refresh_ms(ages[_i].max_age_s), ages[_i].ms);
}

// No thread is started: nothing is ever fetched.
TEST(any_number_of_unknown_ids_is_waited_for_and_takes_no_memory)
{
    char error[256], kid[32];
    struct jwks_fetch *f = jwks_fetch_create("https://127.0.0.1:1/", NULL, error, sizeof error);
    ck_assert_msg(f != NULL, "%s", error);
    for (int i = 0; i < 1000; i++) {
        snprintf(kid, sizeof kid, "k%d", i % 300);
        ck_assert(jwks_fetch_await(f, kid));
    }
    ck_assert_ptr_null(jwks_fetch_keys(f));
    jwks_fetch_destroy(f);
}

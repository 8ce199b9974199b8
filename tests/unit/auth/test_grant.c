#include "gateway/auth/grant.h"

#include <string.h>

#include "tests/unit/lib/unit_main.h"

static const struct {
    const char *template, *claims, *pattern; // NULL: not given
} cases[] = {
    {"user:{sub}", "{\"sub\":\"42\"}", "user:42"},
    {"user:{sub}:*", "{\"sub\":\"42\"}", "user:42:*"},
    {"{tenant}/{sub}", "{\"sub\":\"a\",\"tenant\":\"b\"}", "b/a"},
    {"{https://a.example/team}", "{\"https://a.example/team\":\"t\"}", "t"},
    {"all", "{}", "all"},
    {"*", "{}", "*"},
    {"user:{sub}", "{}", NULL},
    {"user:{sub}", "{\"sub\":42}", NULL},
    {"user:{sub}", "{\"sub\":\"\"}", NULL},
    {"user:{sub}", "{\"sub\":\"*\"}", NULL},
    {"user:{sub}", "{\"sub\":\"4*\"}", NULL},
    {"user:{sub}", "{\"sub\":\"a b\"}", NULL},
    {"user:{sub}", "{\"sub\":\"{sub}\"}", NULL},
    {"user:{sub}", "{\"sub\":\"\\u00e9\"}", NULL},
    {"user:{sub}", "{\"sub\":[\"42\"]}", NULL},
    {"user:{sub}", "{\"sub\":\"__x\"}", "user:__x"},
};

TEST_EACH(a_grant_is_given_where_its_claims_are_parts_of_a_channel, cases)
{
    char out[GRANT_SIZE], error[128];
    json_t *claims = json_loads(cases[_i].claims, 0, NULL);
    ck_assert_ptr_nonnull(claims);
    ck_assert(grant_check(cases[_i].template, error, sizeof error));
    ck_assert_int_eq(grant_fill(cases[_i].template, claims, out), cases[_i].pattern != NULL);
    if (cases[_i].pattern)
        ck_assert_str_eq(out, cases[_i].pattern);
    json_decref(claims);
}

TEST(a_grant_never_becomes_longer_than_a_channel)
{
    char out[GRANT_SIZE], claims_text[256], name[129];
    memset(name, 'x', 128);
    name[128] = '\0';
    snprintf(claims_text, sizeof claims_text, "{\"sub\":\"%s\"}", name);
    json_t *claims = json_loads(claims_text, 0, NULL);
    ck_assert(grant_fill("{sub}", claims, out));
    ck_assert(grant_fill("{sub}*", claims, out));
    ck_assert(!grant_fill("u{sub}", claims, out));
    ck_assert(!grant_fill("{sub}{sub}", claims, out));
    json_decref(claims);
}

static const char *const wrong[] = {"",       "user:{",      "user:{}", "user:}",      "a*b",
                                    "*{sub}", "user:{a{b}}", "us er",   "user:{sub}*:"};

TEST_EACH(what_can_be_no_pattern_is_refused, wrong)
{
    char error[128] = "";
    ck_assert(!grant_check(wrong[_i], error, sizeof error));
    ck_assert_str_ne(error, "");
}

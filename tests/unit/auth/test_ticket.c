// One-time tickets: what comes out is what went in, for the keys and for as long as it should.
#include "gateway/auth/ticket.h"

#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base64url.h"
#include "gateway/auth/ticket_keys.h"
#include "tests/unit/lib/scratch.h"
#include "tests/unit/lib/unit_main.h"

#define NOW 1700000000
#define KEY_A "0123456789abcdef0123456789abcdef"
#define KEY_B "abcdef0123456789abcdef0123456789"

static const struct ticket_key a = {KEY_A, 32}, b = {KEY_B, 32};
static const unsigned char nonce[TICKET_NONCE] = {0x0a, 0xff, 2};
static const char *const patterns[] = {"news", "user:ann:*"};
static const struct principal ann = {.subject = "ann",
                                     .token_id = "t1",
                                     .issued_s = NOW - 100,
                                     .expires_s = NOW + 100,
                                     .pattern_count = 2,
                                     .patterns = patterns};
static char text[TICKET_TEXT_MAX + 1];

TESTS_WITH(.setup_once = scratch_setup, .teardown_once = scratch_teardown);

static size_t write_ticket(const struct principal *who)
{
    size_t len = ticket_write(&a, who, nonce, NOW, text);
    ck_assert_uint_gt(len, 0);
    ck_assert_uint_eq(strlen(text), len);
    return len;
}

TEST(a_ticket_says_what_its_token_said)
{
    struct ticket ticket;
    size_t len = write_ticket(&ann);
    ck_assert_int_eq(ticket_read(&a, 1, text, len, NOW, &ticket), TICKET_ACCEPTED);
    ck_assert_str_eq(ticket.nonce, "0aff0200000000000000000000000000");
    ck_assert_str_eq(ticket.who->subject, "ann");
    ck_assert_str_eq(ticket.who->token_id, "t1");
    ck_assert_int_eq(ticket.who->issued_s, NOW - 100);
    ck_assert_int_eq(ticket.who->expires_s, NOW + 100);
    ck_assert_uint_eq(ticket.who->pattern_count, 2);
    ck_assert_str_eq(ticket.who->patterns[1], "user:ann:*");
    principal_destroy(ticket.who);
}

TEST(a_token_without_subject_and_id_makes_a_ticket_without_them)
{
    struct ticket ticket;
    size_t len = write_ticket(&(struct principal){.pattern_count = 1, .patterns = patterns});
    ck_assert_int_eq(ticket_read(&a, 1, text, len, NOW, &ticket), TICKET_ACCEPTED);
    ck_assert(!ticket.who->subject && !ticket.who->token_id);
    ck_assert_uint_eq(ticket.who->pattern_count, 1);
    ck_assert_str_eq(ticket.who->patterns[0], "news");
    principal_destroy(ticket.who);
}

TEST(a_ticket_is_good_for_half_a_minute_and_not_longer_than_its_token)
{
    struct ticket ticket;
    struct principal short_lived = ann;
    short_lived.expires_s = NOW + 5;
    size_t len = write_ticket(&ann);
    ck_assert_int_eq(ticket_read(&a, 1, text, len, NOW + 29, &ticket), TICKET_ACCEPTED);
    principal_destroy(ticket.who);
    ck_assert_int_eq(ticket_read(&a, 1, text, len, NOW + 30, &ticket), TICKET_EXPIRED);
    len = write_ticket(&short_lived);
    ck_assert_int_eq(ticket_read(&a, 1, text, len, NOW + 4, &ticket), TICKET_ACCEPTED);
    principal_destroy(ticket.who);
    ck_assert_int_eq(ticket_read(&a, 1, text, len, NOW + 5, &ticket), TICKET_EXPIRED);
}

TEST(any_of_the_keys_verifies_and_no_other)
{
    struct ticket ticket;
    size_t len = write_ticket(&ann);
    const struct ticket_key both[] = {b, a};
    ck_assert_int_eq(ticket_read(&b, 1, text, len, NOW, &ticket), TICKET_MALFORMED);
    ck_assert_int_eq(ticket_read(both, 2, text, len, NOW, &ticket), TICKET_ACCEPTED);
    principal_destroy(ticket.who);
}

TEST(a_ticket_of_which_a_single_bit_was_changed_is_refused)
{
    struct ticket ticket;
    unsigned char bytes[TICKET_TEXT_MAX];
    size_t len = write_ticket(&ann), size;
    ck_assert(base64url_decode(text, len, bytes, &size));
    for (size_t bit = 0; bit < 8 * size; bit++) {
        char changed[TICKET_TEXT_MAX + 1];
        bytes[bit / 8] ^= (unsigned char)(1u << bit % 8);
        size_t n = base64url_encode(bytes, size, changed);
        ck_assert_int_eq(ticket_read(&a, 1, changed, n, NOW, &ticket), TICKET_MALFORMED);
        bytes[bit / 8] ^= (unsigned char)(1u << bit % 8);
    }
    for (size_t cut = 0; cut < len; cut++)
        ck_assert_int_eq(ticket_read(&a, 1, text, cut, NOW, &ticket), TICKET_MALFORMED);
}

TEST(what_does_not_fit_into_a_url_makes_no_ticket)
{
    static char name[101];
    const char *many[40];
    memset(name, 'x', sizeof name - 1);
    for (size_t i = 0; i < 40; i++)
        many[i] = name;
    struct principal who = {.pattern_count = 40, .patterns = many};
    ck_assert_uint_eq(ticket_write(&a, &who, nonce, NOW, text), 0);
    who.pattern_count = 20;
    struct ticket ticket;
    size_t len = write_ticket(&who);
    ck_assert_int_eq(ticket_read(&a, 1, text, len, NOW, &ticket), TICKET_ACCEPTED);
    principal_destroy(ticket.who);
}

static const char *write_file(const char *content)
{
    const char *path = scratch_path("ticket.key");
    FILE *f = fopen(path, "we");
    ck_assert(f && fputs(content, f) >= 0 && fclose(f) == 0);
    return path;
}

TEST(a_new_first_key_signs_and_the_old_one_still_verifies_until_it_is_taken_out)
{
    char error[256];
    struct ticket ticket;
    struct ticket_keys *keys = ticket_keys_create(write_file(KEY_A "\n"), error, sizeof error);
    ck_assert_msg(keys != NULL, "%s", error);
    size_t len = ticket_keys_sign(keys, &ann, NOW, text);
    ck_assert_uint_gt(len, 0);
    (void)write_file("# the new one first\n\n" KEY_B "\r\n" KEY_A);
    ck_assert(ticket_keys_reload(keys, error, sizeof error));
    ck_assert_int_eq(ticket_keys_read(keys, text, len, NOW, &ticket), TICKET_ACCEPTED);
    principal_destroy(ticket.who);
    (void)write_file("too short\n");
    ck_assert(!ticket_keys_reload(keys, error, sizeof error)); // the keys stay
    ck_assert_ptr_nonnull(strstr(error, "--ticket-key-file: "));
    ck_assert_ptr_null(strstr(error, "too short"));
    ck_assert_int_eq(ticket_keys_read(keys, text, len, NOW, &ticket), TICKET_ACCEPTED);
    principal_destroy(ticket.who);
    (void)write_file(KEY_B "\n");
    ck_assert(ticket_keys_reload(keys, error, sizeof error));
    ck_assert_int_eq(ticket_keys_read(keys, text, len, NOW, &ticket), TICKET_MALFORMED);
    ticket_keys_destroy(keys);
}

TEST(two_tickets_of_one_token_differ)
{
    char error[256], other[TICKET_TEXT_MAX + 1];
    struct ticket_keys *keys = ticket_keys_create(write_file(KEY_A "\n"), error, sizeof error);
    ck_assert_ptr_nonnull(keys);
    ck_assert(ticket_keys_sign(keys, &ann, NOW, text) && ticket_keys_sign(keys, &ann, NOW, other));
    ck_assert_str_ne(text, other);
    ticket_keys_destroy(keys);
}

static const char *const bad_files[] = {"", "# no key\n", "short\n",
                                        KEY_A "\n" KEY_A "\n" KEY_A "\n" KEY_A "\n" KEY_A "\n" KEY_A
                                              "\n" KEY_A "\n" KEY_A "\n" KEY_A "\n"};

TEST_EACH(a_file_without_good_keys_is_refused_with_a_reason, bad_files)
{
    char error[256] = "";
    ck_assert_ptr_null(ticket_keys_create(write_file(bad_files[_i]), error, sizeof error));
    ck_assert_ptr_nonnull(strstr(error, "--ticket-key-file: "));
}

// ---- memory

static bool is_scarce;
static long allocations_left;

static bool runs_out(void)
{
    return is_scarce && allocations_left-- <= 0;
}

static void *on_malloc(size_t size, const char *file, int line)
{
    (void)file, (void)line;
    return runs_out() ? NULL : malloc(size);
}

static void *on_realloc(void *block, size_t size, const char *file, int line)
{
    (void)file, (void)line;
    return runs_out() ? NULL : realloc(block, size);
}

static void on_free(void *block, const char *file, int line)
{
    (void)file, (void)line;
    free(block);
}

// A ticket that is good must not be called bad: the page would sign its user out.
TEST_LOOP(where_memory_is_short_a_ticket_is_not_called_bad, 0, 60)
{
    struct ticket ticket;
    ck_assert_int_eq(CRYPTO_set_mem_functions(on_malloc, on_realloc, on_free), 1);
    size_t len = write_ticket(&ann);
    allocations_left = _i;
    is_scarce = true;
    enum ticket_verdict verdict = ticket_read(&a, 1, text, len, NOW, &ticket);
    is_scarce = false;
    ck_assert_int_eq(verdict, allocations_left >= 0 ? TICKET_ACCEPTED : TICKET_NO_MEMORY);
    if (verdict == TICKET_ACCEPTED)
        principal_destroy(ticket.who);
}

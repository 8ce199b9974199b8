// Keys of session tickets: those of a file, and random ones that are replaced in time.
#include "common/tls_tickets.h"

#include <stdio.h>
#include <string.h>

#include "tests/unit/lib/scratch.h"
#include "tests/unit/lib/unit_main.h"

#define HOUR UINT64_C(3600000)

static struct tls_tickets *tickets;
static struct tls_ticket_key key, found;
static char error[400];

static void setup(void)
{
    tickets = tls_tickets_create();
    ck_assert_ptr_nonnull(tickets);
}

static void teardown(void)
{
    tls_tickets_destroy(tickets);
}

TESTS_WITH(.setup = setup, .teardown = teardown, .setup_once = scratch_setup,
           .teardown_once = scratch_teardown);

static bool read_text(const char *text, struct tls_ticket_keys *keys)
{
    const char *path = scratch_path("keys");
    FILE *f = fopen(path, "we");
    ck_assert_ptr_nonnull(f);
    ck_assert_int_ge(fputs(text, f), 0);
    ck_assert_int_eq(fclose(f), 0);
    return tls_ticket_keys_read(path, keys, error, sizeof error);
}

// A line for the key whose bytes are all `byte`.
static const char *line_of(unsigned byte)
{
    static char line[130];
    for (int i = 0; i < 64; i++)
        snprintf(line + (size_t)2 * i, 3, "%02X", byte);
    return line;
}

TEST(a_random_key_encrypts_for_an_hour_and_decrypts_until_its_tickets_are_over)
{
    struct tls_ticket_key next;
    ck_assert(tls_tickets_first(tickets, 5 * HOUR, &key));
    ck_assert(tls_tickets_first(tickets, 6 * HOUR - 1, &next));
    ck_assert_mem_eq(key.name, next.name, sizeof key.name);
    ck_assert(tls_tickets_first(tickets, 6 * HOUR, &next));
    ck_assert_mem_ne(key.name, next.name, sizeof key.name);
    ck_assert_mem_ne(key.cipher, next.cipher, sizeof key.cipher);
    ck_assert(tls_tickets_find(tickets, 8 * HOUR - 1, key.name, &found));
    ck_assert_mem_eq(found.cipher, key.cipher, sizeof key.cipher);
    ck_assert_mem_eq(found.mac, key.mac, sizeof key.mac);
    ck_assert(!tls_tickets_find(tickets, 8 * HOUR, key.name, &found));
}

TEST(random_keys_do_not_pile_up)
{
    for (uint64_t hour = 0; hour < 1000; hour++)
        ck_assert(tls_tickets_first(tickets, hour * HOUR, &key));
}

TEST(an_unknown_name_finds_no_key)
{
    const unsigned char name[16] = "none";
    ck_assert(!tls_tickets_find(tickets, HOUR, name, &found));
}

TEST(of_a_file_the_first_encrypts_for_ever_and_all_decrypt)
{
    struct tls_ticket_keys keys;
    char text[600];
    int len = snprintf(text, sizeof text, "# newest first\n\n%s\n", line_of(0xab));
    snprintf(text + len, sizeof text - (size_t)len, "%s", line_of(0xcd)); // without a line feed
    ck_assert(read_text(text, &keys));
    ck_assert_uint_eq(keys.count, 2);
    tls_tickets_use(tickets, &keys);
    ck_assert(tls_tickets_first(tickets, 1000 * HOUR, &key));
    ck_assert_uint_eq(key.cipher[0], 0xab);
    ck_assert_uint_eq(key.mac[31], 0xab);
    ck_assert(tls_tickets_find(tickets, 1000 * HOUR, keys.keys[1].name, &found));
    ck_assert_uint_eq(found.cipher[0], 0xcd);
    // Random ones again: those of the file are gone.
    tls_tickets_use(tickets, NULL);
    ck_assert(tls_tickets_first(tickets, 1000 * HOUR, &key));
    ck_assert(!tls_tickets_find(tickets, 1000 * HOUR, keys.keys[0].name, &found));
}

TEST(random_keys_outlive_a_reload_without_a_file)
{
    ck_assert(tls_tickets_first(tickets, HOUR, &key));
    tls_tickets_use(tickets, &(struct tls_ticket_keys){0});
    ck_assert(tls_tickets_find(tickets, HOUR, key.name, &found));
}

TEST(the_name_of_a_key_is_the_same_everywhere_and_tells_nothing_of_it)
{
    struct tls_ticket_keys one, other;
    ck_assert(read_text(line_of(0x11), &one));
    ck_assert(read_text(line_of(0x11), &other));
    ck_assert_mem_eq(one.keys[0].name, other.keys[0].name, 16);
    ck_assert_mem_ne(one.keys[0].name, one.keys[0].cipher, 16);
}

TEST(a_file_that_is_no_list_of_keys_is_refused_in_one_line)
{
    struct tls_ticket_keys keys;
    char text[3000] = "";
    ck_assert(!read_text("", &keys));
    ck_assert_ptr_nonnull(strstr(error, "holds no key"));
    ck_assert(!read_text("# nothing\n", &keys));
    snprintf(text, sizeof text, "%s0\n", line_of(1));
    ck_assert(!read_text(text, &keys));
    ck_assert_ptr_nonnull(strstr(error, "line 1 is no key"));
    snprintf(text, sizeof text, "\n%.127sg\n", line_of(1));
    ck_assert(!read_text(text, &keys));
    ck_assert_ptr_nonnull(strstr(error, "line 2 is no key"));
    memset(text, 'a', 2900);
    text[2900] = '\0';
    ck_assert(!read_text(text, &keys));
    text[0] = '\0';
    for (unsigned i = 0; i <= TLS_TICKET_KEYS_MAX; i++) {
        strncat(text, line_of(i), sizeof text - strlen(text) - 1);
        strncat(text, "\n", sizeof text - strlen(text) - 1);
    }
    ck_assert(!read_text(text, &keys));
    ck_assert_ptr_nonnull(strstr(error, "one key too many"));
    ck_assert(!tls_ticket_keys_read("/nonexistent", &keys, error, sizeof error));
    ck_assert_str_eq(error, "cannot read /nonexistent: No such file or directory");
}

// Records between two ends that share secrets, and a connection whose key has encrypted enough. What OpenSSL says
// to them is in test_tls_stream.c.
#include "common/tls_session.h"

#include <string.h>

#include "common/tls.h"

#include "tests/unit/lib/unit_main.h"

#define AES_128 tls_suite_find(0x1301)
#define OVERHEAD (TLS_RECORD_HEADER + 1u + 16u) // of a record of TLS 1.3

static struct tls_crypt *crypt;
static struct tls_records *client;
static struct tls_session server;
static struct tls_wire wire;
static unsigned char sent[4096];
static size_t sent_len, room;
static const unsigned char secret_a[TLS_SECRET_MAX] = "a", secret_b[TLS_SECRET_MAX] = "b";

static ssize_t on_send(void *ctx, const char *bytes, size_t len)
{
    (void)ctx;
    len = len < room ? len : room;
    ck_assert_uint_le(sent_len + len, sizeof sent);
    memcpy(sent + sent_len, bytes, len);
    sent_len += len;
    return (ssize_t)len;
}

static void setup(void)
{
    crypt = tls_crypt_create();
    ck_assert_ptr_nonnull(crypt);
    client = tls_records_create(crypt, AES_128, secret_b, secret_a, 0);
    server = (struct tls_session){.records = tls_records_create(crypt, AES_128, secret_a, secret_b, 0),
                                  .sent_max = TLS_SENT_RECORD_MAX};
    ck_assert(client && server.records);
    wire = (struct tls_wire){.send = on_send};
    sent_len = 0;
    room = sizeof sent;
}

static void teardown(void)
{
    tls_session_deinit(&server);
    tls_records_destroy(client);
    tls_crypt_destroy(crypt);
    buf_free(&wire.waiting);
}

TESTS_WITH(.setup = setup, .teardown = teardown);

// What the client reads of the record at sent[*at]; its type goes to `type`.
static size_t open_next(size_t *at, unsigned char *out, uint8_t *type)
{
    size_t len = (size_t)sent[*at + 3] << 8 | sent[*at + 4];
    ssize_t n = tls_records_open(client, sent + *at, len, out, type);
    ck_assert_int_ge(n, 0);
    *at += TLS_RECORD_HEADER + len;
    return (size_t)n;
}

TEST(no_record_looks_like_the_one_before_it)
{
    ck_assert_int_eq(tls_session_write(&server, &wire, "same", 4), 4);
    size_t len = sent_len;
    ck_assert_int_eq(tls_session_write(&server, &wire, "same", 4), 4);
    ck_assert_uint_eq(sent_len, 2 * len);
    ck_assert_mem_ne(sent + TLS_RECORD_HEADER, sent + len + TLS_RECORD_HEADER, len - TLS_RECORD_HEADER);
}

TEST(a_key_that_has_encrypted_enough_is_replaced_before_the_next_record)
{
    unsigned char out[64];
    uint8_t type;
    size_t at = 0;
    tls_records_destroy(server.records);
    server.records = tls_records_create(crypt, AES_128, secret_a, secret_b, TLS_RECORDS_PER_KEY - 1);
    ck_assert(!tls_records_is_worn(server.records));
    ck_assert_int_eq(tls_session_write(&server, &wire, "last", 4), 4);
    ck_assert(tls_records_is_worn(server.records));
    sent_len = 0;
    ck_assert_int_eq(tls_session_write(&server, &wire, "next", 4), 4);
    ck_assert(!tls_records_is_worn(server.records));
    // The key update stands under the old key, and the record behind it under the new one, which begins anew.
    ck_assert_uint_gt(sent_len, 2 * OVERHEAD);
    at = OVERHEAD + 5;
    ck_assert(tls_records_update_received(client));
    ck_assert_uint_eq(open_next(&at, out, &type), 4);
    ck_assert_mem_eq(out, "next", 4);
    ck_assert_uint_eq(type, TLS_TYPE_DATA);
    ck_assert_uint_eq(at, sent_len);
}

static ssize_t receive(uint8_t type, const void *bytes, size_t len, char *out, size_t size)
{
    unsigned char record[256];
    size_t n = tls_records_seal(client, type, bytes, len, record);
    ck_assert_uint_gt(n, 0);
    wire.fed = (const char *)record;
    wire.fed_len = n;
    return tls_session_read(&server, &wire, out, size);
}

TEST(data_that_is_empty_says_nothing)
{
    char out[8];
    ck_assert_int_eq(receive(TLS_TYPE_DATA, "", 0, out, sizeof out), TRANSPORT_WAIT_READ);
    ck_assert_int_eq(receive(TLS_TYPE_DATA, "abc", 3, out, sizeof out), 3);
}

// type, what it holds, its length, what the server makes of it, the alert it answers with (0: none)
static const struct odd {
    uint8_t type;
    const char *bytes;
    size_t len;
    ssize_t result;
    unsigned char alert;
} odd[] = {
    {TLS_TYPE_ALERT, "\x01\x00", 2, TRANSPORT_END, 0},       // close_notify
    {TLS_TYPE_ALERT, "\x01\x5a", 2, TRANSPORT_WAIT_READ, 0}, // user_canceled
    {TLS_TYPE_ALERT, "\x02\x28", 2, TRANSPORT_LOST, 0},      // handshake_failure
    {TLS_TYPE_ALERT, "\x01", 1, TRANSPORT_LOST, 50},         // decode_error
    {TLS_TYPE_ALERT, "\x01\x00\x01\x00", 4, TRANSPORT_LOST, 50},
    {TLS_TYPE_HANDSHAKE, "\x18\x00\x00\x01\x02", 5, TRANSPORT_LOST, 47}, // a key update of no kind
    {TLS_TYPE_HANDSHAKE, "\x18\x00\x00\x01", 4, TRANSPORT_LOST, 10},     // half a key update
    {TLS_TYPE_HANDSHAKE, "\x01\x00\x00\x00", 4, TRANSPORT_LOST, 10},     // ClientHello: a renegotiation
    {TLS_TYPE_HANDSHAKE, "", 0, TRANSPORT_LOST, 10},
    {20, "\x01", 1, TRANSPORT_LOST, 10}, // ChangeCipherSpec
    {0, "", 0, TRANSPORT_LOST, 10},      // padding alone
};

static void check_odd(const struct odd *o)
{
    unsigned char out[64];
    uint8_t type;
    size_t at = 0;
    ck_assert_int_eq(receive(o->type, o->bytes, o->len, (char *)out, sizeof out), o->result);
    ck_assert_uint_eq(sent_len > 0, o->alert > 0);
    if (sent_len == 0)
        return;
    ck_assert_uint_eq(open_next(&at, out, &type), 2);
    ck_assert_uint_eq(type, TLS_TYPE_ALERT);
    ck_assert_uint_eq(out[0], o->result == TRANSPORT_LOST ? 2 : 1);
    ck_assert_uint_eq(out[1], o->alert);
}

TEST_EACH(what_else_a_client_may_send_and_what_not, odd)
{
    check_odd(&odd[_i]);
}

// Headers of records with as many bytes as the caller takes, and of a longer one.
static void check_too_long(void)
{
    static const unsigned char most[] = {TLS_TYPE_DATA, 3, 3, 0x11, 0x00},
                               more[] = {TLS_TYPE_DATA, 3, 3, 0x11, 0x01};
    char out[8];
    wire.fed = (const char *)more;
    wire.fed_len = sizeof more;
    ck_assert_int_eq(tls_session_read(&server, &wire, out, 4096), TLS_TOO_LONG);
    wire.fed = (const char *)most;
    wire.fed_len = sizeof most;
    server.partial.len = 0;
    ck_assert_int_eq(tls_session_read(&server, &wire, out, 4096), TRANSPORT_WAIT_READ);
    ck_assert_uint_eq(sent_len, 0);
}

TEST(a_record_with_more_bytes_than_the_caller_takes_ends_at_its_header)
{
    check_too_long();
}

TEST(a_record_that_has_more_bytes_than_the_caller_takes_ends_the_connection)
{
    char out[8];
    ck_assert_int_eq(receive(TLS_TYPE_DATA, "123456789", 9, out, sizeof out), TLS_TOO_LONG);
}

TEST(key_updates_that_ask_for_one_get_one_before_the_next_data)
{
    unsigned char out[64];
    uint8_t type;
    size_t at = 0;
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(receive(TLS_TYPE_HANDSHAKE, "\x18\x00\x00\x01\x01", 5, (char *)out, sizeof out),
                         TRANSPORT_WAIT_READ);
        ck_assert(tls_records_update_sent(client));
    }
    ck_assert_uint_eq(sent_len, 0);
    ck_assert_int_eq(receive(TLS_TYPE_DATA, "abc", 3, (char *)out, sizeof out), 3);
    ck_assert_int_eq(tls_session_write(&server, &wire, "def", 3), 3);
    ck_assert_uint_eq(open_next(&at, out, &type), 5);
    ck_assert_uint_eq(type, TLS_TYPE_HANDSHAKE);
    ck_assert_mem_eq(out, "\x18\x00\x00\x01\x00", 5);
    ck_assert(tls_records_update_received(client));
    ck_assert_uint_eq(open_next(&at, out, &type), 3);
    ck_assert_mem_eq(out, "def", 3);
    ck_assert_int_eq(tls_session_write(&server, &wire, "ghi", 3), 3);
    ck_assert_uint_eq(open_next(&at, out, &type), 3);
    ck_assert_uint_eq(at, sent_len);
}

TEST(a_read_full_of_records_without_data_ends_the_connection)
{
    unsigned char records[100 * (OVERHEAD + 5)];
    char out[8];
    for (int count = 32; count <= 33; count++) {
        size_t len = 0;
        for (int i = 0; i < count; i++) {
            len += tls_records_seal(client, TLS_TYPE_HANDSHAKE, "\x18\x00\x00\x01\x00", 5, records + len);
            ck_assert(tls_records_update_sent(client));
        }
        wire.fed = (const char *)records;
        wire.fed_len = len;
        ck_assert_int_eq(tls_session_read(&server, &wire, out, sizeof out),
                         count == 32 ? TRANSPORT_WAIT_READ : TRANSPORT_LOST);
    }
}

// What the server makes of a header, and the alert that it answers with.
static const struct {
    unsigned char header[TLS_RECORD_HEADER];
    unsigned char alert;
} headers[] = {
    {{TLS_TYPE_DATA, 3, 3, 0x41, 0x01}, 22},      // record_overflow
    {{TLS_TYPE_HANDSHAKE, 3, 3, 0x00, 0x20}, 10}, // not encrypted: unexpected_message
    {{20, 3, 3, 0x00, 0x01}, 10},                 // ChangeCipherSpec
};

TEST_EACH(a_header_that_may_not_come_is_answered_with_the_alert_that_says_so, headers)
{
    unsigned char out[64];
    uint8_t type;
    size_t at = 0;
    wire.fed = (const char *)headers[_i].header;
    wire.fed_len = TLS_RECORD_HEADER;
    ck_assert_int_eq(tls_session_read(&server, &wire, (char *)out, sizeof out), TRANSPORT_LOST);
    ck_assert_uint_eq(open_next(&at, out, &type), 2);
    ck_assert_uint_eq(type, TLS_TYPE_ALERT);
    ck_assert_uint_eq(out[1], headers[_i].alert);
}

// The same of TLS 1.2.

static const struct tls_suite *suite_1_2;

static void setup_1_2(void)
{
    struct tls_master m = {"master", "client", "server"};
    struct tls_keys keys[2] = {0};
    setup();
    tls_records_destroy(client);
    tls_records_destroy(server.records);
    suite_1_2 = tls_suite_find(0xc02f);
    ck_assert(suite_1_2 && tls_keys_derive_1_2(suite_1_2, &m, &keys[0], &keys[1]));
    server.records = tls_records_create_1_2(crypt, suite_1_2, &keys[0], &keys[1]);
    client = tls_records_create_1_2(crypt, suite_1_2, &keys[1], &keys[0]);
    ck_assert(client && server.records);
}

TESTS_WITH(.setup = setup_1_2, .teardown = teardown);

TEST(records_of_tls_1_2_say_their_type_and_have_a_nonce_each)
{
    unsigned char out[64];
    uint8_t type;
    size_t at = 0;
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(tls_session_write(&server, &wire, "same", 4), 4);
    ck_assert_uint_eq(sent_len, 2 * (4 + TLS_RECORD_OVERHEAD_MAX));
    ck_assert_mem_eq(sent, "\x17\x03\x03\x00\x1c\0\0\0\0\0\0\0\0", 13);
    ck_assert_mem_eq(sent + sent_len / 2, "\x17\x03\x03\x00\x1c\0\0\0\0\0\0\0\1", 13);
    for (int i = 0; i < 2; i++) {
        ck_assert_uint_eq(open_next(&at, out, &type), 4);
        ck_assert_uint_eq(type, TLS_TYPE_DATA);
        ck_assert_mem_eq(out, "same", 4);
    }
}

TEST(a_key_of_tls_1_2_is_never_worn)
{
    const struct tls_keys many = {.next = TLS_RECORDS_PER_KEY};
    struct tls_records *r = tls_records_create_1_2(crypt, suite_1_2, &many, &many);
    ck_assert(!tls_records_is_worn(r));
    tls_records_destroy(r);
}

static const struct odd odd_1_2[] = {
    {TLS_TYPE_ALERT, "\x01\x00", 2, TRANSPORT_END, 0},       // close_notify
    {TLS_TYPE_ALERT, "\x01\x5a", 2, TRANSPORT_WAIT_READ, 0}, // user_canceled
    {TLS_TYPE_ALERT, "\x01\x64", 2, TRANSPORT_WAIT_READ, 0}, // no_renegotiation
    {TLS_TYPE_ALERT, "\x02\x5a", 2, TRANSPORT_LOST, 0},
    {TLS_TYPE_ALERT, "\x01", 1, TRANSPORT_LOST, 50},
    {TLS_TYPE_HANDSHAKE, "\x01\x00\x00\x00", 4, TRANSPORT_WAIT_READ, 100}, // ClientHello: no_renegotiation
    {TLS_TYPE_HANDSHAKE, "\x01\x00\x00\x01", 4, TRANSPORT_LOST, 10},       // a part of one
    {TLS_TYPE_HANDSHAKE, "\x01\x00\x00\x00x", 5, TRANSPORT_LOST, 10},
    {TLS_TYPE_HANDSHAKE, "\x00\x00\x00\x00", 4, TRANSPORT_LOST, 10},     // HelloRequest
    {TLS_TYPE_HANDSHAKE, "\x18\x00\x00\x01\x01", 5, TRANSPORT_LOST, 10}, // a key update
    {TLS_TYPE_HANDSHAKE, "", 0, TRANSPORT_LOST, 10},
    {20, "\x01", 1, TRANSPORT_LOST, 10}, // ChangeCipherSpec
    {24, "\x01", 1, TRANSPORT_LOST, 10}, // heartbeat
    {0, "", 0, TRANSPORT_LOST, 10},
};

TEST_EACH(what_else_a_client_of_tls_1_2_may_send_and_what_not, odd_1_2)
{
    check_odd(&odd_1_2[_i]);
}

TEST(a_client_that_asks_for_renegotiations_and_reads_nothing_is_cut)
{
    char out[8];
    room = 0;
    ck_assert_int_eq(receive(TLS_TYPE_HANDSHAKE, "\x01\x00\x00\x00", 4, out, sizeof out),
                     TRANSPORT_WAIT_READ);
    ck_assert_int_eq(receive(TLS_TYPE_HANDSHAKE, "\x01\x00\x00\x00", 4, out, sizeof out), TRANSPORT_LOST);
    ck_assert_uint_le(wire.waiting.len, 2 * (2 + TLS_RECORD_OVERHEAD_MAX));
}

TEST(a_record_of_tls_1_2_with_more_bytes_than_the_caller_takes_ends_at_its_header)
{
    check_too_long();
}

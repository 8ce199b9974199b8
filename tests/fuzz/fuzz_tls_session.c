// What a client may send after a handshake of TLS 1.3 or 1.2: records of any type and with any bytes under the right key,
// key updates in between, and bytes that are no records, in pieces of any size. Nothing of it may be read twice or
// past its end, and what is data arrives as it was sent.
#include "common/tls_session.h"

#include <string.h>

#include "common/tls.h"
#include "tests/fuzz/fuzz.h"

#define PLAIN_MAX 512u

static ssize_t on_send(void *ctx, const char *bytes, size_t len)
{
    (void)bytes;
    size_t *room = ctx; // a socket that fills up
    size_t n = len < *room ? len : *room;
    *room -= n;
    return (ssize_t)n;
}

// Feeds `len` bytes in pieces; false where the connection is over.
static bool feed(struct tls_session *s, struct tls_wire *w, const unsigned char *bytes, size_t len,
                 size_t step, const unsigned char *expected, size_t expected_len)
{
    char out[TLS_RECORD_MAX];
    for (size_t at = 0; at < len;) {
        size_t n = len - at < step ? len - at : step;
        char *piece = must_alloc(n);
        memcpy(piece, bytes + at, n);
        w->fed = piece;
        w->fed_len = n;
        ssize_t result;
        while ((result = tls_session_read(s, w, out, sizeof out)) > 0)
            CHECK(expected && (size_t)result == expected_len && memcmp(out, expected, expected_len) == 0);
        CHECK(result != TRANSPORT_WAIT_READ || w->fed_len == 0);
        free(piece);
        if (result != TRANSPORT_WAIT_READ)
            return false;
        at += n;
    }
    return true;
}

// A byte for the kind, one for the length, one for the size of pieces; then the bytes.
static bool run_one(struct tls_session *s, struct tls_wire *w, struct tls_records *client, const uint8_t **at,
                    const uint8_t *end)
{
    unsigned char record[PLAIN_MAX + TLS_RECORD_OVERHEAD_MAX];
    uint8_t kind = (*at)[0];
    size_t len = (*at)[1], step = (size_t)(*at)[2] + 1;
    *at += 3;
    if (len > (size_t)(end - *at))
        len = (size_t)(end - *at);
    const uint8_t *bytes = *at;
    *at += len;
    if (kind & 0x80) // as they are
        return feed(s, w, bytes, len, step, NULL, 0);
    uint8_t type = kind & 0x40 ? kind & 0x3f : TLS_TYPE_DATA;
    if (type == 0) // padding: what is before it is the type
        type = TLS_TYPE_DATA;
    size_t n = tls_records_seal(client, type, bytes, len, record);
    CHECK(n > len && n <= len + TLS_RECORD_OVERHEAD_MAX);
    if (!feed(s, w, record, n, step, type == TLS_TYPE_DATA ? bytes : NULL, len))
        return false;
    // The connection lives on after a handshake message only where that was a key update, or in vain (TLS 1.2).
    return type != TLS_TYPE_HANDSHAKE || tls_records_are_1_2(client) || tls_records_update_sent(client);
}

// The two ends of a connection, with one of nine suites.
static void connect_ends(struct tls_crypt *crypt, size_t number, struct tls_records **server,
                         struct tls_records **client)
{
    static const uint16_t suites[] = {0x1301, 0x1302, 0x1303, 0xc02b, 0xc02c, 0xc02f, 0xc030, 0xcca8, 0xcca9};
    static const unsigned char a[TLS_SECRET_MAX] = "a", b[TLS_SECRET_MAX] = "b";
    static const struct tls_keys key_a = {.key = "a", .iv = "a"}, key_b = {.key = "b", .iv = "b"};
    const struct tls_suite *suite = tls_suite_find(suites[number % (sizeof suites / sizeof *suites)]);
    if (suite->is_1_2) {
        *server = tls_records_create_1_2(crypt, suite, &key_a, &key_b);
        *client = tls_records_create_1_2(crypt, suite, &key_b, &key_a);
    } else {
        *server = tls_records_create(crypt, suite, a, b, 0);
        *client = tls_records_create(crypt, suite, b, a, 0);
    }
    CHECK(*server && *client);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct tls_crypt *crypt;
    if (!crypt)
        crypt = tls_crypt_create();
    CHECK(crypt);
    size_t room = size > 0 ? (size_t)data[0] * 16 : 0;
    struct tls_wire w = {.send = on_send, .ctx = &room};
    struct tls_session s = {.sent_max = TLS_SENT_RECORD_MAX};
    struct tls_records *client;
    connect_ends(crypt, size, &s.records, &client);
    const uint8_t *at = data, *end = data + size;
    while (end - at >= 3 && run_one(&s, &w, client, &at, end))
        CHECK(w.waiting.len <= TLS_WAITING_MAX);
    tls_session_deinit(&s);
    tls_records_destroy(client);
    buf_free(&w.waiting);
    return 0;
}

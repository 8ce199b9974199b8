#include "common/envelope.h"

#include <stdlib.h>
#include <string.h>

#include "tests/unit/lib/unit_main.h"

#define MAGIC "\x1eSSE/1\n"
#define BYTES(text) text, sizeof(text) - 1
// A field that is absent, and one that is there.
#define NONE NULL, 0

struct expectation {
    const char *payload;
    size_t len;
    enum envelope_result result;
    const char *event;
    size_t event_len;
    const char *id;
    size_t id_len;
    int64_t retry; // -1: absent
    const char *body;
    size_t body_len;
};

static const struct expectation decodings[] = {
    {BYTES(""), ENVELOPE_NONE, NONE, NONE, -1, NONE},
    {BYTES("hello"), ENVELOPE_NONE, NONE, NONE, -1, NONE},
    {BYTES("\x1eSSE/1"), ENVELOPE_NONE, NONE, NONE, -1, NONE},
    {BYTES("\x1eSSE/2\n\nx"), ENVELOPE_NONE, NONE, NONE, -1, NONE},
    {BYTES("\x1eSSE/1\r\n\r\nx"), ENVELOPE_NONE, NONE, NONE, -1, NONE},
    {BYTES(" " MAGIC "\nx"), ENVELOPE_NONE, NONE, NONE, -1, NONE},
    {BYTES(MAGIC "\n"), ENVELOPE_OK, NONE, NONE, -1, BYTES("")},
    {BYTES(MAGIC "\nbody"), ENVELOPE_OK, NONE, NONE, -1, BYTES("body")},
    {BYTES(MAGIC "event: a\nid: 7\nretry: 50\n\nbody"), ENVELOPE_OK, BYTES("a"), BYTES("7"), 50,
     BYTES("body")},
    {BYTES(MAGIC "retry: 0\nevent:a\n\n\nbody\n"), ENVELOPE_OK, BYTES("a"), NONE, 0, BYTES("\nbody\n")},
    {BYTES(MAGIC "event:  a \n\n"), ENVELOPE_OK, BYTES(" a "), NONE, -1, BYTES("")},
    {BYTES(MAGIC "event\nid:\n\nb"), ENVELOPE_OK, BYTES(""), BYTES(""), -1, BYTES("b")},
    {BYTES(MAGIC "event: a\nevent: b\n\n"), ENVELOPE_OK, BYTES("b"), NONE, -1, BYTES("")},
    {BYTES(MAGIC "event: a:b: c\n\n"), ENVELOPE_OK, BYTES("a:b: c"), NONE, -1, BYTES("")},
    {BYTES(MAGIC "x-trace: 1\n: note\nnoise\nEvent: no\n events: no\n\nb"), ENVELOPE_OK, NONE, NONE, -1,
     BYTES("b")},
    {BYTES(MAGIC "\n" MAGIC "event: x\n\n"), ENVELOPE_OK, NONE, NONE, -1, BYTES(MAGIC "event: x\n\n")},
    {BYTES(MAGIC "\na\0b\r\n\xff"), ENVELOPE_OK, NONE, NONE, -1, BYTES("a\0b\r\n\xff")},
    {BYTES(MAGIC "event: gateway\n\n"), ENVELOPE_OK, BYTES("gateway"), NONE, -1, BYTES("")},
    {BYTES(MAGIC "event: my:gateway:x\nid: gateway:1\n\n"), ENVELOPE_OK, BYTES("my:gateway:x"),
     BYTES("gateway:1"), -1, BYTES("")},
    {BYTES(MAGIC "retry: 4294967295\n\n"), ENVELOPE_OK, NONE, NONE, 4294967295, BYTES("")},
    {BYTES(MAGIC "retry: 007\n\n"), ENVELOPE_OK, NONE, NONE, 7, BYTES("")},
    {BYTES(MAGIC), ENVELOPE_INVALID, NONE, NONE, -1, NONE},
    {BYTES(MAGIC "event: a"), ENVELOPE_INVALID, NONE, NONE, -1, NONE},
    {BYTES(MAGIC "event: a\n"), ENVELOPE_INVALID, NONE, NONE, -1, NONE},
    {BYTES(MAGIC "body without a blank line"), ENVELOPE_INVALID, NONE, NONE, -1, NONE},
    {BYTES(MAGIC "event: a\rdata: evil\n\n"), ENVELOPE_INVALID, NONE, NONE, -1, NONE},
    {BYTES(MAGIC "event: a\r\n\r\nx"), ENVELOPE_INVALID, NONE, NONE, -1, NONE},
    {BYTES(MAGIC "\r\na\n\nb"), ENVELOPE_INVALID, NONE, NONE, -1, NONE},
    {BYTES(MAGIC "id: 1\0002\n\n"), ENVELOPE_INVALID, NONE, NONE, -1, NONE},
    {BYTES(MAGIC "note: \r\n\n"), ENVELOPE_INVALID, NONE, NONE, -1, NONE},
    {BYTES(MAGIC "event: gateway:gap\n\n"), ENVELOPE_INVALID, NONE, NONE, -1, NONE},
    {BYTES(MAGIC "event:gateway:\n\n"), ENVELOPE_INVALID, NONE, NONE, -1, NONE},
    {BYTES(MAGIC "event: gateway:x\nevent: a\n\n"), ENVELOPE_INVALID, NONE, NONE, -1, NONE},
    {BYTES(MAGIC "retry:\n\n"), ENVELOPE_INVALID, NONE, NONE, -1, NONE},
    {BYTES(MAGIC "retry: 1s\n\n"), ENVELOPE_INVALID, NONE, NONE, -1, NONE},
    {BYTES(MAGIC "retry: -1\n\n"), ENVELOPE_INVALID, NONE, NONE, -1, NONE},
    {BYTES(MAGIC "retry: 1 \n\n"), ENVELOPE_INVALID, NONE, NONE, -1, NONE},
    {BYTES(MAGIC "retry: 4294967296\n\n"), ENVELOPE_INVALID, NONE, NONE, -1, NONE},
    {BYTES(MAGIC "retry: 99999999999999999999999\n\n"), ENVELOPE_INVALID, NONE, NONE, -1, NONE},
};

static void assert_same(const char *what, const char *value, size_t len, const char *expected,
                        size_t expected_len)
{
    ck_assert_msg((value == NULL) == (expected == NULL), "%s is there or not", what);
    ck_assert_msg(len == expected_len && (len == 0 || memcmp(value, expected, len) == 0), "%s differs", what);
}

TEST_EACH(a_payload_is_decoded, decodings)
{
    const struct expectation *x = &decodings[_i];
    // A copy of just its size, so that a sanitizer sees a read behind it.
    char *payload = malloc(x->len ? x->len : 1);
    struct envelope e;

    memcpy(payload, x->payload, x->len);
    ck_assert_int_eq(envelope_decode(payload, x->len, &e), x->result);
    if (x->result == ENVELOPE_OK) {
        assert_same("event", e.event, e.event_len, x->event, x->event_len);
        assert_same("id", e.id, e.id_len, x->id, x->id_len);
        assert_same("body", e.body, e.body_len, x->body, x->body_len);
        ck_assert_int_eq(e.has_retry ? (int64_t)e.retry_ms : -1, x->retry);
    }
    free(payload);
}

// All that decodes is encoded to something that decodes to the same, within the size that was announced.
TEST_EACH(what_is_encoded_decodes_to_the_same, decodings)
{
    const struct expectation *x = &decodings[_i];
    struct envelope before, after;
    size_t size;
    char *out;

    if (envelope_decode(x->payload, x->len, &before) != ENVELOPE_OK)
        return;
    size = envelope_encoded_size(&before);
    out = malloc(size);
    ck_assert_uint_eq(envelope_encode(&before, out), size);
    ck_assert_int_eq(envelope_decode(out, size, &after), ENVELOPE_OK);
    assert_same("event", after.event, after.event_len, before.event, before.event_len);
    assert_same("id", after.id, after.id_len, before.id, before.id_len);
    assert_same("body", after.body, after.body_len, before.body, before.body_len);
    ck_assert_int_eq(after.has_retry, before.has_retry);
    ck_assert_uint_eq(after.retry_ms, before.retry_ms);
    free(out);
}

TEST(the_encoded_bytes_are_as_documented)
{
    static const char expected[] = MAGIC "event: order\nid: 17\nretry: 250\n\n{\"total\":3}";
    struct envelope e = {.event = "order",
                         .event_len = 5,
                         .id = "17",
                         .id_len = 2,
                         .has_retry = true,
                         .retry_ms = 250,
                         .body = "{\"total\":3}",
                         .body_len = 11};
    char out[sizeof(expected)];

    ck_assert_uint_eq(envelope_encoded_size(&e), sizeof(expected) - 1);
    ck_assert_uint_eq(envelope_encode(&e, out), sizeof(expected) - 1);
    ck_assert_int_eq(memcmp(out, expected, sizeof(expected) - 1), 0);
}

static const struct envelope refused[] = {
    {.event = "a\nb", .event_len = 3},
    {.event = "a\rb", .event_len = 3},
    {.event = "a\0b", .event_len = 3},
    {.id = "a\n", .id_len = 2},
    {.id = "\r", .id_len = 1},
    {.id = "\0", .id_len = 1},
    {.event = "gateway:", .event_len = 8},
    {.event = "gateway:gap", .event_len = 11},
};

TEST_EACH(what_breaks_a_rule_is_not_encoded, refused)
{
    char out[64];

    ck_assert_uint_le(envelope_encoded_size(&refused[_i]), sizeof(out));
    ck_assert_uint_eq(envelope_encode(&refused[_i], out), 0);
}

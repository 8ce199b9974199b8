#include "publisher-cli/message.h"

#include <stdlib.h>
#include <string.h>

#include "tests/unit/lib/unit_main.h"

#define MAGIC "\x1eSSE/1\n"
#define BYTES(text)                                                                                          \
    {                                                                                                        \
        text, sizeof(text) - 1                                                                               \
    }

static const struct {
    struct message_fields fields;
    struct span data, payload;
} messages[] = {
    {{0}, BYTES("hello"), BYTES("hello")},
    {{0}, BYTES(""), BYTES("")},
    {{0}, BYTES("{\"a\": 1}\n"), BYTES("{\"a\": 1}\n")},
    {{0}, BYTES("a\0\xff"), BYTES("a\0\xff")},
    {{.event = "order"}, BYTES("x"), BYTES(MAGIC "event: order\n\nx")},
    {{.event = ""}, BYTES("x"), BYTES(MAGIC "event: \n\nx")},
    {{.id = "7"}, BYTES("x"), BYTES(MAGIC "id: 7\n\nx")},
    {{.has_retry = true, .retry_ms = 0}, BYTES("x"), BYTES(MAGIC "retry: 0\n\nx")},
    {{.event = "order", .id = "7", .has_retry = true, .retry_ms = 50},
     BYTES("x\ny"),
     BYTES(MAGIC "event: order\nid: 7\nretry: 50\n\nx\ny")},
    {{.traceparent = "00-1", .trace_to = "sse:trace:2"},
     BYTES("x"),
     BYTES(MAGIC "traceparent: 00-1\ntrace-to: sse:trace:2\n\nx")},
    // What would be taken for an envelope is wrapped in one: it is data, whoever wrote it.
    {{0}, BYTES(MAGIC "event: evil\n\nx"), BYTES(MAGIC "\n" MAGIC "event: evil\n\nx")},
    {{0}, BYTES(MAGIC), BYTES(MAGIC "\n" MAGIC)},
    {{0}, BYTES("\x1eSSE/1"), BYTES("\x1eSSE/1")},
};

TEST_EACH(a_payload_says_what_was_given, messages)
{
    struct buf buffer = {0};
    struct span payload;

    ck_assert(message_compose(&messages[_i].fields, messages[_i].data, &buffer, &payload));
    ck_assert_uint_eq(payload.len, messages[_i].payload.len);
    ck_assert_int_eq(memcmp(payload.bytes, messages[_i].payload.bytes, payload.len), 0);
    buf_free(&buffer);
}

TEST(a_buffer_serves_many_messages)
{
    struct buf buffer = {0};
    struct message_fields fields = {.event = "e"};
    struct span payload;
    static const char *const data[] = {"long enough to make it grow", "short",
                                       "and this is longer than all before it"};

    for (size_t i = 0; i < 3; i++) {
        size_t len = strlen(data[i]);

        ck_assert(message_compose(&fields, (struct span){data[i], len}, &buffer, &payload));
        ck_assert_uint_eq(payload.len, strlen(MAGIC "event: e\n\n") + len);
        ck_assert_int_eq(memcmp(payload.bytes + payload.len - len, data[i], len), 0);
    }
    buf_free(&buffer);
}

static const struct {
    struct message_fields fields;
    const char *expected; // NULL: fine
} checks[] = {
    {{0}, NULL},
    {{.event = "order", .id = "gateway:1"}, NULL},
    {{.event = "caf\xc3\xa9", .id = ""}, NULL},
    {{.event = "gateway"}, NULL},
    {{.event = "a\nb"}, "--event: the value has a line break, which this field cannot carry"},
    {{.id = "\r"}, "--id: the value has a line break, which this field cannot carry"},
    {{.event = "gateway:gap"},
     "--event: names that begin with \"gateway:\" are for gateways alone; choose another"},
    {{.id = "\xff"}, "--id: the value is not UTF-8 text"},
    {{.id = "a\tb"}, "--id: the value has a control character, which no browser could send back"},
    {{.event = "a\tb", .id = "caf\xc3\xa9 ~"}, NULL},
};

TEST_EACH(fields_are_checked, checks)
{
    struct failure failure;

    ck_assert_int_eq(message_fields_check(&checks[_i].fields, &failure), checks[_i].expected == NULL);
    if (checks[_i].expected)
        ck_assert_str_eq(failure.text, checks[_i].expected);
}

TEST(what_no_stream_can_carry_is_known)
{
    ck_assert_ptr_null(message_undeliverable((struct span)BYTES("caf\xc3\xa9 \xf0\x9f\x98\x80\r\n\x1b")));
    ck_assert_ptr_null(message_undeliverable((struct span)BYTES("")));
    ck_assert_str_eq(message_undeliverable((struct span)BYTES("a\0b")), "it holds a NUL byte");
    ck_assert_str_eq(message_undeliverable((struct span)BYTES("a\xc3")), "it is not UTF-8 text");
}

// What decodes must encode to something that decodes to the same, and no field may hold what would break a
// stream.
#include "common/envelope.h"

#include <stdlib.h>
#include <string.h>

#include "tests/fuzz/fuzz.h"

static bool same(const char *a, size_t a_len, const char *b, size_t b_len)
{
    return (a == NULL) == (b == NULL) && a_len == b_len && (a_len == 0 || memcmp(a, b, a_len) == 0);
}

static void require_safe(const char *value, size_t len)
{
    CHECK(value == NULL ||
          (!memchr(value, '\r', len) && !memchr(value, '\n', len) && !memchr(value, '\0', len)));
}

static void require_earlier(const struct envelope *e)
{
    char *scratch = must_alloc(e->earlier_escaped + 1);
    const char *at = e->earlier;

    for (uint32_t i = 0; i < e->earlier_count; i++) {
        struct envelope_event event;
        envelope_earlier(&at, &event, scratch);
        CHECK(envelope_event_valid(event.event, event.event_len));
        CHECK(!memchr(event.data, '\0', event.data_len));
    }
    free(scratch);
}

static void round_trip(const struct envelope *before)
{
    struct envelope after;
    size_t size = envelope_encoded_size(before);
    char *out = must_alloc(size);

    CHECK(envelope_encode(before, out) == size);
    CHECK(envelope_decode(out, size, &after) == ENVELOPE_OK);
    CHECK(same(before->event, before->event_len, after.event, after.event_len));
    CHECK(same(before->id, before->id_len, after.id, after.id_len));
    CHECK(same(before->traceparent, before->traceparent_len, after.traceparent, after.traceparent_len));
    CHECK(same(before->trace_to, before->trace_to_len, after.trace_to, after.trace_to_len));
    CHECK(same(before->body, before->body_len, after.body, after.body_len));
    CHECK(before->has_retry == after.has_retry && before->retry_ms == after.retry_ms);
    free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char magic[] = "\x1eSSE/1\n";
    char *payload = must_alloc(size + sizeof(magic) - 1);
    struct envelope e;

    // As it is, and as the rest of an envelope: the fuzzer need not find the seven bytes.
    (void)envelope_decode((const char *)data, size, &e);
    memcpy(payload, magic, sizeof(magic) - 1);
    if (size > 0)
        memcpy(payload + sizeof(magic) - 1, data, size);
    if (envelope_decode(payload, size + sizeof(magic) - 1, &e) == ENVELOPE_OK) {
        require_safe(e.event, e.event_len);
        require_safe(e.id, e.id_len);
        require_safe(e.traceparent, e.traceparent_len);
        require_safe(e.trace_to, e.trace_to_len);
        CHECK(e.event == NULL || e.event_len < 8 || memcmp(e.event, "gateway:", 8) != 0);
        require_earlier(&e);
        round_trip(&e);
    }
    free(payload);
    return 0;
}

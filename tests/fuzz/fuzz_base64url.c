// A text that is read is what its bytes are written as, and nothing else is read.
#include <string.h>

#include "common/base64url.h"
#include "tests/fuzz/fuzz.h"

static void check_bytes(const unsigned char *bytes, size_t len)
{
    char *text = must_alloc(BASE64URL_TEXT(len));
    size_t text_len = base64url_encode(bytes, len, text), back_len;
    unsigned char *back = (unsigned char *)must_alloc(BASE64URL_BYTES(text_len));
    CHECK(strlen(text) == text_len && text_len == (len * 4 + 2) / 3);
    CHECK(base64url_decode(text, text_len, back, &back_len));
    CHECK(back_len == len && memcmp(back, bytes, len) == 0);
    free(back);
    free(text);
}

static void check_text(const char *text, size_t len)
{
    unsigned char *bytes = (unsigned char *)must_alloc(BASE64URL_BYTES(len));
    size_t n;
    if (base64url_decode(text, len, bytes, &n)) {
        char *again = must_alloc(BASE64URL_TEXT(n));
        CHECK(base64url_encode(bytes, n, again) == len && memcmp(again, text, len) == 0);
        free(again);
    }
    free(bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *copy = must_alloc(size);
    memcpy(copy, data, size);
    check_bytes((const unsigned char *)copy, size);
    check_text(copy, size);
    free(copy);
    return 0;
}

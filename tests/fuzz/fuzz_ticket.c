// Any text as a ticket; and any bytes that are signed as one, which is more than a client can send: what is taken has
// a principal whose ticket says the same.
#include "gateway/auth/ticket.h"

#include <stdlib.h>
#include <string.h>

#include "common/base64url.h"
#include "gateway/auth/hmac.h"
#include "tests/fuzz/fuzz.h"

#define KEY "0123456789abcdef0123456789abcdef"
#define CODE 32
#define NOW 1700000000

static const struct ticket_key key = {KEY, sizeof KEY - 1};

static void check_again(const struct principal *who)
{
    static const unsigned char nonce[TICKET_NONCE];
    static char text[TICKET_TEXT_MAX + 1];
    struct ticket again;
    size_t len = ticket_write(&key, who, nonce, NOW, text);
    CHECK(len > 0 && len <= TICKET_TEXT_MAX);
    CHECK(ticket_read(&key, 1, text, len, NOW, &again) == TICKET_ACCEPTED);
    CHECK(again.who->expires_s == who->expires_s && again.who->issued_s == who->issued_s);
    CHECK(again.who->pattern_count == who->pattern_count);
    for (size_t i = 0; i < who->pattern_count; i++)
        CHECK(strcmp(again.who->patterns[i], who->patterns[i]) == 0);
    principal_destroy(again.who);
}

static void any_text(const char *text, size_t len)
{
    struct ticket ticket;
    if (ticket_read(&key, 1, text, len, NOW, &ticket) != TICKET_ACCEPTED)
        return;
    CHECK(strlen(ticket.nonce) == 2 * TICKET_NONCE);
    check_again(ticket.who);
    principal_destroy(ticket.who);
}

// The corpus has whole tickets: their code is replaced by the right one.
static void any_bytes(const uint8_t *data, size_t size)
{
    unsigned char *bytes = (unsigned char *)must_alloc(size + CODE);
    char *text = must_alloc(BASE64URL_TEXT(size + CODE));
    if (size > 0)
        memcpy(bytes, data, size);
    CHECK(hmac_sign(HMAC_SHA256, key.bytes, key.len, bytes, size, bytes + size));
    any_text(text, base64url_encode(bytes, size + CODE, text));
    free(text);
    free(bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = must_alloc(size);
    if (size > 0)
        memcpy(text, data, size);
    any_text(text, size);
    free(text);
    any_bytes(data, size);
    return 0;
}

#include "gateway/auth/ticket.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/base64url.h"
#include "gateway/auth/hmac.h"

#define MAGIC "sse-ticket-1"
#define MAGIC_LEN (sizeof MAGIC - 1)
#define TIME_LEN 8u
#define FIXED_LEN (MAGIC_LEN + TICKET_NONCE + 3 * TIME_LEN + 1)
#define CODE_LEN 32u
#define BYTES_MAX (TICKET_TEXT_MAX / 4 * 3)
#define HAS_SUBJECT 1u
#define HAS_TOKEN_ID 2u

struct writer {
    unsigned char bytes[BYTES_MAX];
    size_t len;
    bool full;
};

static void put(struct writer *w, const void *bytes, size_t len)
{
    w->full = w->full || len > sizeof w->bytes - w->len;
    if (w->full)
        return;
    memcpy(w->bytes + w->len, bytes, len);
    w->len += len;
}

static void put_time(struct writer *w, int64_t time)
{
    unsigned char bytes[TIME_LEN];
    for (unsigned i = 0; i < TIME_LEN; i++)
        bytes[i] = (unsigned char)((uint64_t)time >> (8 * (TIME_LEN - 1 - i)));
    put(w, bytes, sizeof bytes);
}

static void put_text(struct writer *w, const char *text)
{
    if (text)
        put(w, text, strlen(text) + 1);
}

size_t ticket_write(const struct ticket_key *key, const struct principal *who,
                    const unsigned char nonce[TICKET_NONCE], int64_t now_s, char *out)
{
    struct writer w = {.len = 0};
    unsigned char code[CODE_LEN];
    unsigned char texts = (who->subject ? HAS_SUBJECT : 0) | (who->token_id ? HAS_TOKEN_ID : 0);
    put(&w, MAGIC, MAGIC_LEN);
    put(&w, nonce, TICKET_NONCE);
    put_time(&w, now_s + TICKET_LIFE_S);
    put_time(&w, who->expires_s);
    put_time(&w, who->issued_s);
    put(&w, &texts, 1);
    put_text(&w, who->subject);
    put_text(&w, who->token_id);
    for (size_t i = 0; i < who->pattern_count; i++)
        put_text(&w, who->patterns[i]);
    bool is_signed = !w.full && hmac_sign(HMAC_SHA256, key->bytes, key->len, w.bytes, w.len, code);
    errno = w.full ? EMSGSIZE : ENOMEM;
    if (!is_signed)
        return 0;
    put(&w, code, sizeof code);
    errno = EMSGSIZE;
    return w.full ? 0 : base64url_encode(w.bytes, w.len, out);
}

static int64_t read_time(const unsigned char *bytes)
{
    uint64_t time = 0;
    for (unsigned i = 0; i < TIME_LEN; i++)
        time = time << 8 | bytes[i];
    return (int64_t)time;
}

// The next text of those that end before `end`; NULL where there is none.
static const char *next_text(const char **at, const char *end)
{
    const char *text = *at;
    if (text == end)
        return NULL;
    *at = text + strlen(text) + 1; // the last byte of all is a NUL
    return text;
}

static enum ticket_verdict read_principal(const unsigned char *bytes, size_t len, struct principal *who,
                                          struct ticket *out)
{
    const char *at = (const char *)bytes + FIXED_LEN, *end = (const char *)bytes + len;
    const char *patterns[BYTES_MAX / 2]; // each has a byte and a NUL at least, but for an empty one
    unsigned texts = bytes[FIXED_LEN - 1];
    if (end > at && end[-1] != '\0')
        return TICKET_MALFORMED;
    if ((texts & HAS_SUBJECT) && !(who->subject = next_text(&at, end)))
        return TICKET_MALFORMED;
    if ((texts & HAS_TOKEN_ID) && !(who->token_id = next_text(&at, end)))
        return TICKET_MALFORMED;
    for (const char *text; (text = next_text(&at, end));) {
        if (who->pattern_count == sizeof patterns / sizeof *patterns)
            return TICKET_MALFORMED;
        patterns[who->pattern_count++] = text;
    }
    who->patterns = patterns;
    out->who = principal_create(who);
    return out->who ? TICKET_ACCEPTED : TICKET_NO_MEMORY;
}

static enum ticket_verdict check_code(const struct ticket_key *keys, size_t count, const unsigned char *bytes,
                                      size_t len)
{
    bool no_memory = false;
    for (size_t i = 0; i < count; i++) {
        if (hmac_verify(HMAC_SHA256, keys[i].bytes, keys[i].len, bytes, len, bytes + len, CODE_LEN))
            return TICKET_ACCEPTED;
        no_memory = no_memory || errno == ENOMEM;
    }
    return no_memory ? TICKET_NO_MEMORY : TICKET_MALFORMED;
}

enum ticket_verdict ticket_read(const struct ticket_key *keys, size_t count, const char *text, size_t len,
                                int64_t now_s, struct ticket *out)
{
    unsigned char bytes[BASE64URL_BYTES(TICKET_TEXT_MAX)];
    size_t size;
    if (len > TICKET_TEXT_MAX || !base64url_decode(text, len, bytes, &size) || size < FIXED_LEN + CODE_LEN)
        return TICKET_MALFORMED;
    size -= CODE_LEN;
    enum ticket_verdict verdict = check_code(keys, count, bytes, size);
    if (verdict != TICKET_ACCEPTED)
        return verdict;
    if (memcmp(bytes, MAGIC, MAGIC_LEN) != 0)
        return TICKET_MALFORMED;
    const unsigned char *nonce = bytes + MAGIC_LEN, *times = nonce + TICKET_NONCE;
    struct principal who = {.expires_s = read_time(times + TIME_LEN),
                            .issued_s = read_time(times + 2 * TIME_LEN)};
    if (now_s >= read_time(times) || (who.expires_s != 0 && now_s >= who.expires_s))
        return TICKET_EXPIRED;
    for (unsigned i = 0; i < TICKET_NONCE; i++)
        snprintf(out->nonce + 2 * (size_t)i, 3, "%02x", nonce[i]);
    return read_principal(bytes, size, &who, out);
}

#include "common/tls_session.h"

#include <openssl/ssl.h>
#include <string.h>

#include "common/tls.h"

// Records without data that one read may hold: each key update costs more time than the bytes that it is made of.
#define QUIET_RECORDS_MAX 32u

void tls_session_deinit(struct tls_session *s)
{
    tls_records_destroy(s->records);
    buf_free(&s->partial);
    *s = (struct tls_session){0};
}

static bool send_record(struct tls_session *s, struct tls_wire *w, uint8_t type, const void *bytes,
                        size_t len)
{
    unsigned char record[TLS_SENT_RECORD_MAX + TLS_RECORD_OVERHEAD_MAX];
    size_t n = tls_records_seal(s->records, type, bytes, len, record);
    return n > 0 && tls_wire_send(w, record, n);
}

static bool send_key_update(struct tls_session *s, struct tls_wire *w)
{
    static const unsigned char update[] = {SSL3_MT_KEY_UPDATE, 0, 0, 1, SSL_KEY_UPDATE_NOT_REQUESTED};
    s->owes_update = false;
    return send_record(s, w, TLS_TYPE_HANDSHAKE, update, sizeof update) &&
           tls_records_update_sent(s->records);
}

// Tells the client (RFC 8446 section 6.2), if it can be told.
static ssize_t fail(struct tls_session *s, struct tls_wire *w, unsigned char alert)
{
    const unsigned char text[] = {SSL3_AL_FATAL, alert};
    (void)send_record(s, w, TLS_TYPE_ALERT, text, sizeof text); // the connection ends all the same
    return TRANSPORT_LOST;
}

// TLS 1.2: a client that asks for a renegotiation is told that there is none (RFC 5246 section 7.2.2), and may go on;
// one that does not read what it is told may not.
static ssize_t refuse_renegotiation(struct tls_session *s, struct tls_wire *w, const unsigned char *bytes,
                                    size_t len)
{
    static const unsigned char no[] = {SSL3_AL_WARNING, SSL_AD_NO_RENEGOTIATION};
    bool is_hello = len >= 4 && bytes[0] == SSL3_MT_CLIENT_HELLO &&
                    ((size_t)bytes[1] << 16 | (size_t)bytes[2] << 8 | bytes[3]) == len - 4;
    if (!is_hello || w->waiting.len > 0)
        return fail(s, w, SSL_AD_UNEXPECTED_MESSAGE);
    return send_record(s, w, TLS_TYPE_ALERT, no, sizeof no) ? 0 : TRANSPORT_LOST;
}

// TLS 1.3: a key update (RFC 8446 section 4.6.3), which stands alone in its record. There is nothing else that a
// client may send here.
static ssize_t take_key_update(struct tls_session *s, struct tls_wire *w, const unsigned char *bytes,
                               size_t len)
{
    static const unsigned char update[] = {SSL3_MT_KEY_UPDATE, 0, 0, 1};
    if (len != sizeof update + 1 || memcmp(bytes, update, sizeof update) != 0)
        return fail(s, w, SSL_AD_UNEXPECTED_MESSAGE);
    if (bytes[sizeof update] > SSL_KEY_UPDATE_REQUESTED)
        return fail(s, w, SSL_AD_ILLEGAL_PARAMETER);
    if (bytes[sizeof update] == SSL_KEY_UPDATE_REQUESTED)
        s->owes_update = true;
    return tls_records_update_received(s->records) ? 0 : TRANSPORT_LOST;
}

static ssize_t take_alert(struct tls_session *s, struct tls_wire *w, const unsigned char *bytes, size_t len)
{
    if (len != 2)
        return fail(s, w, SSL_AD_DECODE_ERROR);
    if (bytes[1] == SSL_AD_CLOSE_NOTIFY)
        return TRANSPORT_END;
    // TLS 1.3 has one more that ends nothing, whatever its level.
    bool ends =
        tls_records_are_1_2(s->records) ? bytes[0] != SSL3_AL_WARNING : bytes[1] != SSL_AD_USER_CANCELLED;
    return ends ? TRANSPORT_LOST : 0;
}

// A whole record. Plain bytes that it has for the caller, maybe none; or TRANSPORT_END, TRANSPORT_LOST, TLS_TOO_LONG.
static ssize_t take_record(struct tls_session *s, struct tls_wire *w, const unsigned char *record, char *out,
                           size_t size)
{
    unsigned char plain[TLS_RECORD_BODY_MAX];
    uint8_t type = 0;
    size_t len = (size_t)record[3] << 8 | record[4];
    ssize_t n = tls_records_open(s->records, record, len, plain, &type);
    if (n < 0)
        return fail(s, w, SSL_AD_BAD_RECORD_MAC);
    // Bytes of padding alone (section 5.4) come here as type 0.
    if ((size_t)n > TLS_RECORD_MAX)
        return fail(s, w, SSL_AD_RECORD_OVERFLOW);
    switch (type) {
    case TLS_TYPE_DATA:
        if ((size_t)n > size)
            return TLS_TOO_LONG;
        memcpy(out, plain, (size_t)n);
        return n;
    case TLS_TYPE_HANDSHAKE:
        return (tls_records_are_1_2(s->records) ? refuse_renegotiation : take_key_update)(s, w, plain,
                                                                                          (size_t)n);
    case TLS_TYPE_ALERT:
        return take_alert(s, w, plain, (size_t)n);
    default:
        return fail(s, w, SSL_AD_UNEXPECTED_MESSAGE);
    }
}

// Takes bytes until `partial` has `len`. 0 then; TRANSPORT_WAIT_READ, TRANSPORT_LOST.
static ssize_t collect(struct tls_session *s, struct tls_wire *w, size_t len)
{
    size_t missing = len > s->partial.len ? len - s->partial.len : 0;
    size_t n = missing < w->fed_len ? missing : w->fed_len;
    if (!buf_append(&s->partial, w->fed, n))
        return TRANSPORT_LOST;
    w->fed += n;
    w->fed_len -= n;
    return n == missing ? 0 : TRANSPORT_WAIT_READ;
}

// True where a record of that type may come: TLS 1.3 encrypts the type.
static bool is_known_type(const struct tls_session *s, unsigned char type)
{
    return type == TLS_TYPE_DATA ||
           (tls_records_are_1_2(s->records) && (type == TLS_TYPE_ALERT || type == TLS_TYPE_HANDSHAKE));
}

// How long the record with that header is in all; TRANSPORT_LOST, where none like it may come; TLS_TOO_LONG.
static ssize_t record_size(struct tls_session *s, struct tls_wire *w, const unsigned char *header,
                           size_t size)
{
    size_t len = (size_t)header[3] << 8 | header[4];
    if (!is_known_type(s, header[0]) || header[1] != 3)
        return fail(s, w, SSL_AD_UNEXPECTED_MESSAGE);
    if (len > TLS_RECORD_BODY_MAX)
        return fail(s, w, SSL_AD_RECORD_OVERFLOW);
    return len > size + TLS_RECORD_EXPANSION_MAX ? TLS_TOO_LONG : (ssize_t)(TLS_RECORD_HEADER + len);
}

// The next whole record of at most `max` plain bytes, in place where all of it was fed at once. TRANSPORT_WAIT_READ,
// TRANSPORT_LOST, TLS_TOO_LONG, or 0.
static ssize_t next_record(struct tls_session *s, struct tls_wire *w, size_t max,
                           const unsigned char **record)
{
    bool in_place = s->partial.len == 0 && w->fed_len >= TLS_RECORD_HEADER;
    ssize_t result = in_place ? 0 : collect(s, w, TLS_RECORD_HEADER);
    if (result != 0)
        return result;
    *record = (const unsigned char *)(in_place ? w->fed : s->partial.data);
    ssize_t whole = record_size(s, w, *record, max);
    if (whole < 0)
        return whole;
    size_t size = (size_t)whole;
    if (in_place && w->fed_len >= size) {
        w->fed += size;
        w->fed_len -= size;
        return 0;
    }
    result = collect(s, w, size);
    *record = (const unsigned char *)s->partial.data;
    return result;
}

ssize_t tls_session_read(struct tls_session *s, struct tls_wire *w, char *bytes, size_t size)
{
    ssize_t result = 0;
    for (unsigned n = 0; result == 0; n++) {
        const unsigned char *record;
        result = next_record(s, w, size, &record);
        if (result != 0)
            break;
        result = n < QUIET_RECORDS_MAX ? take_record(s, w, record, bytes, size)
                                       : fail(s, w, SSL_AD_UNEXPECTED_MESSAGE);
        buf_free(&s->partial);
    }
    return result;
}

ssize_t tls_session_write(struct tls_session *s, struct tls_wire *w, const char *bytes, size_t len)
{
    size_t n = len < s->sent_max ? len : s->sent_max;
    if ((s->owes_update || tls_records_is_worn(s->records)) && !send_key_update(s, w))
        return TRANSPORT_LOST;
    return send_record(s, w, TLS_TYPE_DATA, bytes, n) ? (ssize_t)n : TRANSPORT_LOST;
}

bool tls_session_shutdown(struct tls_session *s, struct tls_wire *w)
{
    static const unsigned char text[] = {SSL3_AL_WARNING, SSL_AD_CLOSE_NOTIFY};
    bool ok = s->said_end || send_record(s, w, TLS_TYPE_ALERT, text, sizeof text);
    s->said_end = true;
    return ok;
}

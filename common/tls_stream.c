#include "common/tls_stream.h"

#include <assert.h>
#include <openssl/err.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "common/hex.h"
#include "common/memory.h"
#include "common/tls_server_set.h"
#include "common/tls_session.h"

// The most memory that OpenSSL takes for a handshake (docs/performance.md).
#define OPENSSL_BYTES 75000u
// Bytes that a client may send in its handshake: a hello is some KiB at most, a chain of certificates seldom 10.
// OpenSSL would keep a hello of 128 KiB.
#define HANDSHAKE_BYTES_MAX 32768u

// What OpenSSL tells in the handshake, for the records after it.
struct secrets {
    unsigned char client[TLS_SECRET_MAX], server[TLS_SECRET_MAX]; // of TLS 1.3
    bool has_client, has_server;
    // Records that are encrypted with the keys of the records after the handshake: with TLS 1.3 those that were sent
    // behind the server's Finished, with TLS 1.2 those behind ChangeCipherSpec.
    uint64_t sent, received;
    size_t taken; // bytes of the client
};

struct tls_stream {
    SSL *ssl;                   // NULL: `session` has the connection
    struct tls_server_set *set; // one reference, while there is `ssl`
    struct secrets *secrets;    // in the handshake
    struct tls_session session; // after it
    struct tls_crypt *crypt;    // borrowed
    struct tls_wire wire;
    unsigned long error; // of OpenSSL, after TRANSPORT_LOST
    bool is_resumed;
};

// The bytes below OpenSSL, in the handshake: reads what was fed; writes to the wire, and never has to wait.

static int on_bio_read(BIO *bio, char *out, size_t size, size_t *n)
{
    struct tls_stream *t = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    *n = t->secrets->taken <= HANDSHAKE_BYTES_MAX ? tls_wire_take(&t->wire, out, size) : 0;
    t->secrets->taken += *n;
    if (*n == 0 && t->secrets->taken <= HANDSHAKE_BYTES_MAX)
        BIO_set_retry_read(bio);
    return *n > 0;
}

static int on_bio_write(BIO *bio, const char *bytes, size_t len, size_t *n)
{
    struct tls_stream *t = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    *n = len;
    return tls_wire_send(&t->wire, bytes, len);
}

static long on_bio_ctrl(BIO *bio, int command, long number, void *pointer)
{
    (void)bio, (void)number, (void)pointer;
    return command == BIO_CTRL_FLUSH; // nothing else is known here
}

static pthread_once_t method_once = PTHREAD_ONCE_INIT;
static BIO_METHOD *method; // for the life of the process

static void make_method(void)
{
    method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "sse-gateway");
    if (method && BIO_meth_set_read_ex(method, on_bio_read) == 1 &&
        BIO_meth_set_write_ex(method, on_bio_write) == 1 && BIO_meth_set_ctrl(method, on_bio_ctrl) == 1)
        return;
    BIO_meth_free(method);
    method = NULL;
}

// "SERVER_TRAFFIC_SECRET_0 CLIENT_RANDOM SECRET", the last two in hexadecimal digits.
void tls_stream_on_secret(const SSL *ssl, const char *line)
{
    struct tls_stream *t = SSL_get_app_data(ssl);
    bool is_client = strncmp(line, "CLIENT_TRAFFIC_SECRET_0 ", 24) == 0;
    const char *hex = strrchr(line, ' ');
    if (!t || !t->secrets || !hex || (!is_client && strncmp(line, "SERVER_TRAFFIC_SECRET_0 ", 24) != 0))
        return;
    unsigned char *out = is_client ? t->secrets->client : t->secrets->server;
    size_t len = strlen(++hex) / 2;
    for (size_t i = 0; i < len && i < TLS_SECRET_MAX; i++) {
        int high = hex_value(hex[2 * i]), low = hex_value(hex[2 * i + 1]);
        if (high < 0 || low < 0)
            return; // without its secret the connection is lost
        out[i] = (unsigned char)(high << 4 | low);
    }
    *(is_client ? &t->secrets->has_client : &t->secrets->has_server) = true;
}

// Counts records.
static void on_message(int sent, int version, int type, const void *bytes, size_t len, SSL *ssl, void *ctx)
{
    struct tls_stream *t = ctx;
    const unsigned char *first = bytes;
    (void)version;
    if (!t->secrets || len == 0)
        return;
    uint64_t *count = sent ? &t->secrets->sent : &t->secrets->received;
    if (type == SSL3_RT_HEADER)
        *count = *first == TLS_TYPE_CHANGE_CIPHER ? 0 : *count + 1;
    else if (type == SSL3_RT_HANDSHAKE && *first == SSL3_MT_FINISHED && SSL_version(ssl) == TLS1_3_VERSION)
        *count = 0; // the record of Finished was counted before
}

static void forget_secrets(struct tls_stream *t)
{
    if (t->secrets)
        explicit_bzero(t->secrets, sizeof *t->secrets);
    free(t->secrets);
    t->secrets = NULL;
}

static bool begin(struct tls_stream *t, struct tls_server *server)
{
    BIO *bio = BIO_new(method);
    t->secrets = calloc(1, sizeof *t->secrets);
    t->ssl = bio && t->secrets ? tls_server_accept(server, &t->set) : NULL;
    if (!t->ssl) {
        (void)BIO_free(bio); // fails for NULL only
        forget_secrets(t);
        return false;
    }
    BIO_set_data(bio, t);
    BIO_set_init(bio, 1);
    SSL_set_bio(t->ssl, bio, bio); // takes it
    SSL_set_accept_state(t->ssl);
    (void)SSL_set_app_data(t->ssl, t); // without it no secrets are told, and the connection is lost
    SSL_set_msg_callback(t->ssl, on_message);
    SSL_set_msg_callback_arg(t->ssl, t);
    return true;
}

struct tls_stream *tls_stream_create(struct tls_server *server, struct tls_crypt *crypt, tls_send send,
                                     void *ctx)
{
    struct tls_stream *t = calloc(1, sizeof *t);
    if (!t || pthread_once(&method_once, make_method) != 0 || !method) {
        free(t);
        return NULL;
    }
    t->crypt = crypt;
    t->wire.send = send;
    t->wire.ctx = ctx;
    if (begin(t, server))
        return t;
    ERR_clear_error();
    free(t);
    return NULL;
}

static void free_ssl(struct tls_stream *t)
{
    SSL_free(t->ssl); // sends nothing
    t->ssl = NULL;
    tls_server_set_release(t->set);
    t->set = NULL;
}

void tls_stream_destroy(struct tls_stream *t)
{
    if (!t)
        return;
    free_ssl(t);
    forget_secrets(t);
    tls_session_deinit(&t->session);
    buf_free(&t->wire.waiting);
    free(t);
}

void tls_stream_feed(struct tls_stream *t, const char *bytes, size_t len)
{
    t->wire.fed = bytes;
    t->wire.fed_len = len;
}

// The TRANSPORT_* value for a call that did not succeed. SSL_get_error looks at the thread's queue of errors,
// which must be empty before the call.
static ssize_t outcome(struct tls_stream *t, int result)
{
    switch (SSL_get_error(t->ssl, result)) {
    case SSL_ERROR_WANT_READ:
        return TRANSPORT_WAIT_READ;
    default:
        t->error = ERR_peek_error(); // the first is the cause
        ERR_clear_error();
        return TRANSPORT_LOST;
    }
}

static struct tls_records *create_records_1_2(const struct tls_stream *t, const struct tls_suite *suite)
{
    struct tls_master m;
    struct tls_keys client = {.next = t->secrets->received}, server = {.next = t->secrets->sent};
    struct tls_records *r = NULL;
    if (SSL_SESSION_get_master_key(SSL_get_session(t->ssl), m.secret, sizeof m.secret) == sizeof m.secret &&
        SSL_get_client_random(t->ssl, m.client_random, sizeof m.client_random) == sizeof m.client_random &&
        SSL_get_server_random(t->ssl, m.server_random, sizeof m.server_random) == sizeof m.server_random &&
        tls_keys_derive_1_2(suite, &m, &client, &server))
        r = tls_records_create_1_2(t->crypt, suite, &client, &server);
    explicit_bzero(&m, sizeof m);
    explicit_bzero(&client, sizeof client);
    explicit_bzero(&server, sizeof server);
    return r;
}

// The longest record that the client takes (RFC 6066 section 4): 2^9 to 2^12 where it has asked for that.
static uint16_t sent_max(const SSL *ssl)
{
    uint8_t code = SSL_SESSION_get_max_fragment_length(SSL_get_session(ssl));
    return code == TLSEXT_max_fragment_length_DISABLED ? TLS_SENT_RECORD_MAX : (uint16_t)(256u << code);
}

// The records go on without OpenSSL's state. False where it keeps something that was read already, where it has not
// told the secrets, or when out of memory.
static bool take_over(struct tls_stream *t)
{
    const struct secrets *s = t->secrets;
    const struct tls_suite *suite =
        tls_suite_find(SSL_CIPHER_get_protocol_id(SSL_get_current_cipher(t->ssl)));
    if (!suite || SSL_has_pending(t->ssl))
        return false;
    if (suite->is_1_2)
        t->session.records = create_records_1_2(t, suite);
    else if (s->has_client && s->has_server)
        t->session.records = tls_records_create(t->crypt, suite, s->client, s->server, s->sent);
    t->session.sent_max = sent_max(t->ssl);
    return t->session.records != NULL;
}

ssize_t tls_stream_handshake(struct tls_stream *t)
{
    assert(t->ssl);
    ERR_clear_error();
    int result = SSL_do_handshake(t->ssl);
    if (result != 1 || !take_over(t))
        return outcome(t, result);
    t->is_resumed = SSL_session_reused(t->ssl) == 1;
    free_ssl(t);
    forget_secrets(t);
    return 0;
}

bool tls_stream_is_resumed(const struct tls_stream *t)
{
    return t->is_resumed;
}

enum tls_failure tls_stream_failure(const struct tls_stream *t)
{
    int why = ERR_GET_LIB(t->error) == ERR_LIB_SSL ? ERR_GET_REASON(t->error) : 0;
    switch (why) {
    case SSL_R_UNSUPPORTED_PROTOCOL:
    case SSL_R_WRONG_VERSION_NUMBER:
    case SSL_R_HTTP_REQUEST:
    case SSL_R_HTTPS_PROXY_REQUEST:
    case SSL_R_VERSION_TOO_LOW:
    case SSL_R_BAD_RECORD_TYPE:
    case SSL_R_UNEXPECTED_MESSAGE:
    case SSL_R_PACKET_LENGTH_TOO_LONG: // OpenSSL 3.5 looks at the length of what is no TLS first
    case SSL_R_LENGTH_MISMATCH:
        return TLS_FAILURE_PROTOCOL;
    case SSL_R_NO_SHARED_CIPHER:
    case SSL_R_NO_SUITABLE_KEY_SHARE:
    case SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM:
    case SSL_R_NO_SHARED_SIGNATURE_ALGORITHMS:
        return TLS_FAILURE_CIPHER;
    case SSL_R_NO_APPLICATION_PROTOCOL:
        return TLS_FAILURE_ALPN;
    case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE:
    case SSL_R_CERTIFICATE_VERIFY_FAILED:
        return TLS_FAILURE_CLIENT_CERTIFICATE;
    default:
        return why > SSL_AD_REASON_OFFSET ? TLS_FAILURE_ALERT : TLS_FAILURE_OTHER;
    }
}

const char *tls_stream_error(const struct tls_stream *t)
{
    const char *text = ERR_reason_error_string(t->error);
    return text ? text : "the connection was lost";
}

ssize_t tls_stream_read(struct tls_stream *t, char *bytes, size_t size)
{
    assert(t->session.records && size <= TLS_RECORD_MAX);
    return tls_session_read(&t->session, &t->wire, bytes, size);
}

ssize_t tls_stream_write(struct tls_stream *t, const char *bytes, size_t len)
{
    assert(t->session.records && t->wire.waiting.len == 0 && len > 0);
    return tls_session_write(&t->session, &t->wire, bytes, len);
}

bool tls_stream_shutdown(struct tls_stream *t)
{
    assert(t->session.records);
    return tls_session_shutdown(&t->session, &t->wire);
}

size_t tls_stream_bytes(const struct tls_stream *t)
{
    return memory_block(sizeof *t) + (t->ssl ? OPENSSL_BYTES : tls_records_bytes()) +
           t->session.partial.capacity + t->wire.waiting.capacity;
}

size_t tls_stream_waiting(const struct tls_stream *t)
{
    return t->wire.waiting.len;
}

ssize_t tls_stream_flush(struct tls_stream *t)
{
    if (!tls_wire_flush(&t->wire))
        return TRANSPORT_LOST;
    return t->wire.waiting.len > 0 ? TRANSPORT_WAIT_WRITE : 0;
}

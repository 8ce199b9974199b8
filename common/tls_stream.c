#include "common/tls_stream.h"

#include <assert.h>
#include <openssl/err.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/tls_server_set.h"

// Encrypted bytes that may wait: a record, and the answers to a client that asks for new keys over and over
// while it reads nothing.
#define WAITING_MAX 65536u

struct tls_stream {
    SSL *ssl;
    struct tls_server_set *set; // one reference
    tls_send send;
    void *ctx;
    const char *fed; // not yet read
    size_t fed_len;
    struct buf waiting;
    unsigned long error; // of OpenSSL, after TRANSPORT_LOST
};

// The bytes below TLS: reads what was fed; writes to the caller's function, and never has to wait.

static int on_bio_read(BIO *bio, char *out, size_t size, size_t *n)
{
    struct tls_stream *t = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    *n = size < t->fed_len ? size : t->fed_len;
    if (*n == 0) {
        BIO_set_retry_read(bio);
        return 0;
    }
    memcpy(out, t->fed, *n);
    t->fed += *n;
    t->fed_len -= *n;
    return 1;
}

static int on_bio_write(BIO *bio, const char *bytes, size_t len, size_t *n)
{
    struct tls_stream *t = BIO_get_data(bio);
    ssize_t sent = t->waiting.len > 0 ? 0 : t->send(t->ctx, bytes, len);
    BIO_clear_retry_flags(bio);
    if (sent < 0)
        return 0;
    *n = len;
    size_t rest = len - (size_t)sent;
    return rest == 0 || (t->waiting.len + rest <= WAITING_MAX && buf_append(&t->waiting, bytes + sent, rest));
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

static bool begin(struct tls_stream *t, struct tls_server *server)
{
    BIO *bio = BIO_new(method);
    if (!bio)
        return false;
    BIO_set_data(bio, t);
    BIO_set_init(bio, 1);
    t->ssl = tls_server_accept(server, &t->set);
    if (!t->ssl) {
        (void)BIO_free(bio); // fails for NULL only
        return false;
    }
    SSL_set_bio(t->ssl, bio, bio); // takes it
    SSL_set_accept_state(t->ssl);
    return true;
}

struct tls_stream *tls_stream_create(struct tls_server *server, tls_send send, void *ctx)
{
    struct tls_stream *t = calloc(1, sizeof *t);
    if (!t || pthread_once(&method_once, make_method) != 0 || !method) {
        free(t);
        return NULL;
    }
    t->send = send;
    t->ctx = ctx;
    if (begin(t, server))
        return t;
    ERR_clear_error();
    free(t);
    return NULL;
}

void tls_stream_destroy(struct tls_stream *t)
{
    if (!t)
        return;
    SSL_free(t->ssl); // sends nothing
    tls_server_set_release(t->set);
    buf_free(&t->waiting);
    free(t);
}

void tls_stream_feed(struct tls_stream *t, const char *bytes, size_t len)
{
    t->fed = bytes;
    t->fed_len = len;
}

// The TRANSPORT_* value for a call that did not succeed. SSL_get_error looks at the thread's queue of errors,
// which must be empty before the call.
static ssize_t outcome(struct tls_stream *t, int result)
{
    switch (SSL_get_error(t->ssl, result)) {
    case SSL_ERROR_WANT_READ:
        return TRANSPORT_WAIT_READ;
    case SSL_ERROR_ZERO_RETURN:
        return TRANSPORT_END;
    default:
        t->error = ERR_peek_error(); // the first is the cause
        ERR_clear_error();
        return TRANSPORT_LOST;
    }
}

ssize_t tls_stream_handshake(struct tls_stream *t)
{
    ERR_clear_error();
    int result = SSL_do_handshake(t->ssl);
    return result == 1 ? 0 : outcome(t, result);
}

bool tls_stream_is_resumed(const struct tls_stream *t)
{
    return SSL_session_reused(t->ssl) == 1;
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
    size_t n = 0;
    ERR_clear_error();
    int result = SSL_read_ex(t->ssl, bytes, size, &n);
    return result == 1 ? (ssize_t)n : outcome(t, result);
}

ssize_t tls_stream_write(struct tls_stream *t, const char *bytes, size_t len)
{
    size_t n = 0;
    assert(t->waiting.len == 0 && len > 0);
    ERR_clear_error();
    int result = SSL_write_ex(t->ssl, bytes, len < TLS_SENT_RECORD_MAX ? len : TLS_SENT_RECORD_MAX, &n);
    if (result == 1)
        return (ssize_t)n;
    (void)outcome(t, result); // keeps the reason
    return TRANSPORT_LOST;
}

bool tls_stream_shutdown(struct tls_stream *t)
{
    if (SSL_get_shutdown(t->ssl) & SSL_SENT_SHUTDOWN)
        return true;
    ERR_clear_error();
    int result = SSL_shutdown(t->ssl);
    if (result < 0)
        (void)outcome(t, result); // keeps the reason
    return result >= 0;           // the client's own is not waited for
}

size_t tls_stream_waiting(const struct tls_stream *t)
{
    return t->waiting.len;
}

ssize_t tls_stream_flush(struct tls_stream *t)
{
    if (t->waiting.len == 0)
        return 0;
    ssize_t n = t->send(t->ctx, t->waiting.data, t->waiting.len);
    if (n < 0)
        return TRANSPORT_LOST;
    t->waiting.len -= (size_t)n;
    if (t->waiting.len > 0) {
        memmove(t->waiting.data, t->waiting.data + n, t->waiting.len);
        return TRANSPORT_WAIT_WRITE;
    }
    buf_free(&t->waiting);
    return 0;
}

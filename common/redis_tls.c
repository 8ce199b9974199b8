#include "common/redis_tls.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Several records in one read(2); one record is 16 KiB at most.
#define READ_AHEAD 65536

struct redis_tls_context {
    SSL_CTX *ssl;
};

struct redis_tls {
    SSL *ssl;
    bool wants_write;
    char host[REDIS_HOST_SIZE];
    char error[512];
};

// Keys with a pass phrase: nobody is there to type it.
static int no_pass_phrase(char *out, int size, int writing, void *ctx)
{
    (void)out, (void)size, (void)writing, (void)ctx;
    return -1;
}

static const char *reason(void)
{
    unsigned long code = ERR_peek_error(); // the first is the cause
    const char *text =
        ERR_SYSTEM_ERROR(code) ? strerror(ERR_GET_REASON(code)) : ERR_reason_error_string(code);
    return text ? text : "unknown error";
}

static bool refuse(const char *option, const char *file, char *error, size_t error_size)
{
    snprintf(error, error_size, "%s: cannot use %s: %s", option, file, reason());
    ERR_clear_error();
    return false;
}

static bool load_ca(SSL_CTX *ssl, const struct redis_tls_files *files, char *error, size_t error_size)
{
    if (!files->ca)
        return SSL_CTX_set_default_verify_paths(ssl) == 1 ||
               refuse("--redis-ca", "the system's certificates", error, error_size);
    return SSL_CTX_load_verify_file(ssl, files->ca) == 1 ||
           refuse("--redis-ca", files->ca, error, error_size);
}

static bool load_certificate(SSL_CTX *ssl, const struct redis_tls_files *files, char *error,
                             size_t error_size)
{
    if (!files->cert)
        return true;
    if (SSL_CTX_use_certificate_chain_file(ssl, files->cert) != 1)
        return refuse("--redis-cert", files->cert, error, error_size);
    if (SSL_CTX_use_PrivateKey_file(ssl, files->key, SSL_FILETYPE_PEM) != 1)
        return refuse("--redis-key", files->key, error, error_size);
    return true;
}

struct redis_tls_context *redis_tls_context_create(const struct redis_tls_files *files, char *error,
                                                   size_t error_size)
{
    struct redis_tls_context *context = calloc(1, sizeof *context);
    SSL_CTX *ssl = SSL_CTX_new(TLS_client_method());
    snprintf(error, error_size, "out of memory");
    if (!context || !ssl)
        goto fail;
    context->ssl = ssl;
    if (SSL_CTX_set_min_proto_version(ssl, TLS1_2_VERSION) != 1)
        goto fail;
    SSL_CTX_set_verify(ssl, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_options(ssl, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    SSL_CTX_set_session_cache_mode(ssl, SSL_SESS_CACHE_OFF);
    // What is still to be sent may have moved: a buffer grows.
    SSL_CTX_set_mode(ssl, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_read_ahead(ssl, 1);
    SSL_CTX_set_default_read_buffer_len(ssl, READ_AHEAD);
    SSL_CTX_set_default_passwd_cb(ssl, no_pass_phrase);
    ERR_clear_error();
    if (load_ca(ssl, files, error, error_size) && load_certificate(ssl, files, error, error_size))
        return context;
fail:
    SSL_CTX_free(ssl);
    free(context);
    return NULL;
}

void redis_tls_context_destroy(struct redis_tls_context *context)
{
    if (!context)
        return;
    SSL_CTX_free(context->ssl);
    free(context);
}

static bool expect_host(SSL *ssl, const char *host)
{
    struct in6_addr address;
    X509_VERIFY_PARAM *verify = SSL_get0_param(ssl);
    if (inet_pton(AF_INET, host, &address) == 1 || inet_pton(AF_INET6, host, &address) == 1)
        return X509_VERIFY_PARAM_set1_ip_asc(verify, host) == 1;
    X509_VERIFY_PARAM_set_hostflags(verify, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    // SNI is for names only (RFC 6066 section 3).
    return X509_VERIFY_PARAM_set1_host(verify, host, 0) == 1 && SSL_set_tlsext_host_name(ssl, host) == 1;
}

struct redis_tls *redis_tls_create(struct redis_tls_context *context, int fd, const char *host)
{
    struct redis_tls *tls = calloc(1, sizeof *tls);
    if (!tls)
        return NULL;
    snprintf(tls->host, sizeof tls->host, "%s", host);
    tls->ssl = SSL_new(context->ssl);
    if (tls->ssl && SSL_set_fd(tls->ssl, fd) == 1 && expect_host(tls->ssl, host)) {
        SSL_set_connect_state(tls->ssl);
        return tls;
    }
    redis_tls_destroy(tls);
    return NULL;
}

void redis_tls_destroy(struct redis_tls *tls)
{
    if (!tls)
        return;
    SSL_free(tls->ssl); // no close_notify: Redis does not ask for it, and half of it may not be taken
    free(tls);
}

static void say_unverified(struct redis_tls *tls, long verdict)
{
    switch (verdict) {
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
        snprintf(tls->error, sizeof tls->error,
                 "its certificate is from a CA that is not trusted here; name that CA with --redis-ca");
        break;
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
        snprintf(tls->error, sizeof tls->error, "its certificate is not for %s", tls->host);
        break;
    case X509_V_ERR_CERT_HAS_EXPIRED:
        snprintf(tls->error, sizeof tls->error, "its certificate, or its CA's, has expired");
        break;
    default:
        snprintf(tls->error, sizeof tls->error, "its certificate is refused: %s",
                 X509_verify_cert_error_string(verdict));
        break;
    }
}

static const struct {
    int reason;
    const char *text;
} plain_words[] = {
    {SSL_R_UNEXPECTED_EOF_WHILE_READING, "closed by the server"},
    {SSL_R_WRONG_VERSION_NUMBER, "it does not speak TLS; a plain server is redis://"},
    {SSL_R_UNSUPPORTED_PROTOCOL, "it speaks no TLS from 1.2 on"},
    {SSL_R_TLSV1_ALERT_PROTOCOL_VERSION, "it speaks no TLS from 1.2 on"},
    {SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED, "it wants a client certificate: --redis-cert and --redis-key"},
    {SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE, "it refuses the TLS handshake; it may want a client certificate: "
                                          "--redis-cert and --redis-key"},
    {SSL_R_TLSV1_ALERT_UNKNOWN_CA, "it does not trust the CA of --redis-cert"},
    {SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED, "the certificate of --redis-cert has expired"},
};

static void say_protocol_error(struct redis_tls *tls)
{
    unsigned long code = ERR_peek_error(); // the first is the cause
    const char *text = ERR_reason_error_string(code);
    for (size_t i = 0; i < sizeof plain_words / sizeof *plain_words; i++) {
        if (ERR_GET_LIB(code) == ERR_LIB_SSL && ERR_GET_REASON(code) == plain_words[i].reason) {
            snprintf(tls->error, sizeof tls->error, "%s", plain_words[i].text);
            return;
        }
    }
    snprintf(tls->error, sizeof tls->error, "TLS: %s", text ? text : "unknown error");
}

// What a call that did not succeed means.
static ssize_t outcome(struct redis_tls *tls, int result)
{
    int failure = errno;
    long verdict = SSL_get_verify_result(tls->ssl);
    tls->wants_write = false;
    switch (SSL_get_error(tls->ssl, result)) {
    case SSL_ERROR_WANT_WRITE:
        tls->wants_write = true;
        return REDIS_TLS_WAIT;
    case SSL_ERROR_WANT_READ:
        return REDIS_TLS_WAIT;
    case SSL_ERROR_ZERO_RETURN:
        snprintf(tls->error, sizeof tls->error, "closed by the server");
        return REDIS_TLS_FAILED;
    case SSL_ERROR_SYSCALL:
        snprintf(tls->error, sizeof tls->error, "%s", failure ? strerror(failure) : "closed by the server");
        return REDIS_TLS_FAILED;
    default:
        if (verdict != X509_V_OK)
            say_unverified(tls, verdict);
        else
            say_protocol_error(tls);
        return REDIS_TLS_FAILED;
    }
}

// SSL_get_error looks at the thread's queue of errors, which must be empty before the call.
static void begin(struct redis_tls *tls)
{
    ERR_clear_error();
    errno = 0;
    tls->wants_write = false;
}

ssize_t redis_tls_handshake(struct redis_tls *tls)
{
    begin(tls);
    int result = SSL_do_handshake(tls->ssl);
    return result == 1 ? 1 : outcome(tls, result);
}

ssize_t redis_tls_read(struct redis_tls *tls, char *bytes, size_t len)
{
    size_t n = 0;
    begin(tls);
    int result = SSL_read_ex(tls->ssl, bytes, len, &n);
    return result == 1 ? (ssize_t)n : outcome(tls, result);
}

bool redis_tls_has_more(const struct redis_tls *tls)
{
    return SSL_has_pending(tls->ssl) == 1;
}

// A server that refuses our certificate says so and hangs up before it has read all of the handshake
// (TLS 1.3): then a write fails while the reason waits to be read.
static ssize_t last_words(struct redis_tls *tls, int result)
{
    char byte;
    size_t n;
    ssize_t failed = outcome(tls, result);
    begin(tls);
    result = SSL_read_ex(tls->ssl, &byte, 1, &n);
    if (result != 1 && SSL_get_error(tls->ssl, result) == SSL_ERROR_SSL)
        return outcome(tls, result);
    return failed;
}

ssize_t redis_tls_write(struct redis_tls *tls, const char *bytes, size_t len)
{
    size_t n = 0;
    begin(tls);
    int result = SSL_write_ex(tls->ssl, bytes, len, &n);
    if (result != 1 && SSL_get_error(tls->ssl, result) == SSL_ERROR_SYSCALL)
        return last_words(tls, result);
    return result == 1 ? (ssize_t)n : outcome(tls, result);
}

bool redis_tls_wants_write(const struct redis_tls *tls)
{
    return tls->wants_write;
}

const char *redis_tls_error(const struct redis_tls *tls)
{
    return tls->error;
}

#include "common/tls.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Several records in one read(2); one record is 16 KiB at most.
#define READ_AHEAD 65536

#define HOST_SIZE 254 // the longest host name, terminated

struct tls_context {
    SSL_CTX *ssl;
    const char *name;
};

struct tls {
    SSL *ssl;
    const char *name; // of the context
    char host[HOST_SIZE];
    char error[512];
};

// A key with a pass phrase is refused: there is no terminal to ask at.
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

struct loading {
    SSL_CTX *ssl;
    const struct tls_files *files;
    const char *name;
    char *error;
    size_t error_size;
};

static bool refuse(const struct loading *l, const char *option, const char *file)
{
    snprintf(l->error, l->error_size, "--%s-%s: cannot use %s: %s", l->name, option, file, reason());
    ERR_clear_error();
    return false;
}

static bool load_ca(const struct loading *l)
{
    if (!l->files->ca)
        return SSL_CTX_set_default_verify_paths(l->ssl) == 1 || refuse(l, "ca", "the system's certificates");
    return SSL_CTX_load_verify_file(l->ssl, l->files->ca) == 1 || refuse(l, "ca", l->files->ca);
}

static bool load_certificate(const struct loading *l)
{
    if (!l->files->cert)
        return true;
    if (SSL_CTX_use_certificate_chain_file(l->ssl, l->files->cert) != 1)
        return refuse(l, "cert", l->files->cert);
    if (SSL_CTX_use_PrivateKey_file(l->ssl, l->files->key, SSL_FILETYPE_PEM) != 1)
        return refuse(l, "key", l->files->key);
    return true;
}

struct tls_context *tls_context_create(const struct tls_files *files, const char *name, char *error,
                                       size_t error_size)
{
    struct tls_context *context = calloc(1, sizeof *context);
    SSL_CTX *ssl = SSL_CTX_new(TLS_client_method());
    snprintf(error, error_size, "out of memory");
    if (!context || !ssl)
        goto fail;
    context->ssl = ssl;
    context->name = name;
    if (SSL_CTX_set_min_proto_version(ssl, TLS1_2_VERSION) != 1)
        goto fail;
    SSL_CTX_set_verify(ssl, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_options(ssl, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    SSL_CTX_set_session_cache_mode(ssl, SSL_SESS_CACHE_OFF);
    // The bytes of a write that is tried again may have moved, since a buffer grows.
    SSL_CTX_set_mode(ssl, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_read_ahead(ssl, 1);
    SSL_CTX_set_default_read_buffer_len(ssl, READ_AHEAD);
    SSL_CTX_set_default_passwd_cb(ssl, no_pass_phrase);
    ERR_clear_error();
    const struct loading loading = {ssl, files, name, error, error_size};
    if (load_ca(&loading) && load_certificate(&loading))
        return context;
fail:
    SSL_CTX_free(ssl);
    free(context);
    return NULL;
}

void tls_context_destroy(struct tls_context *context)
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

struct tls *tls_create(struct tls_context *context, int fd, const char *host)
{
    struct tls *tls = calloc(1, sizeof *tls);
    if (!tls)
        return NULL;
    tls->name = context->name;
    snprintf(tls->host, sizeof tls->host, "%s", host);
    tls->ssl = SSL_new(context->ssl);
    if (tls->ssl && SSL_set_fd(tls->ssl, fd) == 1 && expect_host(tls->ssl, host)) {
        SSL_set_connect_state(tls->ssl);
        return tls;
    }
    tls_destroy(tls);
    return NULL;
}

void tls_destroy(struct tls *tls)
{
    if (!tls)
        return;
    SSL_free(tls->ssl); // no close_notify, which would wait: tls_shutdown sends it
    free(tls);
}

static void __attribute__((format(printf, 2, 3))) say(struct tls *tls, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)vsnprintf(tls->error, sizeof tls->error, format, args); // a name may be cut
    va_end(args);
}

static void say_unverified(struct tls *tls, long verdict)
{
    switch (verdict) {
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
        say(tls, "its certificate is from a CA that is not trusted here; name that CA with --%s-ca",
            tls->name);
        break;
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
        say(tls, "its certificate is not for %s", tls->host);
        break;
    case X509_V_ERR_CERT_HAS_EXPIRED:
        say(tls, "its certificate, or its CA's, has expired");
        break;
    default:
        say(tls, "its certificate is refused: %s", X509_verify_cert_error_string(verdict));
        break;
    }
}

static void say_protocol_error(struct tls *tls)
{
    unsigned long code = ERR_peek_error(); // the first is the cause
    const char *text = ERR_reason_error_string(code), *name = tls->name;
    switch (ERR_GET_LIB(code) == ERR_LIB_SSL ? ERR_GET_REASON(code) : 0) {
    case SSL_R_UNEXPECTED_EOF_WHILE_READING:
        say(tls, "closed by the server");
        break;
    case SSL_R_WRONG_VERSION_NUMBER:
        say(tls, "it does not speak TLS; a plain server is %s://", name);
        break;
    case SSL_R_UNSUPPORTED_PROTOCOL:
    case SSL_R_TLSV1_ALERT_PROTOCOL_VERSION:
        say(tls, "it speaks no TLS from 1.2 on");
        break;
    case SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED:
        say(tls, "it wants a client certificate: --%s-cert and --%s-key", name, name);
        break;
    case SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE:
        say(tls, "it refuses the TLS handshake; it may want a client certificate: --%s-cert and --%s-key",
            name, name);
        break;
    case SSL_R_TLSV1_ALERT_UNKNOWN_CA:
        say(tls, "it does not trust the CA of --%s-cert", name);
        break;
    case SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED:
        say(tls, "the certificate of --%s-cert has expired", name);
        break;
    default:
        say(tls, "TLS: %s", text ? text : "unknown error");
        break;
    }
}

// The TRANSPORT_* value for a call that did not succeed.
static ssize_t outcome(struct tls *tls, int result)
{
    int failure = errno;
    long verdict = SSL_get_verify_result(tls->ssl);
    switch (SSL_get_error(tls->ssl, result)) {
    case SSL_ERROR_WANT_WRITE:
        return TRANSPORT_WAIT_WRITE;
    case SSL_ERROR_WANT_READ:
        return TRANSPORT_WAIT_READ;
    case SSL_ERROR_ZERO_RETURN:
        say(tls, "closed by the server");
        return TRANSPORT_END;
    case SSL_ERROR_SYSCALL:
        say(tls, "%s", failure ? strerror(failure) : "closed by the server");
        return TRANSPORT_LOST;
    default:
        if (verdict != X509_V_OK)
            say_unverified(tls, verdict);
        else
            say_protocol_error(tls);
        return TRANSPORT_LOST;
    }
}

// SSL_get_error looks at the thread's queue of errors, which must be empty before the call.
static void begin(void)
{
    ERR_clear_error();
    errno = 0;
}

ssize_t tls_handshake(struct tls *tls)
{
    begin();
    int result = SSL_do_handshake(tls->ssl);
    return result == 1 ? 0 : outcome(tls, result);
}

ssize_t tls_read(struct tls *tls, char *bytes, size_t len)
{
    size_t n = 0;
    begin();
    int result = SSL_read_ex(tls->ssl, bytes, len, &n);
    return result == 1 ? (ssize_t)n : outcome(tls, result);
}

bool tls_has_more(const struct tls *tls)
{
    return SSL_has_pending(tls->ssl) == 1;
}

// A server that refuses the client's certificate sends an alert and closes before it has read all of the
// handshake (TLS 1.3): then a write fails while the reason can still be read.
static ssize_t last_words(struct tls *tls, int result)
{
    char byte;
    size_t n;
    ssize_t failed = outcome(tls, result);
    begin();
    result = SSL_read_ex(tls->ssl, &byte, 1, &n);
    if (result != 1 && SSL_get_error(tls->ssl, result) == SSL_ERROR_SSL)
        return outcome(tls, result);
    return failed;
}

ssize_t tls_write(struct tls *tls, const char *bytes, size_t len)
{
    size_t n = 0;
    begin();
    int result = SSL_write_ex(tls->ssl, bytes, len, &n);
    if (result != 1 && SSL_get_error(tls->ssl, result) == SSL_ERROR_SYSCALL)
        return last_words(tls, result);
    return result == 1 ? (ssize_t)n : outcome(tls, result);
}

ssize_t tls_shutdown(struct tls *tls)
{
    begin();
    int result = SSL_shutdown(tls->ssl);
    return result >= 0 ? 0 : outcome(tls, result); // the peer's own is not waited for
}

const char *tls_error(const struct tls *tls)
{
    return tls->error;
}

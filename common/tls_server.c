#include "common/tls_server.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/clock.h"
#include "common/tls_names.h"
#include "common/tls_server_set.h"
#include "common/tls_tickets.h"

// Forward secrecy and authenticated encryption only: those that common/tls_keys knows.
#define CIPHERS_1_2                                                                                          \
    "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-AES128-GCM-SHA256:"               \
    "ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"
#define CIPHERS_1_3 "TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256"

struct certificate {
    SSL_CTX *ssl;
    int64_t expires_at;
};

struct tls_server_set {
    atomic_uint references;
    struct tls_tickets *tickets; // borrowed from the server
    struct tls_names names;
    size_t count;
    struct certificate certificates[];
};

struct tls_server {
    struct tls_server_files files;
    struct tls_tickets *tickets;
    pthread_mutex_t lock; // of `set`
    struct tls_server_set *set;
};

struct loading {
    const struct tls_server_files *files;
    struct tls_server_set *set;
    size_t i; // of the certificate that is loaded
    char *error;
    size_t error_size;
};

// A key with a pass phrase is refused: there is no terminal to ask at.
static int no_pass_phrase(char *out, int size, int writing, void *ctx)
{
    (void)out, (void)size, (void)writing, (void)ctx;
    return -1;
}

static bool refuse(const struct loading *l, const char *option, const char *file)
{
    unsigned long code = ERR_peek_error(); // the first is the cause
    const char *text =
        ERR_SYSTEM_ERROR(code) ? strerror(ERR_GET_REASON(code)) : ERR_reason_error_string(code);
    snprintf(l->error, l->error_size, "--%s: cannot use %s: %s", option, file, text ? text : "unknown error");
    ERR_clear_error();
    return false;
}

static bool out_of_memory(const struct loading *l)
{
    snprintf(l->error, l->error_size, "out of memory");
    ERR_clear_error();
    return false;
}

// RFC 7301 section 3.2: where no protocol is common to both, the handshake fails.
static int on_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len, const unsigned char *in,
                   unsigned in_len, void *ctx)
{
    static const unsigned char ours[] = "\x08http/1.1\x08http/1.0";
    unsigned char *chosen;
    (void)ssl, (void)ctx;
    if (SSL_select_next_proto(&chosen, out_len, ours, sizeof ours - 1, in, in_len) != OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

// A name that no certificate has gets the first one: the client decides then.
static int on_server_name(SSL *ssl, int *alert, void *ctx)
{
    const struct tls_server_set *set = ctx;
    const char *host = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    long i = host ? tls_names_find(&set->names, host) : -1;
    (void)alert;
    if (i < 0)
        return SSL_TLSEXT_ERR_NOACK;
    if (i > 0 && !SSL_set_SSL_CTX(ssl, set->certificates[i].ssl))
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    return SSL_TLSEXT_ERR_OK;
}

static bool use_ticket_key(const struct tls_ticket_key *key, unsigned char *iv, EVP_CIPHER_CTX *cipher,
                           EVP_MAC_CTX *mac, int encrypt)
{
    char digest[] = "SHA256";
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, (void *)key->mac, sizeof key->mac),
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0), OSSL_PARAM_construct_end()};
    return EVP_CipherInit_ex(cipher, EVP_aes_256_cbc(), NULL, key->cipher, iv, encrypt) == 1 &&
           EVP_MAC_CTX_set_params(mac, params) == 1;
}

// 1: with that key; 0: without a ticket, so that a whole handshake follows; -1: the handshake fails.
static int on_ticket(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher,
                     EVP_MAC_CTX *mac, int encrypt)
{
    const struct tls_server_set *set = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
    struct tls_ticket_key key;
    uint64_t now_ms = clock_monotonic_ms();
    bool found = encrypt ? tls_tickets_first(set->tickets, now_ms, &key)
                         : tls_tickets_find(set->tickets, now_ms, name, &key);
    if (!found)
        return 0;
    bool ok = true;
    if (encrypt) {
        memcpy(name, key.name, sizeof key.name);
        ok = RAND_bytes(iv, EVP_CIPHER_get_iv_length(EVP_aes_256_cbc())) == 1;
    }
    ok = ok && use_ticket_key(&key, iv, cipher, mac, encrypt);
    explicit_bzero(&key, sizeof key);
    return ok ? 1 : -1;
}

static bool digest_file(const char *file, unsigned char digest[SHA256_DIGEST_LENGTH])
{
    unsigned char bytes[4096];
    EVP_MD_CTX *sum = EVP_MD_CTX_new();
    FILE *f = fopen(file, "re");
    bool ok = sum && f && EVP_DigestInit_ex(sum, EVP_sha256(), NULL) == 1;
    for (size_t n; ok && (n = fread(bytes, 1, sizeof bytes, f)) > 0;)
        ok = EVP_DigestUpdate(sum, bytes, n) == 1;
    ok = ok && !ferror(f) && EVP_DigestFinal_ex(sum, digest, NULL) == 1;
    if (f)
        (void)fclose(f); // only read: nothing can be lost
    EVP_MD_CTX_free(sum);
    return ok;
}

// A session is resumed by gateways that ask the same of clients: the client's certificate was verified when
// the session began, and is not verified again.
static bool set_session_context(const struct loading *l, SSL_CTX *ssl)
{
    unsigned char digest[SHA256_DIGEST_LENGTH] = "sse-gateway";
    if (l->files->client_ca && !digest_file(l->files->client_ca, digest))
        return refuse(l, "tls-client-ca", l->files->client_ca);
    return SSL_CTX_set_session_id_context(ssl, digest, sizeof digest) == 1 || out_of_memory(l);
}

static bool load_client_ca(const struct loading *l, SSL_CTX *ssl)
{
    const char *file = l->files->client_ca;
    if (!file)
        return true;
    STACK_OF(X509_NAME) *names = SSL_load_client_CA_file(file);
    if (!names || SSL_CTX_load_verify_file(ssl, file) != 1) {
        sk_X509_NAME_pop_free(names, X509_NAME_free);
        return refuse(l, "tls-client-ca", file);
    }
    SSL_CTX_set_client_CA_list(ssl, names); // taken
    SSL_CTX_set_verify(ssl, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    return true;
}

static bool load_pair(const struct loading *l, SSL_CTX *ssl)
{
    const char *cert = l->files->certs[l->i], *key = l->files->keys[l->i];
    SSL_CTX_set_default_passwd_cb(ssl, no_pass_phrase);
    if (SSL_CTX_use_certificate_chain_file(ssl, cert) != 1)
        return refuse(l, "tls-cert", cert);
    if (SSL_CTX_use_PrivateKey_file(ssl, key, SSL_FILETYPE_PEM) == 1 && SSL_CTX_check_private_key(ssl) == 1)
        return true;
    int why = ERR_GET_REASON(ERR_peek_error());
    if (why != X509_R_KEY_VALUES_MISMATCH && why != X509_R_KEY_TYPE_MISMATCH)
        return refuse(l, "tls-key", key);
    snprintf(l->error, l->error_size, "--tls-key: %s is not the key of the certificate %s", key, cert);
    ERR_clear_error();
    return false;
}

static bool add_names(const struct loading *l, X509 *cert)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
    bool ok = true;
    for (int i = 0; ok && i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
        if (name->type == GEN_DNS)
            ok = tls_names_add(&l->set->names, (const char *)ASN1_STRING_get0_data(name->d.dNSName),
                               (size_t)ASN1_STRING_length(name->d.dNSName), l->i);
    }
    GENERAL_NAMES_free(names);
    return ok;
}

static bool read_certificate(const struct loading *l, struct certificate *c)
{
    struct tm tm;
    X509 *cert = SSL_CTX_get0_certificate(c->ssl);
    if (!cert || ASN1_TIME_to_tm(X509_get0_notAfter(cert), &tm) != 1)
        return refuse(l, "tls-cert", l->files->certs[l->i]);
    c->expires_at = timegm(&tm);
    return add_names(l, cert) || out_of_memory(l);
}

static void set_policy(SSL_CTX *ssl, struct tls_server_set *set)
{
    SSL_CTX_set_options(ssl, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                 SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
    SSL_CTX_set_mode(ssl, SSL_MODE_RELEASE_BUFFERS);         // while the client is waited for
    SSL_CTX_set_session_cache_mode(ssl, SSL_SESS_CACHE_OFF); // tickets hold the sessions
    SSL_CTX_set_timeout(ssl, TLS_TICKET_LIFETIME_S);
    SSL_CTX_set_app_data(ssl, set);
    SSL_CTX_set_keylog_callback(ssl, tls_stream_on_secret);
    SSL_CTX_set_alpn_select_cb(ssl, on_alpn, NULL);
    SSL_CTX_set_tlsext_servername_callback(ssl, on_server_name);
    SSL_CTX_set_tlsext_servername_arg(ssl, set);
}

static bool load_certificate(const struct loading *l)
{
    struct certificate *c = &l->set->certificates[l->i];
    SSL_CTX *ssl = c->ssl = SSL_CTX_new(TLS_server_method());
    if (!ssl)
        return out_of_memory(l);
    set_policy(ssl, l->set);
    if (SSL_CTX_set_min_proto_version(ssl, TLS1_2_VERSION) != 1 ||
        SSL_CTX_set_cipher_list(ssl, CIPHERS_1_2) != 1 || SSL_CTX_set_ciphersuites(ssl, CIPHERS_1_3) != 1 ||
        SSL_CTX_set_num_tickets(ssl, 1) != 1 || SSL_CTX_set_tlsext_ticket_key_evp_cb(ssl, on_ticket) != 1)
        return out_of_memory(l);
    return load_pair(l, ssl) && load_client_ca(l, ssl) && set_session_context(l, ssl) &&
           read_certificate(l, c);
}

void tls_server_set_release(struct tls_server_set *set)
{
    if (!set || atomic_fetch_sub(&set->references, 1) != 1)
        return;
    for (size_t i = 0; i < set->count; i++)
        SSL_CTX_free(set->certificates[i].ssl);
    tls_names_deinit(&set->names);
    free(set);
}

static struct tls_server_set *set_load(const struct tls_server *s, char *error, size_t error_size)
{
    size_t count = s->files.count;
    struct tls_server_set *set = calloc(1, sizeof *set + count * sizeof set->certificates[0]);
    struct loading l = {.files = &s->files, .set = set, .error = error, .error_size = error_size};
    ERR_clear_error();
    if (!set) {
        (void)out_of_memory(&l); // the answer is NULL
        return NULL;
    }
    set->tickets = s->tickets;
    set->count = count;
    atomic_init(&set->references, 1);
    for (; l.i < count; l.i++) {
        if (!load_certificate(&l)) {
            tls_server_set_release(set);
            return NULL;
        }
    }
    tls_names_sort(&set->names);
    return set;
}

SSL *tls_server_accept(struct tls_server *s, struct tls_server_set **set)
{
    (void)pthread_mutex_lock(&s->lock); // fails for a lock that is none
    *set = s->set;
    atomic_fetch_add(&s->set->references, 1);
    (void)pthread_mutex_unlock(&s->lock); // as above
    SSL *ssl = SSL_new((*set)->certificates[0].ssl);
    if (!ssl) {
        ERR_clear_error();
        tls_server_set_release(*set);
        *set = NULL;
    }
    return ssl;
}

bool tls_server_reload(struct tls_server *s, char *error, size_t error_size)
{
    struct tls_ticket_keys keys = {0};
    char wrong[400];
    if (s->files.ticket_keys && !tls_ticket_keys_read(s->files.ticket_keys, &keys, wrong, sizeof wrong)) {
        snprintf(error, error_size, "--tls-ticket-keys: %s", wrong);
        return false;
    }
    struct tls_server_set *set = set_load(s, error, error_size);
    if (set) {
        tls_tickets_use(s->tickets, &keys);
        (void)pthread_mutex_lock(&s->lock); // fails for a lock that is none
        struct tls_server_set *old = s->set;
        s->set = set;
        (void)pthread_mutex_unlock(&s->lock); // as above
        tls_server_set_release(old);
    }
    explicit_bzero(&keys, sizeof keys);
    return set != NULL;
}

struct tls_server *tls_server_create(const struct tls_server_files *files, char *error, size_t error_size)
{
    struct tls_server *s = calloc(1, sizeof *s);
    if (!s || !(s->tickets = tls_tickets_create()) || pthread_mutex_init(&s->lock, NULL) != 0) {
        snprintf(error, error_size, "out of memory");
        if (s)
            tls_tickets_destroy(s->tickets);
        free(s);
        return NULL;
    }
    s->files = *files;
    if (tls_server_reload(s, error, error_size))
        return s;
    tls_server_destroy(s);
    return NULL;
}

void tls_server_destroy(struct tls_server *s)
{
    if (!s)
        return;
    tls_server_set_release(s->set);
    tls_tickets_destroy(s->tickets);
    (void)pthread_mutex_destroy(&s->lock); // fails for a locked one only
    free(s);
}

bool tls_server_certificate(struct tls_server *s, size_t i, struct tls_certificate *out)
{
    if (i >= s->files.count)
        return false;
    (void)pthread_mutex_lock(&s->lock); // fails for a lock that is none
    *out =
        (struct tls_certificate){.file = s->files.certs[i], .expires_at = s->set->certificates[i].expires_at};
    (void)pthread_mutex_unlock(&s->lock); // as above
    return true;
}

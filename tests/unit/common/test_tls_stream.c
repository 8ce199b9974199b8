// A server and a client of OpenSSL in one process, and bytes between them that go as the test wants: whole, one
// by one, or not at all.
#include "common/tls_stream.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <string.h>

#include "tests/unit/lib/scratch.h"
#include "tests/unit/lib/unit_main.h"

static char cert[200], key[200], error[600];
static struct tls_server *server;
static struct tls_crypt *crypt;
static struct tls_stream *ours;
static SSL_CTX *context;
static SSL *theirs;
static BIO *to_them, *from_them; // of `theirs`
static size_t room;              // bytes that on_send takes until it is set again
static bool is_lost;
static unsigned sends;

static ssize_t on_send(void *ctx, const char *bytes, size_t len)
{
    (void)ctx;
    sends++;
    if (is_lost)
        return -1;
    size_t n = len < room ? len : room;
    room -= n;
    ck_assert_int_eq(n > 0 ? BIO_write(to_them, bytes, (int)n) : 0, (int)n);
    return (ssize_t)n;
}

static void make_certificate(void)
{
    EVP_PKEY *pkey = EVP_EC_gen("P-256");
    X509 *x509 = X509_new();
    ck_assert(pkey && x509);
    ck_assert(X509_gmtime_adj(X509_getm_notBefore(x509), -60) &&
              X509_gmtime_adj(X509_getm_notAfter(x509), 3600));
    ck_assert(X509_set_pubkey(x509, pkey) && X509_sign(x509, pkey, EVP_sha256()));
    snprintf(cert, sizeof cert, "%s", scratch_path("cert"));
    snprintf(key, sizeof key, "%s", scratch_path("key"));
    FILE *c = fopen(cert, "we"), *k = fopen(key, "we");
    ck_assert(c && k && PEM_write_X509(c, x509) && PEM_write_PrivateKey(k, pkey, NULL, NULL, 0, NULL, NULL));
    ck_assert(fclose(c) == 0 && fclose(k) == 0);
    X509_free(x509);
    EVP_PKEY_free(pkey);
}

static void setup_once(void)
{
    scratch_setup();
    make_certificate();
}

// A connection of which no byte has gone.
static void begin(void)
{
    ours = tls_stream_create(server, crypt, on_send, NULL);
    ck_assert_ptr_nonnull(ours);
    theirs = SSL_new(context);
    to_them = BIO_new(BIO_s_mem());
    from_them = BIO_new(BIO_s_mem());
    BIO_set_mem_eof_return(to_them, -1);
    SSL_set_bio(theirs, to_them, from_them);
    SSL_set_connect_state(theirs);
}

static void setup(void)
{
    const char *const certs[] = {cert}, *const keys[] = {key};
    static struct tls_server_files files;
    static const char *kept[2];
    kept[0] = certs[0];
    kept[1] = keys[0];
    files = (struct tls_server_files){.certs = &kept[0], .keys = &kept[1], .count = 1};
    server = tls_server_create(&files, error, sizeof error);
    ck_assert_msg(server, "%s", error);
    crypt = tls_crypt_create();
    ck_assert_ptr_nonnull(crypt);
    context = SSL_CTX_new(TLS_client_method());
    begin();
    room = SIZE_MAX;
    is_lost = false;
    sends = 0;
}

static void teardown(void)
{
    SSL_free(theirs);
    SSL_CTX_free(context);
    tls_stream_destroy(ours);
    tls_crypt_destroy(crypt);
    tls_server_destroy(server);
}

TESTS_WITH(.setup = setup, .teardown = teardown, .setup_once = setup_once, .teardown_once = scratch_teardown,
           .timeout_s = 120);

// Feeds what the client has sent, at most `step` bytes; false where there is nothing.
static bool feed(size_t step)
{
    static char bytes[20000];
    int n = BIO_read(from_them, bytes, (int)(step < sizeof bytes ? step : sizeof bytes));
    if (n <= 0)
        return false;
    tls_stream_feed(ours, bytes, (size_t)n);
    return true;
}

static void shake_hands(size_t step)
{
    ssize_t result = TRANSPORT_WAIT_READ;
    while (result != 0) {
        (void)SSL_do_handshake(theirs); // wants more, or is done
        ck_assert(feed(step));
        result = tls_stream_handshake(ours);
        ck_assert(result == 0 || result == TRANSPORT_WAIT_READ);
    }
    ck_assert_int_eq(SSL_do_handshake(theirs), 1);
}

static const int versions[] = {TLS1_3_VERSION, TLS1_2_VERSION};

static void use_version(int version)
{
    ck_assert_int_eq(SSL_set_max_proto_version(theirs, version), 1);
}

static void expect(const char *text)
{
    char bytes[64];
    int n = SSL_read(theirs, bytes, sizeof bytes);
    ck_assert_int_eq(n, (int)strlen(text));
    ck_assert_mem_eq(bytes, text, strlen(text));
}

TEST_LOOP(bytes_go_both_ways_however_they_are_cut, 0, 4)
{
    char bytes[64];
    size_t step = _i % 2 == 0 ? SIZE_MAX : 1;
    use_version(versions[_i / 2]);
    shake_hands(step);
    ck_assert(!tls_stream_is_resumed(ours));
    ck_assert_int_eq(SSL_write(theirs, "hello", 5), 5);
    ssize_t n = TRANSPORT_WAIT_READ;
    while (n == TRANSPORT_WAIT_READ) {
        ck_assert(feed(step));
        n = tls_stream_read(ours, bytes, sizeof bytes);
    }
    ck_assert_int_eq(n, 5);
    ck_assert_mem_eq(bytes, "hello", 5);
    ck_assert_int_eq(tls_stream_read(ours, bytes, sizeof bytes), TRANSPORT_WAIT_READ);
    ck_assert_int_eq(tls_stream_write(ours, "world", 5), 5);
    expect("world");
}

TEST_EACH(a_record_is_one_send_and_no_longer_than_it_may_be, versions)
{
    static char large[100000];
    use_version(versions[_i]);
    shake_hands(SIZE_MAX);
    int before = BIO_pending(to_them); // a ticket
    sends = 0;
    ck_assert_int_eq(tls_stream_write(ours, large, sizeof large), TLS_SENT_RECORD_MAX);
    ck_assert_uint_eq(sends, 1);
    ck_assert_int_le(BIO_pending(to_them) - before, 16384);
}

TEST_EACH(what_the_socket_does_not_take_waits_and_goes_first, versions)
{
    use_version(versions[_i]);
    shake_hands(SIZE_MAX);
    room = 3;
    ck_assert_int_eq(tls_stream_write(ours, "one", 3), 3);
    ck_assert_uint_gt(tls_stream_waiting(ours), 0);
    room = 0;
    ck_assert_int_eq(tls_stream_flush(ours), TRANSPORT_WAIT_WRITE);
    size_t waiting = tls_stream_waiting(ours);
    room = 4;
    ck_assert_int_eq(tls_stream_flush(ours), TRANSPORT_WAIT_WRITE);
    ck_assert_uint_eq(tls_stream_waiting(ours), waiting - 4);
    room = SIZE_MAX;
    ck_assert_int_eq(tls_stream_flush(ours), 0);
    ck_assert_uint_eq(tls_stream_waiting(ours), 0);
    expect("one");
    ck_assert_int_eq(tls_stream_write(ours, "two", 3), 3);
    expect("two");
}

TEST_EACH(close_notify_is_sent_once_and_waits_like_anything_else, versions)
{
    char byte;
    use_version(versions[_i]);
    shake_hands(SIZE_MAX);
    room = 0;
    ck_assert(tls_stream_shutdown(ours));
    size_t waiting = tls_stream_waiting(ours);
    ck_assert_uint_gt(waiting, 0);
    ck_assert(tls_stream_shutdown(ours));
    ck_assert_uint_eq(tls_stream_waiting(ours), waiting);
    room = SIZE_MAX;
    ck_assert_int_eq(tls_stream_flush(ours), 0);
    int n = SSL_read(theirs, &byte, 1);
    ck_assert_int_eq(SSL_get_error(theirs, n), SSL_ERROR_ZERO_RETURN);
}

TEST_EACH(the_end_of_the_client_is_an_end, versions)
{
    char byte;
    use_version(versions[_i]);
    shake_hands(SIZE_MAX);
    ck_assert_int_ge(SSL_shutdown(theirs), 0);
    ck_assert(feed(SIZE_MAX));
    ck_assert_int_eq(tls_stream_read(ours, &byte, 1), TRANSPORT_END);
}

TEST_EACH(a_socket_that_is_lost_ends_the_connection, versions)
{
    use_version(versions[_i]);
    shake_hands(SIZE_MAX);
    is_lost = true;
    ck_assert_int_eq(tls_stream_write(ours, "x", 1), TRANSPORT_LOST);
}

TEST(a_client_that_asks_for_new_keys_and_reads_nothing_has_no_more_bytes_wait)
{
    char byte;
    shake_hands(SIZE_MAX);
    room = 0;
    ck_assert_int_eq(tls_stream_write(ours, "x", 1), 1);
    size_t waiting = tls_stream_waiting(ours);
    for (int i = 0; i < 1000; i++) {
        ck_assert_int_eq(SSL_key_update(theirs, SSL_KEY_UPDATE_REQUESTED), 1);
        ck_assert_int_eq(SSL_do_handshake(theirs), 1);
        ck_assert(feed(SIZE_MAX));
        ck_assert_int_eq(tls_stream_read(ours, &byte, 1), TRANSPORT_WAIT_READ);
        ck_assert_uint_eq(tls_stream_waiting(ours), waiting);
    }
}

// Each cipher suite of TLS 1.3, records of all sizes both ways, and both sides with new keys again and again.
static const char *const suites[] = {"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384",
                                     "TLS_CHACHA20_POLY1305_SHA256"};

static void expect_bytes(const char *bytes, size_t len)
{
    static char got[TLS_RECORD_MAX];
    size_t n = 0;
    ck_assert_int_eq(SSL_read_ex(theirs, got, sizeof got, &n), 1);
    ck_assert_uint_eq(n, len);
    ck_assert_mem_eq(got, bytes, len);
}

static void receive_bytes(const char *bytes, size_t len)
{
    static char got[TLS_RECORD_MAX];
    ck_assert_int_eq(SSL_write(theirs, bytes, (int)len), (int)len);
    ssize_t n = TRANSPORT_WAIT_READ;
    while (n == TRANSPORT_WAIT_READ) {
        ck_assert(feed(7000)); // so that a large record comes in pieces
        n = tls_stream_read(ours, got, sizeof got);
    }
    ck_assert_int_eq(n, (ssize_t)len);
    ck_assert_mem_eq(got, bytes, len);
}

static const size_t sizes[] = {1, 2, 15, 16, 17, 255, 256, 4096, 16319, 16320, 16384};

// That many bytes both ways.
static void exchange(size_t size)
{
    static char bytes[16384];
    size_t sent = size < TLS_SENT_RECORD_MAX ? size : TLS_SENT_RECORD_MAX;
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (char)(i * 31 + size);
    ck_assert_int_eq(tls_stream_write(ours, bytes, size), (ssize_t)sent);
    expect_bytes(bytes, sent);
    receive_bytes(bytes, size);
}

TEST_EACH(records_and_new_keys_with_each_suite, suites)
{
    ck_assert_int_eq(SSL_set_ciphersuites(theirs, suites[_i]), 1);
    if (_i == 1)
        ck_assert_int_eq(SSL_set_block_padding(theirs, 64), 1);
    shake_hands(SIZE_MAX);
    ck_assert_str_eq(SSL_get_cipher_name(theirs), suites[_i]);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        exchange(sizes[i]);
        int kind = i % 2 ? SSL_KEY_UPDATE_REQUESTED : SSL_KEY_UPDATE_NOT_REQUESTED;
        ck_assert_int_eq(SSL_key_update(theirs, kind), 1);
    }
}

static const char *const suites_1_2[] = {"ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384",
                                         "ECDHE-ECDSA-CHACHA20-POLY1305"};

TEST_EACH(records_with_each_suite_of_tls_1_2, suites_1_2)
{
    use_version(TLS1_2_VERSION);
    ck_assert_int_eq(SSL_set_cipher_list(theirs, suites_1_2[_i]), 1);
    shake_hands(SIZE_MAX);
    ck_assert_str_eq(SSL_get_cipher_name(theirs), suites_1_2[_i]);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        exchange(sizes[i]);
}

static SSL_SESSION *ticket; // the last that the client got

static int on_ticket(SSL *ssl, SSL_SESSION *got)
{
    (void)ssl;
    SSL_SESSION_free(ticket);
    ticket = got; // taken
    return 1;
}

TEST_EACH(a_session_is_resumed_and_its_records_go_both_ways, versions)
{
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT);
    SSL_CTX_sess_set_new_cb(context, on_ticket);
    use_version(versions[_i]);
    shake_hands(SIZE_MAX);
    exchange(100); // so that the client has read its ticket
    ck_assert_ptr_nonnull(ticket);
    tls_stream_destroy(ours);
    (void)SSL_shutdown(theirs); // else its session counts as broken
    SSL_free(theirs);
    begin();
    use_version(versions[_i]);
    ck_assert_int_eq(SSL_set_session(theirs, ticket), 1);
    shake_hands(SIZE_MAX);
    ck_assert(tls_stream_is_resumed(ours) && SSL_session_reused(theirs));
    exchange(100);
    exchange(16384);
    SSL_SESSION_free(ticket);
}

TEST(a_client_that_asks_for_a_renegotiation_is_told_that_there_is_none_and_may_go_on)
{
    char byte;
    use_version(TLS1_2_VERSION);
    shake_hands(SIZE_MAX);
    ck_assert_int_eq(SSL_renegotiate(theirs), 1);
    (void)SSL_do_handshake(theirs); // wants the answer
    ck_assert(feed(SIZE_MAX));
    ck_assert_int_eq(tls_stream_read(ours, &byte, 1), TRANSPORT_WAIT_READ);
    ck_assert_int_eq(tls_stream_write(ours, "x", 1), 1);
    ck_assert_int_le(SSL_do_handshake(theirs), 0); // OpenSSL's own client does not go on
    ck_assert_int_eq(ERR_GET_REASON(ERR_peek_error()), SSL_R_NO_RENEGOTIATION);
}

TEST_EACH(a_connection_takes_little_memory_after_its_handshake, versions)
{
    use_version(versions[_i]);
    shake_hands(SIZE_MAX);
    ck_assert_uint_le(tls_stream_bytes(ours), 600);
}

TEST_EACH(no_record_is_longer_than_the_client_has_asked_for, versions)
{
    static char large[5000];
    use_version(versions[_i]);
    ck_assert_int_eq(SSL_set_tlsext_max_fragment_length(theirs, TLSEXT_max_fragment_length_512), 1);
    shake_hands(SIZE_MAX);
    ck_assert_int_eq(tls_stream_write(ours, large, sizeof large), 512);
    expect_bytes(large, 512);
    receive_bytes(large, 512);
}

// What the client sends is changed on its way, or is of the wrong kind; the alert that it gets.
static void expect_refused(char *bytes, size_t len, int alert)
{
    char byte;
    tls_stream_feed(ours, bytes, len);
    ck_assert_int_eq(tls_stream_read(ours, &byte, 1), TRANSPORT_LOST);
    int n = SSL_read(theirs, &byte, 1);
    ck_assert_int_eq(SSL_get_error(theirs, n), SSL_ERROR_SSL);
    ck_assert_int_eq(ERR_GET_REASON(ERR_peek_error()), SSL_AD_REASON_OFFSET + alert);
}

// The 24 bytes of a record of TLS 1.3, and the 31 of one of TLS 1.2.
TEST_LOOP(a_record_with_one_bit_changed_is_refused, 0, 24 + 31)
{
    char bytes[64];
    bool is_1_2 = _i >= 24;
    int at = is_1_2 ? _i - 24 : _i;
    use_version(is_1_2 ? TLS1_2_VERSION : TLS1_3_VERSION);
    shake_hands(SIZE_MAX);
    ck_assert_int_eq(SSL_write(theirs, "ab", 2), 2);
    int len = BIO_read(from_them, bytes, sizeof bytes);
    ck_assert_int_eq(len, is_1_2 ? 31 : 24);
    bytes[at] = (char)(bytes[at] ^ 1);
    if (at == 3 ||
        at == 4) { // the length: another record, of which a part is missing, or which ends too early
        char got[8];
        tls_stream_feed(ours, bytes, (size_t)len);
        ck_assert_int_lt(tls_stream_read(ours, got, sizeof got), 0); // TRANSPORT_*: no data
        return;
    }
    // TLS 1.2 has other types, which are authenticated.
    bool is_unexpected = at == 1 || (at == 0 && !is_1_2);
    expect_refused(bytes, (size_t)len, is_unexpected ? SSL_AD_UNEXPECTED_MESSAGE : SSL_AD_BAD_RECORD_MAC);
}

TEST_EACH(a_record_that_comes_again_is_refused, versions)
{
    char bytes[64], got[8];
    use_version(versions[_i]);
    shake_hands(SIZE_MAX);
    ck_assert_int_eq(SSL_write(theirs, "ab", 2), 2);
    int len = BIO_read(from_them, bytes, sizeof bytes);
    tls_stream_feed(ours, bytes, (size_t)len);
    ck_assert_int_eq(tls_stream_read(ours, got, sizeof got), 2);
    expect_refused(bytes, (size_t)len, SSL_AD_BAD_RECORD_MAC);
}

TEST_EACH(a_record_that_is_too_long_is_refused, versions)
{
    char too_long[] = {23, 3, 3, 0x41, 0x01}; // 16,641 bytes
    use_version(versions[_i]);
    shake_hands(SIZE_MAX);
    expect_refused(too_long, sizeof too_long, SSL_AD_RECORD_OVERFLOW);
}

TEST_EACH(an_alert_that_is_not_encrypted_is_refused, versions)
{
    char alert[] = {21, 3, 3, 0, 2, 1, 0};
    use_version(versions[_i]);
    shake_hands(SIZE_MAX);
    expect_refused(alert, sizeof alert, _i == 0 ? SSL_AD_UNEXPECTED_MESSAGE : SSL_AD_BAD_RECORD_MAC);
}

static const char *const junk[] = {
    "no TLS at all, and long enough for a record",
    "SSH-2.0-OpenSSH_9.2p1 Debian\r\n",
    "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "CONNECT a HTTP/1.1\r\n\r\n",
    "\x16\x03\x01\x7f\xff\x01 a record longer than any",
    "\x80\x2e\x01\x03\x02 a hello of SSL 2 that is not as long as it says",
};

TEST_EACH(what_is_no_tls_fails_with_a_reason, junk)
{
    tls_stream_feed(ours, junk[_i], strlen(junk[_i]));
    ck_assert_int_eq(tls_stream_handshake(ours), TRANSPORT_LOST);
    ck_assert_int_eq(tls_stream_failure(ours), TLS_FAILURE_PROTOCOL);
    ck_assert_ptr_nonnull(tls_stream_error(ours));
}

// A hello that is longer than any, in records that are as long as they may be.
TEST(a_client_that_sends_too_much_in_its_handshake_is_lost)
{
    static char record[5 + 16384] = "\x16\x03\x01\x40\x00\x01\x01\xff\xff\x03\x03";
    tls_stream_feed(ours, record, sizeof record);
    ck_assert_int_eq(tls_stream_handshake(ours), TRANSPORT_WAIT_READ);
    tls_stream_feed(ours, record, sizeof record);
    ck_assert_int_eq(tls_stream_handshake(ours), TRANSPORT_LOST);
    ck_assert_int_eq(tls_stream_failure(ours), TLS_FAILURE_OTHER);
}

TEST(a_client_of_http_2_alone_fails_for_the_protocol)
{
    ck_assert_int_eq(SSL_set_alpn_protos(theirs, (const unsigned char *)"\x02h2", 3), 0);
    (void)SSL_do_handshake(theirs); // wants the answer
    ck_assert(feed(SIZE_MAX));
    ck_assert_int_eq(tls_stream_handshake(ours), TRANSPORT_LOST);
    ck_assert_int_eq(tls_stream_failure(ours), TLS_FAILURE_ALPN);
}

TEST(a_stream_keeps_its_certificates_when_new_ones_are_read)
{
    (void)SSL_do_handshake(theirs); // wants the answer
    ck_assert(tls_server_reload(server, error, sizeof error));
    shake_hands(SIZE_MAX);
    ck_assert(rename(key, scratch_path("moved")) == 0);
    ck_assert(!tls_server_reload(server, error, sizeof error));
    ck_assert(rename(scratch_path("moved"), key) == 0);
    ck_assert_ptr_nonnull(strstr(error, "--tls-key: cannot use"));
    ck_assert_int_eq(tls_stream_write(ours, "x", 1), 1);
    expect("x");
}

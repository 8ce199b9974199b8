// Tokens against keys: each attack of RFC 8725 section 2 has tests with the number of its paragraph in their names, but for
// 2.3 and 2.4, which are about encrypted tokens: those are refused.
#include "gateway/auth/authenticator.h"

#include <errno.h>
#include <jansson.h>
#include <openssl/rsa.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/lib/scratch.h"
#include "tests/unit/lib/tokens.h"
#include "tests/unit/lib/unit_main.h"

#define NOW 1800000000
#define GOOD "{\"sub\":\"42\",\"exp\":1800000060}"
#define HS256 "{\"alg\":\"HS256\"}"

static EVP_PKEY *rsa, *ec, *ed;
static struct authenticator_settings settings;
static struct authenticator *authenticator;
static struct principal *who;
static char error[512], text[32768];
static const char *files[4];

static void setup_once(void)
{
    scratch_setup();
    rsa = key_make("RSA", NULL, 2048);
    ec = key_make("EC", "P-256", 0);
    ed = key_make("ED25519", NULL, 0);
}

static void setup(void)
{
    static const char *const grants[] = {"user:{sub}"};
    settings = (struct authenticator_settings){
        .algorithms = JWT_ALL,
        .key_files = files,
        .policy = {.channels_claim = "channels", .grants = grants, .grant_count = 1}};
}

static void teardown(void)
{
    principal_destroy(who);
    authenticator_destroy(authenticator);
}

TESTS_WITH(.setup_once = setup_once, .teardown_once = scratch_teardown, .setup = setup, .teardown = teardown);

// Returns the path, which lasts for the test.
static const char *file(const char *name, const char *content)
{
    static char paths[8][256];
    static unsigned next;
    char *path = paths[next++ % 8];
    snprintf(path, sizeof paths[0], "%s", scratch_path(name));
    FILE *f = fopen(path, "w");
    ck_assert_ptr_nonnull(f);
    ck_assert_int_ge(fputs(content, f), 0);
    ck_assert_int_eq(fclose(f), 0);
    return path;
}

static void begin(void)
{
    authenticator = authenticator_create(&settings, error, sizeof error);
    ck_assert_msg(authenticator != NULL, "%s", error);
}

static void begin_secret(void)
{
    settings.secret_file = file("secret", TOKEN_SECRET "\n");
    begin();
}

static void begin_pem(EVP_PKEY *key)
{
    files[0] = file("key", key_pem(key));
    settings.key_file_count = 1;
    begin();
}

static void begin_jwks(const char *jwks)
{
    settings.jwks = file("jwks", jwks);
    begin();
}

static enum token_verdict check(const char *token)
{
    principal_destroy(who);
    who = NULL;
    enum token_verdict verdict = authenticator_check(authenticator, token, strlen(token), NOW, &who);
    ck_assert_int_eq(who != NULL, verdict == TOKEN_ACCEPTED);
    return verdict;
}

static enum token_verdict check_secret(const char *header, const char *claims)
{
    return check(token_make(header, claims, SIGN_HS256, NULL, TOKEN_SECRET));
}

// ---- what is good

static const struct {
    const char *header;
    enum signer signer;
} algorithms[] = {{"{\"alg\":\"HS256\"}", SIGN_HS256}, {"{\"alg\":\"HS384\"}", SIGN_HS384},
                  {"{\"alg\":\"HS512\"}", SIGN_HS512}, {"{\"alg\":\"RS256\"}", SIGN_RS256},
                  {"{\"alg\":\"PS256\"}", SIGN_PS256}, {"{\"alg\":\"ES256\"}", SIGN_ES256},
                  {"{\"alg\":\"EdDSA\"}", SIGN_EDDSA}};

static EVP_PKEY *key_of(enum signer signer)
{
    return signer == SIGN_RS256 || signer == SIGN_PS256 ? rsa : signer == SIGN_EDDSA ? ed : ec;
}

// All keys at once: a secret, and PEM files.
static void begin_all(void)
{
    files[0] = file("rsa", key_pem(rsa));
    files[1] = file("ec", key_pem(ec));
    files[2] = file("ed", key_pem(ed));
    settings.key_file_count = 3;
    begin_secret();
}

TEST_EACH(a_token_of_each_algorithm_is_accepted, algorithms)
{
    begin_all();
    EVP_PKEY *key = key_of(algorithms[_i].signer);
    ck_assert_int_eq(check(token_make(algorithms[_i].header, GOOD, algorithms[_i].signer, key, TOKEN_SECRET)),
                     TOKEN_ACCEPTED);
    ck_assert_str_eq(who->subject, "42");
    ck_assert(principal_may(who, "user:42", 7));
    ck_assert(!principal_may(who, "user:43", 7));
}

TEST_EACH(a_key_set_has_keys_of_each_algorithm, algorithms)
{
    size_t len = (size_t)snprintf(text, sizeof text, "{\"keys\":[{%s},", key_jwk(rsa));
    len += (size_t)snprintf(text + len, sizeof text - len, "{%s},", key_jwk(ec));
    len += (size_t)snprintf(text + len, sizeof text - len, "{%s},", key_jwk(ed));
    // TOKEN_SECRET
    (void)snprintf(
        text + len, sizeof text - len,
        "{\"kty\":\"oct\",\"k\":"
        "\"MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWYwMTIzNDU2Nzg5YWJjZGVmMDEyMzQ1Njc4OWFiY2RlZg\"}]}");
    begin_jwks(text);
    EVP_PKEY *key = key_of(algorithms[_i].signer);
    ck_assert_int_eq(check(token_make(algorithms[_i].header, GOOD, algorithms[_i].signer, key, TOKEN_SECRET)),
                     TOKEN_ACCEPTED);
}

static const struct {
    const char *text; // JSON of the header
    enum token_verdict verdict;
} headers[] = {
    {"{\"alg\":\"HS256\",\"typ\":\"JWT\"}", TOKEN_ACCEPTED},
    {"{\"alg\":\"HS256\",\"typ\":\"jwt\"}", TOKEN_ACCEPTED},
    {"{\"alg\":\"HS256\",\"typ\":\"at+jwt\"}", TOKEN_ACCEPTED},
    {"{\"alg\":\"HS256\",\"typ\":\"application/at+jwt\"}", TOKEN_ACCEPTED},
    {"{\"alg\":\"HS256\",\"kid\":\"any\"}", TOKEN_ACCEPTED}, // the secret has no id
    {"{\"alg\":\"HS256\",\"typ\":1}", TOKEN_MALFORMED},
    {"{\"alg\":\"HS256\",\"kid\":1}", TOKEN_MALFORMED},
    {"{\"alg\":\"HS256\",\"crit\":[\"exp\"],\"exp\":1}", TOKEN_MALFORMED},
    {"{\"alg\":\"HS256\",\"crit\":[]}", TOKEN_MALFORMED},
    {"{\"alg\":\"HS256\",\"b64\":false}", TOKEN_MALFORMED},
    {"{\"alg\":\"HS256\",\"zip\":\"DEF\"}", TOKEN_MALFORMED},
    {"{}", TOKEN_MALFORMED},
    {"{\"alg\":1}", TOKEN_MALFORMED},
    {"[\"HS256\"]", TOKEN_MALFORMED},
    {"{\"alg\":\"hs256\"}", TOKEN_ALGORITHM},
    {"{\"alg\":\"HS256 \"}", TOKEN_ALGORITHM},
    {"{\"alg\":\"\"}", TOKEN_ALGORITHM},
    {"{\"alg\":\"ES512\"}", TOKEN_ALGORITHM},
};

TEST_EACH(a_header_says_what_it_may, headers)
{
    begin_secret();
    ck_assert_int_eq(check_secret(headers[_i].text, GOOD), headers[_i].verdict);
}

TEST(a_header_that_is_known_lets_in_what_it_let_in_before_and_nothing_else)
{
    static const char longer[] = "{\"alg\":\"HS256\",\"crit\":[\"b64\"]}";
    begin_all();
    for (int round = 0; round < 2; round++) {
        for (int times = 0; times < 3; times++)
            ck_assert_int_eq(check_secret(HS256, GOOD), TOKEN_ACCEPTED);
        ck_assert_int_eq(check(token_make(HS256, GOOD, SIGN_HS256, NULL, "another secret")), TOKEN_SIGNATURE);
        ck_assert_int_eq(check_secret(HS256, "{\"sub\":\"42\"}"), TOKEN_CLAIMS);
        ck_assert_int_eq(check_secret(longer, GOOD), TOKEN_MALFORMED);
        ck_assert_int_eq(check_secret("{\"alg\":\"HS384\"}", GOOD), TOKEN_SIGNATURE);
        ck_assert_int_eq(check(token_make("{\"alg\":\"RS256\"}", GOOD, SIGN_RS256, rsa, NULL)),
                         TOKEN_ACCEPTED);
        ck_assert_int_eq(check_secret("{\"alg\":\"RS256\"}", GOOD), TOKEN_SIGNATURE);
    }
}

// ---- RFC 8725 section 2.1: weak signatures and insufficient signature validation

static const char *const nones[] = {"{\"alg\":\"none\"}", "{\"alg\":\"None\"}", "{\"alg\":\"NONE\"}",
                                    "{\"alg\":\"nOnE\"}"};

TEST_EACH(rfc8725_2_1_alg_none_is_no_signature, nones)
{
    begin_all();
    ck_assert_int_eq(check(token_make(nones[_i], GOOD, SIGN_NONE, NULL, NULL)), TOKEN_ALGORITHM);
    ck_assert_int_eq(check(token_make(nones[_i], GOOD, SIGN_HS256, NULL, TOKEN_SECRET)), TOKEN_ALGORITHM);
}

TEST(rfc8725_2_1_a_token_without_its_signature_is_refused)
{
    begin_all();
    for (size_t i = 0; i < sizeof algorithms / sizeof *algorithms; i++)
        ck_assert_int_eq(check(token_make(algorithms[i].header, GOOD, SIGN_NONE, NULL, NULL)),
                         TOKEN_SIGNATURE);
}

TEST(rfc8725_2_1_a_public_key_is_no_secret)
{
    char pem[4096];
    snprintf(pem, sizeof pem, "%s", key_pem(rsa));
    begin_pem(rsa);
    ck_assert_int_eq(check(token_make(HS256, GOOD, SIGN_HS256, NULL, pem)), TOKEN_ALGORITHM);
    ck_assert_int_eq(check(token_make("{\"alg\":\"RS256\"}", GOOD, SIGN_HS256, NULL, pem)), TOKEN_SIGNATURE);
    ck_assert_int_eq(check(token_make("{\"alg\":\"ES256\"}", GOOD, SIGN_RS256, rsa, NULL)), TOKEN_ALGORITHM);
    ck_assert_int_eq(check(token_make("{\"alg\":\"RS256\"}", GOOD, SIGN_PS256, rsa, NULL)), TOKEN_SIGNATURE);
    ck_assert_int_eq(check(token_make("{\"alg\":\"PS256\"}", GOOD, SIGN_RS256, rsa, NULL)), TOKEN_SIGNATURE);
}

TEST(rfc8725_2_1_the_alg_of_a_key_counts)
{
    snprintf(text, sizeof text, "{\"keys\":[{%s,\"alg\":\"PS256\"}]}", key_jwk(rsa));
    begin_jwks(text);
    ck_assert_int_eq(check(token_make("{\"alg\":\"RS256\"}", GOOD, SIGN_RS256, rsa, NULL)), TOKEN_ALGORITHM);
    ck_assert_int_eq(check(token_make("{\"alg\":\"PS256\"}", GOOD, SIGN_PS256, rsa, NULL)), TOKEN_ACCEPTED);
}

TEST(rfc8725_2_1_algorithms_that_are_not_allowed_are_refused)
{
    settings.algorithms = JWT_BIT(JWT_HS512) | JWT_BIT(JWT_PS256);
    begin_all();
    ck_assert_int_eq(check_secret(HS256, GOOD), TOKEN_ALGORITHM);
    ck_assert_int_eq(check(token_make("{\"alg\":\"RS256\"}", GOOD, SIGN_RS256, rsa, NULL)), TOKEN_ALGORITHM);
    ck_assert_int_eq(check(token_make("{\"alg\":\"PS256\"}", GOOD, SIGN_PS256, rsa, NULL)), TOKEN_ACCEPTED);
}

TEST(rfc8725_2_1_every_changed_character_is_noticed)
{
    begin_secret();
    char token[1024];
    snprintf(token, sizeof token, "%s", token_make(HS256, GOOD, SIGN_HS256, NULL, TOKEN_SECRET));
    for (size_t i = 0; token[i]; i++) {
        char was = token[i];
        token[i] = was == 'A' ? 'B' : 'A';
        ck_assert_int_ne(check(token), TOKEN_ACCEPTED);
        token[i] = was;
    }
    ck_assert_int_eq(check(token), TOKEN_ACCEPTED);
}

// "Psychic signatures", and the form that other uses of ECDSA have.
TEST(rfc8725_2_1_an_es256_signature_has_two_numbers_of_which_none_is_0)
{
    char token[1024];
    begin_pem(ec);
    ck_assert_int_eq(check(token_make("{\"alg\":\"ES256\"}", GOOD, SIGN_ES256_DER, ec, NULL)),
                     TOKEN_SIGNATURE);
    int len =
        snprintf(token, sizeof token, "%s", token_make("{\"alg\":\"ES256\"}", GOOD, SIGN_NONE, NULL, NULL));
    memset(token + len, 'A', 86); // 64 bytes of 0
    token[len + 86] = '\0';
    ck_assert_int_eq(check(token), TOKEN_SIGNATURE);
}

// ---- RFC 8725 section 2.2: weak symmetric keys

static const struct {
    size_t len;
    unsigned algorithms; // 0: refused
} secrets[] = {{1, 0},
               {31, 0},
               {32, JWT_BIT(JWT_HS256)},
               {47, JWT_BIT(JWT_HS256)},
               {48, JWT_BIT(JWT_HS256) | JWT_BIT(JWT_HS384)},
               {63, JWT_BIT(JWT_HS256) | JWT_BIT(JWT_HS384)},
               {64, JWT_SYMMETRIC}};

TEST_EACH(rfc8725_2_2_a_secret_is_as_long_as_its_hash, secrets)
{
    char secret[65] = "";
    memset(secret, 's', secrets[_i].len);
    settings.secret_file = file("short", secret);
    authenticator = authenticator_create(&settings, error, sizeof error);
    ck_assert_int_eq(authenticator != NULL, secrets[_i].algorithms != 0);
    for (unsigned i = 0; authenticator && i < 3; i++)
        ck_assert_int_eq(check(token_make(algorithms[i].header, GOOD, algorithms[i].signer, NULL, secret)),
                         secrets[_i].algorithms & JWT_BIT(i) ? TOKEN_ACCEPTED : TOKEN_ALGORITHM);
    if (!authenticator)
        ck_assert_ptr_nonnull(strstr(error, "--jwt-secret-file"));
}

TEST(rfc8725_2_2_a_short_secret_of_a_key_set_is_refused)
{
    settings.jwks = file("weak", "{\"keys\":[{\"kty\":\"oct\",\"k\":\"c2VjcmV0\"}]}");
    ck_assert_ptr_null(authenticator_create(&settings, error, sizeof error));
    ck_assert_ptr_nonnull(strstr(error, "--jwks"));
}

TEST(rfc8725_2_2_a_small_rsa_key_is_refused)
{
    EVP_PKEY *small = key_make("RSA", NULL, 1024);
    files[0] = file("small", key_pem(small));
    settings.key_file_count = 1;
    ck_assert_ptr_null(authenticator_create(&settings, error, sizeof error));
    ck_assert_ptr_nonnull(strstr(error, "2048 to 8192 bits"));
    EVP_PKEY_free(small);
}

TEST(rfc8725_2_2_an_rsa_key_whose_exponent_is_1_is_refused)
{
    char *jwk = strdup(key_jwk(rsa));
    *strstr(jwk, ",\"e\"") = '\0';
    snprintf(text, sizeof text, "{\"keys\":[{%s,\"e\":\"AQ\"}]}", jwk);
    settings.jwks = file("one", text);
    ck_assert_ptr_null(authenticator_create(&settings, error, sizeof error));
    free(jwk);
}

// ---- RFC 8725 sections 2.3 and 2.4: encrypted tokens

TEST(rfc8725_2_3_and_2_4_encrypted_tokens_are_refused)
{
    begin_secret();
    // RFC 7516 appendix A.1, shortened
    ck_assert_int_eq(
        check("eyJhbGciOiJSU0EtT0FFUCIsImVuYyI6IkEyNTZHQ00ifQ.OKOa.48V1_ALb6US04U3b.5eym8TW_c8.XFBoMYUZodet"),
        TOKEN_MALFORMED);
    ck_assert_int_eq(check_secret("{\"alg\":\"HS256\",\"enc\":\"A256GCM\"}", GOOD), TOKEN_MALFORMED);
}

// ---- RFC 8725 section 2.5: elliptic curves

TEST(rfc8725_2_5_a_point_that_is_not_on_the_curve_is_no_key)
{
    settings.jwks = file("off", "{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\","
                                "\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\","
                                "\"y\":\"y_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\"}]}");
    ck_assert_ptr_null(authenticator_create(&settings, error, sizeof error));
}

TEST(rfc8725_2_5_a_key_of_another_curve_is_refused)
{
    EVP_PKEY *other = key_make("EC", "P-384", 0);
    files[0] = file("p384", key_pem(other));
    settings.key_file_count = 1;
    ck_assert_ptr_null(authenticator_create(&settings, error, sizeof error));
    ck_assert_ptr_nonnull(strstr(error, "P-256"));
    EVP_PKEY_free(other);
}

// ---- RFC 8725 section 2.6: multiplicity of JSON encodings

static const char *const odd_claims[] = {
    "{\"sub\":\"42\",\"exp\":1800000060,\"sub\":\"43\"}",
    "{\"sub\":\"42\\u0000\",\"exp\":1800000060}",
    "{\"sub\":\"\xff\",\"exp\":1800000060}",
    "{\"sub\":\"42\",\"exp\":1800000060}{}",
    "[{\"exp\":1800000060}]",
    "{\"exp\":1800000060,\"a\":[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]}",
    "",
};

TEST_EACH(rfc8725_2_6_claims_that_readers_take_differently_are_refused, odd_claims)
{
    begin_secret();
    ck_assert_int_eq(check_secret(HS256, odd_claims[_i]), TOKEN_MALFORMED);
}

TEST(rfc8725_2_6_a_header_with_a_name_twice_is_refused)
{
    begin_secret();
    ck_assert_int_eq(check_secret("{\"alg\":\"none\",\"alg\":\"HS256\"}", GOOD), TOKEN_MALFORMED);
}

TEST(rfc8725_2_6_one_token_has_one_text)
{
    begin_secret();
    const char *token = token_make(HS256, GOOD, SIGN_HS256, NULL, TOKEN_SECRET);
    snprintf(text, sizeof text, "%s=", token);
    ck_assert_int_eq(check(text), TOKEN_MALFORMED);
    snprintf(text, sizeof text, "%s.", token);
    ck_assert_int_eq(check(text), TOKEN_MALFORMED);
    snprintf(text, sizeof text, " %s", token);
    ck_assert_int_eq(check(text), TOKEN_MALFORMED);
    snprintf(text, sizeof text, "%s", token);
    text[strlen(text) - 1]++; // bits behind the last byte of the signature
    ck_assert_int_ne(check(text), TOKEN_ACCEPTED);
}

// ---- RFC 8725 section 2.7: substitution

static const struct {
    const char *claims;
    enum token_verdict verdict;
} parties[] = {
    {"\"iss\":\"https://a\",\"aud\":\"sse\"", TOKEN_ACCEPTED},
    {"\"iss\":\"https://a\",\"aud\":[\"x\",\"sse\"]", TOKEN_ACCEPTED},
    {"\"iss\":\"https://a\",\"aud\":\"sse2\"", TOKEN_ACCEPTED},
    {"\"iss\":\"https://a\",\"aud\":\"other\"", TOKEN_AUDIENCE},
    {"\"iss\":\"https://a\",\"aud\":[\"ss\",\"sse \"]", TOKEN_AUDIENCE},
    {"\"iss\":\"https://a\",\"aud\":{\"sse\":1}", TOKEN_AUDIENCE},
    {"\"iss\":\"https://a\",\"aud\":[]", TOKEN_AUDIENCE},
    {"\"iss\":\"https://a\"", TOKEN_AUDIENCE},
    {"\"iss\":\"https://a/\",\"aud\":\"sse\"", TOKEN_ISSUER},
    {"\"iss\":[\"https://a\"],\"aud\":\"sse\"", TOKEN_ISSUER},
    {"\"aud\":\"sse\"", TOKEN_ISSUER},
};

TEST_EACH(rfc8725_2_7_a_token_for_another_service_is_refused, parties)
{
    static const char *const audiences[] = {"sse", "sse2"};
    settings.policy.issuer = "https://a";
    settings.policy.audiences = audiences;
    settings.policy.audience_count = 2;
    begin_secret();
    snprintf(text, sizeof text, "{\"exp\":1800000060,%s}", parties[_i].claims);
    ck_assert_int_eq(check_secret(HS256, text), parties[_i].verdict);
}

// ---- RFC 8725 section 2.8: cross-JWT confusion

static const char *const other_types[] = {"secevent+jwt", "logout+jwt", "dpop+jwt", "id_token", "JOSE", ""};

TEST_EACH(rfc8725_2_8_a_token_of_another_kind_is_refused, other_types)
{
    begin_secret();
    snprintf(text, sizeof text, "{\"alg\":\"HS256\",\"typ\":\"%s\"}", other_types[_i]);
    ck_assert_int_eq(check_secret(text, GOOD), TOKEN_MALFORMED);
}

TEST(rfc8725_2_8_a_token_without_an_end_is_none)
{
    begin_secret();
    ck_assert_int_eq(check_secret(HS256, "{\"sub\":\"42\"}"), TOKEN_CLAIMS);
}

// ---- RFC 8725 section 2.9: indirect attacks on the server

static const char *const ids[] = {"../../../../dev/null", "' OR '1'='1", "/etc/passwd", "a|id",
                                  "http://127.0.0.1/",    "%s%n"};

TEST_EACH(rfc8725_2_9_a_key_id_is_compared_and_nothing_else, ids)
{
    snprintf(text, sizeof text, "{\"keys\":[{%s,\"kid\":\"k1\"}]}", key_jwk(ec));
    begin_jwks(text);
    snprintf(text, sizeof text, "{\"alg\":\"ES256\",\"kid\":\"%s\"}", ids[_i]);
    ck_assert_int_eq(check(token_make(text, GOOD, SIGN_ES256, ec, NULL)), TOKEN_UNKNOWN_KEY);
    ck_assert_int_eq(check(token_make("{\"alg\":\"ES256\",\"kid\":\"k1\"}", GOOD, SIGN_ES256, ec, NULL)),
                     TOKEN_ACCEPTED);
}

TEST(rfc8725_2_9_keys_and_addresses_of_keys_in_a_token_are_never_used)
{
    EVP_PKEY *own = key_make("EC", "P-256", 0);
    begin_pem(ec);
    snprintf(text, sizeof text,
             "{\"alg\":\"ES256\",\"jwk\":{%s},\"jku\":\"https://127.0.0.1/\",\"x5u\":\"https://127.0.0.1/"
             "\",\"x5c\":[\"AA\"]}",
             key_jwk(own));
    ck_assert_int_eq(check(token_make(text, GOOD, SIGN_ES256, own, NULL)), TOKEN_SIGNATURE);
    ck_assert_int_eq(check(token_make(text, GOOD, SIGN_ES256, ec, NULL)), TOKEN_ACCEPTED);
    EVP_PKEY_free(own);
}

// ---- vectors

TEST(rfc7515_a_1_hs256)
{
    begin_jwks("{\"keys\":[{\"kty\":\"oct\",\"k\":\"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-"
               "1qS0gZH75aKtMN3Yj0iPS4hcg"
               "UuTwjAzZr1Z9CAow\"}]}");
    // Its signature is good, and it ended in 2011.
    ck_assert_int_eq(
        check(
            "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA"
            "6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"),
        TOKEN_EXPIRED);
}

TEST(rfc7515_a_2_rs256)
{
    begin_jwks("{\"keys\":[{\"kty\":\"RSA\",\"e\":\"AQAB\",\"n\":\"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_"
               "wWJcyQoTbji9k0l8W26mPddxHm"
               "fHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_"
               "YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kp"
               "aSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_"
               "I5IhlJH7aGhyxXFvUK-D"
               "WNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ\"}]}");
    ck_assert_int_eq(check("eyJhbGciOiJSUzI1NiJ9."
                           "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9p"
                           "c19yb290Ijp0cnVlfQ.cC4hiUPoj9Eetdgtv3hF80EGrhuB__"
                           "dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_"
                           "lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_"
                           "nZLgrnbyTyWzO75vRK5h6xBArLIARNPvk"
                           "SjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-"
                           "eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2"
                           "w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw"),
                     TOKEN_EXPIRED);
}

TEST(rfc7515_a_3_es256)
{
    begin_jwks("{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":"
               "\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\",\"y\":"
               "\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\"}]}");
    ck_assert_int_eq(check("eyJhbGciOiJFUzI1NiJ9."
                           "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9p"
                           "c19yb290Ijp0cnVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-"
                           "F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3"
                           "-Kg6NU1Q"),
                     TOKEN_EXPIRED);
}

TEST(rfc8037_a_4_ed25519)
{
    begin_jwks("{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"11qYAYKxCrfVS_"
               "7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}]}");
    // Its signature is good, and what it signs is no JSON.
    static const char head[] = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.";
    static const char tail[] =
        "gyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
    snprintf(text, sizeof text, "%sh%s", head, tail);
    ck_assert_int_eq(check(text), TOKEN_MALFORMED);
    snprintf(text, sizeof text, "%sg%s", head, tail);
    ck_assert_int_eq(check(text), TOKEN_SIGNATURE);
}

// ---- times, and what a token gives

static const struct {
    const char *claims;
    enum token_verdict verdict;
} times[] = {
    {"{\"exp\":1800000001}", TOKEN_ACCEPTED},
    {"{\"exp\":1800000001.5}", TOKEN_ACCEPTED},
    {"{\"exp\":1800000000}", TOKEN_EXPIRED},
    {"{\"exp\":1800000000.9}", TOKEN_EXPIRED},
    {"{\"exp\":0}", TOKEN_EXPIRED},
    {"{\"exp\":-1}", TOKEN_CLAIMS},
    {"{\"exp\":\"1800000060\"}", TOKEN_CLAIMS},
    {"{\"exp\":null}", TOKEN_CLAIMS},
    {"{\"exp\":9223372036854775807}", TOKEN_CLAIMS},
    {"{\"exp\":1e300}", TOKEN_CLAIMS},
    {"{\"exp\":true}", TOKEN_CLAIMS},
    {"{\"exp\":1800000060,\"nbf\":1800000060,\"iat\":1800000060}", TOKEN_ACCEPTED},
    {"{\"exp\":1800000090,\"nbf\":1800000061}", TOKEN_NOT_YET},
    {"{\"exp\":1800000090,\"iat\":1800000061}", TOKEN_NOT_YET},
    {"{\"exp\":1800000060,\"nbf\":\"0\"}", TOKEN_CLAIMS},
    {"{\"exp\":1800000060,\"iat\":[]}", TOKEN_CLAIMS},
    {"{\"exp\":1800000060,\"sub\":42}", TOKEN_CLAIMS},
    {"{\"exp\":1800000060,\"sub\":\"\"}", TOKEN_CLAIMS},
    {"{\"exp\":1800000060,\"jti\":{}}", TOKEN_CLAIMS},
};

TEST_EACH(times_and_names_have_their_types_and_bounds, times)
{
    begin_secret();
    ck_assert_int_eq(check_secret(HS256, times[_i].claims), times[_i].verdict);
}

static const struct {
    const char *channels;
    const char *may; // with blanks between; NULL: the token is refused
} lists[] = {
    {"[]", ""},
    {"[\"news\",\"team:*\"]", "news team:7"},
    {"\"news team:*\"", "news team:7"},
    {"\"  news  \"", "news"},
    {"\"openid no,pattern news\"", "news"},
    {"[\"a b\",\"\",\"n*ws\",\"news\"]", "news"},
    {"[\"*\"]", "news team:7 anything"},
    {"[1]", NULL},
    {"[[\"news\"]]", NULL},
    {"{\"news\":true}", NULL},
    {"null", NULL},
};

TEST_EACH(the_claim_of_channels_is_a_list_or_a_text, lists)
{
    static const char *const names[] = {"news", "team:7", "anything"};
    begin_secret();
    snprintf(text, sizeof text, "{\"exp\":1800000060,\"channels\":%s}", lists[_i].channels);
    enum token_verdict verdict = check_secret(HS256, text);
    ck_assert_int_eq(verdict, lists[_i].may ? TOKEN_ACCEPTED : TOKEN_CLAIMS);
    for (size_t i = 0; lists[_i].may && i < 3; i++)
        ck_assert_int_eq(principal_may(who, names[i], strlen(names[i])),
                         strstr(lists[_i].may, names[i]) != NULL);
}

TEST_LOOP(a_token_gives_at_most_256_patterns, 256, 258)
{
    size_t len = (size_t)snprintf(text, sizeof text, "{\"exp\":1800000060,\"channels\":\"");
    for (int i = 0; i < _i; i++)
        len += (size_t)snprintf(text + len, sizeof text - len, "c%d ", i);
    (void)snprintf(text + len, sizeof text - len, "\"}");
    begin_secret();
    ck_assert_int_eq(check_secret(HS256, text), _i <= 256 ? TOKEN_ACCEPTED : TOKEN_CLAIMS);
}

TEST(a_token_of_more_than_8192_characters_is_refused)
{
    begin_secret();
    memset(text, ' ', 7000);
    (void)snprintf(text + 7000, sizeof text - 7000, "%s", GOOD);
    ck_assert_int_eq(check_secret(HS256, text), TOKEN_MALFORMED);
}

// ---- memory

static long allocations_left;

static void *scarce(size_t size)
{
    if (allocations_left-- > 0)
        return malloc(size);
    errno = ENOMEM;
    return NULL;
}

// A token that is good must not be called bad: a browser would give up for good.
TEST_LOOP(where_memory_is_short_a_token_is_not_called_bad, 0, 60)
{
    begin_secret();
    const char *token = token_make("{\"alg\":\"HS256\",\"typ\":\"JWT\"}",
                                   "{\"sub\":\"42\",\"exp\":1800000060,\"channels\":[\"a\",\"b\"]}",
                                   SIGN_HS256, NULL, TOKEN_SECRET);
    allocations_left = _i;
    json_set_alloc_funcs(scarce, free);
    enum token_verdict verdict = check(token);
    json_set_alloc_funcs(malloc, free);
    ck_assert_int_eq(verdict, allocations_left >= 0 ? TOKEN_ACCEPTED : TOKEN_NO_MEMORY);
}

// ---- keys

static const char *const other_keys[] = {
    "{\"kty\":\"RSA\",\"use\":\"enc\",\"n\":\"AQAB\",\"e\":\"AQAB\"}",
    "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"key_ops\":[\"sign\"],\"x\":\"11qYAYKxCrfVS_"
    "7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}",
    "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"alg\":\"ES256\",\"x\":\"11qYAYKxCrfVS_"
    "7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}",
    "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"kid\":7,\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}",
    "{\"kty\":\"OKP\",\"crv\":\"X25519\",\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}",
    "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"11qY\"}",
    "{\"kty\":\"AKP\"}",
    "{}",
    "7",
};

TEST_EACH(keys_for_other_uses_are_skipped_and_counted, other_keys)
{
    struct authenticator_state state;
    snprintf(text, sizeof text, "{\"keys\":[%s,{%s,\"use\":\"sig\",\"key_ops\":[\"verify\"]}]}",
             other_keys[_i], key_jwk(ed));
    begin_jwks(text);
    authenticator_look(authenticator, &state);
    ck_assert_uint_eq(state.keys, 1);
    ck_assert_uint_eq(state.skipped, 1);
    snprintf(text, sizeof text, "{\"keys\":[%s]}", other_keys[_i]);
    settings.jwks = file("others", text);
    ck_assert_ptr_null(authenticator_create(&settings, error, sizeof error));
}

// An RSA-PSS key may say which hash, mask and salt its signatures have (RFC 4055 section 3.1).
static const struct {
    const char *hash, *mask; // NULL: any
    int salt;
    bool is_good;
} restricted[] = {{NULL, NULL, 0, true},           {"SHA256", "SHA256", 32, true},
                  {"SHA256", "SHA256", 20, true},  {"SHA512", "SHA512", 64, false},
                  {"SHA512", "SHA512", 32, false}, {"SHA256", "SHA512", 32, false},
                  {"SHA1", "SHA1", 20, false},     {"SHA256", "SHA256", 33, false}};

static EVP_PKEY *make_restricted(const char *hash, const char *mask, int salt)
{
    EVP_PKEY *key = NULL;
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "RSA-PSS", NULL);
    ck_assert(ctx && EVP_PKEY_keygen_init(ctx) == 1 && EVP_PKEY_CTX_set_rsa_keygen_bits(ctx, 2048) == 1);
    if (hash)
        ck_assert(EVP_PKEY_CTX_set_rsa_pss_keygen_md(ctx, EVP_get_digestbyname(hash)) == 1 &&
                  EVP_PKEY_CTX_set_rsa_pss_keygen_mgf1_md(ctx, EVP_get_digestbyname(mask)) == 1 &&
                  EVP_PKEY_CTX_set_rsa_pss_keygen_saltlen(ctx, salt) == 1);
    ck_assert_int_eq(EVP_PKEY_generate(ctx, &key), 1);
    EVP_PKEY_CTX_free(ctx);
    return key;
}

TEST_EACH(an_rsa_pss_key_that_excludes_ps256_is_refused_when_it_is_read, restricted)
{
    EVP_PKEY *key = make_restricted(restricted[_i].hash, restricted[_i].mask, restricted[_i].salt);
    files[0] = file("pss", key_pem(key));
    settings.key_file_count = 1;
    authenticator = authenticator_create(&settings, error, sizeof error);
    ck_assert_int_eq(authenticator != NULL, restricted[_i].is_good);
    if (restricted[_i].is_good)
        ck_assert_int_eq(check(token_make("{\"alg\":\"PS256\"}", GOOD, SIGN_PS256, key, NULL)),
                         TOKEN_ACCEPTED);
    else
        ck_assert_msg(strstr(error, "PS256") && !strchr(error, '\n'), "%s", error);
    EVP_PKEY_free(key);
}

static const struct {
    const char *content, *says;
} wrong_files[] = {{"-----BEGIN PRIVATE KEY-----\nAA\n-----END PRIVATE KEY-----\n", "private key"},
                   {"-----BEGIN PUBLIC KEY-----\nAA\n-----END PUBLIC KEY-----\n",
                    "neither a PEM public key nor a certificate"},
                   {"hello\n", "neither a PEM public key nor a certificate"},
                   {"", "neither a PEM public key nor a certificate"}};

TEST_EACH(a_file_without_a_public_key_is_refused_in_one_line, wrong_files)
{
    files[0] = file("wrong", wrong_files[_i].content);
    settings.key_file_count = 1;
    ck_assert_ptr_null(authenticator_create(&settings, error, sizeof error));
    ck_assert_msg(strstr(error, wrong_files[_i].says) && !strchr(error, '\n'), "%s", error);
}

TEST(keys_are_read_again_and_stay_where_that_fails)
{
    begin_secret();
    (void)file("secret", "short\n");
    ck_assert(!authenticator_reload(authenticator, error, sizeof error));
    ck_assert_int_eq(check_secret(HS256, GOOD), TOKEN_ACCEPTED);
    (void)file("secret", "another secret of more than 32 bytes\n");
    ck_assert(authenticator_reload(authenticator, error, sizeof error));
    ck_assert_int_eq(check_secret(HS256, GOOD), TOKEN_SIGNATURE);
    ck_assert_int_eq(check(token_make(HS256, GOOD, SIGN_HS256, NULL, "another secret of more than 32 bytes")),
                     TOKEN_ACCEPTED);
}

TEST(a_plain_url_is_refused)
{
    static const char *const urls[] = {"http://a.example/", "file:///etc/passwd",
                                       "https://user:secret@a.example/", "https://"};
    for (size_t i = 0; i < sizeof urls / sizeof *urls; i++) {
        settings.jwks = urls[i];
        ck_assert_ptr_null(authenticator_create(&settings, error, sizeof error));
    }
}

TEST(while_no_key_was_fetched_tokens_are_told_to_come_back)
{
    settings.jwks = "https://127.0.0.1:1/";
    begin();
    ck_assert_int_eq(check(token_make("{\"alg\":\"ES256\",\"kid\":\"a\"}", GOOD, SIGN_ES256, ec, NULL)),
                     TOKEN_KEY_AWAITED);
    ck_assert_int_eq(check(token_make("{\"alg\":\"ES256\"}", GOOD, SIGN_ES256, ec, NULL)), TOKEN_KEY_AWAITED);
    ck_assert_int_ne(check_secret(HS256, GOOD), TOKEN_KEY_AWAITED); // no fetched key is symmetric
}

#include "gateway/auth/jwt.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#include "common/base64url.h"
#include "gateway/auth/json_strict.h"

// Decodes and parses. NULL with errno EINVAL or ENOMEM.
static json_t *read_object(const char *text, size_t len)
{
    unsigned char bytes[BASE64URL_BYTES(JWT_MAX)];
    size_t n;
    errno = EINVAL;
    if (len > JWT_MAX || !base64url_decode(text, len, bytes, &n))
        return NULL;
    return json_strict_object((const char *)bytes, n, JWT_DEPTH_MAX);
}

// Extensions that a reader must understand, and those that change what is signed.
static bool has_extension(const json_t *header)
{
    static const char *const names[] = {"crit", "b64", "zip", "enc"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (json_object_get(header, names[i]))
            return true;
    return false;
}

// RFC 7515 section 4.1.9: without regard to case, with or without "application/".
static bool is_type_known(const json_t *typ)
{
    static const char prefix[] = "application/";
    const char *text = json_strict_text(typ);
    if (!typ)
        return true;
    if (!text)
        return false;
    if (strncasecmp(text, prefix, sizeof prefix - 1) == 0)
        text += sizeof prefix - 1;
    return strcasecmp(text, "JWT") == 0 || strcasecmp(text, "at+jwt") == 0;
}

static enum token_verdict take_header(const json_t *header, struct jwt *out)
{
    const json_t *kid_value = json_object_get(header, "kid");
    const char *kid = kid_value ? json_strict_text(kid_value) : "";
    const char *algorithm = json_strict_text(json_object_get(header, "alg"));
    if (!algorithm || !kid || strlen(kid) > JWT_KID_MAX || has_extension(header) ||
        !is_type_known(json_object_get(header, "typ")))
        return TOKEN_MALFORMED;
    memcpy(out->kid, kid, strlen(kid) + 1);
    return jwt_algorithm_find(algorithm, strlen(algorithm), &out->algorithm) ? TOKEN_ACCEPTED
                                                                             : TOKEN_ALGORITHM;
}

static bool is_kept(const struct jwt_header *known, const char *text, size_t len)
{
    return known && known->len == len && memcmp(known->text, text, len) == 0;
}

bool jwt_header_keep(const struct jwt *jwt, struct jwt_header *out)
{
    if (jwt->header_len > sizeof out->text || is_kept(out, jwt->text, jwt->header_len))
        return false;
    out->len = jwt->header_len;
    memcpy(out->text, jwt->text, out->len);
    out->algorithm = jwt->algorithm;
    memcpy(out->kid, jwt->kid, strlen(jwt->kid) + 1);
    return true;
}

static enum token_verdict read_header(const struct jwt_header *known, struct jwt *out)
{
    if (is_kept(known, out->text, out->header_len)) {
        out->algorithm = known->algorithm;
        memcpy(out->kid, known->kid, strlen(known->kid) + 1);
        return TOKEN_ACCEPTED;
    }
    json_t *header = read_object(out->text, out->header_len);
    if (!header)
        return errno == ENOMEM ? TOKEN_NO_MEMORY : TOKEN_MALFORMED;
    enum token_verdict verdict = take_header(header, out);
    json_decref(header);
    return verdict;
}

// Characters up to the next dot; `len` where there is none.
static size_t part(const char *at, size_t len)
{
    const char *dot = memchr(at, '.', len);
    return dot ? (size_t)(dot - at) : len;
}

enum token_verdict jwt_split(const char *token, size_t len, const struct jwt_header *known, struct jwt *out)
{
    if (len > JWT_MAX)
        return TOKEN_MALFORMED;
    size_t header_len = part(token, len);
    if (header_len == len || header_len > JWT_HEADER_MAX)
        return TOKEN_MALFORMED;
    out->text = token;
    out->header_len = header_len;
    out->claims = token + header_len + 1;
    out->claims_len = part(out->claims, len - header_len - 1);
    out->signed_len = header_len + 1 + out->claims_len;
    if (out->signed_len == len)
        return TOKEN_MALFORMED;
    // A fourth dot, as encrypted tokens have, is no character of base64url.
    const char *signature = token + out->signed_len + 1;
    size_t signature_len = len - out->signed_len - 1;
    if (BASE64URL_BYTES(signature_len) > sizeof out->signature ||
        !base64url_decode(signature, signature_len, out->signature, &out->signature_len))
        return TOKEN_MALFORMED;
    return read_header(known, out);
}

json_t *jwt_claims(const struct jwt *jwt)
{
    return read_object(jwt->claims, jwt->claims_len);
}

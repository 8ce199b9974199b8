// One GET by https, with libcurl, which no other file includes. Blocks: for a thread that has nothing else to do.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"

struct https_get {
    const char *url, *ca;           // `ca`: a PEM file; NULL: what the system trusts
    size_t bytes_max;               // of the body
    bool (*is_stopping)(void *ctx); // asked once a second or more often; true ends the request
    void *ctx;
};

struct https_answer {
    struct buf body;   // the caller's, also after a failure
    int64_t max_age_s; // of Cache-Control; -1 where it does not say
};

// False in programs of `make static`, which have no libcurl: https_get fails there.
extern const bool https_get_is_built;

// True for an https URL without a user and a password.
bool https_get_check(const char *url);
// Seconds of max-age in a Cache-Control field; -1 where it has none (RFC 9111 section 5.2).
int64_t https_max_age(const char *cache_control);
// The certificate must be valid for the host; no redirect is followed; 10 s in all. False with the reason in `error`
// for any answer but 200, and for a body of more than `bytes_max`.
bool https_get(const struct https_get *get, struct https_answer *answer, char *error, size_t error_size);

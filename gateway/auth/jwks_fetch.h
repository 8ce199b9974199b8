// The key set of an https URL, fetched by a thread of its own. The set that is there stays in use until the next one
// has been read whole. Its functions may be called by any thread, but for create, start and destroy.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gateway/auth/key_set.h"

struct jwks_fetch;

// Whether `jwks`, the value of --jwks, is a URL and no file. It may be NULL.
bool jwks_is_url(const char *jwks);
// `url` and `ca` (a PEM file; NULL: what the system trusts) are borrowed. NULL with one line in `error` where the URL
// is none of https, or out of memory.
struct jwks_fetch *jwks_fetch_create(const char *url, const char *ca, char *error, size_t error_size);
// False where the thread cannot be created.
bool jwks_fetch_start(struct jwks_fetch *f);
// Ends the thread, at once. `f` may be NULL.
void jwks_fetch_destroy(struct jwks_fetch *f);

// A reference to the newest set; NULL where none has been fetched yet.
struct key_set *jwks_fetch_keys(struct jwks_fetch *f);
// Fetches now.
void jwks_fetch_refresh(struct jwks_fetch *f);
// No key has this id ("": any key is missing). Sees to a fetch, at most one every 30 s, and returns true until one has
// succeeded that began after the id was first asked for: the key may come yet.
bool jwks_fetch_await(struct jwks_fetch *f, const char *kid);

// Milliseconds until the next fetch after an answer that may be kept for `max_age_s` (-1: it does not say): 1 minute to
// 24 hours, else 10 minutes.
uint32_t jwks_refresh_ms(int64_t max_age_s);

// For metrics and logs.
struct jwks_fetch_state {
    bool has_fetched;     // the keys are there
    size_t keys, skipped; // of them; members of the set that cannot be used
    uint64_t age_s;       // since they were last fetched
    uint64_t ok, failed;  // fetches since the start
};
void jwks_fetch_look(struct jwks_fetch *f, struct jwks_fetch_state *out);

// The key set of an https URL, fetched by a thread of its own. The set that is there stays in use until the next one has
// been read whole. Its functions may be called by any thread, but for create, start and destroy.
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "gateway/auth/authenticator.h"
#include "gateway/auth/key_set.h"

struct jwks_fetch;

// `url` and `ca` (a PEM file; NULL: what the system trusts) are borrowed. NULL with one line in `error` where the URL is
// none of https, or out of memory.
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

// Adds what is known of the fetches.
void jwks_fetch_look(struct jwks_fetch *f, struct authenticator_state *out);

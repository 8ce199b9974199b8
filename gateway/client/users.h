// The open streams of the whole process by what they have in common: a subject, a token, an address. Caps count
// them, and a revocation ends them. Any thread may call all of it; it is touched when a stream is admitted and
// when it ends, never while it is open.
//
//      "sub:ann"          -> streams 7, 12, 31      in the order in which they came
//      "jti:a81c"         -> stream  12
//      "ip:20010db800010002" -> streams 12, 31
//
// A key is a text of at most USERS_KEY_MAX bytes (users_key). A stream stands under several keys, and leaves all at
// once.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gateway/client/close_reason.h"

#define USERS_KEY_MAX 300

enum users_kind { USERS_SUBJECT, USERS_TOKEN, USERS_ADDRESS };

// Writes the key of `text`. False where it would be too long.
bool users_key(enum users_kind kind, const char *text, char key[USERS_KEY_MAX + 1]);

struct users;

struct users_hooks {
    // Has the stream `id` end, later and on its own thread (never from within the call). False where there was
    // no memory to say so. Called with the table locked: it must not call the table.
    bool (*end)(void *ctx, uint64_t id, enum close_reason reason);
    void *ctx;
};

struct users_cap {
    uint64_t max;        // streams of one key; 0: any number
    bool replace_oldest; // at `max` the oldest stream ends (users_replace); else the new one is refused
};

enum users_verdict { USERS_ENTERED, USERS_FULL, USERS_NO_MEMORY };

// NULL when out of memory.
struct users *users_create(const struct users_hooks *hooks);
// Every stream must have left. May be NULL.
void users_destroy(struct users *u);

// The stream `id` (conn_id) enters under `key`; what it has entered before stays. USERS_NO_MEMORY: nothing has
// changed, and the stream must be refused.
enum users_verdict users_enter(struct users *u, const char *key, uint64_t id, const struct users_cap *cap);
// The stream `id` counts from here on under the key that it has entered with `replace_oldest`; where `max` streams do
// already, the oldest of them ends (CLOSE_REPLACED) and leaves that key. No effect where it has entered none. Apart
// from entering, so that a stream that is refused later has replaced none. False where there was no memory to tell the
// oldest: the stream must be refused.
bool users_replace(struct users *u, uint64_t id, uint64_t max);
// The stream `id` leaves all its keys; no effect where it has none, or was replaced.
void users_leave(struct users *u, uint64_t id);

// Calls `on_id` for each stream of `key`, oldest first, with the table locked: it must not call the table.
// Returns how many there are.
size_t users_each(struct users *u, const char *key, void (*on_id)(void *ctx, uint64_t id), void *ctx);
// Bytes that the table takes.
size_t users_bytes(struct users *u);

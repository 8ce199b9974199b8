// The keys of --ticket-key-file: one in each line, the first of which signs, while all verify. Read by any thread;
// created, reloaded and destroyed by the main thread.
#pragma once

#include "gateway/auth/ticket.h"

struct ticket_keys;

// Reads the file, whose name is borrowed until the end. NULL with one line in `error`.
struct ticket_keys *ticket_keys_create(const char *file, char *error, size_t error_size);
void ticket_keys_destroy(struct ticket_keys *k); // may be NULL
// Reads the file anew. False with one line in `error`: the keys stay as they are.
bool ticket_keys_reload(struct ticket_keys *k, char *error, size_t error_size);

// As ticket_write, with a random nonce; errno is that of getrandom(2) where there is none.
size_t ticket_keys_sign(struct ticket_keys *k, const struct principal *who, int64_t now_s, char *out);
enum ticket_verdict ticket_keys_read(struct ticket_keys *k, const char *text, size_t len, int64_t now_s,
                                     struct ticket *out);

// What the options say about clients, and what the loops of all workers share for them. Made and destroyed by the main
// thread, while no other one runs.
#pragma once

#include <stdbool.h>

#include "gateway/client/client_settings.h"
#include "gateway/process/config.h"

struct client_shared {
    // Owns `users` and the two rates; borrows the rest from the options and from here.
    struct client_settings settings;
    struct replay_budget replay_budget;
    struct revocations *revocations; // NULL: nothing can be revoked
};

// `s` is all zero, and stays where it is; `c` is borrowed until the end. False when out of memory: destroy it all the
// same.
bool client_shared_create(struct client_shared *s, const struct config *c, const struct users_hooks *hooks);
// Every stream has ended. No effect where all is zero.
void client_shared_destroy(struct client_shared *s);

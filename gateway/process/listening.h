// The listening sockets of this process: bound as --listen and --admin-listen say, or inherited in their place. Main
// thread, before others start.
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "gateway/client/listen_address.h"
#include "gateway/client/listen_attributes.h"
#include "gateway/process/config.h"
#include "gateway/process/inherited.h"
#include "gateway/threads/mailbox.h"

struct listening {
    struct inherited_sockets inherited; // filled by inherited_take
    // Set by listening_open.
    struct listen_address addresses[LISTEN_MAX], admin_address;
    struct listen_socket sockets[WORKERS_MAX][LISTEN_MAX]; // of each worker
    struct listen_socket admin;                            // its descriptor is -1 where there is none
};

// Sockets of each worker.
size_t listening_count(const struct listening *l, const struct config *c);
// Binds what is not inherited, and gives each worker a descriptor of each public socket. False where that fails; the
// log says why.
bool listening_open(struct listening *l, const struct config *c);
// Whether files of unix sockets were made here, which the exit has to remove.
bool listening_has_files(const struct listening *l);
void listening_remove_files(struct listening *l);

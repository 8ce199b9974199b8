// Loads the function library sse into a Redis that has none, or an older one, so that publishers find FCALL
// sse_publish. Where an ACL forbids that, an operator has to load it: sse-publish --install. The bus thread's
// alone.
#pragma once

#include "gateway/redis/commands.h"

struct function_loader {
    struct command version, load; // one of them at a time is in `queue`
    struct commands *queue;       // borrowed
    bool asked;
    bool told; // it was logged that the library could not be loaded
};

// Its commands are of class 0 of `queue`, which must be destroyed before the loader goes.
void function_loader_init(struct function_loader *l, struct commands *queue);
// The queue's connection is a new one: the server may be another one.
void function_loader_check(struct function_loader *l);

// Loads the function library sse into a Redis that has none, or an older one, so that publishers find FCALL
// sse_publish. Where that is forbidden, somebody else has to: sse-publish --install. The bus thread's alone.
#pragma once

#include "gateway/redis/commands.h"

struct function_loader {
    struct command version, load; // of which one at a time is asked
    struct commands *queue;       // borrowed
    bool asked;
    bool told; // the log has it that the library could not be loaded
};

// Its commands are of class 0 of `queue`, which must be destroyed before the loader goes.
void function_loader_init(struct function_loader *l, struct commands *queue);
// The queue's connection is a new one: the server may be another one.
void function_loader_check(struct function_loader *l);

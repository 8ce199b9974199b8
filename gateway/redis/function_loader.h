// Loads the function library sse into a Redis that has none, or an older one, so that publishers find FCALL
// sse_publish. Where an ACL forbids that, an operator has to load it: sse-publish --install. The bus thread's
// alone.
#pragma once

#include "gateway/redis/commands.h"

struct function_loader {
    struct command command; // of class 0 of `queue`, which must be destroyed before the loader goes
    struct commands *queue; // borrowed
    bool loads;             // the command loads the library; else it asks for the version that is there
    bool asked;             // the command is in `queue`
    bool told;              // it was logged that the library could not be loaded
};

// The queue's connection is a new one: the server may be another one.
void function_loader_check(struct function_loader *l);

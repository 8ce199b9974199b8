// Which commands of a subscriber are still to be answered, oldest first. An error reply does not say what it
// answers; that it is the oldest command does. Pure.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum asked { ASKED_NOTHING, ASKED_SUBSCRIBE, ASKED_UNSUBSCRIBE, ASKED_PING };

struct unanswered {
    struct unanswered_command {
        enum asked what;
        uint32_t replies; // that are still to come: one a channel
    } * commands;         // a ring
    size_t first, count, capacity;
};

// All zero is empty.
void unanswered_clear(struct unanswered *u);
void unanswered_deinit(struct unanswered *u);

// A command was sent that is answered so often, or by one error. False when out of memory.
bool unanswered_add(struct unanswered *u, enum asked what, uint32_t replies);
// One of its replies came. What was asked before it has had its answers. An UNSUBSCRIBE that nobody asked for
// changes nothing: servers send such ones.
void unanswered_reply(struct unanswered *u, enum asked what);
// An error came: the command that it answers, which is settled by it.
enum asked unanswered_error(struct unanswered *u);

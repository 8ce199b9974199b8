// Which commands of a subscriber are still to be answered, oldest first. An error reply does not say what it
// answers; that it is the oldest command does. Pure.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum asked { ASKED_NOTHING, ASKED_SUBSCRIBE, ASKED_UNSUBSCRIBE, ASKED_PING };

struct pending_replies {
    struct pending_command {
        enum asked what;
        uint32_t replies; // that are still to come: one a channel
    } * commands;         // a ring
    size_t first, count, capacity;
};

// All zero is empty.
void pending_replies_clear(struct pending_replies *u);
void pending_replies_deinit(struct pending_replies *u);

// A command was sent that is answered so often, or by one error. False when out of memory.
bool pending_replies_add(struct pending_replies *u, enum asked what, uint32_t replies);
// One of its replies came. What was asked before it has had its answers. An UNSUBSCRIBE that nobody asked for
// changes nothing: servers send such ones.
void pending_replies_reply(struct pending_replies *u, enum asked what);
// An error came: the command that it answers, which is settled by it.
enum asked pending_replies_error(struct pending_replies *u);

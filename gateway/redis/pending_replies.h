// The commands of a subscriber that are not answered yet, oldest first. An error reply does not name its
// command: it answers the oldest one. Pure.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum asked { ASKED_NOTHING, ASKED_SUBSCRIBE, ASKED_UNSUBSCRIBE, ASKED_PING };

struct pending_replies {
    struct pending_command {
        enum asked what;
        uint32_t replies; // still to come: one for each channel
        uint32_t batch;   // the number that its sender gave it
    } * commands;         // a ring
    size_t first, count, capacity;
};

// All zero is empty.
void pending_replies_clear(struct pending_replies *u);
void pending_replies_deinit(struct pending_replies *u);

// Records a sent command: Redis answers it with as many replies, or one error. False when out of memory.
bool pending_replies_add(struct pending_replies *u, const struct pending_command *command);
// Records a reply to a command of kind `what`. The commands before that one have had their replies. A reply
// to an UNSUBSCRIBE that was not sent changes nothing: servers send such ones when a slot moves.
void pending_replies_reply(struct pending_replies *u, enum asked what);
// Records an error, which settles the oldest command; returns that. ASKED_NOTHING: there is none.
struct pending_command pending_replies_error(struct pending_replies *u);

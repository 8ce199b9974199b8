#include "gateway/redis/pending_replies.h"

#include <assert.h>
#include <stdlib.h>

#define CAPACITY_MIN 16u

void pending_replies_clear(struct pending_replies *u)
{
    u->first = u->count = 0;
}

void pending_replies_deinit(struct pending_replies *u)
{
    free(u->commands);
    *u = (struct pending_replies){0};
}

static struct pending_command *at(const struct pending_replies *u, size_t index)
{
    assert(index < u->count);
    return &u->commands[(u->first + index) % u->capacity];
}

static void drop(struct pending_replies *u, size_t count)
{
    assert(count <= u->count);
    u->first = (u->first + count) % u->capacity;
    u->count -= count;
}

static bool grow(struct pending_replies *u)
{
    size_t capacity = u->capacity ? u->capacity * 2 : CAPACITY_MIN;
    struct pending_command *commands = malloc(capacity * sizeof *commands);
    if (!commands)
        return false;
    for (size_t i = 0; i < u->count; i++)
        commands[i] = *at(u, i);
    free(u->commands);
    u->commands = commands;
    u->first = 0;
    u->capacity = capacity;
    return true;
}

bool pending_replies_add(struct pending_replies *u, const struct pending_command *command)
{
    assert(command->what != ASKED_NOTHING && command->replies > 0);
    if (u->count == u->capacity && !grow(u))
        return false;
    u->count++;
    *at(u, u->count - 1) = *command;
    return true;
}

void pending_replies_reply(struct pending_replies *u, enum asked what)
{
    size_t i = 0;
    while (i < u->count && at(u, i)->what != what)
        i++;
    if (i == u->count || (what == ASKED_UNSUBSCRIBE && i > 0))
        return;
    drop(u, i);
    if (--at(u, 0)->replies == 0)
        drop(u, 1);
}

struct pending_command pending_replies_error(struct pending_replies *u)
{
    if (u->count == 0)
        return (struct pending_command){ASKED_NOTHING, 0, 0};
    struct pending_command command = *at(u, 0);
    drop(u, 1);
    return command;
}

#include "publisher-cli/gateways.h"

#include "common/clock.h"
#include "publisher-cli/push.h"

#include <hiredis/hiredis.h>
#include <stdlib.h>
#include <string.h>

// A gateway announces itself every second, a tenth more or less; in a large tier more rarely, which it says.
#define LISTEN_MS 2500
#define LISTEN_MAX_MS 60000

void gateways_free(struct gateways *gateways)
{
    free(gateways->items);
    *gateways = (struct gateways){0};
}

static void hear(struct gateways *gateways, const struct announcement *said)
{
    size_t i = 0;
    while (i < gateways->count && gateways->items[i].run != said->run)
        i++;
    if (said->leaving && i < gateways->count)
        gateways->items[i] = gateways->items[--gateways->count];
    if (said->leaving || i == GATEWAYS_MAX)
        return;
    gateways->items[i] = *said;
    gateways->count += i == gateways->count;
}

static bool collect(struct connection *connection, struct gateways *out, struct failure *failure)
{
    uint64_t start = clock_monotonic_ms(), listen_ms = LISTEN_MS, now;
    while ((now = clock_monotonic_ms()) < start + listen_ms) {
        bool is_late;
        struct redisReply *push =
            connection_reply_within(connection, start + listen_ms - now, &is_late, failure);
        if (push == NULL && !is_late)
            return false;
        const struct redisReply *text = push ? push_text(push) : NULL;
        struct announcement said;
        if (text && announcement_parse(text->str, text->len, &said)) {
            hear(out, &said);
            uint64_t needed = said.every_ms + said.every_ms / 2;
            listen_ms = needed > listen_ms ? needed : listen_ms;
        }
        listen_ms = listen_ms < LISTEN_MAX_MS ? listen_ms : LISTEN_MAX_MS;
        freeReplyObject(push);
    }
    return true;
}

static int by_id(const void *a, const void *b)
{
    const struct announcement *left = a, *right = b;
    return strcmp(left->id, right->id);
}

bool gateways_listen(const struct redis_target *target, struct gateways *out, struct failure *failure)
{
    *out = (struct gateways){.items = calloc(GATEWAYS_MAX, sizeof *out->items)};
    if (out->items == NULL)
        return failure_out_of_memory(failure);
    struct connection *connection =
        push_subscribe(target, ANNOUNCEMENT_CHANNEL,
                       "; the ACL of this user must allow it: +subscribe, in a cluster +ssubscribe, and "
                       "&sse:gateways",
                       failure);
    bool ok = connection && collect(connection, out, failure);
    connection_close(connection);
    qsort(out->items, out->count, sizeof *out->items, by_id);
    return ok;
}

#include "gateway/client/walk.h"

// Questions that Redis has not answered: far below what the bus takes, which streams that are admitted need, too.
#define ASKED_MAX 64u
#define RETRY_MS 1000u  // after a question that could not be answered
#define SILENT_MS 5000u // without an answer, which was lost for want of memory then

static void stop(struct walk *w, uint64_t again_at_ms)
{
    w->running = false;
    w->again_at_ms = again_at_ms;
}

// Connections that come meanwhile are asked about when they are admitted. The table may grow: then some are asked
// about twice, and none is left out.
static void ask_more(struct client_context *cx, struct walk *w, const struct walk_kind *kind)
{
    while (w->running && w->asked < ASKED_MAX) {
        const struct conn *c = id_table_next(&cx->conns, &w->cursor);
        if (!c && w->asked > 0)
            return;
        int asked = c ? kind->ask(cx, c, w->number) : 0;
        if (!c)
            stop(w, kind->every_ms ? cx->now_ms + kind->every_ms : 0);
        else if (asked < 0)
            stop(w, cx->now_ms + RETRY_MS);
        else
            w->asked += (unsigned)asked;
    }
}

void walk_begin(struct client_context *cx, struct walk *w, const struct walk_kind *kind)
{
    uint32_t number = w->number + 1;
    *w = (struct walk){.running = true, .number = number ? number : 1, .heard_ms = cx->now_ms};
    ask_more(cx, w, kind);
}

void walk_answered(struct client_context *cx, struct walk *w, const struct walk_kind *kind,
                   const struct question *answer)
{
    if (!w->running || answer->walk != w->number)
        return;
    w->asked--;
    w->heard_ms = cx->now_ms;
    if (answer->is_answered)
        ask_more(cx, w, kind);
    else
        stop(w, cx->now_ms + RETRY_MS);
}

void walk_tick(struct client_context *cx, struct walk *w, const struct walk_kind *kind)
{
    bool is_silent = w->running && cx->now_ms >= w->heard_ms + SILENT_MS;
    bool is_due = !w->running && w->again_at_ms != 0 && cx->now_ms >= w->again_at_ms;
    if (is_silent || is_due)
        walk_begin(cx, w, kind);
}

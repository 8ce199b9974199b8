#include "gateway/fanout/catch_up_pages.h"

#include "common/container_of.h"

// The bus answers every question, however long Redis takes; only where it had no memory for that is there no
// answer.
#define READ_TIMEOUT_MS 60000u
#define TELL_RETRY_MS 1000u
// A page is to have about PAGE_BYTES. How large the events of a channel are is not known before the first
// page: so that is a small one, and the next ones grow by what they show.
#define PAGE_BYTES (256u << 10)
#define PAGE_ENTRIES_MIN 8u
#define PAGE_GROWTH 4u
#define SHORT_RETRY_MS 250u

size_t catch_up_budget(const struct hub *h)
{
    return h->replay_bytes < h->replay_limit ? h->replay_limit - h->replay_bytes : 0;
}

void catch_up_forget(struct hub *h, struct hub_channel *c)
{
    if (!c->catch_up)
        return;
    h->replay_bytes -= replay_bytes(&c->catch_up->replay);
    replay_clear(&c->catch_up->replay);
}

// Pages are read in sweeps from the oldest to the newest place: who is far behind comes in turn, and does not
// keep those further on waiting however many others come with older places.
static bool comes_sooner(const struct catch_up *cu, struct event_id a, struct event_id b)
{
    const struct event_id asked = cu->query.from;
    bool a_ahead = event_id_before(asked, a), b_ahead = event_id_before(asked, b);
    return a_ahead != b_ahead ? a_ahead : event_id_before(a, b);
}

void catch_up_want(struct catch_up *cu, struct event_id from)
{
    if (!cu->is_wanted || comes_sooner(cu, from, cu->wanted))
        cu->wanted = from;
    cu->is_wanted = true;
}

void catch_up_ask(struct hub *h, struct catch_up *cu)
{
    if (!cu->is_wanted || cu->reading || cu->is_paused)
        return;
    struct hub_channel *c = cu->channel;
    cu->asked_at = h->now_ms;
    cu->query = (struct history_query){.number = ++h->queries, .entries = cu->entries, .from = cu->wanted};
    cu->asked_last_id = c->last_id;
    cu->is_wanted = false;
    cu->pages++;
    cu->reading = true;
    bool told = h->events.on_history(h->events.ctx, channel_ref_of(&c->entry), &cu->query);
    cu->answer_by = h->now_ms + (told ? READ_TIMEOUT_MS : TELL_RETRY_MS);
}

// What cannot be read cannot be resumed: all who wait for it are told so.
static void page_failed(struct catch_up *cu)
{
    for (uint32_t i = 0; i < cu->count; i++) {
        struct lagging *lag = cu->lagging[i];
        struct frame *next;
        if (lag->since < cu->pages && replay_next(&cu->replay, lag->at, &next) != REPLAY_NEXT)
            lag->from = FROM_UNKNOWN;
    }
}

// How many events the next page may have: by the largest of this one, since sizes vary.
static void page_measure(struct catch_up *cu, const struct history_page *page)
{
    size_t largest = 1;
    for (size_t i = 0; i < page->count; i++)
        largest = page->frames[i]->wire_len > largest ? page->frames[i]->wire_len : largest;
    size_t fit = PAGE_BYTES / largest, most = (size_t)page->query.entries * PAGE_GROWTH;
    most = most < HISTORY_PAGE_ENTRIES_MAX ? most : HISTORY_PAGE_ENTRIES_MAX;
    if (page->count > 0)
        cu->entries = (uint32_t)(fit < PAGE_ENTRIES_MIN ? PAGE_ENTRIES_MIN : fit < most ? fit : most);
}

// Over the limit, other channels forget theirs, those first that have had no page for the longest time. Who
// still needs one asks again.
static void make_room(struct hub *h, struct catch_up *newest)
{
    TAILQ_REMOVE(&h->catching_up, newest, in_hub);
    TAILQ_INSERT_TAIL(&h->catching_up, newest, in_hub);
    struct catch_up *cu = TAILQ_FIRST(&h->catching_up);
    for (; cu != newest && h->replay_bytes > h->replay_limit; cu = TAILQ_NEXT(cu, in_hub)) {
        h->replay_bytes -= replay_bytes(&cu->replay);
        replay_clear(&cu->replay);
    }
}

void hub_page(struct hub *h, struct channel_ref channel, const struct history_page *page)
{
    struct map_entry *e = channel_find(&h->channels, channel);
    struct hub_channel *c = e ? container_of(e, struct hub_channel, entry) : NULL;
    struct catch_up *cu = c ? c->catch_up : NULL;
    // One that nobody waits for any more, or that was given up.
    if (!cu || !cu->reading || page->query.number != cu->query.number) {
        for (size_t i = 0; i < page->count; i++)
            frame_release(page->frames[i]);
        return;
    }
    cu->reading = false;
    cu->is_wanted = false; // all are woken, and say anew what they want
    cu->page = cu->pages;
    const struct event_id from = page->query.from;
    if (page->count > 0 && event_id_before(from, page->frames[page->count - 1]->at))
        cu->short_pages = 0;
    page_measure(cu, page);
    size_t before = replay_bytes(&cu->replay);
    if (page->failed)
        page_failed(cu);
    else
        replay_add_page(&cu->replay, from, page->at_end, page->frames, page->count, c->last_id,
                        catch_up_budget(h));
    h->replay_bytes += replay_bytes(&cu->replay) - before;
    // Without memory, at the bus or here, a page may end before its first event.
    cu->is_paused = !page->failed && !page->at_end &&
                    (page->count == 0 || !event_id_before(from, page->frames[page->count - 1]->at));
    make_room(h, cu);
    catch_up_wake(h, c);
}

void hub_page_lost(struct hub *h, uint32_t number)
{
    struct catch_up *cu;
    TAILQ_FOREACH(cu, &h->catching_up, in_hub)
    if (cu->reading && cu->query.number == number)
        cu->answer_by = h->now_ms + TELL_RETRY_MS;
}

void catch_up_look_after(struct hub *h, struct catch_up *cu)
{
    if (cu->reading && h->now_ms >= cu->answer_by) {
        cu->reading = false;
        catch_up_wake(h, cu->channel);
    }
    if (cu->is_paused && h->now_ms - cu->asked_at >= SHORT_RETRY_MS) {
        cu->is_paused = false;
        catch_up_wake(h, cu->channel);
    }
    if (cu->awaits_redis && !cu->reading && h->now_ms - cu->asked_at >= SHORT_RETRY_MS) {
        cu->awaits_redis = false;
        cu->short_pages++;
        h->replay_bytes -= cu->replay.page.bytes;
        replay_drop_page(&cu->replay);
        catch_up_wake(h, cu->channel);
    }
}

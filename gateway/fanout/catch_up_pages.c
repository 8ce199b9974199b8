#include "gateway/fanout/catch_up_pages.h"

#include <assert.h>

#include "common/container_of.h"

// The bus answers every question, however long Redis takes; only where it had no memory for that is there no
// answer.
#define READ_TIMEOUT_MS 60000u
#define TELL_RETRY_MS 1000u
// A page is to have about PAGE_BYTES. How large the events of a channel are is not known before the first
// page: so that is a small one, and the next ones grow by what they show.
#define PAGE_BYTES (256u << 10)
#define PAGE_ENTRIES_MIN 2u // the first one was had before
#define PAGE_GROWTH 4u
#define ENTRY_GUESS (64u << 10) // bytes, before the first entry has come
#define SHORT_RETRY_MS 250u

void catch_up_account(struct hub *h, const struct catch_up *cu, size_t before)
{
    size_t after = replay_bytes(&cu->replay);
    assert(h->replay_bytes >= before);
    h->replay_bytes += after - before;
    replay_budget_add(h->settings.replay_budget, after);
    replay_budget_remove(h->settings.replay_budget, before);
}

static void forget(struct hub *h, struct catch_up *cu)
{
    size_t before = replay_bytes(&cu->replay);
    replay_clear(&cu->replay);
    catch_up_account(h, cu, before);
}

void catch_up_forget(struct hub *h, struct hub_channel *c)
{
    if (c->catch_up)
        forget(h, c->catch_up);
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

// Where `need` bytes are not left, other channels forget theirs, those first that have had no page for the longest
// time; but none that a stream is being fed from. A stream that still needs one asks again.
static bool make_room(struct hub *h, const struct catch_up *keep, size_t need)
{
    const struct replay_budget *budget = h->settings.replay_budget;
    struct catch_up *cu = TAILQ_FIRST(&h->catching_up);
    for (; cu && replay_budget_left(budget) < need; cu = TAILQ_NEXT(cu, in_hub))
        if (cu != keep && cu->ready_count == 0)
            forget(h, cu);
    return replay_budget_left(budget) >= need;
}

static uint32_t page_entries(const struct hub *h, const struct catch_up *cu)
{
    if (cu->entry_bytes || !h->entry_bytes)
        return cu->entries;
    size_t fit = PAGE_BYTES / h->entry_bytes;
    return fit < PAGE_ENTRIES_MIN ? PAGE_ENTRIES_MIN : fit < cu->entries ? (uint32_t)fit : cu->entries;
}

static size_t page_bytes(const struct hub *h, const struct catch_up *cu)
{
    size_t entry = cu->entry_bytes ? cu->entry_bytes : h->entry_bytes ? h->entry_bytes : ENTRY_GUESS;
    return entry * page_entries(h, cu);
}

static void stop_waiting(struct hub *h, struct catch_up *cu)
{
    if (cu->is_waiting)
        TAILQ_REMOVE(&h->waiting, cu, in_waiting);
    cu->is_waiting = false;
}

static void read_page(struct hub *h, struct catch_up *cu)
{
    struct hub_channel *c = cu->channel;
    cu->asked_at = h->now_ms;
    cu->query =
        (struct history_query){.number = ++h->queries, .entries = page_entries(h, cu), .from = cu->wanted};
    cu->asked_last_id = c->last_id;
    cu->is_wanted = false;
    cu->pages++;
    cu->reading = true;
    cu->reserved = page_bytes(h, cu);
    replay_budget_add(h->settings.replay_budget, cu->reserved);
    h->reads++;
    bool told = h->events.on_history(h->events.ctx, channel_ref_key(&c->entry), &cu->query);
    cu->answer_by = h->now_ms + (told ? READ_TIMEOUT_MS : TELL_RETRY_MS);
}

void catch_up_end_read(struct hub *h, struct catch_up *cu)
{
    stop_waiting(h, cu);
    if (!cu->reading)
        return;
    assert(h->reads > 0);
    cu->reading = false;
    h->reads--;
    replay_budget_remove(h->settings.replay_budget, cu->reserved);
}

void catch_up_ask(struct hub *h, struct catch_up *cu)
{
    if (!cu->is_wanted || cu->reading || cu->is_paused)
        return;
    // One page at a time a hub may always read: other hubs may hold all of the budget.
    if (h->reads == 0 || make_room(h, cu, page_bytes(h, cu))) {
        stop_waiting(h, cu);
        read_page(h, cu);
    } else if (!cu->is_waiting) {
        cu->is_waiting = true;
        TAILQ_INSERT_TAIL(&h->waiting, cu, in_waiting);
    }
}

void catch_up_ask_waiting(struct hub *h)
{
    struct catch_up *cu;
    while ((cu = TAILQ_FIRST(&h->waiting)) &&
           (h->reads == 0 || replay_budget_left(h->settings.replay_budget) >= page_bytes(h, cu))) {
        stop_waiting(h, cu);
        catch_up_ask(h, cu);
    }
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

// How many entries the next page may have: by the largest one of this page, since sizes vary.
static void page_measure(struct hub *h, struct catch_up *cu, const struct history_page *page)
{
    size_t largest = page->largest;
    for (size_t i = 0; i < page->count; i++)
        largest = page->frames[i]->wire_len > largest ? page->frames[i]->wire_len : largest;
    if (page->count == 0)
        return;
    h->entry_bytes -= h->entry_bytes / 8; // a channel's large entries count less and less
    h->entry_bytes = largest > h->entry_bytes ? largest : h->entry_bytes;
    cu->entry_bytes = largest;
    size_t fit = PAGE_BYTES / largest, most = (size_t)page->query.entries * PAGE_GROWTH;
    most = most < HISTORY_PAGE_ENTRIES_MAX ? most : HISTORY_PAGE_ENTRIES_MAX;
    cu->entries = (uint32_t)(fit < PAGE_ENTRIES_MIN ? PAGE_ENTRIES_MIN : fit < most ? fit : most);
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
    catch_up_end_read(h, cu);
    cu->is_wanted = false; // all are woken, and say anew what they want
    cu->page = cu->pages;
    const struct event_id from = page->query.from;
    if (page->count > 0 && event_id_before(from, page->frames[page->count - 1]->at))
        cu->short_pages = 0;
    page_measure(h, cu, page);
    size_t before = replay_bytes(&cu->replay);
    if (page->failed)
        page_failed(cu);
    else
        replay_add_page(&cu->replay, from, page->at_end, page->frames, page->count, c->last_id,
                        replay_budget_left(h->settings.replay_budget));
    catch_up_account(h, cu, before);
    // Without memory, at the bus or here, a page may end before its first event.
    cu->is_paused = !page->failed && !page->at_end &&
                    (page->count == 0 || !event_id_before(from, page->frames[page->count - 1]->at));
    TAILQ_REMOVE(&h->catching_up, cu, in_hub);
    TAILQ_INSERT_TAIL(&h->catching_up, cu, in_hub);
    (void)make_room(h, cu, 1); // no more is to be had where all the others are being fed from
    catch_up_wake(h, c);
    catch_up_ask_waiting(h);
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
        catch_up_end_read(h, cu);
        catch_up_wake(h, cu->channel);
    }
    if (cu->is_paused && h->now_ms - cu->asked_at >= SHORT_RETRY_MS) {
        cu->is_paused = false;
        catch_up_wake(h, cu->channel);
    }
    if (cu->awaits_redis && !cu->reading && h->now_ms - cu->asked_at >= SHORT_RETRY_MS) {
        cu->awaits_redis = false;
        cu->short_pages++;
        size_t before = replay_bytes(&cu->replay);
        replay_drop_page(&cu->replay);
        catch_up_account(h, cu, before);
        catch_up_wake(h, cu->channel);
    }
}

#include "gateway/fanout/catch_up_pages.h"

#include <assert.h>

// The bus answers every query, however long Redis takes; there is no answer only where it had no memory for
// one.
#define READ_TIMEOUT_MS 60000u
#define TELL_RETRY_MS 1000u
#define SHORT_RETRY_MS 250u
// Bytes that a page should have, about. The size of a channel's entries is not known before its first page:
// that one is small, and its largest entry decides how many the next page may have.
#define PAGE_BYTES (256u << 10)
#define PAGE_GROWTH 4u
#define ENTRY_GUESS (64u << 10) // bytes, before the first entry has come

void pages_account(struct hub *h, struct catch_up *cu)
{
    size_t before = cu->accounted, after = replay_bytes(&cu->replay);
    assert(h->replay_bytes >= before);
    h->replay_bytes += after - before;
    replay_budget_add(h->settings.replay_budget, after);
    replay_budget_remove(h->settings.replay_budget, before);
    cu->accounted = after;
}

void pages_forget(struct hub *h, struct catch_up *cu)
{
    replay_clear(&cu->replay);
    pages_account(h, cu);
}

// Pages are read in sweeps from the oldest to the newest event id: a stream that is far behind waits for the
// next sweep, so that streams with newer ids do not wait, however many streams come with older ones.
static bool comes_sooner(const struct catch_up *cu, struct event_id a, struct event_id b)
{
    const struct event_id asked = cu->query.from;
    bool a_ahead = event_id_before(asked, a), b_ahead = event_id_before(asked, b);
    return a_ahead != b_ahead ? a_ahead : event_id_before(a, b);
}

void pages_want(struct catch_up *cu, struct event_id from)
{
    if (!cu->is_wanted || comes_sooner(cu, from, cu->wanted))
        cu->wanted = from;
    cu->is_wanted = true;
}

// Where `need` bytes are not left, other channels drop their pages, those first that have had no new page for
// the longest time; but no page that a stream is being fed from. A stream that still needs a dropped page
// asks again.
static bool make_room(struct hub *h, const struct catch_up *keep, size_t need)
{
    const struct replay_budget *budget = h->settings.replay_budget;
    struct catch_up *cu = TAILQ_FIRST(&h->catching_up);
    for (; cu && replay_budget_left(budget) < need; cu = TAILQ_NEXT(cu, in_hub))
        if (cu != keep && cu->ready_count == 0)
            pages_forget(h, cu);
    return replay_budget_left(budget) >= need;
}

// How many entries of that size a page may have, of `most`.
static uint32_t entries_that_fit(size_t entry_bytes, size_t most)
{
    size_t fit = PAGE_BYTES / entry_bytes;
    fit = fit < most ? fit : most;
    return fit < HISTORY_PAGE_ENTRIES_MIN ? HISTORY_PAGE_ENTRIES_MIN : (uint32_t)fit;
}

static uint32_t page_entries(const struct hub *h, const struct catch_up *cu)
{
    return cu->entry_bytes || !h->entry_bytes ? cu->entries : entries_that_fit(h->entry_bytes, cu->entries);
}

static size_t page_bytes(const struct hub *h, const struct catch_up *cu)
{
    size_t entry = cu->entry_bytes ? cu->entry_bytes : h->entry_bytes ? h->entry_bytes : ENTRY_GUESS;
    return entry * page_entries(h, cu);
}

static void set_state(struct hub *h, struct catch_up *cu, enum page_state to)
{
    assert(cu->page_state != PAGE_ASKED || to == PAGE_NONE);
    if (cu->page_state == PAGE_WAITING && to != PAGE_WAITING)
        TAILQ_REMOVE(&h->waiting, cu, in_waiting);
    if (cu->page_state != PAGE_WAITING && to == PAGE_WAITING)
        TAILQ_INSERT_TAIL(&h->waiting, cu, in_waiting);
    cu->page_state = to;
}

static void read_page(struct hub *h, struct catch_up *cu)
{
    cu->query =
        (struct history_query){.number = ++h->queries, .entries = page_entries(h, cu), .from = cu->wanted};
    cu->is_wanted = false;
    cu->asked_last_id = cu->channel->last_id;
    cu->asked_at = h->now_ms;
    cu->pages++;
    cu->reserved = page_bytes(h, cu);
    set_state(h, cu, PAGE_ASKED);
    h->reads++;
    replay_budget_add(h->settings.replay_budget, cu->reserved);
    bool told = h->events.on_history(h->events.ctx, channel_ref_of(&cu->channel->entry), &cu->query);
    cu->answer_by = h->now_ms + (told ? READ_TIMEOUT_MS : TELL_RETRY_MS);
}

void pages_ask(struct hub *h, struct catch_up *cu)
{
    if (!cu->is_wanted || cu->page_state == PAGE_ASKED || cu->page_state == PAGE_PAUSED)
        return;
    // A hub may always read one page at a time: other hubs may hold all of the budget.
    if (h->reads == 0 || make_room(h, cu, page_bytes(h, cu)))
        read_page(h, cu);
    else
        set_state(h, cu, PAGE_WAITING);
}

void pages_ask_waiting(struct hub *h)
{
    struct catch_up *cu;
    while ((cu = TAILQ_FIRST(&h->waiting)) &&
           (h->reads == 0 || replay_budget_left(h->settings.replay_budget) >= page_bytes(h, cu))) {
        set_state(h, cu, PAGE_NONE);
        pages_ask(h, cu);
    }
}

void pages_stop(struct hub *h, struct catch_up *cu)
{
    if (cu->page_state == PAGE_ASKED) {
        assert(h->reads > 0);
        h->reads--;
        replay_budget_remove(h->settings.replay_budget, cu->reserved);
    }
    set_state(h, cu, PAGE_NONE);
}

// Sets how many entries the next page may have: by the size of the largest entry of this page, since sizes
// vary.
static void measure(struct hub *h, struct catch_up *cu, const struct history_page *page)
{
    size_t largest = page->largest;
    for (size_t i = 0; i < page->count; i++)
        largest = page->frames[i]->wire_len > largest ? page->frames[i]->wire_len : largest;
    if (page->count == 0)
        return;
    h->entry_bytes -= h->entry_bytes / 8; // a channel's large entries count less and less
    h->entry_bytes = largest > h->entry_bytes ? largest : h->entry_bytes;
    cu->entry_bytes = largest;
    size_t most = (size_t)page->query.entries * PAGE_GROWTH;
    cu->entries =
        entries_that_fit(largest, most < HISTORY_PAGE_ENTRIES_MAX ? most : HISTORY_PAGE_ENTRIES_MAX);
}

// The history cannot be read: all streams that wait for a page of it get a gap, but for those that begin now.
static void take_failure(struct catch_up *cu)
{
    cu->channel->has_snapshot = false;
    for (uint32_t i = 0; i < cu->count; i++) {
        struct lagging *lag = cu->lagging[i];
        struct frame *next;
        if (lag->since < cu->pages && lag->mode != LAGGING_FRESH &&
            replay_next(&cu->replay, lag->at, &next) != REPLAY_NEXT)
            lag->mode = LAGGING_LOST;
    }
}

static void take_frames(struct hub *h, struct catch_up *cu, const struct history_page *page)
{
    const struct event_id from = page->query.from;
    bool brings = page->count > 0 && event_id_before(from, page->frames[page->count - 1]->at);
    if (brings)
        cu->short_pages = 0;
    measure(h, cu, page);
    replay_add_page(&cu->replay, from, page->at_end, page->frames, page->count, cu->channel->last_id,
                    replay_budget_left(h->settings.replay_budget));
    pages_account(h, cu);
    // Without memory, at the bus or here, a page may end before its first event.
    if (!cu->replay.has_page || (!brings && !page->at_end))
        set_state(h, cu, PAGE_PAUSED);
}

bool pages_take(struct hub *h, struct catch_up *cu, const struct history_page *page)
{
    if (!cu || cu->page_state != PAGE_ASKED || page->query.number != cu->query.number) {
        for (size_t i = 0; i < page->count; i++)
            frame_release(page->frames[i]);
        return false;
    }
    pages_stop(h, cu);
    cu->is_wanted = false; // all streams are woken, and ask again for the pages that they need
    cu->page = cu->pages;
    if (page->failed)
        take_failure(cu);
    else
        take_frames(h, cu, page);
    TAILQ_REMOVE(&h->catching_up, cu, in_hub);
    TAILQ_INSERT_TAIL(&h->catching_up, cu, in_hub);
    (void)make_room(h, cu, 1); // no more can be freed: streams are being fed from all other pages
    return true;
}

void pages_lost(struct hub *h, uint32_t number)
{
    struct catch_up *cu;
    TAILQ_FOREACH(cu, &h->catching_up, in_hub)
    if (cu->page_state == PAGE_ASKED && (number == 0 || cu->query.number == number))
        cu->answer_by = h->now_ms + TELL_RETRY_MS;
}

bool pages_tick(struct hub *h, struct catch_up *cu)
{
    if (cu->page_state == PAGE_ASKED && h->now_ms >= cu->answer_by) {
        pages_stop(h, cu);
        return true;
    }
    if (cu->page_state == PAGE_ASKED || h->now_ms - cu->asked_at < SHORT_RETRY_MS)
        return false;
    bool was_paused = cu->page_state == PAGE_PAUSED, awaited = cu->awaits_redis;
    if (was_paused)
        set_state(h, cu, PAGE_NONE);
    if (awaited) {
        cu->awaits_redis = false;
        cu->short_pages++;
        replay_drop_page(&cu->replay);
        pages_account(h, cu);
    }
    return was_paused || awaited;
}

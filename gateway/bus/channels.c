#include "gateway/bus/channels.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/container_of.h"
#include "common/memory.h"

void channels_init(struct channels *all)
{
    *all = (struct channels){0};
    map_init(&all->map);
    TAILQ_INIT(&all->unowned);
}

static struct bus_channel *channel_of(struct map_entry *e)
{
    return container_of(e, struct bus_channel, entry);
}

void channels_deinit(struct channels *all)
{
    size_t cursor = 0;
    for (struct map_entry *e; (e = map_next(&all->map, &cursor));)
        free(channel_of(e));
    map_deinit(&all->map);
}

size_t channels_bytes(const struct channels *all)
{
    return all->bytes + map_bytes(&all->map);
}

static bool counts_as_active(const struct bus_channel *c)
{
    return c->state == CHANNEL_ACTIVE && !c->handler;
}

static struct channel_list *list_of(struct channels *all, const struct bus_channel *c)
{
    return c->node ? &c->node->in_state[c->state] : &all->unowned;
}

static void leave_list(struct channels *all, struct bus_channel *c)
{
    assert((c->node == NULL) == (c->state == CHANNEL_UNOWNED));
    TAILQ_REMOVE(list_of(all, c), c, in_state);
    all->active_count -= counts_as_active(c);
}

// Internal channels stand behind all others that are FRESH.
static void enter_list(struct channels *all, struct bus_channel *c)
{
    struct channel_list *list = list_of(all, c);
    struct bus_channel *before = TAILQ_LAST(list, channel_list);
    assert((c->node == NULL) == (c->state == CHANNEL_UNOWNED));
    while (before && before->handler && !c->handler && c->state == CHANNEL_FRESH)
        before = TAILQ_PREV(before, channel_list, in_state);
    if (before)
        TAILQ_INSERT_AFTER(list, before, c, in_state);
    else
        TAILQ_INSERT_HEAD(list, c, in_state);
    all->active_count += counts_as_active(c);
}

static bool is_legal(enum channel_state from, enum channel_state to)
{
    switch (to) {
    case CHANNEL_SENT:
        return from == CHANNEL_FRESH;
    case CHANNEL_ACTIVE:
    case CHANNEL_DENIED:
        return from == CHANNEL_SENT;
    case CHANNEL_MOVED:
        return from == CHANNEL_SENT || from == CHANNEL_ACTIVE;
    case CHANNEL_FRESH:
    case CHANNEL_UNOWNED:
        return true;
    case CHANNEL_STATE_COUNT:
        break;
    }
    return false;
}

// A channel that no worker wants stands in node->lingering, unless its SUBSCRIBE is on its way: it cannot be
// unsubscribed before the answer has come, and the walk through the list would pass over it each time.
static bool is_listed(const struct bus_channel *c)
{
    return c->lingering && c->state != CHANNEL_SENT;
}

static void list_linger(struct bus_channel *c, bool was_listed)
{
    struct node_channels *n = c->node;
    bool listed = is_listed(c);
    if (listed == was_listed)
        return;
    if (listed) {
        TAILQ_INSERT_TAIL(&n->lingering, c, in_linger);
        n->lingering_count++;
    } else {
        TAILQ_REMOVE(&n->lingering, c, in_linger);
        n->lingering_count--;
    }
}

static void set_lingering(struct bus_channel *c, bool lingering)
{
    bool was_listed = is_listed(c);
    c->lingering = lingering;
    list_linger(c, was_listed);
}

// The one place where a state changes: the state is the list that the channel stands in.
static void relink(struct channels *all, struct bus_channel *c, struct node_channels *node,
                   enum channel_state state)
{
    leave_list(all, c);
    c->was_active |= c->state == CHANNEL_ACTIVE;
    c->batch = 0;
    c->node = node;
    c->state = (uint8_t)state;
    enter_list(all, c);
}

static void channel_set_state(struct bus_channel *c, enum channel_state state)
{
    assert(c->node && is_legal((enum channel_state)c->state, state));
    bool was_listed = is_listed(c);
    relink(c->node->all, c, c->node, state);
    list_linger(c, was_listed);
}

struct bus_channel *channels_find(const struct channels *all, struct channel_ref ref)
{
    struct map_entry *e = channel_find(&all->map, ref);
    return e ? channel_of(e) : NULL;
}

static struct bus_channel *channel_create(struct channels *all, struct channel_ref ref, uint16_t slot)
{
    struct bus_channel *c = calloc(1, sizeof *c + ref.len);
    if (!c)
        return NULL;
    memcpy(c->name, ref.name, ref.len);
    c->entry = (struct map_entry){.hash = ref.hash, .key = c->name, .len = (uint32_t)ref.len};
    if (!map_insert(&all->map, &c->entry)) {
        free(c);
        return NULL;
    }
    c->slot = slot;
    all->bytes += memory_block(sizeof *c + ref.len);
    enter_list(all, c);
    return c;
}

struct bus_channel *channels_want(struct channels *all, unsigned worker, struct channel_ref ref,
                                  uint16_t slot)
{
    struct bus_channel *c = channels_find(all, ref);
    if (!c)
        c = channel_create(all, ref, slot);
    if (!c)
        return NULL;
    set_lingering(c, false);
    uint64_t bit = UINT64_C(1) << worker;
    if (!(c->workers & bit)) { // else it asks once more about a channel that it has
        c->gap_told &= ~bit;
        c->gap_due &= ~bit;
    }
    c->workers |= bit;
    return c;
}

struct bus_channel *channels_add_internal(struct channels *all, struct channel_ref ref, uint16_t slot,
                                          const struct channel_handler *handler, void *ctx)
{
    assert(!channels_find(all, ref));
    struct bus_channel *c = channel_create(all, ref, slot);
    if (c) {
        c->handler = handler;
        c->handler_ctx = ctx;
    }
    return c;
}

// Takes the channel out of the registry; it is the caller's then.
static void channel_remove(struct channels *all, struct bus_channel *c)
{
    set_lingering(c, false);
    leave_list(all, c);
    map_remove(&all->map, &c->entry);
    all->bytes -= memory_block(sizeof *c + c->entry.len);
}

void channels_forget(struct channels *all, struct bus_channel *c)
{
    channel_remove(all, c);
    free(c);
}

void channels_unwant(struct channels *all, unsigned worker, struct channel_ref ref, uint64_t until_ms)
{
    struct bus_channel *c = channels_find(all, ref);
    if (!c)
        return;
    c->workers &= ~(UINT64_C(1) << worker);
    if (c->workers != 0 || c->handler || c->lingering)
        return;
    if (c->state != CHANNEL_SENT && c->state != CHANNEL_ACTIVE) {
        channels_forget(all, c);
        return;
    }
    c->linger_until_ms = until_ms;
    set_lingering(c, true);
}

void channel_move(struct channels *all, struct bus_channel *c, struct node_channels *to)
{
    assert(!c->lingering);
    relink(all, c, to, to ? CHANNEL_FRESH : CHANNEL_UNOWNED);
}

void node_channels_init(struct node_channels *n, struct channels *all)
{
    *n = (struct node_channels){.all = all};
    for (size_t i = 0; i < CHANNEL_STATE_COUNT; i++)
        TAILQ_INIT(&n->in_state[i]);
    TAILQ_INIT(&n->lingering);
}

void node_channels_each(struct node_channels *n, void (*visit)(void *ctx, struct bus_channel *c), void *ctx)
{
    for (size_t state = 0; state < CHANNEL_STATE_COUNT; state++) {
        // A channel that `visit` moves leaves this list; one that it does not move is visited once.
        for (struct bus_channel *c = TAILQ_FIRST(&n->in_state[state]), *next; c; c = next) {
            next = TAILQ_NEXT(c, in_state);
            visit(ctx, c);
        }
    }
}

static struct bus_channel *first_in(const struct node_channels *n, enum channel_state state)
{
    // NOLINTNEXTLINE(clang-analyzer-unix.Malloc): a channel that was freed is in no list any more
    return TAILQ_FIRST(&n->in_state[state]);
}

size_t node_channels_take_batch(struct node_channels *n, struct bus_channel **out, size_t max)
{
    struct bus_channel *c;
    size_t count = 0;
    while (count < max && (c = first_in(n, CHANNEL_FRESH))) {
        bool alone = c->batch != 0;
        if (count > 0 && (alone || c->slot != out[0]->slot))
            break;
        channel_set_state(c, CHANNEL_SENT);
        c->batch = n->next_batch + 1;
        out[count++] = c;
        if (alone)
            break;
    }
    n->next_batch += count > 0;
    return count;
}

static struct bus_channel *find_at(const struct node_channels *n, struct channel_ref ref,
                                   enum channel_state state)
{
    struct bus_channel *c = channels_find(n->all, ref);
    return c && c->node == n && c->state == state ? c : NULL;
}

struct bus_channel *node_channels_confirm(struct node_channels *n, struct channel_ref ref)
{
    struct bus_channel *c = find_at(n, ref, CHANNEL_SENT);
    if (!c)
        return NULL;
    channel_set_state(c, CHANNEL_ACTIVE);
    c->told_denied = false;
    return c;
}

// Channels of a batch stand one behind the other; those that have left the node since are not among them.
static struct bus_channel *first_of_batch(const struct node_channels *n, uint32_t batch)
{
    struct bus_channel *c = first_in(n, CHANNEL_SENT);
    while (c && c->batch != batch)
        c = TAILQ_NEXT(c, in_state);
    return c;
}

struct bus_channel *node_channels_refuse(struct node_channels *n, uint32_t batch, size_t count)
{
    struct bus_channel *c = first_of_batch(n, batch), *next;
    if (c && count == 1) {
        channel_set_state(c, CHANNEL_DENIED);
        return c;
    }
    for (; c && c->batch == batch; c = next) {
        next = TAILQ_NEXT(c, in_state);
        channel_set_state(c, CHANNEL_FRESH);
        c->batch = batch;
    }
    return NULL;
}

void node_channels_batch_moved(struct node_channels *n, uint32_t batch)
{
    for (struct bus_channel *c = first_of_batch(n, batch), *next; c && c->batch == batch; c = next) {
        next = TAILQ_NEXT(c, in_state);
        if (c->lingering)
            channels_forget(n->all, c);
        else
            channel_set_state(c, CHANNEL_MOVED);
    }
}

struct bus_channel *node_channels_unsubscribed(struct node_channels *n, struct channel_ref ref)
{
    struct bus_channel *c = find_at(n, ref, CHANNEL_ACTIVE);
    if (c && c->lingering) {
        channels_forget(n->all, c);
        return NULL;
    }
    if (c)
        channel_set_state(c, CHANNEL_MOVED);
    return c;
}

void node_channels_retry(struct node_channels *n, enum channel_state state)
{
    assert(state == CHANNEL_MOVED || state == CHANNEL_DENIED);
    for (struct bus_channel *c; (c = first_in(n, state));) {
        channel_set_state(c, CHANNEL_FRESH);
        c->batch = state == CHANNEL_DENIED; // it is sent alone
    }
}

// Internal channels last, then by slot.
static int by_slot(const void *a, const void *b)
{
    const struct bus_channel *x = *(struct bus_channel *const *)a, *y = *(struct bus_channel *const *)b;
    if (!x->handler != !y->handler)
        return x->handler ? 1 : -1;
    return (x->slot > y->slot) - (x->slot < y->slot);
}

void node_channels_sort_fresh(struct node_channels *n)
{
    struct channel_list *fresh = &n->in_state[CHANNEL_FRESH];
    struct bus_channel *c;
    size_t count = 0, i = 0;
    TAILQ_FOREACH(c, fresh, in_state)
    count++;
    struct bus_channel **array = count > 1 ? malloc(count * sizeof(struct bus_channel *)) : NULL;
    if (!array)
        return;
    TAILQ_FOREACH(c, fresh, in_state)
    array[i++] = c;
    qsort(array, count, sizeof(struct bus_channel *), by_slot);
    TAILQ_INIT(fresh);
    for (i = 0; i < count; i++)
        TAILQ_INSERT_TAIL(fresh, array[i], in_state);
    free(array);
}

static void reset_channel(void *ctx, struct bus_channel *c)
{
    if (c->lingering)
        channels_forget(ctx, c);
    else if (c->state == CHANNEL_FRESH)
        c->batch = 0;
    else
        channel_set_state(c, CHANNEL_FRESH);
}

void node_channels_reset(struct node_channels *n)
{
    node_channels_each(n, reset_channel, n->all);
}

size_t node_channels_take_expired(struct node_channels *n, uint64_t now_ms, struct bus_channel **out,
                                  size_t max)
{
    size_t count = 0;
    for (struct bus_channel *c;
         count < max && (c = TAILQ_FIRST(&n->lingering)) && c->linger_until_ms <= now_ms;) {
        channel_remove(n->all, c);
        out[count++] = c;
    }
    return count;
}

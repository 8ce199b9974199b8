#include "gateway/fanout/cursor.h"

#include <assert.h>
#include <stdint.h>
#include <string.h>
#include <xxhash.h>

#include "common/base64url.h"

#define CHECK_SIZE 3u
#define HEAD_SIZE (CHECK_SIZE + 1u)
#define BYTES_MAX (CURSOR_MAX / 4u * 3u)
#define VARINT_MAX 10u
#define SHORT_HASH 3u // bytes
#define LONG_HASH 8u
#define ENTRY_MAX (LONG_HASH + 2u * VARINT_MAX)

#define FLAGS_VERSION 0x20u // in the high bits, so that another form can follow
#define FLAG_CUT 0x01u      // some channels are left out that the client had
#define FLAG_LONG 0x02u     // there are long entries

uint64_t cursor_hash(const char *channel, size_t len)
{
    return XXH3_64bits(channel, len);
}

static uint32_t short_hash(uint64_t hash)
{
    return (uint32_t)hash & 0xffffffu;
}

static uint32_t check_of(const uint8_t *bytes, size_t len)
{
    return (uint32_t)XXH3_64bits(bytes, len) & 0xffffffu;
}

static size_t put_varint(uint8_t *out, uint64_t value)
{
    size_t n = 0;
    for (; value >= 0x80; value >>= 7)
        out[n++] = (uint8_t)(value | 0x80);
    out[n++] = (uint8_t)value;
    return n;
}

static bool get_varint(const uint8_t **p, const uint8_t *end, uint64_t *value)
{
    *value = 0;
    for (unsigned shift = 0; *p < end && shift < 64; shift += 7) {
        uint8_t byte = *(*p)++;
        *value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80)
            return true;
    }
    return false;
}

static void put_big_endian(uint8_t *out, uint64_t value, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        out[i] = (uint8_t)(value >> (8 * (bytes - 1 - i)));
}

static uint64_t get_big_endian(const uint8_t *in, unsigned bytes)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < bytes; i++)
        value = value << 8 | in[i];
    return value;
}

// Which entries share their short hash with another one. The table holds the first entry of each short hash, as its index
// and one; 0 is no entry.
#define TABLE_MAX (2u * CURSOR_ENTRIES_MAX)
struct shared_hashes {
    const struct cursor_entry *entries;
    size_t count;
    uint64_t shared[CURSOR_ENTRIES_MAX / 64]; // a bit for each entry
    uint16_t table[TABLE_MAX];
};

static void share_bit(struct shared_hashes *f, size_t entry)
{
    f->shared[entry / 64] |= UINT64_C(1) << entry % 64;
}

static bool is_shared(const struct shared_hashes *f, size_t entry)
{
    return f->shared[entry / 64] >> entry % 64 & 1;
}

static void find_shared(struct shared_hashes *f, const struct cursor_entry *entries, size_t count)
{
    size_t size = 64;
    assert(count <= CURSOR_ENTRIES_MAX);
    while (size < 2 * count)
        size *= 2;
    f->entries = entries;
    f->count = count;
    memset(f->shared, 0, (count + 63) / 64 * sizeof *f->shared);
    memset(f->table, 0, size * sizeof *f->table);
    for (size_t i = 0; i < count; i++) {
        uint32_t hash = short_hash(entries[i].hash);
        size_t at = hash & (size - 1);
        while (f->table[at] != 0 && short_hash(entries[f->table[at] - 1u].hash) != hash)
            at = (at + 1) & (size - 1);
        if (f->table[at] == 0) {
            f->table[at] = (uint16_t)(i + 1);
            continue;
        }
        share_bit(f, i);
        share_bit(f, f->table[at] - 1u);
    }
}

struct writer {
    uint8_t bytes[BYTES_MAX];
    size_t len;
    uint64_t newest;
};

// False where it does not fit.
static bool put_entry(struct writer *w, const struct cursor_entry *e, unsigned hash_size)
{
    uint8_t entry[ENTRY_MAX];
    put_big_endian(entry, hash_size == LONG_HASH ? e->hash : short_hash(e->hash), hash_size);
    size_t n = hash_size;
    n += put_varint(entry + n, e->at.offset);
    if (e->at.offset > 0)
        n += put_varint(entry + n, w->newest - e->at.ms);
    if (w->len + n > sizeof w->bytes)
        return false;
    memcpy(w->bytes + w->len, entry, n);
    w->len += n;
    return true;
}

// Behind their count, which a byte can hold: more than BYTES_MAX / LONG_HASH do not fit.
static void put_long_entries(struct writer *w, const struct shared_hashes *f)
{
    size_t count_at = w->len;
    for (size_t i = 0; i < f->count; i++) {
        const struct cursor_entry *e = &f->entries[i];
        if (e->result != CURSOR_KNOWN || !is_shared(f, i))
            continue;
        if (!(w->bytes[CHECK_SIZE] & FLAG_LONG))
            w->bytes[w->len++] = 0;
        w->bytes[CHECK_SIZE] |= FLAG_LONG;
        if (put_entry(w, e, LONG_HASH))
            w->bytes[count_at]++;
        else
            w->bytes[CHECK_SIZE] |= FLAG_CUT;
    }
}

static void put_short_entries(struct writer *w, const struct shared_hashes *f)
{
    for (size_t i = 0; i < f->count; i++) {
        if (w->bytes[CHECK_SIZE] & FLAG_CUT && w->len + SHORT_HASH >= sizeof w->bytes)
            break; // of thousands of channels a hundred or so fit
        const struct cursor_entry *e = &f->entries[i];
        if (e->result == CURSOR_UNKNOWN ||
            (e->result == CURSOR_KNOWN && !is_shared(f, i) && !put_entry(w, e, SHORT_HASH)))
            w->bytes[CHECK_SIZE] |= FLAG_CUT;
    }
}

size_t cursor_encode(const struct cursor_entry *entries, size_t count, char *out)
{
    struct shared_hashes shared;
    struct writer w = {.newest = 0};
    find_shared(&shared, entries, count);
    for (size_t i = 0; i < count; i++)
        if (entries[i].result == CURSOR_KNOWN && entries[i].at.ms > w.newest)
            w.newest = entries[i].at.ms;
    w.bytes[CHECK_SIZE] = FLAGS_VERSION;
    w.len = HEAD_SIZE + put_varint(w.bytes + HEAD_SIZE, w.newest);
    put_long_entries(&w, &shared);
    put_short_entries(&w, &shared);
    put_big_endian(w.bytes, check_of(w.bytes + CHECK_SIZE, w.len - CHECK_SIZE), CHECK_SIZE);
    char text[BASE64URL_TEXT(BYTES_MAX)]; // has an end mark, for which `out` has no room
    size_t len = base64url_encode(w.bytes, w.len, text);
    memcpy(out, text, len);
    return len;
}

static bool get_entry(const uint8_t **p, const uint8_t *end, uint64_t newest, unsigned hash_size,
                      uint64_t *hash, struct event_id *at)
{
    if (end - *p < (ptrdiff_t)hash_size)
        return false;
    *hash = get_big_endian(*p, hash_size);
    *p += hash_size;
    uint64_t age = newest;
    if (!get_varint(p, end, &at->offset) || (at->offset > 0 && !get_varint(p, end, &age)) || age > newest)
        return false;
    at->ms = newest - age;
    return true;
}

// Looks for the channel with the hash `wanted` in the entries from `p` on.
static enum cursor_result find_entry(const uint8_t *p, const uint8_t *end, uint8_t flags, uint64_t wanted,
                                     struct event_id *at)
{
    uint64_t newest, hash;
    if (!get_varint(&p, end, &newest) || (flags & FLAG_LONG && p == end))
        return CURSOR_UNKNOWN;
    unsigned found = 0, long_entries = flags & FLAG_LONG ? *p++ : 0;
    bool has_newest = false;
    for (unsigned i = 0; p < end || i < long_entries; i++) {
        unsigned size = i < long_entries ? LONG_HASH : SHORT_HASH;
        struct event_id one;
        if (!get_entry(&p, end, newest, size, &hash, &one))
            return CURSOR_UNKNOWN;
        has_newest |= one.offset > 0 && one.ms == newest;
        if (hash == (size == LONG_HASH ? wanted : short_hash(wanted))) {
            *at = one;
            found++;
        }
    }
    if (found == 1) {
        if (at->offset == 0)
            at->ms = has_newest || flags & FLAG_CUT ? 0 : newest;
        return CURSOR_KNOWN;
    }
    return found > 1 || flags & FLAG_CUT ? CURSOR_UNKNOWN : CURSOR_NEW;
}

bool cursor_read(struct cursor *c, const char *text, size_t len)
{
    const uint8_t *bytes = c->bytes;
    return len <= CURSOR_MAX && base64url_decode(text, len, c->bytes, &c->len) && c->len > HEAD_SIZE &&
           (bytes[CHECK_SIZE] & ~(FLAG_CUT | FLAG_LONG)) == FLAGS_VERSION &&
           get_big_endian(bytes, CHECK_SIZE) == check_of(bytes + CHECK_SIZE, c->len - CHECK_SIZE);
}

enum cursor_result cursor_look_up(const struct cursor *c, uint64_t hash, struct event_id *at)
{
    return find_entry(c->bytes + HEAD_SIZE, c->bytes + c->len, c->bytes[CHECK_SIZE], hash, at);
}

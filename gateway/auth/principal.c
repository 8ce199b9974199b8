#include "gateway/auth/principal.h"

#include <stdlib.h>
#include <string.h>

#include "common/pattern.h"

static size_t text_size(const char *text)
{
    return text ? strlen(text) + 1 : 0;
}

static const char *keep(char **room, const char *text)
{
    if (!text)
        return NULL;
    char *at = *room;
    *room = stpcpy(at, text) + 1;
    return at;
}

struct principal *principal_create(const struct principal *from)
{
    size_t texts = text_size(from->subject) + text_size(from->token_id);
    for (size_t i = 0; i < from->pattern_count; i++)
        texts += text_size(from->patterns[i]);
    size_t table = from->pattern_count * sizeof *from->patterns;
    struct principal *p = malloc(sizeof *p + table + texts);
    if (!p)
        return NULL;
    const char **patterns = (const char **)(p + 1);
    char *room = (char *)(p + 1) + table;
    *p = *from;
    p->subject = keep(&room, from->subject);
    p->token_id = keep(&room, from->token_id);
    for (size_t i = 0; i < from->pattern_count; i++)
        patterns[i] = keep(&room, from->patterns[i]);
    p->patterns = patterns;
    return p;
}

void principal_destroy(struct principal *p)
{
    free(p);
}

void principal_admit(struct principal *p, int64_t now_s, uint64_t now_ms)
{
    if (p && p->expires_s)
        p->ends_ms = p->expires_s > now_s ? now_ms + (uint64_t)(p->expires_s - now_s) * 1000 : now_ms;
}

uint32_t principal_lasts_ms(const struct principal *p, uint64_t now_ms)
{
    if (!p || !p->expires_s)
        return PRINCIPAL_FAR_MS;
    if (p->ends_ms <= now_ms)
        return 0;
    return p->ends_ms - now_ms < PRINCIPAL_FAR_MS ? (uint32_t)(p->ends_ms - now_ms) : PRINCIPAL_FAR_MS;
}

bool principal_may(const struct principal *p, const char *channel, size_t len)
{
    for (size_t i = 0; p && i < p->pattern_count; i++)
        if (pattern_matches(p->patterns[i], channel, len))
            return true;
    return false;
}

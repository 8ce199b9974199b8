#include "gateway/bus/revocation.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "gateway/fanout/question.h"
#include "gateway/fanout/revocations.h"

static void tell(struct revocation *r, size_t worker, const struct question *news)
{
    struct question *q = question_create(news);
    const struct mail mail = {.kind = MAIL_ANSWER, .question = q};
    if (q && mailbox_post(r->env->delivery->workers[worker], &mail))
        return;
    free(q);
    r->recheck_due |= UINT64_C(1) << worker;
}

// "sub 1790000000 alice" or "jti 1790000000 a81f": what was issued up to that Unix time is refused. False where
// `text`, which is cut up, is something else.
static bool parse(char *text, struct question *out)
{
    static const char *const kinds[QUESTION_TEXTS] = {REVOKED_SUBJECT " ", REVOKED_TOKEN " "};
    *out = (struct question){.kind = QUESTION_REVOKED, .is_answered = true};
    for (unsigned i = 0; i < QUESTION_TEXTS; i++) {
        if (strncmp(text, kinds[i], 4) != 0)
            continue;
        char *end;
        errno = 0;
        long long time = strtoll(text + 4, &end, 10);
        if (errno != 0 || end == text + 4 || *end != ' ' || end[1] == '\0' || time <= 0)
            return false;
        out->numbers[i] = time;
        out->texts[i] = end + 1;
        return true;
    }
    return false;
}

// "replaced OWNER:ID", in hexadecimal digits. False where `text` is something else, or another process' lease.
static bool parse_replaced(const struct revocation *r, const char *text, struct question *out)
{
    size_t owner_len = r->lease_owner ? strlen(r->lease_owner) : 0;
    const char *name = text + strlen(REVOCATION_REPLACED);
    if (owner_len == 0 || strncmp(name, r->lease_owner, owner_len) != 0 || name[owner_len] != ':')
        return false;
    char *end;
    *out = (struct question){.kind = QUESTION_RENEW, .is_answered = true};
    out->connection = strtoull(name + owner_len + 1, &end, 16);
    return *end == '\0' && out->connection != 0;
}

static void remember(struct revocations *known, const struct question *news)
{
    for (unsigned i = 0; known && i < QUESTION_TEXTS; i++)
        if (news->texts[i])
            revocations_add(known, i, news->texts[i], strlen(news->texts[i]));
}

static void on_message(void *ctx, const char *payload, size_t len)
{
    struct revocation *r = ctx;
    char *text = strndup(payload, len);
    struct question news;
    if (!text) {
        revocations_forget(r->env->revocations);
        r->recheck_due = UINT64_MAX;
        return;
    }
    bool is_lease = strncmp(text, REVOCATION_REPLACED, strlen(REVOCATION_REPLACED)) == 0;
    bool is_news = is_lease ? parse_replaced(r, text, &news) : parse(text, &news);
    if (is_news && !is_lease)
        remember(r->env->revocations, &news);
    for (size_t w = 0; is_news && w < r->env->delivery->worker_count; w++)
        tell(r, w, &news);
    if (!is_news && !is_lease)
        log_warn("redis", "a message at " REVOCATION_CHANNEL " was not understood, and revokes nothing");
    free(text);
}

static void on_subscribed(void *ctx)
{
    struct revocation *r = ctx;
    r->recheck_due = UINT64_MAX;
    revocations_forget(r->env->revocations);
    revocation_retry(r);
}

static void on_unsubscribed(void *ctx)
{
    (void)ctx; // it is subscribed anew
}

const struct channel_handler revocation_handler = {.on_message = on_message,
                                                   .on_subscribed = on_subscribed,
                                                   .on_unsubscribed = on_unsubscribed,
                                                   .when_denied = "revoked users keep their open streams"};

void revocation_retry(struct revocation *r)
{
    const struct mail mail = {.kind = MAIL_RECHECK};
    const struct bus_channel *c =
        channels_find(r->env->channels, channel_ref(REVOCATION_CHANNEL, strlen(REVOCATION_CHANNEL)));
    revocation_scan_tick(&r->scan, c && c->state == CHANNEL_ACTIVE);
    for (size_t w = 0; w < r->env->delivery->worker_count; w++)
        if ((r->recheck_due & UINT64_C(1) << w) && mailbox_post(r->env->delivery->workers[w], &mail))
            r->recheck_due &= ~(UINT64_C(1) << w);
}

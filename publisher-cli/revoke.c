#include "publisher-cli/revoke.h"

#include "common/revocation_names.h"
#include "publisher-cli/keyed.h"

#include <hiredis/hiredis.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static const char *name_of(const struct revocation *revocation)
{
    return revocation->subject ? revocation->subject : revocation->token;
}

const char *revoke_problem(const struct revocation *revocation)
{
    const char *name = name_of(revocation);
    if (name[0] == '\0')
        return "the subject or the id of the token is empty";
    if (strlen(name) > REVOKE_NAME_MAX)
        return "the subject or the id of the token is too long; gateways let in 296 bytes";
    return NULL;
}

static bool take(const struct connection *connection, struct redisReply *reply, struct failure *failure)
{
    bool ok = reply->type == REDIS_REPLY_STATUS;
    bool is_denied = reply->type == REDIS_REPLY_ERROR && strncmp(reply->str, "NOPERM", 6) == 0;
    if (!ok)
        (void)connection_refused(
            connection, reply->type == REDIS_REPLY_ERROR ? reply->str : "its answer makes no sense",
            is_denied ? "; the ACL of this user must allow it: +set and ~" REVOKED_KEYS "*" : NULL, failure);
    freeReplyObject(reply);
    return ok;
}

// SET may be done twice.
static bool set_key(const struct redis_target *target, const char *const *words, struct failure *failure)
{
    struct connection *connection = NULL;
    struct redisReply *reply = keyed_ask(target, &connection, words, failure);
    bool ok = reply && take(connection, reply, failure);
    connection_close(connection);
    return ok;
}

static bool tell(const struct redis_target *target, const struct revocation *revocation, const char *text,
                 uint64_t *receivers, struct failure *failure)
{
    const struct publisher_settings settings = {
        .target = target, .channel = REVOCATION_CHANNEL, .is_sharded = revocation->is_sharded};
    struct publisher *publisher = publisher_create(&settings, failure);
    bool ok = publisher && publisher_send(publisher, (struct span){text, strlen(text)}, failure) &&
              publisher_flush(publisher, failure);
    if (ok)
        *receivers = publisher_totals(publisher).receivers_max;
    publisher_destroy(publisher);
    return ok;
}

bool revoke_send(const struct redis_target *target, const struct revocation *revocation, bool *key_is_set,
                 uint64_t *receivers, struct failure *failure)
{
    char key[REVOKE_NAME_MAX + 32], now[24], seconds[24], text[REVOKE_NAME_MAX + 32];
    const char *kind = revocation->subject ? REVOKED_SUBJECT : REVOKED_TOKEN, *name = name_of(revocation);
    const char *words[] = {"SET", key, now, "EX", seconds, NULL};
    snprintf(key, sizeof key, REVOKED_KEYS "%s:%s", kind, name);
    snprintf(now, sizeof now, "%" PRId64, (int64_t)time(NULL));
    snprintf(seconds, sizeof seconds, "%" PRIu64, revocation->for_s);
    snprintf(text, sizeof text, "%s %s %s", kind, now, name);
    *key_is_set = set_key(target, words, failure);
    return *key_is_set && tell(target, revocation, text, receivers, failure);
}

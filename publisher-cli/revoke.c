#include "publisher-cli/revoke.h"

#include "common/redis_url.h"
#include "common/revocation_names.h"
#include "publisher-cli/connection.h"
#include "publisher-cli/keyed.h"
#include "publisher-cli/publish.h"
#include "publisher-cli/report.h"
#include "publisher-cli/target.h"

#include <hiredis/hiredis.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define NAME_MAX_LEN 296 // bytes of a subject or a token's id that gateways let in
#define FOR_DEFAULT_S 86400

struct revocation {
    const char *subject, *token; // one of the two is not NULL
    uint64_t for_s;
    bool is_sharded; // of the message: SPUBLISH
};

static const char *name_of(const struct revocation *revocation)
{
    return revocation->subject ? revocation->subject : revocation->token;
}

// NULL, or what is wrong with the revocation.
static const char *problem_of(const struct revocation *revocation)
{
    const char *name = name_of(revocation);
    if (revocation->for_s == 0)
        return "--until: that time is past";
    if (name[0] == '\0')
        return "the subject or the id of the token is empty";
    if (strlen(name) > NAME_MAX_LEN)
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
    bool ok = publisher && publisher_send(publisher, (struct span){text, strlen(text)}, false, failure) &&
              publisher_flush(publisher, failure);
    if (ok)
        *receivers = publisher_totals(publisher).receivers_max;
    publisher_destroy(publisher);
    return ok;
}

// False on failure; `*key_is_set` says whether gateways will find the revocation nevertheless. `receivers` gets how
// many connections of gateways got the message.
static bool send_all(const struct redis_target *target, const struct revocation *revocation, bool *key_is_set,
                     uint64_t *receivers, struct failure *failure)
{
    char key[NAME_MAX_LEN + 32], now[24], seconds[24], text[NAME_MAX_LEN + 32];
    const char *kind = revocation->subject ? REVOKED_SUBJECT : REVOKED_TOKEN, *name = name_of(revocation);
    const char *words[] = {"SET", key, now, "EX", seconds, NULL};
    snprintf(key, sizeof key, REVOKED_KEYS "%s:%s", kind, name);
    snprintf(now, sizeof now, "%" PRId64, (int64_t)time(NULL));
    snprintf(seconds, sizeof seconds, "%" PRIu64, revocation->for_s);
    snprintf(text, sizeof text, "%s %s %s", kind, now, name);
    *key_is_set = set_key(target, words, failure);
    return *key_is_set && tell(target, revocation, text, receivers, failure);
}

static uint64_t seconds_of(const struct settings *settings, uint64_t now)
{
    if (settings->until != OPTION_UNSET)
        return settings->until > now ? settings->until - now : 0;
    return settings->revoke_for != OPTION_UNSET ? (settings->revoke_for + 999) / 1000 : FOR_DEFAULT_S;
}

static enum exit_status revoke(const struct settings *settings, const struct redis_url *url,
                               const struct redis_target *target)
{
    uint64_t now = (uint64_t)time(NULL), receivers = 0;
    bool key_is_set = false;
    struct failure failure;
    const struct revocation revocation = {.subject = settings->revoke_subject,
                                          .token = settings->revoke_token,
                                          .for_s = seconds_of(settings, now),
                                          .is_sharded = url->sharded};
    const char *problem = problem_of(&revocation);
    if (problem)
        return fail(EXIT_USAGE, problem);
    if (send_all(target, &revocation, &key_is_set, &receivers, &failure)) {
        report_revocation(settings, name_of(&revocation), now + revocation.for_s, receivers);
        return EXIT_DONE;
    }
    (void)fail(EXIT_REFUSED, failure.text);
    if (key_is_set)
        fprintf(stderr,
                "sse-publish: the key is set, but gateways were not told: open streams stay, and new ones "
                "are refused within an hour; try again\n");
    return EXIT_REFUSED;
}

enum exit_status revoke_command(const struct settings *settings)
{
    struct redis_url url = {0};
    struct redis_target target = {0};
    struct failure failure;
    enum exit_status status = target_init(settings, &url, &target, &failure) ? revoke(settings, &url, &target)
                                                                             : fail(EXIT_USAGE, failure.text);
    redis_url_deinit(&url);
    return status;
}

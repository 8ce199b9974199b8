#include "gateway/redis/history_request.h"

#include <inttypes.h>
#include <stdio.h>

#include "common/function_library.h"
#include "common/pattern.h"

static bool send_page_request(struct redis_conn *conn, const struct history_query *q, const char *key)
{
    char from[48], count[16];
    snprintf(from, sizeof from, "%" PRIu64 "-%" PRIu64, q->from.ms, q->from.offset);
    snprintf(count, sizeof count, "%u", q->entries);
    const char *argv[] = {"XRANGE", key, from, "+", "COUNT", count};
    return redis_conn_send(conn, 6, argv, NULL);
}

bool request_send(const struct request *r, struct redis_conn *conn)
{
    char key[CHANNEL_NAME_MAX + 16];
    snprintf(key, sizeof key, "sse:{%.*s}", (int)r->len, r->channel);
    const char *last[] = {"XREVRANGE", key, "+", "-", "COUNT", "1"};
    const char *version[] = {"FCALL_RO", "sse_version", "0"};
    const char *load[] = {"FUNCTION", "LOAD", "REPLACE", function_library_text};
    switch (r->kind) {
    case ASK_LAST:
        return redis_conn_send(conn, 6, last, NULL);
    case ASK_PAGE:
        return send_page_request(conn, &r->page.query, key);
    case ASK_LIBRARY:
        return redis_conn_send(conn, 3, version, NULL);
    case LOAD_LIBRARY:
        return redis_conn_send(conn, 4, load, NULL);
    }
    return false;
}

bool request_is_answered_by(const struct request *r, const redisReply *reply)
{
    bool wants_array = r->kind == ASK_LAST || r->kind == ASK_PAGE;
    return reply->type == REDIS_REPLY_ERROR || (reply->type == REDIS_REPLY_ARRAY) == wants_array;
}

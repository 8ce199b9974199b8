#include "gateway/client/ticket_request.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/log.h"
#include "gateway/auth/principal.h"
#include "gateway/auth/ticket_keys.h"
#include "gateway/client/admission.h"
#include "gateway/client/answer.h"
#include "gateway/client/auth.h"
#include "gateway/client/conn_account.h"
#include "gateway/client/http_target.h"

enum admission_verdict admission_ticket(struct admission *a)
{
    const struct client_context *cx = conn_context(a->conn);
    struct ticket_keys *keys = cx->settings->ticket_keys;
    char buf[HTTP_TARGET_MAX];
    struct http_text text =
        keys ? http_query_find(a->req->query, "ticket", buf, sizeof buf) : (struct http_text){0};
    struct ticket ticket;
    if (!text.at)
        return ADMISSION_GRANTED;
    switch (ticket_keys_read(keys, text.at, text.len, time(NULL), &ticket)) {
    case TICKET_MALFORMED:
        counter_add(cx->counters, COUNTER_DENIED_TICKET, 1);
        return admission_deny(a, 401, "This ticket is malformed, or no gateway of this tier has signed it.");
    case TICKET_EXPIRED:
        counter_add(cx->counters, COUNTER_DENIED_TICKET_EXPIRED, 1);
        return admission_deny(a, 401, "This ticket has expired.");
    case TICKET_NO_MEMORY:
        return admission_deny(a, 0, BUSY);
    case TICKET_ACCEPTED:
        break;
    }
    memcpy(a->nonce, ticket.nonce, sizeof a->nonce);
    a->conn->principal = ticket.who;
    return ADMISSION_GRANTED;
}

// Whether the query names channels, or tries to: the ticket must not grant more than the client meant to ask for.
static bool names_channels(const struct http_request *req)
{
    char buf[HTTP_TARGET_MAX];
    struct http_text rest = req->query, name, value;
    int more;
    while ((more = http_query_next(&rest, buf, sizeof buf, &name, &value)) > 0)
        if (name.len == strlen("channel") && memcmp(name.at, "channel", name.len) == 0)
            return true;
    return more < 0;
}

// What the ticket lets in: the channels that are asked for, else what the token grants. Returns 0 or a status.
static int narrow(struct client_context *cx, const struct http_request *req, struct principal *who,
                  const char **patterns, char *detail, size_t detail_size)
{
    struct stream_request *want = &cx->request;
    if (!names_channels(req))
        return 0;
    int status = stream_request_parse(want, req, detail, detail_size);
    if (status == 0)
        status = auth_check(cx->settings, cx->counters, who, want, detail, detail_size);
    for (size_t i = 0; status == 0 && i < want->channel_count; i++)
        patterns[i] = want->channels[i].name;
    who->patterns = patterns;
    who->pattern_count = want->channel_count;
    return status;
}

static void answer_ticket(struct conn *c, const struct http_request *req, const char *ticket)
{
    struct client_context *cx = conn_context(c);
    char body[TICKET_TEXT_MAX + 64];
    int body_len =
        snprintf(body, sizeof body, "{\"ticket\":\"%s\",\"expires_in\":%d}\n", ticket, TICKET_LIFE_S);
    const struct http_answer answer = {
        .status = 200, .content_type = "application/json", .body_len = (size_t)body_len};
    size_t len = http_answer_head(&cx->policy, req, &answer, cx->scratch, SCRATCH_SIZE - sizeof body);
    if (len > 0)
        memcpy(cx->scratch + len, body, (size_t)body_len);
    answer_scratch(c, len ? len + (size_t)body_len : 0, CLOSE_ANSWERED);
}

static void answer_unsigned(struct conn *c, const struct http_request *req, int failure)
{
    if (failure == EMSGSIZE) {
        answer_problem(c, req, 400,
                       "The token grants too much for a ticket; name the channels: ?channel=NAME.");
        return;
    }
    counter_add(conn_context(c)->counters, COUNTER_TICKETS_FAILED, 1);
    char id[CONN_ID_TEXT];
    conn_id_print(c, id);
    log_error("auth", "cannot sign a ticket for connection %s: %s; its client is told to try again", id,
              strerror(failure));
    answer_later(c, req, 503, BUSY);
}

// `granted` is borrowed.
static void sign(struct conn *c, const struct http_request *req, const struct principal *granted)
{
    struct client_context *cx = conn_context(c);
    char detail[ADMISSION_DETAIL_MAX], ticket[TICKET_TEXT_MAX + 1];
    struct principal who = *granted;
    const char **patterns = calloc(cx->settings->max_channels, sizeof *patterns);
    if (!patterns) {
        answer_later(c, req, 503, BUSY);
        return;
    }
    int status = narrow(cx, req, &who, patterns, detail, sizeof detail);
    if (status != 0)
        answer_problem(c, req, status, detail);
    else if (ticket_keys_sign(cx->settings->ticket_keys, &who, time(NULL), ticket) == 0)
        answer_unsigned(c, req, errno);
    else
        answer_ticket(c, req, ticket);
    free(patterns);
}

static void request_ticket(struct conn *c, const struct http_request *req, const struct route *r)
{
    struct client_context *cx = conn_context(c);
    char detail[ADMISSION_DETAIL_MAX];
    (void)r; // the path says it all
    if (!admission_take_rate(c, req)) {
        answer_later(c, req, 429, TOO_FAST);
        return;
    }
    int status = auth_identify(cx->settings, cx->counters, req, &c->principal, detail, sizeof detail);
    if (status == AUTH_TRY_AGAIN)
        answer_later(c, req, 503, detail);
    else if (status != 0)
        answer_problem(c, req, status, detail);
    else if (c->principal)
        sign(c, req, c->principal);
    else {
        counter_add(cx->counters, COUNTER_DENIED_NO_TOKEN, 1);
        answer_problem(c, req, 401, "A ticket is given for a token; send it as Authorization: Bearer.");
    }
}

struct route ticket_route(void)
{
    return (struct route){.path = TICKET_PATH,
                          .or_slash = true,
                          .methods = ROUTE_METHOD(HTTP_POST) | ROUTE_METHOD(HTTP_OPTIONS),
                          .roles = LISTENER_PUBLIC,
                          .handle = request_ticket};
}

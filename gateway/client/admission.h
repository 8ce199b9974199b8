// Decides whether a stream is admitted. The steps are asked in order; each grants, denies, or says that its
// answer is pending. While a step is pending the loop goes on (CONN_ADMITTING); the step answers by
// admission_continue with the id of the connection, never with a pointer: the client may have gone, or the
// gateway may have begun to drain.
//
// While every step answers at once nothing is allocated: the request is borrowed from the head that was read.
// For a pending step it is copied, and freed when the state is left.
#pragma once

#include "gateway/auth/ticket.h"
#include "gateway/client/conn.h"

#define ADMISSION_DETAIL_MAX 256

enum admission_verdict { ADMISSION_GRANTED, ADMISSION_DENIED, ADMISSION_PENDING };

// The request that a step decides about. Valid while the step runs.
struct admission {
    struct conn *conn;
    const struct http_request *req; // method, http_1_0, origin; others before any step was pending
    const struct stream_request *want;
    unsigned step;                    // index of the step that runs
    char nonce[2 * TICKET_NONCE + 1]; // of the ticket that the request has; "": none
    // Written by a step that denies.
    // Of a final error; or a refusal that may pass: 0, or 429 where a cap of one user or address is reached.
    int status;
    char detail[ADMISSION_DETAIL_MAX]; // one line for the client
};

struct admission_step {
    enum admission_verdict (*check)(struct admission *a);
    bool of_head;  // asked for HEAD, too, which gets the head that GET would get
    bool not_post; // not asked for POST: admission_before_body has
};

// The gateway's: where the client comes from, and how often; tokens, readiness, limits, the caps of the user and the
// address, joining the hub. A table ends with a row of zeros;
// client_settings.admission names another one.
extern const struct admission_step admission_steps[];
enum admission_verdict admission_address(struct admission *a);
enum admission_verdict admission_rate(struct admission *a);
// Reads ?ticket=: the connection gets the principal of its token, and admission_spend_ticket the nonce. Before
// admission_auth, which looks for no token then.
enum admission_verdict admission_ticket(struct admission *a); // in ticket_request.c
enum admission_verdict admission_auth(struct admission *a);
enum admission_verdict admission_readiness(struct admission *a);
enum admission_verdict admission_limits(struct admission *a);
enum admission_verdict admission_user(struct admission *a);
// Takes a lease of the tier's cap per user, in Redis, where the new stream is refused at the cap: before the ticket,
// which is not spent by a stream that is refused.
enum admission_verdict admission_tier(struct admission *a); // in admission_asks.c
// Spends the ticket of the request, in Redis. A ticket that was spent is final (401): the page has to get a new
// one. Where Redis does not answer the stream is refused, and the ticket may be good for another attempt.
enum admission_verdict admission_spend_ticket(struct admission *a); // in admission_asks.c
// Asks Redis whether the token was revoked, unless it is known that it is not. After admission_user: what is published
// from then on finds the connection there.
enum admission_verdict admission_revocation(struct admission *a); // likewise
// Has the user's oldest stream make way (--user-cap-policy oldest). After every step that may refuse: a token that was
// revoked, or a ticket that was spent, ends no stream of its user.
enum admission_verdict admission_replace(struct admission *a);     // at the cap of this gateway
enum admission_verdict admission_tier_newest(struct admission *a); // at that of the tier; in admission_asks.c
enum admission_verdict admission_join(struct admission *a);

// Finds where the client of `req` comes from, and takes one of the streams that may come from there (--connect-rate).
// False where there is none left, which is counted.
bool admission_take_rate(struct conn *c, const struct http_request *req);

// The head of a POST has come, its body may have: asks the steps that need no body, of which the rate takes, so that what
// a gateway refuses anyway takes no memory. False where the client was answered.
bool admission_before_body(struct conn *c, const struct http_request *req);

// For a step that denies: DENIED, with `detail` (cut where it is longer).
enum admission_verdict admission_deny(struct admission *a, int status, const char *detail);

// `c` asks for a stream, by a request that was checked. Leaves HEAD.
void admission_begin(struct conn *c, const struct http_request *req, const struct stream_request *want);
// The answer of the step that was pending for connection `id`, given once: GRANTED, or DENIED with `status`
// and `detail` as above (borrowed; ignored where granted). No effect where the connection does not wait for
// it any more.
void admission_continue(struct client_context *cx, uint64_t id, enum admission_verdict verdict, int status,
                        const char *detail);
// Ends the stream of `c`, or refuses the one that it waits for. `why` is for the latter.
void admission_end(struct conn *c, enum close_reason reason, const char *why);
// A step is pending, and will not be waited for: refuses (`why` is one short sentence).
void admission_refuse(struct conn *c, const char *why);

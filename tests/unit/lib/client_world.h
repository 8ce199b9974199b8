// A client_loop at work on a loop of the test, with a hub whose bus confirms what the test says, and clients
// on socket pairs.
#pragma once

#include "gateway/client/client_loop.h"
#include "gateway/client/conn.h"

#define CLIENT_ANSWER_MAX 65536

extern const struct drain_plan at_once; // all streams end in this turn

struct client_world {
    struct ev_loop *loop;
    struct client_loop clients;
    struct replay_budget replay_budget;
    struct client_settings settings; // change what matters before client_world_start
    struct counters counters;
    struct limits limits;
    struct listen_attributes from;   // of connections: public, without TLS
    const struct peer_address *peer; // where connections come from; NULL: not asked for
    const char *refusal;             // of the readiness hook: NULL lets streams in
};

struct client {
    int fd;
    char answer[CLIENT_ANSWER_MAX]; // what came so far, terminated
    size_t len;
    bool is_over; // the gateway's FIN or RST came
};

// Defaults: channels that begin with "open" are open to all, timeouts are long.
void client_world_init(struct client_world *w);
void client_world_start(struct client_world *w);
// Ends what is left, too: fails where a connection is not closed.
void client_world_stop(struct client_world *w);
// Redis confirms a channel without a history.
void client_world_confirm(struct client_world *w, const char *channel);

// A new connection of `w`; `c` need not be set.
void client_connect(struct client_world *w, struct client *c);
// Fails where the socket does not take it all.
void client_send(struct client *c, const char *bytes, size_t len);
// GET, on HTTP/1.1, with `headers` ("" or whole lines with CRLF).
void client_get(struct client *c, const char *target, const char *headers);
// Takes what has come to `answer`.
void client_read(struct client *c);
// Runs the loop until the answer holds `text`; fails where that does not come.
void client_wait_for(struct client_world *w, struct client *c, const char *text);
// Runs the loop until the gateway has ended the connection.
void client_wait_for_end(struct client_world *w, struct client *c);
void client_close(struct client *c);
// The one connection that there is on the gateway's side.
struct conn *client_world_conn(struct client_world *w);
// Runs the loop until no connection is left.
void client_world_wait_empty(struct client_world *w);

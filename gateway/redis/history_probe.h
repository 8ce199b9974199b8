// Whether a server answers queries of histories: part of the proof that a gateway is ready. A probe is sent
// at each connection and, after a refusal that may pass (MASTERDOWN, LOADING), until it is answered: a
// gateway that is not ready admits no streams, whose queries would show that the server answers again. The
// bus thread's alone.
#pragma once

#include <ev.h>

#include "common/pattern.h"
#include "gateway/redis/commands.h"

struct history_probe {
    struct command command;
    struct ev_loop *loop;
    struct commands *queue; // borrowed
    bool asked;
    char channel[CHANNEL_NAME_MAX]; // the last one that was refused; at first one that does not exist
    size_t channel_len;
    bool working;
    char fault[160]; // why the server does not answer while connected; empty: no reason is known
    ev_timer away;   // runs while `working`, but not connected, or connected and not answered yet
    bool told;       // it was logged that the server does not answer
};

// Not working yet. The probe is of class 0 of `queue`, which must be destroyed before the probe.
void history_probe_init(struct history_probe *p, struct ev_loop *loop, struct commands *queue);
void history_probe_deinit(struct history_probe *p);

void history_probe_connected(struct history_probe *p);
void history_probe_lost(struct history_probe *p); // the connection
// A query of a history was answered.
void history_probe_answered(struct history_probe *p);
// A query was refused for now. `channel` is asked for from now on; NULL: it was the probe itself.
void history_probe_refused(struct history_probe *p, const char *channel, size_t len, const char *error);
// Why the server does not answer, in one line; empty where it does.
const char *history_probe_fault(const struct history_probe *p);

// Asks for the newest entry of a channel: what the probe sends, too.
bool history_send_last(struct redis_conn *conn, const char *channel, size_t len);

// The life of an event stream on a connection: opened when Redis has confirmed its channels, kept alive,
// ended cleanly.
#pragma once

#include "gateway/client/conn.h"

// `c` is admitted: subscribes it, and opens its stream now or when Redis confirms. False when out of memory:
// the caller refuses.
bool stream_join(struct conn *c, const struct http_request *req, const struct stream_request *want);
// All channels are confirmed: sends the head and the first bytes, or 204 where nothing will come.
void stream_open(struct conn *c);
// Refuses a stream in state WAITING (`why` is static text).
void stream_refuse(struct conn *c, const char *why);
// Milliseconds since the stream was opened, by the ticks of the wheel.
uint64_t stream_age_ms(const struct conn *c);
// Ends with whole events, `retry:`, `gateway:close` where the client asked for it, and a last chunk.
void stream_end(struct conn *c, enum close_reason reason);
// The end of a turn: ends a stream that is read once, where it has had what there is.
void stream_end_once(struct conn *c);
// Sends a frame of one of the stream's channels.
void stream_deliver(struct conn *c, struct frame *f);
// The deadline of a stream: a heartbeat is due unless something was written meanwhile.
void stream_heartbeat(struct conn *c);

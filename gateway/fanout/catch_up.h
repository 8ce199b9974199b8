// Catch-up: streams that lag in a durable channel, either because they resume or because the channel lost
// events. The events that they miss come from the channel's replay; events that are not there are read from
// Redis a page at a time, one read per channel at a time however many streams wait for it. Each stream is fed
// as fast as its own socket takes frames, a few frames in turn, so that none waits for the slowest. A stream
// that has had the channel's last_id has caught up, and gets a slot. The hub's thread.
#pragma once

#include "gateway/fanout/hub_channel.h"

// Makes a subscriber's subscription a lagging one, without a slot. False when out of memory.
bool catch_up_add(struct hub *h, struct hub_channel *c, struct subscriber *s, uint32_t subscription,
                  enum lagging_mode mode, struct event_id at);
void catch_up_remove(struct hub *h, struct lagging *lag);
// Frees the channel's struct catch_up; no stream may lag in it.
void catch_up_destroy(struct hub *h, struct hub_channel *c);
// Moves all streams from their slots to the lagging ones, from the channel's last_id on. Drops the channel's
// replay.
void catch_up_all(struct hub *h, struct hub_channel *c);
// Moves all streams from their slots to the lagging ones, as LAGGING_FRESH: none has been opened yet.
void catch_up_begin_all(struct hub *h, struct hub_channel *c);
// Moves all streams from their slots to the lagging ones: the open ones as LAGGING_LOST, the others as
// LAGGING_FRESH.
void catch_up_lose_all(struct hub *h, struct hub_channel *c);
// Drops the channel's replay.
void catch_up_forget(struct hub *h, struct hub_channel *c);
// Wakes the channel's lagging streams: there may be a next step for them.
void catch_up_wake(struct hub *h, struct hub_channel *c);
// A live event has come, and is the channel's last_id: adds it to the replay.
void catch_up_append(struct hub *h, struct hub_channel *c, struct frame *f);
// The answer to on_history; `c` is NULL where the channel is gone. Takes the references of the frames.
void catch_up_take_page(struct hub *h, struct hub_channel *c, const struct history_page *page);
// A lagging stream may take more.
void catch_up_wake_one(struct hub *h, struct lagging *lag);
// As hub_feed and hub_tick.
bool catch_up_feed(struct hub *h, size_t budget);
void catch_up_tick(struct hub *h);

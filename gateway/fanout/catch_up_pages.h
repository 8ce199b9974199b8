// The pages of history that those who are behind in a durable channel wait for: one at a time is asked for
// and kept. And the bounds on what is remembered.
#pragma once

#include "gateway/fanout/hub_channel.h"

// Events of a channel's first page.
#define PAGE_ENTRIES_FIRST 16u
// A Redis that has less than what it published is asked again: a replica, or an old master, may still lag. So
// often.
#define SHORT_PAGES_MAX 12u

// Somebody waits for the page that begins at `from`.
void catch_up_want(struct catch_up *cu, struct event_id from);
// Asks for what is wanted, unless an answer is on its way. The page that is there is dropped when it comes.
void catch_up_ask(struct hub *h, struct catch_up *cu);
// Bytes that may be remembered beyond what is.
size_t catch_up_budget(const struct hub *h);
// Now and then: asks again for what did not come, or was too short.
void catch_up_look_after(struct hub *h, struct catch_up *cu);

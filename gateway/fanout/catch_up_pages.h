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
// Asks for what is wanted, unless an answer is on its way; as soon as there is room in the budget. The page that is
// there is dropped when the next one comes.
void catch_up_ask(struct hub *h, struct catch_up *cu);
// Asks for the pages that wait for room, as far as there is some.
void catch_up_ask_waiting(struct hub *h);
// The page that was asked for has come, or will not be taken.
void catch_up_end_read(struct hub *h, struct catch_up *cu);
// The replay of `cu` had `before` bytes: tells the budget what it has now.
void catch_up_account(struct hub *h, const struct catch_up *cu, size_t before);
// Now and then: asks again for what did not come, or was too short.
void catch_up_look_after(struct hub *h, struct catch_up *cu);

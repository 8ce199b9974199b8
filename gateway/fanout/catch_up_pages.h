// The pages of history that lagging streams wait for: one at a time of each channel is asked for and kept.
// Also bounds the memory of the replays. Pure: the answer comes by way of the caller.
#pragma once

#include "gateway/fanout/hub_channel.h"

// Entries of a channel's first page.
#define PAGE_ENTRIES_FIRST 16u
// Reads in a row of a history that ends before the channel's last_id, since a replica or an old master lags.
#define SHORT_PAGES_MAX 12u

// The replay of `cu` had `before` bytes: tells the budget what it has now.
void pages_account(struct hub *h, const struct catch_up *cu, size_t before);
// Drops the replay of `cu`.
void pages_forget(struct hub *h, struct catch_up *cu);

// A stream waits for the page that begins at `from`.
void pages_want(struct catch_up *cu, struct event_id from);
// Asks for the wanted page as soon as there is room in the budget, unless an answer is on its way. The
// current page is dropped when the next one comes.
void pages_ask(struct hub *h, struct catch_up *cu);
// Asks for the pages that wait for room, as far as there is some.
void pages_ask_waiting(struct hub *h);
// Gives up the page that was asked for: an answer that still comes is not taken.
void pages_stop(struct hub *h, struct catch_up *cu);
// Takes the references of the page's frames. False where it is not the one that was asked for; `cu` is NULL
// where nothing waits for it any more.
bool pages_take(struct hub *h, struct catch_up *cu, const struct history_page *page);
// As hub_page_lost.
void pages_lost(struct hub *h, uint32_t number);
// Called now and then: true where the next step of each lagging stream of the channel is to be decided anew.
bool pages_tick(struct hub *h, struct catch_up *cu);

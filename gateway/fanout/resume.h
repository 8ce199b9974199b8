// Where a stream begins in its channels, as its client's last event id says: one cursor (cursor.h), or several with
// commas between them, as sse_position gives one for each node of a cluster. Pure.
#pragma once

#include "gateway/fanout/hub.h"

// Sets `from` and `at` of the `count` names (all zero there), which are all channels of the stream. `ids` is terminated; ""
// is none. Each cursor speaks for the channels that it names, the later one of two. For a channel that no cursor names, an
// id that is no cursor counts before "earliest".
void resume_from(const char *ids, struct hub_name *names, size_t count);

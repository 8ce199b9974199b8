// The channels and options of a GET or POST /stream, read from its query, headers and body and checked
// (docs/protocol.md, "Requests"). Pure.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/pattern.h"
#include "gateway/client/http_request.h"

#define STREAM_CHANNELS_MAX 4096u // of one request, whatever the limit is
#define STREAM_WAIT_MAX_S 60      // of &wait=N: below it most proxies give an answer up
#define LAST_EVENT_ID_MAX 1024    // bytes of an id that a gateway made; a longer one is foreign
#define LAST_EVENT_IDS_MAX 4096   // bytes of all ids of a request; a cluster gives one for each channel
#define LAST_EVENT_IDS_COUNT                                                                                 \
    256u // ids of a request: each is looked at for each channel; of sse_position fewer have room

struct stream_channel {
    char name[CHANNEL_NAME_MAX + 1]; // terminated
    size_t len;
};

struct stream_request {
    struct stream_channel *channels; // distinct, in the order asked; owned; room for `channel_cap`
    size_t channel_count, channel_cap;
    uint16_t *index; // owned: a table that finds a channel by its name; 0, or its place in `channels` and one
    size_t index_size;
    // "" where absent; header, else last_event_id, else lastEventId; several ids with a comma between
    char last_event_id[LAST_EVENT_IDS_MAX + sizeof(",?")];
    size_t id_count;
    bool control;   // &control=1
    bool source;    // &source=1
    bool once;      // &live=0, or implied by &wait=N: the stream ends when it has had what there is
    uint8_t wait_s; // &wait=N: what there is may come within so many seconds; 0: must be there
};

// `max_channels`: how many channels a request may have. False when out of memory.
bool stream_request_init(struct stream_request *s, size_t max_channels);
void stream_request_deinit(struct stream_request *s);

// Reads `req` into `s` (reusable: what it held is forgotten). Returns 0, or the status 400 or 503 with one line in
// `detail` that says what is wrong (which parameter, which rule). Duplicate channels count once. Unknown
// parameters are ignored. A last event id that is too long, has a byte outside A-Z a-z 0-9 - _ . ~ or a
// broken percent-encoding is kept as "?" (it is foreign: never an error, never passed on), as is the first one
// that has no room.
int stream_request_parse(struct stream_request *s, const struct http_request *req, char *detail,
                         size_t detail_size);

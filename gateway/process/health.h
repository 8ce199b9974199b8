// Is the process alive, and is it ready for streams (docs/operations.md, "Live, ready, and proof")?
#pragma once

#include "gateway/client/conn_table.h"
#include "gateway/process/status.h"

// Why no new stream may be let in: a short static text; NULL when ready.
const char *health_refusal(const struct status *s);

// Answers /health/live, /health/ready and /health/detailed. False where `path` is none of them.
bool health_page(const struct status *s, const char *path, size_t path_len, struct client_page *out);

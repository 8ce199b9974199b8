// Whether the process is alive, and ready for streams (docs/operations.md, "Live, ready, and proof").
#pragma once

#include "gateway/client/http_request.h"
#include "gateway/client/page.h"
#include "gateway/process/status.h"

// Why no new stream may be admitted: a short static text; NULL when ready.
const char *health_refusal(const struct status *s);

// Pages (process/pages.h).
void health_live(void *status, const struct http_request *req, struct page *out);
void health_ready(void *status, const struct http_request *req, struct page *out);
void health_detailed(void *status, const struct http_request *req, struct page *out);

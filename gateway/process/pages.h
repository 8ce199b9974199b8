// The pages: health at both listeners, metrics and the dashboard at the admin listener.
#pragma once

#include "gateway/client/route.h"

// Their context is the struct status, borrowed. Any thread.
extern const struct route process_pages[];

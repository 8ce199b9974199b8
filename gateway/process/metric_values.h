// The metrics that no thread counts: what the process and its parts are like at this moment (VALUE in
// fanout/metric_list.h). On the main thread.
#pragma once

#include <stdbool.h>

#include "gateway/fanout/metric_list.h"
#include "gateway/process/status.h"

#define SKIP(...)
enum metric_value {
#define SYMBOL(symbol, ...) VALUE_##symbol,
    METRICS(SKIP, SKIP, SKIP, SKIP, SKIP, SYMBOL, SKIP)
#undef SYMBOL
        METRIC_VALUE_COUNT
};
#undef SKIP

struct metric_values {
    double value[METRIC_VALUE_COUNT];
    bool is_there[METRIC_VALUE_COUNT];
};

void metric_values_read(struct metric_values *v, const struct status *s);
// Memory and CPU alone, whose cost does not grow with the streams; leaves the others as they are.
void metric_values_read_usage(struct metric_values *v);

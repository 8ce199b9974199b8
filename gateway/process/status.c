#include "gateway/process/status.h"

uint64_t status_count(const struct status *s, enum counter which)
{
    uint64_t sum = counter_read(bus_counters(s->bus), which) + counter_read(s->admin, which);
    for (size_t i = 0; i < s->worker_count; i++)
        sum += counter_read(worker_counters(s->workers[i]), which);
    return sum;
}

uint64_t status_closes(const struct status *s, enum close_reason reason)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < s->worker_count; i++)
        sum += worker_closes(s->workers[i], reason);
    return sum;
}

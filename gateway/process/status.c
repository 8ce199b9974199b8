#include "gateway/process/status.h"

#include <assert.h>
#include <stdio.h>

#include "gateway/client/conn.h"

uint64_t status_count(const struct status *s, enum counter which)
{
    uint64_t sum = counter_read(bus_counters(s->bus), which) + counter_read(s->admin, which);
    for (size_t i = 0; i < s->worker_count; i++)
        sum += counter_read(worker_counters(s->workers[i]), which);
    return sum;
}

void status_times(const struct status *s, enum histogram_of which, struct histogram_sum *sum)
{
    *sum = (struct histogram_sum){0};
    histogram_add(&bus_counters(s->bus)->histograms[which], sum);
    histogram_add(&s->admin->histograms[which], sum);
    for (size_t i = 0; i < s->worker_count; i++)
        histogram_add(&worker_counters(s->workers[i])->histograms[which], sum);
}

const struct counters *status_thread(const struct status *s, size_t i, char name[STATUS_THREAD_NAME_MAX])
{
    size_t own = s->worker_count > 1 ? 2 : 1; // with one worker the bus runs in the worker's loop
    if (i >= own + s->worker_count)
        return NULL;
    if (i >= own) {
        snprintf(name, STATUS_THREAD_NAME_MAX, "worker%zu", i - own);
        return worker_counters(s->workers[i - own]);
    }
    snprintf(name, STATUS_THREAD_NAME_MAX, "%s", i == 0 ? "main" : "bus");
    return i == 0 ? s->admin : bus_counters(s->bus);
}

bool status_end_stream(void *status, uint64_t id, enum close_reason reason)
{
    const struct status *s = status;
    assert(conn_id_loop(id) < s->worker_count);
    return worker_end_stream(s->workers[conn_id_loop(id)], id, reason);
}

uint64_t status_closes(const struct status *s, enum close_reason reason)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < s->worker_count; i++)
        sum += worker_closes(s->workers[i], reason);
    return sum;
}

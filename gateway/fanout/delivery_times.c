#include "gateway/fanout/delivery_times.h"

static uint64_t since(uint64_t then_ns, uint64_t now_ns)
{
    return now_ns > then_ns ? now_ns - then_ns : 0;
}

void delivery_times_note(struct delivery_times *t, uint64_t read_at_ns)
{
    if (t->count > 0 && (t->read[t->count - 1].read_at_ns == read_at_ns || t->count == DELIVERY_TIMES_MAX)) {
        t->read[t->count - 1].messages++;
        return;
    }
    t->read[t->count].read_at_ns = read_at_ns;
    t->read[t->count++].messages = 1;
}

void delivery_times_observe(struct delivery_times *t, struct counters *counters, uint64_t begun_ns,
                            uint64_t now_ns)
{
    for (unsigned i = 0; i < t->count; i++)
        histogram_observe(&counters->histograms[HISTOGRAM_DELIVERY], since(t->read[i].read_at_ns, now_ns),
                          t->read[i].messages);
    histogram_observe(&counters->histograms[HISTOGRAM_FAN_OUT], since(begun_ns, now_ns), 1);
    t->count = 0;
}

// Feeds gateway/process/balance with what comes by standard input, and prints each step: what tests/sim/balance.test.mjs
// holds the model to. A line is `S TOLERANCE RATE SETTLE RETURN`, which begins anew, or `V` and the members of a view.
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "gateway/process/balance.h"

static const char *const events[] = {"none", "begun", "done", "stopped", "in vain"};

static bool read_settings(const char *line, struct balance *b)
{
    struct balance_settings s = {0};
    if (sscanf(line, "S %lf %" SCNu64 " %" SCNu64 " %" SCNu64, &s.tolerance, &s.rate, &s.settle_ms,
               &s.return_ms) != 4)
        return false;
    *b = (struct balance){.settings = s};
    return true;
}

static bool read_view(const char *line, struct balance_view *v)
{
    int allowed;
    int fields = sscanf(line,
                        "V %" SCNu64 " %d %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64
                        " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64,
                        &v->now_ms, &allowed, &v->own, &v->own_capacity, &v->others, &v->all_capacity,
                        &v->lowest, &v->lowest_capacity, &v->members, &v->oldest_news_ms, &v->moved);
    v->is_allowed = allowed != 0;
    return fields == 11;
}

int main(void)
{
    struct balance balance;
    struct balance_view view = {0};
    char line[512];
    while (fgets(line, sizeof line, stdin)) {
        if (read_settings(line, &balance))
            continue;
        if (!read_view(line, &view)) {
            (void)fprintf(stderr, "not a view: %s",
                          line); // to standard error, about which nothing can be done
            return 2;
        }
        struct balance_step step = balance_step(&balance, &view);
        printf("%" PRIu64 " %" PRIu64 " %s\n", step.end, step.min_age_ms, events[step.event]);
    }
    return 0;
}

// Prints docs/metrics.md from the list of metrics. Run by tests/docs/check-metrics.
#include <stdio.h>

#include "gateway/client/close_reason.h"
#include "gateway/fanout/metric_list.h"

#define COUNTER "counter"
#define GAUGE "gauge"
#define HISTOGRAM "histogram"
#define INFO "gauge"

static void print_group(const char *heading)
{
    printf("\n## %s\n\n| metric | type | unit | meaning |\n|---|---|---|---|\n", heading);
}

static void print_metric(const char *name, const char *type, const char *unit, const char *label,
                         const char *help)
{
    printf("| `%s` | %s | %s | %s", name, type, unit, help);
    if (label[0])
        printf("; label: `%s`", label);
    printf(" |\n");
}

static void print_value(const char *label, const char *value, const char *help)
{
    printf("| `{%s=\"%s\"}` | | | %s |\n", label, value, help);
}

// The values of the label stand in a list of their own.
static void print_reasons(void)
{
#define X(symbol, name, meaning) print_value("reason", name, meaning);
    CLOSE_REASONS(X)
#undef X
}
#define print_rows_of(symbol) print_rows_of_##symbol
#define print_rows_of_BUILD (void)0
#define print_rows_of_LOOP_LAG (void)0
#define print_rows_of_CLOSES print_reasons()
#define print_rows_of_CERTIFICATES (void)0
#define print_rows_of_REBALANCE_MODE (void)0

int main(void)
{
    const char *family = "";
    puts("<!-- Made from gateway/fanout/metric_list.h by tests/docs/check-metrics --write: change it there. "
         "-->\n\n# Metrics\n\n"
         "What `GET /metrics` on the admin listener shows: Prometheus text, or OpenMetrics where `Accept` "
         "asks for it, as\n"
         "Prometheus does. Counters begin at 0 with the process; no label holds a user or a channel. What to "
         "watch, and the\n"
         "alerts: [operations.md](operations.md#metrics).");
#define GROUP(heading) print_group(heading);
#define FAMILY(name, type, unit, label, help) print_metric(name, type, unit, "", help), family = label;
#define ROW(symbol, value, help) print_value(family, value, help);
#define SUM(symbol, name, type, unit, help) print_metric(name, type, unit, "", help);
#define TIMES SUM
#define VALUE SUM
#define EACH(symbol, name, type, unit, label, help)                                                          \
    print_metric(name, type, unit, label, help), print_rows_of(symbol);
    METRICS(GROUP, FAMILY, ROW, SUM, TIMES, VALUE, EACH)
    return fflush(stdout) == 0 ? 0 : 1;
}

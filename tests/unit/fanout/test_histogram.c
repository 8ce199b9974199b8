// Durations are in the bucket that they belong to, of all threads together, and percentiles are those of Prometheus.
#include "gateway/fanout/histogram.h"

#include <stdlib.h>

#include "gateway/fanout/delivery_times.h"
#include "tests/unit/lib/unit_main.h"

#define MS UINT64_C(1000000)

static struct histogram_sum sum_of(const struct histogram *h)
{
    struct histogram_sum sum = {0};
    histogram_add(h, &sum);
    return sum;
}

TEST_LOOP(a_bound_belongs_to_its_bucket_and_what_is_longer_to_the_next, 0, HISTOGRAM_BUCKETS - 1)
{
    struct histogram h = {0};
    histogram_observe(&h, histogram_bounds[_i].ns, 3);
    histogram_observe(&h, histogram_bounds[_i].ns + 1, 4);
    struct histogram_sum sum = sum_of(&h);
    ck_assert_uint_eq(sum.buckets[_i], 3);
    ck_assert_uint_eq(sum.buckets[_i + 1], 4);
    ck_assert_uint_eq(sum.count, 7);
    ck_assert_uint_eq(sum.sum_ns, 7 * histogram_bounds[_i].ns + 4);
}

TEST_LOOP(the_text_of_a_bound_says_its_seconds, 0, HISTOGRAM_BUCKETS - 1)
{
    ck_assert_double_eq_tol(strtod(histogram_bounds[_i].text, NULL) * 1e9, (double)histogram_bounds[_i].ns,
                            0.5);
}

TEST(sums_of_threads_add_up)
{
    struct histogram one = {0}, two = {0};
    struct histogram_sum sum = {0};
    histogram_observe(&one, 3 * MS, 1);
    histogram_observe(&two, 4 * MS, 1);
    histogram_observe(&two, 100000 * MS, 1);
    histogram_add(&one, &sum);
    histogram_add(&two, &sum);
    ck_assert_uint_eq(sum.count, 3);
    ck_assert_uint_eq(sum.sum_ns, 100007 * MS);
    ck_assert_uint_eq(sum.buckets[HISTOGRAM_BUCKETS - 1], 1);
}

TEST(a_percentile_lies_evenly_within_its_bucket)
{
    struct histogram h = {0};
    ck_assert_uint_eq(histogram_quantile_ns(&(struct histogram_sum){0}, 0.99), 0);
    histogram_observe(&h, 7 * MS, 90); // above 5 ms, up to 10 ms
    histogram_observe(&h, 40 * MS, 10);
    struct histogram_sum sum = sum_of(&h);
    ck_assert_uint_eq(histogram_quantile_ns(&sum, 0.45), 7500000);
    ck_assert_uint_eq(histogram_quantile_ns(&sum, 0.9), 10 * MS);
    ck_assert_uint_eq(histogram_quantile_ns(&sum, 0.95), 37500000);
    histogram_observe(&h, 60000 * MS, 1000);
    sum = sum_of(&h);
    ck_assert_uint_eq(histogram_quantile_ns(&sum, 0.99), 10000 * MS);
}

static struct counters counters;

static struct histogram_sum delivered(void)
{
    return sum_of(&counters.histograms[HISTOGRAM_DELIVERY]);
}

TEST(messages_that_were_written_together_count_from_when_each_was_read)
{
    struct delivery_times t = {0};
    delivery_times_note(&t, 10 * MS);
    delivery_times_note(&t, 10 * MS);
    delivery_times_note(&t, 18 * MS);
    delivery_times_observe(&t, &counters, 19 * MS, 20 * MS);
    struct histogram_sum sum = delivered();
    ck_assert_uint_eq(sum.count, 3);
    ck_assert_uint_eq(sum.sum_ns, 22 * MS);
    sum = sum_of(&counters.histograms[HISTOGRAM_FAN_OUT]);
    ck_assert_uint_eq(sum.count, 1);
    ck_assert_uint_eq(sum.sum_ns, 1 * MS);
    ck_assert_uint_eq(t.count, 0);
}

TEST(no_message_of_a_large_batch_is_left_out)
{
    struct delivery_times t = {0};
    for (uint64_t i = 1; i <= 1000; i++)
        delivery_times_note(&t, i * MS);
    delivery_times_observe(&t, &counters, 1000 * MS, 1001 * MS);
    ck_assert_uint_eq(delivered().count, 1000);
}

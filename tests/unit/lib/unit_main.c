#include "tests/unit/lib/unit_main.h"

#include <errno.h>
#include <stdlib.h>

static Suite *suite;
static TCase *tcase; // of the last TESTS_WITH

void unit_begin(const struct unit_fixture *fixture)
{
    if (suite == NULL)
        suite = suite_create(program_invocation_short_name);
    tcase = tcase_create(program_invocation_short_name);
    tcase_add_checked_fixture(tcase, fixture->setup, fixture->teardown);
    tcase_add_unchecked_fixture(tcase, fixture->setup_once, fixture->teardown_once);
    if (fixture->timeout_s > 0)
        tcase_set_timeout(tcase, fixture->timeout_s);
    suite_add_tcase(suite, tcase);
}

TCase *unit_tcase(void)
{
    if (tcase == NULL)
        unit_begin(&(struct unit_fixture){0});
    return tcase;
}

int main(void)
{
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

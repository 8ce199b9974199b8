// The main of every unit program. A test registers itself where it is defined, and tests run in the order of
// the file:
//
//     TESTS_WITH(.setup = setup, .teardown = teardown);
//
//     TEST(a_timer_fires_once)
//     {
//         ck_assert_int_eq(advance_to(START + 1000), 1);
//     }
//
// What assertions there are, and that each test is a process of its own, is Check's: this header includes
// <check.h>.
#pragma once

#include <check.h>

// For all tests below it, up to the next TESTS_WITH. A member that is left out does nothing.
struct unit_fixture {
    void (*setup)(void);         // before each test, in the test's process
    void (*teardown)(void);      // after each test that did not fail
    void (*setup_once)(void);    // before the first test, in the process that all are forked from
    void (*teardown_once)(void); // after the last test, also where one has failed
    int timeout_s;               // of each test; 0: CK_DEFAULT_TIMEOUT
};
#define TESTS_WITH(...)                                                                                      \
    static const struct unit_fixture UNIT_NAME(unit_fixture_, __LINE__);                                     \
    UNIT_REGISTER(UNIT_NAME(unit_begin_, __LINE__))                                                          \
    {                                                                                                        \
        unit_begin(&UNIT_NAME(unit_fixture_, __LINE__));                                                     \
    }                                                                                                        \
    static const struct unit_fixture UNIT_NAME(unit_fixture_, __LINE__) = {__VA_ARGS__}

// A test; one for each `_i` from `first` to below `end`; one for each row of an array, which is `rows[_i]`.
#define TEST(name) TEST_LOOP(name, 0, 1)
#define TEST_EACH(name, rows) TEST_LOOP(name, 0, sizeof(rows) / sizeof((rows)[0]))
#define TEST_LOOP(name, first, end)                                                                          \
    static const TTest *name;                                                                                \
    UNIT_REGISTER(unit_add_##name)                                                                           \
    {                                                                                                        \
        tcase_add_loop_test(unit_tcase(), name, first, end);                                                 \
    }                                                                                                        \
    START_TEST(name)

// Constructors with a lower number run first; those up to 100 are the compiler's.
#define UNIT_REGISTER(name) __attribute__((constructor(1000 + __LINE__))) static void name(void)
#define UNIT_NAME(prefix, line) UNIT_NAME_OF(prefix, line)
#define UNIT_NAME_OF(prefix, line) prefix##line

// For the macros above.
void unit_begin(const struct unit_fixture *fixture);
TCase *unit_tcase(void);

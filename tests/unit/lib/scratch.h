// A folder of the test program's own, for sockets and files.
#pragma once

// Unchecked fixtures of a test case (tcase_add_unchecked_fixture): they run before and after all of its
// tests, also where a test has failed.
void scratch_setup(void);
void scratch_teardown(void);

// The folder's path.
const char *scratch_dir(void);
// The path of `name` in it, in one of a few buffers that are used in turn.
const char *scratch_path(const char *name);

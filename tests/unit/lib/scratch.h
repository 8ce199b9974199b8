// A folder of the test program's own, for sockets and files.
#pragma once

// For .setup_once and .teardown_once of TESTS_WITH.
void scratch_setup(void);
void scratch_teardown(void);

// The folder's path.
const char *scratch_dir(void);
// The path of `name` in it, in one of a few buffers that are used in turn.
const char *scratch_path(const char *name);

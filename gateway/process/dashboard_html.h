// deploy/dashboard/index.html as the Makefile builds it into the program.
#pragma once

extern const char dashboard_html[];
// More lines of its head: a policy that allows the page's own script and style by their hashes, and no one else to
// frame, embed or extend it.
extern const char dashboard_fields[];

#include "tests/unit/lib/scratch.h"

#include <check.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#define PATHS 4

static char dir[64];

void scratch_setup(void)
{
    // Not below TMPDIR: the path of a unix socket has at most 107 bytes.
    snprintf(dir, sizeof dir, "/tmp/sse-unit.XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st, (void)type, (void)ftw;
    return remove(path);
}

void scratch_teardown(void)
{
    (void)nftw(dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

const char *scratch_dir(void)
{
    return dir;
}

const char *scratch_path(const char *name)
{
    static char paths[PATHS][128];
    static unsigned turn;
    char *path = paths[turn++ % PATHS];
    snprintf(path, sizeof *paths, "%s/%s", dir, name);
    return path;
}

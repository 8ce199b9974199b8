// The struct that a member is embedded in.
#pragma once

#include <stddef.h>

// `pointer` points to `member` of a `type`: returns the address of that `type`. `pointer` must not be NULL.
#define container_of(pointer, type, member) ((type *)((char *)(pointer)-offsetof(type, member)))

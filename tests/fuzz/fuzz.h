// What every fuzzer needs: libFuzzer's entry, a check that ends the process, memory of exactly one size.
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(condition)                                                                                     \
    do {                                                                                                     \
        if (!(condition)) {                                                                                  \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);                          \
            abort();                                                                                         \
        }                                                                                                    \
    } while (0)

// The caller frees it. What is copied there ends where the allocation ends: AddressSanitizer sees a read past
// it.
static inline char *must_alloc(size_t size)
{
    char *p = malloc(size > 0 ? size : 1);
    CHECK(p != NULL);
    return p;
}

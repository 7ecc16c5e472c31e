/* What every harness shares: libFuzzer's entry point, and a violated property ends the process. */
#pragma once

#include "base/base.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

#define PROPERTY(cond) \
    do {               \
        if (!(cond)) { \
            abort();   \
        }              \
    } while (0)

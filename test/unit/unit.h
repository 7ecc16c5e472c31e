/* What every unit test begins with: cmocka in the order it wants its headers, and a seeded
   generator whose seed is printed, so that a failure can be run again: ODRADEK_SEED=n
   build/test/... */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/base.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The seed of this run: fixed unless ODRADEK_SEED says otherwise. */
static inline UNUSED struct rng unit_rng(void)
{
    const char *text = getenv("ODRADEK_SEED");
    u64 seed = text != NULL ? strtoull(text, NULL, 0) : 20261125;
    printf("[   SEED   ] ODRADEK_SEED=%llu\n", (unsigned long long)seed);
    struct rng rng;
    rng_seed(&rng, seed);
    return rng;
}

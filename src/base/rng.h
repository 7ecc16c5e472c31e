/* xoshiro256** seeded by splitmix64: reproducible, never for secrets. */
#pragma once

#include "types.h"

struct rng {
    u64 s[4];
};
void rng_seed(struct rng *r, u64 seed);
u64 rng_next(struct rng *r);
u64 rng_below(struct rng *r, u64 bound);           /* 0 <= result < bound; bound > 0 */
u64 rng_between(struct rng *r, u64 low, u64 high); /* inclusive */
bool rng_chance(struct rng *r, u32 numerator, u32 denominator);
void rng_fill(struct rng *r, void *buf, size_t len);

/* xoshiro256** (Blackman and Vigna): 256 bits of state, reproducible from one 64-bit seed, which
   splitmix64 spreads over the state. Never for secrets: those come from io.random. */
#include "rng.h"

#include "assert.h"

#include <string.h>

static u64 splitmix64_next(u64 *state)
{
    *state += 0x9e3779b97f4a7c15ull;
    u64 z = *state;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
}

static u64 rotate_left(u64 x, u32 bits)
{
    return (x << bits) | (x >> (64 - bits));
}

void rng_seed(struct rng *r, u64 seed)
{
    for (u32 i = 0; i < ARRAY_LEN(r->s); i++) {
        r->s[i] = splitmix64_next(&seed);
    }
}

u64 rng_next(struct rng *r)
{
    u64 *s = r->s;
    assert((s[0] | s[1] | s[2] | s[3]) != 0); /* seeded */
    u64 result = rotate_left(s[1] * 5, 7) * 9;
    u64 t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate_left(s[3], 45);
    return result;
}

/* The high half of a 128-bit product is nearly uniform; the few products that would favour small
   results are drawn again (Lemire). */
u64 rng_below(struct rng *r, u64 bound)
{
    assert(bound > 0);
    unsigned __int128 product = (unsigned __int128)rng_next(r) * bound;
    if ((u64)product < bound) {
        u64 threshold = (0 - bound) % bound;
        while ((u64)product < threshold) {
            product = (unsigned __int128)rng_next(r) * bound;
        }
    }
    return (u64)(product >> 64);
}

u64 rng_between(struct rng *r, u64 low, u64 high)
{
    assert(low <= high);
    if (low == 0 && high == UINT64_MAX) {
        return rng_next(r);
    }
    return low + rng_below(r, high - low + 1);
}

bool rng_chance(struct rng *r, u32 numerator, u32 denominator)
{
    assert(denominator > 0);
    return rng_below(r, denominator) < numerator;
}

void rng_fill(struct rng *r, void *buf, size_t len)
{
    u8 *at = buf;
    while (len > 0) {
        u64 word = rng_next(r);
        size_t taken = MIN(len, sizeof(word));
        memcpy(at, &word, taken);
        at += taken;
        len -= taken;
    }
}

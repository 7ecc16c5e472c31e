/* CRC-32C: three ways to the same number.

   ISA-L for long runs (37 to 56 GB/s where the CPU can); for short ones the processor's own
   instruction, because ISA-L's set-up costs more than the run; a table where there is no such
   instruction, which is also what the tests compare with.

   ISA-L's crc32_iscsi works on the raw register: whoever wants the CRC that everybody else computes
   inverts it before and after. */
#include "crc32c.h"

#include "assert.h"

#include <isa-l/crc.h>
#include <string.h>

#define LONG_RUN_BYTES 256u
#define POLYNOMIAL     0x82f63b78u /* Castagnoli, reflected */

/* One bit at a time, at compile time: entry n is the register after the byte n. */
#define BIT(c)    (((c) >> 1) ^ (((c)&1u) ? POLYNOMIAL : 0u))
#define NIBBLE(c) BIT(BIT(BIT(BIT((u32)(c)))))

/* Two steps of four bits: 16 entries are enough, and small enough to read. */
static const u32 nibble_table[16] = {
    NIBBLE(0), NIBBLE(1), NIBBLE(2),  NIBBLE(3),  NIBBLE(4),  NIBBLE(5),  NIBBLE(6),  NIBBLE(7),
    NIBBLE(8), NIBBLE(9), NIBBLE(10), NIBBLE(11), NIBBLE(12), NIBBLE(13), NIBBLE(14), NIBBLE(15),
};

u32 crc32c_extend_portable(u32 crc, const void *data, size_t len)
{
    const u8 *at = data;
    u32 reg = ~crc;
    for (size_t i = 0; i < len; i++) {
        reg ^= at[i];
        reg = (reg >> 4) ^ nibble_table[reg & 15u];
        reg = (reg >> 4) ^ nibble_table[reg & 15u];
    }
    return ~reg;
}

#if defined(__x86_64__)

#include <nmmintrin.h>

__attribute__((target("sse4.2"))) static u32 extend_short(u32 crc, const u8 *at, size_t len)
{
    u64 reg = ~crc;
    for (; len >= 8; at += 8, len -= 8) {
        u64 word;
        memcpy(&word, at, sizeof(word));
        reg = _mm_crc32_u64(reg, word);
    }
    u32 reg32 = (u32)reg;
    for (; len > 0; at++, len--) {
        reg32 = _mm_crc32_u8(reg32, *at);
    }
    return ~reg32;
}

static bool has_instruction(void)
{
    return __builtin_cpu_supports("sse4.2");
}

#elif defined(__aarch64__) && defined(__ARM_FEATURE_CRC32)

#include <arm_acle.h>

static u32 extend_short(u32 crc, const u8 *at, size_t len)
{
    u32 reg = ~crc;
    for (; len >= 8; at += 8, len -= 8) {
        u64 word;
        memcpy(&word, at, sizeof(word));
        reg = __crc32cd(reg, word);
    }
    for (; len > 0; at++, len--) {
        reg = __crc32cb(reg, *at);
    }
    return ~reg;
}

static bool has_instruction(void)
{
    return true;
}

#else

static u32 extend_short(u32 crc, const u8 *at, size_t len)
{
    return crc32c_extend_portable(crc, at, len);
}

static bool has_instruction(void)
{
    return false;
}

#endif

/* ISA-L takes its length as an int, and a pointer that is not const though it only reads. */
static u32 extend_long(u32 crc, const u8 *at, size_t len)
{
    const size_t step_max = 1u << 30;
    u32 reg = ~crc;
    while (len > 0) {
        size_t step = MIN(len, step_max);
        reg = crc32_iscsi((unsigned char *)(uintptr_t)at, (int)step, reg);
        at += step;
        len -= step;
    }
    return ~reg;
}

u32 crc32c_extend(u32 crc, const void *data, size_t len)
{
    assert(data != NULL || len == 0);
    if (len >= LONG_RUN_BYTES) {
        return extend_long(crc, data, len);
    }
    return has_instruction() ? extend_short(crc, data, len)
                             : crc32c_extend_portable(crc, data, len);
}

u32 crc32c(const void *data, size_t len)
{
    return crc32c_extend(0, data, len);
}

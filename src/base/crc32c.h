/* CRC-32C (Castagnoli), as in Kafka's record batch and in our frames. ISA-L for long runs. */
#pragma once

#include "types.h"

u32 crc32c(const void *data, size_t len); /* crc of one run */
u32 crc32c_extend(u32 crc, const void *data,
                  size_t len); /* continue: crc32c(ab) == extend(crc32c(a), b) */
/* The same by a table of 16 entries: where nothing better exists, and as the oracle of tests. */
u32 crc32c_extend_portable(u32 crc, const void *data, size_t len);

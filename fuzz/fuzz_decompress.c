/* Any bytes as a compressed stream of FUZZ_CODEC. The output keeps to its caps, the memory to what
   the bytes justify, and all of it goes back; what comes out, compressed again, comes out the same.
 */
#include "fuzz.h"
#include "wire/compress.h"

enum { OUT_MAX = 4 * 1024 * 1024 };

static void compress_again(struct slice plain)
{
    struct growing_buffer packed;
    growing_buffer_init(&packed, NULL);
    struct decompressor second;
    decompressor_init(&second, NULL);
    PROPERTY(compress(FUZZ_CODEC, 0, plain, &packed) == OK);
    struct slice back;
    PROPERTY(decompress(&second, FUZZ_CODEC, slice_of(packed.ptr, packed.len), OUT_MAX, &back) ==
             OK);
    PROPERTY(slice_eq(plain, back));
    decompressor_fini(&second);
    growing_buffer_fini(&packed);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
    struct quota quota;
    quota_init(&quota, "fuzz", NULL, 64 * MIB);
    struct decompressor d;
    decompressor_init(&d, &quota);
    struct slice plain;
    err_t err = decompress(&d, FUZZ_CODEC, slice_of(data, size), OUT_MAX, &plain);
    PROPERTY(err == OK || err == ERR_INVALID || err == ERR_LIMIT);
    /* Twice the output for doubling, and what the contexts of lz4 and zstd keep. */
    PROPERTY(quota.used_max <= 2 * OUT_MAX + 9 * MIB);
    if (err == OK) {
        PROPERTY(plain.len <= OUT_MAX);
        PROPERTY(plain.len <= MAX(size * DECOMPRESS_RATIO_MAX, DECOMPRESS_RATIO_FLOOR));
        if (plain.len <= 64 * KIB) {
            compress_again(plain);
        }
    }
    decompressor_reset(&d);
    PROPERTY(quota.used == 0);
    decompressor_fini(&d);
    return 0;
}

/* Any bytes as a compressed stream: the first chooses the codec. The output keeps to its caps and
   all memory goes back; what comes out, compressed again, must come out the same. */
#include "fuzz.h"
#include "wire/wire.h"

enum { OUT_MAX = 4 * 1024 * 1024 };

static void compress_again(enum codec codec, struct slice plain, struct quota *quota)
{
    struct growing_buffer packed;
    growing_buffer_init(&packed, quota);
    struct decompressor second;
    decompressor_init(&second, quota);
    if (compress(codec, 0, plain, &packed) == OK) {
        struct slice back;
        err_t e = decompress(&second, codec, slice_of(packed.ptr, packed.len), OUT_MAX, &back);
        /* Zeros may compress better than the ratio that we accept from others. */
        PROPERTY(e == OK || e == ERR_LIMIT || e == ERR_NO_MEMORY);
        PROPERTY(e != OK || slice_eq(plain, back));
    }
    decompressor_fini(&second);
    growing_buffer_fini(&packed);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
    if (size < 1) {
        return 0;
    }
    enum codec codec = (enum codec)(data[0] % CODEC_MAX);
    struct quota quota;
    quota_init(&quota, "fuzz", NULL, 64 * MIB);
    struct decompressor d;
    decompressor_init(&d, &quota);
    struct slice plain;
    if (decompress(&d, codec, slice_of(data + 1, size - 1), OUT_MAX, &plain) == OK) {
        PROPERTY(plain.len <= OUT_MAX || codec == CODEC_NONE);
        if (codec != CODEC_NONE && plain.len <= 64 * KIB) {
            compress_again(codec, plain, &quota);
        }
    }
    decompressor_fini(&d);
    PROPERTY(quota.used == 0);
    return 0;
}

/* Any bytes as the records of a Produce. The CRC is made right first, or nothing would get past it.
   What is accepted must be walked by the iterator to the same count of records, with every header.
 */
#include "fuzz.h"
#include "wire/wire.h"

#include <string.h>

enum { DECOMPRESSED_MAX = 4 * 1024 * 1024 };

static void walk(const struct batch_view *batch, struct decompressor *scratch)
{
    struct record_iter it;
    PROPERTY(record_iter_init(&it, batch, scratch, DECOMPRESSED_MAX) == OK);
    struct record record;
    i32 count = 0;
    while (record_iter_next(&it, &record)) {
        struct record_header header;
        i32 header_count = 0;
        while (record_header_next(&record.headers, &header)) {
            header_count++;
        }
        PROPERTY(header_count == record.header_count);
        PROPERTY(record.offset_delta == count);
        count++;
    }
    PROPERTY(it.err == OK);
    PROPERTY(count == batch->record_count);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
    u8 *bytes = mem_alloc(size);
    if (size > 0) {
        memcpy(bytes, data, size);
    }
    struct batch_view view;
    if (batch_view_parse(slice_of(bytes, size), &view) == OK) {
        size_t covered = view.whole.len - BATCH_AT_ATTRIBUTES;
        store_be32(bytes + BATCH_AT_CRC, crc32c(bytes + BATCH_AT_ATTRIBUTES, covered));
    }
    struct quota quota;
    quota_init(&quota, "fuzz", NULL, 64 * MIB);
    struct decompressor scratch;
    decompressor_init(&scratch, &quota);
    const struct batch_policy policy = {
        .before_max_ms = INT64_MAX,
        .after_max_ms = 3600 * 1000,
        .max_message_bytes = MIB,
        .segment_bytes = GIB,
        .produce_version = 13,
        .max_decompressed_bytes = DECOMPRESSED_MAX,
    };
    struct batch_verdict verdict;
    struct batch_summary summary;
    if (batch_verify_header(slice_of(bytes, size), &policy, 0, &view, &verdict)) {
        err_t e = batch_verify_records(&view, &policy, 0, &scratch, &summary, &verdict);
        if (e == OK && verdict.kerr == 0) {
            walk(&view, &scratch);
        }
    }
    decompressor_fini(&scratch);
    PROPERTY(quota.used == 0);
    mem_free(bytes);
    return 0;
}

/* Any bytes as a frame of the log. Magic, version and checksums are made right first, at the places
   that docs/internals/formats.md gives, so that the numbers behind them are looked at too. */
#include "fuzz.h"
#include "home/home.h"

#include <string.h>

enum { AT_INDEX_POS = 80, AT_INDEX_COUNT = 84, AT_INDEX_CRC = 88, AT_HEADER_CRC = 124 };

static void make_right(u8 *frame, size_t size)
{
    memcpy(frame, "ODKFRAME", 8);
    frame[8] = FRAME_VERSION;
    u64 index_pos = load_le32(frame + AT_INDEX_POS);
    u64 index_bytes = (u64)load_le32(frame + AT_INDEX_COUNT) * FRAME_ENTRY_BYTES;
    if (index_pos + index_bytes <= size) {
        store_le32(frame + AT_INDEX_CRC, crc32c(frame + index_pos, index_bytes));
    }
    store_le32(frame + AT_HEADER_CRC, crc32c(frame, AT_HEADER_CRC));
}

static void decode(const u8 *data, size_t size)
{
    struct frame_header header;
    if (frame_header_decode(data, &header) != OK || header.total_bytes > size) {
        return;
    }
    PROPERTY((u64)header.index_pos + (u64)header.index_count * FRAME_ENTRY_BYTES <=
             header.total_bytes);
    (void)!frame_payload_check(&header, data);
    (void)!frame_trailer_check(&header, data + header.total_bytes - FRAME_TRAILER_BYTES);
    if (frame_index_check(&header, data + header.index_pos) != OK) {
        return;
    }
    for (u32 i = 0; i < header.index_count; i++) {
        struct frame_entry entry;
        frame_entry_decode(data + header.index_pos + i * FRAME_ENTRY_BYTES, &entry);
        PROPERTY((u64)entry.pos + entry.bytes <= header.total_bytes);
        (void)!frame_batch_check(&entry, data + entry.pos);
    }
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
    if (size < FRAME_HEADER_BYTES) {
        return 0;
    }
    u8 *frame = mem_alloc(size);
    memcpy(frame, data, size);
    make_right(frame, size);
    decode(frame, size);
    mem_free(frame);
    return 0;
}

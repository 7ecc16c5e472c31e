/* Any bytes as metadata: as a run of commands, and as a snapshot. A command that is decoded encodes
   to the bytes that it came from and may be applied whatever it says; a snapshot that is accepted
   gives itself again. Whatever they lead to, only partitions that are there have a log start. The
   first byte chooses. */
#include "fuzz.h"
#include "meta/meta.h"

#include <string.h>

static void snapshot_check(const struct meta *m, struct slice expected)
{
    size_t size = meta_snapshot_size(m);
    u8 *bytes = mem_alloc(size);
    struct writer w = writer_of(bytes, size);
    meta_snapshot_write(m, &w);
    PROPERTY(!w.failed && w.len == size);
    PROPERTY(expected.ptr == NULL || slice_eq(slice_of(bytes, size), expected));
    if (expected.ptr == NULL) {
        struct meta *again = meta_create();
        PROPERTY(meta_snapshot_load(again, slice_of(bytes, size)) == OK);
        snapshot_check(again, slice_of(bytes, size));
        meta_destroy(again);
    }
    mem_free(bytes);
}

static void log_starts_check(const struct meta *m)
{
    struct meta_log_start s = {0};
    for (u32 before = 0; meta_log_start_next(m, &s); before = s.partition_id) {
        const struct meta_topic *topic;
        u32 index;
        PROPERTY(s.partition_id > before && s.offset > 0 && s.offset <= INT64_MAX);
        PROPERTY(meta_log_start(m, s.partition_id) == s.offset);
        PROPERTY(meta_partition_owner(m, s.partition_id, &topic, &index));
    }
}

static void command_check(const struct meta_command *c, const u8 *from, size_t len)
{
    PROPERTY(meta_command_size(c) == len);
    u8 *bytes = mem_alloc(len);
    struct writer w = writer_of(bytes, len);
    meta_command_encode(c, &w);
    PROPERTY(!w.failed && w.len == len);
    PROPERTY(memcmp(bytes, from, len) == 0);
    mem_free(bytes);
}

static void commands(struct slice bytes)
{
    struct meta *m = meta_create();
    struct arena arena;
    arena_init(&arena, NULL, 4096, MIB);
    struct reader r = reader_of(bytes);
    for (;;) {
        const u8 *from = r.pos;
        struct meta_command c;
        if (meta_command_decode(&r, &arena, &c) != OK) {
            break;
        }
        command_check(&c, from, (size_t)(r.pos - from));
        i16 said = meta_check(m, &c);
        struct meta_outcome out;
        meta_apply(m, &c, &out);
        PROPERTY(out.kerr == said);
        arena_reset(&arena);
    }
    log_starts_check(m);
    snapshot_check(m, (struct slice){0});
    arena_fini(&arena);
    meta_destroy(m);
}

static void snapshot(struct slice bytes)
{
    struct meta *m = meta_create();
    if (meta_snapshot_load(m, bytes) == OK) {
        log_starts_check(m);
        snapshot_check(m, bytes);
    } else {
        PROPERTY(meta_topic_count(m) == 0 && meta_session_count(m) == 0);
    }
    meta_destroy(m);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    struct slice rest = slice_of(data + 1, size - 1);
    if (data[0] % 2 == 0) {
        commands(rest);
    } else {
        snapshot(rest);
    }
    return 0;
}

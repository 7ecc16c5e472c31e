/* Our side of the batch round trip (run-batches): writes random batches, reads anybody's, judges
   produced ones; BatchCheck.java does the same with Kafka's own classes, and the texts are
   compared.

     batches emit FILE SEED COUNT   random good batches into FILE; their text on stdout
     batches damage FILE SEED COUNT random batches with one to three faults, CRC made right
     batches read FILE              the text of every batch in FILE
     batches judge FILE             for every batch in FILE the error that a Produce would earn

   FILE is a run of frames: length (i32, big-endian) and as many bytes. Text: one B line per batch,
   one R line per record, bytes in hex, null as a minus sign. */
#include "wire/batch.h"
#include "wire/error.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NOW_MS     1700000000000
#define FRAMES_MAX (256 * MIB)

static void die(const char *what)
{
    fprintf(stderr, "batches: %s\n", what);
    exit(2);
}

static void print_bytes(struct slice s)
{
    if (!s.ptr) {
        fputs(" -", stdout);
        return;
    }
    fputs(" x", stdout);
    for (size_t i = 0; i < s.len; i++) {
        printf("%02x", s.ptr[i]);
    }
}

static void print_batch(const struct batch_view *b, struct decompressor *d)
{
    printf("B codec=%s type=%d base=%lld count=%d delta=%d max=%lld pid=%lld epoch=%d seq=%d/%d "
           "txn=%d control=%d\n",
           codec_name(batch_codec(b)), batch_timestamp_type(b), (long long)b->base_offset,
           b->record_count, b->last_offset_delta, (long long)b->max_timestamp,
           (long long)b->producer_id, b->producer_epoch, b->base_sequence, batch_last_sequence(b),
           batch_is_transactional(b), batch_is_control(b));
    struct record_iter it;
    if (record_iter_init(&it, b, d, 64 * MIB) != OK) {
        puts("! cannot be decompressed");
        return;
    }
    struct record record;
    while (record_iter_next(&it, &record)) {
        printf("R %lld %lld", (long long)record.offset, (long long)record.timestamp);
        print_bytes(record.key);
        print_bytes(record.value);
        struct record_header header;
        while (record_header_next(&record.headers, &header)) {
            fputs(" |", stdout);
            print_bytes(header.key);
            print_bytes(header.value);
        }
        putchar('\n');
    }
    if (it.err != OK) {
        puts("! the records do not add up");
    }
}

/* ---- Making batches ---- */

static struct slice random_bytes(struct rng *rng, struct arena *arena, bool may_be_null)
{
    if (may_be_null && rng_chance(rng, 1, 6)) {
        return (struct slice){NULL, 0};
    }
    size_t len = (size_t)rng_below(rng, rng_chance(rng, 1, 20) ? 70000 : 60);
    u8 *bytes = arena_alloc(arena, len + 1);
    bool noise = rng_chance(rng, 1, 3);
    for (size_t i = 0; i < len; i++) {
        bytes[i] = noise ? (u8)rng_next(rng) : (u8)('a' + i / 5 % 20);
    }
    return (struct slice){bytes, len};
}

/* A header key is a string to Java. */
static struct slice random_name(struct rng *rng, struct arena *arena)
{
    size_t len = (size_t)rng_below(rng, 20);
    u8 *bytes = arena_alloc(arena, len + 1);
    for (size_t i = 0; i < len; i++) {
        bytes[i] = (u8)('a' + rng_below(rng, 26));
    }
    return (struct slice){bytes, len};
}

static void add_record(struct rng *rng, struct arena *arena, struct batch_builder *b)
{
    struct record_header headers[4];
    u32 header_count = rng_chance(rng, 1, 2) ? 0 : (u32)rng_below(rng, ARRAY_LEN(headers) + 1);
    for (u32 i = 0; i < header_count; i++) {
        headers[i].key = random_name(rng, arena);
        headers[i].value = random_bytes(rng, arena, true);
    }
    i64 timestamp = NOW_MS - (i64)rng_below(rng, 1000000);
    struct slice key = random_bytes(rng, arena, true);
    struct slice value = random_bytes(rng, arena, true);
    if (batch_builder_add(b, timestamp, key, value, headers, header_count) != OK) {
        die("a record does not fit");
    }
}

static struct batch_builder_options random_options(struct rng *rng)
{
    struct batch_builder_options o = batch_builder_plain();
    o.codec = (enum codec)rng_below(rng, CODEC_MAX);
    o.snappy_raw = rng_chance(rng, 1, 2);
    if (rng_chance(rng, 1, 2)) {
        o.producer_id = (i64)rng_below(rng, 1ull << 62);
        o.producer_epoch = (i16)rng_below(rng, INT16_MAX);
        o.base_sequence = (i32)(rng_chance(rng, 1, 2) ? rng_below(rng, 1000)
                                                      : (u64)INT32_MAX - rng_below(rng, 20));
        o.transactional = rng_chance(rng, 1, 2);
    }
    return o;
}

/* The faults that a batch may have, each as likely as the others. */
static void damage(struct rng *rng, u8 *batch, size_t len)
{
    static const size_t fields[] = {
        BATCH_AT_BASE_OFFSET + 7,   BATCH_AT_MAGIC,
        BATCH_AT_ATTRIBUTES,        BATCH_AT_ATTRIBUTES + 1,
        BATCH_AT_LAST_OFFSET_DELTA, BATCH_AT_LAST_OFFSET_DELTA + 3,
        BATCH_AT_BASE_TIMESTAMP,    BATCH_AT_BASE_TIMESTAMP + 4,
        BATCH_AT_MAX_TIMESTAMP + 2, BATCH_AT_PRODUCER_ID,
        BATCH_AT_BASE_SEQUENCE,     BATCH_AT_RECORD_COUNT,
        BATCH_AT_RECORD_COUNT + 3,  BATCH_AT_LEADER_EPOCH,
    };
    size_t at = rng_chance(rng, 1, 3)
                    ? fields[rng_below(rng, ARRAY_LEN(fields))]
                    : BATCH_HEADER_BYTES + (size_t)rng_below(rng, len - BATCH_HEADER_BYTES);
    u64 noise = rng_next(rng);
    u64 flipped = batch[at] ^ (1u << (noise >> 8) % 8);
    batch[at] = (u8)(rng_chance(rng, 1, 2) ? noise : flipped);
}

static void write_frame(FILE *file, struct slice s)
{
    u8 length[4];
    store_be32(length, (u32)s.len);
    if (fwrite(length, 1, 4, file) != 4 || fwrite(s.ptr, 1, s.len, file) != s.len) {
        die("cannot write");
    }
}

static void emit(const char *path, u64 seed, u64 count, bool with_damage)
{
    FILE *file = fopen(path, "wb");
    if (!file) {
        die("cannot create the file");
    }
    struct rng rng;
    rng_seed(&rng, seed);
    struct arena arena;
    arena_init(&arena, NULL, 64 * KIB, 0);
    struct decompressor d;
    decompressor_init(&d, NULL);
    for (u64 i = 0; i < count; i++) {
        struct batch_builder_options options = random_options(&rng);
        struct batch_builder b;
        batch_builder_init(&b, &options);
        u64 records = rng_between(&rng, 1, with_damage ? 4 : 40);
        for (u64 k = 0; k < records; k++) {
            add_record(&rng, &arena, &b);
        }
        struct slice batch;
        if (batch_builder_finish(&b, &batch) != OK) {
            die("the batch cannot be built");
        }
        if (with_damage) {
            u8 *bytes = b.batch.ptr;
            for (u64 hits = rng_between(&rng, 1, 3); hits > 0; hits--) {
                damage(&rng, bytes, batch.len);
            }
            store_be32(bytes + BATCH_AT_CRC,
                       crc32c(bytes + BATCH_AT_ATTRIBUTES, batch.len - BATCH_AT_ATTRIBUTES));
        } else {
            struct batch_view view;
            if (batch_view_parse(batch, &view) != OK) {
                die("we cannot read our own batch");
            }
            print_batch(&view, &d);
        }
        write_frame(file, batch);
        batch_builder_fini(&b);
        arena_reset(&arena);
    }
    decompressor_fini(&d);
    arena_fini(&arena);
    if (fclose(file) != 0) {
        die("cannot write");
    }
}

/* ---- Reading and judging ---- */

static struct slice load(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (!file) {
        die("cannot open the file");
    }
    u8 *bytes = mem_alloc(FRAMES_MAX);
    size_t len = fread(bytes, 1, FRAMES_MAX, file);
    fclose(file);
    return (struct slice){bytes, len};
}

static const struct batch_policy strict_policy = {
    .timestamp_type = TIMESTAMP_CREATE_TIME,
    .before_max_ms = INT64_MAX,
    .after_max_ms = 3600 * 1000,
    .max_message_bytes = 100 * 1000 * 1000,
    .segment_bytes = 1 << 30,
    .compacted = true,
    .produce_version = 12,
    .max_decompressed_bytes = 64 * MIB,
};

static struct batch_verdict verify(struct slice frame, const struct batch_policy *policy,
                                   struct decompressor *d, struct batch_summary *sum)
{
    struct batch_view view;
    struct batch_verdict v;
    if (batch_verify_header(frame, policy, NOW_MS, &view, &v) &&
        batch_verify_records(&view, policy, NOW_MS, d, sum, &v) != OK) {
        die("out of memory");
    }
    return v;
}

static void judge(struct slice frame, struct decompressor *d)
{
    struct batch_summary sum;
    struct batch_verdict v = verify(frame, &strict_policy, d, &sum);
    if (v.kerr == KERR_NONE) {
        printf("V 0 max=%lld\n", (long long)sum.max_timestamp);
    } else {
        printf("V %d # %s\n", v.kerr, v.message);
    }
}

/* What is read as a good batch must also be accepted as one, wherever its clock stood. */
static void read_one(struct slice frame, struct decompressor *d)
{
    struct batch_view view;
    if (batch_view_parse(frame, &view) != OK || !batch_crc_ok(&view)) {
        puts("! not a batch");
        return;
    }
    struct batch_policy policy = strict_policy;
    policy.after_max_ms = INT64_MAX;
    policy.compacted = false;
    struct batch_summary sum;
    struct batch_verdict v = verify(frame, &policy, d, &sum);
    if (v.kerr != KERR_NONE) {
        printf("! refused: %s\n", v.message);
    }
    print_batch(&view, d);
}

static void read_all(const char *path, bool judging)
{
    struct slice all = load(path);
    struct reader r = reader_of(all);
    struct decompressor d;
    decompressor_init(&d, NULL);
    while (reader_left(&r) > 0) {
        u32 len = read_be32(&r);
        struct slice frame = read_bytes(&r, len);
        if (r.failed) {
            die("the file ends in the middle of a frame");
        }
        if (judging) {
            judge(frame, &d);
        } else {
            read_one(frame, &d);
        }
    }
    decompressor_fini(&d);
    mem_free((void *)all.ptr);
}

int main(int argc, char **argv)
{
    const char *verb = argc > 2 ? argv[1] : "";
    if (argc == 5 && (strcmp(verb, "emit") == 0 || strcmp(verb, "damage") == 0)) {
        emit(argv[2], strtoull(argv[3], NULL, 10), strtoull(argv[4], NULL, 10),
             strcmp(verb, "damage") == 0);
    } else if (argc == 3 && (strcmp(verb, "read") == 0 || strcmp(verb, "judge") == 0)) {
        read_all(argv[2], strcmp(verb, "judge") == 0);
    } else {
        die("usage: batches emit|damage FILE SEED COUNT | read|judge FILE");
    }
    return 0;
}

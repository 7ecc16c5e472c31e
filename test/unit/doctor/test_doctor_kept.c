/* The doctor on a directory with a WAL extent that was kept as a pack: healthy when it is, and each
   damage named with its place and with what is lost. Nothing is changed. */
#include "../home/kept.h"

#include "doctor/doctor.h"
#include "meta/meta.h"

enum { REPORT_MAX = 64 * 1024, COPIED_BYTES = 300, PACK = 5 };

static u64 meta_at; /* the next metadata slot */
static u64 pack_bytes_made;

static void command_write(struct fixture *f, const struct meta_command *c)
{
    u8 bytes[1024];
    struct writer w = writer_of(bytes, sizeof(bytes));
    write_le32(&w, 1);
    meta_command_encode(c, &w);
    assert_false(w.failed);
    assert_int_equal(home_meta_write_now(f->home, meta_at++, slice_of(bytes, w.len)), OK);
}

static void topic_write(struct fixture *f)
{
    struct meta_command c = {.kind = META_CREATE_TOPIC};
    c.create_topic.id.bytes[0] = 1;
    c.create_topic.name = SLICE_LIT("orders");
    c.create_topic.replication_factor = 1;
    c.create_topic.partition_count = 9;
    command_write(f, &c);
}

static void register_write(struct fixture *f)
{
    struct meta_command c = {.kind = META_REGISTER};
    c.reg.node = 1;
    c.reg.wal = 1;
    c.reg.nonce = f->nonce;
    command_write(f, &c);
}

static void file_write(struct fixture *f, u64 to)
{
    struct meta_command c = {.kind = META_FILE_WAL};
    c.file_wal.wal = 1;
    c.file_wal.to = to;
    c.file_wal.pack = (struct meta_pack){PACK, pack_bytes_made};
    command_write(f, &c);
}

static void seal_write(struct fixture *f)
{
    struct meta_command c = {.kind = META_SEAL_WAL};
    c.seal.wal = 1;
    c.seal.length = f->next_slot;
    command_write(f, &c);
}

/* As batch_make, but that the batch says where it ends. */
static void batch_finish(u8 *at, struct frame_entry *e)
{
    store_be32(at + 23, e->last_offset_delta);
    e->batch_crc = crc32c(at + 21, e->bytes - 21);
    store_be32(at + 17, e->batch_crc);
}

/* Partition 7, which is orders-6. */
static void slot_write(struct fixture *f)
{
    wal_make_frame(f, 4, 4000);
    u64 slot = f->next_slot - 1;
    struct made_frame *frame = &f->frames[slot];
    for (u32 i = 0; i < frame->header.index_count; i++) {
        batch_finish(frame->data + frame->entries[i].pos, &frame->entries[i]);
    }
    frame_seal(frame->data, &frame->header, frame->entries, 4096);
    f->chain = frame_header_hash(frame->data);
    wal_submit(f, slot);
    wal_wait(f, 0);
}

/* Offset 0 of partition 8, orders-7, copied behind the frames. */
static void copied_add(struct fixture *f)
{
    struct frame_entry e = {.partition = 8, .bytes = COPIED_BYTES};
    batch_make(&f->rng, kept.copied, &e);
    batch_finish(kept.copied, &e);
    kept_run_add(kept.copied, (struct pack_run){.partition = 8,
                                                .next_offset = 1,
                                                .pos = kept.frames_end,
                                                .bytes = COPIED_BYTES,
                                                .batches = 1});
    kept.copied_bytes = COPIED_BYTES;
}

static void extent_keep(struct fixture *f, u64 to)
{
    struct home_slots *s;
    kept_draw(&f->rng, f, PACK, 0, to, 0, 0, 1);
    copied_add(f);
    assert_int_equal(home_slots_find(f->home, 1, f->nonce, 0, to, &s), OK);
    home_slots_keep(s, true, 0);
    assert_int_equal(kept_write(&f->rng, s), OK);
    home_slots_free(s);
    pack_bytes_made = kept.made.pack.bytes;
}

static int setup(void **state)
{
    static struct fixture fixture;
    struct fixture *f = &fixture;
    fixture_init(f);
    meta_at = 0;
    fixture_open(f);
    topic_write(f);
    wal_begin(f, 1);
    register_write(f);
    u64 to;
    while (!home_slots_keepable(f->home, 0, &to) || f->next_slot < 12) {
        slot_write(f);
    }
    extent_keep(f, to);
    file_write(f, to);
    seal_write(f);
    home_wal_trim(f->home, 1, to);
    fixture_close(f);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    fixture_fini(*state);
    return 0;
}

/* ---- the doctor ------------------------------------------------------------------------------
 */

static char report[REPORT_MAX];

static void expect(const struct fixture *f, int code, const char *a, const char *b, const char *c)
{
    memset(report, 0, sizeof(report));
    FILE *out = fmemopen(report, sizeof(report) - 1, "w");
    assert_non_null(out);
    int got = doctor_run(&(struct doctor_options){.directory = f->dir, .out = out, .err = out});
    fclose(out);
    if (got != code) {
        fail_msg("exit code %d instead of %d:\n%s", got, code, report);
    }
    const char *const texts[] = {a, b, c};
    for (u32 i = 0; i < ARRAY_LEN(texts); i++) {
        if (texts[i] != NULL && strstr(report, texts[i]) == NULL) {
            fail_msg("'%s' is not in:\n%s", texts[i], report);
        }
    }
}

static void expect_flipped(const struct fixture *f, u64 at, const char *a, const char *b,
                           const char *c)
{
    char path[200];
    pack_name(f, PACK, path);
    file_flip(path, at);
    expect(f, DOCTOR_DAMAGED, a, b, c);
    file_flip(path, at);
    expect(f, DOCTOR_HEALTHY, NULL, NULL, NULL);
}

static void test_healthy(void **state)
{
    struct fixture *f = *state;
    char path[200];
    extent_name(f, 0, path);
    assert_false(file_there(path)); /* it has its second name alone */
    char line[200];
    snprintf(line, sizeof(line), "packs/0000000000000005: %llu bytes, %u runs",
             (unsigned long long)pack_bytes_made, kept.made.run_count);
    expect(f, DOCTOR_HEALTHY, line, NULL, NULL);
}

/* Still with its first name, as after a crash. */
static void test_with_both_names(void **state)
{
    struct fixture *f = *state;
    char extent[200];
    char pack[200];
    extent_name(f, 0, extent);
    pack_name(f, PACK, pack);
    assert_int_equal(link(pack, extent), 0);
    expect(f, DOCTOR_HEALTHY, NULL, NULL, NULL);
}

static void test_a_run_in_a_frame(void **state)
{
    struct fixture *f = *state;
    for (u32 i = 0; i + 1 < kept.made.run_count; i++) {
        const struct pack_run *run = &kept.made.runs[i];
        char place[200];
        char lost[200];
        snprintf(place, sizeof(place),
                 "packs/0000000000000005, byte %u: a run of %u bytes disagrees", run->pos,
                 run->bytes);
        snprintf(lost, sizeof(lost), "records damaged: orders-6, offsets %llu to %llu\n",
                 (unsigned long long)run->base_offset, (unsigned long long)run->next_offset - 1);
        expect_flipped(f, run->pos + 50, place, lost, "damaged: 1 in all");
    }
}

static void test_a_copied_run(void **state)
{
    struct fixture *f = *state;
    char place[200];
    snprintf(place, sizeof(place), "packs/0000000000000005, byte %u: a run of %u bytes disagrees",
             kept.frames_end, COPIED_BYTES);
    expect_flipped(f, kept.frames_end + COPIED_BYTES - 1, place,
                   "records damaged: orders-7, offsets 0 to 0\n", "damaged: 1 in all");
}

static u64 index_find(const struct fixture *f)
{
    char path[200];
    u8 *bytes;
    pack_name(f, PACK, path);
    size_t size = file_get(path, &bytes);
    u64 at = load_le32(bytes + size - 64 + 4); /* the trailer's runs_pos */
    mem_free(bytes);
    return at;
}

static void test_the_index(void **state)
{
    struct fixture *f = *state;
    char place[200];
    u64 at = index_find(f);
    snprintf(place, sizeof(place), "byte %llu: the pack's index disagrees", (unsigned long long)at);
    expect_flipped(f, at + 3, place, "records are lost unless", "orders-6, offsets 0 to ");
    u64 producers = at + 64ull * kept.made.run_count;
    snprintf(place, sizeof(place), "byte %llu: the pack's table of producers disagrees",
             (unsigned long long)producers);
    expect_flipped(f, producers + 9, place, "no record is lost", "damaged: 1 in all");
}

static void test_the_ends(void **state)
{
    struct fixture *f = *state;
    static const u32 bytes[] = {0, 8, 20, 60, 127};
    for (u32 i = 0; i < ARRAY_LEN(bytes); i++) {
        expect_flipped(f, bytes[i], "packs/0000000000000005, byte 0: the pack's header is damaged",
                       "records are lost unless", "next: restore the file");
    }
    char place[200];
    snprintf(place, sizeof(place), "byte %llu: the pack's trailer is damaged",
             (unsigned long long)pack_bytes_made - 64);
    expect_flipped(f, pack_bytes_made - 60, place, "records are lost unless", NULL);
}

/* Frames' headers and indexes are nothing to a pack, but for the first. */
static void test_what_means_nothing(void **state)
{
    struct fixture *f = *state;
    char path[200];
    pack_name(f, PACK, path);
    file_flip(path, f->frames[0].bytes + 20);
    file_flip(path, f->frames[0].bytes - 10);
    expect(f, DOCTOR_HEALTHY, NULL, NULL, NULL);
}

int main(void)
{
#define CASE(test) cmocka_unit_test_setup_teardown((test), setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(test_healthy),
        CASE(test_with_both_names),
        CASE(test_a_run_in_a_frame),
        CASE(test_a_copied_run),
        CASE(test_the_index),
        CASE(test_the_ends),
        CASE(test_what_means_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

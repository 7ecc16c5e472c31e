/* The doctor on directories made by the home itself, healthy and with every kind of damage that it
   is to name: what it says, its exit code, and that it changes nothing unless it was asked to. */
#include "../home/disk_fixture.h"

#include "doctor/doctor.h"
#include "meta/meta.h"

#include <signal.h>
#include <sys/resource.h>

enum { SLOTS = 24, SAVED_MAX = 32, REPORT_MAX = 64 * 1024, BATCH_BYTES = 200, PACK_BATCHES = 3 };

/* ---- the directory ---------------------------------------------------------------------------
 */

static u64 meta_at;   /* the next metadata slot */
static u64 pack_size; /* of packs 5, 6 and 7, which are alike */

static void command_write(struct fixture *f, const struct meta_command *c)
{
    u8 bytes[1024];
    struct writer w = writer_of(bytes, sizeof(bytes));
    write_le32(&w, 1);
    meta_command_encode(c, &w);
    assert_false(w.failed);
    assert_int_equal(home_meta_write_now(f->home, meta_at++, slice_of(bytes, w.len)), OK);
}

/* Partition 7, which the frames of wal_make_frame are for, is orders-6. */
static void topic_write(struct fixture *f)
{
    struct meta_command c = {.kind = META_CREATE_TOPIC};
    c.create_topic.id.bytes[0] = 1;
    c.create_topic.name = SLICE_LIT("orders");
    c.create_topic.replication_factor = 1;
    c.create_topic.partition_count = 9;
    command_write(f, &c);
}

static void register_write(struct fixture *f, u64 wal)
{
    struct meta_command c = {.kind = META_REGISTER};
    c.reg.node = 1;
    c.reg.wal = wal;
    c.reg.nonce = f->nonce;
    command_write(f, &c);
}

enum { PRODUCER = 77 };

/* Packs 5, 6 and 7: offsets 0 to 2, 3 to 5, 6 to 8 of partition 3, which is orders-2, all by one
   idempotent producer. The metadata comes to name pack 5 by a slot of WAL 1 that has nothing else,
   the others by slots of WAL 2, which has nothing else at all. */
static void pack_make(struct fixture *f, u64 id, u64 *bytes)
{
    u64 first = (id - 5) * PACK_BATCHES;
    struct pack_producer said[PACK_BATCHES];
    static _Alignas(BLOB_ALIGN) u8 buffer[64 * KIB];
    u8 payload[PACK_BATCHES * BATCH_BYTES];
    struct pack_writer *w;
    for (u32 i = 0; i < PACK_BATCHES; i++) {
        struct frame_entry e = {.partition = 3, .base_offset = first + i, .bytes = BATCH_BYTES};
        u8 *batch = payload + (size_t)i * BATCH_BYTES;
        batch_make(&f->rng, batch, &e);
        store_be32(batch + BATCH_AT_LAST_OFFSET_DELTA, 0);
        store_be64(batch + BATCH_AT_MAX_TIMESTAMP, 1000 + first + i);
        store_be64(batch + BATCH_AT_PRODUCER_ID, PRODUCER);
        store_be16(batch + BATCH_AT_PRODUCER_EPOCH, 2);
        store_be32(batch + BATCH_AT_BASE_SEQUENCE, (u32)(first + i));
        store_be32(batch + BATCH_AT_CRC, crc32c(batch + 21, BATCH_BYTES - 21));
        said[i] = (struct pack_producer){.partition = 3,
                                         .epoch = 2,
                                         .id = PRODUCER,
                                         .base_offset = first + i,
                                         .max_timestamp = (i64)(1000 + first + i),
                                         .first_sequence = (i32)(first + i),
                                         .last_sequence = (i32)(first + i)};
    }
    assert_int_equal(pack_create(f->home, id, buffer, sizeof(buffer), &w), OK);
    struct pack_run run = {.partition = 3,
                           .base_offset = first,
                           .next_offset = first + PACK_BATCHES,
                           .pos = pack_position(w),
                           .bytes = sizeof(payload),
                           .crc = crc32c(payload, sizeof(payload)),
                           .batches = PACK_BATCHES};
    assert_int_equal(pack_write(w, payload, sizeof(payload)), OK);
    assert_int_equal(pack_finish(w, &run, 1, said, PACK_BATCHES, bytes), OK);
}

static void pack_file(struct fixture *f, u64 wal, u64 slot, u64 id)
{
    struct meta_command c = {.kind = META_FILE_WAL};
    c.file_wal.wal = wal;
    c.file_wal.from = slot;
    c.file_wal.to = slot + 1;
    c.file_wal.pack = (struct meta_pack){id, pack_size};
    command_write(f, &c);
}

/* Topic, session, a WAL of several extents whose first slot is filed, a pack. */
static void directory_make(struct fixture *f)
{
    meta_at = 0;
    f->next_offset = 0;
    fixture_open(f);
    topic_write(f);
    wal_begin(f, 1);
    register_write(f, 1);
    wal_make_frame(f, 0, 100);
    wal_submit(f, 0);
    wal_wait(f, 0);
    for (u32 i = 1; i < SLOTS; i++) {
        wal_make_frame(f, 4, 4000);
        wal_submit(f, i);
        wal_wait(f, 0);
    }
    pack_make(f, 5, &pack_size);
    pack_file(f, 1, 0, 5);
    fixture_close(f);
}

static int setup(void **state)
{
    static struct fixture f;
    fixture_init(&f);
    directory_make(&f);
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    fixture_fini(*state);
    return 0;
}

/* Where slot `slot` begins. */
static u64 slot_find(const struct fixture *f, u64 slot, char path[200])
{
    for (u32 number = 0; number < 16; number++) {
        extent_name(f, number, path);
        if (!file_there(path)) {
            break;
        }
        u8 *bytes;
        size_t size = file_get(path, &bytes);
        for (size_t at = 0; at + 4096 <= size; at += 4096) {
            struct frame_header h;
            if (frame_header_decode(bytes + at, &h) == OK && h.slot == slot) {
                mem_free(bytes);
                return at;
            }
        }
        mem_free(bytes);
    }
    fail_msg("slot %llu is nowhere", (unsigned long long)slot);
    return 0;
}

/* ---- the doctor ------------------------------------------------------------------------------
 */

static char report[REPORT_MAX];
static u32 checksum;

static int checksum_one(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
    (void)ftw;
    checksum = crc32c_extend(checksum, path, strlen(path));
    if (kind == FTW_F && st->st_size > 0) {
        u8 *bytes;
        size_t size = file_get(path, &bytes);
        checksum = crc32c_extend(checksum, bytes, size);
        mem_free(bytes);
    }
    return 0;
}

/* Of every name and every byte. nftw's order stays the same while nothing changes. */
static u32 directory_checksum(const struct fixture *f)
{
    checksum = 0;
    nftw(f->dir, checksum_one, 16, FTW_PHYS);
    return checksum;
}

static err_t nothing_said(void *user, u64 slot, struct slice payload)
{
    (void)user;
    (void)slot;
    (void)payload;
    return OK;
}

static bool accept_loss; /* of the next call, if it repairs */

static struct io *border; /* of the calls; NULL: the doctor's own */

/* The events of a check, beside its words. */
struct told {
    u32 findings;
    u32 damages;
    u32 details;
    u32 summaries;
    i64 total; /* of damages, as the summary has it */
};

static void told_event(void *user, const struct doctor_event *e)
{
    struct told *t = user;
    bool finding = e->kind == DOCTOR_DAMAGE || e->kind == DOCTOR_NOTE;
    char number[16];
    if (finding) {
        snprintf(number, sizeof(number), "%d", (int)e->code);
        assert_non_null(diag_row_find(slice_cstr(number)));
        assert_non_null(e->file);
        assert_int_equal(e->finding, t->findings + 1);
        t->findings++;
        t->damages += e->kind == DOCTOR_DAMAGE;
    } else if (e->kind >= DOCTOR_RANGE && e->kind <= DOCTOR_NOT_REPAIRED) {
        assert_in_range(e->finding_from, 1, t->findings);
        assert_in_range(e->finding, e->finding_from, t->findings);
        t->details++;
    } else if (e->kind == DOCTOR_SUMMARY) {
        t->summaries++;
        t->total = (i64)e->numbers[0].value;
    }
    if (e->kind == DOCTOR_RANGE) {
        assert_true(e->first <= e->last);
        assert_true(e->index < e->count);
    }
    assert_non_null(e->text);
}

/* Those who listen hear as many damages as those who read. */
static void events_agree(const struct fixture *f, int code)
{
    struct told t = {.total = -1};
    FILE *out = fopen("/dev/null", "w");
    assert_non_null(out);
    int again = doctor_run(&(struct doctor_options){.directory = f->dir,
                                                    .io = border,
                                                    .extent_bytes = EXTENT_BYTES,
                                                    .out = NULL,
                                                    .err = out,
                                                    .listener = told_event,
                                                    .user = &t});
    fclose(out);
    assert_int_equal(again, code);
    u32 lines = 0;
    for (const char *at = report; (at = strstr(at, "damaged: ")) != NULL; at++) {
        lines += at == report || at[-1] == '\n';
    }
    assert_true(t.summaries <= 1);
    bool summed = t.summaries == 1 && t.total > 0; /* a line that begins alike */
    assert_int_equal(lines, t.damages + summed);
    assert_true(t.summaries == 0 || t.total == t.damages);
}

static int doctor_call(const struct fixture *f, bool repair)
{
    memset(report, 0, sizeof(report));
    FILE *out = fmemopen(report, sizeof(report) - 1, "w");
    assert_non_null(out);
    int code = doctor_run(&(struct doctor_options){.directory = f->dir,
                                                   .io = border,
                                                   .extent_bytes = EXTENT_BYTES,
                                                   .repair = repair,
                                                   .accept_loss = repair && accept_loss,
                                                   .out = out,
                                                   .err = out});
    fclose(out);
    accept_loss = false;
    return code;
}

static void expect_text(const char *text)
{
    if (text != NULL && strstr(report, text) == NULL) {
        fail_msg("'%s' is not in:\n%s", text, report);
    }
}

/* The doctor says so, and leaves every byte as it is. */
static void expect(const struct fixture *f, int code, const char *a, const char *b, const char *c)
{
    u32 before = directory_checksum(f);
    int got = doctor_call(f, false);
    if (got != code) {
        fail_msg("exit code %d instead of %d:\n%s", got, code, report);
    }
    assert_int_equal(directory_checksum(f), before);
    events_agree(f, code);
    expect_text(a);
    expect_text(b);
    expect_text(c);
}

static void meta_name(const struct fixture *f, char copy, char out[200])
{
    snprintf(out, 200, "%s/meta/0000000000000000.%c", f->dir, copy);
}

static void pack_name(const struct fixture *f, u64 id, char out[200])
{
    snprintf(out, 200, "%s/packs/%016llx", f->dir, (unsigned long long)id);
}

/* ---- healthy, not ours, in use ---------------------------------------------------------------
 */

static void test_healthy(void **state)
{
    struct fixture *f = *state;
    expect(f, DOCTOR_HEALTHY, "\nhealthy\n", "orders-6: offsets 0 to ", "orders-2: offsets 0 to 2");
    expect_text("wal 1: ");
    expect_text("packs/0000000000000005: ");
    assert_null(strstr(report, "damaged"));
    assert_int_equal(doctor_call(f, true), DOCTOR_HEALTHY);
}

static void test_not_ours(void **state)
{
    struct fixture *f = *state;
    struct fixture other = *f;
    snprintf(other.dir, sizeof(other.dir), "%.40s", f->base);
    expect(&other, DOCTOR_NOT_OURS, "is not an Odradek data directory", NULL, NULL);
    snprintf(other.dir, sizeof(other.dir), "%.40s/none", f->base);
    assert_int_equal(doctor_call(&other, false), DOCTOR_NOT_OURS);
    expect_text("cannot be listed: not found");
}

static void test_in_use(void **state)
{
    struct fixture *f = *state;
    char text[64];
    assert_int_equal(fixture_open_only(f, 0), OK);
    snprintf(text, sizeof(text), "its process id is %d;", (int)getpid());
    expect(f, DOCTOR_IN_USE, "a broker has the data directory", text, NULL);
    home_destroy(f->home);
    fixture_turns(f, 10);
}

static void test_foreign_files(void **state)
{
    struct fixture *f = *state;
    char path[200];
    static const char *const names[] = {"notes.txt", "wal/x", "packs/x", "meta/x"};
    for (u32 i = 0; i < ARRAY_LEN(names); i++) {
        file_path(f, names[i], path);
        file_put(path, "x", 1);
    }
    expect(f, DOCTOR_HEALTHY, "notes.txt is not Odradek's", "wal/x is not Odradek's",
           "packs/x is not Odradek's");
    expect_text("meta/x is not Odradek's");
}

/* ---- format ----------------------------------------------------------------------------------
 */

static void test_format(void **state)
{
    struct fixture *f = *state;
    char path[200];
    file_path(f, "format", path);
    file_flip(path, 30);
    expect(f, DOCTOR_DAMAGED, "damaged: format, byte 0: the file is damaged", "no record is lost",
           "orders-6: offsets 0 to ");
    assert_int_equal(unlink(path), 0);
    expect(f, DOCTOR_DAMAGED, "the file is gone", "damaged: 1 in all", "orders-6: offsets 0 to ");
    file_put(path, "odradek-data 2\n", 15);
    expect(f, DOCTOR_FAILED, "has format 2, made by a newer Odradek", NULL, NULL);
}

/* ---- the WAL ---------------------------------------------------------------------------------
 */

static void test_wal_payload(void **state)
{
    struct fixture *f = *state;
    char path[200], text[200];
    u64 at = slot_find(f, 4, path);
    const struct frame_entry *e = &f->frames[4].entries[1];
    file_flip(path, at + e->pos + 70);
    snprintf(text, sizeof(text), "byte %llu: batches of slot 4 are damaged",
             (unsigned long long)at + e->pos);
    expect(f, DOCTOR_DAMAGED, text, "damaged: 1 in all", NULL);
    snprintf(text, sizeof(text), "records damaged: orders-6, offsets %llu to %llu\n",
             (unsigned long long)e->base_offset,
             (unsigned long long)e->base_offset + e->last_offset_delta);
    expect_text(text);
}

static void test_wal_header(void **state)
{
    struct fixture *f = *state;
    char path[200], text[200];
    u64 at = slot_find(f, 4, path);
    file_flip(path, at + 60);
    snprintf(text, sizeof(text), "cannot be reached: orders-6, offsets %llu to %llu\n",
             (unsigned long long)f->frames[4].entries[0].base_offset,
             (unsigned long long)f->frames[4].next_offset - 1);
    expect(f, DOCTOR_DAMAGED, "slot 4 was acknowledged and cannot be read", text,
           "the check goes on at slot 5");
    expect_text("damaged: 1 in all");
}

static void test_wal_index(void **state)
{
    struct fixture *f = *state;
    char path[200], text[200];
    u64 at = slot_find(f, 4, path);
    file_flip(path, at + f->frames[4].header.index_pos + 9);
    snprintf(text, sizeof(text), "records lost: orders-6, offsets %llu to %llu\n",
             (unsigned long long)f->frames[4].entries[0].base_offset,
             (unsigned long long)f->frames[4].next_offset - 1);
    expect(f, DOCTOR_DAMAGED, "the index of slot 4 disagrees", text, NULL);
}

static void test_wal_torn_tail(void **state)
{
    struct fixture *f = *state;
    char path[200];
    u64 at = slot_find(f, SLOTS - 1, path);
    file_flip(path, at + f->frames[SLOTS - 1].entries[0].pos + 70);
    expect(f, DOCTOR_HEALTHY, "a torn tail from slot 23 on; nothing of it was ever acknowledged",
           "\nhealthy\n", NULL);
    file_flip(path, at + 60);
    expect(f, DOCTOR_HEALTHY, "a torn tail from slot 23 on", "\nhealthy\n", NULL);
}

/* The last extent with frames lost its end: as much a loss as any, though nothing tells of what. */
static void test_wal_cut_off(void **state)
{
    struct fixture *f = *state;
    char path[200];
    u64 at = slot_find(f, SLOTS - 1, path);
    const u64 sizes[] = {at, at + 512, EXTENT_BYTES - 4096};
    for (u32 i = 0; i < ARRAY_LEN(sizes); i++) {
        u8 *bytes;
        size_t size = file_get(path, &bytes);
        assert_int_equal(truncate(path, (off_t)sizes[i]), 0);
        expect(f, DOCTOR_DAMAGED, "was made with 65536", "acknowledged from slot 2",
               "damaged: 1 in all");
        file_put(path, bytes, size);
        mem_free(bytes);
        expect(f, DOCTOR_HEALTHY, "\nhealthy\n", NULL, NULL);
    }
    assert_int_equal(truncate(path, (off_t)at), 0);
    const struct home_meta_visitor v = {.snapshot = nothing_said, .slot = nothing_said};
    u64 next;
    u64 length = 0;
    assert_int_equal(fixture_open_only(f, 0), OK);
    assert_int_equal(home_meta_replay(f->home, &v, &next), OK);
    assert_string_equal(home_reason(f->home), "");
    assert_int_equal(wal_scan_from(f, 1, UINT64_MAX, &length), OK);
    assert_int_equal(length, SLOTS - 1);
    if (strstr(home_reason(f->home), "was made with 65536; the log ends at slot 23.") == NULL) {
        fail_msg("%s", home_reason(f->home));
    }
    home_destroy(f->home);
    fixture_turns(f, 10);
    border = f->io;
    fault.error = ERR_NO_SPACE;
    fault.verb = FAULT_ALLOCATE;
    accept_loss = true;
    assert_int_equal(doctor_call(f, true), DOCTOR_DAMAGED);
    fault.verb = FAULT_NONE;
    border = NULL;
    expect_text("not repaired: ");
    accept_loss = true;
    assert_int_equal(doctor_call(f, true), DOCTOR_HEALTHY);
    expect_text("repaired: it has its size; the loss is accepted");
    expect(f, DOCTOR_HEALTHY, "\nhealthy\n", NULL, NULL);
}

static void test_wal_extent_missing(void **state)
{
    struct fixture *f = *state;
    char path[200];
    (void)slot_find(f, SLOTS - 1, path); /* in a later one */
    extent_name(f, 1, path);
    assert_int_equal(unlink(path), 0);
    expect(f, DOCTOR_DAMAGED, "the extent after this one is missing",
           "records lost: orders-6, offsets ", "next: restore the missing extent");
}

/* The last that was in use, while the one made ahead is there. */
static void test_wal_last_extent_missing(void **state)
{
    struct fixture *f = *state;
    char path[200];
    (void)slot_find(f, SLOTS - 1, path);
    assert_int_equal(unlink(path), 0);
    expect(f, DOCTOR_DAMAGED, "the extent after this one is missing, and a later one is there",
           "nothing tells whether they were acknowledged", "damaged: 1 in all");
}

/* Every frame is good, in the wrong file: brokers refuse that, too. */
static void test_wal_extents_swapped(void **state)
{
    struct fixture *f = *state;
    char path[2][200];
    u8 *bytes[2];
    size_t size[2];
    for (u32 i = 0; i < 2; i++) {
        extent_name(f, i, path[i]);
        size[i] = file_get(path[i], &bytes[i]);
    }
    file_put(path[0], bytes[1], size[1]);
    file_put(path[1], bytes[0], size[0]);
    expect(f, DOCTOR_DAMAGED, "was acknowledged and cannot be read", NULL, NULL);
    mem_free(bytes[0]);
    mem_free(bytes[1]);
}

static void test_wal_missing(void **state)
{
    struct fixture *f = *state;
    char path[200];
    for (u32 number = 0; number < 16; number++) {
        extent_name(f, number, path);
        (void)unlink(path);
    }
    expect(f, DOCTOR_DAMAGED, "all extents of WAL 1 are missing", "damaged: 1 in all", NULL);
}

/* ---- cutting the WAL ------------------------------------------------------------------------ */

/* What a broker would find of WAL 1, whose first slot is filed. */
static void expect_scan(struct fixture *f, err_t result, u64 length)
{
    const struct home_meta_visitor v = {.snapshot = nothing_said, .slot = nothing_said};
    u64 next;
    u64 found = 0;
    assert_int_equal(fixture_open_only(f, 0), OK);
    assert_int_equal(home_meta_replay(f->home, &v, &next), OK);
    assert_int_equal(wal_scan_from(f, 1, UINT64_MAX, &found), result);
    assert_int_equal(found, length);
    home_destroy(f->home);
    fixture_turns(f, 10);
}

/* The price first, and no byte changes; then, accepted, the broker starts and has all before. */
static void cut_repair(struct fixture *f, u64 slot)
{
    char text[200];
    u32 before = directory_checksum(f);
    snprintf(text, sizeof(text), "WAL 1 can be cut at slot %llu ", (unsigned long long)slot);
    expect_scan(f, ERR_CORRUPT, 0);
    assert_int_equal(doctor_call(f, true), DOCTOR_DAMAGED);
    expect_text(text);
    expect_text("--repair --accept-loss");
    snprintf(text, sizeof(text), "lost by the cut: orders-6, offsets ");
    expect_text(text);
    snprintf(text, sizeof(text), " to %llu\n",
             (unsigned long long)f->frames[SLOTS - 1].next_offset - 1);
    expect_text(text);
    assert_int_equal(directory_checksum(f), before);
    accept_loss = true;
    assert_int_equal(doctor_call(f, true), DOCTOR_HEALTHY);
    expect_text("repaired: cut; the loss is accepted");
    expect(f, DOCTOR_HEALTHY, "\nhealthy\n", NULL, NULL);
    expect_scan(f, OK, slot);
}

static void test_cut_header(void **state)
{
    struct fixture *f = *state;
    char path[200];
    u64 at = slot_find(f, 4, path);
    file_flip(path, at + 60);
    cut_repair(f, 4);
}

static void test_cut_index(void **state)
{
    struct fixture *f = *state;
    char path[200];
    u64 at = slot_find(f, 4, path);
    file_flip(path, at + f->frames[4].header.index_pos + 9);
    cut_repair(f, 4);
}

static void test_cut_missing_extent(void **state)
{
    struct fixture *f = *state;
    char path[200], other[200];
    extent_name(f, 1, path);
    u64 first = 1;
    while (slot_find(f, first, other) > 0 || strcmp(path, other) != 0) {
        first++;
    }
    assert_int_equal(unlink(path), 0);
    cut_repair(f, first);
}

/* The headers of two slots change places, one of them at the beginning of an extent: the cut takes
   also what stands between the last good frame and the damage. */
static void test_cut_headers_swapped(void **state)
{
    struct fixture *f = *state;
    char path[2][200];
    u8 *bytes[2];
    u64 at[2];
    extent_name(f, 1, path[1]);
    u64 first = 1;
    while (slot_find(f, first, path[0]) > 0 || strcmp(path[0], path[1]) != 0) {
        first++;
    }
    at[0] = slot_find(f, first - 1, path[0]);
    at[1] = slot_find(f, first, path[1]);
    for (u32 i = 0; i < 2; i++) {
        (void)file_get(path[i], &bytes[i]);
    }
    file_poke(path[0], at[0], bytes[1] + at[1], 512);
    file_poke(path[1], at[1], bytes[0] + at[0], 512);
    cut_repair(f, first - 1);
    mem_free(bytes[0]);
    mem_free(bytes[1]);
}

/* Nothing before it is left to begin with, and where a sealed one ends is in the metadata. */
static void test_cut_is_not_offered(void **state)
{
    struct fixture *f = *state;
    char path[200];
    u64 at = slot_find(f, 0, path);
    assert_int_equal(at, 0);
    file_flip(path, 60);
    expect(f, DOCTOR_DAMAGED, "was acknowledged and cannot be read", NULL, NULL);
    assert_null(strstr(report, "can be cut"));
    file_flip(path, 60);
    struct meta_command c = {.kind = META_SEAL_WAL};
    c.seal.wal = 1;
    c.seal.length = SLOTS;
    const struct home_meta_visitor v = {.snapshot = nothing_said, .slot = nothing_said};
    u64 next;
    assert_int_equal(fixture_open_only(f, 0), OK);
    assert_int_equal(home_meta_replay(f->home, &v, &next), OK);
    command_write(f, &c);
    home_destroy(f->home);
    fixture_turns(f, 10);
    at = slot_find(f, 4, path);
    file_flip(path, at + 60);
    expect(f, DOCTOR_DAMAGED, "was acknowledged and cannot be read", NULL, NULL);
    assert_null(strstr(report, "can be cut"));
}

/* ---- repairs that cannot be written --------------------------------------------------------- */

/* The doctor as it is where nothing can be written beyond so many bytes of a file. */
static int doctor_without_room(const struct fixture *f, u64 bytes)
{
    struct rlimit before;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    struct rlimit now = {bytes, before.rlim_max};
    void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &now), 0);
    int code = doctor_call(f, true);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    signal(SIGXFSZ, handler);
    return code;
}

static void test_repair_fails_meta(void **state)
{
    struct fixture *f = *state;
    char path[200];
    meta_name(f, 'a', path);
    file_flip(path, 4096 + 140);
    assert_int_equal(doctor_without_room(f, 4096), DOCTOR_DAMAGED);
    expect_text("not repaired: ");
    expect_text("damaged: 1 in all, 0 repaired");
    assert_int_equal(unlink(path), 0);
    assert_int_equal(doctor_without_room(f, 4096), DOCTOR_DAMAGED);
    expect_text("not repaired: ");
    assert_false(file_there(path)); /* nothing half made */
    assert_int_equal(doctor_call(f, true), DOCTOR_HEALTHY);
    expect_text("repaired: made again from");
}

static void test_repair_fails_cut(void **state)
{
    struct fixture *f = *state;
    char path[200];
    u64 at = slot_find(f, 4, path);
    file_flip(path, at + 60);
    accept_loss = true;
    assert_int_equal(doctor_without_room(f, at), DOCTOR_DAMAGED);
    expect_text("not repaired: ");
    expect_text("WAL 1 can be cut at slot 4 ");
    accept_loss = true;
    assert_int_equal(doctor_call(f, true), DOCTOR_HEALTHY);
    expect_scan(f, OK, 4);
}

/* ---- packs -----------------------------------------------------------------------------------
 */

static void test_pack_payload(void **state)
{
    struct fixture *f = *state;
    char path[200];
    pack_name(f, 5, path);
    file_flip(path, 4096 + BATCH_BYTES + 80);
    expect(f, DOCTOR_DAMAGED, "packs/0000000000000005, byte 4096: a run of 600 bytes",
           "records damaged: orders-2, offsets 1 to 1\n", "damaged: 1 in all");
}

static void test_pack_index(void **state)
{
    struct fixture *f = *state;
    char path[200];
    pack_name(f, 5, path);
    file_flip(path, 4096 + PACK_BATCHES * BATCH_BYTES + 3);
    expect(f, DOCTOR_DAMAGED, "byte 4696: the pack's index disagrees", "records are lost unless",
           "damaged: 1 in all");
}

static void test_pack_ends(void **state)
{
    struct fixture *f = *state;
    char path[200];
    pack_name(f, 5, path);
    file_flip(path, pack_size - 60);
    expect(f, DOCTOR_DAMAGED, "the pack's trailer is damaged", "next: restore the file", NULL);
    file_flip(path, 33);
    expect(f, DOCTOR_DAMAGED, "byte 0: the pack's header is damaged", NULL, NULL);
}

static void test_pack_missing(void **state)
{
    struct fixture *f = *state;
    char path[200];
    pack_name(f, 5, path);
    assert_int_equal(truncate(path, 4096), 0);
    expect(f, DOCTOR_DAMAGED, "the pack has 4096 bytes and should have 8192", NULL, NULL);
    assert_int_equal(unlink(path), 0);
    expect(f, DOCTOR_DAMAGED, "the metadata names this pack, but it is missing",
           "next: restore the file", "damaged: 1 in all");
}

static void test_pack_stray(void **state)
{
    struct fixture *f = *state;
    char path[200], other[200];
    u8 *bytes;
    pack_name(f, 5, path);
    pack_name(f, 9, other);
    size_t size = file_get(path, &bytes);
    file_put(other, bytes, size);
    mem_free(bytes);
    expect(f, DOCTOR_HEALTHY, "packs/0000000000000009: a stray pack", "or --repair does", NULL);
    assert_int_equal(doctor_call(f, true), DOCTOR_HEALTHY);
    expect_text("repaired: removed");
    assert_false(file_there(other));
    assert_true(file_there(path));
    expect(f, DOCTOR_HEALTHY, "\nhealthy\n", NULL, NULL);
}

/* A broker that was at full speed leaves hundreds. */
static void test_many_stray_packs(void **state)
{
    struct fixture *f = *state;
    char path[200];
    for (u64 id = 9; id < 29; id++) {
        pack_name(f, id, path);
        file_put(path, (const u8 *)"", 0);
    }
    expect(f, DOCTOR_HEALTHY, "packs/000000000000000b: a stray pack", "17 more stray packs",
           "next: as for the first 3");
    assert_null(strstr(report, "packs/000000000000000c"));
    assert_int_equal(doctor_call(f, true), DOCTOR_HEALTHY);
    pack_name(f, 28, path);
    assert_false(file_there(path));
    expect(f, DOCTOR_HEALTHY, "\nhealthy\n", NULL, NULL);
}

/* It may be all that is left of a pack that is gone. */
static void test_pack_stray_stays(void **state)
{
    struct fixture *f = *state;
    char path[200], other[200];
    pack_name(f, 5, path);
    pack_name(f, 9, other);
    assert_int_equal(rename(path, other), 0);
    assert_int_equal(doctor_call(f, true), DOCTOR_DAMAGED);
    expect_text("it stays until the damage above is dealt with");
    assert_true(file_there(other));
}

/* ---- giving up packs ------------------------------------------------------------------------- */

static void home_at_work(struct fixture *f)
{
    const struct home_meta_visitor v = {.snapshot = nothing_said, .slot = nothing_said};
    assert_int_equal(fixture_open_only(f, 0), OK);
    assert_int_equal(home_meta_replay(f->home, &v, &meta_at), OK);
}

static void home_leaves(struct fixture *f)
{
    home_destroy(f->home);
    fixture_turns(f, 10);
}

/* Packs 6 and 7, behind 5. */
static void packs_more(struct fixture *f)
{
    home_at_work(f);
    register_write(f, 2);
    for (u64 id = 6; id <= 7; id++) {
        u64 bytes;
        pack_make(f, id, &bytes);
        assert_int_equal(bytes, pack_size);
        pack_file(f, 2, id - 6, id);
    }
    struct meta_command c = {.kind = META_SEAL_WAL};
    c.seal.wal = 2;
    c.seal.length = 2;
    command_write(f, &c);
    home_leaves(f);
}

/* What a start finds in the packs. */
struct found {
    u64 next; /* of partition 3; a start refuses packs whose offsets do not abut */
    u64 records;
    u32 producers;
    i32 last_sequence;
    u32 packs;
};

static err_t found_runs(void *user, const struct pack_run *runs, u32 count)
{
    struct found *found = user;
    for (u32 i = 0; i < count; i++) {
        assert_int_equal(runs[i].partition, 3);
        assert_int_equal(runs[i].base_offset, found->next);
        found->next = runs[i].next_offset;
        found->records += runs[i].bytes == BATCH_HEADER_BYTES ? 0 : runs[i].batches;
    }
    return OK;
}

static err_t found_producers(void *user, const struct pack_producer *producers, u32 count)
{
    struct found *found = user;
    for (u32 i = 0; i < count; i++) {
        assert_int_equal(producers[i].id, PRODUCER);
        assert_int_equal(producers[i].epoch, 2);
        assert_int_equal(producers[i].base_offset, producers[i].first_sequence);
        assert_int_equal(producers[i].max_timestamp, 1000 + producers[i].first_sequence);
        assert_int_equal(producers[i].first_sequence, producers[i].last_sequence);
        found->last_sequence = producers[i].last_sequence;
    }
    found->producers += count;
    return OK;
}

static err_t found_slot(void *user, u64 slot, struct slice payload)
{
    struct meta *meta = user;
    struct arena arena;
    (void)slot;
    arena_init(&arena, NULL, 4 * KIB, 0);
    struct reader r = reader_of(payload);
    for (u32 count = read_le32(&r); count > 0; count--) {
        struct meta_command c;
        struct meta_outcome outcome;
        assert_int_equal(meta_command_decode(&r, &arena, &c), OK);
        meta_apply(meta, &c, &outcome);
        assert_int_equal(outcome.kerr, KERR_NONE);
    }
    arena_fini(&arena);
    return OK;
}

static struct found packs_read(struct fixture *f)
{
    struct found found = {.last_sequence = -1};
    struct meta *meta = meta_create();
    const struct home_meta_visitor v = {.user = meta, .snapshot = nothing_said, .slot = found_slot};
    const struct home_pack_visitor visitor = {
        .user = &found, .runs = found_runs, .producers = found_producers};
    assert_int_equal(fixture_open_only(f, 0), OK);
    assert_int_equal(home_meta_replay(f->home, &v, &meta_at), OK);
    const struct meta_pack *packs = meta_packs(meta, &found.packs);
    for (u32 i = 0; i < found.packs; i++) {
        err_t e =
            home_pack_load(f->home, (struct home_pack){packs[i].id, packs[i].bytes}, &visitor);
        assert_int_equal(e, OK);
    }
    home_leaves(f);
    meta_destroy(meta);
    return found;
}

/* The price first, and no byte changes; then, accepted, a start finds packs that abut. */
static struct found give_up(struct fixture *f, const char *price)
{
    u32 before = directory_checksum(f);
    assert_int_equal(doctor_call(f, true), DOCTOR_DAMAGED);
    expect_text(price);
    expect_text("--repair --accept-loss");
    assert_int_equal(directory_checksum(f), before);
    accept_loss = true;
    int code = doctor_call(f, true);
    if (code != DOCTOR_HEALTHY) {
        fail_msg("%s", report);
    }
    expect_text(price);
    expect_text("the loss is accepted");
    expect(f, DOCTOR_HEALTHY, "\nhealthy\n", NULL, NULL);
    return packs_read(f);
}

static void test_give_up_middle(void **state)
{
    struct fixture *f = *state;
    char path[200];
    packs_more(f);
    assert_int_equal(packs_read(f).records, 9);
    pack_name(f, 6, path);
    assert_int_equal(unlink(path), 0);
    struct found found = give_up(f, "lost with it: orders-2, offsets 3 to 5\n");
    assert_int_equal(found.packs, 3);
    assert_int_equal(found.next, 9);
    assert_int_equal(found.records, 6);
    assert_int_equal(found.producers, 6);
    assert_int_equal(found.last_sequence, 8);
}

/* With the index, but not the table of producers behind it: these stay. */
static void test_give_up_index(void **state)
{
    struct fixture *f = *state;
    char path[200];
    packs_more(f);
    pack_name(f, 6, path);
    file_flip(path, 4096 + PACK_BATCHES * BATCH_BYTES + 3);
    struct found found = give_up(f, "lost with it: orders-2, offsets 3 to 5\n");
    assert_int_equal(found.next, 9);
    assert_int_equal(found.records, 6);
    assert_int_equal(found.producers, 9);
    pack_name(f, 6, path);
    assert_true(file_there(path)); /* until a broker starts */
}

/* Two that are neighbours, at the beginning: what is missing counts once. */
static void test_give_up_first_two(void **state)
{
    struct fixture *f = *state;
    char path[200];
    packs_more(f);
    pack_name(f, 5, path);
    assert_int_equal(unlink(path), 0);
    pack_name(f, 6, path);
    assert_int_equal(truncate(path, 4096), 0);
    struct found found = give_up(f, "lost with it: orders-2, offsets 0 to 5\n");
    assert_int_equal(found.packs, 2); /* the first had nothing that is known of */
    assert_int_equal(found.next, 9);
    assert_int_equal(found.records, 3);
}

/* What nothing follows is not known. */
static void test_give_up_last(void **state)
{
    struct fixture *f = *state;
    char path[200];
    packs_more(f);
    pack_name(f, 7, path);
    file_flip(path, pack_size - 60);
    struct found found = give_up(f, "perhaps lost, nothing tells: orders-2, from offset 6 on");
    expect_text("orders-2: offsets 0 to 5");
    assert_int_equal(found.packs, 2);
    assert_int_equal(found.next, 6);
}

/* Records are all there; what the table said of producers is read from them. */
static void test_give_up_producers(void **state)
{
    struct fixture *f = *state;
    char path[200];
    packs_more(f);
    pack_name(f, 6, path);
    file_flip(path, 4096 + PACK_BATCHES * BATCH_BYTES + 64 + 9);
    file_flip(path, 4096 + BATCH_BYTES + 100); /* and a batch, which is refused to readers */
    u32 before = directory_checksum(f);
    assert_int_equal(doctor_call(f, true), DOCTOR_DAMAGED);
    expect_text("can be made again with all its records");
    assert_int_equal(directory_checksum(f), before);
    accept_loss = true;
    assert_int_equal(doctor_call(f, true), DOCTOR_DAMAGED);
    expect_text("is made again; the loss is accepted");
    expect_text("damaged: 2 in all, 1 repaired");
    struct found found = packs_read(f);
    assert_int_equal(found.next, 9);
    assert_int_equal(found.records, 9);
    assert_int_equal(found.producers, 8);
    expect(f, DOCTOR_DAMAGED, "records damaged: orders-2, offsets 4 to 4\n",
           "a run of 600 bytes disagrees with its checksum", "damaged: 1 in all");
}

/* What follows in the WAL has to be whole before it tells what a pack had. */
static void test_give_up_later(void **state)
{
    struct fixture *f = *state;
    char path[200], pack[200];
    packs_more(f);
    pack_name(f, 6, pack);
    assert_int_equal(unlink(pack), 0);
    u64 at = slot_find(f, 4, path);
    file_flip(path, at + 60);
    accept_loss = true;
    assert_int_equal(doctor_call(f, true), DOCTOR_DAMAGED);
    expect_text("repaired: cut; the loss is accepted");
    expect_text("deal with the other damage first");
    struct found found = give_up(f, "lost with it: orders-2, offsets 3 to 5\n");
    assert_int_equal(found.next, 9);
}

/* ---- repairs on a border that fails ---------------------------------------------------------- */

/* Every call of the verb fails once. What was said to be healthy is, and what was not can be
   repaired afterwards. */
static void repair_walk(struct fixture *f, enum fault_verb verb, void (*damage)(struct fixture *f))
{
    bool through = false;
    for (u32 after = 0; !through; after++) {
        fixture_frames_free(f);
        memset(f->frames, 0, sizeof(f->frames));
        nftw(f->dir, tree_remove_one, 16, FTW_DEPTH | FTW_PHYS);
        directory_make(f);
        packs_more(f);
        damage(f);
        fault.verb = verb;
        fault.after = after;
        fault.error = ERR_IO;
        fault.hits = 0;
        border = f->io;
        accept_loss = true;
        int code = doctor_call(f, true);
        border = NULL;
        fault.verb = FAULT_NONE;
        fixture_turns(f, 10);
        through = fault.hits == 0;
        if (through || code == DOCTOR_HEALTHY) {
            assert_int_equal(code, DOCTOR_HEALTHY);
        }
        accept_loss = true;
        assert_int_equal(doctor_call(f, true), DOCTOR_HEALTHY);
        expect(f, DOCTOR_HEALTHY, "\nhealthy\n", NULL, NULL);
        assert_int_equal(packs_read(f).next, 9);
    }
}

static void damage_pack(struct fixture *f)
{
    char path[200];
    pack_name(f, 6, path);
    assert_int_equal(unlink(path), 0);
}

static void damage_wal(struct fixture *f)
{
    char path[200];
    u64 at = slot_find(f, 4, path);
    file_flip(path, at + 60);
}

static void damage_copy(struct fixture *f)
{
    char path[200];
    meta_name(f, 'a', path);
    assert_int_equal(unlink(path), 0);
}

static void test_repair_walked(void **state)
{
    static const enum fault_verb verbs[] = {FAULT_WRITE_NOW, FAULT_SYNC,   FAULT_SYNC_DIR,
                                            FAULT_UNLINK,    FAULT_RENAME, FAULT_ALLOCATE};
    static void (*const damages[])(struct fixture * f) = {damage_pack, damage_wal, damage_copy};
    for (u32 i = 0; i < ARRAY_LEN(verbs); i++) {
        for (u32 k = 0; k < ARRAY_LEN(damages); k++) {
            repair_walk(*state, verbs[i], damages[k]);
        }
    }
}

/* ---- the metadata ----------------------------------------------------------------------------
 */

static void meta_copy_repair(struct fixture *f, char copy)
{
    char path[200];
    meta_name(f, copy, path);
    u32 whole = directory_checksum(f);
    file_flip(path, 4096 + 140);
    expect(f, DOCTOR_DAMAGED, "byte 4096: metadata slot 1 is damaged or missing in this copy",
           "nothing is lost", "orders-6: offsets 0 to ");
    assert_int_equal(doctor_call(f, true), DOCTOR_HEALTHY);
    expect_text("repaired: written again from");
    assert_int_equal(directory_checksum(f), whole);
}

static void test_meta_one_copy(void **state)
{
    struct fixture *f = *state;
    meta_copy_repair(f, 'a');
    meta_copy_repair(f, 'b');
}

static void test_meta_last_slot(void **state)
{
    struct fixture *f = *state;
    char path[200];
    meta_name(f, 'b', path);
    file_flip(path, 2 * 4096 + 140);
    expect(f, DOCTOR_HEALTHY, "perhaps a write that was interrupted", "\nhealthy\n", NULL);
}

static void test_meta_both_copies(void **state)
{
    struct fixture *f = *state;
    char path[200];
    meta_name(f, 'a', path);
    file_flip(path, 4096 + 140);
    meta_name(f, 'b', path);
    file_flip(path, 4096 + 140);
    u32 before = directory_checksum(f);
    expect(f, DOCTOR_DAMAGED, "byte 4096: metadata slot 1 is damaged in both copies",
           "at least 1 behind it", "restore the data directory from a backup");
    assert_int_equal(doctor_call(f, true), DOCTOR_DAMAGED); /* the pack is a stray one now */
    assert_int_equal(directory_checksum(f), before);
}

static void test_meta_gone(void **state)
{
    struct fixture *f = *state;
    char path[200];
    meta_name(f, 'a', path);
    assert_int_equal(unlink(path), 0);
    expect(f, DOCTOR_DAMAGED, "0000000000000000.a, byte 0: this copy of the metadata is missing",
           "start a broker, which restores the copy", "damaged: 1 in all");
    u8 *bytes[2];
    size_t size[2];
    assert_int_equal(doctor_call(f, true), DOCTOR_HEALTHY);
    expect_text("repaired: made again from meta/0000000000000000.b");
    size[0] = file_get(path, &bytes[0]);
    meta_name(f, 'b', path);
    size[1] = file_get(path, &bytes[1]);
    assert_int_equal(size[0], size[1]);
    assert_memory_equal(bytes[0], bytes[1], size[0]);
    mem_free(bytes[0]);
    mem_free(bytes[1]);
    expect(f, DOCTOR_HEALTHY, "\nhealthy\n", NULL, NULL);
    meta_name(f, 'a', path);
    assert_int_equal(unlink(path), 0);
    meta_name(f, 'b', path);
    assert_int_equal(unlink(path), 0);
    expect(f, DOCTOR_DAMAGED, "the metadata log is gone", NULL, NULL);
}

/* The files of meta/ from before the session was registered. */
static void test_meta_rolled_back(void **state)
{
    struct fixture *f = *state;
    char path[200];
    static const u8 zeros[2 * 4096];
    for (char copy = 'a'; copy <= 'b'; copy++) {
        meta_name(f, copy, path);
        file_poke(path, 4096, zeros, sizeof(zeros));
    }
    expect(f, DOCTOR_DAMAGED, "the metadata is older than the data: it does not know of WAL 1",
           "next: do not start a broker", NULL);
}

/* ---- what cannot be read ----------------------------------------------------------------------
 */

static void folder_instead(const char *path)
{
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkdir(path, 0755), 0);
}

static void test_unreadable(void **state)
{
    struct fixture *f = *state;
    char path[200];
    pack_name(f, 5, path);
    folder_instead(path);
    expect(f, DOCTOR_DAMAGED, "names this pack, but it cannot be read: ", "damaged: 1 in all",
           NULL);
    extent_name(f, 1, path);
    folder_instead(path);
    expect(f, DOCTOR_DAMAGED,
           "-00000001, byte 0: cannot be read: ", "was acknowledged and cannot be read",
           "next: check the disk");
    meta_name(f, 'a', path);
    folder_instead(path);
    expect(f, DOCTOR_DAMAGED, "0000000000000000.a, byte 0: cannot be read: ", NULL, NULL);
}

static void test_folders_missing(void **state)
{
    struct fixture *f = *state;
    char from[200], to[200];
    static const char *const names[] = {"wal", "packs"};
    for (u32 i = 0; i < ARRAY_LEN(names); i++) {
        file_path(f, names[i], from);
        snprintf(to, sizeof(to), "%s/%s-away", f->base, names[i]);
        assert_int_equal(rename(from, to), 0);
    }
    expect(f, DOCTOR_DAMAGED, "damaged: wal, byte 0: the folder cannot be listed",
           "damaged: packs, byte 0: the folder cannot be listed", "restore it from a backup");
}

static void test_lock_missing(void **state)
{
    struct fixture *f = *state;
    char path[200];
    file_path(f, "lock", path);
    assert_int_equal(unlink(path), 0);
    expect(f, DOCTOR_HEALTHY, "\nhealthy\n", NULL, NULL);
    assert_int_equal(doctor_call(f, true), DOCTOR_FAILED);
    expect_text("the file 'lock' of");
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_healthy),
        CASE(test_not_ours),
        CASE(test_in_use),
        CASE(test_foreign_files),
        CASE(test_format),
        CASE(test_wal_payload),
        CASE(test_wal_header),
        CASE(test_wal_index),
        CASE(test_wal_torn_tail),
        CASE(test_wal_cut_off),
        CASE(test_wal_extent_missing),
        CASE(test_wal_last_extent_missing),
        CASE(test_wal_extents_swapped),
        CASE(test_wal_missing),
        CASE(test_cut_header),
        CASE(test_cut_index),
        CASE(test_cut_missing_extent),
        CASE(test_cut_headers_swapped),
        CASE(test_cut_is_not_offered),
        CASE(test_repair_fails_meta),
        CASE(test_repair_fails_cut),
        CASE(test_pack_payload),
        CASE(test_pack_index),
        CASE(test_pack_ends),
        CASE(test_pack_missing),
        CASE(test_pack_stray),
        CASE(test_many_stray_packs),
        CASE(test_pack_stray_stays),
        CASE(test_give_up_middle),
        CASE(test_give_up_index),
        CASE(test_give_up_first_two),
        CASE(test_give_up_last),
        CASE(test_give_up_producers),
        CASE(test_give_up_later),
        CASE(test_repair_walked),
        CASE(test_meta_one_copy),
        CASE(test_meta_last_slot),
        CASE(test_meta_both_copies),
        CASE(test_meta_gone),
        CASE(test_meta_rolled_back),
        CASE(test_unreadable),
        CASE(test_folders_missing),
        CASE(test_lock_missing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Proves that this build opens the directory of format version 1 in test/golden/dir-v1 and finds in
   it exactly what its README says was put there. The first argument is that directory; it is
   copied, since opening writes the lock. With a second argument "write" the program makes such a
   directory instead, at the first argument: how the golden one was made, and how one for the next
   version will be. */
#include "../unit.h"

#include "home/home.h"
#include "tree.h"

#include <fcntl.h>
#include <ftw.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    EXTENT_BYTES = 16 * KIB,
    META_FIRST = 3,  /* the snapshot is the state before this slot */
    META_SLOTS = 8,  /* slots 0 .. 7 */
    WAL_LENGTH = 17, /* of WAL 1, good to the end */
    TORN_SLOT = 5,   /* of WAL 2, which had 7 slots */
    TORN_SLOTS = 7,
    BATCH_BYTES_MAX = 3000,
};
#define WAL_NONCE(wal) (0x0123456789abcdefull * ((wal) + 1))

static const char *golden;
static struct io *io;

/* ---- the content, by arithmetic only -----------------------------------------------------------
 */

static u32 meta_bytes(u64 slot)
{
    return (u32)(slot * 700 % 5000);
}

static void content_fill(u8 *at, u32 bytes, u64 salt)
{
    for (u32 i = 0; i < bytes; i++) {
        at[i] = (u8)(salt * 31 + i * 7 + i / 256);
    }
}

/* Batch k of a slot; 0, 1, 2 or 3 of them in a slot, none makes it a MARK. */
static u32 batch_count(u64 slot)
{
    return (u32)(slot * 3 % 4);
}

static struct frame_entry batch_entry(u64 wal, u64 slot, u32 k, u32 pos)
{
    return (struct frame_entry){
        .partition = 10 + k,
        .leader_epoch = (u32)wal - 1,
        .base_offset = slot * 100 + wal * 10000,
        .producer_id = k == 0 ? -1 : (i64)(4000 + k),
        .max_timestamp = 1700000000000 + (i64)slot,
        .last_offset_delta = (u32)(slot % 7),
        .pos = pos,
        .bytes = 61 + (u32)(slot * 977 + k * 401) % BATCH_BYTES_MAX,
        .base_sequence = k == 0 ? -1 : (i32)(slot * 5),
        .producer_epoch = k == 0 ? -1 : 2,
        .attributes = (u16)(k % 5),
    };
}

static void batch_fill(u8 *at, struct frame_entry *e, u64 slot)
{
    content_fill(at, e->bytes, slot + e->partition);
    store_be64(at, e->base_offset);
    store_be32(at + 8, e->bytes - 12);
    store_be32(at + 12, e->leader_epoch);
    at[16] = 2;
    e->batch_crc = crc32c(at + 21, e->bytes - 21);
    store_be32(at + 17, e->batch_crc);
}

/* Builds a whole slot at `frame` (EXTENT_BYTES of room). */
static struct frame_header slot_make(struct uuid cluster, u64 wal, u64 slot, u64 chain, u8 *frame,
                                     struct frame_entry entries[4])
{
    u32 pos = FRAME_HEADER_BYTES;
    u32 count = batch_count(slot);
    for (u32 k = 0; k < count; k++) {
        entries[k] = batch_entry(wal, slot, k, pos);
        batch_fill(frame + pos, &entries[k], slot);
        pos += entries[k].bytes;
    }
    struct frame_header h = {
        .kind = count == 0 ? FRAME_MARK : FRAME_DATA,
        .cluster = cluster,
        .wal = wal,
        .slot = slot,
        .nonce = WAL_NONCE(wal),
        .chain = chain,
        .durable_slot = slot - slot % 4,
        .payload_bytes = pos - FRAME_HEADER_BYTES,
        .index_count = count,
    };
    frame_seal(frame, &h, entries, 4096);
    assert(h.total_bytes <= EXTENT_BYTES);
    return h;
}

/* ---- writing it --------------------------------------------------------------------------------
 */

static struct home *home_at(const char *path)
{
    struct home_disk_params params = {.directory = path, .extent_bytes = EXTENT_BYTES};
    return home_disk_create(io, &params);
}

static void must(err_t e, const struct home *h)
{
    if (e != OK) {
        print_message("%s: %s\n", err_name(e), home_reason(h));
    }
    assert_int_equal(e, OK);
}

static err_t ignore_snapshot(void *user, u64 next_slot, struct slice payload)
{
    (void)user;
    (void)next_slot;
    (void)payload;
    return OK;
}

static err_t ignore_slot(void *user, u64 slot, struct slice payload)
{
    return ignore_snapshot(user, slot, payload);
}

static void open_quietly(struct home *h, struct uuid *cluster)
{
    struct home_meta_visitor v = {.snapshot = ignore_snapshot, .slot = ignore_slot};
    u64 next;
    must(home_open(h, cluster), h);
    must(home_meta_replay(h, &v, &next), h);
}

static err_t last_result;
static u32 completions;

static void meta_done(struct home_meta_write *w, err_t result)
{
    (void)w;
    last_result = result;
    completions++;
}

static void write_done(struct home_write *w, err_t result)
{
    (void)w;
    last_result = result;
    completions++;
}

static void settle(u32 before)
{
    io_turn(io, false);
    while (completions == before) {
        io_turn(io, true);
    }
    assert_int_equal(last_result, OK);
}

static void write_meta(struct home *h)
{
    u8 payload[5000];
    for (u64 slot = 0; slot < META_SLOTS; slot++) {
        if (slot == META_FIRST) {
            struct home_meta_write w = {.done = meta_done,
                                        .slot = slot,
                                        .snapshot = true,
                                        .payload = SLICE_LIT("the state before slot 3")};
            u32 before = completions;
            home_meta_write(h, &w);
            settle(before);
        }
        content_fill(payload, meta_bytes(slot), slot);
        must(home_meta_write_now(h, slot, slice_of(payload, meta_bytes(slot))), h);
    }
}

static void write_wal(struct home *h, struct uuid cluster, u64 wal, u64 count)
{
    struct blob_pool pool;
    blob_pool_init(&pool, "frames", NULL, EXTENT_BYTES, 0);
    struct blob *blob = blob_get(&pool, EXTENT_BYTES);
    u64 chain = 0;
    must(home_wal_start(h, wal, WAL_NONCE(wal)), h);
    for (u64 slot = 0; slot < count; slot++) {
        struct frame_entry entries[4];
        struct frame_header header = slot_make(cluster, wal, slot, chain, blob->data, entries);
        chain = frame_header_hash(blob->data);
        struct home_write w = {
            .done = write_done, .slot = slot, .frame = blob->data, .bytes = header.total_bytes};
        u32 before = completions;
        home_wal_write(h, &w);
        settle(before);
    }
    blob_unref(blob);
    blob_pool_fini(&pool);
}

static void close_home(struct home *h)
{
    for (u32 i = 0; i < 100; i++) { /* an extent may still be in the making */
        io_turn(io, false);
        usleep(1000);
    }
    home_destroy(h);
}

/* Finds slot TORN_SLOT of WAL 2 by its header and spoils its payload: what a crash leaves. */
static void tear(const char *path)
{
    for (u32 number = 0; number < 16; number++) {
        char name[300];
        snprintf(name, sizeof(name), "%s/wal/%016x-%08x", path, 2u, number);
        int fd = open(name, O_RDWR);
        if (fd < 0) {
            continue;
        }
        u8 header[FRAME_HEADER_BYTES];
        for (off_t at = 0; pread(fd, header, sizeof(header), at) == FRAME_HEADER_BYTES;
             at += 4096) {
            struct frame_header h;
            if (frame_header_decode(header, &h) == OK && h.slot == TORN_SLOT) {
                assert_int_equal(pwrite(fd, "torn", 4, at + FRAME_HEADER_BYTES + 100), 4);
            }
        }
        close(fd);
    }
}

static int write_golden(const char *path)
{
    struct uuid cluster;
    struct home *h = home_at(path);
    open_quietly(h, &cluster);
    write_meta(h);
    write_wal(h, cluster, 1, WAL_LENGTH);
    close_home(h);
    h = home_at(path);
    open_quietly(h, &cluster);
    write_wal(h, cluster, 2, TORN_SLOTS);
    close_home(h);
    tear(path);
    return 0;
}

/* ---- reading it --------------------------------------------------------------------------------
 */

struct seen_meta {
    bool snapshot;
    u64 next;
};

static err_t see_snapshot(void *user, u64 next_slot, struct slice payload)
{
    struct seen_meta *seen = user;
    assert_int_equal(next_slot, META_FIRST);
    assert_true(slice_eq_cstr(payload, "the state before slot 3"));
    seen->snapshot = true;
    seen->next = next_slot;
    return OK;
}

static err_t see_slot(void *user, u64 slot, struct slice payload)
{
    struct seen_meta *seen = user;
    u8 expected[5000];
    assert_int_equal(slot, seen->next);
    assert_int_equal(payload.len, meta_bytes(slot));
    content_fill(expected, meta_bytes(slot), slot);
    assert_memory_equal(payload.ptr, expected, payload.len);
    seen->next++;
    return OK;
}

struct seen_wal {
    struct uuid cluster;
    u64 wal;
    u64 next;
    u64 chain;
};

static err_t see_frame(void *user, const struct frame_header *h, const struct frame_entry *entries,
                       u32 count)
{
    struct seen_wal *seen = user;
    static u8 frame[EXTENT_BYTES];
    struct frame_entry expected[4];
    assert_int_equal(h->slot, seen->next);
    struct frame_header made =
        slot_make(seen->cluster, seen->wal, h->slot, seen->chain, frame, expected);
    seen->chain = frame_header_hash(frame);
    assert_int_equal(h->kind, made.kind);
    assert_int_equal(h->total_bytes, made.total_bytes);
    assert_int_equal(h->payload_crc, made.payload_crc);
    assert_int_equal(h->durable_slot, made.durable_slot);
    assert_int_equal(count, made.index_count);
    assert_memory_equal(entries, expected, count * sizeof(*entries));
    seen->next++;
    return OK;
}

static void no_damage(void *user, u64 wal, u64 slot, const struct frame_entry *entry)
{
    (void)user;
    (void)entry;
    fail_msg("batch of WAL %llu slot %llu reported damaged", (unsigned long long)wal,
             (unsigned long long)slot);
}

static bool read_is_done;
static void read_done(struct home_read *r, err_t result)
{
    (void)r;
    last_result = result;
    read_is_done = true;
}

/* Every slot's whole frame through the reading path, against the arithmetic. */
static void read_all(struct home *h, struct uuid cluster, u64 wal, u64 length)
{
    static u8 frame[EXTENT_BYTES];
    struct blob_pool pool;
    blob_pool_init(&pool, "reads", NULL, EXTENT_BYTES, 0);
    u64 chain = 0;
    for (u64 slot = 0; slot < length; slot++) {
        struct frame_entry entries[4];
        struct frame_header made = slot_make(cluster, wal, slot, chain, frame, entries);
        chain = frame_header_hash(frame);
        struct home_read r = {
            .done = read_done, .wal = wal, .slot = slot, .bytes = made.total_bytes};
        r.blob = blob_get(&pool, home_read_room(h, r.bytes));
        read_is_done = false;
        home_wal_read(h, &r);
        io_turn(io, false);
        while (!read_is_done) {
            io_turn(io, true);
        }
        assert_int_equal(last_result, OK);
        assert_memory_equal(r.blob->data + r.blob_offset, frame, r.bytes);
        blob_unref(r.blob);
    }
    blob_pool_fini(&pool);
}

static int tree_remove_one(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
    (void)st;
    (void)kind;
    (void)ftw;
    return remove(path);
}

static void scan_expect(struct home *h, struct uuid cluster, u64 wal, u64 sealed, u64 expected)
{
    struct seen_wal seen = {.cluster = cluster, .wal = wal};
    struct home_wal_visitor v = {.user = &seen, .slot = see_frame, .damaged = no_damage};
    u64 length;
    must(home_wal_scan(h, wal, WAL_NONCE(wal), 0, sealed, &v, &length), h);
    assert_int_equal(length, expected);
    assert_int_equal(seen.next, expected);
}

static void test_version_1(void **state)
{
    (void)state;
    char base[] = "/tmp/odradek-golden-XXXXXX";
    char copy[100];
    char from[600];
    assert_non_null(mkdtemp(base));
    snprintf(copy, sizeof(copy), "%s/data", base);
    snprintf(from, sizeof(from), "%s/data", golden);
    tree_copy(from, copy);
    /* git keeps no empty directory, and `packs` is one */
    snprintf(from, sizeof(from), "%s/packs", copy);
    assert_true(mkdir(from, 0755) == 0 || access(from, F_OK) == 0);

    struct home *h = home_at(copy);
    struct uuid cluster;
    struct seen_meta seen = {0};
    struct home_meta_visitor v = {.user = &seen, .snapshot = see_snapshot, .slot = see_slot};
    u64 next;
    must(home_open(h, &cluster), h);
    must(home_meta_replay(h, &v, &next), h);
    assert_string_equal(home_reason(h), "");
    assert_true(seen.snapshot);
    assert_int_equal(next, META_SLOTS);
    scan_expect(h, cluster, 1, UINT64_MAX, WAL_LENGTH);
    scan_expect(h, cluster, 1, WAL_LENGTH, WAL_LENGTH);
    scan_expect(h, cluster, 2, UINT64_MAX, TORN_SLOT);
    read_all(h, cluster, 1, WAL_LENGTH);
    read_all(h, cluster, 2, TORN_SLOT);
    /* And it goes on: a new slot of metadata, a new WAL. */
    must(home_meta_write_now(h, META_SLOTS, SLICE_LIT("one more")), h);
    write_wal(h, cluster, 3, 4);
    close_home(h);
    h = home_at(copy);
    open_quietly(h, &cluster);
    scan_expect(h, cluster, 3, UINT64_MAX, 4);
    close_home(h);
    nftw(base, tree_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr, "usage: %s DIRECTORY [write]\n", argv[0]);
        return 2;
    }
    golden = argv[1];
    struct io_linux_params params = {0};
    err_t e = io_linux_create(&params, &io);
    assert(e == OK);
    (void)e;
    int status;
    if (argc > 2 && strcmp(argv[2], "write") == 0) {
        status = write_golden(golden);
    } else {
        const struct CMUnitTest tests[] = {cmocka_unit_test(test_version_1)};
        status = cmocka_run_group_tests(tests, NULL, NULL);
    }
    io_destroy(io);
    return status;
}

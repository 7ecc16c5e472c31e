/* Proves that the home in memory keeps the contract of the door: completions in a later turn, slots
   and snapshots replayed after a restart, frames scanned and read back as written. */
#include "../unit.h"

#include "frames.h"
#include "home/home.h"

enum { SLOTS = 50 };

struct seen_meta {
    u64 snapshot_slot;
    u64 next;
};

static err_t on_snapshot(void *user, u64 next_slot, struct slice payload)
{
    struct seen_meta *seen = user;
    assert_true(slice_eq_cstr(payload, "state"));
    seen->snapshot_slot = next_slot;
    seen->next = next_slot;
    return OK;
}

static err_t on_slot(void *user, u64 slot, struct slice payload)
{
    struct seen_meta *seen = user;
    assert_int_equal(slot, seen->next);
    assert_int_equal(payload.len, 8);
    assert_int_equal(load_le64(payload.ptr), slot);
    seen->next++;
    return OK;
}

static u64 replay(struct home *h, struct seen_meta *seen)
{
    struct home_meta_visitor v = {.user = seen, .snapshot = on_snapshot, .slot = on_slot};
    u64 next;
    *seen = (struct seen_meta){0};
    assert_int_equal(home_meta_replay(h, &v, &next), OK);
    assert_int_equal(next, seen->next);
    return next;
}

struct wait {
    struct home_meta_write meta;
    struct home_write write;
    struct home_read read;
    u32 done;
    err_t result;
};
static void meta_done(struct home_meta_write *w, err_t result)
{
    struct wait *wait = CONTAINER_OF(w, struct wait, meta);
    wait->done++;
    wait->result = result;
}
static void write_done(struct home_write *w, err_t result)
{
    struct wait *wait = CONTAINER_OF(w, struct wait, write);
    wait->done++;
    wait->result = result;
}
static void read_done(struct home_read *r, err_t result)
{
    struct wait *wait = CONTAINER_OF(r, struct wait, read);
    wait->done++;
    wait->result = result;
}

static void settle(struct io *io, struct wait *wait)
{
    assert_int_equal(wait->done, 0); /* never inside the starting call */
    for (u32 i = 0; i < 3; i++) {
        io_turn(io, false);
    }
    assert_int_equal(wait->done, 1);
    wait->done = 0;
}

static err_t on_frame(void *user, const struct frame_header *h, const struct frame_entry *entries,
                      u32 count)
{
    const struct made_frame *frames = user;
    assert_int_equal(frames[h->slot].header.index_count, count);
    assert_memory_equal(frames[h->slot].entries, entries, count * sizeof(*entries));
    return OK;
}

static void test_sessions(void **state)
{
    (void)state;
    struct rng rng = unit_rng();
    struct io_linux_params params = {0};
    struct io *io;
    assert_int_equal(io_linux_create(&params, &io), OK);
    struct home *h = home_mem_create(io);
    struct uuid cluster;
    struct seen_meta seen;
    struct wait wait = {
        .meta = {.done = meta_done}, .write = {.done = write_done}, .read = {.done = read_done}};
    assert_int_equal(home_open(h, &cluster), OK);
    assert_false(uuid_is_zero(cluster));
    assert_int_equal(replay(h, &seen), 0);
    u8 payload[8];
    for (u64 slot = 0; slot < 10; slot++) {
        store_le64(payload, slot);
        wait.meta.slot = slot;
        wait.meta.payload = slice_of(payload, 8);
        if (slot % 2 == 0) {
            assert_int_equal(home_meta_write_now(h, slot, wait.meta.payload), OK);
        } else {
            home_meta_write(h, &wait.meta);
            settle(io, &wait);
            assert_int_equal(wait.result, OK);
        }
        if (slot == 6) {
            wait.meta.slot = 7;
            wait.meta.snapshot = true;
            wait.meta.payload = SLICE_LIT("state");
            home_meta_write(h, &wait.meta);
            settle(io, &wait);
            wait.meta.snapshot = false;
        }
    }

    assert_int_equal(home_wal_start(h, 1, 99), OK);
    struct made_frame frames[SLOTS];
    u64 chain = 0;
    for (u64 slot = 0; slot < SLOTS; slot++) {
        struct frame_spec spec = {.kind = FRAME_DATA,
                                  .cluster = cluster,
                                  .wal = 1,
                                  .nonce = 99,
                                  .slot = slot,
                                  .durable_slot = slot,
                                  .chain = chain,
                                  .batch_count = 5,
                                  .batch_bytes_max = 400};
        made_frame_make(&rng, &spec, &frames[slot]);
        chain = frame_header_hash(frames[slot].data);
        wait.write.slot = slot;
        wait.write.frame = frames[slot].data;
        wait.write.bytes = frames[slot].bytes;
        home_wal_write(h, &wait.write);
        settle(io, &wait);
        assert_int_equal(wait.result, OK);
    }

    /* A restart. */
    struct uuid again;
    assert_int_equal(home_open(h, &again), OK);
    assert_true(uuid_eq(cluster, again));
    assert_int_equal(replay(h, &seen), 10);
    assert_int_equal(seen.snapshot_slot, 7);
    struct home_wal_visitor v = {.user = frames, .slot = on_frame};
    u64 length;
    assert_int_equal(home_wal_scan(h, 1, 99, 0, UINT64_MAX, &v, &length), OK);
    assert_int_equal(length, SLOTS);
    assert_int_equal(home_wal_scan(h, 1, 99, 0, 30, &v, &length), OK);
    assert_int_equal(length, 30);
    assert_int_equal(home_wal_scan(h, 1, 99, 0, SLOTS + 1, &v, &length), ERR_CORRUPT);
    assert_int_equal(home_wal_scan(h, 2, 99, 0, UINT64_MAX, &v, &length), OK);
    assert_int_equal(length, 0);

    struct blob_pool pool;
    blob_pool_init(&pool, "reads", NULL, 8192, 0);
    wait.read.blob = blob_get(&pool, home_read_room(h, 300));
    wait.read.wal = 1;
    wait.read.slot = 20;
    wait.read.pos = 100;
    wait.read.bytes = 300;
    home_wal_read(h, &wait.read);
    settle(io, &wait);
    assert_int_equal(wait.result, OK);
    assert_memory_equal(wait.read.blob->data + wait.read.blob_offset, frames[20].data + 100, 300);
    /* Filed up to 21: the rest is there, and a scan begins at 21 or later. */
    struct home_usage usage;
    home_usage(h, &usage);
    u64 bytes = usage.wal_bytes;
    home_wal_trim(h, 1, 21);
    home_usage(h, &usage);
    assert_true(usage.wal_bytes < bytes);
    assert_int_equal(usage.free_bytes, UINT64_MAX);
    home_wal_read(h, &wait.read);
    settle(io, &wait);
    assert_int_equal(wait.result, ERR_NOT_FOUND);
    assert_int_equal(home_wal_scan(h, 1, 99, 21, UINT64_MAX, &v, &length), OK);
    assert_int_equal(length, SLOTS);
    assert_int_equal(home_wal_scan(h, 1, 99, 25, 30, &v, &length), OK);
    assert_int_equal(length, 30);
    assert_int_equal(home_wal_scan(h, 1, 99, 20, UINT64_MAX, &v, &length), ERR_CORRUPT);
    assert_int_equal(home_wal_scan(h, 1, 99, SLOTS + 1, UINT64_MAX, &v, &length), ERR_CORRUPT);
    home_wal_trim(h, 1, UINT64_MAX);
    home_wal_trim(h, 1, UINT64_MAX);
    home_usage(h, &usage);
    assert_int_equal(usage.wal_bytes, 0);
    assert_int_equal(home_wal_scan(h, 1, 99, SLOTS, SLOTS, &v, &length), OK);
    assert_int_equal(length, SLOTS);
    home_wal_remove(h, 1);
    home_wal_read(h, &wait.read);
    settle(io, &wait);
    assert_int_equal(wait.result, ERR_NOT_FOUND);
    blob_unref(wait.read.blob);
    blob_pool_fini(&pool);
    home_destroy(h);
    io_destroy(io);
    for (u32 i = 0; i < SLOTS; i++) {
        made_frame_free(&frames[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_sessions)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

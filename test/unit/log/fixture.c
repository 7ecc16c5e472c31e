/* See fixture.h. The home is home_mem with three verbs replaced: a write is stored at once, but its
   completion is ours; a read may find a damaged byte; a scan may deliver what the test makes up. */
#include "fixture.h"

#include "fake_io.h"
#include "home/home_private.h"

static const struct home_ops *mem_ops;
static struct home_ops held_ops;
static struct fixture *current; /* the home has no user pointer */

static void held_write(struct home *h, struct home_write *w)
{
    struct fixture *f = current;
    if (f->no_space) {
        h->refusing = true;
        home_finish_write_soon(h, w, ERR_NO_SPACE);
        return;
    }
    mem_ops->wal_write(h, w);
    f->writes++;
    if (f->hold) {
        assert_true(f->held_count < FRAME_INFLIGHT_MAX);
        list_remove(&w->node);
        f->held[f->held_count] = w;
        f->held_count++;
        f->most_in_flight = MAX(f->most_in_flight, f->held_count);
    }
}

static void flipping_read(struct home *h, struct home_read *r)
{
    struct fixture *f = current;
    mem_ops->wal_read(h, r);
    f->reads++;
    f->read_bytes += r->bytes;
    bool inside = f->flip.pos >= r->pos && f->flip.pos - r->pos < r->bytes;
    if (inside && r->slot == f->flip.slot) {
        r->blob->data[r->blob_offset + f->flip.pos - r->pos] ^= f->flip.mask;
    }
}

static err_t replaced_scan(struct home *h, u64 wal, u64 nonce, u64 trim, u64 sealed_length,
                           const struct home_wal_visitor *v, u64 *length)
{
    return current->scan != NULL ? current->scan(v, length)
                                 : mem_ops->wal_scan(h, wal, nonce, trim, sealed_length, v, length);
}

void fixture_complete(struct fixture *f, u32 index, err_t result)
{
    assert_true(index < f->held_count);
    struct home_write *w = f->held[index];
    for (u32 i = index + 1; i < f->held_count; i++) {
        f->held[i - 1] = f->held[i];
    }
    f->held_count--;
    home_finish_write_soon(f->home, w, result);
}

static void fixture_fenced(void *user, err_t why)
{
    struct fixture *f = user;
    f->fenced_calls++;
    f->fenced_why = why;
}

static void fixture_unreadable(void *user, err_t why, bool home_knows)
{
    struct fixture *f = user;
    f->unreadable_calls++;
    f->unreadable_why = why;
    f->unreadable_told = home_knows;
}

void fixture_init(struct fixture *f)
{
    *f = (struct fixture){0};
    current = f;
    f->io = fake_io_create();
    f->home = home_mem_create(f->io);
    mem_ops = f->home->ops;
    held_ops = *mem_ops;
    held_ops.wal_write = held_write;
    held_ops.wal_read = flipping_read;
    held_ops.wal_scan = replaced_scan;
    f->home->ops = &held_ops;
    quota_init(&f->quota, "test", NULL, 256 * MIB);
    f->params = (struct log_params){
        .io = f->io,
        .home = f->home,
        .quota = &f->quota,
        .hot_bytes = 32 * MIB,
        .cold_bytes = 8 * MIB,
        .inflight_max = 4,
        .producer_expiry_ms = 86400000,
        .start_packs = 1,
        .unreadable = fixture_unreadable,
        .fenced = fixture_fenced,
        .user = f,
    };
    f->timestamp = 1000;
}

static err_t no_snapshot(void *user, u64 next_slot, struct slice payload)
{
    (void)user, (void)next_slot, (void)payload;
    return ERR_CORRUPT;
}

static err_t no_slot(void *user, u64 slot, struct slice payload)
{
    (void)user, (void)slot, (void)payload;
    return ERR_CORRUPT;
}

void fixture_start(struct fixture *f)
{
    assert_int_equal(home_open(f->home, &f->cluster), OK);
    const struct home_meta_visitor visitor = {.snapshot = no_snapshot, .slot = no_slot};
    u64 next_slot;
    assert_int_equal(home_meta_replay(f->home, &visitor, &next_slot), OK);
    f->log = log_create(&f->params);
    for (u64 wal = 1; wal <= f->wal; wal++) {
        const struct log_wal what = {
            .id = wal,
            .nonce = wal * 7,
            .sealed_length = f->lengths[wal] == 0 ? UINT64_MAX : f->lengths[wal],
        };
        assert_int_equal(log_recover_wal(f->log, &what, NULL, &f->lengths[wal]), OK);
    }
    if (f->recovered != NULL) {
        f->recovered(f);
    }
    f->wal++;
    assert_int_equal(log_start_wal(f->log, f->cluster, f->wal, f->wal * 7), OK);
}

void fixture_restart(struct fixture *f)
{
    log_destroy(f->log);
    /* What was in flight is never told. */
    f->held_count = 0;
    list_init(&f->home->ready_writes);
    list_init(&f->home->ready_reads);
    io_timer_stop(f->io, &f->home->soon);
    f->home->refusing = false;
    fixture_start(f);
}

void fixture_stop(struct fixture *f)
{
    log_destroy(f->log);
    home_destroy(f->home);
    if (f->builder_used) {
        batch_builder_fini(&f->builder);
    }
    assert_int_equal(f->quota.used, 0);
    io_destroy(f->io);
}

void turn(struct fixture *f)
{
    io_turn(f->io, false);
}

void turns(struct fixture *f, u32 count)
{
    for (u32 i = 0; i < count; i++) {
        turn(f);
    }
}

void settle(struct fixture *f)
{
    u32 count = 0;
    do {
        turn(f);
        count++;
        assert_true(count < 100000);
    } while (f->log->open != NULL || f->log->writing > 0 || !list_empty(&f->log->pending) ||
             !list_empty(&f->log->ready) || !list_empty(&f->log->failed));
}

void advance_ms(struct fixture *f, u64 ms)
{
    fake_io_advance(f->io, ms * 1000000);
    turn(f);
}

u64 fixture_timers(struct fixture *f)
{
    return fake_io_timers(f->io);
}

struct batch_view make_batch(struct fixture *f, const struct produced *what)
{
    if (f->builder_used) {
        batch_builder_fini(&f->builder);
    }
    struct batch_builder_options options = batch_builder_plain();
    options.producer_id = what->producer_id;
    options.producer_epoch = what->producer_epoch;
    options.base_sequence = what->base_sequence;
    batch_builder_init(&f->builder, &options);
    f->builder_used = true;
    u8 *value = mem_alloc(what->value_bytes + 8u);
    for (u32 i = 0; i < what->records; i++) {
        store_be64(value, (u64)f->timestamp);
        memset(value + 8, (int)(f->timestamp & 0xff), what->value_bytes);
        assert_int_equal(batch_builder_add(&f->builder, f->timestamp, (struct slice){0},
                                           slice_of(value, what->value_bytes), NULL, 0),
                         OK);
    }
    mem_free(value);
    f->timestamp++;
    struct slice bytes;
    assert_int_equal(batch_builder_finish(&f->builder, &bytes), OK);
    struct batch_view view;
    assert_int_equal(batch_view_parse(bytes, &view), OK);
    return view;
}

struct append_result append(struct fixture *f, struct partition *p, const struct produced *what)
{
    struct batch_view view = make_batch(f, what);
    struct append_result result;
    partition_append(p, &view, what->log_append_time, &result);
    return result;
}

struct append_result append_plain(struct fixture *f, struct partition *p, u32 value_bytes)
{
    const struct produced what = {.producer_id = -1,
                                  .producer_epoch = -1,
                                  .base_sequence = -1,
                                  .records = 1,
                                  .value_bytes = value_bytes};
    struct append_result result = append(f, p, &what);
    assert_int_equal(result.kerr, KERR_NONE);
    return result;
}

u64 high_watermark(const struct partition *p)
{
    struct partition_info info;
    partition_info(p, &info);
    return info.high_watermark;
}

u64 end_offset(const struct partition *p)
{
    struct partition_info info;
    partition_info(p, &info);
    return info.log_end_offset;
}

struct test_load {
    struct log_load load;
    bool done;
    err_t result;
};

static void test_load_done(struct log_load *load, err_t result)
{
    struct test_load *t = CONTAINER_OF(load, struct test_load, load);
    assert_false(t->done);
    t->done = true;
    t->result = result;
}

err_t load_range(struct fixture *f, const struct log_range *range, u8 *out, u32 *bytes)
{
    struct test_load t = {.load = {.done = test_load_done, .range = *range}};
    log_load(f->log, &t.load);
    assert_false(t.done);
    for (u32 i = 0; i < 100 && !t.done; i++) {
        turn(f);
    }
    assert_true(t.done);
    if (t.result == OK) {
        assert_true(t.load.bytes > 0);
        assert_true(t.load.bytes <= range->bytes);
        memcpy(out, t.load.data, t.load.bytes);
        *bytes = t.load.bytes;
    }
    log_load_release(&t.load);
    return t.result;
}

err_t read_exactly(struct fixture *f, struct partition *p, struct partition_read *read)
{
    read->cut = NULL;
    err_t e = partition_read(p, read);
    if (e != ERR_AGAIN) {
        return e;
    }
    assert_null(log_peek(f->log, &read->run));
    assert_true(read->run.bytes <= LOG_RUN_BYTES);
    u8 data[LOG_RUN_BYTES];
    u32 bytes;
    struct partition_cut cut;
    assert_int_equal(load_range(f, &read->run, data, &bytes), OK);
    assert_int_equal(bytes, read->run.bytes);
    partition_cut(read, data, bytes, &cut);
    read->cut = &cut;
    e = partition_read(p, read);
    assert_true(e != ERR_AGAIN);
    read->cut = NULL;
    return e;
}

void range_bytes(struct fixture *f, const struct log_range *range, u8 *out)
{
    const u8 *hot = log_peek(f->log, range);
    if (hot != NULL) {
        memcpy(out, hot, range->bytes);
        return;
    }
    struct log_range rest = *range;
    while (rest.bytes > 0) {
        u32 bytes;
        assert_int_equal(load_range(f, &rest, out, &bytes), OK);
        out += bytes;
        rest.pos += bytes;
        rest.bytes -= bytes;
    }
}

/* older.c: a log that reads older packs after its start is in the end exactly the log that reads
   all of them before it; until then it takes what it can tell to be right, and holds back the rest.
 */
#include "book.h"

#include "base/rng.h"

enum { ALL = 1000000, PRODUCERS = 3 };

/* ---- the same as read before ------------------------------------------------------------------
 */

static void expect_same_runs(const struct partition *a, const struct partition *b)
{
    assert_int_equal(a->run_count, b->run_count);
    for (u32 i = 0; i < a->run_count; i++) {
        const struct run *x = &a->runs[i];
        const struct run *y = &b->runs[i];
        assert_int_equal(x->base_offset, y->base_offset);
        assert_int_equal(x->max_timestamp_so_far, y->max_timestamp_so_far);
        assert_int_equal(a->log->objects[place_object(x->place)].id,
                         b->log->objects[place_object(y->place)].id);
        assert_int_equal(x->pos, y->pos);
        assert_int_equal(x->bytes, y->bytes);
        assert_int_equal(x->leader_epoch, y->leader_epoch);
        assert_int_equal(x->flags, y->flags);
    }
}

static void expect_same_epochs(const struct partition *a, const struct partition *b)
{
    assert_int_equal(a->leader_epoch, b->leader_epoch);
    assert_int_equal(a->leader_epoch_start, b->leader_epoch_start);
    assert_int_equal(a->older_epoch_count, b->older_epoch_count);
    for (u32 i = 0; i < a->older_epoch_count; i++) {
        assert_int_equal(a->older_epochs[i].leader_epoch, b->older_epochs[i].leader_epoch);
        assert_int_equal(a->older_epochs[i].start_offset, b->older_epochs[i].start_offset);
    }
}

static void expect_same_producers(const struct partition *a, const struct partition *b)
{
    assert_int_equal(a->producers.count, b->producers.count);
    u32 cursor = 0;
    u64 id;
    void *value;
    while (map64_next(&a->producers, &cursor, &id, &value)) {
        const struct producer *x = value;
        const struct producer *y = map64_get(&b->producers, id);
        assert_non_null(y);
        assert_int_equal(x->epoch, y->epoch);
        assert_int_equal(x->count, y->count);
        for (u32 back = 0; back < x->count; back++) {
            const struct producer_batch *m = &x->batches[(x->newest + 5 - back) % 5];
            const struct producer_batch *n = &y->batches[(y->newest + 5 - back) % 5];
            assert_int_equal(m->base_offset, n->base_offset);
            assert_int_equal(m->first_sequence, n->first_sequence);
            assert_int_equal(m->last_sequence, n->last_sequence);
            assert_int_equal(m->max_timestamp, n->max_timestamp);
        }
    }
}

static void expect_same(struct log *a, struct log *b)
{
    assert_int_equal(a->bytes, b->bytes);
    assert_int_equal(a->index_entries, b->index_entries);
    assert_int_equal(a->pack_count, b->pack_count);
    for (u32 i = 0; i < a->pack_count; i++) {
        const struct log_object *x = &a->objects[a->packs[i]];
        const struct log_object *y = &b->objects[b->packs[i]];
        assert_int_equal(x->id, y->id);
        assert_int_equal(x->live_bytes, y->live_bytes);
        assert_int_equal(x->payload_bytes, y->payload_bytes);
        assert_int_equal(x->statements, y->statements);
        assert_int_equal(x->bytes, y->bytes);
    }
    for (u32 id = 0; id < PARTITIONS; id++) {
        const struct partition *x = log_partition(a, id, 0);
        const struct partition *y = log_partition(b, id, 0);
        assert_int_equal(x->start_offset, y->start_offset);
        assert_int_equal(x->end_offset, y->end_offset);
        assert_int_equal(x->high_watermark, y->high_watermark);
        assert_int_equal(x->bytes, y->bytes);
        expect_same_runs(x, y);
        expect_same_epochs(x, y);
        expect_same_producers(x, y);
    }
}

/* It is not started: that is for the log that is compared with it. */
static struct log *read_before(struct fixture *f)
{
    struct log_params params = f->params;
    params.start_packs = ALL;
    struct log *l = log_create(&params);
    book_recover(f, l);
    assert_true(log_is_whole(l));
    return l;
}

/* Nothing is filed or rewritten. */
static void restart_and_rest(struct fixture *f)
{
    f->params.file = NULL;
    f->params.repack = NULL;
    book_restart_in_part(f);
    f->params.file = book_file;
    f->params.repack = book_repack;
}

struct draw {
    struct rng rng;
    i32 sequences[PARTITIONS][PRODUCERS];
    i32 session;
};

static void some_appends(struct fixture *f, struct draw *d)
{
    u64 count = rng_below(&d->rng, 60);
    for (u64 i = 0; i < count; i++) {
        /* the last partitions are idle for longer than others */
        u32 id = (u32)rng_below(&d->rng, 1 + rng_below(&d->rng, PARTITIONS));
        struct produced what = {.producer_id = -1, .records = 1};
        what.value_bytes = 1 + (u32)rng_below(&d->rng, 3000);
        f->timestamp = 1000 + (i64)rng_below(&d->rng, 100000);
        u32 producer = (u32)rng_below(&d->rng, PRODUCERS + 2);
        if (producer < PRODUCERS) {
            what.producer_id = 100 + producer;
            what.producer_epoch = (i16)(d->session / 3);
            what.base_sequence = d->sequences[id][producer];
            d->sequences[id][producer]++;
        }
        struct append_result r = append(f, log_partition(f->log, id, d->session), &what);
        assert_int_equal(r.kerr, KERR_NONE);
        if (rng_below(&d->rng, 4) == 0) {
            settle(f);
        }
    }
    settle(f);
}

static void some_deletion(struct fixture *f, struct draw *d)
{
    u32 id = (u32)rng_below(&d->rng, PARTITIONS);
    struct partition *p = log_partition(f->log, id, d->session);
    u64 start = p->start_offset + rng_below(&d->rng, p->high_watermark - p->start_offset + 1);
    if (rng_below(&d->rng, 3) == 0) {
        start = p->high_watermark;
    }
    book.log_start[id] = MAX(book.log_start[id], start);
    partition_set_log_start(p, start);
}

static void session_play(struct fixture *f, struct draw *d)
{
    u64 steps = 1 + rng_below(&d->rng, 6);
    for (u64 i = 0; i < steps; i++) {
        some_appends(f, d);
        if (rng_below(&d->rng, 2) == 0) {
            some_deletion(f, d);
        }
        if (rng_below(&d->rng, 2) == 0) {
            book_file_all(f);
        }
        if (rng_below(&d->rng, 3) == 0) {
            book_rest(f);
        }
    }
}

static void in_the_end_it_is_the_same(void **state)
{
    (void)state;
    u32 read_later = 0;
    for (u64 seed = 1; seed <= 150; seed++) {
        struct fixture f;
        struct draw d = {0};
        rng_seed(&d.rng, seed);
        book_begin(&f);
        for (d.session = 0; d.session < 6; d.session++) {
            if (d.session > 0 && d.session % 3 == 0) {
                memset(d.sequences, 0, sizeof(d.sequences)); /* a new epoch of theirs */
            }
            session_play(&f, &d);
            f.params.start_packs = 1 + (u32)rng_below(&d.rng, 3);
            struct log *other = read_before(&f);
            restart_and_rest(&f);
            read_later += !log_is_whole(f.log);
            book_turn_until_whole(&f);
            assert_int_equal(f.unreadable_calls, 0);
            expect_same(f.log, other);
            log_destroy(other);
            for (u32 id = 0; id < PARTITIONS; id++) {
                (void)book_read_all(&f, id);
            }
            book_restart_in_part(&f);
            book_turn_until_whole(&f);
        }
        fixture_stop(&f);
    }
    assert_true(read_later > 300);
}

/* ---- until it is whole ------------------------------------------------------------------------
 */

static void write_of(struct fixture *f, u32 id, i64 producer, i32 from, i32 to)
{
    for (i32 i = from; i < to; i++) {
        const struct produced what = {
            .producer_id = producer, .base_sequence = i, .records = 1, .value_bytes = 100};
        struct append_result r = append(f, log_partition(f->log, id, 0), &what);
        assert_int_equal(r.kerr, KERR_NONE);
        assert_false(r.duplicate);
    }
    settle(f);
}

static bool ready(struct fixture *f, u32 id, i64 producer, i16 epoch, i32 sequence, bool is_new)
{
    const struct produced what = {.producer_id = producer,
                                  .producer_epoch = epoch,
                                  .base_sequence = sequence,
                                  .records = 1,
                                  .value_bytes = 100};
    struct batch_view view = make_batch(f, &what);
    return partition_is_ready(log_partition(f->log, id, 1), &view, is_new);
}

static bool ready_plain(struct fixture *f, u32 id)
{
    return ready(f, id, -1, -1, -1, false);
}

static struct append_result append_of(struct fixture *f, u32 id, i64 producer, i32 sequence)
{
    const struct produced what = {
        .producer_id = producer, .base_sequence = sequence, .records = 1, .value_bytes = 100};
    return append(f, log_partition(f->log, id, 1), &what);
}

/* Four packs; partition 1 is in the first alone, partition 2 in all of them. Partition 3 is in the
   first, and all of it is deleted. */
static void begin_with_packs(struct fixture *f)
{
    book_begin(f);
    write_of(f, 1, 10, 0, 4);
    write_of(f, 3, 10, 0, 4);
    for (i32 i = 0; i < 4; i++) {
        write_of(f, 2, 20, 2 * i, 2 * i + 2);
        write_of(f, 2, 30 + i, 0, 3);
        write_of(f, 4, -1, 0, 1);
        book_file_all(f);
    }
    assert_int_equal(book.pack_count, 4);
    book.log_start[3] = 4;
    partition_set_log_start(log_partition(f->log, 3, 0), 4);
    book_restart_in_part(f);
    assert_false(log_is_whole(f->log));
}

static void it_takes_what_it_can_tell(void **state)
{
    (void)state;
    struct fixture f;
    begin_with_packs(&f);
    assert_false(ready_plain(&f, 1)); /* where does it end? */
    assert_false(ready_plain(&f, 3));
    assert_false(ready_plain(&f, 6)); /* it may be in an older pack, too */
    assert_true(ready_plain(&f, 2));
    assert_true(ready(&f, 2, 20, 0, 8, false));  /* the next one */
    assert_true(ready(&f, 2, 20, 0, 7, false));  /* a repeat of what is known */
    assert_false(ready(&f, 2, 20, 0, 5, false)); /* a repeat, or not: that is in an older pack */
    assert_false(ready(&f, 2, 20, 0, 11, false));
    assert_true(ready(&f, 2, 20, 1, 0, false));  /* a later epoch */
    assert_true(ready(&f, 2, 20, -1, 0, false)); /* an earlier one is refused */
    assert_false(ready(&f, 2, 30, 0, 3, false)); /* who? */
    assert_true(ready(&f, 2, 30, 0, 0, true));   /* one that nobody had before the start */
    struct append_result r = append_of(&f, 2, 20, 8);
    assert_int_equal(r.kerr, KERR_NONE);
    assert_int_equal(r.base_offset, 20);
    assert_true(append_of(&f, 2, 20, 7).duplicate);
    assert_int_equal(append_of(&f, 2, 41, 0).base_offset, 21);
    struct partition_info info;
    partition_info(log_partition(f.log, 2, 1), &info);
    assert_int_equal(info.log_start_offset, 0);
    assert_int_equal(info.log_end_offset, 22);
    book_turn_until_whole(&f);
    settle(&f);
    for (i32 i = 4; i < 9; i++) {
        r = append_of(&f, 2, 20, i); /* the last five: of three packs and of now */
        assert_int_equal(r.kerr, KERR_NONE);
        assert_true(r.duplicate);
        assert_int_equal(r.base_offset, i == 8 ? 20 : i / 2 * 5 + i % 2);
    }
    assert_int_equal(append_of(&f, 2, 20, 3).kerr, KERR_OUT_OF_ORDER_SEQUENCE_NUMBER);
    assert_true(append_of(&f, 2, 30, 2).duplicate);
    assert_int_equal(append_of(&f, 1, 10, 4).base_offset, 4);
    assert_true(append_of(&f, 3, 10, 3).duplicate);
    assert_int_equal(append_of(&f, 3, 10, 4).base_offset, 4);
    assert_int_equal(append_of(&f, 6, 10, 0).base_offset, 0);
    settle(&f);
    assert_int_equal(book_read_all(&f, 2), 22);
    assert_int_equal(book_read_all(&f, 1), 5);
    book_restart(&f);
    assert_int_equal(book_read_all(&f, 2), 22);
    assert_int_equal(book_read_all(&f, 3), 5);
    fixture_stop(&f);
}

/* The WAL's first extent comes first: older packs are read when a slot is durable, or when nobody
   has written one for a moment. */
static void writers_come_first(void **state)
{
    (void)state;
    struct fixture f;
    begin_with_packs(&f);
    turns(&f, 20);
    assert_false(older_is_working(f.log));
    write_of(&f, 2, -1, 0, 1);
    turns(&f, 20);
    assert_true(log_is_whole(f.log));
    book_restart_in_part(&f);
    turns(&f, 20);
    assert_false(log_is_whole(f.log));
    fake_io_advance(f.io, 50000000);
    turns(&f, 20);
    assert_true(log_is_whole(f.log));
    fixture_stop(&f);
}

/* Of partition 3 there is nothing any more but where it begins. */
static void a_log_start_without_records(void **state)
{
    (void)state;
    struct fixture f;
    book_begin(&f);
    write_of(&f, 3, -1, 0, 4);
    book_file_all(&f);
    book.log_start[3] = 4;
    partition_set_log_start(log_partition(f.log, 3, 0), 4);
    book_rest(&f);
    assert_int_equal(book.pack_count, 0);
    for (i32 i = 0; i < 3; i++) {
        write_of(&f, 2, -1, i, i + 1);
        book_file_all(&f);
    }
    book_restart_in_part(&f);
    assert_false(ready_plain(&f, 3));
    book_turn_until_whole(&f);
    assert_true(ready_plain(&f, 3));
    assert_int_equal(append_plain(&f, log_partition(f.log, 3, 1), 100).base_offset, 4);
    settle(&f);
    book_restart(&f);
    assert_int_equal(high_watermark(log_partition(f.log, 3, 1)), 5);
    fixture_stop(&f);
}

/* What is filed meanwhile goes behind all packs. */
static void filing_goes_on(void **state)
{
    (void)state;
    struct fixture f;
    begin_with_packs(&f);
    write_of(&f, 2, -1, 0, 3); /* takes turns */
    book_turn_until_whole(&f);
    f.params.file_delay_ms = 1;
    book_restart_in_part(&f);
    u32 filed = book.filed;
    fake_io_advance(f.io, 2000000);
    turn(&f);
    assert_false(log_is_whole(f.log));
    book_turn_until_whole(&f);
    book_rest(&f);
    assert_true(book.filed > filed);
    assert_int_equal(book_read_all(&f, 2), 23);
    book_restart(&f);
    assert_int_equal(book_read_all(&f, 2), 23);
    fixture_stop(&f);
}

static void a_partition_is_removed_meanwhile(void **state)
{
    (void)state;
    struct fixture f;
    begin_with_packs(&f);
    book.gone[2] = true;
    struct log *other = read_before(&f);
    book.gone[2] = false;
    restart_and_rest(&f);
    log_partition_remove(f.log, 2);
    book.gone[2] = true;
    book_turn_until_whole(&f);
    assert_null(log_partition_find(f.log, 2));
    expect_same(f.log, other);
    log_destroy(other);
    fixture_stop(&f);
}

/* ---- those who wait ---------------------------------------------------------------------------
 */

static u32 told;

static void count_told(struct log_whole_waiter *w)
{
    (void)w;
    told++;
}

static void waiters_are_told_once(void **state)
{
    (void)state;
    struct fixture f;
    begin_with_packs(&f);
    struct log_whole_waiter waiters[3] = {
        {.whole = count_told}, {.whole = count_told}, {.whole = count_told}};
    told = 0;
    for (u32 i = 0; i < 3; i++) {
        log_whole_wait(f.log, &waiters[i]);
    }
    log_whole_cancel(&waiters[1]);
    log_whole_cancel(&waiters[1]);
    turn(&f);
    assert_int_equal(told, 0);
    book_turn_until_whole(&f);
    turns(&f, 5);
    assert_int_equal(told, 2);
    /* and not by a log that goes */
    book_restart_in_part(&f);
    log_whole_wait(f.log, &waiters[1]);
    fixture_stop(&f);
    assert_int_equal(told, 2);
    log_whole_cancel(&waiters[1]);
}

/* ---- what is bad ------------------------------------------------------------------------------
 */

static void expect_unreadable(struct fixture *f, bool home_knows)
{
    fake_io_advance(f->io, 50000000);
    for (u32 i = 0; i < 100; i++) {
        turn(f);
    }
    assert_int_equal(f->unreadable_calls, 1);
    assert_int_equal(f->unreadable_why, ERR_CORRUPT);
    assert_int_equal(f->unreadable_told, home_knows);
    assert_false(log_is_whole(f->log));
}

static void a_bad_pack_is_told(void **state)
{
    (void)state;
    struct fixture f;
    begin_with_packs(&f);
    struct log_whole_waiter waiter = {.whole = count_told};
    told = 0;
    book.packs[1].bytes += 4096;
    book_restart_in_part(&f);
    log_whole_wait(f.log, &waiter);
    expect_unreadable(&f, true);
    assert_non_null(strstr(home_reason(f.home), "were filed"));
    assert_int_equal(told, 0);
    book.packs[1].bytes -= 4096;
    book_restart(&f);
    assert_int_equal(book_read_all(&f, 2), 20);
    fixture_stop(&f);
}

static void packs_swap(u32 a, u32 b)
{
    struct home_pack pack = book.packs[a];
    book.packs[a] = book.packs[b];
    book.packs[b] = pack;
}

static void offsets_that_do_not_follow(void **state)
{
    (void)state;
    struct fixture f;
    begin_with_packs(&f);
    packs_swap(0, 1); /* among the older ones */
    book_restart_in_part(&f);
    expect_unreadable(&f, false);
    packs_swap(0, 1);
    f.unreadable_calls = 0;
    struct home_pack last = book.packs[2]; /* between the older ones and the newest */
    book.packs[2] = book.packs[3];
    book.pack_count = 3;
    book.packs[3] = last;
    book_restart_in_part(&f);
    expect_unreadable(&f, false);
    fixture_stop(&f);
}

/* ---- the end before it ------------------------------------------------------------------------
 */

/* As far as the number says: before it is time to read, and in each of the turns after. */
static void begin_and_turn(struct fixture *f, u32 number)
{
    begin_with_packs(f);
    fake_io_advance(f->io, number < 6 ? 0 : 50000000);
    turns(f, number % 6);
}

static void drained(void *user, err_t result)
{
    assert_int_equal(result, OK);
    *(bool *)user = true;
}

static void a_drain_does_not_wait_for_all_packs(void **state)
{
    (void)state;
    for (u32 before = 0; before < 12; before++) {
        struct fixture f;
        begin_and_turn(&f, before);
        bool done = false;
        log_drain(f.log, drained, &done);
        for (u32 i = 0; i < 20 && !done; i++) {
            turn(&f);
        }
        assert_true(done);
        book_restart(&f);
        assert_int_equal(book_read_all(&f, 2), 20);
        fixture_stop(&f);
    }
}

/* Destroyed with its io dead, at any point: the memory is given back. */
static void it_is_destroyed_before(void **state)
{
    (void)state;
    for (u32 before = 0; before < 12; before++) {
        struct fixture f;
        begin_and_turn(&f, before);
        fixture_stop(&f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(in_the_end_it_is_the_same),
        cmocka_unit_test(it_takes_what_it_can_tell),
        cmocka_unit_test(writers_come_first),
        cmocka_unit_test(a_log_start_without_records),
        cmocka_unit_test(filing_goes_on),
        cmocka_unit_test(a_partition_is_removed_meanwhile),
        cmocka_unit_test(waiters_are_told_once),
        cmocka_unit_test(a_bad_pack_is_told),
        cmocka_unit_test(offsets_that_do_not_follow),
        cmocka_unit_test(a_drain_does_not_wait_for_all_packs),
        cmocka_unit_test(it_is_destroyed_before),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

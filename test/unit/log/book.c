/* See book.h. Files that can be kept as packs are made up: the home in memory has none. The pack
   that is made of one begins with the frames of its slots that were asked for. */
#include "book.h"

#include "home/pack_private.h"

struct book book;

void book_file(void *user, const struct log_filed *filed)
{
    struct fixture *f = user;
    if (book.hold) {
        book.waiting = true;
        book.held = *filed;
        return;
    }
    if (book.no_space) {
        log_file_committed(f->log, ERR_NO_SPACE);
        return;
    }
    assert_int_equal(filed->from, book.trim[filed->wal]);
    assert_true(filed->to > filed->from);
    book.trim[filed->wal] = filed->to;
    if (filed->pack.bytes > 0) {
        book.packs[book.pack_count++] = filed->pack;
    }
    book.filed++;
    log_file_committed(f->log, OK);
}

void book_repack(void *user, const struct log_repacked *r)
{
    struct fixture *f = user;
    assert_false(book.repack_waits); /* one at a time */
    if (book.hold_repacks || (book.hold_burials && r->output.bytes == 0)) {
        book.repack_waits = true;
        book.held_repack = *r;
        return;
    }
    u32 first = 0;
    while (book.packs[first].id != r->inputs[0]) {
        first++;
        assert_true(first < book.pack_count);
    }
    for (u32 i = 0; i < r->input_count; i++) {
        assert_int_equal(book.packs[first + i].id, r->inputs[i]);
    }
    u32 outputs = r->output.bytes > 0 ? 1 : 0;
    u32 rest = first + r->input_count;
    if (outputs > 0) {
        book.packs[first] = r->output;
    }
    memmove(&book.packs[first + outputs], &book.packs[rest],
            (book.pack_count - rest) * sizeof(book.packs[0]));
    book.pack_count -= r->input_count - outputs;
    book.repacked++;
    log_repack_committed(f->log, OK);
}

static err_t scarce_pack(struct home *h, u64 id, struct pack_file **out)
{
    if (book.packs_refused > 0) {
        book.packs_refused--;
        return ERR_NO_SPACE;
    }
    return book.usual_ops->pack_make(h, id, out);
}

/* ---- files that are kept ---------------------------------------------------------------------
 */

enum { KEEP_SLOTS_MAX = 64 };
/* Of the stretch that filing has asked for last. */
static struct {
    u64 from;
    u32 count;
    u32 bytes[KEEP_SLOTS_MAX]; /* of each frame */
} stretch;
static struct pack_file_ops kept_file_ops;
static const struct pack_file_ops *usual_file_ops;

static bool keepable(struct home *h, u64 slot, u64 *to)
{
    (void)h;
    if (book.keep_slots == 0) {
        return false;
    }
    u64 end = (slot / book.keep_slots + 1) * book.keep_slots;
    if (end > book.f->log->durable) {
        return false;
    }
    *to = end;
    return true;
}

static void keep(struct home_slots *s, bool yes, u64 pack_id)
{
    (void)s, (void)pack_id;
    book.keeps += yes;
    book.unkeeps += !yes;
}

static err_t frame_bytes(struct home_slots *s, u64 slot, u32 *bytes)
{
    err_t e = book.usual_ops->slots_read(s, slot, NULL, 0, bytes);
    return e == ERR_NO_MEMORY ? OK : e;
}

static err_t stretch_find(struct home *h, u64 wal, u64 nonce, u64 from, u64 to,
                          struct home_slots **out)
{
    TRY(book.usual_ops->slots_find(h, wal, nonce, from, to, out));
    stretch.from = from;
    stretch.count = (u32)MIN(to - from, (u64)KEEP_SLOTS_MAX);
    for (u32 i = 0; i < stretch.count; i++) {
        assert_int_equal(frame_bytes(*out, from + i, &stretch.bytes[i]), OK);
    }
    return OK;
}

/* Slots of the file that were filed before, as many frames like the first one. */
static u32 stretch_before(void)
{
    return book.keep_slots == 0 ? 0 : (u32)(stretch.from % book.keep_slots);
}

static u64 stretch_position(const struct home_slots *s, u64 slot)
{
    (void)s;
    assert_true(slot >= stretch.from && slot < stretch.from + stretch.count);
    u64 position = (u64)stretch_before() * stretch.bytes[0];
    for (u64 i = 0; i < slot - stretch.from; i++) {
        position += stretch.bytes[i];
    }
    return position;
}

static err_t kept_commit(struct pack_file *file, u64 bytes)
{
    return book.keep_error != OK ? book.keep_error : usual_file_ops->commit(file, bytes);
}

static void frame_put(struct home_slots *s, u32 i, struct pack_file *file)
{
    u32 bytes = stretch.bytes[i];
    u8 *frame = mem_alloc(bytes);
    assert_int_equal(book.usual_ops->slots_read(s, stretch.from + i, frame, bytes, &bytes), OK);
    assert_int_equal(file->ops->write(file, frame, bytes, file->bytes), OK);
    file->bytes += bytes;
    mem_free(frame);
}

static err_t kept_make(struct home_slots *s, u64 id, struct pack_file **out)
{
    struct pack_file *file;
    TRY(book.usual_ops->pack_make(s->home, id, &file));
    usual_file_ops = file->ops;
    kept_file_ops = *file->ops;
    kept_file_ops.commit = kept_commit;
    file->ops = &kept_file_ops;
    for (u32 i = 0; i < stretch_before(); i++) {
        frame_put(s, 0, file);
    }
    for (u32 i = 0; i < stretch.count; i++) {
        frame_put(s, i, file);
    }
    book.keep_frames_end = (u32)file->bytes;
    *out = file;
    return OK;
}

bool book_pack_there(struct fixture *f, u64 id)
{
    struct pack_file *file;
    err_t e = book.usual_ops->pack_open(f->home, id, &file);
    if (e == OK) {
        file->ops->close(file);
    }
    return e == OK;
}

bool book_pack_in_place(struct fixture *f, struct home_pack pack)
{
    struct pack_file *file;
    u8 *block = mem_alloc(PACK_UNIT);
    struct pack_head head;
    assert_int_equal(book.usual_ops->pack_open(f->home, pack.id, &file), OK);
    assert_int_equal(file->bytes, pack.bytes);
    assert_int_equal(file->ops->read(file, block, PACK_UNIT, 0), OK);
    assert_int_equal(pack_header_decode(block, f->home->cluster, pack.id, &head), OK);
    file->ops->close(file);
    mem_free(block);
    return head.in_place;
}

/* ---- beginning and ending --------------------------------------------------------------------
 */

void book_prepare(struct fixture *f)
{
    book = (struct book){.f = f};
    fixture_init(f);
    book.usual_ops = f->home->ops;
    book.ops = *f->home->ops;
    book.ops.pack_make = scarce_pack;
    book.ops.slots_find = stretch_find;
    book.ops.slots_keepable = keepable;
    book.ops.slots_keep = keep;
    book.ops.slots_position = stretch_position;
    book.ops.pack_keep = kept_make;
    f->home->ops = &book.ops;
    f->params.file = book_file;
    f->params.repack = book_repack;
}

void book_begin(struct fixture *f)
{
    book_prepare(f);
    fixture_start(f);
}

void book_rest(struct fixture *f)
{
    settle(f);
    u32 quiet = 0;
    for (u32 i = 0; i < 100000 && quiet < 3; i++) {
        bool busy = f->log->filing != FILING_IDLE || f->log->rewrite != REWRITE_IDLE ||
                    f->log->burial != REWRITE_IDLE;
        if (busy) {
            fake_io_advance(f->io, 5000000); /* it is done at a pace */
        }
        turn(f);
        quiet = busy ? 0 : quiet + 1;
    }
    assert_int_equal(quiet, 3);
}

static bool wanted_exists(void *user, u32 partition)
{
    (void)user;
    return partition >= PARTITIONS || !book.gone[partition];
}

static u64 wanted_start(void *user, u32 partition)
{
    (void)user;
    return partition < PARTITIONS ? book.log_start[partition] : 0;
}

void book_recover(struct fixture *f, struct log *l)
{
    const struct log_wanted wanted = {.exists = wanted_exists, .log_start = wanted_start};
    f->held_count = 0;
    fake_io_forget(f->io);
    list_init(&f->home->ready_writes);
    list_init(&f->home->ready_reads);
    io_timer_stop(f->io, &f->home->soon);
    assert_int_equal(home_open(f->home, &f->cluster), OK);
    f->home->replayed = true;
    assert_int_equal(log_recover_packs(l, book.packs, book.pack_count, 1, &wanted), OK);
    for (u64 wal = 1; wal <= f->wal; wal++) {
        if (f->lengths[wal] > 0 && book.trim[wal] == f->lengths[wal]) {
            continue; /* the metadata have forgotten it */
        }
        const struct log_wal what = {
            .id = wal,
            .nonce = wal * 7,
            .trim = book.trim[wal],
            .sealed_length = f->lengths[wal] == 0 ? UINT64_MAX : f->lengths[wal],
        };
        assert_int_equal(log_recover_wal(l, &what, &wanted, &f->lengths[wal]), OK);
    }
    for (u32 id = 0; id < PARTITIONS; id++) {
        if (book.log_start[id] > 0) {
            partition_set_log_start(log_partition(l, id, 0), book.log_start[id]);
        }
    }
}

void book_restart_in_part(struct fixture *f)
{
    log_destroy(f->log);
    f->log = log_create(&f->params);
    book_recover(f, f->log);
    f->wal++;
    assert_int_equal(log_start_wal(f->log, f->cluster, f->wal, f->wal * 7), OK);
}

void book_restart(struct fixture *f)
{
    book_restart_in_part(f);
    book_turn_until_whole(f);
}

void book_turn_until_whole(struct fixture *f)
{
    fake_io_advance(f->io, 50000000);
    for (u32 i = 0; !log_is_whole(f->log); i++) {
        assert_true(i < 1000);
        turn(f);
    }
}

void book_fill(struct fixture *f, u64 bytes, u32 batch_bytes, u32 count)
{
    u32 i = 0;
    for (u64 done = 0; done < bytes; done += batch_bytes, i++) {
        while (!log_room(f->log, batch_bytes + 1024)) {
            turn(f);
        }
        struct append_result r = append_plain(f, log_partition(f->log, i % count, 0), batch_bytes);
        assert_int_equal(r.kerr, KERR_NONE);
        if (i % 16 == 15) {
            turn(f);
        }
    }
    settle(f);
}

u64 book_read_all(struct fixture *f, u32 id)
{
    struct partition *p = log_partition(f->log, id, 0);
    struct partition_info info;
    partition_info(p, &info);
    u8 *bytes = mem_alloc(4 * MIB);
    u64 offset = info.log_start_offset;
    while (offset < info.high_watermark) {
        struct partition_read read = {
            .offset = offset,
            .limit_offset = UINT64_MAX,
            .bytes_max = 1 * MIB,
            .one_batch = true,
        };
        assert_int_equal(read_exactly(f, p, &read), OK);
        assert_true(read.bytes > 0);
        u32 at = 0;
        for (u32 i = 0; i < read.range_count; i++) {
            range_bytes(f, &read.ranges[i], bytes + at);
            at += read.ranges[i].bytes;
        }
        struct slice left = slice_of(bytes, read.bytes);
        struct batch_view view;
        while (left.len > 0) {
            assert_int_equal(batch_view_next(&left, &view), OK);
            assert_true(batch_crc_ok(&view));
            u64 next = (u64)view.base_offset + (u32)view.last_offset_delta + 1;
            assert_true((u64)view.base_offset <= offset || at > 0);
            offset = MAX(offset, next);
        }
        assert_int_equal(offset, read.next_offset);
    }
    mem_free(bytes);
    return info.high_watermark;
}

void book_file_all(struct fixture *f)
{
    advance_ms(f, 61 * 1000);
    book_rest(f);
    assert_int_equal(f->log->unfiled_bytes, 0);
}

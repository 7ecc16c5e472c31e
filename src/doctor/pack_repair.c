/* Packs that brokers refuse are replaced: by one that has what can be kept of them and, where
   records are lost, a batch without records, as compaction leaves one. So the runs of a partition
   still abut, a broker starts, and a reader who comes to the lost offsets goes on behind them.

   What is lost is known from what is left: where records follow in later packs or in a WAL, the
   offsets between are named (report.c). What nothing follows nobody knows; those offsets are used
   again.

     check_packs, check_wals   note what is faulty and what is missing (pack_fault, gap_note)
     repair_packs              tells the price; with --repair --accept-loss
       1. lets go of the lock and opens the home as a broker does, which takes it again
       2. for each a new pack with an id of its own, then a ReplacePacks in the metadata log
     The old file stays until a broker starts, which removes what the metadata does not name.

   How it fails: before the command is durable nothing has changed but for a file that nobody names;
   when that write fails nobody knows, and the file stays, for it may be named. The packs before it
   are repaired. */
#include "doctor/doctor_private.h"

#include <stdlib.h>
#include <string.h>

enum {
    BUFFER_BYTES = 256 * 1024,
    QUOTA_BYTES = 64 * 1024 * 1024,
    PRODUCER_BYTES = 40, /* formats.md, "Producer" */
    PRODUCER_BATCHES = 5,
};

/* ---- what is noted --------------------------------------------------------------------------- */

void pack_fault(struct doctor *d, u64 id, enum pack_fault_kind kind)
{
    if (d->fault_count == d->fault_cap) {
        d->fault_cap = MAX(2 * d->fault_cap, 8u);
        d->faults = mem_resize(d->faults, d->fault_cap * sizeof(*d->faults));
    }
    d->faults[d->fault_count++] =
        (struct pack_fault){.id = id, .place = d->place, .kind = kind, .damages = 1};
}

bool gap_note(struct doctor *d, const struct span *gap, i64 last_place)
{
    for (u32 i = d->fault_count; i > 0; i--) {
        struct pack_fault *f = &d->faults[i - 1];
        if (f->kind == PACK_LOST && f->place < d->place && (i64)f->place > last_place) {
            spans_add_with_epoch(&f->gaps, gap);
            f->damages++;
            return true;
        }
    }
    return false;
}

void pack_faults_free(struct doctor *d)
{
    for (u32 i = 0; i < d->fault_count; i++) {
        spans_fini(&d->faults[i].gaps);
    }
    mem_free(d->faults);
}

/* ---- the price ------------------------------------------------------------------------------- */

static void open_ends_tell(struct doctor *d, const struct pack_fault *f)
{
    struct spans ends = {0};
    for (u32 i = 0; i < meta_topic_count(d->meta); i++) {
        const struct meta_topic *t = meta_topic_at(d->meta, i);
        for (u32 k = 0; k < t->partition_count; k++) {
            u32 id = meta_partition_id(t, k);
            const struct seen_partition *seen = partition_seen(d, id);
            if (seen == NULL || seen->place <= f->place) {
                u64 next = MAX(seen == NULL ? 0 : seen->next, meta_log_start(d->meta, id));
                spans_add(&ends, id, next, DOCTOR_NO_END);
            }
        }
    }
    detail_spans(d, "perhaps lost, nothing tells", &ends);
    spans_fini(&ends);
}

static void price_tell(struct doctor *d, struct pack_fault *f)
{
    char name[64];
    (void)snprintf(name, sizeof(name), "packs/%016llx", (unsigned long long)f->id);
    f->finding = d->findings + 1;
    if (f->kind == PACK_PRODUCERS_LOST) {
        note(d, MSG_check_repairable, name, DOCTOR_NO_BYTE,
             "%s can be made again with all its records; a broker then starts", name);
        detail(d, DOCTOR_PRICE,
               "the price: of idempotent producers only those are still known whose last records "
               "are in it or come later; a retry of another one is stored twice");
        return;
    }
    note(d, MSG_check_repairable, name, DOCTOR_NO_BYTE, "%s can be given up; a broker then starts",
         name);
    detail(d, DOCTOR_PRICE,
           "the price: its records, and what it says of idempotent producers: a retry of what was "
           "written last may be stored twice");
    detail_spans(d, "lost with it", &f->gaps);
    open_ends_tell(d, f);
    detail(d, DOCTOR_DETAIL, "consumers that come to lost offsets go on behind them");
}

/* ---- the new pack ---------------------------------------------------------------------------- */

struct made {
    struct doctor *d;
    struct home *home;
    u64 id;
    struct pack_writer *writer;
    struct pack_run *runs;
    u32 run_count;
    u32 run_cap;
    struct pack_producer *producers;
    u32 producer_count;
    u32 producer_cap;
};

static err_t run_write(struct made *m, struct pack_run run, const u8 *bytes)
{
    if (m->run_count == m->run_cap) {
        m->run_cap = MAX(2 * m->run_cap, 64u);
        m->runs = mem_resize(m->runs, m->run_cap * sizeof(*m->runs));
    }
    run.pos = pack_position(m->writer);
    TRY(pack_write(m->writer, bytes, run.bytes));
    m->runs[m->run_count++] = run;
    return OK;
}

static void producer_put(struct made *m, const struct pack_producer *p)
{
    if (m->producer_count == m->producer_cap) {
        m->producer_cap = MAX(2 * m->producer_cap, 64u);
        m->producers = mem_resize(m->producers, m->producer_cap * sizeof(*m->producers));
    }
    m->producers[m->producer_count++] = *p;
}

/* A batch without records over [from, to). */
static void empty_batch(u8 out[BATCH_HEADER_BYTES], u64 from, u64 to, i32 leader_epoch)
{
    memset(out, 0, BATCH_HEADER_BYTES);
    store_be64(out + BATCH_AT_BASE_OFFSET, from);
    store_be32(out + BATCH_AT_LENGTH, BATCH_HEADER_BYTES - BATCH_AT_LEADER_EPOCH);
    store_be32(out + BATCH_AT_LEADER_EPOCH, (u32)leader_epoch);
    out[BATCH_AT_MAGIC] = BATCH_MAGIC;
    store_be32(out + BATCH_AT_LAST_OFFSET_DELTA, (u32)(to - from - 1));
    store_be64(out + BATCH_AT_BASE_TIMESTAMP, (u64)(i64)BATCH_NO_TIMESTAMP);
    store_be64(out + BATCH_AT_MAX_TIMESTAMP, (u64)(i64)BATCH_NO_TIMESTAMP);
    store_be64(out + BATCH_AT_PRODUCER_ID, (u64)(i64)BATCH_NO_PRODUCER_ID);
    store_be16(out + BATCH_AT_PRODUCER_EPOCH, (u16)BATCH_NO_PRODUCER_EPOCH);
    store_be32(out + BATCH_AT_BASE_SEQUENCE, (u32)BATCH_NO_SEQUENCE);
    store_be32(out + BATCH_AT_CRC,
               crc32c(out + BATCH_AT_ATTRIBUTES, BATCH_HEADER_BYTES - BATCH_AT_ATTRIBUTES));
}

static err_t gap_write(struct made *m, const struct span *gap)
{
    for (u64 from = gap->from; from < gap->to;) {
        u8 batch[BATCH_HEADER_BYTES];
        u64 to = MIN(gap->to, from + INT32_MAX);
        empty_batch(batch, from, to, gap->leader_epoch);
        const struct pack_run run = {
            .partition = gap->partition,
            .leader_epoch = gap->leader_epoch,
            .base_offset = from,
            .next_offset = to,
            .max_timestamp = BATCH_NO_TIMESTAMP,
            .bytes = sizeof(batch),
            .crc = crc32c(batch, sizeof(batch)),
            .batches = 1,
        };
        TRY(run_write(m, run, batch));
        from = to;
    }
    return OK;
}

static int span_order(const void *a, const void *b)
{
    const struct span *left = a;
    const struct span *right = b;
    if (left->partition != right->partition) {
        return left->partition < right->partition ? -1 : 1;
    }
    return left->from < right->from ? -1 : left->from > right->from;
}

static err_t gaps_write(struct made *m, struct spans *gaps)
{
    if (gaps->count > 0) {
        qsort(gaps->items, gaps->count, sizeof(*gaps->items), span_order);
    }
    for (u32 i = 0; i < gaps->count; i++) {
        TRY(gap_write(m, &gaps->items[i]));
    }
    return OK;
}

/* What the batches of a run say of their producers. */
static void run_producers(struct made *m, const struct pack_run *run, const u8 *bytes)
{
    struct slice rest = slice_of(bytes, run->bytes);
    struct batch_view b;
    while (rest.len > 0 && batch_view_next(&rest, &b) == OK) {
        if (!batch_crc_ok(&b) || b.producer_id < 0 || b.base_sequence < 0) {
            continue;
        }
        const struct pack_producer p = {
            .partition = run->partition,
            .epoch = b.producer_epoch,
            .id = b.producer_id,
            .base_offset = (u64)b.base_offset,
            .max_timestamp = b.max_timestamp,
            .first_sequence = b.base_sequence,
            .last_sequence = batch_last_sequence(&b),
        };
        producer_put(m, &p);
    }
}

/* Of each producer in each partition the last ones. */
static void producers_trim(struct made *m)
{
    u32 to = m->producer_count;
    struct map64 counts;
    map64_init(&counts);
    for (u32 i = m->producer_count; i > 0; i--) {
        const struct pack_producer *p = &m->producers[i - 1];
        if (i == m->producer_count || m->producers[i].partition != p->partition) {
            map64_fini(&counts);
            map64_init(&counts);
        }
        uintptr_t count = (uintptr_t)map64_get(&counts, (u64)p->id);
        if (count < PRODUCER_BATCHES) {
            map64_put(&counts, (u64)p->id, (void *)(count + 1)); // NOLINT: a number, no pointer
            m->producers[--to] = *p;
        }
    }
    map64_fini(&counts);
    m->producer_count -= to;
    if (to > 0) {
        memmove(m->producers, m->producers + to, m->producer_count * sizeof(*m->producers));
    }
}

/* The table of a pack whose runs are lost. */
static void producers_keep(struct made *m, const u8 *table, u32 bytes)
{
    for (u32 at = 0; at + PRODUCER_BYTES <= bytes; at += PRODUCER_BYTES) {
        const u8 *p = table + at;
        const struct pack_producer producer = {
            .partition = load_le32(p),
            .epoch = (i16)(p[4] | p[5] << 8),
            .id = (i64)load_le64(p + 8),
            .base_offset = load_le64(p + 16),
            .max_timestamp = (i64)load_le64(p + 24),
            .first_sequence = (i32)load_le32(p + 32),
            .last_sequence = (i32)load_le32(p + 36),
        };
        producer_put(m, &producer);
    }
}

static err_t runs_copy(struct made *m, const struct file_bytes *file,
                       const struct pack_shape *shape)
{
    struct pack_run *runs = mem_alloc(((size_t)shape->run_count + 1) * sizeof(*runs));
    err_t e = pack_check_runs(shape, file->data + shape->runs_pos, runs);
    for (u32 i = 0; i < shape->run_count && e == OK; i++) {
        const u8 *bytes = file->data + runs[i].pos;
        if (crc32c(bytes, runs[i].bytes) != runs[i].crc) {
            runs[i].flags |= PACK_RUN_QUARANTINED;
        }
        e = run_write(m, runs[i], bytes);
        run_producers(m, &runs[i], bytes);
    }
    mem_free(runs);
    producers_trim(m);
    return e;
}

/* What can be kept, and batches without records where nothing can. */
static err_t made_fill(struct made *m, struct pack_fault *f)
{
    char name[64];
    struct file_bytes file;
    struct pack_shape shape;
    const char *what;
    (void)snprintf(name, sizeof(name), "packs/%016llx", (unsigned long long)f->id);
    bool whole = file_load(m->d, name, &file) == OK && file.size >= DOCTOR_UNIT &&
                 pack_check_ends(file.data, file.data + file.size - PACK_CHECK_TRAILER_BYTES,
                                 m->d->cluster, f->id, file.size, &shape, &what) == OK;
    err_t e = OK;
    if (f->kind == PACK_PRODUCERS_LOST) {
        e = whole ? runs_copy(m, &file, &shape) : ERR_CORRUPT;
    } else {
        if (whole &&
            crc32c(file.data + shape.producers_pos, shape.producers_bytes) == shape.producers_crc) {
            producers_keep(m, file.data + shape.producers_pos, shape.producers_bytes);
        }
        e = gaps_write(m, &f->gaps);
    }
    file_free(&file);
    return e;
}

/* bytes 0: there is nothing to be kept, and no pack. */
static err_t pack_make(struct made *m, struct pack_fault *f, u8 *buffer, struct meta_pack *out)
{
    *out = (struct meta_pack){0};
    TRY(pack_create(m->home, m->id, buffer, BUFFER_BYTES, &m->writer));
    err_t e = made_fill(m, f);
    if (e != OK || (m->run_count == 0 && m->producer_count == 0)) {
        pack_abandon(m->writer);
        return e;
    }
    out->id = m->id;
    e = pack_finish(m->writer, m->runs, m->run_count, m->producers, m->producer_count, &out->bytes);
    *out = e == OK ? *out : (struct meta_pack){0};
    return e;
}

/* ---- the metadata ---------------------------------------------------------------------------- */

static err_t replace(struct doctor *d, struct home *home, u64 old, struct meta_pack output)
{
    struct meta_command c = {
        .kind = META_REPLACE_PACKS,
        .replace_packs = {.inputs = &old, .input_count = 1, .output = output},
    };
    u8 bytes[256];
    struct writer w = writer_of(bytes, sizeof(bytes));
    write_le32(&w, 1);
    meta_command_encode(&c, &w);
    assert(!w.failed);
    if (meta_check(d->meta, &c) != KERR_NONE) {
        return ERR_INVALID;
    }
    TRY(home_meta_write_now(home, d->meta_slot, slice_of(bytes, w.len)));
    d->meta_slot++;
    struct meta_outcome outcome;
    meta_apply(d->meta, &c, &outcome);
    return OK;
}

static err_t pack_replace(struct doctor *d, struct home *home, u64 id, struct pack_fault *f)
{
    struct made m = {.d = d, .home = home, .id = id};
    struct meta_pack output;
    struct blob *buffer = blob_get(&d->buffers, BUFFER_BYTES);
    assert(buffer != NULL); /* the only one */
    err_t e = pack_make(&m, f, buffer->data, &output);
    e = e == OK ? replace(d, home, f->id, output) : e;
    blob_unref(buffer);
    mem_free(m.runs);
    mem_free(m.producers);
    return e;
}

/* Above whatever was ever named, and every file that is there. */
static err_t pack_id_next(const struct doctor *d, u64 *id)
{
    struct names names;
    *id = meta_next_pack(d->meta);
    TRY(folder_list(d, "packs", &names));
    for (u32 i = 0; i < names.count; i++) {
        u64 number;
        if (strlen(names.items[i]) == 16 && name_hex(names.items[i], 16, &number)) {
            *id = MAX(*id, number + 1);
        }
    }
    names_free(&names);
    return OK;
}

static err_t passed_over(void *user, u64 slot, struct slice payload)
{
    (void)user;
    (void)slot;
    (void)payload;
    return OK;
}

/* The home as a broker opens it, at the metadata that was checked. */
static err_t home_begin(struct doctor *d, struct home *home)
{
    static const struct home_meta_visitor visitor = {.snapshot = passed_over, .slot = passed_over};
    struct uuid cluster;
    u64 next;
    lock_release(d);
    TRY(home_open(home, &cluster));
    TRY(home_meta_replay(home, &visitor, &next));
    return next == d->meta_slot ? OK : ERR_LOCKED; /* somebody was faster */
}

static err_t faults_repair(struct doctor *d, struct home *home)
{
    u64 id;
    TRY(home_begin(d, home));
    TRY(pack_id_next(d, &id));
    for (u32 i = 0; i < d->fault_count; i++) {
        struct pack_fault *f = &d->faults[i];
        TRY(pack_replace(d, home, id, f));
        d->repaired += f->damages;
        detail_of(d, f->finding, f->finding, DOCTOR_REPAIRED,
                  "packs/%016llx %s; the loss is accepted. A start of a broker removes the "
                  "old file, if there is one",
                  (unsigned long long)f->id,
                  f->kind == PACK_PRODUCERS_LOST ? "is made again" : "is given up");
        id++;
    }
    return OK;
}

static u32 fault_damages(const struct doctor *d)
{
    u32 sum = 0;
    for (u32 i = 0; i < d->fault_count; i++) {
        sum += d->faults[i].damages;
    }
    return sum;
}

void repair_packs(struct doctor *d)
{
    if (d->fault_count == 0 || !d->meta_whole) {
        return;
    }
    for (u32 i = 0; i < d->fault_count; i++) {
        price_tell(d, &d->faults[i]);
    }
    u32 first = d->faults[0].finding;
    u32 last = d->faults[d->fault_count - 1].finding;
    /* What follows a pack tells what it had, so that has to be whole first. */
    if (d->wal_was_cut || d->damages - fault_damages(d) > d->served + d->repaired ||
        d->failures > 0) {
        detail_of(d, first, last, DOCTOR_NEXT,
                  "restore the file from a backup, or deal with the other damage first and run "
                  "this again");
        return;
    }
    if (!d->repair || !d->accept_loss) {
        detail_of(d, first, last, DOCTOR_NEXT,
                  "restore the file from a backup, or run this with --repair --accept-loss");
        return;
    }
    struct quota quota;
    quota_init(&quota, "doctor", NULL, QUOTA_BYTES);
    blob_pool_init(&d->buffers, "doctor", &quota, BUFFER_BYTES, 0);
    const struct home_disk_params params = {.directory = d->directory, .quota = &quota};
    struct home *home = home_disk_create(d->io, &params);
    err_t e = faults_repair(d, home);
    if (e != OK) {
        d->failures++;
        const char *reason = home_reason(home);
        detail_of(d, first, last, DOCTOR_NOT_REPAIRED, "%s%s%s. Check the disk and try again.",
                  err_name(e), reason[0] != '\0' ? ": " : "", reason);
    }
    home_destroy(home);
    blob_pool_fini(&d->buffers);
}

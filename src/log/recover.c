/* Rebuilding partitions from the index of the newest packs and of an earlier WAL's frames: offsets,
   runs, leader epochs, producers. (Older packs: older.c.) Called by cluster/ at start: the packs,
   then each WAL in order of their ids, before log_start_wal. The home reads, tells a torn tail from
   damage and delivers good frames in slot order; everything it delivers is durable, so the high
   watermark ends up at the end.

   How it fails: offsets that do not abut are damage no checksum could see: ERR_CORRUPT. The index
   is taken whatever its quota says: it was within it (or nearly) before the restart, and a broker
   that starts and takes no more can be helped, one that does not start cannot. Of too many
   producers the latest are kept. */
#include "log/log_private.h"

#include <stdlib.h>
#include <string.h>

struct damaged_batch {
    u64 slot;
    u32 partition;
    u64 base_offset;
};

struct recovery {
    struct log *log;
    u32 object;
    struct log_wanted wanted;
    i64 now_ms;
    u32 unwanted_id; /* the last one that was not wanted */
    bool has_unwanted;
    struct damaged_batch *damaged; /* of the slot that comes next */
    u32 damaged_count;
    u32 damaged_cap;
};

static void recover_damaged(void *user, u64 wal, u64 slot, const struct frame_entry *entry)
{
    struct recovery *r = user;
    (void)wal;
    if (r->damaged_count == r->damaged_cap) {
        r->damaged_cap = MAX(2 * r->damaged_cap, 16u);
        r->damaged = mem_resize(r->damaged, r->damaged_cap * sizeof(r->damaged[0]));
    }
    r->damaged[r->damaged_count] =
        (struct damaged_batch){slot, entry->partition, entry->base_offset};
    r->damaged_count++;
}

static bool entry_is_damaged(const struct recovery *r, u64 slot, const struct frame_entry *e)
{
    for (u32 i = 0; i < r->damaged_count; i++) {
        const struct damaged_batch *d = &r->damaged[i];
        if (d->slot == slot && d->partition == e->partition && d->base_offset == e->base_offset) {
            return true;
        }
    }
    return false;
}

/* NULL: not wanted. */
static struct partition *partition_wanted(struct recovery *r, u32 id)
{
    struct partition *p = map64_get(&r->log->partitions, id);
    if (p != NULL) {
        return p;
    }
    if (r->has_unwanted && r->unwanted_id == id) {
        return NULL;
    }
    if (r->wanted.exists != NULL && !r->wanted.exists(r->wanted.user, id)) {
        r->has_unwanted = true;
        r->unwanted_id = id;
        return NULL;
    }
    return partition_get(r->log, id);
}

static err_t producer_recover(const struct recovery *r, struct partition *p,
                              const struct pack_producer *from)
{
    if ((r->log->params.canaries & LOG_CANARY_FORGET_PRODUCERS) != 0) {
        return OK;
    }
    if (!producer_reserve(p, from->id, r->now_ms)) {
        return ERR_NO_MEMORY; /* not even one */
    }
    const struct producer_batch batch = {
        .base_offset = from->base_offset,
        .position = 0, /* durable */
        .max_timestamp = from->max_timestamp,
        .first_sequence = from->first_sequence,
        .last_sequence = from->last_sequence,
    };
    /* When it was written is not stored, and its own timestamps may be years old: its time begins
       anew. */
    producer_add(p, from->id, from->epoch, &batch, r->now_ms);
    return OK;
}

static err_t entry_producer_recover(const struct recovery *r, struct partition *p,
                                    const struct frame_entry *e)
{
    if (e->producer_id < 0 || e->base_sequence < 0) {
        return OK;
    }
    const struct pack_producer producer = {
        .partition = e->partition,
        .epoch = e->producer_epoch,
        .id = e->producer_id,
        .base_offset = e->base_offset,
        .max_timestamp = e->max_timestamp,
        .first_sequence = e->base_sequence,
        .last_sequence = sequence_add(e->base_sequence, (i32)e->last_offset_delta),
    };
    return producer_recover(r, p, &producer);
}

/* The first that is found of it. What older packs have begins at the log start, or where that says
   that it does. */
static void partition_begin(const struct recovery *r, struct partition *p, u64 base_offset)
{
    u64 start = base_offset;
    if (r->log->older != NULL) {
        u64 log_start =
            r->wanted.log_start != NULL ? r->wanted.log_start(r->wanted.user, p->id) : 0;
        start = MIN(start, log_start);
    }
    p->start_offset = start;
    p->end_offset = base_offset;
    p->ended = true;
}

static err_t entry_recover(const struct recovery *r, struct partition *p, u64 slot,
                           const struct frame_entry *e)
{
    if (p->run_count == 0 && p->end_offset == 0) {
        partition_begin(r, p, e->base_offset);
    }
    i32 leader_epoch = (i32)e->leader_epoch;
    if (e->base_offset != p->end_offset || leader_epoch < p->leader_epoch) {
        return ERR_CORRUPT;
    }
    index_reserve_uncharged(p);
    TRY(entry_producer_recover(r, p, e));
    epoch_assign(p, leader_epoch, e->base_offset);
    const struct index_add add = {
        .base_offset = e->base_offset,
        .max_timestamp = e->max_timestamp,
        .place = run_place(r->object, slot),
        .pos = e->pos,
        .bytes = e->bytes,
        .leader_epoch = leader_epoch,
        .flags = entry_is_damaged(r, slot, e) ? RUN_QUARANTINED : 0,
    };
    index_add(p, &add);
    p->end_offset = e->base_offset + e->last_offset_delta + 1;
    p->high_watermark = p->end_offset;
    p->bytes += e->bytes;
    r->log->bytes += e->bytes;
    return OK;
}

static err_t recover_slot(void *user, const struct frame_header *h,
                          const struct frame_entry *entries, u32 count)
{
    struct recovery *r = user;
    struct partition *p = NULL;
    if (!object_slot_note(r->log, r->object, h->slot, h->total_bytes, count > 0)) {
        seen("log: slot sizes beyond the index's cap, at a start");
    }
    for (u32 i = 0; i < count; i++) {
        const struct frame_entry *e = &entries[i];
        if (i == 0 || e->partition != entries[i - 1].partition) {
            p = partition_wanted(r, e->partition);
        }
        if (p != NULL) {
            TRY(entry_recover(r, p, h->slot, e));
        }
    }
    r->damaged_count = 0;
    return OK;
}

static struct recovery recovery_begin(struct log *l, const struct log_wanted *wanted)
{
    assert(!l->started);
    return (struct recovery){
        .log = l,
        .wanted = wanted != NULL ? *wanted : (struct log_wanted){0},
        .now_ms = io_wall_ms(l->io),
    };
}

err_t log_recover_wal(struct log *l, const struct log_wal *wal, const struct log_wanted *wanted,
                      u64 *length)
{
    struct recovery r = recovery_begin(l, wanted);
    r.object = filing_wal_add(l, wal->id, wal->nonce, wal->trim);
    const struct home_wal_visitor visitor = {
        .user = &r,
        .slot = recover_slot,
        .damaged = recover_damaged,
    };
    err_t e = home_wal_scan(l->home, wal->id, wal->nonce, wal->trim, wal->sealed_length, &visitor,
                            length);
    mem_free(r.damaged);
    TRY(e);
    filing_wal_recovered(l, r.object);
    return OK;
}

/* ---- packs ----------------------------------------------------------------------------------- */

/* What is below the start of the log may have gaps: packs in which nothing lived are gone. */
static bool below_start(const struct recovery *r, u32 partition, u64 next_offset)
{
    return r->wanted.log_start != NULL &&
           next_offset <= r->wanted.log_start(r->wanted.user, partition);
}

static err_t run_recover(const struct recovery *r, struct partition *p, const struct pack_run *run)
{
    if (p->run_count == 0 && p->end_offset == 0) {
        partition_begin(r, p, run->base_offset);
    }
    if (run->base_offset != p->end_offset || run->leader_epoch < p->leader_epoch) {
        return ERR_CORRUPT;
    }
    index_reserve_uncharged(p);
    epoch_assign(p, run->leader_epoch, run->base_offset);
    const struct index_add add = {
        .base_offset = run->base_offset,
        .max_timestamp = run->max_timestamp,
        .place = run_place(r->object, 0),
        .pos = run->pos,
        .bytes = run->bytes,
        .leader_epoch = run->leader_epoch,
        .flags = (run->flags & PACK_RUN_QUARANTINED) != 0 ? RUN_QUARANTINED : 0,
    };
    index_add(p, &add);
    r->log->objects[r->object].live_bytes += run->bytes;
    p->end_offset = run->next_offset;
    p->high_watermark = run->next_offset;
    p->bytes += run->bytes;
    r->log->bytes += run->bytes;
    return OK;
}

static err_t recover_runs(void *user, const struct pack_run *runs, u32 count)
{
    struct recovery *r = user;
    struct partition *p = NULL;
    for (u32 i = 0; i < count; i++) {
        r->log->objects[r->object].payload_bytes += runs[i].bytes;
        if (i == 0 || runs[i].partition != runs[i - 1].partition) {
            p = partition_wanted(r, runs[i].partition);
        }
        if (p != NULL && !below_start(r, p->id, runs[i].next_offset)) {
            TRY(run_recover(r, p, &runs[i]));
        }
    }
    return OK;
}

static err_t recover_producers(void *user, const struct pack_producer *producers, u32 count)
{
    struct recovery *r = user;
    r->log->objects[r->object].statements += count;
    if ((r->log->params.canaries & LOG_CANARY_FORGET_PACK_PRODUCERS) != 0) {
        return OK;
    }
    struct partition *p = NULL;
    for (u32 i = 0; i < count; i++) {
        if (i == 0 || producers[i].partition != producers[i - 1].partition) {
            p = partition_wanted(r, producers[i].partition);
        }
        if (p != NULL) {
            TRY(producer_recover(r, p, &producers[i]));
        }
    }
    return OK;
}

static int pack_compare(const void *a, const void *b)
{
    u64 left = ((const struct home_pack *)a)->id;
    u64 right = ((const struct home_pack *)b)->id;
    return left < right ? -1 : left > right;
}

/* By id, as the home wants them. */
static struct home_pack *packs_sorted(const struct home_pack *packs, u32 count)
{
    struct home_pack *sorted = mem_alloc(count * sizeof(sorted[0]));
    if (count > 0) {
        memcpy(sorted, packs, count * sizeof(sorted[0]));
        qsort(sorted, count, sizeof(sorted[0]), pack_compare);
    }
    return sorted;
}

/* The log has an object for each. How many are older. */
static u32 packs_add(struct log *l, const struct home_pack *packs, u32 count,
                     const struct log_wanted *wanted)
{
    for (u32 i = 0; i < count; i++) {
        u32 object = object_add(l, packs[i].id | LOG_PACK_BIT);
        l->objects[object].bytes = (u32)packs[i].bytes;
        pack_filed(l, object);
    }
    u32 older = older_count(l, packs, count);
    if (older > 0) {
        older_add(l, packs, l->packs, older, wanted);
    }
    return older;
}

err_t log_recover_packs(struct log *l, const struct home_pack *packs, u32 count, u64 next_id,
                        const struct log_wanted *wanted)
{
    struct recovery r = recovery_begin(l, wanted);
    const struct home_pack_visitor visitor = {
        .user = &r,
        .runs = recover_runs,
        .producers = recover_producers,
    };
    struct home_pack *sorted = packs_sorted(packs, count);
    err_t swept = home_packs_sweep(l->home, sorted, count, &l->next_pack);
    mem_free(sorted);
    TRY(swept);
    l->next_pack = MAX(l->next_pack, next_id);
    u32 older = packs_add(l, packs, count, &r.wanted);
    for (u32 i = older; i < count; i++) {
        r.object = l->packs[i];
        TRY(home_pack_load(l->home, packs[i], &visitor));
    }
    return OK;
}

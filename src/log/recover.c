/* Rebuilding partitions from the index of an earlier WAL's frames: offsets, runs, leader epochs,
   producers. Called by cluster/ at start, once per WAL in order of their ids, before log_start_wal.
   The home reads, tells a torn tail from damage and delivers good frames in slot order; everything
   it delivers is durable, so the high watermark ends up at the end.

   How it fails: offsets that do not abut are damage no checksum could see: ERR_CORRUPT. The index
   is taken whatever its quota says: it was within it (or nearly) before the restart, and a broker
   that starts and takes no more can be helped, one that does not start cannot. Of too many
   producers the latest are kept. */
#include "log/log_private.h"

struct damaged_batch {
    u64 slot;
    u32 partition;
    u64 base_offset;
};

struct recovery {
    struct log *log;
    u32 wal_index;
    bool (*wanted)(void *user, u32 partition_id);
    void *user;
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
    if (r->wanted != NULL && !r->wanted(r->user, id)) {
        r->has_unwanted = true;
        r->unwanted_id = id;
        return NULL;
    }
    return partition_get(r->log, id);
}

static err_t producer_recover(const struct recovery *r, struct partition *p,
                              const struct frame_entry *e)
{
    bool forget = (r->log->params.canaries & LOG_CANARY_FORGET_PRODUCERS) != 0;
    if (e->producer_id < 0 || e->base_sequence < 0 || forget) {
        return OK;
    }
    if (!producer_reserve(p, e->producer_id, r->now_ms)) {
        return ERR_NO_MEMORY; /* not even one */
    }
    const struct producer_batch batch = {
        .base_offset = e->base_offset,
        .position = 0, /* durable */
        .max_timestamp = e->max_timestamp,
        .first_sequence = e->base_sequence,
        .last_sequence = sequence_add(e->base_sequence, (i32)e->last_offset_delta),
    };
    /* When it was written is not stored, and its own timestamps may be years old: its time begins
       anew. */
    producer_add(p, e->producer_id, e->producer_epoch, &batch, r->now_ms);
    return OK;
}

static err_t entry_recover(const struct recovery *r, struct partition *p, u64 slot,
                           const struct frame_entry *e)
{
    if (p->run_count == 0 && p->end_offset == 0) {
        p->start_offset = e->base_offset;
        p->end_offset = e->base_offset;
    }
    i32 leader_epoch = (i32)e->leader_epoch;
    if (e->base_offset != p->end_offset || leader_epoch < p->leader_epoch) {
        return ERR_CORRUPT;
    }
    index_reserve_uncharged(p);
    TRY(producer_recover(r, p, e));
    epoch_assign(p, leader_epoch, e->base_offset);
    const struct index_add add = {
        .base_offset = e->base_offset,
        .max_timestamp = e->max_timestamp,
        .place = run_place(r->wal_index, slot),
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
    if (!wal_slot_note(r->log, r->wal_index, h->slot, h->total_bytes)) {
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

err_t log_recover_wal(struct log *l, u64 wal, u64 nonce, u64 sealed_length,
                      bool (*wanted)(void *user, u32 partition_id), void *user, u64 *length)
{
    assert(!l->started);
    struct recovery r = {
        .log = l,
        .wal_index = log_wal_add(l, wal),
        .wanted = wanted,
        .user = user,
        .now_ms = io_wall_ms(l->io),
    };
    const struct home_wal_visitor visitor = {
        .user = &r,
        .slot = recover_slot,
        .damaged = recover_damaged,
    };
    err_t e = home_wal_scan(l->home, wal, nonce, 0, sealed_length, &visitor, length);
    mem_free(r.damaged);
    return e;
}

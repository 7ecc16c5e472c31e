/* The read index of a partition: its runs in order of offsets, and which leader epoch began where.
   Called by partition.c (append, read, look-ups), recover.c, filing.c and rewrite.c (runs that
   moved), and by chunk.c, filing.c, rewrite.c and pace.c, which do otherwise while it is large.

   Memory is charged to the log's index quota, run array by run array; arrays have about an eighth
   to spare. Batches that are small, of many partitions, have an entry for every few KiB until
   packs of them are sorted, which waits for a calm moment. So, as the index grows:

     large    the hot cache gives way to it: packs are sorted though it is not calm
     behind   appends wait as long as sorting gets on
     full     nothing is left to sort: index_reserve says no and the batch is refused before it has
              an offset (KAFKA_STORAGE_ERROR). That is told; reads go on, and so do the broker's own
              partitions, until something is deleted or the broker is given more memory

   What is left of the log's memory then is the smallest cache, cold reads, and what filing and
   sorting need to get on. */
#include "log/log_private.h"

#include <string.h>

enum { RUNS_MIN = 4, EPOCHS_MIN = 4 };
static const u64 BUFFERS_BYTES = 4 * MIB; /* of filing and sorting, at the least */

static void index_release(struct log *l, u64 bytes)
{
    u64 uncharged = MIN(bytes, l->index_uncharged);
    l->index_uncharged -= uncharged;
    quota_release(&l->index_quota, bytes - uncharged);
}

void index_fini(struct partition *p)
{
    struct log *l = p->log;
    for (u32 i = 0; i < p->run_count; i++) {
        object_run_died(l, &p->runs[i]);
    }
    index_release(l, (u64)p->run_cap * sizeof(p->runs[0]));
    assert(l->index_entries >= p->run_count);
    l->index_entries -= p->run_count;
    mem_free(p->runs);
    mem_free(p->older_epochs);
    p->runs = NULL;
    p->older_epochs = NULL;
    p->run_count = p->run_cap = 0;
}

u64 memory_of_log(const struct log *l)
{
    return l->params.quota != NULL ? l->params.quota->cap : UINT64_MAX;
}

static u64 buffers_bytes(const struct log *l)
{
    return MAX(memory_of_log(l) / 32, BUFFERS_BYTES);
}

/* What the log's memory has besides a cache of that size. */
static u64 memory_beside(const struct log *l, u64 hot_bytes)
{
    u64 cap = memory_of_log(l);
    u64 others = hot_bytes + l->params.cold_bytes + buffers_bytes(l);
    return MAX(cap - MIN(cap, others), cap / 8);
}

u64 index_bytes(const struct log *l)
{
    return l->index_quota.used + l->index_uncharged;
}

u64 index_bytes_max(const struct log *l)
{
    return memory_beside(l, l->params.hot_bytes / 4);
}

u64 index_wait_bytes(const struct log *l)
{
    return index_bytes_max(l) / 4 * 3;
}

u64 index_leaves_cache(const struct log *l)
{
    u64 less = index_bytes(l) - MIN(index_bytes(l), memory_beside(l, l->params.hot_bytes));
    return l->params.hot_bytes - MIN(less, l->params.hot_bytes / 4 * 3);
}

bool index_is_large(const struct log *l)
{
    return index_bytes(l) > memory_beside(l, l->params.hot_bytes);
}

/* By what it needs: what it has comes and goes in steps, when thousands of partitions are written
   to alike. */
bool index_is_behind(const struct log *l)
{
    u64 needed = l->index_entries * sizeof(struct run) / 8 * 9;
    return UNLIKELY(needed > index_wait_bytes(l)) && rewrite_gets_on(l);
}

void index_turn(struct log *l)
{
    bool owes = l->index_uncharged > 0;
    while (UNLIKELY(owes) && !quota_charge(&l->index_quota, l->index_uncharged)) {
        owes = chunks_shrink(l);
    }
    if (UNLIKELY(owes)) {
        l->index_uncharged = 0;
    }
    if (UNLIKELY(l->index_full) && index_bytes(l) < index_bytes_max(l) / 16 * 15) {
        seen("log: the index has room again");
        l->index_full = false;
        diag(MSG_index_back, D_UINT("index_bytes", index_bytes(l)));
    }
}

static bool index_refuses(struct log *l)
{
    seen("log: index at its cap");
    if (!l->index_full) {
        l->index_full = true;
        diag(MSG_index_full, D_UINT("index_bytes", index_bytes(l)),
             D_UINT("index_bytes_max", index_bytes_max(l)));
    }
    return false;
}

/* Where all of the cache is on its way to the WAL, the index may owe a little for a moment. */
static bool index_charge(struct log *l, u64 bytes, bool beyond_quota)
{
    if (!beyond_quota && index_bytes(l) + bytes > index_bytes_max(l)) {
        return index_refuses(l);
    }
    while (!quota_charge(&l->index_quota, bytes)) {
        if (chunks_shrink(l)) {
            continue;
        }
        if (!beyond_quota && l->index_uncharged + bytes > buffers_bytes(l) &&
            l->retiring_count == 0) {
            seen("log: others have the memory of the index");
            return false; /* who appends tells that */
        }
        seen("log: index beyond its cap");
        l->index_uncharged += bytes;
        break;
    }
    return true;
}

static u32 cap_for(u32 run_count)
{
    return run_count + run_count / 8 + RUNS_MIN;
}

static bool runs_grow(struct partition *p, bool beyond_quota)
{
    u32 cap = p->run_cap == 0 ? RUNS_MIN : cap_for(p->run_cap);
    u64 bytes = (u64)(cap - p->run_cap) * sizeof(p->runs[0]);
    if (!index_charge(p->log, bytes, beyond_quota)) {
        return false;
    }
    p->runs = mem_resize(p->runs, cap * sizeof(p->runs[0]));
    p->run_cap = cap;
    return true;
}

bool index_reserve(struct partition *p)
{
    return LIKELY(p->run_count < p->run_cap) || runs_grow(p, p->reserved);
}

void index_reserve_uncharged(struct partition *p)
{
    if (p->run_count == p->run_cap) {
        bool grown = runs_grow(p, true);
        assert(grown);
        (void)grown;
    }
}

/* Does the batch continue the last run: same slot, next to it, together not too large? */
bool run_continues(const struct run *last, const struct index_add *add)
{
    bool beside = (last->flags & RUN_STAGED) != 0 || last->pos + last->bytes == add->pos;
    return last->place == add->place && last->leader_epoch == add->leader_epoch &&
           last->flags == add->flags && beside && (add->flags & RUN_QUARANTINED) == 0 &&
           (u64)last->bytes + add->bytes <= LOG_RUN_BYTES;
}

void index_add(struct partition *p, const struct index_add *add)
{
    i64 so_far = add->max_timestamp;
    if (p->run_count > 0) {
        struct run *last = &p->runs[p->run_count - 1];
        so_far = MAX(so_far, last->max_timestamp_so_far);
        if (run_continues(last, add)) {
            last->bytes += add->bytes;
            last->max_timestamp_so_far = so_far;
            return;
        }
    }
    assert(p->run_count < p->run_cap);
    p->runs[p->run_count] = (struct run){
        .base_offset = add->base_offset,
        .max_timestamp_so_far = so_far,
        .place = add->place,
        .pos = add->pos,
        .bytes = add->bytes,
        .leader_epoch = add->leader_epoch,
        .flags = add->flags,
    };
    p->run_count++;
    p->log->index_entries++;
}

/* Not for a few that may come back in a moment. But where thousands of partitions are written to
   alike, their arrays are about to shrink at the same time: until then sorting would seem to be in
   vain. */
static void runs_shrink(struct partition *p)
{
    u32 cap = p->run_count == 0 ? 0 : cap_for(p->run_count);
    if (p->run_cap <= cap + cap / 32) {
        return;
    }
    index_release(p->log, (u64)(p->run_cap - cap) * sizeof(p->runs[0]));
    if (cap == 0) {
        mem_free(p->runs);
        p->runs = NULL;
    } else {
        p->runs = mem_resize(p->runs, cap * sizeof(p->runs[0]));
    }
    p->run_cap = cap;
}

/* What is left moves to the front: some ten milliseconds for a million runs, which is a price for
   what retention does seldom and no reader has to pay. */
u64 index_drop_front(struct partition *p, u64 offset)
{
    u32 count = 0;
    u64 bytes = 0;
    while (count < p->run_count && index_next_offset(p, count) <= offset) {
        bytes += p->runs[count].bytes;
        object_run_died(p->log, &p->runs[count]);
        count++;
    }
    if (count == 0) {
        return 0;
    }
    p->run_count -= count;
    memmove(p->runs, p->runs + count, p->run_count * sizeof(p->runs[0]));
    p->first_open_run -=
        MIN(p->first_open_run, count); /* runs of the open slot are never dropped */
    assert(p->log->index_entries >= count);
    p->log->index_entries -= count;
    runs_shrink(p);
    return bytes;
}

/* The slot has been laid out: the staged runs follow each other from `pos` on. */
void index_settle_staged(struct partition *p, u32 first, u32 pos)
{
    for (u32 i = first; i < p->run_count; i++) {
        struct run *r = &p->runs[i];
        if ((r->flags & RUN_STAGED) != 0) {
            r->pos = pos;
            r->flags &= ~(u32)RUN_STAGED;
            pos += r->bytes;
        }
    }
}

/* The runs that cover offsets [from, to): *first, and how many. */
static u32 runs_covering(const struct partition *p, u64 from, u64 to, u32 *first)
{
    u32 begin = p->runs[0].base_offset >= from ? 0 : index_find(p, from);
    u32 end = begin;
    while (end < p->run_count && p->runs[end].base_offset < to) {
        end++;
    }
    *first = begin;
    return end - begin;
}

struct run run_of_pack(const struct pack_run *r, u64 place)
{
    return (struct run){
        .base_offset = r->base_offset,
        .max_timestamp_so_far = r->max_timestamp,
        .place = place,
        .pos = r->pos,
        .bytes = r->bytes,
        .leader_epoch = r->leader_epoch,
        .flags = (r->flags & PACK_RUN_QUARANTINED) != 0 ? RUN_QUARANTINED : 0,
    };
}

/* Runs wholly below the start of the log are not worth having. What was quarantined and is not in
   the pack is found again by the next reader. */
void index_refile(struct partition *p, const struct pack_run *runs, u32 count, u64 place)
{
    while (count > 0 && runs[0].next_offset <= p->start_offset) {
        runs++;
        count--;
    }
    if (count == 0 || p->run_count == 0) {
        return;
    }
    u32 first;
    u32 old = runs_covering(p, runs[0].base_offset, runs[count - 1].next_offset, &first);
    while (p->run_count + count - old > p->run_cap) {
        bool grown = runs_grow(p, true);
        assert(grown);
        (void)grown;
    }
    u64 gone = 0;
    for (u32 i = first; i < first + old; i++) {
        gone += p->runs[i].bytes;
        object_run_gone(p->log, &p->runs[i]);
    }
    memmove(&p->runs[first + count], &p->runs[first + old],
            (p->run_count - first - old) * sizeof(p->runs[0]));
    i64 so_far = first > 0 ? p->runs[first - 1].max_timestamp_so_far : INT64_MIN;
    u64 added = 0;
    for (u32 i = 0; i < count; i++) {
        struct run r = run_of_pack(&runs[i], place);
        so_far = MAX(so_far, r.max_timestamp_so_far);
        r.max_timestamp_so_far = so_far;
        p->runs[first + i] = r;
        object_run_added(p->log, &r);
        added += r.bytes;
    }
    /* Not the same where the pack's first run reaches below the start of the log: what was dropped
       meanwhile is in it. */
    p->bytes += added - gone;
    p->log->bytes += added - gone;
    p->run_count += count - old;
    p->first_open_run += count - old;
    p->log->index_entries += count;
    p->log->index_entries -= old;
    runs_shrink(p);
}

/* The timestamps of later runs are of all before them, too. */
static void timestamps_follow(struct run *runs, u32 from, u32 count)
{
    for (u32 i = from; i < count && runs[i].max_timestamp_so_far < runs[i - 1].max_timestamp_so_far;
         i++) {
        runs[i].max_timestamp_so_far = runs[i - 1].max_timestamp_so_far;
    }
}

void index_prepend(struct partition *p, struct run *runs, u32 count)
{
    assert(count > 0);
    struct log *l = p->log;
    u32 total = count + p->run_count;
    u32 cap = cap_for(total);
    (void)index_charge(l, (u64)cap * sizeof(runs[0]), true);
    index_release(l, (u64)p->run_cap * sizeof(p->runs[0]));
    runs = mem_resize(runs, cap * sizeof(runs[0]));
    if (p->run_count > 0) {
        memcpy(&runs[count], p->runs, p->run_count * sizeof(runs[0]));
    }
    timestamps_follow(runs, count, total);
    mem_free(p->runs);
    p->runs = runs;
    p->run_cap = cap;
    p->run_count = total;
    p->first_open_run += count;
    l->index_entries += count;
}

u64 index_next_offset(const struct partition *p, u32 index)
{
    assert(index < p->run_count);
    return index + 1 < p->run_count ? p->runs[index + 1].base_offset : p->end_offset;
}

u32 index_find(const struct partition *p, u64 offset)
{
    assert(p->run_count > 0);
    assert(offset >= p->runs[0].base_offset);
    assert(offset < p->end_offset);
    u32 low = 0; /* base_offset <= offset */
    u32 high = p->run_count;
    /* Most readers are at the tail. */
    for (u32 step = 1; step < high && high == p->run_count; step *= 4) {
        if (p->runs[p->run_count - step].base_offset <= offset) {
            low = p->run_count - step;
            break;
        }
    }
    while (high - low > 1) {
        u32 middle = low + (high - low) / 2;
        if (p->runs[middle].base_offset <= offset) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return low;
}

u32 index_find_range(const struct partition *p, const struct log_range *range)
{
    u64 place = range_place(p->log, range);
    bool there = p->run_count > 0 && range->offset >= p->runs[0].base_offset &&
                 range->offset < p->end_offset && place != LOG_NO_PLACE;
    u32 i = there ? index_find(p, range->offset) : p->run_count;
    for (; i < p->run_count && p->runs[i].place == place; i++) {
        const struct run *r = &p->runs[i];
        if (range->pos >= r->pos && range->pos - r->pos < r->bytes) {
            return i;
        }
    }
    return p->run_count;
}

u32 index_find_timestamp(const struct partition *p, i64 target)
{
    u32 low = 0;
    u32 high = p->run_count;
    while (low < high) {
        u32 middle = low + (high - low) / 2;
        if (p->runs[middle].max_timestamp_so_far < target) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* ---- leader epochs --------------------------------------------------------------------------- */

static void older_epoch_push(struct partition *p)
{
    if (p->older_epoch_count == p->older_epoch_cap) {
        p->older_epoch_cap = MAX(2 * p->older_epoch_cap, (u32)EPOCHS_MIN);
        p->older_epochs =
            mem_resize(p->older_epochs, p->older_epoch_cap * sizeof(p->older_epochs[0]));
    }
    p->older_epochs[p->older_epoch_count] =
        (struct epoch_start){p->leader_epoch_start, p->leader_epoch};
    p->older_epoch_count++;
}

/* An epoch in which nothing was appended leaves no trace once there is a later one: a partition
   that is never written to may see any number of restarts. */
void epoch_assign(struct partition *p, i32 leader_epoch, u64 start_offset)
{
    if (leader_epoch <= p->leader_epoch) {
        return;
    }
    assert(p->leader_epoch < 0 || start_offset >= p->leader_epoch_start);
    if (p->leader_epoch >= 0 && p->leader_epoch_start < start_offset) {
        older_epoch_push(p);
    }
    p->leader_epoch = leader_epoch;
    p->leader_epoch_start = start_offset;
}

void epochs_prepend(struct partition *p, const struct run *runs, u32 count)
{
    u32 known = p->older_epoch_count;
    struct epoch_start *later = p->older_epochs;
    struct epoch_start last = {p->leader_epoch_start, p->leader_epoch};
    p->older_epochs = NULL;
    p->older_epoch_count = p->older_epoch_cap = 0;
    p->leader_epoch = -1;
    for (u32 i = 0; i < count; i++) {
        epoch_assign(p, runs[i].leader_epoch, runs[i].base_offset);
    }
    for (u32 i = 0; i < known; i++) {
        epoch_assign(p, later[i].leader_epoch, later[i].start_offset);
    }
    epoch_assign(p, last.leader_epoch, last.start_offset);
    mem_free(later);
}

/* [LeaderEpochFileCache] An epoch that ended below the start is forgotten, the one that holds it
   begins there. */
void epochs_drop_front(struct partition *p, u64 start_offset)
{
    if (p->leader_epoch_start <= start_offset) {
        p->leader_epoch_start = start_offset;
        p->older_epoch_count = 0;
        return;
    }
    u32 gone = 0;
    while (gone + 1 < p->older_epoch_count &&
           p->older_epochs[gone + 1].start_offset <= start_offset) {
        gone++;
    }
    if (p->older_epoch_count == 0 || p->older_epochs[0].start_offset > start_offset) {
        return;
    }
    p->older_epoch_count -= gone;
    memmove(p->older_epochs, p->older_epochs + gone,
            p->older_epoch_count * sizeof(p->older_epochs[0]));
    p->older_epochs[0].start_offset = start_offset;
}

i32 partition_epoch_at(const struct partition *p, u64 offset)
{
    if (offset >= p->leader_epoch_start || p->older_epoch_count == 0) {
        return p->leader_epoch;
    }
    u32 low = 0;
    u32 high = p->older_epoch_count;
    while (high - low > 1) {
        u32 middle = low + (high - low) / 2;
        if (p->older_epochs[middle].start_offset <= offset) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return p->older_epochs[low].leader_epoch;
}

/* [LeaderEpochFileCache, OffsetForLeaderEpoch] */
void partition_end_offset_for_epoch(const struct partition *p, i32 asked, i32 *epoch,
                                    i64 *end_offset)
{
    *epoch = -1;
    *end_offset = -1;
    if (asked == -1 || asked > p->leader_epoch) {
        return;
    }
    if (asked == p->leader_epoch) {
        *epoch = asked;
        *end_offset = (i64)p->end_offset;
        return;
    }
    u32 after = 0; /* first known epoch above the one asked for */
    while (after < p->older_epoch_count && p->older_epochs[after].leader_epoch <= asked) {
        after++;
    }
    u64 end =
        after < p->older_epoch_count ? p->older_epochs[after].start_offset : p->leader_epoch_start;
    *epoch = after > 0 ? p->older_epochs[after - 1].leader_epoch : asked;
    *end_offset = (i64)end;
}

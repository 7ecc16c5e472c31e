/* The ledger (check.h): takes what clients were told and hands it to every promise. */
#include "sim/check.h"

#include <stdio.h>
#include <string.h>

static const struct check_row *const checks[] = {&check_lost, &check_twice, &check_order,
                                                 &check_watermark, &check_start};

/* ---- the ledger ------------------------------------------------------------------------------ */

void ledger_init(struct ledger *l, struct world *w)
{
    *l = (struct ledger){.world = w};
    list_init(&l->topics);
    list_init(&l->authors);
    decompressor_init(&l->scratch, NULL);
    content_init(&l->made);
    content_init(&l->expected);
}

static void topic_free(struct ledger_topic *t)
{
    for (u32 i = 0; i < t->partition_count; i++) {
        mem_free(t->partitions[i].slots);
    }
    mem_free(t->partitions);
    list_remove(&t->node);
    mem_free(t);
}

void ledger_fini(struct ledger *l)
{
    LIST_EACH (&l->topics, n) {
        topic_free(CONTAINER_OF(n, struct ledger_topic, node));
    }
    LIST_EACH (&l->authors, n) {
        struct author *w = CONTAINER_OF(n, struct author, node);
        list_remove(n);
        mem_free(w->records);
        mem_free(w);
    }
    mem_free(l->authors_by_number);
    decompressor_fini(&l->scratch);
    content_fini(&l->made);
    content_fini(&l->expected);
}

struct ledger_topic *ledger_topic_add(struct ledger *l, const char *name, u32 partition_count)
{
    struct ledger_topic *t = mem_alloc(sizeof *t);
    (void)snprintf(t->name, sizeof t->name, "%s", name);
    t->partition_count = partition_count;
    t->retention_bytes = -1;
    t->retention_ms = -1;
    t->partitions = mem_alloc(partition_count * sizeof t->partitions[0]);
    for (u32 i = 0; i < partition_count; i++) {
        t->partitions[i] = (struct ledger_partition){.ledger = l, .topic = t, .index = (i32)i};
    }
    list_push_back(&l->topics, &t->node);
    return t;
}

struct author *ledger_author_add(struct ledger *l, struct ledger_partition *p, bool idempotent,
                                 bool one_at_a_time)
{
    struct author *w = mem_alloc(sizeof *w);
    w->number = l->author_count++;
    w->partition = p;
    w->idempotent = idempotent;
    w->one_at_a_time = one_at_a_time;
    list_push_back(&l->authors, &w->node);
    l->authors_by_number =
        mem_resize(l->authors_by_number, l->author_count * sizeof l->authors_by_number[0]);
    l->authors_by_number[w->number] = w;
    return w;
}

struct ledger_slot *ledger_slot(struct ledger_partition *p, u64 offset)
{
    if (offset >= p->slot_cap) {
        u64 cap = MAX(2 * p->slot_cap, MAX(offset + 1, (u64)256));
        p->slots = mem_resize(p->slots, cap * sizeof p->slots[0]);
        p->slot_cap = cap;
    }
    while (p->slot_count <= offset) {
        p->slots[p->slot_count++] = (struct ledger_slot){.timestamp = -1};
    }
    return &p->slots[offset];
}

/* ---- what happens ---------------------------------------------------------------------------- */

u32 ledger_record_add(struct author *w, i64 timestamp)
{
    if (w->count == w->cap) {
        w->cap = MAX(2 * w->cap, 64u);
        w->records = mem_resize(w->records, w->cap * sizeof w->records[0]);
    }
    w->records[w->count] =
        (struct ledger_record){.first_offset = LEDGER_UNKNOWN, .timestamp = timestamp};
    return w->count++;
}

void ledger_sent(struct author *w, u32 first, u32 count)
{
    assert(first + count <= w->count);
    for (u32 i = first; i < first + count; i++) {
        w->records[i].attempts++;
    }
}

void ledger_acked(struct author *w, u32 first, u32 count, i64 base_offset)
{
    struct ledger_partition *p = w->partition;
    struct ledger *l = p->ledger;
    assert(first + count <= w->count);
    if (base_offset < 0) {
        world_fail(l->world, "acknowledged is durable",
                   "%s-%d: a produce was acknowledged at offset %lld", p->topic->name, p->index,
                   (long long)base_offset);
        return;
    }
    l->acked_batches++;
    l->acked_records += count;
    for (u32 i = 0; i < count; i++) {
        for (u32 c = 0; c < ARRAY_LEN(checks); c++) {
            if (checks[c]->acked != NULL) {
                checks[c]->acked(w, first + i, (u64)base_offset + i);
            }
        }
        w->records[first + i].acked = true;
    }
    p->floor = MAX(p->floor, (u64)base_offset + count);
}

void ledger_watermark(struct ledger_partition *p, u64 floor_when_asked, i64 high_watermark,
                      const char *who)
{
    for (u32 c = 0; c < ARRAY_LEN(checks); c++) {
        if (checks[c]->told != NULL) {
            checks[c]->told(p, floor_when_asked, high_watermark, who);
        }
    }
    if (high_watermark >= 0) {
        p->floor = MAX(p->floor, (u64)high_watermark);
    }
}

static void record_read(struct ledger_partition *p, const struct record *r, const char *who)
{
    struct author *w;
    u32 record;
    if (!content_check(p, r, who, &w, &record)) {
        return;
    }
    p->ledger->read_records++;
    for (u32 c = 0; c < ARRAY_LEN(checks); c++) {
        if (checks[c]->read != NULL) {
            checks[c]->read(p, (u64)r->offset, w, record);
        }
    }
    struct ledger_slot *slot = ledger_slot(p, (u64)r->offset);
    if (slot->timestamp != -1 && slot->timestamp != r->timestamp) {
        world_fail(p->ledger->world, "content is unaltered",
                   "%s-%d offset %lld: time was %lld and is now %lld", p->topic->name, p->index,
                   (long long)r->offset, (long long)slot->timestamp, (long long)r->timestamp);
    }
    slot->timestamp = r->timestamp;
}

static bool batch_read(struct ledger_partition *p, const struct batch_view *b, const char *who)
{
    struct world *world = p->ledger->world;
    if (!batch_crc_ok(b)) {
        world_fail(world, "content is unaltered",
                   "%s-%d offset %lld: %s got a batch with a wrong CRC", p->topic->name, p->index,
                   (long long)b->base_offset, who);
        return false;
    }
    struct record_iter it;
    err_t e = record_iter_init(&it, b, &p->ledger->scratch, 64 * MIB);
    struct record r;
    i64 expected = b->base_offset;
    while (e == OK && record_iter_next(&it, &r)) {
        if (r.offset != expected) {
            world_fail(world, "content is unaltered",
                       "%s-%d: record at offset %lld where %lld was due", p->topic->name, p->index,
                       (long long)r.offset, (long long)expected);
            return false;
        }
        expected++;
        record_read(p, &r, who);
    }
    if (e != OK || it.err != OK || expected != batch_next_offset(b)) {
        world_fail(world, "content is unaltered", "%s-%d offset %lld: %s cannot read the batch: %s",
                   p->topic->name, p->index, (long long)b->base_offset, who,
                   err_name(e != OK ? e : it.err));
        return false;
    }
    return true;
}

/* Batches follow each other without a gap, and the first is the one that holds the offset asked
 * for.
 */
void ledger_read(struct ledger_partition *p, struct slice records, i64 high_watermark,
                 u64 *next_offset, const char *who)
{
    struct world *world = p->ledger->world;
    i64 asked = (i64)*next_offset;
    i64 next = -1;
    struct batch_view b;
    err_t e;
    while ((e = batch_view_next(&records, &b)) == OK && !world->failed) {
        bool holds = b.base_offset <= asked && batch_next_offset(&b) > asked;
        bool follows = next < 0 ? holds : b.base_offset == next;
        if (!follows) {
            world_fail(world, "no record is skipped",
                       "%s-%d: %s asked for offset %lld, got batches up to %lld and then one of "
                       "offsets %lld to %lld",
                       p->topic->name, p->index, who, (long long)asked, (long long)next,
                       (long long)b.base_offset, (long long)batch_last_offset(&b));
            return;
        }
        next = batch_next_offset(&b);
        if (next > high_watermark) {
            world_fail(world, "nothing is served above the high watermark",
                       "%s-%d: %s got offset %lld with high watermark %lld", p->topic->name,
                       p->index, who, (long long)batch_last_offset(&b), (long long)high_watermark);
            return;
        }
        if (!batch_read(p, &b, who)) {
            return;
        }
    }
    if (world->failed) {
        return;
    }
    if (e != ERR_NOT_FOUND) {
        world_fail(world, "content is unaltered",
                   "%s-%d: %s got bytes after offset %lld that are no batch: %s", p->topic->name,
                   p->index, who, (long long)next, err_name(e));
    } else if (next >= 0) {
        *next_offset = (u64)next;
    }
}

void ledger_start_told(struct ledger_partition *p, u64 start_when_asked, i64 start, const char *who)
{
    for (u32 c = 0; c < ARRAY_LEN(checks); c++) {
        if (checks[c]->started != NULL) {
            checks[c]->started(p, start_when_asked, start, who);
        }
    }
    if (start >= 0) {
        p->start = MAX(p->start, (u64)start);
    }
}

bool ledger_may_be_gone(const struct ledger_partition *p, u64 offset)
{
    return p->topic->limited || offset < p->start_max;
}

void ledger_final(struct ledger_partition *p, u64 start, u64 end)
{
    for (u32 c = 0; c < ARRAY_LEN(checks); c++) {
        if (checks[c]->final != NULL) {
            checks[c]->final(p, start, end);
        }
    }
}

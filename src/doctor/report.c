/* What the user reads: findings with place and price, and what every partition has. */
#include "doctor/doctor_private.h"

#include <stdarg.h>
#include <string.h>

enum { SPANS_PRINTED_MAX = 50, PARTITION_NAME_MAX = 300 };

static void partition_name(const struct doctor *d, u32 id, char out[PARTITION_NAME_MAX])
{
    const struct meta_topic *t;
    u32 index;
    if (meta_partition_owner(d->meta, id, &t, &index)) {
        (void)snprintf(out, PARTITION_NAME_MAX, "%.*s-%u", (int)t->name.len,
                       (const char *)t->name.ptr, index);
    } else {
        (void)snprintf(out, PARTITION_NAME_MAX, "partition id %u (of no topic)", id);
    }
}

/* ---- spans ----------------------------------------------------------------------------------- */

void spans_add(struct spans *s, u32 partition, u64 from, u64 to)
{
    for (u32 i = s->count; i > 0; i--) {
        struct span *last = &s->items[i - 1];
        if (last->partition == partition && last->to == from) {
            last->to = to;
            return;
        }
    }
    if (s->count == s->cap) {
        s->cap = MAX(2 * s->cap, 8u);
        s->items = mem_resize(s->items, s->cap * sizeof(*s->items));
    }
    s->items[s->count++] = (struct span){.partition = partition, .from = from, .to = to};
}

void spans_add_with_epoch(struct spans *s, const struct span *span)
{
    u32 count = s->count;
    spans_add(s, span->partition, span->from, span->to);
    if (s->count > count) {
        s->items[count].leader_epoch = span->leader_epoch;
    }
}

void spans_fini(struct spans *s)
{
    mem_free(s->items);
    *s = (struct spans){0};
}

/* ---- findings -------------------------------------------------------------------------------- */

void damage(struct doctor *d, const char *file, u64 at, const char *fmt, ...)
{
    d->damages++;
    fprintf(d->out, "damaged: %s, byte %llu: ", file, (unsigned long long)at);
    va_list args;
    va_start(args, fmt);
    vfprintf(d->out, fmt, args);
    va_end(args);
    fputc('\n', d->out);
}

void note(struct doctor *d, const char *fmt, ...)
{
    fputs("note: ", d->out);
    va_list args;
    va_start(args, fmt);
    vfprintf(d->out, fmt, args);
    va_end(args);
    fputc('\n', d->out);
}

void detail(struct doctor *d, const char *fmt, ...)
{
    fputs("  ", d->out);
    va_list args;
    va_start(args, fmt);
    vfprintf(d->out, fmt, args);
    va_end(args);
    fputc('\n', d->out);
}

void detail_spans(struct doctor *d, const char *what, const struct spans *s)
{
    for (u32 i = 0; i < s->count && i < SPANS_PRINTED_MAX; i++) {
        char name[PARTITION_NAME_MAX];
        partition_name(d, s->items[i].partition, name);
        detail(d, "%s: %s, offsets %llu to %llu", what, name, (unsigned long long)s->items[i].from,
               (unsigned long long)s->items[i].to - 1);
    }
    if (s->count > SPANS_PRINTED_MAX) {
        detail(d, "%s: and %u more ranges", what, s->count - SPANS_PRINTED_MAX);
    }
}

/* ---- partitions ------------------------------------------------------------------------------ */

/* Where it is, or would be. */
static u32 partition_index(const struct doctor *d, u32 id)
{
    u32 low = 0;
    u32 high = d->partition_count;
    while (low < high) {
        u32 middle = low + (high - low) / 2;
        if (d->partitions[middle].id < id) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

const struct seen_partition *partition_seen(const struct doctor *d, u32 id)
{
    u32 at = partition_index(d, id);
    return at < d->partition_count && d->partitions[at].id == id ? &d->partitions[at] : NULL;
}

static struct seen_partition *partition_of(struct doctor *d, u32 id, bool *made)
{
    u32 low = partition_index(d, id);
    *made = low == d->partition_count || d->partitions[low].id != id;
    if (*made) {
        if (d->partition_count == d->partition_cap) {
            d->partition_cap = MAX(2 * d->partition_cap, 64u);
            d->partitions = mem_resize(d->partitions, d->partition_cap * sizeof(*d->partitions));
        }
        memmove(&d->partitions[low + 1], &d->partitions[low],
                (d->partition_count - low) * sizeof(*d->partitions));
        d->partitions[low] = (struct seen_partition){.id = id};
        d->partition_count++;
    }
    return &d->partitions[low];
}

/* Is what lies before the span missing? Packs may have holes below the log start. */
static void gap_check(struct doctor *d, const char *file, u64 at, bool in_wal, const struct span *s,
                      const struct seen_partition *before, bool made)
{
    u64 expected = made ? 0 : before->next;
    const struct meta_topic *t;
    u32 index;
    u64 start = MAX(expected, meta_log_start(d->meta, s->partition));
    bool counts = in_wal || !d->packs_whole;
    if (s->from <= start || !counts || !meta_partition_owner(d->meta, s->partition, &t, &index)) {
        return;
    }
    struct spans gap = {0};
    spans_add(&gap, s->partition, start, s->from);
    damage(d, file, at, "records that should stand before this place are nowhere");
    detail_spans(d, "acknowledged records lost", &gap);
    spans_fini(&gap);
    const struct span missing = {s->partition, start, s->from, made ? 0 : before->leader_epoch};
    (void)gap_note(d, &missing, made ? -1 : (i64)before->place);
}

void partition_saw(struct doctor *d, const char *file, u64 at, bool in_wal, const struct span *s,
                   u64 batches, u64 bytes)
{
    bool made;
    struct seen_partition *p = partition_of(d, s->partition, &made);
    if (made) {
        p->first = s->from;
        p->next = s->from;
    }
    if (s->from < p->next) {
        struct spans twice = {0};
        spans_add(&twice, s->partition, s->from, MIN(p->next, s->to));
        damage(d, file, at, "offsets that were used before come again");
        detail_spans(d, "there twice", &twice);
        spans_fini(&twice);
    } else {
        gap_check(d, file, at, in_wal, s, p, made);
    }
    p->next = MAX(p->next, s->to);
    p->leader_epoch = s->leader_epoch;
    p->place = d->place;
    p->batches += batches;
    p->bytes += bytes;
}

void partitions_print(struct doctor *d)
{
    for (u32 i = 0; i < d->partition_count; i++) {
        const struct seen_partition *p = &d->partitions[i];
        char name[PARTITION_NAME_MAX];
        partition_name(d, p->id, name);
        fprintf(d->out, "%s: offsets %llu to %llu, log start %llu, %llu batches, %llu bytes\n",
                name, (unsigned long long)p->first, (unsigned long long)p->next - 1,
                (unsigned long long)meta_log_start(d->meta, p->id), (unsigned long long)p->batches,
                (unsigned long long)p->bytes);
    }
}

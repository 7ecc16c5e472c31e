/* Findings with place and price, and what every partition has, as events. */
#include "doctor/doctor_private.h"

#include <stdarg.h>
#include <string.h>

enum { TEXT_MAX = DOCTOR_PATH_MAX + 512 };

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

static void tell(struct doctor *d, const struct doctor_event *e)
{
    d->listener(d->user, e);
}

/* A text that is too long is cut; everything that can be long in one is bounded. */
#define TEXT_OF(text, fmt)                         \
    do {                                           \
        va_list args_;                             \
        va_start(args_, fmt);                      \
        vsnprintf(text, sizeof(text), fmt, args_); \
        va_end(args_);                             \
    } while (0)

static void finding(struct doctor *d, struct doctor_event e)
{
    d->findings++;
    e.finding = d->findings;
    e.finding_from = d->findings;
    tell(d, &e);
}

void damage(struct doctor *d, enum diag_code code, const char *file, u64 at, const char *fmt, ...)
{
    char text[TEXT_MAX];
    TEXT_OF(text, fmt);
    d->damages++;
    finding(d, (struct doctor_event){
                   .kind = DOCTOR_DAMAGE, .code = code, .file = file, .byte = at, .text = text});
}

void note(struct doctor *d, enum diag_code code, const char *file, u64 at, const char *fmt, ...)
{
    char text[TEXT_MAX];
    TEXT_OF(text, fmt);
    finding(d, (struct doctor_event){
                   .kind = DOCTOR_NOTE, .code = code, .file = file, .byte = at, .text = text});
}

void note_foreign(struct doctor *d, const char *folder, const char *name)
{
    char file[TEXT_MAX];
    (void)snprintf(file, sizeof(file), "%s%s", folder, name);
    note(d, MSG_check_foreign, file, DOCTOR_NO_BYTE, "%s is not Odradek's; nobody touches it",
         file);
}

void detail(struct doctor *d, enum doctor_event_kind kind, const char *fmt, ...)
{
    char text[TEXT_MAX];
    TEXT_OF(text, fmt);
    detail_of(d, d->findings, d->findings, kind, "%s", text);
}

void detail_of(struct doctor *d, u32 from, u32 to, enum doctor_event_kind kind, const char *fmt,
               ...)
{
    char text[TEXT_MAX];
    TEXT_OF(text, fmt);
    tell(d,
         &(struct doctor_event){.kind = kind, .finding_from = from, .finding = to, .text = text});
}

void detail_accept(struct doctor *d)
{
    detail(d, DOCTOR_NEXT,
           "restore the file from a backup, or run this with --repair --accept-loss");
}

void detail_failed(struct doctor *d, err_t e)
{
    detail(d, DOCTOR_NOT_REPAIRED, "%s. Check the disk and try again.", err_name(e));
}

static void owner_set(const struct doctor *d, u32 id, struct doctor_event *e)
{
    const struct meta_topic *t;
    e->partition = id;
    if (meta_partition_owner(d->meta, id, &t, &e->partition)) {
        e->topic = t->name;
    }
}

void detail_spans(struct doctor *d, const char *what, const struct spans *s)
{
    for (u32 i = 0; i < s->count; i++) {
        const struct span *span = &s->items[i];
        struct doctor_event e = {
            .kind = DOCTOR_RANGE,
            .finding_from = d->findings,
            .finding = d->findings,
            .text = what,
            .first = span->from,
            .last = span->to == DOCTOR_NO_END ? DOCTOR_NO_END : span->to - 1,
            .index = i,
            .count = s->count,
        };
        owner_set(d, span->partition, &e);
        tell(d, &e);
    }
}

void tell_numbers(struct doctor *d, enum doctor_event_kind kind, const char *file,
                  const struct doctor_number *numbers, u32 count, const char *fmt, ...)
{
    char text[TEXT_MAX];
    TEXT_OF(text, fmt);
    tell(d, &(struct doctor_event){.kind = kind,
                                   .file = file,
                                   .text = text,
                                   .byte = DOCTOR_NO_BYTE,
                                   .numbers = numbers,
                                   .number_count = count});
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
    damage(d, MSG_check_records_missing, file, at,
           "records that should stand before this place are nowhere");
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
        damage(d, MSG_check_records_twice, file, at, "offsets that were used before come again");
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

void partitions_tell(struct doctor *d)
{
    for (u32 i = 0; i < d->partition_count; i++) {
        const struct seen_partition *p = &d->partitions[i];
        const struct doctor_number numbers[] = {
            {"log_start", meta_log_start(d->meta, p->id)},
            {"batches", p->batches},
            {"bytes", p->bytes},
        };
        struct doctor_event e = {
            .kind = DOCTOR_PARTITION,
            .text = "",
            .first = p->first,
            .last = p->next - 1,
            .numbers = numbers,
            .number_count = ARRAY_LEN(numbers),
        };
        owner_set(d, p->id, &e);
        tell(d, &e);
    }
}

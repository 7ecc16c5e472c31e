/* What the user reads: the events of a check as lines. */
#include "doctor/doctor_private.h"

enum { RANGES_PRINTED_MAX = 50 };

static void partition_print(FILE *out, const struct doctor_event *e)
{
    if (e->topic.ptr != NULL) {
        fprintf(out, "%.*s-%u", (int)e->topic.len, (const char *)e->topic.ptr, e->partition);
    } else {
        fprintf(out, "partition id %u (of no topic)", e->partition);
    }
}

static void range_print(FILE *out, const struct doctor_event *e)
{
    bool open = e->last == DOCTOR_NO_END;
    if (e->index > RANGES_PRINTED_MAX) {
        return;
    }
    if (e->index == RANGES_PRINTED_MAX) {
        u32 more = e->count - RANGES_PRINTED_MAX;
        fprintf(out, "  %s: and %u more %s\n", e->text, more, open ? "partitions" : "ranges");
        return;
    }
    fprintf(out, "  %s: ", e->text);
    partition_print(out, e);
    if (open) {
        fprintf(out, ", from offset %llu on; new records get these offsets\n",
                (unsigned long long)e->first);
    } else {
        fprintf(out, ", offsets %llu to %llu\n", (unsigned long long)e->first,
                (unsigned long long)e->last);
    }
}

static u64 number(const struct doctor_event *e, u32 i)
{
    assert(i < e->number_count);
    return e->numbers[i].value;
}

void doctor_print(void *user, const struct doctor_event *e)
{
    FILE *out = user;
    switch (e->kind) {
    case DOCTOR_DAMAGE:
        fprintf(out, "damaged: %s, byte %llu: %s\n", e->file, (unsigned long long)e->byte, e->text);
        break;
    case DOCTOR_NOTE:
        fprintf(out, "note: %s\n", e->text);
        break;
    case DOCTOR_RANGE:
        range_print(out, e);
        break;
    case DOCTOR_PRICE:
    case DOCTOR_DETAIL:
        fprintf(out, "  %s\n", e->text);
        break;
    case DOCTOR_NEXT:
        fprintf(out, "  next: %s\n", e->text);
        break;
    case DOCTOR_REPAIRED:
        fprintf(out, "  repaired: %s\n", e->text);
        break;
    case DOCTOR_NOT_REPAIRED:
        fprintf(out, "  not repaired: %s\n", e->text);
        break;
    case DOCTOR_PARTITION:
        partition_print(out, e);
        fprintf(out, ": offsets %llu to %llu, log start %llu, %llu batches, %llu bytes\n",
                (unsigned long long)e->first, (unsigned long long)e->last,
                (unsigned long long)number(e, 0), (unsigned long long)number(e, 1),
                (unsigned long long)number(e, 2));
        break;
    case DOCTOR_DIRECTORY:
    case DOCTOR_METADATA:
    case DOCTOR_PACK:
    case DOCTOR_WAL:
    case DOCTOR_SUMMARY:
        fprintf(out, "%s\n", e->text);
        break;
    }
}

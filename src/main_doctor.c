/* `odradek doctor --data`: options to the check, its events to a tree for programs. The tree:

     directory, cluster, format
     metadata {generation, next_slot, topics, partitions, packs}
     damages, repaired, failures, metadata_whole; state: healthy, damaged or failed
     findings [{finding: damage or note, code, file, byte, what, price, details, help, next,
                repaired, repair, ranges [{what, topic, partition, first_offset, last_offset}]}]
     partitions [{topic, partition, first_offset, last_offset, log_start, batches, bytes}]
     packs [{file, bytes, runs, live_bytes}]
     wals [{wal, slots}, or {wal, extents, unfiled_slots, frame_bytes, sealed}] */
#include "main_doctor.h"

#include "cli/node.h"
#include "cli/progress.h"
#include "doctor/doctor.h"

#include <stdio.h>
#include <string.h>

#define PROGRESS_FROM_BYTES (64 * MIB)

/* What of a finding is added to later. */
struct tree_finding {
    struct node *ranges;
    struct node *price;
    struct node *details;
    struct node *next;
    struct node *repaired;
    struct node *repair;
};
struct tree {
    struct node *root; /* NULL: in words */
    struct progress progress;
    u64 unsaid_bytes; /* less than a MiB of what was read */
    bool large;       /* enough to be waited for */
    bool begun;
    struct node *packs;
    struct node *wals;
    struct node *partitions;
    struct node *findings;
    bool reported;
    struct tree_finding *items; /* by their number, which begins with 1 */
    u32 count;
    u32 cap;
};

static void text_add(struct node *parent, const char *key, const char *text)
{
    node_add_text(parent, key, arena_copy(parent->arena, slice_cstr(text)));
}

static void numbers_add(struct node *parent, const struct doctor_event *e)
{
    for (u32 i = 0; i < e->number_count; i++) {
        if (e->numbers[i].flag) {
            node_add_bool(parent, e->numbers[i].key, e->numbers[i].value != 0);
        } else {
            node_add_number(parent, e->numbers[i].key, (i64)e->numbers[i].value);
        }
    }
}

static void owner_add(struct node *parent, const struct doctor_event *e)
{
    node_add_text(parent, "topic", arena_copy(parent->arena, e->topic));
    if (e->topic.ptr != NULL) {
        node_add_number(parent, "partition", e->partition);
    } else {
        node_add_null(parent, "partition");
        node_add_number(parent, "partition_id", e->partition);
    }
    node_add_number(parent, "first_offset", (i64)e->first);
    if (e->last == DOCTOR_NO_END) {
        node_add_null(parent, "last_offset");
    } else {
        node_add_number(parent, "last_offset", (i64)e->last);
    }
}

static void overview_add(struct node *list, const struct doctor_event *e)
{
    struct node *one = node_add_object(list, NULL);
    if (e->file != NULL) {
        text_add(one, "file", e->file);
    }
    numbers_add(one, e);
}

static void finding_add(struct tree *t, const struct doctor_event *e)
{
    if (t->count == t->cap) {
        t->cap = MAX(2 * t->cap, 16u);
        t->items = mem_resize(t->items, t->cap * sizeof *t->items);
    }
    struct node *one = node_add_object(t->findings, NULL);
    node_add_cstr(one, "finding", e->kind == DOCTOR_DAMAGE ? "damage" : "note");
    const char *code = arena_printf(one->arena, "ODK-%04d", (int)e->code);
    const struct diag_row *row = diag_row_find(slice_cstr(code));
    assert(row != NULL);
    node_add_cstr(one, "code", code);
    text_add(one, "file", e->file);
    if (e->byte == DOCTOR_NO_BYTE) {
        node_add_null(one, "byte");
    } else {
        node_add_number(one, "byte", (i64)e->byte);
    }
    text_add(one, "what", e->text);
    struct tree_finding f;
    f.ranges = node_add_list(one, "ranges");
    f.price = node_add_list(one, "price");
    f.details = node_add_list(one, "details");
    node_add_cstr(one, "help", row->help[0] != 0 ? row->help : NULL);
    node_add_null(one, "next");
    f.next = one->last;
    node_add_bool(one, "repaired", false);
    f.repaired = one->last;
    node_add_null(one, "repair");
    f.repair = one->last;
    t->items[t->count++] = f;
    assert(t->count == e->finding);
}

/* A null that becomes a text. */
static void text_set(struct node *node, const char *text)
{
    node->kind = NODE_TEXT;
    node->text = arena_copy(node->arena, slice_cstr(text));
}

static void of_finding(struct tree_finding *f, const struct doctor_event *e)
{
    switch (e->kind) {
    case DOCTOR_RANGE: {
        struct node *range = node_add_object(f->ranges, NULL);
        text_add(range, "what", e->text);
        owner_add(range, e);
        break;
    }
    case DOCTOR_PRICE:
        text_add(f->price, NULL, e->text);
        break;
    case DOCTOR_DETAIL:
        text_add(f->details, NULL, e->text);
        break;
    case DOCTOR_NEXT:
        text_set(f->next, e->text);
        break;
    case DOCTOR_REPAIRED:
    case DOCTOR_NOT_REPAIRED:
        f->repaired->flag = e->kind == DOCTOR_REPAIRED;
        text_set(f->repair, e->text);
        break;
    default:
        break;
    }
}

static void event_say(void *user, const struct doctor_event *e)
{
    struct tree *t = user;
    progress_hide(&t->progress);
    doctor_print(stdout, e);
}

static void bytes_read(void *user, u64 bytes, u64 total_bytes)
{
    struct tree *t = user;
    if (!t->begun) {
        t->begun = true;
        t->large = total_bytes >= PROGRESS_FROM_BYTES;
        progress_begin(&t->progress, "MiB", (i64)(total_bytes / MIB), true);
    }
    t->unsaid_bytes += bytes;
    if (t->large && t->unsaid_bytes >= MIB) {
        fflush(stdout); /* what was found stands above the bar */
        progress_add(&t->progress, (i64)(t->unsaid_bytes / MIB));
        t->unsaid_bytes %= MIB;
    }
}

static void event_add(void *user, const struct doctor_event *e)
{
    struct tree *t = user;
    switch (e->kind) {
    case DOCTOR_DIRECTORY:
        t->reported = true;
        text_add(t->root, "directory", e->file);
        text_add(t->root, "cluster", e->cluster);
        numbers_add(t->root, e);
        break;
    case DOCTOR_METADATA:
        numbers_add(node_add_object(t->root, "metadata"), e);
        break;
    case DOCTOR_PACK:
        overview_add(t->packs, e);
        break;
    case DOCTOR_WAL:
        overview_add(t->wals, e);
        break;
    case DOCTOR_PARTITION: {
        struct node *one = node_add_object(t->partitions, NULL);
        owner_add(one, e);
        numbers_add(one, e);
        break;
    }
    case DOCTOR_DAMAGE:
    case DOCTOR_NOTE:
        t->reported |= e->kind == DOCTOR_DAMAGE;
        finding_add(t, e);
        break;
    case DOCTOR_SUMMARY:
        numbers_add(t->root, e);
        break;
    default:
        for (u32 i = e->finding_from; i <= e->finding; i++) {
            assert(i >= 1 && i <= t->count);
            of_finding(&t->items[i - 1], e);
        }
        break;
    }
}

/* What the whole is first, then the lists in the order in which somebody reads them. */
static void tree_finish(struct tree *t, int code)
{
    node_add_cstr(t->root, "state",
                  code == DOCTOR_HEALTHY   ? "healthy"
                  : code == DOCTOR_DAMAGED ? "damaged"
                                           : "failed");
    node_adopt(t->root, "findings", t->findings);
    node_adopt(t->root, "partitions", t->partitions);
    node_adopt(t->root, "packs", t->packs);
    node_adopt(t->root, "wals", t->wals);
}

int doctor_command(const struct cli_args *a, struct node *root)
{
    const char *directory = cli_value(a, "data");
    bool dry = cli_flag(a, "dry-run");
    struct doctor_options options = {
        .directory = directory != NULL ? directory : "odradek-data",
        .repair = cli_flag(a, "repair") && !dry,
        .accept_loss = cli_flag(a, "accept-loss") && !dry,
        .err = stderr,
    };
    struct tree t = {
        .root = root,
        .packs = node_list(a->arena),
        .wals = node_list(a->arena),
        .partitions = node_list(a->arena),
        .findings = node_list(a->arena),
    };
    options.listener = root != NULL ? event_add : event_say;
    options.read = bytes_read;
    options.user = &t;
    int code = doctor_run(&options);
    progress_end(&t.progress);
    if (t.reported) {
        tree_finish(&t, code);
    }
    mem_free(t.items);
    return code;
}

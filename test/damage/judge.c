/* A start on a directory that was damaged: through the doors of the broker, then every partition
   from its log start to its end.

   What must not be: a record that is not the one acknowledged at its offset; a record passed over
   without an error; a loss where the damage was not; a refusal without a reason, or for bytes that
   nobody needs. After a repair that gave up a pack, its offsets are passed over by batches without
   records, or not there when nothing follows. The last slots of a session that was killed cannot be
   told from writes that were torn by the crash (docs/internals/formats.md): a loss there is counted
   apart. */
#include "damage.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum { READ_BYTES = 64 * KIB };

const char *const outcome_names[OUTCOMES] = {"whole",     "repaired", "errors",
                                             "torn tail", "refused",  "WRONG"};

struct judging {
    const struct model *m;
    const struct image *mutated;
    const struct mutation *mutation;
    struct life life;
    struct verdict *v;
};

PRINTF_LIKE(2, 3) static void wrong(struct judging *j, const char *fmt, ...)
{
    if (j->v->outcome == OUTCOME_WRONG) {
        return; /* the first is told */
    }
    j->v->outcome = OUTCOME_WRONG;
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(j->v->why, sizeof(j->v->why), fmt, args);
    va_end(args);
}

/* ---- what was hit ---------------------------------------------------------------------------- */

static bool differs(const struct judging *j, const char *file, u64 from, u64 to)
{
    return image_differs(&j->m->stages[STAGES - 1], j->mutated, file, from, to);
}

static bool batch_hit(const struct judging *j, const struct model_partition *p,
                      const struct model_batch *b)
{
    for (u32 i = 0; i < j->m->spot_count; i++) {
        const struct spot *s = &j->m->spots[i];
        if (s->partition == p->id && s->base < b->next && b->base < s->next &&
            differs(j, s->file, s->from, s->to)) {
            return true;
        }
    }
    return false;
}

/* May the batch have gone with a torn tail? */
static bool batch_in_tail(const struct judging *j, const struct model_partition *p,
                          const struct model_batch *b)
{
    bool one_place = j->mutation->kind == MUTATION_FLIP || j->mutation->kind == MUTATION_ZERO;
    for (u32 i = 0; i < j->m->spot_count; i++) {
        const struct spot *s = &j->m->spots[i];
        bool here = s->last_wal && s->partition == p->id && s->base == b->base;
        if (here && j->mutation->cut) {
            return true; /* the price was told */
        }
        if (!here || (one_place && s->slot + FRAME_INFLIGHT_MAX < j->m->last_slots)) {
            continue;
        }
        for (u32 k = 0; k < j->m->region_count; k++) {
            const struct region *r = &j->m->regions[k];
            if (r->last_wal && r->slot <= s->slot && differs(j, r->file, r->from, r->to)) {
                return true;
            }
        }
    }
    return false;
}

/* Was it in a pack that the doctor was allowed to give up? */
static bool batch_given_up(const struct judging *j, const struct model_partition *p,
                           const struct model_batch *b)
{
    struct image *base = (struct image *)(uintptr_t)&j->m->stages[STAGES - 1];
    for (u32 i = 0; i < j->m->spot_count && j->mutation->cut; i++) {
        const struct spot *s = &j->m->spots[i];
        bool in_pack = s->kind == SPOT_RUN && s->partition == p->id && s->base < b->next &&
                       b->base < s->next && strncmp(s->file, "packs/", 6) == 0;
        if (in_pack && differs(j, s->file, 0, image_find(base, s->file)->size)) {
            return true;
        }
    }
    return false;
}

/* Something of what a start relies on, or a file that it does not know. */
static bool needed_hit(const struct judging *j)
{
    for (u32 i = 0; i < j->m->region_count; i++) {
        const struct region *r = &j->m->regions[i];
        if (differs(j, r->file, r->from, r->to)) {
            return true;
        }
    }
    for (u32 i = 0; i < j->mutated->count; i++) {
        const struct image_file *f = &j->mutated->files[i];
        const struct image *base = &j->m->stages[STAGES - 1];
        bool folder = strchr(f->name, '/') != NULL;
        if (folder && image_find((struct image *)(uintptr_t)base, f->name) == NULL) {
            return true;
        }
    }
    /* An extent that is made ahead has no frames, but must be as large as it is. */
    for (u32 i = 0; i < j->m->stages[STAGES - 1].count; i++) {
        const struct image_file *f = &j->m->stages[STAGES - 1].files[i];
        const struct image_file *now = image_find((struct image *)(uintptr_t)j->mutated, f->name);
        if (now == NULL || now->size != f->size) {
            return true;
        }
    }
    return false;
}

/* ---- reading --------------------------------------------------------------------------------- */

struct loading {
    struct log_load load;
    bool done;
    err_t result;
};

static void loaded(struct log_load *load, err_t result)
{
    struct loading *l = CONTAINER_OF(load, struct loading, load);
    l->done = true;
    l->result = result;
}

static const struct model_batch *batch_at(const struct model_partition *p, u64 offset)
{
    for (u32 i = 0; i < p->count; i++) {
        if (p->batches[i].next > offset) {
            return p->batches[i].base <= offset ? &p->batches[i] : NULL;
        }
    }
    return NULL;
}

/* A batch without records over offsets that were given up, from *offset on, which moves behind it.
   Returns its bytes; 0: it is something else. */
static u32 gap_pass(struct judging *j, const struct model_partition *p, const u8 *data, u32 bytes,
                    u64 *offset)
{
    struct batch_view v;
    bool empty = batch_view_parse(slice_of(data, bytes), &v) == OK && v.record_count == 0 &&
                 batch_crc_ok(&v) && (u64)v.base_offset == *offset;
    if (!empty) {
        return 0;
    }
    while (*offset < (u64)batch_next_offset(&v)) {
        const struct model_batch *b = batch_at(p, *offset);
        if (b == NULL || !batch_given_up(j, p, b)) {
            return 0;
        }
        j->v->lost++;
        *offset = b->next;
    }
    return *offset == (u64)batch_next_offset(&v) ? (u32)v.whole.len : 0;
}

/* Whole batches that were served, from *offset on; *offset moves behind them. */
static void served_check(struct judging *j, const struct model_partition *p, const u8 *data,
                         u32 bytes, u64 *offset)
{
    while (bytes > 0) {
        u32 gap = j->mutation->cut ? gap_pass(j, p, data, bytes, offset) : 0;
        if (gap > 0) {
            data += gap;
            bytes -= gap;
            continue;
        }
        const struct model_batch *b = batch_at(p, *offset);
        if (b == NULL || b->bytes > bytes || memcmp(b->data, data, b->bytes) != 0) {
            u32 same = 0;
            while (b != NULL && same < MIN(b->bytes, bytes) && b->data[same] == data[same]) {
                same++;
            }
            wrong(j, "%s-%d, offset %llu: served is not what was acknowledged, from byte %u on",
                  topic_names[p->topic], p->index, (unsigned long long)*offset, same);
            *offset = UINT64_MAX;
            return;
        }
        data += b->bytes;
        bytes -= b->bytes;
        *offset = b->next;
    }
}

/* A range may begin before *offset, with the run that has it. false: it could not be loaded;
 *offset is behind what could. */
static bool range_read(struct judging *j, const struct model_partition *p, struct log_range range,
                       u64 *offset)
{
    u64 at = range.offset;
    if (at > *offset || range.pos != range.first_pos) {
        wrong(j, "%s-%d, offset %llu: a read gives what is behind it", topic_names[p->topic],
              p->index, (unsigned long long)*offset);
        at = UINT64_MAX;
    }
    while (range.bytes > 0 && at != UINT64_MAX) {
        struct loading l = {.load = {.done = loaded, .range = range}};
        log_load(j->life.log, &l.load);
        for (u32 i = 0; !l.done; i++) {
            io_turn(j->life.io, i > 0);
        }
        if (l.result != OK) {
            if (l.result != ERR_CORRUPT && l.result != ERR_IO) {
                wrong(j, "%s-%d, offset %llu: a load ends with: %s", topic_names[p->topic],
                      p->index, (unsigned long long)*offset, err_name(l.result));
            }
            log_load_release(&l.load);
            return false;
        }
        served_check(j, p, l.load.data, l.load.bytes, &at);
        *offset = MAX(*offset, at);
        range.pos += l.load.bytes;
        range.bytes -= l.load.bytes;
        log_load_release(&l.load);
    }
    *offset = at == UINT64_MAX ? at : *offset;
    return true;
}

static void batch_lost(struct judging *j, const struct model_partition *p,
                       const struct model_batch *b, bool told)
{
    struct verdict *v = j->v;
    v->lost++;
    if (told && batch_hit(j, p, b)) {
        v->outcome = v->outcome == OUTCOME_WRONG ? OUTCOME_WRONG : OUTCOME_ERRORS;
    } else if (!told && (batch_in_tail(j, p, b) || batch_given_up(j, p, b))) {
        v->outcome = v->outcome == OUTCOME_WHOLE || v->outcome == OUTCOME_REPAIRED ? OUTCOME_TAIL
                                                                                   : v->outcome;
    } else {
        wrong(j, "%s-%d, offset %llu: %s", topic_names[p->topic], p->index,
              (unsigned long long)b->base,
              told ? "an error, but the damage is elsewhere" : "passed over without an error");
    }
}

/* What is at `offset` cannot be had; behind it. */
static u64 lost_pass(struct judging *j, const struct model_partition *p, u64 offset)
{
    const struct model_batch *b = batch_at(p, offset);
    if (b == NULL) {
        wrong(j, "%s-%d, offset %llu: an error where nothing was", topic_names[p->topic], p->index,
              (unsigned long long)offset);
        return UINT64_MAX;
    }
    batch_lost(j, p, b, true);
    return b->next;
}

static void partition_judge(struct judging *j, const struct model_partition *p)
{
    const struct meta_topic *t =
        meta_topic_by_name(cluster_meta(j->life.cluster), slice_cstr(topic_names[p->topic]));
    struct partition *partition =
        t != NULL ? cluster_partition(j->life.cluster, t, p->index) : NULL;
    if (partition == NULL) {
        wrong(j, "%s-%d is not there", topic_names[p->topic], p->index);
        return;
    }
    struct partition_info info;
    partition_info(partition, &info);
    if (info.log_start_offset != p->log_start) {
        wrong(j, "%s-%d begins at %llu instead of %llu", topic_names[p->topic], p->index,
              (unsigned long long)info.log_start_offset, (unsigned long long)p->log_start);
        return;
    }
    u64 offset = p->log_start;
    u64 cautious = 0; /* below it, batches are read one by one */
    while (offset < info.high_watermark) {
        struct partition_read r = {
            .offset = offset,
            .limit_offset = info.high_watermark,
            .bytes_max = offset < cautious ? 1 : READ_BYTES,
            .one_batch = true,
            .whole_runs = true,
        };
        err_t e = partition_read(partition, &r);
        if (e == ERR_CORRUPT) {
            offset = lost_pass(j, p, offset);
            continue;
        }
        if (e != OK || r.range_count == 0) {
            wrong(j, "%s-%d, offset %llu: a read ends with: %s", topic_names[p->topic], p->index,
                  (unsigned long long)offset, err_name(e));
            return;
        }
        bool good = true;
        u64 before = offset;
        for (u32 i = 0; i < r.range_count && good && offset != UINT64_MAX; i++) {
            good = range_read(j, p, r.ranges[i], &offset);
        }
        if (!good && offset == before && before < cautious) {
            offset = lost_pass(j, p, offset);
        } else if (!good) {
            cautious = r.next_offset;
        }
    }
    for (u32 i = 0; i < p->count && j->v->outcome != OUTCOME_WRONG; i++) {
        if (p->batches[i].base >= info.high_watermark) {
            batch_lost(j, p, &p->batches[i], false);
        }
    }
}

/* ---- the start ------------------------------------------------------------------------------- */

/* Both copies of the metadata go by one name, without its last letter; and when an extent is
   missing it is the one beside it that is named. */
static bool names(const char *reason, const char *file)
{
    char name[NAME_BYTES];
    const char *slash = strrchr(file, '/');
    (void)snprintf(name, sizeof(name), "%s", slash != NULL ? slash + 1 : file);
    if (strncmp(file, "meta/", 5) == 0 && strchr(name, '.') != NULL) {
        *strchr(name, '.') = '\0';
    }
    if (strncmp(file, "wal/", 4) == 0 && strchr(name, '-') != NULL) {
        *strchr(name, '-') = '\0';
    }
    char number[NAME_BYTES];
    (void)snprintf(number, sizeof(number), "WAL %llu", strtoull(name, NULL, 16));
    bool wal = strncmp(file, "wal/", 4) == 0 && strstr(reason, number) != NULL;
    return wal || (name[0] != '\0' && strstr(reason, name) != NULL);
}

static void refusal_judge(struct judging *j, err_t e)
{
    const char *reason = cluster_reason(j->life.cluster);
    j->v->outcome = OUTCOME_REFUSED;
    (void)snprintf(j->v->why, sizeof(j->v->why), "%s", reason);
    bool named = names(reason, j->mutation->files[0]) || names(reason, j->mutation->files[1]);
    if (!named) {
        wrong(j, "refused (%s) without naming the place: '%s'", err_name(e), reason);
    } else if (!needed_hit(j)) {
        wrong(j, "refused though nothing that is needed was hit: '%s'", reason);
    }
}

void judge(const struct model *m, const struct image *mutated, const struct mutation *mutation,
           const char *directory, struct verdict *v)
{
    struct judging j = {.m = m, .mutated = mutated, .mutation = mutation, .v = v};
    *v = (struct verdict){.outcome = OUTCOME_WHOLE};
    err_t e = life_start(&j.life, directory);
    if (e != OK) {
        refusal_judge(&j, e);
    } else {
        const char *reason = cluster_reason(j.life.cluster);
        v->outcome = reason[0] != '\0' ? OUTCOME_REPAIRED : OUTCOME_WHOLE;
        v->cut_off = strstr(home_reason(j.life.home), "and was made with") != NULL;
        (void)snprintf(v->why, sizeof(v->why), "%s", reason);
        for (u32 p = 0; p < PARTITIONS_MAX && v->outcome != OUTCOME_WRONG; p++) {
            partition_judge(&j, &m->partitions[p]);
        }
    }
    life_end(&j.life);
}

/* The directory that is damaged: made by the broker's own log and cluster in five lives.

     stage 0   topics; forty slots of records, of which the first extents became packs as they are
               and one more did of which the metadata do not know; ended as by kill -9
     stage 1   the rest of that in packs, that WAL retired; nothing new
     stage 2   ten slots more, ended the same way; one partition begins at a later offset
     stage 3   a part of those in a pack, the rest in the sealed WAL; some slots of a session that
               is still open
     the last  more slots of it, and it is drained or, as often, killed

   The earlier stages are where stale files come from. Filing goes by what is durable and a number
   of packs, so that the same seed gives the same directory. */
#include "damage.h"

#include "home/pack_check.h"
#include "log/log_private.h"

#include <stdlib.h>
#include <string.h>

enum {
    KEPT_EXTENTS = 2,
    STRETCH_BYTES = 10 * KIB,
    VALUE_BYTES_MAX = 300,
    TURNS_MAX = 1000000,
    NODE = 1,
    SNAPSHOT_EVERY = 5,
    UNIT = 4096,
};

const char *const topic_names[TOPICS] = {"orders", "clicks", "__consumer_offsets"};
static const u32 topic_partitions[TOPICS] = {3, 2, 1};

static void must(err_t e, const char *what)
{
    if (e != OK) {
        die("%s: %s", what, err_name(e));
    }
}

/* ---- a life ---------------------------------------------------------------------------------- */

static void life_fenced(void *user, err_t why)
{
    (void)user;
    (void)why; /* who waits for a write hears of it */
}

static void life_file(void *user, const struct log_filed *filed)
{
    struct life *l = user;
    if (l->packs >= l->packs_allowed && l->keeps) {
        l->one_more = true; /* and no answer: the process ends first */
        return;
    }
    if (l->packs >= l->packs_allowed) {
        log_file_committed(l->log, ERR_NO_SPACE);
        return;
    }
    l->packs++;
    cluster_file(l->cluster, filed);
}

err_t life_start(struct life *l, const char *directory)
{
    quota_init(&l->quota, "damage", NULL, 256 * MIB);
    const struct io_linux_params io = {.files = IO_FILES_AUTO};
    must(io_linux_create(&io, &l->io), "io");
    const struct home_disk_params disk = {.directory = directory, .extent_bytes = EXTENT_BYTES};
    l->home = home_disk_create(l->io, &disk);
    const struct log_params log = {
        .io = l->io,
        .home = l->home,
        .quota = &l->quota,
        .hot_bytes = 64 * MIB,
        .cold_bytes = 8 * MIB,
        .inflight_max = FRAME_INFLIGHT_MAX,
        .producer_expiry_ms = 86400000,
        .stretch_bytes = STRETCH_BYTES,
        .file_delay_ms = l->packs_allowed > 0 && !l->keeps ? 1 : 3600000,
        .keep_always = l->keeps,
        .keep_run_bytes = 340, /* some partitions stay where they are, others do not */
        .file = l->packs_allowed > 0 ? life_file : NULL,
        .fenced = life_fenced,
        .user = l,
    };
    l->log = log_create(&log);
    const struct cluster_params cluster = {
        .io = l->io,
        .home = l->home,
        .log = l->log,
        .node_id = NODE,
        .snapshot_every = SNAPSHOT_EVERY,
    };
    l->cluster = cluster_create(&cluster);
    return cluster_start(l->cluster);
}

/* What workers were given ends first: its memory is given back on the loop. */
void life_end(struct life *l)
{
    while (io_linux_busy(l->io)) {
        io_turn(l->io, true);
    }
    cluster_destroy(l->cluster);
    log_destroy(l->log);
    home_destroy(l->home);
    io_destroy(l->io);
}

static void turns_until(struct life *l, const bool *flag)
{
    for (u32 i = 0; !*flag; i++) {
        if (i == TURNS_MAX) {
            die("nothing comes of what was begun");
        }
        io_turn(l->io, i > 0);
    }
}

static void drained(void *user, err_t result)
{
    must(result, "drain");
    *(bool *)user = true;
}

void life_drain(struct life *l)
{
    bool done = false;
    cluster_drain(l->cluster, drained, &done);
    turns_until(l, &done);
}

/* ---- what is written ------------------------------------------------------------------------- */

struct command_wait {
    struct metalog_append append;
    bool done;
};

static void command_done(struct metalog_append *a, err_t result,
                         const struct meta_outcome *outcomes)
{
    must(result, "command");
    if (outcomes[0].kerr != KERR_NONE) {
        die("a command is refused: %d", outcomes[0].kerr);
    }
    CONTAINER_OF(a, struct command_wait, append)->done = true;
}

static void command_apply(struct life *l, const struct meta_command *c)
{
    struct command_wait w = {.append = {.done = command_done, .commands = c, .command_count = 1}};
    metalog_append(l->cluster, &w.append);
    turns_until(l, &w.done);
}

static void topics_make(struct model *m, struct life *l)
{
    u32 p = 0;
    for (u32 t = 0; t < TOPICS; t++) {
        struct meta_command c = {.kind = META_CREATE_TOPIC};
        c.create_topic.id.bytes[0] = (u8)(t + 1);
        c.create_topic.name = slice_cstr(topic_names[t]);
        c.create_topic.internal = topic_names[t][0] == '_';
        c.create_topic.replication_factor = 1;
        c.create_topic.partition_count = topic_partitions[t];
        command_apply(l, &c);
        const struct meta_topic *made =
            meta_topic_by_name(cluster_meta(l->cluster), c.create_topic.name);
        for (u32 i = 0; i < topic_partitions[t]; i++, p++) {
            m->partitions[p].topic = t;
            m->partitions[p].index = (i32)i;
            m->partitions[p].id = meta_partition_id(made, i);
        }
    }
}

static struct partition *partition_of(struct life *l, const struct model_partition *p)
{
    const struct meta_topic *t =
        meta_topic_by_name(cluster_meta(l->cluster), slice_cstr(topic_names[p->topic]));
    return cluster_partition(l->cluster, t, p->index);
}

/* One batch; the model has it as the broker must serve it: base offset and leader epoch filled in.
 */
static void batch_append(struct model *m, struct life *l, struct rng *rng, u64 *slot)
{
    struct model_partition *p = &m->partitions[rng_below(rng, PARTITIONS_MAX)];
    struct partition *partition = partition_of(l, p);
    struct batch_builder_options options = batch_builder_plain();
    struct batch_builder b;
    if (rng_chance(rng, 1, 3)) {
        options.producer_id = 1000 * (i64)p->id + (i64)p->count; /* each has one batch */
        options.producer_epoch = 0;
        options.base_sequence = 0;
    }
    batch_builder_init(&b, &options);
    u32 records = (u32)rng_between(rng, 1, 3);
    for (u32 i = 0; i < records; i++) {
        u8 value[VALUE_BYTES_MAX];
        u32 length = (u32)rng_between(rng, 1, VALUE_BYTES_MAX);
        rng_fill(rng, value, length);
        must(batch_builder_add(&b, 1700000000000 + (i64)p->count, (struct slice){0},
                               slice_of(value, length), NULL, 0),
             "a record");
    }
    struct slice bytes;
    struct batch_view view;
    struct append_result result;
    struct partition_info info;
    must(batch_builder_finish(&b, &bytes), "a batch");
    must(batch_view_parse(bytes, &view), "a batch's header");
    partition_info(partition, &info);
    if (!log_room(l->log, bytes.len) || p->count == BATCHES_MAX) {
        die("no room for a batch");
    }
    partition_append(partition, &view, false, &result);
    if (result.kerr != KERR_NONE || result.duplicate) {
        die("a batch is refused: %d", result.kerr);
    }
    struct model_batch *mb = &p->batches[p->count++];
    mb->base = result.base_offset;
    mb->next = result.base_offset + records;
    mb->bytes = (u32)bytes.len;
    mb->data = mem_alloc(bytes.len);
    memcpy(mb->data, bytes.ptr, bytes.len);
    store_be64(mb->data, mb->base);
    store_be32(mb->data + 12, (u32)info.leader_epoch);
    *slot = result.slot;
    batch_builder_fini(&b);
}

struct slot_wait {
    struct log_waiter waiter;
    bool done;
};

static void slot_done(struct log_waiter *w, err_t result)
{
    must(result, "a slot");
    CONTAINER_OF(w, struct slot_wait, waiter)->done = true;
}

/* So many slots, one after the other, of a few batches each. */
static void slots_append(struct model *m, struct life *l, struct rng *rng, u32 slots)
{
    for (u32 i = 0; i < slots; i++) {
        struct slot_wait w = {.waiter = {.done = slot_done}};
        u64 slot = 0;
        u32 batches = (u32)rng_between(rng, 2, 6);
        for (u32 k = 0; k < batches; k++) {
            batch_append(m, l, rng, &slot);
        }
        log_wait(l->log, &w.waiter, slot);
        turns_until(l, &w.done);
    }
}

/* Partition 0 begins in its middle. */
static void log_start_move(struct model *m, struct life *l)
{
    struct model_partition *p = &m->partitions[0];
    struct meta_log_start start = {.partition_id = p->id, .offset = p->batches[p->count / 2].base};
    const struct meta_command c = {.kind = META_SET_LOG_STARTS,
                                   .set_log_starts = {.starts = &start, .count = 1}};
    command_apply(l, &c);
    p->log_start = start.offset;
}

static void file_until(struct life *l, u64 wal, bool all)
{
    for (u32 i = 0; i < TURNS_MAX; i++) {
        io_turn(l->io, true);
        const struct meta *meta = cluster_meta(l->cluster);
        u32 open = 0;
        for (u32 k = 0; k < meta_session_count(meta); k++) {
            const struct meta_session *s = meta_session_at(meta, k);
            open += s->wal <= wal && !s->retired;
        }
        if (all ? open == 0 : l->packs == l->packs_allowed) {
            return;
        }
    }
    die("filing does not end");
}

/* Now that the extents are complete: what is filed goes by what is durable, not by when. */
static void life_keep(struct life *l)
{
    l->log->filing_start_bytes = 1;
    for (u32 i = 0; !l->one_more; i++) {
        if (i == TURNS_MAX) {
            die("nothing is kept");
        }
        log_wake(l->log, 0);
        io_turn(l->io, true);
    }
}

static void life_must(struct life *l, const char *directory)
{
    err_t e = life_start(l, directory);
    if (e != OK) {
        die("start: %s: %s", err_name(e), cluster_reason(l->cluster));
    }
}

/* ---- where everything is --------------------------------------------------------------------- */

static void name_copy(char to[NAME_BYTES], const char *file)
{
    size_t bytes = strlen(file) + 1;
    if (bytes > NAME_BYTES) {
        die("too long a name: %s", file);
    }
    memcpy(to, file, bytes);
}

static struct spot *spot_add(struct model *m, enum spot_kind kind, const char *file, u64 from,
                             u64 to)
{
    if (m->spot_count == SPOTS_MAX) {
        die("too many batches");
    }
    struct spot *s = &m->spots[m->spot_count++];
    *s = (struct spot){.kind = kind, .from = from, .to = to};
    name_copy(s->file, file);
    return s;
}

static struct region *region_add(struct model *m, const char *file, u64 from, u64 to)
{
    if (m->region_count == REGIONS_MAX) {
        die("too many regions");
    }
    struct region *r = &m->regions[m->region_count++];
    *r = (struct region){.from = from, .to = to};
    name_copy(r->file, file);
    return r;
}

static void wal_map(struct model *m, const struct image_file *f, u64 wal)
{
    for (u64 at = 0; at + UNIT <= f->size; at += UNIT) {
        struct frame_header h;
        const u8 *frame = f->bytes + at;
        if (frame_header_decode(frame, &h) != OK || h.wal != wal || h.total_bytes > f->size - at) {
            continue;
        }
        struct region *r = region_add(m, f->name, at, at + h.total_bytes);
        r->last_wal = wal == m->last_wal;
        r->slot = h.slot;
        if (wal == m->last_wal) {
            m->last_slots = MAX(m->last_slots, h.slot + 1);
        }
        for (u32 i = 0; i < h.index_count; i++) {
            struct frame_entry e;
            frame_entry_decode(frame + h.index_pos + (size_t)i * FRAME_ENTRY_BYTES, &e);
            struct spot *s = spot_add(m, SPOT_ENTRY, f->name, at + e.pos, at + e.pos + e.bytes);
            s->partition = e.partition;
            s->base = e.base_offset;
            s->next = e.base_offset + e.last_offset_delta + 1;
            s->last_wal = wal == m->last_wal;
            s->slot = h.slot;
        }
    }
}

static void pack_map(struct model *m, const struct image_file *f, struct uuid cluster, u64 id)
{
    struct pack_shape shape;
    const char *what;
    region_add(m, f->name, 0, f->size);
    m->kept += frame_header_decode(f->bytes, &(struct frame_header){0}) == OK;
    must(pack_check_ends(f->bytes, f->bytes + f->size - PACK_CHECK_TRAILER_BYTES, cluster, id,
                         f->size, &shape, &what),
         "a pack");
    struct pack_run *runs = mem_alloc(shape.run_count * sizeof(*runs) + 1);
    must(pack_check_runs(&shape, f->bytes + shape.runs_pos, runs), "a pack's index");
    for (u32 i = 0; i < shape.run_count; i++) {
        struct spot *s =
            spot_add(m, SPOT_RUN, f->name, runs[i].pos, (u64)runs[i].pos + runs[i].bytes);
        s->partition = runs[i].partition;
        s->base = runs[i].base_offset;
        s->next = runs[i].next_offset;
    }
    mem_free(runs);
}

static void map_make(struct model *m, struct uuid cluster)
{
    const struct image *image = &m->stages[STAGES - 1];
    for (u32 i = 0; i < image->count; i++) {
        const struct image_file *f = &image->files[i];
        if (strncmp(f->name, "wal/", 4) == 0) {
            wal_map(m, f, strtoull(f->name + 4, NULL, 16));
        } else if (strncmp(f->name, "packs/", 6) == 0) {
            pack_map(m, f, cluster, strtoull(f->name + 6, NULL, 16));
        } else if (strcmp(f->name, "lock") != 0) {
            region_add(m, f->name, 0, f->size);
        }
    }
}

/* ---- the five lives -------------------------------------------------------------------------- */

void model_build(struct model *m, const char *directory, struct rng *rng)
{
    struct life l = {.packs_allowed = KEPT_EXTENTS, .keeps = true};
    life_must(&l, directory);
    topics_make(m, &l);
    u64 first = meta_next_wal(cluster_meta(l.cluster)) - 1;
    slots_append(m, &l, rng, 40);
    life_keep(&l);
    life_end(&l);
    image_load(&m->stages[0], directory);

    l = (struct life){.packs_allowed = UINT32_MAX};
    life_must(&l, directory);
    file_until(&l, first, true);
    life_end(&l);
    image_load(&m->stages[1], directory);

    l = (struct life){0};
    life_must(&l, directory);
    slots_append(m, &l, rng, 10);
    log_start_move(m, &l);
    life_end(&l);

    l = (struct life){.packs_allowed = 1};
    life_must(&l, directory);
    file_until(&l, 0, false);
    life_end(&l);

    l = (struct life){0};
    life_must(&l, directory);
    m->last_wal = meta_next_wal(cluster_meta(l.cluster)) - 1;
    slots_append(m, &l, rng, 5);
    image_load(&m->stages[2], directory);
    slots_append(m, &l, rng, 15);
    m->drained = rng_chance(rng, 1, 2);
    if (m->drained) {
        life_drain(&l);
    }
    struct uuid cluster = cluster_id(l.cluster);
    life_end(&l);
    image_load(&m->stages[3], directory);
    map_make(m, cluster);
    if (m->kept == 0) {
        die("no extent was kept");
    }
}

void model_free(struct model *m)
{
    for (u32 i = 0; i < STAGES; i++) {
        image_free(&m->stages[i]);
    }
    for (u32 p = 0; p < PARTITIONS_MAX; p++) {
        for (u32 i = 0; i < m->partitions[p].count; i++) {
            mem_free(m->partitions[p].batches[i].data);
        }
    }
}

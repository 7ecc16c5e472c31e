/* The ends: what arrives of writes that were under way, what a power cut leaves of all that is not
   synced, older frames planted where a device may show them, and bits that rot. Called by run.c and
   crash_states.c between two lives, never while a broker runs. */
#include "sim/sim_disk_private.h"

#include <string.h>

/* ---- what arrives of a write ----------------------------------------------------------------- */

enum fate {
    FATE_DROPPED,
    FATE_KEPT,
    FATE_PREFIX,
    FATE_SUFFIX,
    FATE_SCATTERED,
    FATE_HOLE,
    FATE_COUNT
};

/* Wholly kept is common enough that of two writes often the later one is whole and the earlier is
 * not. */
static enum fate fate_choose(struct sim_disk *d)
{
    if (d->cut != SIM_CUT_RANDOM) {
        return d->cut == SIM_CUT_ALL ? FATE_KEPT : FATE_DROPPED;
    }
    return sim_below(d, 3) == 0 ? FATE_KEPT : (enum fate)sim_below(d, FATE_COUNT);
}

static bool sector_arrives(struct sim_disk *d, enum fate fate, u64 i, u64 cut, u64 cut_end)
{
    switch (fate) {
    case FATE_DROPPED:
        return false;
    case FATE_KEPT:
        return true;
    case FATE_PREFIX:
        return i < cut;
    case FATE_SUFFIX:
        return i >= cut;
    case FATE_SCATTERED:
        return sim_below(d, 2) == 0;
    case FATE_HOLE:
        return i < cut || i >= cut_end;
    case FATE_COUNT:
        break;
    }
    return false;
}

/* Decides and writes to the medium. Returns how many bytes from the start did not wholly arrive (0:
 * all did). */
static u64 fate_befall(struct sim_disk *d, struct sim_write *w)
{
    struct sim_inode *n = w->inode;
    u64 count = sim_sector_count(w);
    enum fate fate = fate_choose(d);
    u64 cut = sim_below(d, count + 1);
    u64 cut_end = cut + 1 + sim_below(d, 4);
    u64 arrived = 0;
    sim_inode_reserve(n, w->offset + w->bytes);
    for (u64 i = 0; i < count; i++) {
        if (!sector_arrives(d, fate, i, cut, cut_end)) {
            continue;
        }
        arrived++;
        if (w->arrived[i]) {
            continue;
        }
        u64 len;
        u64 at = sim_sector_part(w, i, &len);
        memcpy(n->durable + w->offset + at, w->data + at, len);
        n->durable_size = MAX(n->durable_size, w->offset + at + len);
    }
    d->stats.writes_dropped += arrived == 0;
    d->stats.writes_kept += arrived == count;
    d->stats.writes_torn += arrived != 0 && arrived != count;
    return arrived == count ? 0 : w->bytes;
}

void sim_disk_write_fail(struct sim_disk *d, struct sim_write *w)
{
    struct sim_inode *n = w->inode;
    (void)fate_befall(d, w);
    sim_inode_reserve(n, w->offset + w->bytes);
    /* Seen as it is on the medium: the real disk's cache does not keep what the medium refused. */
    memcpy(n->live + w->offset, n->durable + w->offset, w->bytes);
    n->live_size = MAX(n->live_size, n->durable_size);
    sim_write_free(w);
}

/* ---- older frames ---------------------------------------------------------------------------- */

static bool frame_at(const struct sim_inode *n, u64 at, u32 *bytes)
{
    if (memcmp(n->durable + at, "ODKFRAME", 8) != 0) {
        return false;
    }
    *bytes = load_le32(n->durable + at + FRAME_LENGTH_AT);
    return *bytes > 0 && *bytes % FRAME_UNIT == 0 && at + *bytes <= n->durable_size;
}

/* A frame that is on the medium somewhere; NULL after some tries. first: one that begins its file:
   what an earlier life of an extent left at its beginning began that life, too. */
static const u8 *frame_pick(struct sim_disk *d, bool first, u64 room, u32 *bytes)
{
    u32 count = 0;
    LIST_EACH (&d->inodes, node) {
        count += CONTAINER_OF(node, struct sim_inode, node)->tail > 0;
    }
    for (u32 tries = 0; tries < 16 && count > 0; tries++) {
        u64 pick = sim_below(d, count);
        LIST_EACH (&d->inodes, node) {
            struct sim_inode *n = CONTAINER_OF(node, struct sim_inode, node);
            if (n->tail == 0 || pick-- != 0) {
                continue;
            }
            u64 units = MIN(n->tail, n->durable_size) / FRAME_UNIT;
            u64 at = units == 0 || first ? 0 : sim_below(d, units) * FRAME_UNIT;
            if (units > 0 && frame_at(n, at, bytes) && *bytes <= room) {
                return n->durable + at;
            }
            break;
        }
    }
    return NULL;
}

static void plant_at(struct sim_disk *d, struct sim_inode *n, u64 at, u64 room)
{
    u32 bytes;
    const u8 *frame = at % FRAME_UNIT == 0 ? frame_pick(d, at == 0, room, &bytes) : NULL;
    if (frame == NULL) {
        return;
    }
    u8 *copy = mem_alloc(bytes);
    memcpy(copy, frame, bytes);
    memcpy(n->durable + at, copy, bytes);
    mem_free(copy);
    d->stats.frames_planted++;
}

static void plant_behind(struct sim_disk *d, struct sim_inode *n)
{
    if (n->kind != SIM_INODE_WAL || n->linked || n->tail == 0 || n->tail >= n->durable_size ||
        sim_below(d, 2) == 0) {
        return;
    }
    u64 units = (n->durable_size - n->tail) / FRAME_UNIT;
    u64 skip = sim_below(d, 2) == 0 || units == 0 ? 0 : sim_below(d, units);
    u64 at = ROUND_UP(n->tail, (u64)FRAME_UNIT) + skip * FRAME_UNIT;
    if (at < n->durable_size) {
        plant_at(d, n, at, n->durable_size - at);
    }
}

void sim_disk_plant(struct sim_disk *d, bool on)
{
    d->plant = on;
}

/* ---- ends ------------------------------------------------------------------------------------ */

/* Neighbours swap now and then: writes that nobody waited for arrive in any order. */
static void pending_shuffle(struct sim_disk *d, struct sim_inode *n)
{
    LIST_EACH (&n->pending, p) {
        if (p->next != &n->pending.head && sim_below(d, 4) == 0) {
            struct sim_write *w = CONTAINER_OF(p, struct sim_write, node);
            struct sim_write *after = CONTAINER_OF(p->next, struct sim_write, node);
            if (!w->resize && !after->resize) {
                struct list_node *next = p->next;
                list_remove(p);
                list_insert_between_(p, next, next->next);
            }
        }
    }
}

static u32 resize_count(const struct sim_inode *n)
{
    u32 count = 0;
    for (const struct list_node *p = n->pending.head.next; p != &n->pending.head; p = p->next) {
        count += CONTAINER_OF(p, const struct sim_write, node)->resize;
    }
    return count;
}

/* Sizes are the file system's own: they happen in order or not at all. */
static u64 resizes_kept_choose(struct sim_disk *d, const struct sim_inode *n)
{
    if (d->cut != SIM_CUT_RANDOM) {
        return d->cut == SIM_CUT_ALL ? resize_count(n) : 0;
    }
    return sim_below(d, resize_count(n) + 1);
}

static void file_power_cut(struct sim_disk *d, struct sim_inode *n)
{
    u64 resizes_kept = resizes_kept_choose(d, n);
    bool plants = d->plant && d->cut == SIM_CUT_RANDOM;
    if (d->cut == SIM_CUT_RANDOM) {
        pending_shuffle(d, n);
    }
    LIST_EACH (&n->pending, p) {
        struct sim_write *w = CONTAINER_OF(p, struct sim_write, node);
        if (w->resize) {
            if (resizes_kept > 0) {
                resizes_kept--;
                sim_inode_reserve(n, w->bytes);
                sim_durable_resize(n, w->bytes);
            }
        } else {
            bool under_way = w->under_way;
            u64 lost = fate_befall(d, w);
            if (plants && under_way && lost > 0 && w->offset < n->durable_size &&
                sim_below(d, 3) == 0) {
                plant_at(d, n, w->offset, MIN(lost, n->durable_size - w->offset));
            }
        }
        sim_write_free(w);
    }
    if (plants) {
        plant_behind(d, n);
    }
    if (n->cap > 0) {
        memset(n->durable + n->durable_size, 0, n->cap - n->durable_size);
        memcpy(n->live, n->durable, n->cap);
    }
    n->live_size = n->durable_size;
}

static void directory_power_cut(struct sim_disk *d, struct sim_inode *n)
{
    /* As a journal does it, or each on its own. */
    bool chance = d->cut == SIM_CUT_RANDOM;
    bool in_order = chance && sim_below(d, 2) == 0;
    bool stopped = false;
    LIST_EACH (&n->changes, node) {
        struct name_change *c = CONTAINER_OF(node, struct name_change, node);
        stopped = stopped || (in_order && sim_below(d, 3) == 0);
        bool kept = in_order ? !stopped : chance ? sim_below(d, 2) == 0 : d->cut == SIM_CUT_ALL;
        if (kept) {
            sim_names_apply(&n->durable_names, c);
        } else {
            d->stats.names_dropped++;
        }
        list_remove(node);
        mem_free(c);
    }
    sim_names_copy(&n->live_names, &n->durable_names);
}

static void mark_reached(struct sim_inode *n)
{
    n->reached = true;
    for (u32 i = 0; i < n->live_names.count; i++) {
        mark_reached(n->live_names.items[i].inode);
    }
    for (u32 i = 0; i < n->durable_names.count; i++) {
        if (!n->durable_names.items[i].inode->reached) {
            mark_reached(n->durable_names.items[i].inode);
        }
    }
    LIST_EACH (&n->changes, node) {
        CONTAINER_OF(node, struct name_change, node)->inode->reached = true;
    }
}

void sim_sweep(struct sim_disk *d)
{
    LIST_EACH (&d->inodes, node) {
        CONTAINER_OF(node, struct sim_inode, node)->reached = false;
    }
    mark_reached(d->root);
    LIST_EACH (&d->inodes, node) {
        struct sim_inode *n = CONTAINER_OF(node, struct sim_inode, node);
        if (!n->reached) {
            sim_inode_destroy(n);
        }
    }
}

/* What arrives is seen, but only in the disk's cache: a power cut later may still undo it. */
static void under_way_arrives(struct sim_disk *d, struct sim_write *w)
{
    struct sim_inode *n = w->inode;
    enum fate fate = fate_choose(d);
    u64 cut = sim_below(d, sim_sector_count(w) + 1);
    u64 cut_end = cut + 1 + sim_below(d, 4);
    sim_inode_reserve(n, w->offset + w->bytes);
    w->under_way = false;
    for (u64 i = 0; i < sim_sector_count(w); i++) {
        if (!sector_arrives(d, fate, i, cut, cut_end)) {
            w->arrived[i] = 1; /* never to be written */
            continue;
        }
        u64 len;
        u64 at = sim_sector_part(w, i, &len);
        memcpy(n->live + w->offset + at, w->data + at, len);
        n->live_size = MAX(n->live_size, w->offset + at + len);
    }
}

static bool has_write_under_way(const struct sim_inode *n)
{
    for (const struct list_node *p = n->pending.head.next; p != &n->pending.head; p = p->next) {
        if (CONTAINER_OF(p, const struct sim_write, node)->under_way) {
            return true;
        }
    }
    return false;
}

static void writes_arrive(struct sim_disk *d, struct sim_inode *n)
{
    n->locked_by = NULL;
    LIST_EACH (&n->pending, p) {
        struct sim_write *w = CONTAINER_OF(p, struct sim_write, node);
        if (w->under_way) {
            under_way_arrives(d, w);
        }
    }
}

bool sim_disk_process_end(struct sim_disk *d)
{
    bool late = false;
    bool may_be_late = sim_below(d, 2) == 0;
    LIST_EACH (&d->inodes, node) {
        struct sim_inode *n = CONTAINER_OF(node, struct sim_inode, node);
        if (may_be_late && n->locked_by != NULL && has_write_under_way(n)) {
            n->locked_by = n; /* nobody who could let go of it */
            late = true;
        } else {
            writes_arrive(d, n);
        }
    }
    sim_sweep(d);
    return late;
}

void sim_disk_late_arrive(struct sim_disk *d)
{
    LIST_EACH (&d->inodes, node) {
        struct sim_inode *n = CONTAINER_OF(node, struct sim_inode, node);
        if (n->locked_by == n) {
            writes_arrive(d, n);
        }
    }
}

bool sim_disk_unsynced(const struct sim_disk *d)
{
    for (const struct list_node *p = d->inodes.head.next; p != &d->inodes.head; p = p->next) {
        const struct sim_inode *n = CONTAINER_OF(p, const struct sim_inode, node);
        if (!list_empty(&n->pending) || !list_empty(&n->changes)) {
            return true;
        }
    }
    return false;
}

u64 sim_disk_version(const struct sim_disk *d)
{
    return d->version;
}

void sim_disk_power_cut_as(struct sim_disk *d, enum sim_cut cut)
{
    LIST_EACH (&d->inodes, node) {
        struct sim_inode *n = CONTAINER_OF(node, struct sim_inode, node);
        n->locked_by = NULL;
        d->cut = cut;
        if (cut == SIM_CUT_FILES) {
            d->cut = sim_below(d, 2) == 0 ? SIM_CUT_ALL : SIM_CUT_NONE;
        }
        if (n->directory) {
            directory_power_cut(d, n);
        } else {
            file_power_cut(d, n);
        }
    }
    d->cut = SIM_CUT_RANDOM;
    sim_sweep(d);
}

void sim_disk_power_cut(struct sim_disk *d)
{
    sim_disk_power_cut_as(d, SIM_CUT_RANDOM);
}

/* ---- bit rot --------------------------------------------------------------------------------- */

static u64 written_bytes(const struct sim_inode *n, bool packs)
{
    if (packs) {
        return n->kind == SIM_INODE_PACK ? n->durable_size : 0;
    }
    bool rots = n->kind == SIM_INODE_WAL || n->kind == SIM_INODE_MIRRORED;
    return rots ? MIN(n->tail, n->durable_size) : 0;
}

bool sim_disk_rot(struct sim_disk *d, bool packs, struct sim_rot *out)
{
    u64 total = 0;
    LIST_EACH (&d->inodes, node) {
        total += written_bytes(CONTAINER_OF(node, struct sim_inode, node), packs);
    }
    u64 at = total == 0 ? 0 : sim_below(d, total);
    LIST_EACH (&d->inodes, node) {
        struct sim_inode *n = CONTAINER_OF(node, struct sim_inode, node);
        if (at < written_bytes(n, packs)) {
            *out = (struct sim_rot){n->kind, n->number, at, (u8)(1u << sim_below(d, 8))};
            n->live[at] ^= out->bit;
            n->durable[at] ^= out->bit;
            return true;
        }
        at -= written_bytes(n, packs);
    }
    return false;
}

void sim_disk_unrot(struct sim_disk *d, const struct sim_rot *rot)
{
    LIST_EACH (&d->inodes, node) {
        struct sim_inode *n = CONTAINER_OF(node, struct sim_inode, node);
        if (n->number == rot->inode) {
            n->live[rot->offset] ^= rot->bit;
            n->durable[rot->offset] ^= rot->bit;
        }
    }
}

void sim_disk_stats(const struct sim_disk *d, struct sim_disk_stats *out)
{
    *out = d->stats;
}

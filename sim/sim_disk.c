/* Files, directories and what a power cut makes of them (sim_disk.h). */
#include "sim/sim_disk.h"

#include <stdio.h>
#include <string.h>

enum {
    NAME_MAX_BYTES = 64,
    FRAME_UNIT = 4096,
    FRAME_LENGTH_AT = 12, /* total_bytes in our frame's header */
};

struct names {
    struct named {
        char name[NAME_MAX_BYTES];
        struct sim_inode *inode;
    } * items;
    u32 count;
    u32 cap;
};

enum name_change_kind { NAME_ADD, NAME_REMOVE, NAME_RENAME };
struct name_change {
    struct list_node node;
    enum name_change_kind kind;
    char name[NAME_MAX_BYTES];
    char new_name[NAME_MAX_BYTES];
    struct sim_inode *inode;
};

struct sim_inode {
    struct list_node node; /* in the disk */
    u32 number;
    bool directory;
    bool reached; /* by the last sweep */
    bool linked;  /* has, or had, a second name: what is in it was synced under that */
    /* a file */
    u8 *live;
    u8 *durable;
    u64 cap; /* of both */
    u64 live_size;
    u64 durable_size;
    u64 tail; /* end of the last write by write_begin */
    enum sim_inode_kind kind;
    struct list pending;
    const void *locked_by;
    /* a directory */
    struct names live_names;
    struct names durable_names;
    struct list changes;
};

struct sim_disk {
    struct rng *rng;
    struct list inodes;
    struct sim_inode *root;
    u32 next_inode;
    u64 next_write;
    u64 version;
    bool plant;
    enum sim_cut cut; /* of the file or directory at hand */
    struct sim_disk_stats stats;
};

static u64 below(struct sim_disk *d, u64 bound)
{
    return rng_below(d->rng, bound);
}

static struct sim_inode *inode_create(struct sim_disk *d, bool directory)
{
    struct sim_inode *n = mem_alloc(sizeof *n);
    n->number = d->next_inode++;
    n->directory = directory;
    list_init(&n->pending);
    list_init(&n->changes);
    list_push_back(&d->inodes, &n->node);
    return n;
}

static void write_free(struct sim_write *w)
{
    list_remove(&w->node);
    mem_free(w->data);
    mem_free(w->arrived);
    mem_free(w);
}

static void inode_destroy(struct sim_inode *n)
{
    LIST_EACH (&n->pending, p) {
        write_free(CONTAINER_OF(p, struct sim_write, node));
    }
    LIST_EACH (&n->changes, c) {
        list_remove(c);
        mem_free(CONTAINER_OF(c, struct name_change, node));
    }
    mem_free(n->live);
    mem_free(n->durable);
    mem_free(n->live_names.items);
    mem_free(n->durable_names.items);
    list_remove(&n->node);
    mem_free(n);
}

struct sim_disk *sim_disk_create(struct rng *rng)
{
    struct sim_disk *d = mem_alloc(sizeof *d);
    d->rng = rng;
    list_init(&d->inodes);
    d->root = inode_create(d, true);
    return d;
}

void sim_disk_destroy(struct sim_disk *d)
{
    LIST_EACH (&d->inodes, n) {
        inode_destroy(CONTAINER_OF(n, struct sim_inode, node));
    }
    mem_free(d);
}

/* ---- names ----------------------------------------------------------------------------------- */

static struct named *names_find(const struct names *names, const char *name)
{
    for (u32 i = 0; i < names->count; i++) {
        if (strcmp(names->items[i].name, name) == 0) {
            return &names->items[i];
        }
    }
    return NULL;
}

static void names_remove(struct names *names, const char *name)
{
    struct named *at = names_find(names, name);
    if (at != NULL) {
        u32 index = (u32)(at - names->items);
        memmove(at, at + 1, (names->count - index - 1) * sizeof *at);
        names->count--;
    }
}

static void names_set(struct names *names, const char *name, struct sim_inode *inode)
{
    names_remove(names, name);
    if (names->count == names->cap) {
        names->cap = MAX(2 * names->cap, 16u);
        names->items = mem_resize(names->items, names->cap * sizeof names->items[0]);
    }
    struct named *at = &names->items[names->count++];
    *at = (struct named){.inode = inode};
    (void)snprintf(at->name, sizeof at->name, "%s", name);
}

static void names_copy(struct names *to, const struct names *from)
{
    to->count = 0;
    for (u32 i = 0; i < from->count; i++) {
        names_set(to, from->items[i].name, from->items[i].inode);
    }
}

static void names_apply(struct names *names, const struct name_change *c)
{
    if (c->kind != NAME_ADD) {
        names_remove(names, c->name);
    }
    if (c->kind != NAME_REMOVE) {
        names_set(names, c->kind == NAME_ADD ? c->name : c->new_name, c->inode);
    }
}

static void names_change(struct sim_disk *d, struct sim_inode *directory,
                         enum name_change_kind kind, const char *name, const char *new_name,
                         struct sim_inode *inode)
{
    struct name_change *c = mem_alloc(sizeof *c);
    d->version++;
    c->kind = kind;
    c->inode = inode;
    (void)snprintf(c->name, sizeof c->name, "%s", name);
    (void)snprintf(c->new_name, sizeof c->new_name, "%s", new_name);
    names_apply(&directory->live_names, c);
    list_push_back(&directory->changes, &c->node);
}

/* The directory that holds the last component, and that component ("" for the root itself). */
static err_t path_walk(struct sim_disk *d, const char *path, struct sim_inode **directory,
                       char last[NAME_MAX_BYTES])
{
    struct sim_inode *at = d->root;
    last[0] = '\0';
    while (*path != '\0') {
        size_t len = strcspn(path, "/");
        if (len == 0 || (len == 1 && path[0] == '.')) {
            path += len + (path[len] == '/');
            continue;
        }
        if (last[0] != '\0') {
            struct named *found = names_find(&at->live_names, last);
            if (found == NULL || !found->inode->directory) {
                return ERR_NOT_FOUND;
            }
            at = found->inode;
        }
        assert(len < NAME_MAX_BYTES);
        memcpy(last, path, len);
        last[len] = '\0';
        path += len;
    }
    *directory = at;
    return OK;
}

static err_t path_find(struct sim_disk *d, const char *path, struct sim_inode **out)
{
    struct sim_inode *directory;
    char last[NAME_MAX_BYTES];
    TRY(path_walk(d, path, &directory, last));
    if (last[0] == '\0') {
        *out = directory;
        return OK;
    }
    struct named *found = names_find(&directory->live_names, last);
    if (found == NULL) {
        return ERR_NOT_FOUND;
    }
    *out = found->inode;
    return OK;
}

err_t sim_disk_open(struct sim_disk *d, const char *path, bool create, bool exclusive,
                    struct sim_inode **out)
{
    struct sim_inode *directory;
    char last[NAME_MAX_BYTES];
    TRY(path_walk(d, path, &directory, last));
    struct named *found = names_find(&directory->live_names, last);
    if (found != NULL) {
        if (found->inode->directory) {
            return ERR_INVALID;
        }
        *out = found->inode;
        return exclusive ? ERR_EXISTS : OK;
    }
    if (!create) {
        return ERR_NOT_FOUND;
    }
    *out = inode_create(d, false);
    names_change(d, directory, NAME_ADD, last, "", *out);
    return OK;
}

err_t sim_disk_mkdir(struct sim_disk *d, const char *path)
{
    struct sim_inode *directory;
    char last[NAME_MAX_BYTES];
    TRY(path_walk(d, path, &directory, last));
    if (last[0] == '\0' || names_find(&directory->live_names, last) != NULL) {
        return ERR_EXISTS;
    }
    names_change(d, directory, NAME_ADD, last, "", inode_create(d, true));
    return OK;
}

err_t sim_disk_rename(struct sim_disk *d, const char *from, const char *to)
{
    struct sim_inode *from_directory;
    struct sim_inode *to_directory;
    char from_name[NAME_MAX_BYTES];
    char to_name[NAME_MAX_BYTES];
    TRY(path_walk(d, from, &from_directory, from_name));
    TRY(path_walk(d, to, &to_directory, to_name));
    assert(from_directory == to_directory);
    struct named *found = names_find(&from_directory->live_names, from_name);
    if (found == NULL) {
        return ERR_NOT_FOUND;
    }
    names_change(d, from_directory, NAME_RENAME, from_name, to_name, found->inode);
    return OK;
}

err_t sim_disk_link(struct sim_disk *d, const char *from, const char *to)
{
    struct sim_inode *inode;
    struct sim_inode *directory;
    char name[NAME_MAX_BYTES];
    TRY(path_find(d, from, &inode));
    TRY(path_walk(d, to, &directory, name));
    if (names_find(&directory->live_names, name) != NULL) {
        return ERR_EXISTS;
    }
    names_change(d, directory, NAME_ADD, name, "", inode);
    inode->linked = true;
    return OK;
}

err_t sim_disk_unlink(struct sim_disk *d, const char *path)
{
    struct sim_inode *directory;
    char last[NAME_MAX_BYTES];
    TRY(path_walk(d, path, &directory, last));
    struct named *found = names_find(&directory->live_names, last);
    if (found == NULL) {
        return ERR_NOT_FOUND;
    }
    names_change(d, directory, NAME_REMOVE, last, "", found->inode);
    return OK;
}

bool sim_disk_named(const struct sim_disk *d, const struct sim_inode *inode)
{
    LIST_EACH (&d->inodes, n) {
        const struct names *names = &CONTAINER_OF(n, struct sim_inode, node)->live_names;
        for (u32 i = 0; i < names->count; i++) {
            if (names->items[i].inode == inode) {
                return true;
            }
        }
    }
    return false;
}

err_t sim_disk_sync_dir(struct sim_disk *d, const char *path)
{
    struct sim_inode *directory;
    TRY(path_find(d, path, &directory));
    if (!directory->directory) {
        return ERR_INVALID;
    }
    LIST_EACH (&directory->changes, n) {
        struct name_change *c = CONTAINER_OF(n, struct name_change, node);
        names_apply(&directory->durable_names, c);
        d->version++;
        list_remove(n);
        mem_free(c);
    }
    return OK;
}

err_t sim_disk_list(struct sim_disk *d, const char *path,
                    void (*each)(void *user, const char *name), void *user)
{
    struct sim_inode *directory;
    TRY(path_find(d, path, &directory));
    if (!directory->directory) {
        return ERR_INVALID;
    }
    struct names copy = {0};
    names_copy(&copy, &directory->live_names);
    for (u32 left = copy.count; left > 0; left--) {
        u32 pick = (u32)below(d, left);
        each(user, copy.items[pick].name);
        copy.items[pick] = copy.items[left - 1];
    }
    mem_free(copy.items);
    return OK;
}

/* ---- content --------------------------------------------------------------------------------- */

u64 sim_inode_size(const struct sim_inode *n)
{
    return n->live_size;
}

void sim_inode_set_kind(struct sim_inode *n, enum sim_inode_kind kind)
{
    n->kind = kind;
}

u32 sim_inode_number(const struct sim_inode *n)
{
    return n->number;
}

static void inode_reserve(struct sim_inode *n, u64 bytes)
{
    if (bytes <= n->cap) {
        return;
    }
    u64 cap = MAX(ROUND_UP(bytes, (u64)SIM_SECTOR_BYTES), MIN(2 * n->cap, n->cap + MIB));
    n->live = mem_resize(n->live, cap);
    n->durable = mem_resize(n->durable, cap);
    memset(n->live + n->cap, 0, cap - n->cap);
    memset(n->durable + n->cap, 0, cap - n->cap);
    n->cap = cap;
}

void sim_disk_read(const struct sim_inode *n, void *out, size_t len, u64 offset, size_t *moved)
{
    u64 there = offset < n->live_size ? n->live_size - offset : 0;
    *moved = (size_t)MIN((u64)len, there);
    if (*moved > 0) {
        memcpy(out, n->live + offset, *moved);
    }
}

static u64 first_sector(const struct sim_write *w)
{
    return w->offset / SIM_SECTOR_BYTES;
}

static u64 sector_count(const struct sim_write *w)
{
    return w->bytes == 0 ? 0 : (w->offset + w->bytes - 1) / SIM_SECTOR_BYTES - first_sector(w) + 1;
}

/* The part of sector i of the write: offset in its data and length. */
static u64 sector_part(const struct sim_write *w, u64 i, u64 *len)
{
    u64 start = MAX((first_sector(w) + i) * SIM_SECTOR_BYTES, w->offset);
    u64 end = MIN((first_sector(w) + i + 1) * SIM_SECTOR_BYTES, w->offset + w->bytes);
    *len = end - start;
    return start - w->offset;
}

/* The medium takes whole sectors as they are seen; what earlier writes wanted there no longer
 * matters. */
static void persist(struct sim_inode *n, u64 offset, u64 len)
{
    if (len == 0) {
        return;
    }
    u64 first = offset / SIM_SECTOR_BYTES;
    u64 last = (offset + len - 1) / SIM_SECTOR_BYTES;
    u64 start = first * SIM_SECTOR_BYTES;
    memcpy(n->durable + start, n->live + start, (last - first + 1) * SIM_SECTOR_BYTES);
    n->durable_size = MAX(n->durable_size, MIN(offset + len, n->live_size));
    LIST_EACH (&n->pending, p) {
        struct sim_write *w = CONTAINER_OF(p, struct sim_write, node);
        if (w->resize || w->under_way) {
            continue;
        }
        for (u64 i = 0; i < sector_count(w); i++) {
            u64 sector = first_sector(w) + i;
            if (sector >= first && sector <= last) {
                w->arrived[i] = 1;
            }
        }
    }
}

static struct sim_write *write_create(struct sim_disk *d, struct sim_inode *n, const void *data,
                                      u64 len, u64 offset)
{
    assert(!n->directory);
    struct sim_write *w = mem_alloc(sizeof *w);
    d->version++;
    w->inode = n;
    w->number = d->next_write++;
    w->offset = offset;
    w->bytes = len;
    if (data != NULL && len > 0) {
        w->data = mem_alloc(len);
        memcpy(w->data, data, len);
        w->arrived = mem_alloc(sector_count(w));
    }
    list_push_back(&n->pending, &w->node);
    return w;
}

static void see(struct sim_write *w)
{
    struct sim_inode *n = w->inode;
    inode_reserve(n, w->offset + w->bytes);
    if (w->bytes > 0) {
        memcpy(n->live + w->offset, w->data, w->bytes);
    }
    n->live_size = MAX(n->live_size, w->offset + w->bytes);
    w->under_way = false;
}

void sim_disk_write(struct sim_disk *d, struct sim_inode *n, const void *data, size_t len,
                    u64 offset)
{
    see(write_create(d, n, data, len, offset));
}

struct sim_write *sim_disk_write_begin(struct sim_disk *d, struct sim_inode *n, const void *data,
                                       size_t len, u64 offset)
{
    struct sim_write *w = write_create(d, n, data, len, offset);
    w->under_way = true;
    n->tail = MAX(n->tail, offset + len);
    return w;
}

static void live_resize(struct sim_inode *n, u64 bytes)
{
    inode_reserve(n, bytes);
    if (bytes < n->live_size) {
        memset(n->live + bytes, 0, n->live_size - bytes);
    }
    n->live_size = bytes;
}

static void durable_resize(struct sim_inode *n, u64 bytes)
{
    if (bytes < n->durable_size) {
        memset(n->durable + bytes, 0, n->durable_size - bytes);
    }
    n->durable_size = bytes;
}

static void resizes_persist(struct sim_inode *n)
{
    LIST_EACH (&n->pending, p) {
        struct sim_write *w = CONTAINER_OF(p, struct sim_write, node);
        if (w->resize) {
            durable_resize(n, w->bytes);
            write_free(w);
        }
    }
}

void sim_disk_write_end(struct sim_disk *d, struct sim_write *w, bool durable)
{
    assert(w->under_way);
    d->version++;
    see(w);
    if (durable) {
        if (w->offset + w->bytes > w->inode->durable_size) {
            resizes_persist(
                w->inode); /* the new size goes with the bytes, and with it those before */
        }
        persist(w->inode, w->offset, w->bytes);
        write_free(w);
    }
}

void sim_disk_resize(struct sim_disk *d, struct sim_inode *n, u64 bytes)
{
    struct sim_write *w = write_create(d, n, NULL, bytes, 0);
    w->resize = true;
    live_resize(n, bytes);
}

u64 sim_disk_mark(const struct sim_disk *d)
{
    return d->next_write;
}

void sim_disk_sync_up_to(struct sim_disk *d, struct sim_inode *n, u64 mark)
{
    LIST_EACH (&n->pending, p) {
        struct sim_write *w = CONTAINER_OF(p, struct sim_write, node);
        if (w->under_way || w->number >= mark) {
            continue;
        }
        d->version++;
        if (w->resize) {
            durable_resize(n, w->bytes);
        } else {
            inode_reserve(n, w->offset + w->bytes);
            u64 end = MIN(w->offset + w->bytes, n->live_size);
            persist(n, w->offset, end > w->offset ? end - w->offset : 0);
        }
        write_free(w);
    }
}

void sim_disk_sync(struct sim_disk *d, struct sim_inode *n)
{
    sim_disk_sync_up_to(d, n, UINT64_MAX);
}

err_t sim_disk_lock(struct sim_inode *n, const void *holder)
{
    if (n->locked_by != NULL && n->locked_by != holder) {
        return ERR_LOCKED;
    }
    n->locked_by = holder;
    return OK;
}

void sim_disk_unlock(struct sim_inode *n, const void *holder)
{
    if (n->locked_by == holder) {
        n->locked_by = NULL;
    }
}

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
    return below(d, 3) == 0 ? FATE_KEPT : (enum fate)below(d, FATE_COUNT);
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
        return below(d, 2) == 0;
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
    u64 count = sector_count(w);
    enum fate fate = fate_choose(d);
    u64 cut = below(d, count + 1);
    u64 cut_end = cut + 1 + below(d, 4);
    u64 arrived = 0;
    inode_reserve(n, w->offset + w->bytes);
    for (u64 i = 0; i < count; i++) {
        if (!sector_arrives(d, fate, i, cut, cut_end)) {
            continue;
        }
        arrived++;
        if (w->arrived[i]) {
            continue;
        }
        u64 len;
        u64 at = sector_part(w, i, &len);
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
    inode_reserve(n, w->offset + w->bytes);
    /* Seen as it is on the medium: the real disk's cache does not keep what the medium refused. */
    memcpy(n->live + w->offset, n->durable + w->offset, w->bytes);
    n->live_size = MAX(n->live_size, n->durable_size);
    write_free(w);
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
        u64 pick = below(d, count);
        LIST_EACH (&d->inodes, node) {
            struct sim_inode *n = CONTAINER_OF(node, struct sim_inode, node);
            if (n->tail == 0 || pick-- != 0) {
                continue;
            }
            u64 units = MIN(n->tail, n->durable_size) / FRAME_UNIT;
            u64 at = units == 0 || first ? 0 : below(d, units) * FRAME_UNIT;
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
        below(d, 2) == 0) {
        return;
    }
    u64 units = (n->durable_size - n->tail) / FRAME_UNIT;
    u64 skip = below(d, 2) == 0 || units == 0 ? 0 : below(d, units);
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
        if (p->next != &n->pending.head && below(d, 4) == 0) {
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
    return below(d, resize_count(n) + 1);
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
                inode_reserve(n, w->bytes);
                durable_resize(n, w->bytes);
            }
        } else {
            bool under_way = w->under_way;
            u64 lost = fate_befall(d, w);
            if (plants && under_way && lost > 0 && w->offset < n->durable_size &&
                below(d, 3) == 0) {
                plant_at(d, n, w->offset, MIN(lost, n->durable_size - w->offset));
            }
        }
        write_free(w);
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
    bool in_order = chance && below(d, 2) == 0;
    bool stopped = false;
    LIST_EACH (&n->changes, node) {
        struct name_change *c = CONTAINER_OF(node, struct name_change, node);
        stopped = stopped || (in_order && below(d, 3) == 0);
        bool kept = in_order ? !stopped : chance ? below(d, 2) == 0 : d->cut == SIM_CUT_ALL;
        if (kept) {
            names_apply(&n->durable_names, c);
        } else {
            d->stats.names_dropped++;
        }
        list_remove(node);
        mem_free(c);
    }
    names_copy(&n->live_names, &n->durable_names);
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

static void sweep(struct sim_disk *d)
{
    LIST_EACH (&d->inodes, node) {
        CONTAINER_OF(node, struct sim_inode, node)->reached = false;
    }
    mark_reached(d->root);
    LIST_EACH (&d->inodes, node) {
        struct sim_inode *n = CONTAINER_OF(node, struct sim_inode, node);
        if (!n->reached) {
            inode_destroy(n);
        }
    }
}

/* What arrives is seen, but only in the disk's cache: a power cut later may still undo it. */
static void under_way_arrives(struct sim_disk *d, struct sim_write *w)
{
    struct sim_inode *n = w->inode;
    enum fate fate = fate_choose(d);
    u64 cut = below(d, sector_count(w) + 1);
    u64 cut_end = cut + 1 + below(d, 4);
    inode_reserve(n, w->offset + w->bytes);
    w->under_way = false;
    for (u64 i = 0; i < sector_count(w); i++) {
        if (!sector_arrives(d, fate, i, cut, cut_end)) {
            w->arrived[i] = 1; /* never to be written */
            continue;
        }
        u64 len;
        u64 at = sector_part(w, i, &len);
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
    bool may_be_late = below(d, 2) == 0;
    LIST_EACH (&d->inodes, node) {
        struct sim_inode *n = CONTAINER_OF(node, struct sim_inode, node);
        if (may_be_late && n->locked_by != NULL && has_write_under_way(n)) {
            n->locked_by = n; /* nobody who could let go of it */
            late = true;
        } else {
            writes_arrive(d, n);
        }
    }
    sweep(d);
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
            d->cut = below(d, 2) == 0 ? SIM_CUT_ALL : SIM_CUT_NONE;
        }
        if (n->directory) {
            directory_power_cut(d, n);
        } else {
            file_power_cut(d, n);
        }
    }
    d->cut = SIM_CUT_RANDOM;
    sweep(d);
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
    u64 at = total == 0 ? 0 : below(d, total);
    LIST_EACH (&d->inodes, node) {
        struct sim_inode *n = CONTAINER_OF(node, struct sim_inode, node);
        if (at < written_bytes(n, packs)) {
            *out = (struct sim_rot){n->kind, n->number, at, (u8)(1u << below(d, 8))};
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

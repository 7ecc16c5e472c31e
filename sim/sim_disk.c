/* Files and directories, as the broker sees them while it lives (sim_disk.h). */
#include "sim/sim_disk_private.h"

#include <stdio.h>
#include <string.h>

u64 sim_below(struct sim_disk *d, u64 bound)
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

void sim_write_free(struct sim_write *w)
{
    list_remove(&w->node);
    mem_free(w->data);
    mem_free(w->arrived);
    mem_free(w);
}

void sim_inode_destroy(struct sim_inode *n)
{
    LIST_EACH (&n->pending, p) {
        sim_write_free(CONTAINER_OF(p, struct sim_write, node));
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
        sim_inode_destroy(CONTAINER_OF(n, struct sim_inode, node));
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

void sim_names_copy(struct names *to, const struct names *from)
{
    to->count = 0;
    for (u32 i = 0; i < from->count; i++) {
        names_set(to, from->items[i].name, from->items[i].inode);
    }
}

void sim_names_apply(struct names *names, const struct name_change *c)
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
    sim_names_apply(&directory->live_names, c);
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
        sim_names_apply(&directory->durable_names, c);
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
    sim_names_copy(&copy, &directory->live_names);
    for (u32 left = copy.count; left > 0; left--) {
        u32 pick = (u32)sim_below(d, left);
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

void sim_inode_reserve(struct sim_inode *n, u64 bytes)
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

u64 sim_sector_count(const struct sim_write *w)
{
    return w->bytes == 0 ? 0 : (w->offset + w->bytes - 1) / SIM_SECTOR_BYTES - first_sector(w) + 1;
}

/* The part of sector i of the write: offset in its data and length. */
u64 sim_sector_part(const struct sim_write *w, u64 i, u64 *len)
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
        for (u64 i = 0; i < sim_sector_count(w); i++) {
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
        w->arrived = mem_alloc(sim_sector_count(w));
    }
    list_push_back(&n->pending, &w->node);
    return w;
}

static void see(struct sim_write *w)
{
    struct sim_inode *n = w->inode;
    sim_inode_reserve(n, w->offset + w->bytes);
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
    sim_inode_reserve(n, bytes);
    if (bytes < n->live_size) {
        memset(n->live + bytes, 0, n->live_size - bytes);
    }
    n->live_size = bytes;
}

void sim_durable_resize(struct sim_inode *n, u64 bytes)
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
            sim_durable_resize(n, w->bytes);
            sim_write_free(w);
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
        sim_write_free(w);
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
            sim_durable_resize(n, w->bytes);
        } else {
            sim_inode_reserve(n, w->offset + w->bytes);
            u64 end = MIN(w->offset + w->bytes, n->live_size);
            persist(n, w->offset, end > w->offset ? end - w->offset : 0);
        }
        sim_write_free(w);
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

/* Appending to the metadata log: what is given in one turn shares one slot; one slot is in flight at a time; commands are applied in
   order once it is durable, and then their authors are told. A snapshot every so many slots keeps replay short. */
#include "cluster/cluster_private.h"

#include <string.h>

enum { DECODE_BLOCK_BYTES = 4096 };

static void metalog_turn(struct io_hook *h);
static void slot_written(struct home_meta_write *w, err_t result);
static void snapshot_written(struct home_meta_write *w, err_t result);

void metalog_init(struct cluster *c)
{
    list_init(&c->queue);
    list_init(&c->writing);
    c->hook.run = metalog_turn;
}

static void drop_all(struct list *l)
{
    struct list_node *node;
    while ((node = list_pop_front(l)) != NULL) {
        struct pending_append *p = CONTAINER_OF(node, struct pending_append, node);
        if (p->append != NULL) {
            p->append->cluster = NULL;
        }
        mem_free(p);
    }
}

void metalog_fini(struct cluster *c)
{
    if (list_linked(&c->hook.node)) {
        io_hook_remove(&c->hook);
    }
    drop_all(&c->queue);
    drop_all(&c->writing);
    mem_free(c->payload);
}

/* ---- payloads ------------------------------------------------------------------------------------------ */

u8 *metalog_payload(const struct meta_command *commands, u32 count, size_t *bytes)
{
    *bytes = 4;
    for (u32 i = 0; i < count; i++) {
        *bytes += meta_command_size(&commands[i]);
    }
    u8 *payload = mem_alloc(*bytes);
    struct writer w = writer_of(payload, *bytes);
    write_le32(&w, count);
    for (u32 i = 0; i < count; i++) {
        meta_command_encode(&commands[i], &w);
    }
    assert(!w.failed && w.len == *bytes);
    return payload;
}

err_t metalog_apply_payload(struct cluster *c, struct slice payload, struct meta_outcome *outcomes, u32 outcome_count)
{
    struct arena arena;
    arena_init(&arena, NULL, DECODE_BLOCK_BYTES, 0);
    struct reader r = reader_of(payload);
    u32 count = read_le32(&r);
    err_t e = r.failed || (outcomes != NULL && count != outcome_count) ? ERR_CORRUPT : OK;
    for (u32 i = 0; i < count && e == OK; i++) {
        struct meta_command command;
        if (meta_command_decode(&r, &arena, &command) != OK) {
            e = ERR_CORRUPT;
            break;
        }
        struct meta_outcome ignored;
        cluster_apply(c, &command, outcomes == NULL ? &ignored : &outcomes[i]);
        arena_reset(&arena);
    }
    arena_fini(&arena);
    return e == OK && reader_left(&r) > 0 ? ERR_CORRUPT : e;
}

/* ---- append -------------------------------------------------------------------------------------------- */

void metalog_append(struct cluster *c, struct metalog_append *a)
{
    assert(a->command_count > 0);
    size_t bytes = 0;
    for (u32 i = 0; i < a->command_count; i++) {
        bytes += meta_command_size(&a->commands[i]);
    }
    struct pending_append *p = mem_alloc(sizeof *p + bytes);
    struct writer w = writer_of(p->encoded, bytes);
    for (u32 i = 0; i < a->command_count; i++) {
        meta_command_encode(&a->commands[i], &w);
    }
    assert(!w.failed && w.len == bytes);
    p->append = a;
    p->command_count = a->command_count;
    p->bytes = bytes;
    a->cluster = c;
    list_push_back(&c->queue, &p->node);
}

static void forget_in(struct list *l, const struct metalog_append *a)
{
    LIST_EACH(l, node) {
        struct pending_append *p = CONTAINER_OF(node, struct pending_append, node);
        if (p->append == a) {
            p->append = NULL;
        }
    }
}

void metalog_forget(struct metalog_append *a)
{
    if (a->cluster != NULL) {
        forget_in(&a->cluster->queue, a);
        forget_in(&a->cluster->writing, a);
        a->cluster = NULL;
    }
}

/* Everything queued into one slot. */
static void write_slot(struct cluster *c)
{
    size_t bytes = 4;
    u32 count = 0;
    LIST_EACH(&c->queue, node) {
        const struct pending_append *p = CONTAINER_OF(node, struct pending_append, node);
        bytes += p->bytes;
        count += p->command_count;
    }
    c->payload = mem_resize(c->payload, bytes);
    c->payload_bytes = bytes;
    struct writer w = writer_of(c->payload, bytes);
    write_le32(&w, count);
    LIST_EACH(&c->queue, node) {
        const struct pending_append *p = CONTAINER_OF(node, struct pending_append, node);
        write_bytes(&w, p->encoded, p->bytes);
    }
    assert(!w.failed && w.len == bytes);
    list_splice(&c->writing, &c->queue);
    c->write_active = true;
    c->write.done = slot_written;
    c->write.slot = c->next_slot;
    c->write.snapshot = false;
    c->write.payload = slice_of(c->payload, bytes);
    home_meta_write(c->params.home, &c->write);
}

static void write_snapshot(struct cluster *c)
{
    size_t bytes = meta_snapshot_size(c->meta);
    c->payload = mem_resize(c->payload, bytes);
    c->payload_bytes = bytes;
    struct writer w = writer_of(c->payload, bytes);
    meta_snapshot_write(c->meta, &w);
    assert(!w.failed && w.len == bytes);
    c->write_active = true;
    c->write.done = snapshot_written;
    c->write.slot = c->next_slot;
    c->write.snapshot = true;
    c->write.payload = slice_of(c->payload, bytes);
    home_meta_write(c->params.home, &c->write);
}

static void tell(struct pending_append *p, err_t result, const struct meta_outcome *outcomes)
{
    struct metalog_append *a = p->append;
    mem_free(p);
    if (a != NULL) {
        a->cluster = NULL;
        a->done(a, result, outcomes);
    }
}

static void slot_written(struct home_meta_write *w, err_t result)
{
    struct cluster *c = CONTAINER_OF(w, struct cluster, write);
    c->write_active = false;
    u32 count = 0;
    LIST_EACH(&c->writing, node) {
        count += CONTAINER_OF(node, struct pending_append, node)->command_count;
    }
    struct meta_outcome *outcomes = NULL;
    if (result == OK) {
        c->next_slot++;
        c->slots_since_snapshot++;
        outcomes = mem_alloc(count * sizeof *outcomes);
        err_t e = metalog_apply_payload(c, slice_of(c->payload, c->payload_bytes), outcomes, count);
        assert(e == OK); /* we encoded it ourselves */
    }
    struct list told;
    list_init(&told);
    list_splice(&told, &c->writing);
    struct list_node *node;
    const struct meta_outcome *at = outcomes;
    while ((node = list_pop_front(&told)) != NULL) {
        struct pending_append *p = CONTAINER_OF(node, struct pending_append, node);
        u32 commands = p->command_count;
        tell(p, result, at);
        at = at == NULL ? NULL : at + commands;
    }
    mem_free(outcomes);
    if (result == ERR_IO && c->params.fenced != NULL) {
        c->params.fenced(c->params.user, result);
    }
}

/* A snapshot that could not be written leaves the log as it was; the next try comes after as many slots again. */
static void snapshot_written(struct home_meta_write *w, err_t result)
{
    struct cluster *c = CONTAINER_OF(w, struct cluster, write);
    c->write_active = false;
    c->slots_since_snapshot = 0;
    if (result == ERR_IO && c->params.fenced != NULL) {
        c->params.fenced(c->params.user, result);
    }
}

/* Turn end: the next write, or the end of draining. */
static void metalog_turn(struct io_hook *h)
{
    struct cluster *c = CONTAINER_OF(h, struct cluster, hook);
    if (c->write_active) {
        return;
    }
    if (c->slots_since_snapshot >= c->params.snapshot_every) {
        write_snapshot(c);
    } else if (!list_empty(&c->queue)) {
        write_slot(c);
    } else if (c->drained != NULL) {
        void (*drained)(void *, err_t) = c->drained;
        c->drained = NULL;
        log_drain(c->params.log, drained, c->drained_user);
    }
}

void cluster_drain(struct cluster *c, void (*done)(void *user, err_t result), void *user)
{
    c->drained = done;
    c->drained_user = user;
}

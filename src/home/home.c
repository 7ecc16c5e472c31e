/* The door of home/: checks what callers promised, then hands on to the implementation. Owns
   nothing but the lists of completions that wait for the next turn (home_private.h).

   A write, happy path: home_wal_write -> implementation -> done(OK). How it fails: the home is
   fenced (this write's failure or an earlier one): ERR_IO; no space for another extent:
   ERR_NO_SPACE, the same slot may be tried again. */
#include "home/home_private.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { BUFFER_USUAL_BYTES = 1 * MIB };

void home_destroy(struct home *h)
{
    if (h == NULL) {
        return;
    }
    io_timer_stop(h->io, &h->soon);
    blob_pool_fini(&h->buffers);
    h->ops->destroy(h);
}

err_t home_open(struct home *h, struct uuid *cluster)
{
    assert(!h->opened || h->ops->reopens);
    h->replayed = false;
    h->wal_started = false;
    h->swept = (struct home_swept){0};
    TRY(h->ops->open(h, &h->cluster));
    assert(!uuid_is_zero(h->cluster));
    assert(h->block_bytes >= BLOB_ALIGN);
    h->opened = true;
    *cluster = h->cluster;
    return OK;
}

const char *home_reason(const struct home *h)
{
    return h->reason;
}

u32 home_block_bytes(const struct home *h)
{
    assert(h->opened);
    return h->block_bytes;
}

bool home_is_direct(const struct home *h)
{
    assert(h->opened);
    return h->direct;
}

bool home_fenced(const struct home *h)
{
    return h->fenced;
}

void home_fence_now(struct home *h, const char *why)
{
    home_fence(h, "%s", why);
}

/* ---- metadata -------------------------------------------------------------------------------- */

err_t home_meta_replay(struct home *h, const struct home_meta_visitor *v, u64 *next_slot)
{
    assert(h->opened);
    assert(!h->replayed);
    TRY(h->ops->meta_replay(h, v, next_slot));
    h->replayed = true;
    return OK;
}

void home_meta_write(struct home *h, struct home_meta_write *w)
{
    assert(h->replayed);
    assert(h->meta_writing == NULL);
    assert(w->done != NULL);
    h->meta_writing = w;
    if (h->fenced) {
        home_finish_meta_soon(h, ERR_IO);
        return;
    }
    h->ops->meta_write(h, w);
}

err_t home_meta_write_now(struct home *h, u64 slot, struct slice payload)
{
    assert(h->replayed);
    assert(h->meta_writing == NULL);
    if (h->fenced) {
        return ERR_IO;
    }
    return h->ops->meta_write_now(h, slot, payload);
}

/* ---- WAL ------------------------------------------------------------------------------------- */

err_t home_wal_start(struct home *h, u64 wal, u64 nonce)
{
    assert(h->replayed);
    assert(!h->wal_started);
    TRY(h->ops->wal_start(h, wal, nonce));
    h->wal_started = true;
    h->wal = wal;
    h->nonce = nonce;
    h->next_slot = 0;
    return OK;
}

/* The pair of the assertions in frame_seal: what reaches the medium is a frame, and it is this
 * slot's. */
static void assert_is_slot(const struct home *h, const struct home_write *w)
{
    struct frame_header header;
    err_t e = frame_header_decode(w->frame, &header);
    assert(e == OK);
    assert(header.total_bytes == w->bytes);
    assert(header.slot == w->slot);
    assert(header.wal == h->wal);
    assert(header.nonce == h->nonce);
    assert(uuid_eq(header.cluster, h->cluster));
    (void)e;
}

void home_wal_write(struct home *h, struct home_write *w)
{
    assert(h->wal_started);
    assert(w->done != NULL);
    assert(!list_linked(&w->node));
    assert(w->bytes > 0);
    assert(w->bytes % h->block_bytes == 0);
    assert((uintptr_t)w->frame % BLOB_ALIGN == 0);
    assert(w->slot == h->next_slot);
    assert_is_slot(h, w);
    h->next_slot++;
    w->private_[0] = (u64)(uintptr_t)h;
    if (h->fenced) {
        home_finish_write_soon(h, w, ERR_IO);
        return;
    }
    if (h->refusing) {
        home_finish_write_soon(h, w, ERR_NO_SPACE);
        return;
    }
    h->ops->wal_write(h, w);
}

size_t home_read_room(const struct home *h, u32 bytes)
{
    /* The range, its start rounded down and its end rounded up. */
    return ROUND_UP((size_t)bytes, (size_t)h->block_bytes) + h->block_bytes;
}

void home_wal_read(struct home *h, struct home_read *r)
{
    assert(h->opened);
    assert(r->done != NULL);
    assert(!list_linked(&r->node));
    assert(r->bytes > 0);
    assert(r->blob != NULL);
    assert(r->blob->cap >= home_read_room(h, r->bytes));
    r->private_[0] = (u64)(uintptr_t)h;
    h->ops->wal_read(h, r);
}

err_t home_wal_scan(struct home *h, u64 wal, u64 nonce, u64 trim, u64 sealed_length,
                    const struct home_wal_visitor *v, u64 *length)
{
    assert(h->replayed);
    assert(!h->wal_started);
    assert(v->slot != NULL);
    assert(trim <= sealed_length);
    return h->ops->wal_scan(h, wal, nonce, trim, sealed_length, v, length);
}

void home_wal_remove(struct home *h, u64 wal)
{
    assert(h->replayed);
    assert(!h->wal_started || wal != h->wal);
    (void)h->ops->wal_remove(h, wal);
}

struct home_swept home_swept(const struct home *h)
{
    return h->swept;
}

/* ---- filing ---------------------------------------------------------------------------------- */

err_t home_slots_find(struct home *h, u64 wal, u64 nonce, u64 from, u64 to, struct home_slots **out)
{
    assert(h->opened);
    assert(from < to);
    return h->ops->slots_find(h, wal, nonce, from, to, out);
}

err_t home_slots_read(struct home_slots *s, u64 slot, void *buf, size_t cap, u32 *bytes)
{
    assert((uintptr_t)buf % BLOB_ALIGN == 0);
    assert(cap % s->home->block_bytes == 0);
    return s->home->ops->slots_read(s, slot, buf, cap, bytes);
}

bool home_slots_keepable(struct home *h, u64 slot, u64 *to)
{
    assert(h->wal_started);
    return h->ops->slots_keepable != NULL && h->ops->slots_keepable(h, slot, to);
}

void home_slots_keep(struct home_slots *s, bool keep, u64 pack_id)
{
    s->home->ops->slots_keep(s, keep, pack_id);
}

u64 home_slots_position(const struct home_slots *s, u64 slot)
{
    return s->home->ops->slots_position(s, slot);
}

void home_slots_free(struct home_slots *s)
{
    if (s != NULL) {
        s->home->ops->slots_free(s);
    }
}

/* A fenced home changes nothing any more: what may go will be found by the next start. */
void home_wal_trim(struct home *h, u64 wal, u64 slot)
{
    assert(h->replayed);
    if (!h->fenced) {
        h->ops->wal_trim(h, wal, slot);
    }
}

void home_pack_read(struct home *h, struct home_read *r)
{
    assert(h->opened);
    assert(r->done != NULL);
    assert(!list_linked(&r->node));
    assert(r->bytes > 0);
    assert(r->slot == 0);
    assert(r->blob != NULL);
    assert(r->blob->cap >= home_read_room(h, r->bytes));
    r->private_[0] = (u64)(uintptr_t)h;
    h->ops->pack_read(h, r);
}

void home_pack_remove(struct home *h, u64 id)
{
    assert(h->replayed);
    if (!h->fenced) {
        h->ops->pack_remove(h, id);
    }
}

void home_pack_retire(struct home *h, struct home_pack pack)
{
    assert(h->replayed);
    if (h->fenced) {
        return;
    }
    if (h->ops->pack_retire != NULL) {
        h->ops->pack_retire(h, pack);
    } else {
        h->ops->pack_remove(h, pack.id);
    }
}

void home_usage(struct home *h, struct home_usage *out)
{
    *out = (struct home_usage){
        .wal_bytes = h->ops->wal_bytes(h),
        .pack_bytes = atomic_load(&h->pack_bytes),
        .free_bytes = atomic_load(&h->free_bytes),
    };
}

void home_space_look(struct home *h)
{
    if (h->ops->space_look != NULL && !h->fenced) {
        h->ops->space_look(h);
    }
}

/* ---- for the implementations ----------------------------------------------------------------- */

/* Everything that was ready when the timer fired; what becomes ready meanwhile waits for its own.
 */
static void deliver_ready(struct io_timer *t)
{
    struct home *h = CONTAINER_OF(t, struct home, soon);
    struct list writes;
    struct list reads;
    list_init(&writes);
    list_init(&reads);
    list_splice(&writes, &h->ready_writes);
    list_splice(&reads, &h->ready_reads);
    h->refusing = false;
    if (h->meta_ready) {
        home_finish_meta(h, h->meta_result);
    }
    for (struct list_node *n = list_pop_front(&writes); n != NULL; n = list_pop_front(&writes)) {
        struct home_write *w = CONTAINER_OF(n, struct home_write, node);
        err_t result = (err_t)w->private_[1];
        if (result == ERR_NO_SPACE) {
            /* Nothing of it was written: the caller may come again with the same slot. */
            h->next_slot = MIN(h->next_slot, w->slot);
        }
        w->done(w, result);
    }
    for (struct list_node *n = list_pop_front(&reads); n != NULL; n = list_pop_front(&reads)) {
        struct home_read *r = CONTAINER_OF(n, struct home_read, node);
        r->done(r, (err_t)r->private_[1]);
    }
}

void home_init(struct home *h, const struct home_ops *ops, struct io *io, struct quota *quota)
{
    blob_pool_init(&h->buffers, "home", quota, BUFFER_USUAL_BYTES, 0);
    atomic_init(&h->pack_bytes, 0);
    atomic_init(&h->free_bytes, UINT64_MAX);
    h->ops = ops;
    h->io = io;
    h->soon.fired = deliver_ready;
    list_init(&h->ready_writes);
    list_init(&h->ready_reads);
}

static void wake_soon(struct home *h)
{
    /* One nanosecond on: never in the turn that started it, always in the next. */
    io_timer_start(h->io, &h->soon, io_now_ns(h->io) + 1);
}

void home_finish_write_soon(struct home *h, struct home_write *w, err_t result)
{
    w->private_[1] = (u64)result;
    list_push_back(&h->ready_writes, &w->node);
    wake_soon(h);
}

void home_finish_read_soon(struct home *h, struct home_read *r, err_t result)
{
    r->private_[1] = (u64)result;
    list_push_back(&h->ready_reads, &r->node);
    wake_soon(h);
}

void home_finish_meta_soon(struct home *h, err_t result)
{
    assert(h->meta_writing != NULL);
    assert(!h->meta_ready);
    h->meta_ready = true;
    h->meta_result = result;
    wake_soon(h);
}

void home_finish_meta(struct home *h, err_t result)
{
    struct home_meta_write *w = h->meta_writing;
    assert(w != NULL);
    h->meta_writing = NULL;
    h->meta_ready = false;
    w->done(w, result);
}

static void reason_set(struct home *h, const char *fmt, va_list args)
{
    int n = vsnprintf(h->reason, sizeof(h->reason), fmt, args);
    assert(n >= 0);
    (void)n;
}

err_t home_fail(struct home *h, err_t e, const char *fmt, ...)
{
    assert(e != OK);
    va_list args;
    va_start(args, fmt);
    reason_set(h, fmt, args);
    va_end(args);
    return e;
}

void home_note(struct home *h, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    reason_set(h, fmt, args);
    va_end(args);
}

void home_fence(struct home *h, const char *fmt, ...)
{
    if (h->fenced) {
        return;
    }
    h->fenced = true;
    va_list args;
    va_start(args, fmt);
    reason_set(h, fmt, args);
    va_end(args);
    if (h->ops->fenced != NULL) {
        h->ops->fenced(h);
    }
}

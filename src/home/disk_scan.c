/* Start-up: walks a WAL that this process does not write, delivers its slots in order and finds
   where it ends (formats.md, "Where slot s is" and "Torn tail or corruption"). Called through
   home.c by log/recover.

   Happy path
     1. every extent is opened and locked: a write of the dead process may still be in the kernel
     2. from slot to slot: header, index; payloads are checked where they lie in the window anyway
     3. a slot is delivered once it is known to have been durable; the last few wait for step 5
     4. the first place that is not the next slot: the rest of the WAL is searched for headers that
        say how far it was durable
     5. the slots that waited are checked byte by byte and delivered, the extents of the last ones
        are synced

   How it fails
     a slot that was durable is bad: ERR_CORRUPT, the reason says where and what it means
     a payload that was durable is bad: its batches are reported to damaged(), the scan goes on

   Reading: small frames (as in `walking`) are read front to back in big windows; over big ones it
   jumps, one read for a frame's index and the header behind it. */
#include "home/home_disk.h"

#include <stdio.h>
#include <string.h>

enum {
    WALK_WINDOW_BYTES = 2 * MIB,
    WALK_FRAME_MAX = 128 * KIB, /* a bigger frame is jumped over */
    SEARCH_WINDOW_BYTES = 4 * MIB,
    LOCK_ATTEMPTS_MAX = 10000,
};

enum payload_state { PAYLOAD_UNREAD, PAYLOAD_GOOD, PAYLOAD_BAD };

/* A slot found good as far as it was looked at. */
struct scan_slot {
    struct frame_header header;
    struct frame_entry *entries;
    u32 entry_cap;
    u32 extent_index;
    u64 position;
    enum payload_state payload;
};

struct scan {
    struct home_disk *d;
    struct wal_files *files;
    const struct home_wal_visitor *visitor;
    u64 wal;
    u64 nonce;
    u64 trim;
    u64 sealed_length;
    struct window window;
    u32 window_extent; /* index of the extent that the window is aimed at; UINT32_MAX: none */
    bool walking;
    /* the next slot and where it should be */
    u64 slot;
    u64 chain;
    u32 extent_index;
    u64 position;
    u64 durable;  /* every slot below it was durable */
    u64 searched; /* 1 + the slot number of a header found behind the end; 0: none */
    /* slots at or above `durable`, oldest first; they are at most FRAME_INFLIGHT_MAX */
    struct scan_slot waiting[FRAME_INFLIGHT_MAX];
    u32 waiting_first;
    u32 waiting_count;
};

/* ---- files ----------------------------------------------------------------------------------- */

/* The process before us is dead, but the kernel may still be at its last writes. A sync takes about
   as long as such a write. */
static err_t extent_lock(struct scan *s, struct extent *e)
{
    struct home_disk *d = s->d;
    TRY(disk_extent_open_now(d, e));
    err_t result = io_file_lock(d->base.io, e->handle.file);
    for (u32 attempt = 0; result == ERR_LOCKED && attempt < LOCK_ATTEMPTS_MAX; attempt++) {
        seen("scan: an extent is still locked");
        TRY(io_file_sync_now(d->base.io, e->handle.file));
        result = io_file_lock(d->base.io, e->handle.file);
    }
    if (result == OK) {
        return OK;
    }
    char path[DISK_PATH_MAX];
    disk_extent_path(d, e, path);
    return home_fail(
        &d->base, result,
        "%s cannot be locked: %s. Writes of the last process may still be under way; try again.",
        path, err_name(result));
}

static err_t extents_lock(struct scan *s)
{
    for (u32 i = 0; i < s->files->extent_count; i++) {
        TRY(extent_lock(s, s->files->extents[i]));
    }
    return OK;
}

static err_t read_failed(struct scan *s, const struct extent *e, u64 position, err_t result)
{
    char path[DISK_PATH_MAX];
    disk_extent_path(s->d, e, path);
    return home_fail(&s->d->base, result, "Reading %s at byte %llu failed: %s.", path,
                     (unsigned long long)position, err_name(result));
}

/* The window looks at this extent, which is open. */
static err_t scan_aim(struct scan *s, u32 extent_index)
{
    assert(extent_index < s->files->extent_count);
    struct extent *e = s->files->extents[extent_index];
    TRY(disk_extent_open_now(s->d, e));
    if (s->window_extent == extent_index) {
        s->window.file =
            e->handle.file; /* it may have been closed in between, for the limit of open files */
        return OK;
    }
    err_t result = window_aim(&s->window, e->handle.file);
    if (result != OK) {
        return read_failed(s, e, 0, result);
    }
    s->window_extent = extent_index;
    return OK;
}

/* `bytes` at a place of an extent; beyond the file's end there are zeros. */
static err_t scan_bytes(struct scan *s, u32 extent_index, u64 position, u64 bytes, u64 ahead,
                        const u8 **out)
{
    TRY(scan_aim(s, extent_index));
    err_t result = window_bytes(&s->window, position, bytes, ahead, out);
    return result == OK ? OK : read_failed(s, s->files->extents[extent_index], position, result);
}

static err_t scan_damaged(struct scan *s, u64 slot, u32 extent_index, u64 position,
                          const char *what)
{
    char path[DISK_PATH_MAX];
    char evidence[160];
    if (s->files->extent_count == 0) {
        disk_path(s->d, path, "wal");
    } else {
        disk_extent_path(s->d, s->files->extents[MIN(extent_index, s->files->extent_count - 1)],
                         path);
    }
    if (s->sealed_length != UINT64_MAX) {
        (void)snprintf(evidence, sizeof(evidence), "the log was closed at slot %llu",
                       (unsigned long long)s->sealed_length);
    } else if (s->durable == s->trim) {
        (void)snprintf(evidence, sizeof(evidence), "all below slot %llu were filed",
                       (unsigned long long)s->trim);
    } else {
        (void)snprintf(evidence, sizeof(evidence),
                       "a later frame says that all below slot %llu were stored",
                       (unsigned long long)s->durable);
    }
    seen("scan: corruption is refused");
    return home_fail(&s->d->base, ERR_CORRUPT,
                     "WAL %llu: slot %llu %s (%s, byte %llu), though %s. Acknowledged records from "
                     "this slot on are "
                     "affected. Nothing was changed; restore the directory from a backup.",
                     (unsigned long long)s->wal, (unsigned long long)slot, what, path,
                     (unsigned long long)position, evidence);
}

/* ---- delivering ------------------------------------------------------------------------------ */

static bool skips_crc(const struct scan *s)
{
    return (s->d->canaries & HOME_CANARY_SKIP_CRC) != 0;
}

static bool believes_stale(const struct scan *s)
{
    return (s->d->canaries & HOME_CANARY_BELIEVE_STALE) != 0;
}

/* Payload and trailer of a slot that was only looked at so far. */
static err_t payload_read(struct scan *s, struct scan_slot *at)
{
    const struct frame_header *h = &at->header;
    u32 crc = 0;
    const u8 *data;
    for (u64 done = 0; done < h->payload_bytes;) {
        u64 bytes = MIN((u64)WALK_WINDOW_BYTES, h->payload_bytes - done);
        TRY(scan_bytes(s, at->extent_index, at->position + FRAME_HEADER_BYTES + done, bytes, 0,
                       &data));
        crc = crc32c_extend(crc, data, bytes);
        done += bytes;
    }
    u64 trailer = at->position + h->total_bytes - FRAME_TRAILER_BYTES;
    TRY(scan_bytes(s, at->extent_index, trailer, FRAME_TRAILER_BYTES, 0, &data));
    bool good = crc == h->payload_crc && frame_trailer_check(h, data) == OK;
    at->payload = good || skips_crc(s) ? PAYLOAD_GOOD : PAYLOAD_BAD;
    return OK;
}

/* Which batches of a damaged payload disagree with their entries? */
static err_t payload_quarantine(struct scan *s, const struct scan_slot *at)
{
    seen("scan: a damaged payload is quarantined");
    for (u32 i = 0; i < at->header.index_count; i++) {
        const struct frame_entry *entry = &at->entries[i];
        const u8 *batch;
        TRY(scan_bytes(s, at->extent_index, at->position + entry->pos, entry->bytes,
                       WALK_WINDOW_BYTES, &batch));
        if (frame_batch_check(entry, batch) != OK && s->visitor->damaged != NULL) {
            s->visitor->damaged(s->visitor->user, s->wal, at->header.slot, entry);
        }
    }
    return OK;
}

static err_t slot_deliver(struct scan *s, const struct scan_slot *at)
{
    if (at->payload == PAYLOAD_BAD) {
        TRY(payload_quarantine(s, at));
    }
    return s->visitor->slot(s->visitor->user, &at->header, at->entries, at->header.index_count);
}

static struct scan_slot *waiting_at(struct scan *s, u32 i)
{
    return &s->waiting[(s->waiting_first + i) % FRAME_INFLIGHT_MAX];
}

static void waiting_pop(struct scan *s)
{
    assert(s->waiting_count > 0);
    s->waiting_first = (s->waiting_first + 1) % FRAME_INFLIGHT_MAX;
    s->waiting_count--;
}

static err_t deliver_durable(struct scan *s)
{
    while (s->waiting_count > 0 && waiting_at(s, 0)->header.slot < s->durable) {
        TRY(slot_deliver(s, waiting_at(s, 0)));
        waiting_pop(s);
    }
    return OK;
}

/* ---- one slot -------------------------------------------------------------------------------- */

static void durable_learn(struct scan *s, const struct frame_header *h)
{
    u64 implied = h->slot + 1 >= FRAME_INFLIGHT_MAX ? h->slot + 1 - FRAME_INFLIGHT_MAX : 0;
    s->durable = MAX(s->durable, MAX(h->durable_slot, implied));
}

static bool identity_matches(const struct scan *s, const struct frame_header *h)
{
    return uuid_eq(h->cluster, s->d->base.cluster) && h->wal == s->wal && h->nonce == s->nonce;
}

/* Is the next slot at this place? ERR_NOT_FOUND: no. */
static err_t header_at(struct scan *s, u32 extent_index, u64 position, struct frame_header *out)
{
    const u8 *data;
    u64 ahead = s->walking ? (u64)WALK_WINDOW_BYTES : 0;
    TRY(scan_bytes(s, extent_index, position, FRAME_HEADER_BYTES, ahead, &data));
    err_t e = frame_header_decode(data, out);
    if (e == ERR_VERSION) {
        return home_fail(
            &s->d->base, ERR_VERSION,
            "WAL %llu has a frame written by a newer Odradek. Start the newer program.",
            (unsigned long long)s->wal);
    }
    if (e != OK) {
        return ERR_NOT_FOUND;
    }
    bool expected = identity_matches(s, out) && out->slot == s->slot && out->chain == s->chain;
    bool whole = position + out->total_bytes <= s->window.size;
    return expected && whole ? OK : ERR_NOT_FOUND;
}

/* The next slot: here, or at the start of the next extent. Moves there. ERR_NOT_FOUND: neither. */
static err_t slot_find(struct scan *s, struct frame_header *out)
{
    if (s->extent_index >= s->files->extent_count) {
        return ERR_NOT_FOUND;
    }
    err_t e = header_at(s, s->extent_index, s->position, out);
    if (e != ERR_NOT_FOUND) {
        return e;
    }
    u32 next = s->extent_index + 1;
    bool follows =
        next < s->files->extent_count &&
        s->files->extents[next]->number == s->files->extents[s->extent_index]->number + 1;
    if (!follows || s->position == 0) {
        return ERR_NOT_FOUND;
    }
    TRY(header_at(s, next, 0, out));
    s->extent_index = next;
    s->position = 0;
    return OK;
}

/* Reads the index, and the payload too when the whole frame is small. ERR_NOT_FOUND: the index is
 * bad. */
static err_t slot_load(struct scan *s, const struct frame_header *h, struct scan_slot *at)
{
    at->header = *h;
    at->extent_index = s->extent_index;
    at->position = s->position;
    at->payload = PAYLOAD_UNREAD;
    s->walking = h->total_bytes <= WALK_FRAME_MAX;
    const u8 *index;
    if (s->walking) {
        const u8 *frame;
        TRY(scan_bytes(s, at->extent_index, at->position, h->total_bytes, WALK_WINDOW_BYTES,
                       &frame));
        const u8 *trailer = frame + h->total_bytes - FRAME_TRAILER_BYTES;
        bool good = frame_payload_check(h, frame) == OK && frame_trailer_check(h, trailer) == OK;
        at->payload = good || skips_crc(s) ? PAYLOAD_GOOD : PAYLOAD_BAD;
        index = frame + h->index_pos;
    } else {
        /* The rest of the frame, and in the same read the header of the next one. */
        u64 bytes = h->total_bytes - h->index_pos;
        TRY(scan_bytes(s, at->extent_index, at->position + h->index_pos, bytes, bytes + DISK_UNIT,
                       &index));
    }
    if (frame_index_check(h, index) != OK) {
        return ERR_NOT_FOUND;
    }
    if (at->entry_cap < h->index_count) {
        at->entry_cap = MAX(2 * at->entry_cap, h->index_count);
        at->entries = mem_resize(at->entries, at->entry_cap * sizeof(at->entries[0]));
    }
    for (u32 i = 0; i < h->index_count; i++) {
        frame_entry_decode(index + (size_t)i * FRAME_ENTRY_BYTES, &at->entries[i]);
    }
    return OK;
}

/* The chain is over the header's bytes; the window may have moved on, so they are made again. */
static err_t slot_hash(struct scan *s, const struct scan_slot *at, u64 *hash)
{
    const u8 *header;
    TRY(scan_bytes(s, at->extent_index, at->position, FRAME_HEADER_BYTES, 0, &header));
    *hash = frame_header_hash(header);
    return OK;
}

static void slot_passed(struct scan *s, const struct frame_header *h, u64 hash)
{
    s->chain = hash;
    s->slot = h->slot + 1;
    s->position += h->total_bytes;
}

static err_t slot_accept(struct scan *s)
{
    struct frame_header h;
    TRY(slot_find(s, &h));
    u64 hash;
    struct scan_slot here = {.extent_index = s->extent_index, .position = s->position};
    TRY(slot_hash(s, &here, &hash)); /* the header is still in the window */
    durable_learn(s, &h);
    if (h.slot < s->trim) {
        slot_passed(s, &h, hash); /* filed: only where it ends matters */
        return OK;
    }
    TRY(deliver_durable(s));
    assert(s->waiting_count < FRAME_INFLIGHT_MAX);
    struct scan_slot *at = waiting_at(s, s->waiting_count);
    TRY(slot_load(s, &h, at));
    s->waiting_count++;
    disk_slot_set(s->files, h.slot, s->files->extents[at->extent_index]->number, at->position);
    slot_passed(s, &h, hash);
    return deliver_durable(s);
}

/* ---- the end --------------------------------------------------------------------------------- */

/* Looks at every place behind the end for headers of this WAL: they know how far it was durable.
   Stops as soon as that is beyond the end. */
static err_t durable_search(struct scan *s)
{
    u64 from = s->position;
    for (u32 i = s->extent_index; i < s->files->extent_count; i++, from = 0) {
        TRY(scan_aim(s, i));
        u64 size = s->window.size;
        for (u64 at = from; at + FRAME_HEADER_BYTES <= size && s->durable <= s->slot;
             at += DISK_UNIT) {
            const u8 *data;
            struct frame_header h;
            TRY(scan_bytes(s, i, at, FRAME_HEADER_BYTES, SEARCH_WINDOW_BYTES, &data));
            if (data[0] == 0 || frame_header_decode(data, &h) != OK || !identity_matches(s, &h)) {
                continue;
            }
            if (h.slot < s->slot) {
                continue; /* of an earlier life of this extent */
            }
            durable_learn(s, &h);
            s->searched = MAX(s->searched, h.slot + 1);
        }
    }
    return OK;
}

/* The slots that nobody vouches for are torn or whole; a torn one ends the log. */
static err_t deliver_tail(struct scan *s, u64 *length)
{
    TRY(deliver_durable(s));
    while (s->waiting_count > 0) {
        struct scan_slot *at = waiting_at(s, 0);
        if (at->payload == PAYLOAD_UNREAD) {
            TRY(payload_read(s, at));
        }
        if (at->payload == PAYLOAD_BAD) {
            seen("scan: a torn payload ends the log");
            *length = at->header.slot;
            return OK;
        }
        TRY(slot_deliver(s, at));
        *length = at->header.slot + 1;
        waiting_pop(s);
    }
    return OK;
}

/* What the scan has seen may still be in a volatile cache; the seal that follows makes it count. */
static err_t tail_sync(struct scan *s, u64 length)
{
    const struct extent *last_synced = NULL;
    for (u64 back = 1; back <= MIN(length, (u64)FRAME_INFLIGHT_MAX); back++) {
        u32 number;
        u64 position;
        if (!disk_slot_get(s->files, length - back, &number, &position)) {
            continue; /* below the trim */
        }
        struct extent *e = disk_extent_find(s->files, number);
        if (e == last_synced) {
            continue;
        }
        TRY(disk_extent_open_now(s->d, e));
        err_t result = io_file_sync_now(s->d->base.io, e->handle.file);
        if (result != OK) {
            char path[DISK_PATH_MAX];
            disk_extent_path(s->d, e, path);
            return home_fail(&s->d->base, ERR_IO, "%s cannot be synced: %s.", path,
                             err_name(result));
        }
        last_synced = e;
    }
    return OK;
}

/* Simulator only: a broken scan that takes whatever frame comes next for the next slot. */
static err_t canary_skip_ahead(struct scan *s, bool *skipped)
{
    *skipped = false;
    u64 from = s->position;
    for (u32 i = s->extent_index; i < s->files->extent_count; i++, from = 0) {
        TRY(scan_aim(s, i));
        u64 size = s->window.size;
        for (u64 at = from; at + FRAME_HEADER_BYTES <= size; at += DISK_UNIT) {
            const u8 *data;
            struct frame_header h;
            TRY(scan_bytes(s, i, at, FRAME_HEADER_BYTES, SEARCH_WINDOW_BYTES, &data));
            if (data[0] == 0 || frame_header_decode(data, &h) != OK || h.slot < s->slot ||
                !identity_matches(s, &h)) {
                continue;
            }
            if (i == s->extent_index && at == s->position && h.slot == s->slot &&
                h.chain == s->chain) {
                continue; /* believed already, and bad inside */
            }
            s->slot = h.slot;
            s->chain = h.chain;
            s->extent_index = i;
            s->position = at;
            *skipped = true;
            return OK;
        }
    }
    return OK;
}

/* Extents have their whole size before they are used, whatever crashes: one in which the log ends
   too early was cut off by something else. One without a frame may be half made. */
static err_t cut_off_note(struct scan *s)
{
    for (u32 i = s->extent_index; i < s->files->extent_count; i++) {
        const struct extent *e = s->files->extents[i];
        const u8 *data;
        struct frame_header h;
        TRY(scan_bytes(s, i, 0, FRAME_HEADER_BYTES, 0, &data));
        u64 size = s->window.size;
        bool used = size >= FRAME_HEADER_BYTES && frame_header_decode(data, &h) == OK &&
                    identity_matches(s, &h);
        if (used && size < s->d->extent_bytes) {
            char path[DISK_PATH_MAX];
            disk_extent_path(s->d, e, path);
            home_note(&s->d->base,
                      "%s has %llu bytes and was made with %llu; the log ends at slot %llu.", path,
                      (unsigned long long)size, (unsigned long long)s->d->extent_bytes,
                      (unsigned long long)s->slot);
        }
    }
    return OK;
}

static err_t scan_end(struct scan *s, u64 *length)
{
    *length = s->slot;
    if (s->slot < s->sealed_length) {
        TRY(durable_search(s));
        if (s->slot < s->durable) {
            return scan_damaged(s, s->slot, s->extent_index, s->position, "is missing or damaged");
        }
        if (s->searched > 0) {
            seen("scan: frames behind a torn slot are dropped");
        }
    }
    if (s->sealed_length == UINT64_MAX) {
        TRY(cut_off_note(s));
    }
    TRY(deliver_tail(s, length));
    s->files->slot_count = MIN(s->files->slot_count, *length);
    if (s->sealed_length == UINT64_MAX) {
        TRY(tail_sync(s, *length));
    }
    return OK;
}

/* Where slot `trim` or one before it begins an extent: in the extent with the highest first slot
   that is not above the trim. What is left of an earlier life of an extent begins lower
   (formats.md, "Filed slots"), and the chain of the first frame leads to what is gone. First slots
   ascend with the numbers: behind one that is above the trim it does not begin, whatever is there.
 */
static err_t trimmed_begin(struct scan *s)
{
    bool found = false;
    bool above = false;
    for (u32 i = 0; i < s->files->extent_count; i++) {
        const u8 *data;
        struct frame_header h;
        TRY(scan_bytes(s, i, 0, FRAME_HEADER_BYTES, 0, &data));
        bool ours = frame_header_decode(data, &h) == OK && identity_matches(s, &h);
        if (ours) {
            durable_learn(s, &h); /* also of one that is not where it belongs */
        }
        above = above || (ours && h.slot > s->trim);
        if (ours && !above && (!found || h.slot > s->slot)) {
            found = true;
            s->slot = h.slot;
            s->chain = h.chain;
            s->extent_index = i;
        }
    }
    if (!found) {
        return scan_damaged(s, s->trim, 0, 0, "has no extent that begins with it or before it");
    }
    return OK;
}

/* ERR_NOT_FOUND: the WAL ends before it began. */
static err_t scan_begin(struct scan *s)
{
    if (s->trim > 0) {
        return trimmed_begin(s);
    }
    bool first_is_there = s->files->extent_count == 0 || s->files->extents[0]->number == 0;
    return first_is_there ? OK : ERR_NOT_FOUND;
}

static err_t scan_run(struct scan *s, u64 *length)
{
    if (s->sealed_length == UINT64_MAX) {
        TRY(extents_lock(s)); /* a closed log was locked by whoever closed it */
    }
    disk_slots_begin(s->files, s->trim);
    err_t e = scan_begin(s);
    while (e == OK) {
        e = s->slot < s->sealed_length ? slot_accept(s) : ERR_NOT_FOUND;
        if (e == ERR_NOT_FOUND && believes_stale(s)) {
            bool skipped;
            TRY(canary_skip_ahead(s, &skipped));
            e = skipped ? OK : ERR_NOT_FOUND;
        }
    }
    return e == ERR_NOT_FOUND ? scan_end(s, length) : e;
}

err_t disk_wal_scan(struct home *h, u64 wal, u64 nonce, u64 trim, u64 sealed_length,
                    const struct home_wal_visitor *v, u64 *length)
{
    struct home_disk *d = disk_of(h);
    if (trim == sealed_length) {
        *length = sealed_length; /* all of it was filed: its files may be gone */
        return OK;
    }
    struct scan *s = mem_alloc(sizeof(*s));
    *s = (struct scan){
        .d = d,
        .files = disk_wal_files(d, wal),
        .visitor = v,
        .wal = wal,
        .nonce = nonce,
        .trim = trim,
        .sealed_length = (d->canaries & HOME_CANARY_BELIEVE_STALE) ? UINT64_MAX : sealed_length,
        .window_extent = UINT32_MAX,
        .walking = true,
        .durable = sealed_length == UINT64_MAX ? trim : sealed_length,
    };
    err_t e = OK;
    if (s->files == NULL) {
        /* A session that never wrote; it must not get an entry, or it would look like data. */
        if (s->durable > 0) {
            e = home_fail(h, ERR_CORRUPT,
                          "WAL %llu has %llu slots according to the metadata, but no files in "
                          "%s/wal. Nothing was "
                          "changed; restore the directory from a backup.",
                          (unsigned long long)wal, (unsigned long long)s->durable, d->directory);
        }
        mem_free(s);
        TRY(e);
        *length = 0;
        return OK;
    }
    window_init(&s->window, d);
    u64 found = 0;
    e = scan_run(s, &found);
    window_fini(&s->window);
    for (u32 i = 0; i < FRAME_INFLIGHT_MAX; i++) {
        mem_free(s->waiting[i].entries);
    }
    mem_free(s);
    TRY(e);
    *length = found;
    return OK;
}

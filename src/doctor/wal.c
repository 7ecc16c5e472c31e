/* Every WAL: its slots one after the other, where it ends, and whether that is a torn tail or
   corruption (docs/internals/formats.md, "The WAL"). After corruption the walk goes on with the
   next frame that can be read, to say what it cost.

   An extent has its whole size before it is used, so a shorter one at the end was cut off, and what
   it had is lost.

   The repair is a cut: from the damaged slot on the WAL ends, as if nothing had been written, and a
   broker starts. It costs every record from there on, and needs a WAL without a seal: where a
   sealed one ends is in the metadata. */
#include "doctor/doctor_private.h"

#include <string.h>

enum { FILE_NAME_MAX = 64, NAME_BYTES = 25 };

struct wal_check {
    struct doctor *d;
    const struct meta_session *s;
    u32 *numbers; /* of its extents, ascending */
    u32 count;
    bool *unreadable; /* of each: said so already */
    u32 at;           /* index of the extent in memory */
    char name[FILE_NAME_MAX];
    struct file_bytes file;
    u64 position;
    u64 slot; /* expected */
    bool chained;
    u64 chain;
    u64 durable; /* every slot below it was, by what has been read */
    u64 slots;
    u64 bytes;
    u32 end_at; /* where the last good frame ends */
    u64 end_position;
    /* The first damage that brokers refuse. */
    bool cut;
    u32 cut_at;
    u64 cut_position;
    u64 cut_slot;
    u32 cut_damages;    /* before it */
    struct spans price; /* records behind it that can be read now */
};

static bool extent_load(struct wal_check *w, u32 index)
{
    file_free(&w->file);
    w->at = index;
    (void)snprintf(w->name, sizeof(w->name), "wal/%016llx-%08x", (unsigned long long)w->s->wal,
                   w->numbers[index]);
    err_t e = file_load(w->d, w->name, &w->file);
    if (e != OK && !w->unreadable[index]) {
        w->unreadable[index] = true;
        w->d->failures++;
        damage(w->d, MSG_check_unreadable, w->name, 0, "cannot be read: %s", err_name(e));
        detail(w->d, DOCTOR_NEXT, "check the disk and the permissions, then run this again");
    }
    return e == OK;
}

/* A frame of this session at that place of the extent in memory. */
static bool header_ours(const struct wal_check *w, u64 at, struct frame_header *h)
{
    return at + DOCTOR_UNIT <= w->file.size && frame_header_decode(w->file.data + at, h) == OK &&
           uuid_eq(h->cluster, w->d->cluster) && h->wal == w->s->wal && h->nonce == w->s->nonce &&
           h->total_bytes <= w->file.size - at;
}

static void durable_learn(struct wal_check *w, const struct frame_header *h)
{
    u64 written = h->slot >= FRAME_INFLIGHT_MAX - 1 ? h->slot - (FRAME_INFLIGHT_MAX - 1) : 0;
    w->durable = MAX(w->durable, MAX(h->durable_slot, written));
}

static bool header_expected(const struct wal_check *w, u64 at, struct frame_header *h)
{
    return header_ours(w, at, h) && h->slot == w->slot && (!w->chained || h->chain == w->chain);
}

/* The next frame of a slot at or above `slot`, here or in a later extent; also learns what is
   durable. The search goes through everything; where it found the first it stays. false: none. */
static bool later_find(struct wal_check *w, u64 slot)
{
    u32 begin = w->at;
    u64 position = w->position;
    bool found = false;
    u32 found_at = 0;
    u64 found_position = 0;
    for (u32 i = begin; i < w->count; i++) {
        if (i != begin && !extent_load(w, i)) {
            continue;
        }
        for (u64 at = i == begin ? position : 0; at < w->file.size; at += DOCTOR_UNIT) {
            struct frame_header h;
            if (!header_ours(w, at, &h) || h.slot < slot) {
                continue;
            }
            durable_learn(w, &h);
            if (!found) {
                found = true;
                found_at = i;
                found_position = at;
            }
        }
    }
    u32 to = found ? found_at : begin;
    if (w->at != to) {
        (void)extent_load(w, to);
    }
    w->position = found ? found_position : position;
    return found;
}

/* The WAL could end here, behind the last good frame: what stands between that and the damage may
   be a frame in the wrong place. Called before the damage is told. */
static void cut_note(struct wal_check *w)
{
    bool begins =
        w->end_position > 0 || w->s->trim == 0; /* something must be left that begins the WAL */
    if (!w->cut && !w->s->sealed && w->slot >= w->s->trim && begins) {
        w->cut = true;
        w->cut_at = w->end_at;
        w->cut_position = w->end_position;
        w->cut_slot = w->slot;
        w->cut_damages = w->d->damages;
    }
}

/* ---- one frame ------------------------------------------------------------------------------- */

static void batches_check(struct wal_check *w, const struct frame_header *h, const u8 *frame)
{
    struct doctor *d = w->d;
    struct spans bad = {0};
    u64 bad_at = 0;
    for (u32 i = 0; i < h->index_count; i++) {
        struct frame_entry e;
        frame_entry_decode(frame + h->index_pos + (size_t)i * FRAME_ENTRY_BYTES, &e);
        struct span s = {e.partition, e.base_offset, e.base_offset + e.last_offset_delta + 1,
                         (i32)e.leader_epoch};
        partition_saw(d, w->name, w->position + e.pos, true, &s, 1, e.bytes);
        if (w->cut) {
            spans_add(&w->price, s.partition, s.from, s.to);
        }
        if (e.source == 0 && frame_batch_check(&e, frame + e.pos) != OK) {
            bad_at = bad.count == 0 ? w->position + e.pos : bad_at;
            spans_add(&bad, s.partition, s.from, s.to);
        }
    }
    if (bad.count > 0) {
        d->served++;
        damage(d, MSG_check_records_damaged, w->name, bad_at, "batches of slot %llu are damaged",
               (unsigned long long)h->slot);
        detail_spans(d, "acknowledged records damaged", &bad);
        detail(d, DOCTOR_DETAIL,
               "everything else is served; consumers get an error at these offsets");
        detail(d, DOCTOR_NEXT,
               "restore the file from a backup, or delete the records up to there "
               "(DeleteRecords)");
    } else if (frame_payload_check(h, frame) != OK) {
        d->served++;
        damage(d, MSG_check_slot_checksum, w->name, w->position + FRAME_HEADER_BYTES,
               "slot %llu disagrees with its checksum, but every batch in it is good",
               (unsigned long long)h->slot);
        detail(d, DOCTOR_PRICE, "nothing is lost");
    }
    spans_fini(&bad);
}

/* false: it does not count, since it was torn before it was durable. */
static bool frame_check(struct wal_check *w, const struct frame_header *h)
{
    const u8 *frame = w->file.data + w->position;
    bool index_good = frame_index_check(h, frame + h->index_pos) == OK;
    bool whole = index_good && frame_payload_check(h, frame) == OK &&
                 frame_trailer_check(h, frame + h->total_bytes - FRAME_TRAILER_BYTES) == OK;
    if (!whole && h->slot >= w->durable && !w->s->sealed) {
        u32 at = w->at;
        u64 position = w->position;
        (void)later_find(w, h->slot);
        if (w->at != at) {
            (void)extent_load(w, at);
        }
        w->position = position;
        if (h->slot >= w->durable) {
            return false;
        }
        frame = w->file.data + position;
    }
    if (!index_good) {
        cut_note(w);
        damage(w->d, MSG_check_wal_broken, w->name, w->position + h->index_pos,
               "the index of slot %llu disagrees with its checksum", (unsigned long long)h->slot);
        detail(w->d, DOCTOR_PRICE,
               "acknowledged records are lost; which ones is said where records follow them");
        detail(w->d, DOCTOR_DETAIL, "brokers refuse this directory");
        detail(w->d, DOCTOR_NEXT, "restore the file from a backup");
        return true;
    }
    batches_check(w, h, frame);
    return true;
}

/* The index of a frame whose header is bad, by its trailer: it ends somewhere behind `position`. */
static void lost_by_trailer(struct wal_check *w)
{
    struct spans lost = {0};
    for (u64 end = w->position + DOCTOR_UNIT; end <= w->file.size && lost.count == 0;
         end += DOCTOR_UNIT) {
        const u8 *t = w->file.data + end - FRAME_TRAILER_BYTES;
        struct frame_header h = {
            .kind = FRAME_DATA,
            .total_bytes = load_le32(t),
            .payload_bytes = load_le32(t + 4),
            .payload_crc = load_le32(t + 8),
            .index_pos = load_le32(t + 12),
            .index_count = load_le32(t + 16),
            .index_crc = load_le32(t + 20),
            .wal = w->s->wal,
            .slot = w->slot,
            .nonce = w->s->nonce,
        };
        u64 index_end = (u64)h.index_pos + (u64)h.index_count * FRAME_ENTRY_BYTES;
        if (frame_trailer_check(&h, t) != OK || h.total_bytes != end - w->position ||
            index_end > h.total_bytes) {
            continue;
        }
        const u8 *index = w->file.data + w->position + h.index_pos;
        for (u32 i = 0; frame_index_check(&h, index) == OK && i < h.index_count; i++) {
            struct frame_entry e;
            frame_entry_decode(index + (size_t)i * FRAME_ENTRY_BYTES, &e);
            struct span s = {e.partition, e.base_offset, e.base_offset + e.last_offset_delta + 1,
                             (i32)e.leader_epoch};
            spans_add(&lost, s.partition, s.from, s.to);
            partition_saw(w->d, w->name, w->position, true, &s, 0, 0);
        }
    }
    detail_spans(w->d, "acknowledged records that cannot be reached", &lost);
    spans_fini(&lost);
}

/* The slot expected is not where it should be. true: the walk goes on behind the damage. */
static bool slot_missing(struct wal_check *w)
{
    struct doctor *d = w->d;
    char name[FILE_NAME_MAX];
    u64 position = w->position;
    u32 at = w->at;
    (void)snprintf(name, sizeof(name), "%s", w->name);
    bool zeros = position >= w->file.size ||
                 bytes_zero(w->file.data + position, MIN(w->file.size - position, DOCTOR_UNIT));
    bool found = later_find(w, w->slot);
    u64 durable = w->s->sealed ? w->s->length : w->durable;
    bool gone = at + 1 < w->count && w->numbers[at + 1] != w->numbers[at] + 1;
    if (w->slot >= durable && gone) { /* extents are made in order, the next when this is in use */
        damage(d, MSG_check_wal_extent, name, position,
               "the extent after this one is missing, and a later one is there");
        detail(d, DOCTOR_PRICE,
               "records from slot %llu on are lost if it had any; nothing tells whether they "
               "were acknowledged",
               (unsigned long long)w->slot);
        detail(d, DOCTOR_NEXT, "restore the missing extent from a backup before a broker starts");
        return false;
    }
    if (w->slot >= durable) {
        if (found || !zeros) {
            note(d, MSG_check_torn_tail, name, position,
                 "%s, byte %llu: a torn tail from slot %llu on; nothing of it was ever "
                 "acknowledged",
                 name, (unsigned long long)position, (unsigned long long)w->slot);
        }
        return false;
    }
    cut_note(w);
    damage(d, MSG_check_wal_broken, name, position,
           "slot %llu was acknowledged and cannot be read%s", (unsigned long long)w->slot,
           gone ? "; the extent after this one is missing" : "");
    if (w->at == at) {
        u64 behind = w->position;
        w->position = position;
        lost_by_trailer(w);
        w->position = behind;
    }
    detail(d, DOCTOR_DETAIL,
           "brokers refuse this directory; records behind this place can be read only with it "
           "restored");
    detail(d, DOCTOR_NEXT, "restore the %s from a backup", gone ? "missing extent" : "file");
    struct frame_header h;
    if (!found || !header_ours(w, w->position, &h)) {
        detail(d, DOCTOR_PRICE, "slots up to %llu are lost with it",
               (unsigned long long)durable - 1);
        return false;
    }
    detail(d, DOCTOR_PRICE, "slots %llu to %llu are lost; the check goes on at slot %llu",
           (unsigned long long)w->slot, (unsigned long long)h.slot - 1, (unsigned long long)h.slot);
    w->slot = h.slot;
    w->chained = false;
    return true;
}

/* ---- the walk -------------------------------------------------------------------------------- */

static bool wal_step(struct wal_check *w)
{
    struct frame_header h;
    if (w->s->sealed && w->slot >= w->s->length) {
        return false;
    }
    if (!header_expected(w, w->position, &h)) {
        u32 at = w->at;
        u64 position = w->position;
        bool next = /* an extent has a frame at its beginning, or nothing follows it */
            position > 0 && at + 1 < w->count && w->numbers[at + 1] == w->numbers[at] + 1 &&
            extent_load(w, at + 1);
        w->position = next ? 0 : position;
        if (!next || !header_expected(w, 0, &h)) {
            if (next) {
                (void)extent_load(w, at);
            }
            w->position = position;
            return slot_missing(w);
        }
    }
    durable_learn(w, &h);
    if (h.slot >= w->s->trim && !frame_check(w, &h)) {
        note(w->d, MSG_check_torn_tail, w->name, w->position,
             "%s, byte %llu: a torn tail from slot %llu on; nothing of it was ever "
             "acknowledged",
             w->name, (unsigned long long)w->position, (unsigned long long)h.slot);
        return false;
    }
    w->chain = frame_header_hash(w->file.data + w->position);
    w->chained = true;
    w->position += h.total_bytes;
    w->end_at = w->at;
    w->end_position = w->position;
    w->slot = h.slot + 1;
    w->slots += h.slot >= w->s->trim;
    w->bytes += h.slot >= w->s->trim ? h.total_bytes : 0;
    return true;
}

/* As a start does: nothing filed, the first extent; otherwise the one with the highest first slot
   that is not above the trim. What the others' first frames say of durable slots counts wherever
   they are, so that extents in the wrong order are noticed. */
static bool wal_begin(struct wal_check *w)
{
    bool found = false;
    u32 best = 0;
    u64 best_slot = 0;
    for (u32 i = 0; i < w->count; i++) {
        struct frame_header h;
        if (!extent_load(w, i) || !header_ours(w, 0, &h)) {
            continue;
        }
        durable_learn(w, &h);
        if (w->s->trim > 0 && h.slot <= w->s->trim && (!found || h.slot >= best_slot)) {
            found = true;
            best = i;
            best_slot = h.slot;
        }
    }
    w->slot = found ? best_slot : w->s->trim;
    w->position = 0;
    w->chained = w->slot == 0;
    w->end_at = best;
    return w->count > 0 && extent_load(w, best);
}

/* ---- the cut --------------------------------------------------------------------------------- */

/* The later extents first, the last one before the others: whatever is left when it ends early is
   the same damage. */
static err_t wal_cut(struct wal_check *w)
{
    u32 keep = w->cut_position > 0 ? w->cut_at + 1 : w->cut_at;
    for (u32 i = w->count; i > keep; i--) {
        char name[FILE_NAME_MAX];
        (void)snprintf(name, sizeof(name), "%016llx-%08x", (unsigned long long)w->s->wal,
                       w->numbers[i - 1]);
        TRY(file_remove(w->d, "wal", name));
    }
    if (w->cut_position == 0 || !extent_load(w, w->cut_at) || w->cut_position >= w->file.size) {
        return OK;
    }
    u64 count = w->file.size - w->cut_position;
    u8 *zeros = mem_alloc(count);
    err_t e = file_repair(w->d, w->name, zeros, count, w->cut_position);
    mem_free(zeros);
    return e;
}

static void cut_offer(struct wal_check *w)
{
    struct doctor *d = w->d;
    if (!w->cut) {
        return;
    }
    char name[FILE_NAME_MAX];
    (void)snprintf(name, sizeof(name), "wal/%016llx-%08x", (unsigned long long)w->s->wal,
                   w->numbers[w->cut_at]);
    note(d, MSG_check_repairable, name, w->cut_position,
         "WAL %llu can be cut at slot %llu (wal/%016llx-%08x, byte %llu); a broker then starts",
         (unsigned long long)w->s->wal, (unsigned long long)w->cut_slot,
         (unsigned long long)w->s->wal, w->numbers[w->cut_at], (unsigned long long)w->cut_position);
    detail(d, DOCTOR_PRICE, "the price: what is lost above, and everything behind it in this WAL");
    detail_spans(d, "lost by the cut", &w->price);
    if (!d->repair || !d->accept_loss) {
        detail_accept(d);
        return;
    }
    d->wal_was_cut = true;
    err_t e = wal_cut(w);
    if (e == OK) {
        d->repaired += d->damages - w->cut_damages;
        detail(d, DOCTOR_REPAIRED, "cut; the loss is accepted");
    } else {
        d->failures++;
        detail_failed(d, e);
    }
}

/* The last extents of a WAL that was not sealed, in which it ends: a broker takes that for a torn
   tail, and warns. One without a frame may be half made. */
static void cut_off_check(struct wal_check *w)
{
    struct doctor *d = w->d;
    for (u32 i = w->end_at; i < w->count; i++) {
        struct frame_header h;
        bool used = extent_load(w, i) && w->file.size >= FRAME_HEADER_BYTES &&
                    frame_header_decode(w->file.data, &h) == OK && uuid_eq(h.cluster, d->cluster) &&
                    h.wal == w->s->wal && h.nonce == w->s->nonce;
        if (!used || w->file.size >= d->extent_bytes) {
            continue;
        }
        d->served++;
        damage(d, MSG_check_wal_extent, w->name, w->file.size,
               "the extent has %llu bytes and was made with %llu", (unsigned long long)w->file.size,
               (unsigned long long)d->extent_bytes);
        detail(
            d, DOCTOR_PRICE,
            "what was acknowledged from slot %llu on, if anything, is lost unless the file comes "
            "back; a broker starts and serves what is before it",
            (unsigned long long)w->slot);
        if (!d->repair || !d->accept_loss) {
            detail_accept(d);
            continue;
        }
        err_t e = file_extend(d, w->name, d->extent_bytes);
        if (e == OK) {
            d->repaired++;
            detail(d, DOCTOR_REPAIRED, "it has its size; the loss is accepted");
        } else {
            d->failures++;
            detail_failed(d, e);
        }
    }
}

static void wal_check(struct doctor *d, const struct meta_session *s, u32 *numbers, u32 count)
{
    struct wal_check w = {.d = d, .s = s, .numbers = numbers, .count = count};
    if (s->sealed && s->trim == s->length) {
        const struct doctor_number told[] = {{"wal", s->wal}, {"slots", s->length}};
        tell_numbers(d, DOCTOR_WAL, NULL, told, ARRAY_LEN(told), "wal %llu: %llu slots, all filed",
                     (unsigned long long)s->wal, (unsigned long long)s->length);
        return;
    }
    u32 damages = d->damages;
    w.unreadable = mem_alloc(((size_t)count + 1) * sizeof(*w.unreadable));
    w.durable = s->sealed ? s->length : s->trim;
    if (count == 0 && w.durable > 0) {
        damage(d, MSG_check_wal_extent, "wal", 0, "all extents of WAL %llu are missing",
               (unsigned long long)s->wal);
        detail(d, DOCTOR_PRICE, "acknowledged records are lost: slots %llu to %llu, or more",
               (unsigned long long)s->trim, (unsigned long long)w.durable - 1);
        detail(d, DOCTOR_NEXT, "restore the files from a backup");
    } else if (wal_begin(&w)) {
        while (wal_step(&w)) {
        }
        if (!s->sealed && d->damages == damages) {
            cut_off_check(&w);
        }
        cut_offer(&w);
    }
    file_free(&w.file);
    spans_fini(&w.price);
    mem_free(w.unreadable);
    const struct doctor_number told[] = {{"wal", s->wal},
                                         {"extents", count},
                                         {"unfiled_slots", w.slots},
                                         {"frame_bytes", w.bytes},
                                         {"sealed", s->sealed, .flag = true}};
    tell_numbers(d, DOCTOR_WAL, NULL, told, ARRAY_LEN(told),
                 "wal %llu: %u extents, %llu slots not yet filed, %llu bytes of frames%s",
                 (unsigned long long)s->wal, count, (unsigned long long)w.slots,
                 (unsigned long long)w.bytes, s->sealed ? ", sealed" : "");
}

static bool extent_name(const char *name, u64 *wal, u64 *number)
{
    return strlen(name) == NAME_BYTES && name_hex(name, 16, wal) && name[16] == '-' &&
           name_hex(name + 17, 8, number);
}

/* Extents of this WAL into numbers. The names are sorted, so the numbers are. */
static u32 extents_of(const struct names *names, u64 wal, u32 *numbers)
{
    u32 count = 0;
    for (u32 i = 0; i < names->count; i++) {
        u64 of;
        u64 number;
        if (extent_name(names->items[i], &of, &number) && of == wal) {
            numbers[count++] = (u32)number;
        }
    }
    return count;
}

static void extents_unnamed(struct doctor *d, const struct names *names)
{
    u64 reported = 0;
    for (u32 i = 0; i < names->count; i++) {
        u64 wal;
        u64 number;
        if (!extent_name(names->items[i], &wal, &number)) {
            note_foreign(d, "wal/", names->items[i]);
        } else if (wal >= meta_next_wal(d->meta) && wal != reported) {
            char name[FILE_NAME_MAX];
            (void)snprintf(name, sizeof(name), "wal/%.32s", names->items[i]);
            reported = wal;
            damage(d, MSG_check_metadata_lost, name, 0,
                   "the metadata is older than the data: it does not know of WAL %llu",
                   (unsigned long long)wal);
            detail(d, DOCTOR_PRICE, "acknowledged records of that WAL are out of reach");
            detail(d, DOCTOR_NEXT, "do not start a broker; restore the newer files of meta/");
        }
    }
}

void check_wals(struct doctor *d)
{
    struct names names;
    if (folder_list(d, "wal", &names) != OK) {
        damage(d, MSG_check_unreadable, "wal", 0, "the folder cannot be listed");
        detail(d, DOCTOR_NEXT, "restore it from a backup");
        return;
    }
    u32 *numbers = mem_alloc(((size_t)names.count + 1) * sizeof(*numbers));
    for (u32 i = 0; i < meta_session_count(d->meta); i++) {
        const struct meta_session *s = meta_session_at(d->meta, i);
        wal_check(d, s, numbers, extents_of(&names, s->wal, numbers));
    }
    if (d->meta_whole) {
        extents_unnamed(d, &names);
    }
    mem_free(numbers);
    names_free(&names);
}

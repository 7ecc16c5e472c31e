/* The metadata log: both copies of the generation that counts, side by side, and the state that
   they lead to (docs/internals/formats.md, "The metadata log"). */
#include "doctor/doctor_private.h"

#include <string.h>

enum { DECODE_BLOCK_BYTES = 64 * 1024, FILE_NAME_MAX = 64 };

struct metalog {
    struct doctor *d;
    u64 generation;
    char names[2][FILE_NAME_MAX];
    struct file_bytes copies[2];
    bool missing[2];
    u64 position;
    u64 slot;
    u64 chain;
    /* The frame before was good in one copy only. */
    bool lame;
    u32 lame_copy; /* the other one */
    u64 lame_at;
    u64 lame_slot;
    u32 lame_bytes;
};

static bool frame_good(const struct metalog *m, u32 copy, struct frame_header *h)
{
    const struct file_bytes *f = &m->copies[copy];
    if (f->size < m->position + DOCTOR_UNIT) {
        return false;
    }
    const u8 *frame = f->data + m->position;
    bool first = m->position == 0 && m->generation > 0;
    return frame_header_decode(frame, h) == OK && h->total_bytes <= f->size - m->position &&
           uuid_eq(h->cluster, m->d->cluster) && h->wal == 0 && h->slot == m->slot &&
           h->chain == m->chain && h->kind == (first ? FRAME_SNAP : FRAME_META) &&
           frame_payload_check(h, frame) == OK &&
           frame_trailer_check(h, frame + h->total_bytes - FRAME_TRAILER_BYTES) == OK;
}

static bool zero_to_end(const struct metalog *m, u32 copy)
{
    const struct file_bytes *f = &m->copies[copy];
    return f->size <= m->position || bytes_zero(f->data + m->position, f->size - m->position);
}

/* ---- what the frames say --------------------------------------------------------------------- */

static err_t commands_apply(struct meta *meta, struct slice payload)
{
    struct arena arena;
    arena_init(&arena, NULL, DECODE_BLOCK_BYTES, 0);
    struct reader r = reader_of(payload);
    u32 count = read_le32(&r);
    err_t e = r.failed ? ERR_TRUNCATED : OK;
    for (u32 i = 0; e == OK && i < count; i++) {
        struct meta_command command;
        struct meta_outcome outcome;
        e = meta_command_decode(&r, &arena, &command);
        if (e == OK) {
            meta_apply(meta, &command, &outcome);
            arena_reset(&arena);
        }
    }
    arena_fini(&arena);
    return e == OK && reader_left(&r) > 0 ? ERR_INVALID : e;
}

static bool frame_apply(struct metalog *m, const struct frame_header *h, const u8 *frame)
{
    struct slice payload = slice_of(frame + FRAME_HEADER_BYTES, h->payload_bytes);
    err_t e = h->kind == FRAME_SNAP ? meta_snapshot_load(m->d->meta, payload)
                                    : commands_apply(m->d->meta, payload);
    if (e != OK) {
        damage(m->d, MSG_check_metadata_lost, m->names[0], m->position,
               "metadata slot %llu cannot be decoded: %s", (unsigned long long)m->slot,
               err_name(e));
        detail(m->d, DOCTOR_NEXT, "%s",
               e == ERR_VERSION ? "use the newer Odradek that wrote it"
                                : "restore the data directory from a backup");
    }
    return e == OK;
}

/* ---- one copy is lame ------------------------------------------------------------------------ */

static void lame_repair(struct metalog *m, u64 bytes)
{
    struct doctor *d = m->d;
    const u8 *good = m->copies[1 - m->lame_copy].data + m->lame_at;
    err_t e = file_repair(d, m->names[m->lame_copy], good, bytes, m->lame_at);
    if (e == OK) {
        d->repaired++;
        detail(d, DOCTOR_REPAIRED, "written again from %s", m->names[1 - m->lame_copy]);
    } else {
        d->failures++;
        detail_failed(d, e);
    }
}

/* `last`: nothing follows. Then copy b may just not have been written yet when the broker died. */
static void lame_report(struct metalog *m, bool last)
{
    struct doctor *d = m->d;
    if (!m->lame) {
        return;
    }
    m->lame = false;
    if (last && m->lame_copy == 1) {
        note(d, MSG_check_unfinished, m->names[1], m->lame_at,
             "%s, byte %llu: metadata slot %llu is in %s only, perhaps a write that was "
             "interrupted; the next start of a broker completes it",
             m->names[1], (unsigned long long)m->lame_at, (unsigned long long)m->lame_slot,
             m->names[0]);
        return;
    }
    damage(d, MSG_check_metadata_copy, m->names[m->lame_copy], m->lame_at,
           "metadata slot %llu is damaged or missing in this copy",
           (unsigned long long)m->lame_slot);
    detail(d, DOCTOR_PRICE, "nothing is lost: %s has it", m->names[1 - m->lame_copy]);
    if (d->repair) {
        lame_repair(m, m->lame_bytes);
    } else {
        detail(d, DOCTOR_NEXT,
               "start a broker, which restores the copy, or run this with --repair");
    }
}

/* A copy that is not there at all is made from the other, and stands for it from here on. */
static void missing_report(struct metalog *m)
{
    struct doctor *d = m->d;
    if (m->missing[0] == m->missing[1]) {
        return;
    }
    u32 copy = m->missing[0] ? 0 : 1;
    const struct file_bytes *good = &m->copies[1 - copy];
    damage(d, MSG_check_metadata_copy, m->names[copy], 0, "this copy of the metadata is missing");
    detail(d, DOCTOR_PRICE, "nothing is lost: %s is there", m->names[1 - copy]);
    m->copies[copy].data = mem_alloc(good->size + 1);
    m->copies[copy].size = good->size;
    memcpy(m->copies[copy].data, good->data, good->size);
    if (!d->repair) {
        detail(d, DOCTOR_NEXT,
               "start a broker, which restores the copy, or run this with --repair");
        return;
    }
    err_t e = file_create(d, "meta", m->names[copy] + strlen("meta/"), good->data, good->size);
    if (e == OK) {
        d->repaired++;
        detail(d, DOCTOR_REPAIRED, "made again from %s", m->names[1 - copy]);
    } else {
        d->failures++;
        detail_failed(d, e);
    }
}

/* ---- the walk -------------------------------------------------------------------------------- */

/* Frames of later slots behind the place where both copies are bad. */
static u64 later_slots(const struct metalog *m)
{
    u64 last = m->slot;
    for (u32 copy = 0; copy < 2; copy++) {
        const struct file_bytes *f = &m->copies[copy];
        for (u64 at = m->position; at + DOCTOR_UNIT <= f->size; at += DOCTOR_UNIT) {
            struct frame_header h;
            if (frame_header_decode(f->data + at, &h) == OK && uuid_eq(h.cluster, m->d->cluster) &&
                h.wal == 0 && h.slot > last) {
                last = h.slot;
            }
        }
    }
    return last - m->slot;
}

static void both_report(struct metalog *m, bool differ)
{
    struct doctor *d = m->d;
    d->meta_whole = false;
    damage(d, MSG_check_metadata_lost, m->names[0], m->position, "metadata slot %llu %s",
           (unsigned long long)m->slot,
           differ ? "is not the same in both copies" : "is damaged in both copies");
    detail(d, DOCTOR_PRICE,
           "lost: the commands of this slot, and of at least %llu behind it that cannot be "
           "applied without it",
           (unsigned long long)later_slots(m));
    detail(d, DOCTOR_DETAIL,
           "brokers refuse this directory, and no repair can make up what the slot said");
    detail(d, DOCTOR_NEXT, "restore the data directory from a backup");
}

/* false: the end. */
static bool metalog_step(struct metalog *m)
{
    struct frame_header h[2];
    bool good[2];
    for (u32 copy = 0; copy < 2; copy++) {
        good[copy] = frame_good(m, copy, &h[copy]);
    }
    if (!good[0] && !good[1]) {
        if (zero_to_end(m, 1)) {
            lame_report(m, true);
            if (!zero_to_end(m, 0)) {
                note(m->d, MSG_check_torn_tail, m->names[0], m->position,
                     "%s, byte %llu: a torn write of metadata slot %llu, which was never "
                     "acknowledged",
                     m->names[0], (unsigned long long)m->position, (unsigned long long)m->slot);
            }
        } else {
            lame_report(m, false);
            both_report(m, false);
        }
        return false;
    }
    lame_report(m, false);
    u32 from = good[0] ? 0 : 1;
    u32 bytes = h[from].total_bytes;
    const u8 *frame = m->copies[from].data + m->position;
    if (good[0] && good[1] &&
        (h[1].total_bytes != bytes ||
         memcmp(frame, m->copies[1].data + m->position, FRAME_HEADER_BYTES) != 0)) {
        both_report(m, true);
        return false;
    }
    if (!good[0] || !good[1]) {
        m->lame = true;
        m->lame_copy = 1 - from;
        m->lame_at = m->position;
        m->lame_slot = m->slot;
        m->lame_bytes = bytes;
    }
    if (!frame_apply(m, &h[from], frame)) {
        m->d->meta_whole = false;
        return false;
    }
    m->chain = frame_header_hash(frame);
    m->position += bytes;
    m->slot += h[from].kind == FRAME_META; /* a snapshot has the number of the slot behind it */
    return true;
}

static void metalog_open(struct metalog *m)
{
    for (u32 copy = 0; copy < 2; copy++) {
        (void)snprintf(m->names[copy], FILE_NAME_MAX, "meta/%016llx.%c",
                       (unsigned long long)m->generation, copy == 0 ? 'a' : 'b');
        err_t e = file_load(m->d, m->names[copy], &m->copies[copy]);
        m->missing[copy] = e == ERR_NOT_FOUND;
        if (e != OK && e != ERR_NOT_FOUND) {
            m->d->failures++;
            damage(m->d, MSG_check_unreadable, m->names[copy], 0, "cannot be read: %s",
                   err_name(e));
            detail(m->d, DOCTOR_NEXT, "check the disk and the permissions, then run this again");
        }
    }
    m->position = 0;
    m->slot = m->generation;
    m->chain = 0;
}

static void metalog_close(struct metalog *m)
{
    file_free(&m->copies[0]);
    file_free(&m->copies[1]);
}

/* Does this generation count? Generation 0 needs no snapshot. */
static bool metalog_begins(const struct metalog *m)
{
    struct frame_header h;
    return m->generation == 0 || frame_good(m, 0, &h) || frame_good(m, 1, &h);
}

static u32 generations_list(struct doctor *d, const struct names *names, u64 *out)
{
    u32 count = 0;
    for (u32 i = names->count; i > 0; i--) {
        const char *name = names->items[i - 1];
        u64 slot;
        bool ours = strlen(name) == 18 && name_hex(name, 16, &slot) && name[16] == '.' &&
                    (name[17] == 'a' || name[17] == 'b');
        if (!ours) {
            note_foreign(d, "meta/", name);
        } else if (count == 0 || out[count - 1] != slot) {
            out[count++] = slot;
        }
    }
    return count;
}

static void generation_check(struct doctor *d, const u64 *generations, u32 count)
{
    struct metalog m = {.d = d};
    for (u32 i = 0; i < count; i++) {
        m.generation = generations[i];
        metalog_open(&m);
        if (metalog_begins(&m)) {
            missing_report(&m);
            while (metalog_step(&m)) {
            }
            d->meta_slot = m.slot;
            u32 packs;
            (void)meta_packs(d->meta, &packs);
            const struct doctor_number numbers[] = {
                {"generation", m.generation},
                {"next_slot", m.slot},
                {"topics", meta_topic_count(d->meta)},
                {"partitions", meta_partition_total(d->meta)},
                {"packs", packs},
            };
            tell_numbers(
                d, DOCTOR_METADATA, NULL, numbers, ARRAY_LEN(numbers),
                "metadata: generation %llu, next slot %llu, %u topics, %u partitions, %u packs",
                (unsigned long long)m.generation, (unsigned long long)m.slot,
                meta_topic_count(d->meta), meta_partition_total(d->meta), packs);
            metalog_close(&m);
            return;
        }
        if (i + 1 < count) {
            note(d, MSG_check_unfinished, m.names[0], DOCTOR_NO_BYTE,
                 "%s: a snapshot that was interrupted; the next start of a broker removes it",
                 m.names[0]);
        } else {
            both_report(&m, false);
        }
        metalog_close(&m);
    }
}

void check_metalog(struct doctor *d)
{
    struct names names;
    err_t e = folder_list(d, "meta", &names);
    u64 *generations = mem_alloc((names.count + 1) * sizeof(*generations));
    u32 count = e == OK ? generations_list(d, &names, generations) : 0;
    d->meta_whole = count > 0;
    if (count == 0) {
        damage(d, MSG_check_metadata_lost, "meta", 0, "the metadata log is gone");
        detail(d, DOCTOR_PRICE, "lost: every topic's name, and which bytes belong to whom");
        detail(d, DOCTOR_NEXT, "restore the data directory from a backup");
    }
    generation_check(d, generations, count);
    mem_free(generations);
    names_free(&names);
}

/* Packs: header, trailer, index and every run of those that the metadata names; and which files it
   does not name. */
#include "doctor/doctor_private.h"

#include <string.h>

enum { FILE_NAME_MAX = 64, BATCH_BYTES_MIN = 61, STRAYS_NAMED = 3 };

struct pack_check {
    struct doctor *d;
    u64 id;
    char name[FILE_NAME_MAX];
    struct file_bytes file;
    struct pack_shape shape;
};

static void pack_lost(struct pack_check *c)
{
    c->d->packs_whole = false;
    pack_fault(c->d, c->id, PACK_LOST);
    detail(c->d, DOCTOR_PRICE,
           "acknowledged records are lost unless the file comes back; offsets that are "
           "missing are named below where records follow them");
    detail(c->d, DOCTOR_DETAIL, "brokers refuse this directory as long as the pack is named");
}

/* The batches of a run that do not agree with their own checksum. */
static void run_search(struct pack_check *c, const struct pack_run *run, struct spans *bad)
{
    const u8 *bytes = c->file.data + run->pos;
    u64 next = run->base_offset; /* after the batches that are good */
    for (u32 at = 0; at < run->bytes;) {
        u32 left = run->bytes - at;
        u32 length = left >= BATCH_BYTES_MIN ? load_be32(bytes + at + 8) : 0;
        u64 base = left >= BATCH_BYTES_MIN ? load_be64(bytes + at) : 0;
        u64 total = (u64)length + 12;
        if (total < BATCH_BYTES_MIN || total > left || base < next || base >= run->next_offset) {
            spans_add(bad, run->partition, next, run->next_offset);
            return; /* where the next one begins is not known */
        }
        u64 end = base + load_be32(bytes + at + 23) + 1;
        u32 crc = crc32c(bytes + at + 21, total - 21);
        if (crc != load_be32(bytes + at + 17) || end > run->next_offset) {
            end = at + total == run->bytes ? run->next_offset
                  : left >= total + 8      ? load_be64(bytes + at + total)
                                           : run->next_offset;
            spans_add(bad, run->partition, base, MIN(MAX(end, base + 1), run->next_offset));
        }
        next = MIN(MAX(end, base + 1), run->next_offset);
        at += (u32)total;
    }
}

static void run_check(struct pack_check *c, const struct pack_run *run)
{
    struct doctor *d = c->d;
    bool agrees = crc32c(c->file.data + run->pos, run->bytes) == run->crc;
    struct spans bad = {0};
    run_search(c, run, &bad);
    if (!agrees && bad.count == 0) { /* what the batches' own checksums leave out */
        spans_add(&bad, run->partition, run->base_offset, run->next_offset);
    }
    if (bad.count > 0) {
        d->served++;
        damage(d, MSG_check_records_damaged, c->name, run->pos, "a run of %u bytes %s", run->bytes,
               !agrees                             ? "disagrees with its checksum"
               : run->flags & PACK_RUN_QUARANTINED ? "was damaged before it was filed"
                                                   : "has batches that disagree with theirs");
        detail_spans(d, "acknowledged records damaged", &bad);
        detail(d, DOCTOR_DETAIL,
               "everything else is served; consumers get an error at these offsets");
        detail(d, DOCTOR_NEXT,
               "restore the file from a backup, or delete the records up to there "
               "(DeleteRecords)");
    }
    spans_fini(&bad);
    struct span s = {run->partition, run->base_offset, run->next_offset, run->leader_epoch};
    partition_saw(d, c->name, run->pos, false, &s, run->batches, run->bytes);
}

static void runs_check(struct pack_check *c)
{
    struct doctor *d = c->d;
    const struct pack_shape *shape = &c->shape;
    struct pack_run *runs = mem_alloc(((size_t)shape->run_count + 1) * sizeof(*runs));
    if (pack_check_runs(shape, c->file.data + shape->runs_pos, runs) != OK) {
        damage(d, MSG_check_pack_lost, c->name, shape->runs_pos,
               "the pack's index disagrees with its checksum");
        pack_lost(c);
        mem_free(runs);
        return;
    }
    if (crc32c(c->file.data + shape->producers_pos, shape->producers_bytes) !=
        shape->producers_crc) {
        damage(d, MSG_check_pack_producers, c->name, shape->producers_pos,
               "the pack's table of producers disagrees with its checksum");
        detail(d, DOCTOR_PRICE, "no record is lost, but brokers refuse this directory");
        pack_fault(d, c->id, PACK_PRODUCERS_LOST);
    }
    u64 live = 0;
    for (u32 i = 0; i < shape->run_count; i++) {
        const struct meta_topic *t;
        u32 index;
        bool lives = meta_partition_owner(d->meta, runs[i].partition, &t, &index) &&
                     runs[i].next_offset > meta_log_start(d->meta, runs[i].partition);
        live += lives ? runs[i].bytes : 0;
        run_check(c, &runs[i]);
    }
    const struct doctor_number numbers[] = {
        {"bytes", c->file.size}, {"runs", shape->run_count}, {"live_bytes", live}};
    tell_numbers(d, DOCTOR_PACK, c->name, numbers, ARRAY_LEN(numbers),
                 "%s: %llu bytes, %u runs, %llu bytes of it live", c->name,
                 (unsigned long long)c->file.size, shape->run_count, (unsigned long long)live);
    mem_free(runs);
}

static void pack_check(struct doctor *d, const struct meta_pack *pack)
{
    struct pack_check c = {.d = d, .id = pack->id};
    (void)snprintf(c.name, sizeof(c.name), "packs/%016llx", (unsigned long long)pack->id);
    err_t e = file_load(d, c.name, &c.file);
    const char *what;
    if (e != OK) {
        d->failures += e != ERR_NOT_FOUND;
        damage(d, MSG_check_pack_lost, c.name, 0, "the metadata names this pack, but it %s%s",
               e == ERR_NOT_FOUND ? "is missing" : "cannot be read: ",
               e == ERR_NOT_FOUND ? "" : err_name(e));
        pack_lost(&c);
    } else if (c.file.size != pack->bytes || c.file.size < DOCTOR_UNIT) {
        damage(d, MSG_check_pack_lost, c.name, c.file.size,
               "the pack has %llu bytes and should have %llu", (unsigned long long)c.file.size,
               (unsigned long long)pack->bytes);
        pack_lost(&c);
    } else if (pack_check_ends(c.file.data, c.file.data + c.file.size - PACK_CHECK_TRAILER_BYTES,
                               d->cluster, pack->id, c.file.size, &c.shape, &what) != OK) {
        damage(d, MSG_check_pack_lost, c.name,
               strcmp(what, "header") == 0 ? 0 : c.file.size - PACK_CHECK_TRAILER_BYTES,
               "the pack's %s is damaged", what);
        pack_lost(&c);
    } else {
        runs_check(&c);
    }
    file_free(&c.file);
}

void check_packs(struct doctor *d)
{
    u32 count;
    const struct meta_pack *packs = meta_packs(d->meta, &count);
    for (d->place = 0; d->place < count; d->place++) {
        pack_check(d, &packs[d->place]);
    }
}

static bool pack_named(const struct doctor *d, u64 id)
{
    u32 count;
    const struct meta_pack *packs = meta_packs(d->meta, &count);
    for (u32 i = 0; i < count; i++) {
        if (packs[i].id == id) {
            return true;
        }
    }
    return false;
}

/* Last of all: a stray pack may be all that is left of something, so it goes only when nothing else
   is wrong. Then there may be hundreds, and the first few are named. */
void check_stray_packs(struct doctor *d)
{
    struct names names;
    if (folder_list(d, "packs", &names) != OK) {
        damage(d, MSG_check_unreadable, "packs", 0, "the folder cannot be listed");
        detail(d, DOCTOR_NEXT, "restore it from a backup");
        return;
    }
    bool safe = d->meta_whole && d->damages == d->repaired;
    u32 strays = 0;
    for (u32 i = 0; i < names.count; i++) {
        const char *name = names.items[i];
        u64 id;
        if (strlen(name) != 16 || !name_hex(name, 16, &id)) {
            note_foreign(d, "packs/", name);
        } else if (!pack_named(d, id)) {
            strays++;
            if (strays > STRAYS_NAMED && safe && !d->repair) {
                continue;
            }
            char file[FILE_NAME_MAX];
            (void)snprintf(file, sizeof(file), "packs/%.16s", name);
            note(d, MSG_check_unfinished, file, DOCTOR_NO_BYTE,
                 "packs/%s: a stray pack, of filing that was interrupted or to be used again; the "
                 "metadata does not name it and nothing in it is needed%s",
                 name, safe ? "" : ", if the metadata is right");
            if (d->repair && safe) {
                err_t e = file_remove(d, "packs", name);
                d->failures += e != OK;
                if (e == OK) {
                    detail(d, DOCTOR_REPAIRED, "removed");
                } else {
                    detail_failed(d, e);
                }
            } else if (safe) {
                detail(d, DOCTOR_NEXT, "the next start of a broker removes it, or --repair does");
            } else {
                detail(d, DOCTOR_DETAIL, "it stays until the damage above is dealt with");
            }
        }
    }
    if (strays > STRAYS_NAMED && safe && !d->repair) {
        note(d, MSG_check_unfinished, "packs", DOCTOR_NO_BYTE, "packs: %u more stray packs",
             strays - STRAYS_NAMED);
        detail(d, DOCTOR_NEXT, "as for the first %d", STRAYS_NAMED);
    }
    names_free(&names);
}

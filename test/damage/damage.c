/* One random mutation of the last stage. */
#include "damage.h"

#include <string.h>

enum { SECTOR = 512 };

const char *const mutation_names[MUTATION_KINDS] = {
    "bit flip",      "zeroed sector", "truncation",   "sectors swapped",
    "files swapped", "stale file",    "missing file", "extra file",
};

/* Half of the time a file that has what a start needs, wherever that is large: a byte of a frame or
   of a pack is more interesting than one of the zeros behind them. */
static u64 place_pick(const struct model *m, struct rng *rng, struct image *i,
                      struct image_file **file)
{
    if (rng_chance(rng, 3, 4)) {
        const struct region *r = &m->regions[rng_below(rng, m->region_count)];
        *file = image_find(i, r->file);
        if (r->to > r->from) {
            return rng_between(rng, r->from, r->to - 1);
        }
    }
    do {
        *file = &i->files[rng_below(rng, i->count)];
    } while ((*file)->size == 0);
    return rng_below(rng, (*file)->size);
}

static struct image_file *file_pick(struct rng *rng, struct image *i)
{
    return &i->files[rng_below(rng, i->count)];
}

static void touches(struct mutation *mu, u32 which, const struct image_file *f)
{
    (void)snprintf(mu->files[which], NAME_BYTES, "%s", f->name);
}

static void flip(const struct model *m, struct rng *rng, struct image *i, struct mutation *mu)
{
    struct image_file *f;
    u64 at = place_pick(m, rng, i, &f);
    u32 bit = (u32)rng_below(rng, 8);
    f->bytes[at] ^= (u8)(1u << bit);
    touches(mu, 0, f);
    (void)snprintf(mu->text, sizeof(mu->text), "bit %u of byte %llu of %s flipped", bit,
                   (unsigned long long)at, f->name);
}

static void zero(const struct model *m, struct rng *rng, struct image *i, struct mutation *mu)
{
    struct image_file *f;
    u64 at = place_pick(m, rng, i, &f) / SECTOR * SECTOR;
    memset(f->bytes + at, 0, MIN((u64)SECTOR, f->size - at));
    touches(mu, 0, f);
    (void)snprintf(mu->text, sizeof(mu->text), "sector at byte %llu of %s zeroed",
                   (unsigned long long)at, f->name);
}

static void truncate_one(const struct model *m, struct rng *rng, struct image *i,
                         struct mutation *mu)
{
    struct image_file *f;
    u64 at = place_pick(m, rng, i, &f);
    f->size = rng_chance(rng, 1, 2) ? at / SECTOR * SECTOR : at;
    touches(mu, 0, f);
    (void)snprintf(mu->text, sizeof(mu->text), "%s truncated to %llu bytes", f->name,
                   (unsigned long long)f->size);
}

static void swap_sectors(const struct model *m, struct rng *rng, struct image *i,
                         struct mutation *mu)
{
    struct image_file *f[2];
    u64 at[2];
    u8 sector[SECTOR];
    for (u32 k = 0; k < 2; k++) {
        do {
            at[k] = place_pick(m, rng, i, &f[k]) / SECTOR * SECTOR;
        } while (f[k]->size - at[k] < SECTOR && f[k]->size >= SECTOR);
        if (f[k]->size < SECTOR) {
            flip(m, rng, i, mu); /* a file of less than a sector has nothing to swap */
            return;
        }
        touches(mu, k, f[k]);
    }
    memcpy(sector, f[0]->bytes + at[0], SECTOR);
    memmove(f[0]->bytes + at[0], f[1]->bytes + at[1], SECTOR);
    memcpy(f[1]->bytes + at[1], sector, SECTOR);
    (void)snprintf(mu->text, sizeof(mu->text),
                   "sectors at byte %llu of %s and byte %llu of %s swapped",
                   (unsigned long long)at[0], f[0]->name, (unsigned long long)at[1], f[1]->name);
}

static void swap_files(struct rng *rng, struct image *i, struct mutation *mu)
{
    struct image_file *a = file_pick(rng, i);
    struct image_file *b = file_pick(rng, i);
    u8 *bytes = a->bytes;
    u64 size = a->size;
    a->bytes = b->bytes;
    a->size = b->size;
    b->bytes = bytes;
    b->size = size;
    touches(mu, 0, a);
    touches(mu, 1, b);
    (void)snprintf(mu->text, sizeof(mu->text), "%s and %s swapped", a->name, b->name);
}

/* As it was at an earlier stage, also if it is gone since. */
static void stale(const struct model *m, struct rng *rng, struct image *i, struct mutation *mu)
{
    u32 stage = (u32)rng_below(rng, STAGES - 1);
    struct image *earlier = (struct image *)(uintptr_t)&m->stages[stage];
    const struct image_file *f = file_pick(rng, earlier);
    image_put(i, f->name, f->bytes, f->size);
    touches(mu, 0, f);
    (void)snprintf(mu->text, sizeof(mu->text), "%s as it was at stage %u", f->name, stage);
}

static void missing(struct rng *rng, struct image *i, struct mutation *mu)
{
    struct image_file *f = file_pick(rng, i);
    touches(mu, 0, f);
    (void)snprintf(mu->text, sizeof(mu->text), "%s removed", f->name);
    image_drop(i, mu->files[0]);
}

/* A copy of another file, or nonsense, under a name that a home may take for its own. */
static void extra(struct rng *rng, struct image *i, struct mutation *mu)
{
    char name[NAME_BYTES];
    unsigned long long id = rng_below(rng, 12);
    unsigned number = (unsigned)rng_below(rng, 8);
    switch (rng_below(rng, 5)) {
    case 0:
        (void)snprintf(name, sizeof(name), "wal/%016llx-%08x", id, number);
        break;
    case 1:
        (void)snprintf(name, sizeof(name), "packs/%016llx", id);
        break;
    case 2:
        (void)snprintf(name, sizeof(name), "meta/%016llx.%c", id, number % 2 == 0 ? 'a' : 'b');
        break;
    case 3:
        (void)snprintf(name, sizeof(name), "wal/core.%u", number);
        break;
    default:
        (void)snprintf(name, sizeof(name), "notes-%u.txt", number);
        break;
    }
    const struct image_file *f = file_pick(rng, i);
    u8 noise[SECTOR];
    rng_fill(rng, noise, sizeof(noise));
    bool copied = rng_chance(rng, 1, 2);
    (void)snprintf(mu->files[0], NAME_BYTES, "%s", name);
    (void)snprintf(mu->text, sizeof(mu->text), "%s added, %s%s", name,
                   copied ? "a copy of " : "noise", copied ? f->name : "");
    image_put(i, name, copied ? f->bytes : noise, copied ? f->size : sizeof(noise));
}

void mutation_make(const struct model *m, struct rng *rng, struct image *out,
                   struct mutation *mutation)
{
    *mutation = (struct mutation){.kind = (enum mutation_kind)rng_below(rng, MUTATION_KINDS)};
    image_copy(out, &m->stages[STAGES - 1]);
    switch (mutation->kind) {
    case MUTATION_FLIP:
        flip(m, rng, out, mutation);
        break;
    case MUTATION_ZERO:
        zero(m, rng, out, mutation);
        break;
    case MUTATION_TRUNCATE:
        truncate_one(m, rng, out, mutation);
        break;
    case MUTATION_SWAP_SECTORS:
        swap_sectors(m, rng, out, mutation);
        break;
    case MUTATION_SWAP_FILES:
        swap_files(rng, out, mutation);
        break;
    case MUTATION_STALE:
        stale(m, rng, out, mutation);
        break;
    case MUTATION_MISSING:
        missing(rng, out, mutation);
        break;
    default:
        extra(rng, out, mutation);
        break;
    }
}

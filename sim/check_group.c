/* The promises about consumer groups (check_group.h). */
#include "sim/check_group.h"

#include <stdio.h>
#include <string.h>

static const char *const promise_floor = "a committed offset never goes back";
static const char *const promise_owner = "a partition has one owner in a generation";
static const char *const promise_stale = "a commit of an old generation takes no effect";
static const char *const promise_processed = "every record is processed at least once";
static const char *const promise_generation = "generations never go back";
static const char *const promise_commit = "what is committed was committed by a member";

void ledger_group_init(struct ledger_group *g, struct world *w, const char *name)
{
    *g = (struct ledger_group){.world = w};
    (void)snprintf(g->name, sizeof g->name, "%s", name);
}

void ledger_group_fini(struct ledger_group *g)
{
    for (u32 i = 0; i < g->partition_count; i++) {
        mem_free(g->partitions[i].processed);
    }
    mem_free(g->generations);
    mem_free(g->commits);
}

void ledger_group_add(struct ledger_group *g, struct ledger_topic *t)
{
    assert(g->partition_count + t->partition_count <= GROUP_PARTITIONS_MAX);
    for (u32 i = 0; i < t->partition_count; i++) {
        g->partitions[g->partition_count++] =
            (struct ledger_group_partition){.at = &t->partitions[i], .floor = -1};
    }
}

i32 ledger_group_find(const struct ledger_group *g, const struct ledger_topic *t, i32 partition)
{
    for (u32 i = 0; i < g->partition_count; i++) {
        const struct ledger_partition *at = g->partitions[i].at;
        if (at->topic == t && at->index == partition) {
            return (i32)i;
        }
    }
    return -1;
}

void ledger_group_broker_began(struct ledger_group *g)
{
    g->life++;
    g->joined = 0;
    if (g->doubt_until_ns != UINT64_MAX) {
        g->doubt_until_ns = 0; /* what was on its way to the broker before is gone */
    }
}

struct ledger_question ledger_group_ask(const struct ledger_group *g)
{
    return (struct ledger_question){g->incarnation, g->life, g->delivered};
}

/* ---- generations and owners ------------------------------------------------------------------ */

static bool counts(const struct ledger_group *g, const struct ledger_question *asked)
{
    return asked->incarnation == g->incarnation && !ledger_group_in_doubt(g);
}

void ledger_group_joined(struct ledger_group *g, const struct ledger_question *asked,
                         i32 generation, const char *who)
{
    if (!counts(g, asked)) {
        return;
    }
    if (generation < asked->delivered) {
        world_fail(g->world, promise_generation,
                   "%s: %s joined generation %d when %d had its assignments", g->name, who,
                   generation, asked->delivered);
    }
    if (asked->life == g->life) {
        g->joined = MAX(g->joined, generation);
    }
}

static struct ledger_generation *generation_get(struct ledger_group *g, i32 number)
{
    for (u32 i = g->generation_count; i-- > 0;) {
        if (g->generations[i].number == number) {
            return &g->generations[i];
        }
    }
    g->generations =
        mem_resize(g->generations, (g->generation_count + 1) * sizeof g->generations[0]);
    struct ledger_generation *made = &g->generations[g->generation_count++];
    *made = (struct ledger_generation){.number = number};
    return made;
}

void ledger_group_assigned(struct ledger_group *g, const struct ledger_question *asked,
                           i32 generation, const char *who, const u32 *partitions, u32 count)
{
    if (!counts(g, asked)) {
        return;
    }
    struct ledger_generation *of = generation_get(g, generation);
    for (u32 i = 0; i < count; i++) {
        char *owner = of->owners[partitions[i]];
        if (owner[0] != 0 && strcmp(owner, who) != 0) {
            const struct ledger_partition *at = g->partitions[partitions[i]].at;
            world_fail(g->world, promise_owner, "%s generation %d: %s-%d belongs to %s and to %s",
                       g->name, generation, at->topic->name, at->index, owner, who);
        }
        (void)snprintf(owner, GROUP_WHO_BYTES, "%s", who);
    }
    g->delivered = MAX(g->delivered, generation);
}

/* ---- commits --------------------------------------------------------------------------------- */

u32 ledger_group_commit(struct ledger_group *g, u32 partition, i64 offset, i32 generation,
                        bool evicted, char metadata[GROUP_METADATA_BYTES])
{
    if (g->commit_count == g->commit_cap) {
        g->commit_cap = MAX(2 * g->commit_cap, 64u);
        g->commits = mem_resize(g->commits, g->commit_cap * sizeof g->commits[0]);
    }
    bool over = generation < g->delivered || generation < g->joined;
    bool stale = evicted || (over && !ledger_group_in_doubt(g));
    g->stale_commits += stale;
    g->commits[g->commit_count] = (struct ledger_commit){
        .partition = partition,
        .epoch = g->partitions[partition].epoch,
        .life = g->life,
        .sent_ns = g->world->now_ns,
        .offset = offset,
        .generation = generation,
        .stale = stale,
    };
    (void)snprintf(metadata, GROUP_METADATA_BYTES, "%u", g->commit_count);
    return g->commit_count++;
}

static void stale_fail(struct ledger_group *g, const struct ledger_commit *c, const char *how)
{
    const struct ledger_partition *at = g->partitions[c->partition].at;
    world_fail(g->world, promise_stale,
               "%s: offset %lld of %s-%d, sent by a member of generation %d that was over (%d had "
               "its assignments), %s",
               g->name, (long long)c->offset, at->topic->name, at->index, c->generation,
               g->delivered, how);
}

void ledger_group_committed(struct ledger_group *g, u32 number, enum commit_outcome outcome)
{
    struct ledger_commit *c = &g->commits[number];
    struct ledger_group_partition *p = &g->partitions[c->partition];
    c->outcome = outcome;
    c->over_ns = g->world->now_ns;
    g->refused_commits += outcome == COMMIT_REFUSED;
    if (outcome != COMMIT_ACKED) {
        return;
    }
    g->acked_commits++;
    if (c->stale) {
        stale_fail(g, c, "was acknowledged");
    }
    bool doubtful = ledger_group_in_doubt(g) && g->doubt_until_ns != UINT64_MAX;
    if (c->epoch == p->epoch && !doubtful && c->offset >= p->floor) {
        p->floor = c->offset;
        p->floor_commit = number;
    }
}

static const struct ledger_commit *commit_find(const struct ledger_group *g, struct slice metadata)
{
    u32 number = 0;
    for (size_t i = 0; i < metadata.len; i++) {
        if (metadata.ptr[i] < '0' || metadata.ptr[i] > '9' || number > g->commit_count) {
            return NULL;
        }
        number = number * 10 + (metadata.ptr[i] - (u32)'0');
    }
    return metadata.len > 0 && number < g->commit_count ? &g->commits[number] : NULL;
}

/* An unanswered commit that was overtaken by the one that made the floor. */
static bool came_late(const struct ledger_group *g, const struct ledger_group_partition *p,
                      const struct ledger_commit *c)
{
    const struct ledger_commit *floor = &g->commits[p->floor_commit];
    return c != NULL && c->outcome == COMMIT_LOST && c->life == floor->life &&
           floor->sent_ns < c->over_ns + GROUP_DOUBT_NS;
}

void ledger_group_told(struct ledger_group *g, u32 partition, i64 floor, u32 epoch, i64 offset,
                       struct slice metadata, const char *who)
{
    struct ledger_group_partition *p = &g->partitions[partition];
    const struct ledger_partition *at = p->at;
    const struct ledger_commit *c = commit_find(g, metadata);
    bool below = p->epoch == epoch && !ledger_group_in_doubt(g) && offset < floor;
    if (below && came_late(g, p, c)) {
        p->floor = MIN(p->floor, offset);
    } else if (below) {
        world_fail(g->world, promise_floor,
                   "%s: %s was told %lld of %s-%d after %lld had been acknowledged", g->name, who,
                   (long long)offset, at->topic->name, at->index, (long long)floor);
        return;
    }
    if (offset == -1) {
        return;
    }
    if (c == NULL || c->partition != partition || c->offset != offset) {
        world_fail(g->world, promise_commit, "%s: %s was told %lld of %s-%d with metadata \"%.*s\"",
                   g->name, who, (long long)offset, at->topic->name, at->index, (int)metadata.len,
                   metadata.len > 0 ? (const char *)metadata.ptr : "");
    } else if (c->stale) {
        stale_fail(g, c, "stands as committed");
    } else if (c->outcome == COMMIT_REFUSED) {
        world_fail(g->world, promise_commit, "%s: %s was told %lld of %s-%d, which was refused",
                   g->name, who, (long long)offset, at->topic->name, at->index);
    } else if (p->processed_below < (u64)offset) {
        world_fail(g->world, promise_processed,
                   "%s: %s-%d is committed up to %lld, but nobody has processed %llu", g->name,
                   at->topic->name, at->index, (long long)offset,
                   (unsigned long long)p->processed_below);
    }
}

void ledger_group_processed(struct ledger_group *g, u32 partition, u64 from, u64 to)
{
    struct ledger_group_partition *p = &g->partitions[partition];
    if (to > p->processed_cap) {
        u64 cap = MAX(2 * p->processed_cap, MAX(to, (u64)256));
        p->processed = mem_resize(p->processed, cap);
        memset(p->processed + p->processed_cap, 0, cap - p->processed_cap);
        p->processed_cap = cap;
    }
    if (to > from) {
        memset(p->processed + from, 1, to - from);
    }
    while (p->processed_below < p->processed_cap && p->processed[p->processed_below] != 0) {
        p->processed_below++;
    }
}

/* ---- deletion -------------------------------------------------------------------------------- */

bool ledger_group_in_doubt(const struct ledger_group *g)
{
    return g->world->now_ns < g->doubt_until_ns;
}

void ledger_group_doubt(struct ledger_group *g)
{
    g->doubt_until_ns = UINT64_MAX;
}

void ledger_group_doubt_over(struct ledger_group *g)
{
    g->doubt_until_ns = 0;
}

void ledger_group_deleted(struct ledger_group *g, i32 partition, bool sure)
{
    g->doubt_until_ns = sure ? 0 : g->world->now_ns + GROUP_DOUBT_NS;
    for (u32 i = 0; i < g->partition_count; i++) {
        if (partition < 0 || (u32)partition == i) {
            g->partitions[i].floor = -1;
            g->partitions[i].epoch++;
        }
    }
    if (partition < 0) {
        g->incarnation++;
        g->delivered = 0;
        g->joined = 0;
        g->generation_count = 0;
    }
}

/* ---- the end --------------------------------------------------------------------------------- */

bool ledger_group_done(const struct ledger_group *g)
{
    for (u32 i = 0; i < g->partition_count; i++) {
        const struct ledger_group_partition *p = &g->partitions[i];
        u64 end = p->at->floor;
        if (p->processed_below < end || MAX(p->floor, 0) < (i64)end) {
            return false;
        }
    }
    return true;
}

u64 ledger_group_progress(const struct ledger_group *g)
{
    u64 sum = 0;
    for (u32 i = 0; i < g->partition_count; i++) {
        sum += g->partitions[i].processed_below + (u64)(g->partitions[i].floor + 1);
    }
    return sum;
}

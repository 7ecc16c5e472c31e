/* Start and takeover: a restart is a failover to itself. See cluster.h.

   Happy path of cluster_start
     home_open -> home_meta_replay (snapshot, then slots) -> for every WAL that still holds data, in order: log_recover_wal
     -> one metadata slot: SealWal for each session that was not sealed, Register for ours -> log_start_wal

   How it fails: the directory is somebody else's, damaged or locked: cluster_reason has the sentence, nothing was written. */
#include "cluster/cluster_private.h"

#include <stdio.h>
#include <string.h>

struct cluster *cluster_create(const struct cluster_params *params)
{
    struct cluster *c = mem_alloc(sizeof *c);
    c->params = *params;
    if (c->params.snapshot_every == 0) {
        c->params.snapshot_every = 1024;
    }
    c->meta = meta_create();
    metalog_init(c);
    producer_ids_init(c);
    return c;
}

void cluster_destroy(struct cluster *c)
{
    metalog_fini(c);
    meta_destroy(c->meta);
    mem_free(c);
}

const char *cluster_reason(const struct cluster *c)
{
    return c->reason;
}

struct uuid cluster_id(const struct cluster *c)
{
    return c->id;
}

const struct meta *cluster_meta(const struct cluster *c)
{
    return c->meta;
}

static MUST_USE err_t explain(struct cluster *c, const char *doing, err_t e)
{
    const char *why = home_reason(c->params.home);
    snprintf(c->reason, sizeof c->reason, "%s: %s\n%s", doing, err_name(e), why);
    return e;
}

/* ---- replay of the metadata log ------------------------------------------------------------------------- */

static err_t replay_snapshot(void *user, u64 next_slot, struct slice payload)
{
    struct cluster *c = user;
    (void)next_slot;
    return meta_snapshot_load(c->meta, payload);
}

static err_t replay_slot(void *user, u64 slot, struct slice payload)
{
    struct cluster *c = user;
    (void)slot;
    c->slots_since_snapshot++;
    return metalog_apply_payload(c, payload, NULL, 0);
}

void cluster_apply(struct cluster *c, const struct meta_command *command, struct meta_outcome *out)
{
    if (command->kind == META_DELETE_TOPIC) {
        const struct meta_topic *t = meta_topic_by_id(c->meta, command->delete_topic.id);
        u32 count = t == NULL ? 0 : t->partition_count;
        for (u32 i = 0; i < count; i++) {
            log_partition_remove(c->params.log, meta_partition_id(t, i));
        }
    }
    meta_apply(c->meta, command, out);
}

/* ---- takeover ---------------------------------------------------------------------------------------------- */

static bool is_wanted(void *user, u32 partition_id)
{
    const struct cluster *c = user;
    const struct meta_topic *t;
    u32 index;
    return meta_partition_owner(c->meta, partition_id, &t, &index);
}

/* Reads every WAL that holds data, and finds where the unsealed ones end. */
static MUST_USE err_t recover_wals(struct cluster *c, struct meta_command *seals, u32 *seal_count)
{
    for (u32 i = 0; i < meta_session_count(c->meta); i++) {
        const struct meta_session *s = meta_session_at(c->meta, i);
        if (s->retired) {
            continue;
        }
        u64 length;
        err_t e = log_recover_wal(c->params.log, s->wal, s->nonce, s->sealed ? s->length : UINT64_MAX, is_wanted, c, &length);
        if (e != OK) {
            return explain(c, "the log of an earlier run cannot be read", e);
        }
        if (!s->sealed) {
            seals[(*seal_count)++] = (struct meta_command){.kind = META_SEAL_WAL, .seal = {.wal = s->wal, .length = length}};
        }
    }
    return OK;
}

/* WALs without data: their files go. Nothing refers to them, so a crash here only leaves them for the next start. */
static void remove_retired(struct cluster *c)
{
    for (u32 i = 0; i < meta_session_count(c->meta); i++) {
        const struct meta_session *s = meta_session_at(c->meta, i);
        if (s->retired) {
            home_wal_remove(c->params.home, s->wal);
        }
    }
}

static MUST_USE err_t commit_now(struct cluster *c, const struct meta_command *commands, u32 count)
{
    size_t bytes;
    u8 *payload = metalog_payload(commands, count, &bytes);
    err_t e = home_meta_write_now(c->params.home, c->next_slot, slice_of(payload, bytes));
    if (e == OK) {
        c->next_slot++;
        c->slots_since_snapshot++;
        e = metalog_apply_payload(c, slice_of(payload, bytes), NULL, 0);
    }
    mem_free(payload);
    return e;
}

err_t cluster_start(struct cluster *c)
{
    err_t e = home_open(c->params.home, &c->id);
    if (e != OK) {
        return explain(c, "the data directory cannot be used", e);
    }
    struct home_meta_visitor visitor = {.user = c, .snapshot = replay_snapshot, .slot = replay_slot};
    e = home_meta_replay(c->params.home, &visitor, &c->next_slot);
    if (e != OK) {
        return explain(c, "the metadata log cannot be read", e);
    }
    u32 sessions = meta_session_count(c->meta);
    struct meta_command *commands = mem_alloc((sessions + 1) * sizeof *commands);
    u32 count = 0;
    e = recover_wals(c, commands, &count);
    u64 wal = meta_next_wal(c->meta);
    u64 nonce = 0;
    io_random(c->params.io, &nonce, sizeof nonce);
    if (e == OK) {
        commands[count++] = (struct meta_command){
            .kind = META_REGISTER, .reg = {.node = c->params.node_id, .wal = wal, .nonce = nonce}};
        e = commit_now(c, commands, count);
        if (e != OK) {
            e = explain(c, "the metadata log cannot be written", e);
        }
    }
    mem_free(commands);
    if (e == OK) {
        remove_retired(c);
        e = log_start_wal(c->params.log, c->id, wal, nonce);
        if (e != OK) {
            e = explain(c, "this run's log cannot be started", e);
        }
    }
    if (e == OK) {
        io_hook_add(c->params.io, &c->hook, IO_HOOK_META);
    }
    return e;
}

struct partition *cluster_partition(struct cluster *c, const struct meta_topic *t, i32 partition_index)
{
    if (partition_index < 0 || (u32)partition_index >= t->partition_count) {
        return NULL;
    }
    return log_partition(c->params.log, meta_partition_id(t, (u32)partition_index), meta_leader_epoch(c->meta, t));
}

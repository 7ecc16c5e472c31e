/* Start. On one machine a restart is a failover to itself, and this is the failover.

   Happy path of cluster_start
     1. home_open: the directory is ours and nobody else has it
     2. home_meta_replay: the newest snapshot, then every slot after it, into the state; no WAL may
        be newer than it
     3. the packs that the state names are read into the log's index, others are swept; then, for
        every session, in order of its WAL: a retired one's files go; any other one's WAL is
        replayed into the log, and if it is not sealed, its length is found; files of other WALs
        are swept
     4. one metadata slot: SealWal for each that was not sealed (a clean stop seals: cluster_drain),
        Register for us; the files of those that retire by it go
     5. partitions start where the metadata says, whatever the WALs still hold below
     6. log_start_wal: this session's own WAL

   How it fails: at 1 and 2 the home says why, or a slot cannot be read by this program. At 3 a WAL
   is damaged or does not fit into memory. At 4 there is no room, or the medium fails. Until 4
   nothing of the data was changed but damaged or torn ends that the home repaired; each start does
   it all again. A crash between 4 and 6 leaves a session without slots, which the next start seals
   at 0. */
#include "cluster/cluster_private.h"

#include <stdio.h>
#include <string.h>

/* ---- replay of the metadata log -------------------------------------------------------------- */

static err_t replay_snapshot(void *user, u64 next_slot, struct slice payload)
{
    struct cluster *c = user;
    c->metalog.slots_since_snapshot = 0;
    err_t e = meta_snapshot_load(c->meta, payload);
    if (e == ERR_VERSION) {
        return cluster_fail(c, e,
                            "The metadata snapshot before slot %llu was written by a newer "
                            "Odradek. Start the newer program.",
                            (unsigned long long)next_slot);
    }
    if (e != OK) {
        return cluster_fail(c, e,
                            "The metadata snapshot before slot %llu agrees with its checksum but "
                            "makes no sense (%s). Nothing was changed; restore the directory from "
                            "a backup and report this, it is a defect.",
                            (unsigned long long)next_slot, err_name(e));
    }
    seen("cluster: a start from a snapshot");
    return OK;
}

static err_t replay_slot(void *user, u64 slot, struct slice payload)
{
    struct cluster *c = user;
    c->metalog.slots_since_snapshot++;
    return metalog_replay(c, slot, payload);
}

static MUST_USE err_t replay_metadata(struct cluster *c)
{
    const struct home_meta_visitor visitor = {
        .user = c,
        .snapshot = replay_snapshot,
        .slot = replay_slot,
    };
    err_t e = home_meta_replay(c->params.home, &visitor, &c->metalog.next_slot);
    if (e != OK && c->reason[0] == '\0') {
        return cluster_fail(c, e, "%s", home_reason(c->params.home));
    }
    return e;
}

/* ---- the predecessors' WALs ------------------------------------------------------------------ */

static bool partition_exists(void *user, u32 partition_id)
{
    const struct cluster *c = user;
    const struct meta_topic *topic;
    u32 index;
    return meta_partition_owner(c->meta, partition_id, &topic, &index);
}

static u64 partition_start(void *user, u32 partition_id)
{
    const struct cluster *c = user;
    return meta_log_start(c->meta, partition_id);
}

static struct log_wanted wanted_of(struct cluster *c)
{
    return (struct log_wanted){
        .user = c,
        .exists = partition_exists,
        .log_start = partition_start,
    };
}

/* The home's own words if it found what is wrong; otherwise it is the log that objected. */
static MUST_USE err_t explain_wal(struct cluster *c, u64 wal, err_t e, const char *before)
{
    const char *reason = home_reason(c->params.home);
    unsigned long long id = wal;
    if (reason[0] != '\0' && strcmp(reason, before) != 0) {
        return cluster_fail(c, e, "%s", reason);
    }
    if (e == ERR_NO_MEMORY) {
        return cluster_fail(c, e,
                            "WAL %016llx cannot be replayed within the memory budget. Nothing was "
                            "changed; start with a larger --memory.",
                            id);
    }
    return cluster_fail(
        c, e,
        "WAL %016llx cannot be replayed (%s): its frames are whole, but the offsets "
        "of a partition do not follow each other. Nothing was changed; restore the "
        "directory from a backup and report this, it is a defect.",
        id, err_name(e));
}

static MUST_USE err_t recover_session(struct cluster *c, const struct meta_session *s, u64 *length)
{
    char before[CLUSTER_REASON_BYTES];
    snprintf(before, sizeof(before), "%s", home_reason(c->params.home));
    const struct log_wal wal = {
        .id = s->wal,
        .nonce = s->nonce,
        .trim = s->trim,
        .sealed_length = s->sealed ? s->length : UINT64_MAX,
    };
    const struct log_wanted wanted = wanted_of(c);
    err_t e = log_recover_wal(c->params.log, &wal, &wanted, length);
    const char *note = home_reason(c->params.home);
    if (e == OK && strcmp(note, before) != 0) {
        diag(MSG_wal_cut_off, D_STR("reason", note));
    }
    return e == OK ? OK : explain_wal(c, s->wal, e, before);
}

err_t cluster_explain_packs(struct cluster *c, err_t e, bool home_knows)
{
    if (home_knows) {
        return cluster_fail(c, e, "%s", home_reason(c->params.home));
    }
    if (e != ERR_CORRUPT) {
        return cluster_fail(c, e,
                            "The index of a pack could not be read (%s), and then it could. "
                            "Nothing was changed; start again, and look at the disk.",
                            err_name(e));
    }
    return cluster_fail(c, e,
                        "The packs cannot be read into the index (%s): their checksums are good, "
                        "but the offsets of a partition do not follow each other. Nothing was "
                        "changed; restore the directory from a backup and report this, it is a "
                        "defect.",
                        err_name(e));
}

static MUST_USE err_t recover_packs(struct cluster *c)
{
    u32 count;
    const struct meta_pack *named = meta_packs(c->meta, &count);
    struct home_pack *packs = mem_alloc(count * sizeof(packs[0]));
    for (u32 i = 0; i < count; i++) {
        packs[i] = (struct home_pack){.id = named[i].id, .bytes = named[i].bytes};
    }
    const struct log_wanted wanted = wanted_of(c);
    err_t e = log_recover_packs(c->params.log, packs, count, meta_next_pack(c->meta), &wanted);
    mem_free(packs);
    return e == OK ? OK : cluster_explain_packs(c, e, home_reason(c->params.home)[0] != '\0');
}

/* Every session; *seals gets a command for each that has no seal yet and has room for all. */
static MUST_USE err_t recover_sessions(struct cluster *c, struct meta_command *seals,
                                       u32 *seal_count)
{
    u32 count = 0;
    for (u32 i = 0; i < meta_session_count(c->meta); i++) {
        const struct meta_session *s = meta_session_at(c->meta, i);
        if (s->retired) {
            /* Nothing refers to it; the Register that follows may forget it. */
            home_wal_remove(c->params.home, s->wal);
            continue;
        }
        u64 length = 0;
        TRY(recover_session(c, s, &length));
        if (s->sealed) {
            continue;
        }
        if (length == s->trim) {
            seen("cluster: a session without data retires");
        }
        seals[count] = (struct meta_command){
            .kind = META_SEAL_WAL,
            .seal = {.wal = s->wal, .length = length},
        };
        count++;
    }
    *seal_count = count;
    return OK;
}

/* Everything that counts was found: what else is in wal/ goes, durably, before the Register that
   follows forgets sessions. */
static MUST_USE err_t sweep_wals(struct cluster *c)
{
    u32 count = meta_session_count(c->meta);
    u64 *wals = mem_alloc(count * sizeof(wals[0]));
    for (u32 i = 0; i < count; i++) {
        wals[i] = meta_session_at(c->meta, i)->wal;
    }
    err_t e = home_wals_sweep(c->params.home, wals, count);
    mem_free(wals);
    return e == OK ? OK : cluster_fail(c, e, "%s", home_reason(c->params.home));
}

static void tell_swept(const struct cluster *c)
{
    struct home_swept swept = home_swept(c->params.home);
    if (swept.extents + swept.packs > 0) {
        diag(MSG_storage_swept, D_UINT("wal_files", swept.extents), D_UINT("packs", swept.packs));
    }
}

/* ---- this session ---------------------------------------------------------------------------- */

static MUST_USE err_t commit_now(struct cluster *c, const struct meta_command *commands, u32 count)
{
    size_t bytes;
    u8 *payload = metalog_payload(commands, count, &bytes);
    u64 slot = c->metalog.next_slot;
    err_t e = home_meta_write_now(c->params.home, slot, slice_of(payload, bytes));
    if (e == OK) {
        c->metalog.next_slot++;
        c->metalog.slots_since_snapshot++;
        e = metalog_replay(c, slot, slice_of(payload, bytes));
        assert(e == OK); /* we have just encoded it */
    } else {
        e = cluster_fail(c, e, "%s", home_reason(c->params.home));
    }
    mem_free(payload);
    return e;
}

/* Sealed just now, without unfiled data: nothing refers to their files, nor would another start.
   They go while producers are served. */
static void retired_go(struct cluster *c)
{
    for (u32 i = 0; i < meta_session_count(c->meta); i++) {
        const struct meta_session *s = meta_session_at(c->meta, i);
        if (s->retired) {
            home_wal_trim(c->params.home, s->wal, UINT64_MAX);
        }
    }
}

static MUST_USE err_t take_over(struct cluster *c, u64 wal, u64 nonce)
{
    u32 sessions = meta_session_count(c->meta);
    struct meta_command *commands = mem_alloc((sessions + 1) * sizeof(*commands));
    u32 count = 0;
    err_t e = recover_packs(c);
    if (e == OK) {
        e = recover_sessions(c, commands, &count);
    }
    if (e == OK) {
        e = sweep_wals(c);
    }
    if (e == OK) {
        commands[count] = (struct meta_command){
            .kind = META_REGISTER,
            .reg = {.node = c->params.node_id, .wal = wal, .nonce = nonce},
        };
        e = commit_now(c, commands, count + 1);
    }
    if (e == OK) {
        retired_go(c);
    }
    mem_free(commands);
    return e;
}

static void log_starts_follow(struct cluster *c)
{
    struct meta_log_start s = {0};
    while (meta_log_start_next(c->meta, &s)) {
        log_start_follow(c, s.partition_id);
    }
}

/* What a start would otherwise pass over in silence: a copy of the metadata that was repaired. */
static void note_repairs(struct cluster *c, const char *note)
{
    if (note[0] != '\0') {
        snprintf(c->reason, sizeof(c->reason), "%s", note);
    }
}

err_t cluster_start(struct cluster *c)
{
    struct home *home = c->params.home;
    c->reason[0] = '\0';
    err_t e = home_open(home, &c->id);
    if (e != OK) {
        return cluster_fail(c, e, "%s", home_reason(home));
    }
    TRY(replay_metadata(c));
    char repairs[CLUSTER_REASON_BYTES];
    snprintf(repairs, sizeof(repairs), "%s", home_reason(home));
    u64 wal = meta_next_wal(c->meta);
    if (home_wals_check(home, wal) != OK) {
        return cluster_fail(c, ERR_CORRUPT, "%s", home_reason(home));
    }
    u64 nonce = 0;
    io_random(c->params.io, &nonce, sizeof(nonce));
    TRY(take_over(c, wal, nonce));
    log_starts_follow(c);
    e = log_start_wal(c->params.log, c->id, wal, nonce);
    if (e != OK) {
        return cluster_fail(c, e, "%s", home_reason(home));
    }
    metalog_start(c);
    tell_swept(c);
    note_repairs(c, repairs);
    return OK;
}

/* What the log has filed or rewritten becomes metadata here: the log hands over (cluster_file,
   cluster_repack), a command is appended, and the log hears what came of it. The broker passes both
   on from log_params, since the log was made before the cluster.

   How it fails: no room for the metadata slot: the log tries again later. A command that is refused
   would mean that log and metadata disagree about what is filed: a defect, so it is an assertion.
 */
#include "cluster/cluster_private.h"

static void outcome_check(err_t result, const struct meta_outcome *outcomes)
{
    assert(result != OK || outcomes[0].kerr == KERR_NONE);
    (void)result;
    (void)outcomes;
}

static void file_done(struct metalog_append *a, err_t result, const struct meta_outcome *outcomes)
{
    struct cluster *c = CONTAINER_OF(a, struct cluster, filing.append);
    outcome_check(result, outcomes);
    log_file_committed(c->params.log, result);
}

void cluster_file(struct cluster *c, const struct log_filed *filed)
{
    struct cluster_filing *f = &c->filing;
    f->command = (struct meta_command){
        .kind = META_FILE_WAL,
        .file_wal =
            {
                .wal = filed->wal,
                .from = filed->from,
                .to = filed->to,
                .pack = {.id = filed->pack.id, .bytes = filed->pack.bytes},
            },
    };
    f->append.done = file_done;
    f->append.commands = &f->command;
    f->append.command_count = 1;
    metalog_append(c, &f->append);
}

static void repack_done(struct metalog_append *a, err_t result, const struct meta_outcome *outcomes)
{
    struct cluster *c = CONTAINER_OF(a, struct cluster, repacking.append);
    outcome_check(result, outcomes);
    log_repack_committed(c->params.log, result);
}

void cluster_repack(struct cluster *c, const struct log_repacked *repacked)
{
    struct cluster_filing *f = &c->repacking;
    f->command = (struct meta_command){
        .kind = META_REPLACE_PACKS,
        .replace_packs =
            {
                .inputs = repacked->inputs,
                .input_count = repacked->input_count,
                .output = {.id = repacked->output.id, .bytes = repacked->output.bytes},
            },
    };
    f->append.done = repack_done;
    f->append.commands = &f->command;
    f->append.command_count = 1;
    metalog_append(c, &f->append);
}

/* Scrubbing is the log's (src/log/scrub.c); what the broker adds is how often, and the names in
   what is said about damage: the file, and the topic. Damage is told once a place, at the end of
   the piece it was found in. */
#include "broker/scrub.h"

#include "broker/config.h"

#include <stdio.h>

enum { PATH_MAX_BYTES = 512 };

void scrub_configure(struct broker *b)
{
    log_scrub_every(b->log, config_i64(b->config, CONFIG_odradek_scrub_period_ms));
}

void scrub_damaged(void *broker, const struct log_damage *damage)
{
    const struct broker *b = broker;
    const char *directory = b->params.data_directory;
    char file[PATH_MAX_BYTES];
    (void)snprintf(file, sizeof(file), "%s/packs/%016llx", directory == NULL ? "" : directory,
                   (unsigned long long)damage->pack);
    if (damage->what != NULL) {
        diag(MSG_pack_index_damaged, D_STR("file", file), D_UINT("byte", damage->at),
             D_STR("part", damage->what), D_STR("error", err_name(damage->why)));
        return;
    }
    const struct meta_topic *topic;
    u32 partition;
    if (!meta_partition_owner(cluster_meta(b->cluster), damage->partition, &topic, &partition)) {
        return; /* its topic was deleted a moment ago */
    }
    diag(MSG_batches_damaged, D_STR("file", file), D_UINT("byte", damage->at),
         D_SLICE("topic", topic->name), D_UINT("partition", partition),
         D_UINT("first_offset", damage->base_offset),
         D_UINT("last_offset", damage->next_offset - 1), D_STR("error", err_name(damage->why)));
}

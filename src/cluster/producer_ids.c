/* Producer ids, from blocks that are durable in the metadata log before the first id of them is
   given away. What is left of a block at a restart is lost: an id is never given twice, and there
   are 2^63 of them.

   Happy path: the block in hand has ids, one is given. When it runs low the next block is fetched
   in time, so that nobody waits; only the first one of a session waits for the first block.
   How it fails: the append fails, or the ids are used up: all who wait are told. */
#include "cluster/cluster_private.h"

enum {
    BLOCK_IDS = 1000,
    REFILL_BELOW = 200, /* ids in hand when the next block is asked for */
};

static void block_done(struct metalog_append *a, err_t result, const struct meta_outcome *outcomes);

void producer_ids_init(struct cluster *c)
{
    list_init(&c->ids.waiters);
}

void producer_ids_fini(struct cluster *c)
{
    while (list_pop_front(&c->ids.waiters) != NULL) {
        /* They are forgotten, their cancel finds them in no list. */
    }
}

static void block_fetch(struct cluster *c)
{
    struct producer_ids *ids = &c->ids;
    if (ids->fetching) {
        return;
    }
    ids->fetching = true;
    ids->command = (struct meta_command){
        .kind = META_ALLOC_PRODUCER_IDS,
        .alloc_producer_ids = {.count = BLOCK_IDS},
    };
    ids->append = (struct metalog_append){
        .done = block_done,
        .commands = &ids->command,
        .command_count = 1,
    };
    metalog_append(c, &ids->append);
}

static void waiters_tell(struct producer_ids *ids, err_t result)
{
    struct list told;
    list_init(&told);
    list_splice(&told, &ids->waiters);
    for (struct list_node *n = list_pop_front(&told); n != NULL; n = list_pop_front(&told)) {
        struct producer_id_waiter *w = CONTAINER_OF(n, struct producer_id_waiter, node);
        w->ready(w, result);
    }
}

static void block_done(struct metalog_append *a, err_t result, const struct meta_outcome *outcomes)
{
    struct cluster *c = CONTAINER_OF(a, struct cluster, ids.append);
    struct producer_ids *ids = &c->ids;
    ids->fetching = false;
    if (result == OK && outcomes[0].kerr != KERR_NONE) {
        result = ERR_LIMIT;
    }
    if (result == OK) {
        assert(ids->spare_next == ids->spare_end);
        ids->spare_next = outcomes[0].first_producer_id;
        ids->spare_end = ids->spare_next + BLOCK_IDS;
    }
    waiters_tell(ids, result);
}

err_t cluster_producer_id(struct cluster *c, i64 *id, struct producer_id_waiter *w)
{
    struct producer_ids *ids = &c->ids;
    if (ids->next == ids->end) {
        ids->next = ids->spare_next;
        ids->end = ids->spare_end;
        ids->spare_next = ids->spare_end;
    }
    bool has_spare = ids->spare_next < ids->spare_end;
    if (!has_spare && ids->end - ids->next <= REFILL_BELOW) {
        block_fetch(c);
    }
    if (ids->next == ids->end) {
        list_push_back(&ids->waiters, &w->node);
        return ERR_AGAIN;
    }
    if (!ids->any) {
        ids->first = ids->next;
        ids->any = true;
    }
    *id = (i64)ids->next;
    ids->next++;
    return OK;
}

bool cluster_producer_id_is_new(const struct cluster *c, i64 id)
{
    const struct producer_ids *ids = &c->ids;
    return id >= 0 && ids->any && (u64)id >= ids->first && (u64)id < ids->next;
}

void cluster_producer_id_cancel(struct producer_id_waiter *w)
{
    if (list_linked(&w->node)) {
        list_remove(&w->node);
    }
}

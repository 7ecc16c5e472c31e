/* Producer ids from blocks that are durable in the metadata log: an id is given once, ever. What is left of a block at a restart is
   lost, which is fine: there are 2^63. */
#include "cluster/cluster_private.h"

enum { BLOCK_IDS = 1000 };

static void block_done(struct metalog_append *a, err_t result, const struct meta_outcome *outcomes);

void producer_ids_init(struct cluster *c)
{
    list_init(&c->producer_waiters);
}

static void block_fetch(struct cluster *c)
{
    if (c->producer_fetching) {
        return;
    }
    c->producer_fetching = true;
    c->producer_command = (struct meta_command){.kind = META_ALLOC_PRODUCER_IDS, .alloc_producer_ids = {.count = BLOCK_IDS}};
    c->producer_append.done = block_done;
    c->producer_append.commands = &c->producer_command;
    c->producer_append.command_count = 1;
    metalog_append(c, &c->producer_append);
}

static void block_done(struct metalog_append *a, err_t result, const struct meta_outcome *outcomes)
{
    struct cluster *c = CONTAINER_OF(a, struct cluster, producer_append);
    c->producer_fetching = false;
    if (result == OK && outcomes[0].kerr == KERR_NONE) {
        c->producer_next = outcomes[0].first_producer_id;
        c->producer_end = c->producer_next + BLOCK_IDS;
    } else if (result == OK) {
        result = ERR_LIMIT;
    }
    struct list waiters;
    list_init(&waiters);
    list_splice(&waiters, &c->producer_waiters);
    struct list_node *node;
    while ((node = list_pop_front(&waiters)) != NULL) {
        struct producer_id_waiter *w = CONTAINER_OF(node, struct producer_id_waiter, node);
        w->ready(w, result);
    }
}

err_t cluster_producer_id(struct cluster *c, i64 *id, struct producer_id_waiter *w)
{
    if (c->producer_next == c->producer_end) {
        block_fetch(c);
        list_push_back(&c->producer_waiters, &w->node);
        return ERR_AGAIN;
    }
    *id = (i64)c->producer_next++;
    return OK;
}

void cluster_producer_id_cancel(struct producer_id_waiter *w)
{
    if (list_linked(&w->node)) {
        list_remove(&w->node);
    }
}

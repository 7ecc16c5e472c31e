/* See change.h. */
#include "broker/change.h"

#include "broker/conn.h"

bool change_init(struct change *c, struct request *r, u32 count_max)
{
    c->r = r;
    c->commands = arena_array(&r->arena, count_max, sizeof *c->commands);
    c->rows = arena_array(&r->arena, count_max, sizeof *c->rows);
    return count_max == 0 || (c->commands != NULL && c->rows != NULL);
}

struct meta_command *change_add(struct change *c, enum meta_command_kind kind, u32 row)
{
    c->rows[c->count] = row;
    struct meta_command *m = &c->commands[c->count++];
    m->kind = kind;
    return m;
}

static void change_done(struct metalog_append *a, err_t result, const struct meta_outcome *outcomes)
{
    struct change *c = CONTAINER_OF(a, struct change, append);
    c->under_way = false;
    for (u32 i = 0; i < c->count; i++) {
        c->outcome(c, c->rows[i], result != OK ? KERR_KAFKA_STORAGE_ERROR : outcomes[i].kerr);
    }
    c->answer(c);
}

static void change_cancelled(struct request *r)
{
    struct change *c = r->state_of_handler;
    if (c->under_way) {
        metalog_forget(&c->append);
    }
}

void change_commit(struct change *c)
{
    if (c->count == 0) {
        c->answer(c);
        return;
    }
    c->r->state_of_handler = c;
    c->r->cancelled = change_cancelled;
    c->append.done = change_done;
    c->append.commands = c->commands;
    c->append.command_count = c->count;
    c->under_way = true;
    metalog_append(c->r->broker->cluster, &c->append);
}

/* See config_live.h. */
#include "broker/config_live.h"

#include "broker/config_rows.h"

#include <stdio.h>
#include <string.h>

/* ---- at the start ---------------------------------------------------------------------------- */

static void print_stderr(const char *text)
{
    fputs(text, stderr);
}

bool config_live_load(struct config_live *l, const struct config_sources *sources)
{
    *l = (struct config_live){.sources = *sources, .config = config_create()};
    config_problems_init(&l->problems);
    config_load(l->config, sources, &l->problems);
    config_check(l->config, &l->problems);
    if (l->problems.errors > 0) {
        config_problems_print(&l->problems, DIAG_WARN, print_stderr);
        return false;
    }
    struct config_problems ignored;
    config_problems_init(&ignored);
    config_listeners_read(l->config, &l->listeners, &ignored);
    config_problems_fini(&ignored);
    return true;
}

/* A line for each warning, one for all keys that have no effect. */
static void problems_tell(const struct config_problems *p)
{
    char keys[1024] = "";
    u32 count = 0;
    for (u32 i = 0; i < p->count; i++) {
        const struct config_problem *item = &p->items[i];
        if (item->code == MSG_config_ignored) {
            size_t len = strlen(keys);
            snprintf(keys + len, sizeof keys - len, "%s%.*s", count > 0 ? " " : "",
                     (int)strcspn(item->what, " "), item->what);
            count++;
        } else {
            diag(item->code, D_STR("what", item->what), D_STR("why", item->why),
                 D_STR("next", item->next));
        }
    }
    if (count > 0) {
        diag(MSG_config_ignored, D_UINT("count", count), D_STR("keys", keys));
    }
}

/* On a worker: the resolver may take its time. */
static void names_resolve(void *arg)
{
    struct config_live *l = arg;
    for (u32 i = 0; i < l->listeners.count; i++) {
        const struct config_listener *at = &l->listeners.items[i];
        l->unresolved[i] = at->advertised_port != 0 && !io_resolves(at->advertised_host);
    }
}

static void names_resolved(struct io_op *op, i64 result)
{
    struct config_live *l = CONTAINER_OF(op, struct config_live, resolving);
    for (u32 i = 0; i < l->listeners.count && result >= 0; i++) {
        if (l->unresolved[i]) {
            const struct config_listener *at = &l->listeners.items[i];
            diag(MSG_advertised_unresolvable, D_STR("listener", at->name),
                 D_STR("host", at->advertised_host), D_UINT("port", at->advertised_port),
                 D_STR("from", config_origin(l->config, CONFIG_advertised_listeners)));
        }
    }
}

void config_live_start(struct config_live *l, struct io *io, struct broker *b,
                       struct notify *notify)
{
    l->io = io;
    l->broker = b;
    l->notify = notify;
    problems_tell(&l->problems);
    bool any = false;
    for (u32 i = 0; i < l->listeners.count; i++) {
        any |= l->listeners.items[i].advertised_port != 0;
    }
    if (any) {
        l->resolving.done = names_resolved;
        io_work(io, &l->resolving, names_resolve, l);
    }
}

/* ---- read again ------------------------------------------------------------------------------ */

static void fresh_read(void *arg)
{
    struct config_live *l = arg;
    config_load(l->fresh, &l->sources, &l->problems);
    config_check(l->fresh, &l->problems);
}

static void key_changed(void *user, enum config_key key)
{
    struct config_live *l = user;
    bool hidden = config_rows[key].type == CONFIG_TYPE_PASSWORD;
    l->changed++;
    if (key == CONFIG_odradek_log_level) {
        broker_configured(l->broker); /* so that the new level decides about this line too */
    }
    diag(MSG_config_changed, D_STR("key", config_rows[key].key),
         D_SLICE("value", hidden ? SLICE_LIT("(hidden)") : config_str(l->config, key)),
         D_STR("from", config_origin(l->config, key)));
}

static void key_needs_restart(void *user, enum config_key key, struct slice wanted)
{
    struct config_live *l = user;
    bool hidden = config_rows[key].type == CONFIG_TYPE_PASSWORD;
    diag(MSG_config_needs_restart, D_STR("key", config_rows[key].key),
         D_SLICE("wanted", hidden               ? SLICE_LIT("(hidden)")
                           : wanted.ptr == NULL ? SLICE_LIT("(default)")
                                                : wanted),
         D_SLICE("in_force", hidden ? SLICE_LIT("(hidden)") : config_str(l->config, key)));
}

static void errors_tell(const struct config_live *l)
{
    for (u32 i = 0; i < l->problems.count; i++) {
        const struct config_problem *item = &l->problems.items[i];
        char text[16];
        snprintf(text, sizeof text, "ODK-%04d", (int)item->code);
        if (diag_row_find(slice_cstr(text))->level == DIAG_ERROR) {
            diag(MSG_config_problem, D_STR("problem", text), D_STR("what", item->what),
                 D_STR("why", item->why), D_STR("next", item->next));
        }
    }
    diag(MSG_config_kept, D_STR("file", l->sources.file), D_UINT("errors", l->problems.errors));
}

static void fresh_adopt(struct config_live *l)
{
    const struct config_change_fns fns = {key_changed, key_needs_restart, l};
    l->changed = 0;
    config_adopt(l->config, l->fresh, &fns);
    problems_tell(&l->problems);
    diag(MSG_config_reloaded, D_STR("file", l->sources.file), D_UINT("changed", l->changed));
    broker_configured(l->broker);
}

static void fresh_done(struct io_op *op, i64 result)
{
    struct config_live *l = CONTAINER_OF(op, struct config_live, reading);
    if (result >= 0 && l->problems.errors > 0) {
        errors_tell(l);
    } else if (result >= 0) {
        fresh_adopt(l);
    }
    notify_reloaded(l->notify);
    config_destroy(l->fresh);
    l->fresh = NULL;
    if (l->again) {
        l->again = false;
        config_live_reload(l);
    }
}

void config_live_reload(struct config_live *l)
{
    if (l->fresh != NULL) {
        l->again = true;
        return;
    }
    notify_reloading(l->notify);
    if (l->sources.file == NULL) {
        diag(MSG_config_reloaded, D_STR("file", "(none)"), D_UINT("changed", 0));
        notify_reloaded(l->notify);
        return;
    }
    config_problems_fini(&l->problems);
    config_problems_init(&l->problems);
    l->fresh = config_create();
    l->reading.done = fresh_done;
    io_work(l->io, &l->reading, fresh_read, l);
}

void config_live_fini(struct config_live *l)
{
    config_problems_fini(&l->problems);
    if (l->fresh != NULL) {
        config_destroy(l->fresh);
    }
    config_destroy(l->config);
}

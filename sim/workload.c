/* All clients of a run together (workload.h). */
#include "sim/crew.h"

#include <stdio.h>

static void topics_plan(struct workload *wl)
{
    struct world *w = wl->world;
    for (u32 i = 0; i < wl->knobs.topic_count; i++) {
        char name[24];
        (void)snprintf(name, sizeof name, "topic-%u", i);
        u32 partitions = (u32)chance_between(w, 1, wl->knobs.partitions_max);
        struct ledger_topic *t = ledger_topic_add(&wl->ledger, name, partitions);
        t->log_append_time = chance(w, 1, 5);
        t->trimmed = wl->knobs.clears || (wl->knobs.trims && chance(w, 2, 3));
        if (t->trimmed && chance(w, 1, 2)) {
            t->limited = true;
            t->retention_bytes = chance(w, 3, 4) ? (i64)chance_between(w, 1, 256 * KIB) : -1;
            t->retention_ms =
                t->retention_bytes < 0 || chance(w, 1, 4) ? (i64)chance_between(w, 100, 5000) : -1;
        }
    }
}

void workload_init(struct workload *wl, struct world *w, struct sim_net *net,
                   const struct workload_knobs *knobs)
{
    assert(knobs->producer_count <= PRODUCERS_MAX);
    assert(knobs->consumer_count <= CONSUMERS_MAX);
    assert(knobs->topic_count <= TOPICS_MAX);
    *wl = (struct workload){.world = w, .net = net, .knobs = *knobs};
    ledger_init(&wl->ledger, w);
    wl->ledger.big_values = knobs->big_values;
    topics_plan(wl);
    wl->admin = admin_create(wl);
    for (u32 i = 0; i < knobs->producer_count; i++) {
        wl->producers[i] = producer_create(wl, i);
    }
    for (u32 i = 0; i < knobs->consumer_count; i++) {
        wl->consumers[i] = consumer_create(wl, i, false);
    }
    wl->crew_count = knobs->crew_count;
    for (u32 i = 0; i < wl->crew_count; i++) {
        wl->crews[i] = crew_create(wl, i);
    }
    if (wl->crew_count > 0) {
        wl->group_admin = group_admin_create(wl);
    }
}

void workload_fini(struct workload *wl)
{
    for (u32 i = 0; i < wl->knobs.producer_count; i++) {
        producer_destroy(wl->producers[i]);
    }
    for (u32 i = 0; i < wl->knobs.consumer_count; i++) {
        consumer_destroy(wl->consumers[i]);
    }
    if (wl->verifier != NULL) {
        consumer_destroy(wl->verifier);
    }
    for (u32 i = 0; i < wl->crew_count; i++) {
        crew_destroy(wl->crews[i]);
    }
    if (wl->group_admin != NULL) {
        group_admin_destroy(wl->group_admin);
    }
    admin_destroy(wl->admin);
    ledger_fini(&wl->ledger);
}

void workload_broker_began(struct workload *wl, bool faulty)
{
    wl->life_began_ns = wl->world->now_ns;
    wl->life_faulty = faulty;
    wl->groups_loaded = false;
    wl->storage_errors = 0;
    for (u32 i = 0; i < wl->crew_count; i++) {
        crew_broker_began(wl->crews[i]);
    }
    if (wl->group_admin != NULL) {
        group_admin_broker_began(wl->group_admin);
    }
}

void workload_quiet(struct workload *wl)
{
    wl->quiet = true;
    for (u32 i = 0; i < wl->knobs.producer_count; i++) {
        producer_quiet(wl->producers[i]);
    }
    for (u32 i = 0; i < wl->knobs.consumer_count; i++) {
        consumer_quiet(wl->consumers[i]);
    }
    admin_quiet(wl->admin);
    for (u32 i = 0; i < wl->crew_count; i++) {
        crew_quiet(wl->crews[i]);
    }
    if (wl->group_admin != NULL) {
        group_admin_quiet(wl->group_admin);
    }
}

bool workload_settled(const struct workload *wl)
{
    for (u32 i = 0; i < wl->knobs.producer_count; i++) {
        if (!producer_settled(wl->producers[i])) {
            return false;
        }
    }
    for (u32 i = 0; i < wl->crew_count; i++) {
        if (!crew_settled(wl->crews[i])) {
            return false;
        }
    }
    return admin_settled(wl->admin);
}

u64 workload_progress(const struct workload *wl)
{
    u64 sum = wl->ledger.acked_batches;
    for (u32 i = 0; i < wl->crew_count; i++) {
        sum += crew_progress(wl->crews[i]);
    }
    return sum + (wl->verifier == NULL ? 0 : consumer_progress(wl->verifier));
}

void workload_groups_stop(struct workload *wl)
{
    for (u32 i = 0; i < wl->crew_count; i++) {
        crew_stop(wl->crews[i]);
    }
    if (wl->group_admin != NULL) {
        group_admin_stop(wl->group_admin);
    }
}

void workload_group_numbers(const struct workload *wl, struct workload_group_numbers *out)
{
    *out = (struct workload_group_numbers){0};
    for (u32 i = 0; i < wl->crew_count; i++) {
        const struct crew *c = wl->crews[i];
        out->commits += c->ledger.acked_commits;
        out->refused += c->ledger.refused_commits;
        out->stale += c->ledger.stale_commits;
        out->generations += c->ledger.generation_count;
        out->naps += c->naps;
        out->crashes += c->crashes;
        out->evictions += c->evictions;
    }
}

static void producers_ask(struct workload *wl)
{
    wl->asking = true;
    for (u32 i = 0; i < wl->knobs.producer_count; i++) {
        producer_ask_again(wl->producers[i]);
    }
}

void workload_verify(struct workload *wl)
{
    if (wl->verifier != NULL) {
        consumer_destroy(wl->verifier);
    }
    wl->verifier = consumer_create(wl, CONSUMERS_MAX, true);
    if (wl->group_admin != NULL) {
        group_admin_verify(wl->group_admin);
    }
    producers_ask(wl);
}

void workload_verify_again(struct workload *wl)
{
    wl->rotten = false;
    wl->asking = false;
    consumer_destroy(wl->verifier);
    wl->verifier = NULL;
    LIST_EACH (&wl->ledger.authors, n) {
        struct author *a = CONTAINER_OF(n, struct author, node);
        a->walk_next = 0;
        a->walking = false;
        for (u32 i = 0; i < a->count; i++) {
            a->records[i].occurrences = 0;
        }
    }
}

bool workload_verified(const struct workload *wl)
{
    for (u32 i = 0; i < wl->knobs.producer_count && wl->asking; i++) {
        if (!producer_asked(wl->producers[i])) {
            return false;
        }
    }
    bool groups = wl->rotten || wl->group_admin == NULL || group_admin_verified(wl->group_admin);
    return wl->verifier != NULL && consumer_verified(wl->verifier) && groups;
}

void workload_bury(struct workload *wl)
{
    wl->burying = true;
    for (u32 i = 0; i < workload_partition_count(wl); i++) {
        workload_partition(wl, i)->topic->trimmed = true;
    }
}

bool workload_buried(const struct workload *wl)
{
    return admin_buried(wl->admin);
}

void workload_reread(struct workload *wl, bool asks)
{
    if (wl->verifier != NULL) {
        consumer_destroy(wl->verifier);
    }
    wl->verifier = consumer_create(wl, CONSUMERS_MAX, true);
    consumer_pass_over(wl->verifier);
    wl->rotten = true;
    wl->asking = false;
    if (asks) {
        producers_ask(wl);
    }
}

u64 workload_unreadable(const struct workload *wl, bool lasting)
{
    return wl->verifier == NULL ? 0 : consumer_passed_over(wl->verifier, lasting);
}

/* ---- topics ---------------------------------------------------------------------------------- */

struct ledger_topic *workload_topic(struct workload *wl, struct slice name, struct uuid id)
{
    LIST_EACH (&wl->ledger.topics, n) {
        struct ledger_topic *t = CONTAINER_OF(n, struct ledger_topic, node);
        bool named = name.len > 0 && slice_eq_cstr(name, t->name);
        bool identified = !uuid_is_zero(id) && uuid_eq(id, t->id);
        if (named || identified) {
            return t;
        }
    }
    return NULL;
}

static const struct ledger_topic *topic_at(const struct workload *wl, u32 i)
{
    const struct list_node *n = wl->ledger.topics.head.next;
    for (; i > 0; i--) {
        n = n->next;
    }
    return CONTAINER_OF(n, const struct ledger_topic, node);
}

bool workload_topics_there(const struct workload *wl)
{
    for (u32 i = 0; i < wl->knobs.topic_count; i++) {
        const struct ledger_topic *t = topic_at(wl, i);
        if (t->life != TOPIC_THERE || uuid_is_zero(t->id)) {
            return false;
        }
    }
    return true;
}

struct ledger_partition *workload_partition(const struct workload *wl, u32 i)
{
    for (u32 topic = 0; topic < wl->knobs.topic_count; topic++) {
        const struct ledger_topic *t = topic_at(wl, topic);
        if (i < t->partition_count) {
            return &t->partitions[i];
        }
        i -= t->partition_count;
    }
    return NULL;
}

u32 workload_partition_count(const struct workload *wl)
{
    u32 count = 0;
    while (workload_partition(wl, count) != NULL) {
        count++;
    }
    return count;
}

bool workload_retriable(const struct ledger_topic *t, i16 kerr)
{
    switch (kerr) {
    case KERR_KAFKA_STORAGE_ERROR:
    case KERR_REQUEST_TIMED_OUT:
    case KERR_NOT_LEADER_OR_FOLLOWER:
    case KERR_COORDINATOR_NOT_AVAILABLE:
        return true;
    case KERR_UNKNOWN_TOPIC_OR_PARTITION:
    case KERR_UNKNOWN_TOPIC_ID:
        return t != NULL && t->life != TOPIC_THERE;
    default:
        return false;
    }
}

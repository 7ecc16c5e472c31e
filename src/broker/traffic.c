/* Counters of topics and of requests: see traffic.h. Produce, Fetch and conn.c add, facts_collect.c
   reads. */
#include "broker/traffic.h"

#include <string.h>

enum { TRAFFIC_TOPICS_MAX = 100000 };

struct traffic_topic {
    struct uuid id;
    struct topic_traffic counts;
};
struct traffic {
    struct map_slice topics; /* by id: struct traffic_topic */
    struct topic_traffic total;
    struct request_times *times;
};

struct traffic *traffic_create(void)
{
    struct traffic *t = mem_alloc(sizeof *t);
    map_slice_init(&t->topics);
    t->times = mem_alloc(api_row_count * sizeof t->times[0]);
    return t;
}

void traffic_destroy(struct traffic *t)
{
    u32 cursor = 0;
    struct slice key;
    void *value;
    while (map_slice_next(&t->topics, &cursor, &key, &value)) {
        mem_free(value);
    }
    map_slice_fini(&t->topics);
    mem_free(t->times);
    mem_free(t);
}

static struct slice key_of(const struct uuid *id)
{
    return slice_of(id, sizeof *id);
}

static void counts_add(struct topic_traffic *to, const struct topic_traffic *more)
{
    to->messages_in += more->messages_in;
    to->bytes_in += more->bytes_in;
    to->bytes_out += more->bytes_out;
    to->produce_requests += more->produce_requests;
    to->fetch_requests += more->fetch_requests;
    to->produce_failed += more->produce_failed;
    to->fetch_failed += more->fetch_failed;
}

void traffic_add(struct broker *b, struct uuid topic, const struct topic_traffic *more)
{
    struct traffic *t = b->traffic;
    counts_add(&t->total, more);
    struct traffic_topic *of = map_slice_get(&t->topics, key_of(&topic));
    if (of == NULL && t->topics.count < TRAFFIC_TOPICS_MAX &&
        meta_topic_by_id(cluster_meta(b->cluster), topic) != NULL) {
        of = mem_alloc(sizeof *of);
        of->id = topic;
        map_slice_put(&t->topics, key_of(&of->id), of);
    }
    if (of != NULL) {
        counts_add(&of->counts, more);
    }
}

void traffic_topic_gone(struct traffic *t, struct uuid id)
{
    struct traffic_topic *of = map_slice_get(&t->topics, key_of(&id));
    if (of != NULL) {
        map_slice_remove(&t->topics, key_of(&id));
        mem_free(of);
    }
}

void traffic_request(struct traffic *t, const struct request *r, u64 now_ns)
{
    if (r->api == NULL || r->started_ns == 0 || r->ready_ns == 0) {
        return; /* never started, or given up */
    }
    struct request_times *times = &t->times[r->api - api_rows];
    metric_histogram_add(&times->handle, r->ready_ns - r->started_ns);
    metric_histogram_add(&times->send, now_ns - r->ready_ns);
}

struct topic_traffic traffic_total(const struct traffic *t)
{
    return t->total;
}

struct topic_traffic traffic_of(const struct traffic *t, struct uuid topic)
{
    const struct traffic_topic *of = map_slice_get(&t->topics, key_of(&topic));
    return of == NULL ? (struct topic_traffic){0} : of->counts;
}

const struct request_times *traffic_times(const struct traffic *t)
{
    return t->times;
}

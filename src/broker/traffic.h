/* What goes in and out, by topic and by request, for the metrics: counters that the data path adds
   to. A topic has counters from its first traffic on, until it is deleted; what cannot have any of
   its own (TRAFFIC_TOPICS_MAX) is counted in the total alone. */
#pragma once

#include "broker/request.h"

struct topic_traffic {
    u64 messages_in;
    u64 bytes_in;
    u64 bytes_out;
    u64 produce_requests; /* of partitions, as Kafka counts them */
    u64 fetch_requests;
    u64 produce_failed;
    u64 fetch_failed;
};
/* A request's time, from when it was started to when its answer had left. The clock is the turn's:
   what begins and ends in one turn took 0. */
struct request_times {
    struct metric_histogram handle; /* until the answer was known: with it what it waited for */
    struct metric_histogram send;   /* until its last byte was taken by the kernel */
};

struct traffic;
MUST_USE struct traffic *traffic_create(void);
void traffic_destroy(struct traffic *t);

/* To the topic's counters and to the total. topic zero: there is no such topic. */
void traffic_add(struct broker *b, struct uuid topic, const struct topic_traffic *more);
void traffic_topic_gone(struct traffic *t, struct uuid id);
void traffic_request(struct traffic *t, const struct request *r, u64 now_ns);

struct topic_traffic traffic_total(const struct traffic *t);
struct topic_traffic traffic_of(const struct traffic *t, struct uuid topic);
/* One per row of api_rows. */
const struct request_times *traffic_times(const struct traffic *t);

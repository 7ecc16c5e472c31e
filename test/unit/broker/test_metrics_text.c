/* Facts as text: what Prometheus' format 0.0.4 asks for, whatever the names hold; a row for each of
   a family, none where nothing is known; histograms that add up. Pure: facts made by hand. */
#include "../unit.h"
#include "broker/facts.h"

static struct facts *facts_new(void)
{
    struct facts *f = mem_alloc(sizeof *f);
    f->times = mem_alloc(api_row_count * sizeof f->times[0]);
    return f;
}

static void topic_add(struct facts *f, const char *name, size_t len, u32 partitions)
{
    *FACTS_ADD(&f->topics, 1) = (struct facts_topic){.name = facts_name_add(f, slice_of(name, len)),
                                                     .partition_count = partitions};
    for (u32 i = 0; i < partitions; i++) {
        *FACTS_ADD(&f->partitions, 1) = (struct facts_partition){
            .topic = f->topics.count - 1, .index = i, .start = i, .end = 10 + i, .bytes = 100};
    }
}

static char *text_of(struct facts *f)
{
    struct io_process process = {.cpu_seconds = 1.25, .open_fds = 7};
    size_t len;
    char *bytes = metrics_text(f, &process, &len);
    char *text = mem_strndup(slice_of(bytes, len));
    assert_int_equal(strlen(text), len); /* no NUL in it */
    mem_free(bytes);
    return text;
}

#define HAS(text, line)                       \
    do {                                      \
        if (strstr((text), (line)) == NULL) { \
            fail_msg("no line: %s", (line));  \
        }                                     \
    } while (0)

static void every_family_has_its_head(void **state)
{
    struct facts *f = facts_new();
    char *text = text_of(f);
    const char *name;
    const char *kind;
    const char *labels;
    const char *doc;
    char line[512];
    u32 count = 0;
    for (; metrics_family_at(count, &name, &kind, &labels, &doc); count++) {
        snprintf(line, sizeof line, "# HELP %s ", name);
        HAS(text, line);
        snprintf(line, sizeof line, "# TYPE %s %s\n", name, kind);
        HAS(text, line);
        assert_int_equal(doc[strlen(doc) - 1], '.');
        bool total = strstr(name, "_total") != NULL;
        assert_int_equal(total, strcmp(kind, "counter") == 0);
    }
    assert_true(count > 50);
    for (u32 i = 0; i < METRIC_COUNT; i++) {
        snprintf(line, sizeof line, "\nodradek_%s 0\n", metric_rows[i].name);
        HAS(text, line);
    }
    HAS(text, "\nprocess_cpu_seconds_total 1.25\n");
    HAS(text, "\nprocess_open_fds 7\n");
    mem_free(text);
    facts_destroy(f);
}

static void rows_and_labels(void **state)
{
    struct facts *f = facts_new();
    topic_add(f, "plain", 5, 2);
    topic_add(f, "a\"b\\c\nd", 7, 1);
    topic_add(f, "\xff\x1b\xc2\x85\xc3\xa9", 6, 1);
    f->wall_ms = 10000;
    *FACTS_ADD(&f->groups, 1) =
        (struct facts_group){.name = facts_name_add(f, SLICE_LIT("g")), .member_count = 3};
    struct facts_name topic = f->topics.items[0].name;
    *FACTS_ADD(&f->group_topics, 1) =
        (struct facts_group_topic){.topic = topic, .offset_sum = 11, .lag_sum = 5};
    const i64 oldest[] = {8500, 12000, FACTS_UNKNOWN};
    for (u32 i = 0; i < ARRAY_LEN(oldest); i++) {
        *FACTS_ADD(&f->offsets, 1) = (struct facts_offset){.topic = topic,
                                                           .partition = (i32)i,
                                                           .offset = 9007199254740993ull,
                                                           .lag = i,
                                                           .oldest_ms = oldest[i]};
    }
    char *text = text_of(f);
    HAS(text, "\nkafka_topic_partitions{topic=\"plain\"} 2\n");
    HAS(text, "\nkafka_topic_partition_current_offset{topic=\"plain\",partition=\"1\"} 11\n");
    HAS(text, "\nkafka_topic_partition_oldest_offset{topic=\"plain\",partition=\"1\"} 1\n");
    HAS(text, "\nkafka_topic_partitions{topic=\"a\\\"b\\\\c\\nd\"} 1\n");
    HAS(text, "\nkafka_topic_partitions{topic=\"\\\\xff\\\\x1b\\\\xc2\\\\x85\xc3\xa9\"} 1\n");
    HAS(text, "\nkafka_consumergroup_members{consumergroup=\"g\"} 3\n");
    HAS(text, "\nkafka_consumergroup_lag_sum{consumergroup=\"g\",topic=\"plain\"} 5\n");
    HAS(text,
        "\nodradek_group_lag_seconds{consumergroup=\"g\",topic=\"plain\",partition=\"0\"} 1.5\n");
    HAS(text,
        "\nodradek_group_lag_seconds{consumergroup=\"g\",topic=\"plain\",partition=\"1\"} 0\n");
    assert_null(strstr(
        text, "odradek_group_lag_seconds{consumergroup=\"g\",topic=\"plain\",partition=\"2\"}"));
    HAS(text, "\nkafka_consumergroup_lag{consumergroup=\"g\",topic=\"plain\",partition=\"2\"} 2\n");
    mem_free(text);
    facts_destroy(f);
}

static void histograms_add_up(void **state)
{
    struct facts *f = facts_new();
    struct request_times *times = &f->times[api_find(API_produce) - api_rows];
    metric_histogram_add(&times->handle, 1500 * 1000);    /* 1.5 ms */
    metric_histogram_add(&times->handle, 20000000000ull); /* 20 s: above all bounds */
    char *text = text_of(f);
    HAS(text, "\nodradek_request_handle_seconds_bucket{request=\"Produce\",le=\"0.001\"} 0\n");
    HAS(text, "\nodradek_request_handle_seconds_bucket{request=\"Produce\",le=\"0.0025\"} 1\n");
    HAS(text, "\nodradek_request_handle_seconds_bucket{request=\"Produce\",le=\"10\"} 1\n");
    HAS(text, "\nodradek_request_handle_seconds_bucket{request=\"Produce\",le=\"+Inf\"} 2\n");
    HAS(text, "\nodradek_request_handle_seconds_sum{request=\"Produce\"} 20.0015\n");
    HAS(text, "\nodradek_request_handle_seconds_count{request=\"Produce\"} 2\n");
    assert_null(strstr(text, "handle_seconds_count{request=\"Fetch\"")); /* there was none */
    HAS(text, "\nodradek_commit_seconds_bucket{le=\"+Inf\"} 0\n");
    HAS(text, "\nodradek_commit_seconds_count 0\n");
    mem_free(text);
    facts_destroy(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_family_has_its_head),
        cmocka_unit_test(rows_and_labels),
        cmocka_unit_test(histograms_add_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

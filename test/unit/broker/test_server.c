/* The broker as a whole: what survives a stop and a crash, who may have a data directory, and how
   it ends [reliability.md, the promise; catalogue 105, 124]. */
#include "harness.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- restarts
 * ----------------------------------------------------------------------------------------- */

static void everything_is_there_again(void **state)
{
    static const char *const configs[] = {"retention.ms=777",
                                          "message.timestamp.type=LogAppendTime", NULL};
    struct harness h;
    harness_up(&h);
    struct client *c = client_open(&h);
    char cluster[2][23];
    uuid_print(cluster_id(broker_cluster(h.broker)), cluster[0]);
    struct topic plain = topic_make(c, "plain", 3);
    struct topic special = topic_make_with(c, "special", 1, configs);
    struct topic deleted = topic_make(c, "deleted", 1);
    struct batch_builder_options o = batch_builder_plain();
    i64 next[3] = {0};
    for (i32 i = 0; i < 3; i++) {
        for (u32 k = 0; k < 10; k++) {
            o.codec = (enum codec)(k % 5);
            assert_int_equal(produce_ok(c, &plain, i, batch_with(&h, &o, k + 1, 100)), next[i]);
            next[i] += k + 1;
        }
    }
    produce_ok(c, &special, 0, batch_plain(&h, 2));
    produce_ok(c, &deleted, 0, batch_plain(&h, 2));
    topic_delete(c, &deleted);
    struct slice before[3];
    for (i32 i = 0; i < 3; i++) {
        before[i] = fetch(c, &plain, i, 0)->records.bytes;
    }
    for (u32 restart = 0; restart < 4; restart++) {
        (restart % 2 == 0 ? harness_crash : harness_stop)(&h);
        harness_start(&h);
        c = client_open(&h);
        uuid_print(cluster_id(broker_cluster(h.broker)), cluster[1]);
        assert_string_equal(cluster[0], cluster[1]);
        struct metadata_request *all = NEW(&h, metadata_request, 1);
        all->topics.is_null = true;
        struct metadata_response *m = CALL(c, metadata, 12, all);
        assert_int_equal(m->topics.count, 2);
        assert_true(uuid_eq(m->topics.items[0].topic_id, plain.id));
        assert_true(uuid_eq(m->topics.items[1].topic_id, special.id));
        assert_int_equal(m->topics.items[0].partitions.count, 3);
        assert_int_equal(m->topics.items[0].partitions.items[2].leader_epoch, restart + 1);
        for (i32 i = 0; i < 3; i++) {
            assert_int_equal(high_watermark(c, &plain, i), next[i]);
            struct slice now = fetch(c, &plain, i, 0)->records.bytes;
            assert_true(now.len >= before[i].len);
            assert_memory_equal(now.ptr, before[i].ptr, before[i].len);
            assert_int_equal(produce_ok(c, &plain, i, batch_plain(&h, 1)), next[i]);
            next[i]++;
        }
        const struct produce_response_partition *row = produce(c, &special, 0, batch_plain(&h, 1));
        assert_int_equal(row->base_offset, 2 + restart);
        assert_true(row->log_append_time_ms > 0); /* its configs are still its own */
        assert_int_equal(fetch(c, &deleted, 0, 0)->error_code, KERR_UNKNOWN_TOPIC_ID);
    }
    harness_fini(&h);
}

/* A clean stop files what the WAL holds and seals it: nothing is replayed by the next start. */
static void a_clean_stop_leaves_nothing_to_replay(void **state)
{
    struct harness h;
    harness_up(&h);
    struct client *c = client_open(&h);
    struct topic t = topic_make(c, "t", 2);
    for (u32 i = 0; i < 20; i++) {
        produce_ok(c, &t, (i32)(i % 2), batch_plain(&h, 3));
    }
    harness_stop(&h);
    harness_start(&h);
    const struct meta *m = cluster_meta(broker_cluster(h.broker));
    assert_int_equal(meta_session_count(m), 2);
    const struct meta_session *s = meta_session_at(m, 0);
    assert_true(s->sealed);
    assert_true(s->retired);
    assert_true(s->length > 0);
    assert_int_equal(s->trim, s->length);
    c = client_open(&h);
    assert_int_equal(records_count(fetch(c, &t, 0, 0)->records.bytes), 30);
    assert_int_equal(records_count(fetch(c, &t, 1, 0)->records.bytes), 30);
    /* After a crash there is. */
    produce_ok(c, &t, 0, batch_plain(&h, 3));
    harness_crash(&h);
    harness_start(&h);
    m = cluster_meta(broker_cluster(h.broker));
    s = meta_session_at(m, meta_session_count(m) - 2);
    assert_true(s->sealed);
    assert_false(s->retired);
    harness_fini(&h);
}

static void a_high_watermark_never_goes_back(void **state)
{
    struct harness h;
    harness_up(&h);
    struct topic t = topic_make(client_open(&h), "t", 1);
    i64 seen = 0;
    for (u32 restart = 0; restart < 6; restart++) {
        struct client *c = client_open(&h);
        assert_true(high_watermark(c, &t, 0) >= seen);
        for (u32 i = 0; i < 5; i++) {
            i32 id = client_send(c, API_produce, 9, produce_of(&h, &t, 0, batch_plain(&h, 3), -1));
            if (i < 4) { /* the last one is perhaps never answered */
                i64 base = produce_row(client_recv(c, API_produce, 9, id), 0, 0)->base_offset;
                assert_true(base >= seen);
                seen = base + 3;
            }
        }
        harness_crash(&h);
        harness_start(&h);
    }
    struct client *c = client_open(&h);
    i64 end = high_watermark(c, &t, 0);
    assert_true(end >= seen);
    assert_int_equal(records_count(fetch(c, &t, 0, 0)->records.bytes), end);
    harness_fini(&h);
}

static void a_stop_answers_what_is_under_way(void **state)
{
    enum { CLIENTS = 10 };
    struct harness h;
    harness_up(&h);
    struct client *admin = client_open(&h);
    struct topic t = topic_make(admin, "t", 1);
    struct client *clients[CLIENTS];
    i32 ids[CLIENTS];
    for (u32 i = 0; i < CLIENTS; i++) {
        clients[i] = client_open(&h);
        ids[i] =
            client_send(clients[i], API_produce, 9, produce_of(&h, &t, 0, batch_plain(&h, 1), -1));
    }
    harness_turns(&h, 2);
    broker_stop(h.broker);
    broker_stop(h.broker); /* a second signal changes nothing */
    u32 answered = 0;
    for (u32 i = 0; i < 500 && !h.stopped; i++) {
        harness_turn(&h);
    }
    assert_true(h.stopped);
    assert_int_equal(h.stop_result, OK);
    for (u32 i = 0; i < CLIENTS; i++) {
        if (client_has_frame(clients[i])) {
            assert_int_equal(
                produce_row(client_recv(clients[i], API_produce, 9, ids[i]), 0, 0)->error_code,
                KERR_NONE);
            answered++;
        }
        client_expect_end(clients[i]);
    }
    harness_crash(&h);
    harness_start(&h);
    struct client *c = client_open(&h);
    assert_true(high_watermark(c, &t, 0) >= answered);
    harness_fini(&h);
}

static void a_stop_does_not_wait_for_ever(void **state)
{
    struct harness h;
    harness_up(&h);
    struct client *c = client_open(&h);
    struct topic t = topic_make(c, "t", 1);
    struct batch_builder_options o = batch_builder_plain();
    for (u32 i = 0; i < 10; i++) {
        produce_ok(c, &t, 0, batch_with(&h, &o, 10, 80000));
    }
    struct client *reader = client_open_narrow(&h); /* never reads its 8 MB */
    struct fetch_wish wish = {
        .leader_epoch = -1, .last_fetched_epoch = -1, .partition_max_bytes = 10 << 20};
    client_send(reader, API_fetch, 12, fetch_of(&h, &t, &wish, 1));
    harness_turns(&h, 10);
    broker_stop(h.broker);
    harness_turns(&h, 10);
    assert_false(h.stopped);
    harness_skip_ms(&h, 6000);
    for (u32 i = 0; i < 500 && !h.stopped; i++) {
        harness_turn(&h);
    }
    assert_true(h.stopped);
    harness_fini(&h);
}

/* ---- directories
 * ----------------------------------------------------------------------------------------- */

/* A second broker's attempt at the directory of the first; its reason. */
static err_t second_start(struct harness *h, const char *directory, char *reason,
                          size_t reason_bytes)
{
    struct io *io;
    struct io_linux_params linux_params = {.files = IO_FILES_AUTO};
    assert_int_equal(io_linux_create(&linux_params, &io), OK);
    struct broker_params params = {
        .io = io,
        .config = h->config,
        .data_directory = directory,
        .listen_host = "127.0.0.1",
        .memory_bytes = h->memory_bytes,
        .extent_bytes = 8 * MIB,
    };
    struct broker *b = broker_create(&params);
    err_t e = broker_start(b);
    snprintf(reason, reason_bytes, "%s", broker_reason(b));
    broker_destroy(b);
    io_destroy(io);
    return e;
}

static void a_second_broker_is_refused_with_the_pid(void **state)
{
    struct harness h;
    harness_up(&h);
    struct client *c = client_open(&h);
    struct topic t = topic_make(c, "t", 1);
    char reason[1024];
    assert_int_equal(second_start(&h, h.directory, reason, sizeof reason), ERR_LOCKED);
    char pid[32];
    snprintf(pid, sizeof pid, "%d", (int)getpid());
    assert_non_null(strstr(reason, pid));
    assert_non_null(strstr(reason, h.directory));
    produce_ok(c, &t, 0, batch_plain(&h, 1)); /* the first does not notice */
    harness_crash(&h);
    harness_start(&h);
    assert_int_equal(high_watermark(client_open(&h), &t, 0), 1);
    harness_fini(&h);
}

static void write_file(const char *path, const char *content, size_t len)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, content, len), len);
    close(fd);
}

static void foreign_directories_are_refused(void **state)
{
    struct harness h;
    harness_init(&h);
    char path[128], reason[1024];
    /* Somebody's files. */
    snprintf(path, sizeof path, "%s/thesis.txt", h.directory);
    write_file(path, "years of work", 13);
    assert_int_not_equal(second_start(&h, h.directory, reason, sizeof reason), OK);
    assert_true(strlen(reason) > 20);
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_size, 13);
    unlink(path);
    /* A file where a directory should be. */
    snprintf(path, sizeof path, "%s/file", h.directory);
    write_file(path, "x", 1);
    assert_int_not_equal(second_start(&h, path, reason, sizeof reason), OK);
    assert_true(strlen(reason) > 20);
    unlink(path);
    /* Empty and missing ones are fine, also deep ones. */
    snprintf(path, sizeof path, "%s/not/there", h.directory);
    assert_int_equal(second_start(&h, path, reason, sizeof reason), OK);
    assert_int_equal(second_start(&h, path, reason, sizeof reason), OK);
    harness_fini(&h);
}

static void a_newer_format_is_refused(void **state)
{
    struct harness h;
    harness_up(&h);
    topic_make(client_open(&h), "t", 1);
    harness_stop(&h);
    char path[128], reason[1024], content[4096];
    snprintf(path, sizeof path, "%s/format", h.directory);
    int fd = open(path, O_RDONLY);
    assert_true(fd >= 0);
    ssize_t len = read(fd, content, sizeof content);
    close(fd);
    assert_true(len > 0);
    char other[4096];
    memcpy(other, content, (size_t)len);
    for (ssize_t i = 0; i < len;
         i++) { /* another version, or nonsense: never taken, never overwritten */
        other[i] = (char)(other[i] ^ 0x41);
        write_file(path, other, (size_t)len);
        assert_int_not_equal(second_start(&h, h.directory, reason, sizeof reason), OK);
        assert_true(strlen(reason) > 20);
        other[i] = content[i];
    }
    write_file(path, content, (size_t)len);
    harness_start(&h);
    struct metadata_request *all = NEW(&h, metadata_request, 1);
    all->topics.is_null = true;
    assert_int_equal(CALL(client_open(&h), metadata, 9, all)->topics.count, 1);
    harness_fini(&h);
}

static void an_address_that_is_taken(void **state)
{
    struct harness h;
    harness_up(&h);
    struct io *io;
    struct io_linux_params linux_params = {.files = IO_FILES_AUTO};
    assert_int_equal(io_linux_create(&linux_params, &io), OK);
    char directory[96];
    snprintf(directory, sizeof directory, "%s-second", h.directory);
    struct broker_params params = {
        .io = io,
        .config = h.config,
        .data_directory = directory,
        .listen_host = "127.0.0.1",
        .listen_port = h.address.port,
        .memory_bytes = h.memory_bytes,
        .extent_bytes = 8 * MIB,
    };
    struct broker *b = broker_create(&params);
    assert_int_not_equal(broker_start(b), OK);
    char port[16];
    snprintf(port, sizeof port, "%u", h.address.port);
    assert_non_null(strstr(broker_reason(b), port));
    assert_non_null(strstr(broker_reason(b), "test-broker-ser")); /* who has it: this process */
    struct diag_problem problem = broker_problem(b);
    assert_int_equal(problem.code, MSG_start_listen);
    assert_non_null(strstr(problem.next, "--listen"));
    broker_destroy(b);
    io_destroy(io);
    harness_remove(directory);
    client_expect_alive(client_open(&h));
    harness_fini(&h);
}

/* ---- memory
 * ---------------------------------------------------------------------------------------------- */

/* Many clients of every kind in a small budget: it is never passed, and everybody is served. */
static void a_small_budget(void **state)
{
    enum { CLIENTS = 60 };
    struct harness h;
    harness_init(&h);
    h.memory_bytes = 16 * MIB;
    harness_start(&h);
    struct client *admin = client_open(&h);
    struct topic t = topic_make(admin, "t", CLIENTS);
    struct batch_builder_options o = batch_builder_plain();
    struct slice batch = batch_with(&h, &o, 10, 20000);
    struct client *clients[CLIENTS];
    i32 ids[CLIENTS];
    for (u32 round = 0; round < 5; round++) {
        for (u32 i = 0; i < CLIENTS; i++) {
            if (round == 0) {
                clients[i] = client_open(&h);
            }
            ids[i] = client_send(clients[i], API_produce, 9, produce_of(&h, &t, (i32)i, batch, -1));
        }
        for (u32 i = 0; i < CLIENTS; i++) {
            struct produce_response *r = client_recv(clients[i], API_produce, 9, ids[i]);
            assert_int_equal(produce_row(r, 0, 0)->error_code, KERR_NONE);
        }
    }
    for (u32 i = 0; i < CLIENTS; i++) {
        assert_int_equal(records_count(fetch(clients[i], &t, (i32)i, 0)->records.bytes), 50);
    }
    assert_true(h.broker->memory.root.used_max <= h.memory_bytes);
    harness_fini(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_is_there_again),
        cmocka_unit_test(a_clean_stop_leaves_nothing_to_replay),
        cmocka_unit_test(a_high_watermark_never_goes_back),
        cmocka_unit_test(a_stop_answers_what_is_under_way),
        cmocka_unit_test(a_stop_does_not_wait_for_ever),
        cmocka_unit_test(a_second_broker_is_refused_with_the_pid),
        cmocka_unit_test(foreign_directories_are_refused),
        cmocka_unit_test(a_newer_format_is_refused),
        cmocka_unit_test(an_address_that_is_taken),
        cmocka_unit_test(a_small_budget),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

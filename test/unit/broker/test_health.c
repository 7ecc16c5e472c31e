/* The checks of /livez, /readyz and /healthz: each fails on its own, in the pages that it is part
   of and in no other, and says why. */
#include "broker/health.h"
#include "harness.h"

static const struct health_check *check_of(const struct health *h, const char *name)
{
    for (u32 i = 0; i < h->count; i++) {
        if (strcmp(h->checks[i].name, name) == 0) {
            return &h->checks[i];
        }
    }
    fail_msg("no check %s", name);
    return NULL;
}

static void verdicts(const struct health *h, bool live, bool ready, bool well)
{
    assert_int_equal(health_is_good(h, HEALTH_LIVE), live);
    assert_int_equal(health_is_good(h, HEALTH_READY), ready);
    assert_int_equal(health_is_good(h, HEALTH_ALL), well);
}

static void a_broker_through_its_states(void **state)
{
    struct harness h;
    harness_init(&h);
    harness_set(&h, "max.connections", "1");
    harness_start(&h);
    struct health said;
    do {
        harness_turn(&h);
        health_check(h.broker, &said);
    } while (!check_of(&said, "groups")->good); /* loaded in its first turns */
    verdicts(&said, true, true, true);

    client_open(&h);
    do {
        harness_turn(&h);
        health_check(h.broker, &said);
    } while (check_of(&said, "connections")->good);
    verdicts(&said, true, true, false);
    assert_non_null(
        strstr(check_of(&said, "connections")->why, "1 of at most 1 (max.connections)"));
    assert_non_null(strstr(check_of(&said, "connections")->why, "next: raise max.connections"));
    assert_non_null(strstr(check_of(&said, "space")->why, " free, "));
    assert_non_null(strstr(check_of(&said, "wal")->why, " of at most "));

    h.broker->stopping = true;
    health_check(h.broker, &said);
    verdicts(&said, true, false, false);
    assert_non_null(strstr(check_of(&said, "in-service")->why, "stopping"));
    h.broker->stopping = false;

    h.broker->fenced = true;
    health_check(h.broker, &said);
    verdicts(&said, false, false, false);
    h.broker->fenced = false;

    u64 before = metric_read(METRIC_log_scrub_damage_total);
    metric_add(METRIC_log_scrub_damage_total, 2);
    health_check(h.broker, &said);
    verdicts(&said, true, true, false);
    assert_false(check_of(&said, "damage")->good);
    metric_set(METRIC_log_scrub_damage_total, before);
    harness_fini(&h);
}

static void a_loop_that_says_nothing(void **state)
{
    struct health said;
    health_silent(true, &said); /* it starts: alive, and not ready */
    verdicts(&said, true, false, false);
    health_silent(false, &said);
    verdicts(&said, false, false, false);
}

static void the_words(void **state)
{
    struct health said;
    size_t len;
    health_silent(true, &said);
    char *text = health_text(&said, HEALTH_READY, false, &len);
    assert_int_equal(strlen(text), len);
    assert_string_equal(text, "[-] in-service failed: the broker is starting\nnot ok\n");
    mem_free(text);
    text = health_text(&said, HEALTH_LIVE, false, &len);
    assert_string_equal(text, "ok\n");
    mem_free(text);
    text = health_text(&said, HEALTH_LIVE, true, &len);
    assert_non_null(strstr(text, "[+] loop ok: "));
    assert_null(strstr(text, "in-service")); /* no check of this page */
    mem_free(text);
}

/* What is looked at, with values and bounds; what fails says what to do. */
static void each_check_for_an_operator(void **state)
{
    static const struct log_space roomy = {
        .free_bytes = 30 * GIB,
        .left_bytes = 29 * GIB,
        .reserve_bytes = 96 * MIB,
        .unfiled_bytes = 100 * MIB,
        .wal_bytes_max = 512 * MIB,
        .index_bytes = 20 * MIB,
        .index_bytes_max = 440 * MIB,
    };
    const struct health_facts good = {
        .groups_loaded = true,
        .space = roomy,
        .memory_used = 10 * MIB,
        .memory_cap = 256 * MIB,
        .connections = 3,
        .connections_max = INT32_MAX,
    };
    struct health_facts facts[11];
    for (u32 i = 0; i < ARRAY_LEN(facts); i++) {
        facts[i] = good;
    }
    facts[1].space.is_short = true;
    facts[1].space.left_bytes = 50 * MIB;
    facts[2].space.is_full = true;
    facts[3].space.unfiled_bytes = 512 * MIB;
    facts[4].space.cannot_file = true;
    facts[5].space.is_stuck = true;
    facts[6].connections_waiting = 12;
    facts[6].longest_wait_ns = 11000000000;
    facts[7].connections_waiting = 12;
    facts[7].longest_wait_ns = 9000000000;
    facts[8].space.free_bytes = UINT64_MAX;
    facts[9].space.index_is_behind = true;
    facts[10].space.index_is_full = true;
    static const struct {
        u32 facts;
        const char *check;
        bool good;
        const char *says[3];
    } cases[] = {
        {0, "space", true, {"30.0 GiB free, 29.0 GiB of it when the log is filed; below 96.0 MiB"}},
        {0, "wal", true, {"100.0 MiB of at most 512.0 MiB are not filed yet"}},
        {0, "memory", true, {"10.0 MiB of 256.0 MiB used, 0 connections wait for some"}},
        {0, "connections", true, {"3, max.connections sets no bound"}},
        {1, "space", false, {"50.0 MiB of it", "96.0 MiB are wanted", "next: delete topics"}},
        {2, "space", false, {"produce is refused (ODK-3002)", "next: delete topics"}},
        {3, "wal", true, {"512.0 MiB of at most 512.0 MiB", "at the bound, producers wait"}},
        {4, "wal", false, {"no space to file it (ODK-3003)", "next: give the file system more"}},
        {5, "wal", false, {"cannot be read back", "(ODK-3004)", "next: restart"}},
        {6,
         "memory",
         false,
         {"12 connections wait", "the longest for 11 s", "next: give the broker"}},
        {7, "memory", true, {"12 connections wait"}},
        {8, "space", true, {"no limit is known"}},
        {0, "index", true, {"20.0 MiB of at most 440.0 MiB for the index"}},
        {9, "index", true, {"producers wait while packs are sorted"}},
        {10, "index", false, {"refused (ODK-3013)", "next: give the broker more memory"}},
    };
    for (u32 i = 0; i < ARRAY_LEN(cases); i++) {
        struct health said;
        health_judge(&facts[cases[i].facts], &said);
        const struct health_check *c = check_of(&said, cases[i].check);
        assert_int_equal(c->good, cases[i].good);
        assert_true(strlen(c->why) < HEALTH_WHY_BYTES - 1); /* nothing was cut */
        for (u32 k = 0; k < 3 && cases[i].says[k] != NULL; k++) {
            if (strstr(c->why, cases[i].says[k]) == NULL) {
                fail_msg("case %u: '%s' does not say '%s'", i, c->why, cases[i].says[k]);
            }
        }
        assert_true(c->good || strstr(c->why, "next: ") != NULL);
    }
}

static void descriptors_run_out(void **state)
{
    static const struct {
        u64 open;
        u64 max;
        bool good;
    } cases[] = {{40, 1024, true}, {972, 1024, true}, {980, 1024, false}, {0, 1024, false}};
    for (u32 i = 0; i < ARRAY_LEN(cases); i++) {
        struct health said;
        health_judge(&(struct health_facts){0}, &said);
        health_descriptors(&said, cases[i].open, cases[i].max);
        const struct health_check *c = check_of(&said, "descriptors");
        assert_int_equal(c->good, cases[i].good);
        assert_non_null(strstr(c->why, "of at most 1024 are open"));
        assert_int_equal(strstr(c->why, "next: raise ulimit -n, LimitNOFILE") != NULL, !c->good);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_broker_through_its_states),
        cmocka_unit_test(a_loop_that_says_nothing),
        cmocka_unit_test(the_words),
        cmocka_unit_test(each_check_for_an_operator),
        cmocka_unit_test(descriptors_run_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

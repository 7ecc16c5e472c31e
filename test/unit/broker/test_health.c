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
    assert_non_null(strstr(check_of(&said, "connections")->why, "1 of at most 1"));

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_broker_through_its_states),
        cmocka_unit_test(a_loop_that_says_nothing),
        cmocka_unit_test(the_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

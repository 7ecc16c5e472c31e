/* Proves CRC-32C by its published check values, and that the three implementations agree on every
   length around their border, on every alignment, and when a run is cut in two anywhere. */
#include "../unit.h"

static void published_values(void **state)
{
    u8 buf[32];
    assert_true(crc32c("123456789", 9) == 0xe3069283u);
    assert_true(crc32c(NULL, 0) == 0);
    /* RFC 3720, B.4 */
    memset(buf, 0, sizeof(buf));
    assert_true(crc32c(buf, sizeof(buf)) == 0x8a9136aau);
    memset(buf, 0xff, sizeof(buf));
    assert_true(crc32c(buf, sizeof(buf)) == 0x62a8ab43u);
    for (u32 i = 0; i < sizeof(buf); i++) {
        buf[i] = (u8)i;
    }
    assert_true(crc32c(buf, sizeof(buf)) == 0x46dd794eu);
}

static void all_ways_agree(void **state)
{
    struct rng rng = unit_rng();
    static u8 buf[5000];
    rng_fill(&rng, buf, sizeof(buf));
    for (size_t len = 0; len < 600; len++) {
        size_t start = rng_below(&rng, 64);
        assert_true(crc32c(buf + start, len) == crc32c_extend_portable(0, buf + start, len));
    }
    for (u32 i = 0; i < 200; i++) {
        size_t len = rng_below(&rng, sizeof(buf) - 64);
        size_t start = rng_below(&rng, 64);
        assert_true(crc32c(buf + start, len) == crc32c_extend_portable(0, buf + start, len));
    }
}

static void a_run_may_be_cut_anywhere(void **state)
{
    struct rng rng = unit_rng();
    static u8 buf[2000];
    rng_fill(&rng, buf, sizeof(buf));
    u32 whole = crc32c(buf, sizeof(buf));
    for (size_t cut = 0; cut <= sizeof(buf); cut++) {
        u32 first = crc32c(buf, cut);
        assert_true(crc32c_extend(first, buf + cut, sizeof(buf) - cut) == whole);
    }
}

static void every_flipped_bit_is_seen(void **state)
{
    struct rng rng = unit_rng();
    u8 buf[300];
    rng_fill(&rng, buf, sizeof(buf));
    u32 whole = crc32c(buf, sizeof(buf));
    for (u32 bit = 0; bit < 8 * sizeof(buf); bit++) {
        buf[bit / 8] ^= (u8)(1u << bit % 8);
        assert_true(crc32c(buf, sizeof(buf)) != whole);
        buf[bit / 8] ^= (u8)(1u << bit % 8);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published_values),
        cmocka_unit_test(all_ways_agree),
        cmocka_unit_test(a_run_may_be_cut_anywhere),
        cmocka_unit_test(every_flipped_bit_is_seen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

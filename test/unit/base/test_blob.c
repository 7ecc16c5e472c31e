/* Proves that blobs are aligned, counted, charged while mapped, given back by the last reference,
   recycled up to keep_free, and that nothing is resident before it is touched (mincore). */
#include "../unit.h"

#include <sys/mman.h>
#include <unistd.h>

static void references_and_quota(void **state)
{
    struct quota q;
    quota_init(&q, "test", NULL, MIB);
    struct blob_pool p;
    blob_pool_init(&p, "test", &q, 64 * KIB, 1);
    struct blob *b = blob_get(&p, 1000);
    assert_non_null(b);
    assert_int_equal(b->cap, BLOB_ALIGN);
    assert_int_equal((uintptr_t)b->data % BLOB_ALIGN, 0);
    assert_int_equal(q.used, BLOB_ALIGN);
    assert_ptr_equal(blob_ref(b), b);
    blob_unref(b);
    assert_int_equal(p.live_count, 1);
    memset(b->data, 1, b->cap);
    blob_unref(b);
    assert_int_equal(p.live_count, 0);
    assert_int_equal(q.used, 0); /* not of the usual size: unmapped */
    blob_pool_fini(&p);
}

static void usual_size_is_recycled(void **state)
{
    struct quota q;
    quota_init(&q, "test", NULL, MIB);
    struct blob_pool p;
    blob_pool_init(&p, "test", &q, 64 * KIB, 1);
    struct blob *a = blob_get(&p, 64 * KIB);
    struct blob *b = blob_get(&p, 64 * KIB);
    u8 *a_data = a->data;
    blob_unref(a);
    blob_unref(b);
    assert_int_equal(p.free_count, 1);
    assert_int_equal(q.used, 64 * KIB);
    struct blob *c = blob_get(&p, 60 * KIB + 1); /* rounds up to the usual size */
    assert_ptr_equal(c->data, a_data);
    memset(c->data, 3, c->cap);
    assert_int_equal(p.free_count, 0);
    blob_unref(c);
    blob_pool_fini(&p);
    assert_int_equal(q.used, 0);
}

static void full_quota_gives_nothing(void **state)
{
    struct quota q;
    quota_init(&q, "test", NULL, 128 * KIB);
    struct blob_pool p;
    blob_pool_init(&p, "test", &q, 64 * KIB, 0);
    struct blob *a = blob_get(&p, 64 * KIB);
    struct blob *b = blob_get(&p, 64 * KIB);
    assert_non_null(b);
    assert_null(blob_get(&p, 1));
    assert_null(blob_get(&p, SIZE_MAX - 1));
    blob_unref(a);
    a = blob_get(&p, 4096);
    assert_non_null(a);
    blob_unref(a);
    blob_unref(b);
    blob_pool_fini(&p);
}

static void what_is_free_makes_room_for_others(void **state)
{
    struct quota q;
    quota_init(&q, "test", NULL, 128 * KIB);
    struct blob_pool p;
    struct blob_pool other;
    blob_pool_init(&p, "test", &q, 64 * KIB, 2);
    blob_pool_init(&other, "other", &q, 128 * KIB, 0);
    struct blob *a = blob_get(&p, 64 * KIB);
    struct blob *b = blob_get(&p, 64 * KIB);
    blob_unref(a);
    blob_pool_trim(&p);
    assert_int_equal(q.used, 64 * KIB); /* what is in use stays */
    blob_unref(b);
    assert_null(blob_get(&other, 128 * KIB));
    blob_pool_trim(&p);
    assert_int_equal(p.free_count, 0);
    struct blob *c = blob_get(&other, 128 * KIB);
    assert_non_null(c);
    blob_unref(c);
    blob_pool_fini(&other);
    blob_pool_fini(&p);
}

static void some_of_what_is_free_may_stay(void **state)
{
    struct quota q;
    quota_init(&q, "test", NULL, MIB);
    struct blob_pool p;
    blob_pool_init(&p, "test", &q, 64 * KIB, 4);
    struct blob *blobs[4];
    for (u32 i = 0; i < 4; i++) {
        blobs[i] = blob_get(&p, 64 * KIB);
    }
    for (u32 i = 0; i < 4; i++) {
        blob_unref(blobs[i]);
    }
    blob_pool_shrink(&p, 7);
    assert_int_equal(p.free_count, 4);
    blob_pool_shrink(&p, 3);
    assert_int_equal(p.free_count, 3);
    assert_int_equal(q.used, 3 * 64 * KIB);
    struct blob *a = blob_get(&p, 64 * KIB);
    assert_int_equal(q.used, 3 * 64 * KIB);
    blob_unref(a);
    blob_pool_fini(&p);
}

static u32 resident_pages(const struct blob *b)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t count = b->cap / page;
    u8 *flags = mem_alloc(count);
    assert_int_equal(mincore(b->data, b->cap, flags), 0);
    u32 resident = 0;
    for (size_t i = 0; i < count; i++) {
        resident += flags[i] & 1;
    }
    mem_free(flags);
    return resident;
}

static void nothing_is_resident_before_a_touch(void **state)
{
    struct blob_pool p;
    blob_pool_init(&p, "test", NULL, 8 * MIB, 0);
    struct blob *b = blob_get(&p, 8 * MIB);
    assert_non_null(b);
    assert_int_equal((uintptr_t)b->data % (2 * MIB), 0); /* fit for huge pages */
    assert_int_equal(resident_pages(b), 0);
    b->data[0] = 1;
    u32 after_one_touch = resident_pages(b);
    assert_true(after_one_touch >= 1);
    assert_true(after_one_touch <= 2 * MIB / 4096);
    b->data[b->cap - 1] = 1;
    blob_unref(b);
    blob_pool_fini(&p);
}

static void populated_is_resident_and_keeps_its_content(void **state)
{
    struct blob_pool p;
    blob_pool_init(&p, "test", NULL, 4 * MIB, 0);
    struct blob *b = blob_get(&p, 4 * MIB);
    b->data[3 * MIB] = 7;
    blob_populate(b);
    assert_int_equal(b->data[3 * MIB], 7);
#ifdef MADV_POPULATE_WRITE
    if (madvise(b->data, 4096, MADV_POPULATE_WRITE) == 0) { /* not before Linux 5.14 */
        assert_int_equal(resident_pages(b), b->cap / (size_t)sysconf(_SC_PAGESIZE));
    }
#endif
    blob_unref(b);
    blob_pool_fini(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(references_and_quota),
        cmocka_unit_test(usual_size_is_recycled),
        cmocka_unit_test(full_quota_gives_nothing),
        cmocka_unit_test(what_is_free_makes_room_for_others),
        cmocka_unit_test(some_of_what_is_free_may_stay),
        cmocka_unit_test(nothing_is_resident_before_a_touch),
        cmocka_unit_test(populated_is_resident_and_keeps_its_content),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

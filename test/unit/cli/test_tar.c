/* tar.c: an archive's bytes, and a disk that is full. */
#include "../unit.h"

#include "cli/tar.h"

static void archives(void **state)
{
    (void)state;
    char *bytes = NULL;
    size_t len = 0;
    FILE *to = open_memstream(&bytes, &len);
    assert_true(tar_add(to, "folder/name", SLICE_LIT("hello"), 1795860000));
    assert_true(tar_add(to, "empty", SLICE_LIT(""), 0));
    assert_true(tar_end(to));
    fclose(to);
    assert_int_equal(len, 512 * (2 + 1 + 2));
    assert_string_equal(bytes, "folder/name");
    assert_memory_equal(bytes + 124, "00000000005", 12); /* size, octal */
    assert_memory_equal(bytes + 257, "ustar\00000", 8);
    assert_memory_equal(bytes + 512, "hello\0", 6);
    assert_string_equal(bytes + 1024, "empty");
    u32 sum = 0;
    for (u32 i = 0; i < 512; i++) {
        sum += i >= 148 && i < 156 ? ' ' : (u8)bytes[i];
    }
    assert_int_equal(strtol(bytes + 148, NULL, 8), sum);
    free(bytes);
    FILE *full = fopen("/dev/full", "we");
    assert_non_null(full);
    bool good = tar_add(full, "name", SLICE_LIT("x"), 0) && tar_end(full);
    assert_false(good);
    fclose(full);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(archives),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

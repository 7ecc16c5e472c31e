/* ustar, as little of it as a folder of plain files needs: see tar.h. */
#include "cli/tar.h"

#include <string.h>

enum { BLOCK = 512 };

struct tar_header {
    char name[100];
    char mode[8];
    char owner[8];
    char group[8];
    char size[12];
    char time[12];
    char sum[8];
    char type;
    char link[100];
    char magic[6];
    char version[2];
    char owner_name[32];
    char group_name[32];
    char device_major[8];
    char device_minor[8];
    char prefix[155];
    char zeros[12];
};
static_assert(sizeof(struct tar_header) == BLOCK, "a header is a block");

static void octal(char *to, size_t size, u64 value)
{
    for (size_t i = size - 1; i > 0; i--) {
        to[i - 1] = (char)('0' + (value & 7));
        value >>= 3;
    }
    to[size - 1] = 0;
}

static bool write_zeros_to(FILE *to, size_t count)
{
    static const char zeros[2 * BLOCK];
    return fwrite(zeros, 1, count, to) == count;
}

bool tar_add(FILE *to, const char *name, struct slice bytes, i64 time_s)
{
    struct tar_header h = {.type = '0', .magic = "ustar", .version = {'0', '0'}};
    assert(strlen(name) <= sizeof h.name);
    memcpy(h.name, name, strlen(name));
    octal(h.mode, sizeof h.mode, 0600);
    octal(h.owner, sizeof h.owner, 0);
    octal(h.group, sizeof h.group, 0);
    octal(h.size, sizeof h.size, bytes.len);
    octal(h.time, sizeof h.time, (u64)MAX(time_s, 0));
    memset(h.sum, ' ', sizeof h.sum);
    u32 sum = 0;
    for (size_t i = 0; i < BLOCK; i++) {
        sum += ((const u8 *)&h)[i];
    }
    octal(h.sum, sizeof h.sum - 1, sum);
    size_t padding = ROUND_UP(bytes.len, (size_t)BLOCK) - bytes.len;
    return fwrite(&h, 1, BLOCK, to) == BLOCK &&
           (bytes.len == 0 || fwrite(bytes.ptr, 1, bytes.len, to) == bytes.len) &&
           write_zeros_to(to, padding);
}

bool tar_end(FILE *to)
{
    return write_zeros_to(to, 2 * BLOCK) && fflush(to) == 0;
}

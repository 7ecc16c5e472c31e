/* What the process may ask about the machine before it has a loop. */
#include "io/io.h"

#include <fcntl.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

u64 io_clock_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (u64)t.tv_sec * 1000000000u + (u64)t.tv_nsec;
}

/* A number in a small file; UINT64_MAX when it is not there or says "max". */
static u64 number_in(const char *path)
{
    char text[32] = {0};
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (fd >= 0) {
        close(fd);
    }
    return got > 0 && text[0] >= '0' && text[0] <= '9' ? strtoull(text, NULL, 10) : UINT64_MAX;
}

u64 io_machine_memory(void)
{
    u64 memory = (u64)sysconf(_SC_PHYS_PAGES) * (u64)sysconf(_SC_PAGESIZE);
    memory = MIN(memory, number_in("/sys/fs/cgroup/memory.max"));
    return MIN(memory, number_in("/sys/fs/cgroup/memory/memory.limit_in_bytes"));
}

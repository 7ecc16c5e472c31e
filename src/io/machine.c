/* What the process may ask about the machine and itself outside any loop. */
#include "io/io.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

u64 io_clock_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (u64)t.tv_sec * 1000000000u + (u64)t.tv_nsec;
}

u64 io_thread_cpu_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (u64)t.tv_sec * 1000000000u + (u64)t.tv_nsec;
}

/* The beginning of a small file, ended by 0; false: it cannot be read. */
static bool file_begin(const char *path, char *text, size_t bytes)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd < 0 ? -1 : read(fd, text, bytes - 1);
    if (fd >= 0) {
        close(fd);
    }
    text[MAX(got, (ssize_t)0)] = 0;
    return got > 0;
}

/* A number in a small file; UINT64_MAX when it is not there or says "max". */
static u64 number_in(const char *path)
{
    char text[32];
    return file_begin(path, text, sizeof text) && text[0] >= '0' && text[0] <= '9'
               ? strtoull(text, NULL, 10)
               : UINT64_MAX;
}

/* The least that the cgroup and those above it allow: their files are named `file`. */
static u64 memory_above(const char *mount, const char *path, size_t path_bytes, const char *file)
{
    char name[512];
    u64 least = UINT64_MAX;
    for (size_t len = path_bytes;; len--) {
        if (len == 0 || path[len] == '/' || len == path_bytes) {
            int bytes = snprintf(name, sizeof name, "%s%.*s/%s", mount, (int)len, path, file);
            least = bytes < (int)sizeof name ? MIN(least, number_in(name)) : least;
        }
        if (len == 0) {
            return least;
        }
    }
}

u64 io_cgroup_memory(const char *self, const char *root)
{
    char text[4096];
    char memory[256];
    u64 least = UINT64_MAX;
    if (!file_begin(self, text, sizeof text) ||
        snprintf(memory, sizeof memory, "%s/memory", root) >= (int)sizeof memory) {
        return least;
    }
    /* HIERARCHY:CONTROLLERS:PATH in lines; the second kind of cgroups has no controllers here. */
    for (char *line = text, *end; (end = strchr(line, '\n')) != NULL; line = end + 1) {
        *end = 0;
        char *controllers = strchr(line, ':');
        char *path = controllers == NULL ? NULL : strchr(controllers + 1, ':');
        if (path == NULL) {
            continue;
        }
        *path++ = 0;
        if (controllers[1] == 0) {
            least = MIN(least, memory_above(root, path, strlen(path), "memory.max"));
        } else if (strstr(controllers, "memory") != NULL) {
            least = MIN(least, memory_above(memory, path, strlen(path), "memory.limit_in_bytes"));
        }
    }
    return least;
}

u64 io_machine_memory(void)
{
    u64 memory = (u64)sysconf(_SC_PHYS_PAGES) * (u64)sysconf(_SC_PAGESIZE);
    return MIN(memory, io_cgroup_memory("/proc/self/cgroup", "/sys/fs/cgroup"));
}

/* The number behind a name that begins a line, "Threads:"; 0 when there is none. */
static u64 number_of(const char *text, const char *name)
{
    const char *at = strstr(text, name);
    return at == NULL ? 0 : strtoull(at + strlen(name), NULL, 10);
}

/* Seconds since 1970 when this process began: the boot's time and the ticks since then. */
static f64 start_time(const char *stat, f64 ticks_per_second)
{
    char boot[8192];
    const char *at = strrchr(stat, ')'); /* the name may hold anything */
    for (u32 field = 2; at != NULL && field < 22; field++) {
        at = strchr(at + 1, ' ');
    }
    if (at == NULL || !file_begin("/proc/stat", boot, sizeof boot)) {
        return 0;
    }
    return (f64)number_of(boot, "btime ") + (f64)strtoull(at, NULL, 10) / ticks_per_second;
}

static u64 count_fds(void)
{
    u64 count = 0;
    DIR *directory = opendir("/proc/self/fd");
    while (directory != NULL && readdir(directory) != NULL) {
        count++;
    }
    if (directory != NULL) {
        closedir(directory);
    }
    return count > 3 ? count - 3 : 0; /* ".", ".." and the one that looks */
}

void io_process_read(struct io_process *out)
{
    char text[4096];
    *out = (struct io_process){.open_fds = count_fds()};
    struct rusage usage;
    if (getrusage(RUSAGE_SELF, &usage) == 0) {
        out->cpu_seconds = (f64)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
                           (f64)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
    }
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        out->max_fds = limit.rlim_cur;
    }
    if (file_begin("/proc/self/status", text, sizeof text)) {
        out->threads = number_of(text, "Threads:");
        out->resident_bytes = number_of(text, "VmRSS:") * KIB;
        out->virtual_bytes = number_of(text, "VmSize:") * KIB;
    }
    if (file_begin("/proc/self/stat", text, sizeof text)) {
        out->start_time_seconds = start_time(text, (f64)sysconf(_SC_CLK_TCK));
    }
    if (file_begin("/proc/self/io", text, sizeof text)) {
        out->disk_read_bytes = number_of(text, "\nread_bytes: ");
        out->disk_write_bytes = number_of(text, "\nwrite_bytes: ");
    }
}

static err_t err_of_open(int number)
{
    return number == ENOENT || number == ENOTDIR  ? ERR_NOT_FOUND
           : number == EACCES || number == EPERM  ? ERR_DENIED
           : number == ELOOP || number == ENXIO   ? ERR_INVALID
           : number == EMFILE || number == ENFILE ? ERR_LIMIT
                                                  : ERR_IO;
}

/* Reads to the end, or until there is more than bytes_max. */
static err_t read_all(int fd, size_t bytes_max, u8 **out, size_t *len)
{
    u8 *bytes = mem_alloc(bytes_max + 1);
    size_t have = 0;
    ssize_t got = 1;
    while (got > 0 && have <= bytes_max) {
        got = read(fd, bytes + have, bytes_max + 1 - have);
        if (got < 0 && errno == EINTR) {
            got = 1;
            continue;
        }
        have += got > 0 ? (size_t)got : 0;
    }
    if (got < 0 || have > bytes_max) {
        mem_free(bytes);
        return got < 0 ? ERR_IO : ERR_LIMIT;
    }
    *out = mem_resize(bytes, have + 1);
    *len = have;
    return OK;
}

/* A FIFO would wait for its writer: it is opened without waiting, and looked at first. */
err_t io_read_whole(const char *path, size_t bytes_max, u8 **out, size_t *len)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) {
        return err_of_open(errno);
    }
    struct stat st;
    err_t e = fstat(fd, &st) != 0                ? ERR_IO
              : !S_ISREG(st.st_mode)             ? ERR_INVALID
              : (u64)st.st_size > (u64)bytes_max ? ERR_LIMIT
                                                 : OK;
    if (e == OK) {
        e = read_all(fd, bytes_max, out, len);
    }
    close(fd);
    return e;
}

void io_standard_files(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) < 0 && errno == EBADF && open("/dev/null", O_RDWR) < 0) {
            return; /* nothing else can be done, and nobody told */
        }
    }
}

u32 io_parent(void)
{
    return (u32)getppid();
}

bool io_process_gone(u32 pid)
{
    int fd = (int)syscall(SYS_pidfd_open, (pid_t)pid, 0);
    if (fd < 0) {
        /* A kernel or filter without it: who has ended and is not waited for counts as there. */
        return errno == ESRCH || (errno != EMFILE && errno != ENFILE && errno != ENOMEM &&
                                  kill((pid_t)pid, 0) != 0 && errno == ESRCH);
    }
    struct pollfd process = {.fd = fd, .events = POLLIN};
    bool gone = poll(&process, 1, 0) > 0;
    close(fd);
    return gone;
}

bool io_input_ended(void)
{
    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
    while (poll(&input, 1, 0) > 0) {
        char ignored[512];
        ssize_t got = read(STDIN_FILENO, ignored, sizeof ignored);
        if (got <= 0) {
            return got == 0 || (errno != EAGAIN && errno != EINTR);
        }
    }
    return false;
}

bool io_resolves(const char *host)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    int result = getaddrinfo(host, NULL, &hints, &found);
    if (found != NULL) {
        freeaddrinfo(found);
    }
    return result == 0;
}

/* Who has a TCP port: the kernel's tables say which socket listens, and the descriptors of the
   processes that we may look at say whose it is. */
#include "io/io.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The inode of the listening socket; 0: none in this table. A line is
   "sl: ADDRESS:PORT ADDRESS:PORT STATE tx:rx tr:when retransmits uid timeout inode", 0A listens. */
static u64 inode_in(const char *table, u16 port)
{
    FILE *f = fopen(table, "re");
    if (f == NULL) {
        return 0;
    }
    char line[512];
    u64 inode = 0;
    while (inode == 0 && fgets(line, sizeof line, f) != NULL) {
        unsigned at = 0;
        unsigned state = 0;
        unsigned long long number = 0;
        int fields = sscanf(line,
                            " %*d: %*[0-9A-Fa-f]:%x %*[0-9A-Fa-f]:%*x %x %*x:%*x %*x:%*x %*x "
                            "%*u %*u %llu",
                            &at, &state, &number);
        if (fields == 3 && at == port && state == 0x0a) {
            inode = number;
        }
    }
    fclose(f);
    return inode;
}

static bool has_socket(const char *pid, u64 inode)
{
    char wanted[64];
    char path[300];
    snprintf(wanted, sizeof wanted, "socket:[%llu]", (unsigned long long)inode);
    snprintf(path, sizeof path, "/proc/%s/fd", pid);
    DIR *fds = opendir(path);
    bool found = false;
    const struct dirent *entry;
    while (fds != NULL && !found && (entry = readdir(fds)) != NULL) {
        char link[64] = {0};
        found = readlinkat(dirfd(fds), entry->d_name, link, sizeof link - 1) > 0 &&
                strcmp(link, wanted) == 0;
    }
    if (fds != NULL) {
        closedir(fds);
    }
    return found;
}

static void name_of(const char *pid, char *out, size_t out_bytes)
{
    char path[300];
    char name[64] = "a process";
    snprintf(path, sizeof path, "/proc/%s/comm", pid);
    FILE *f = fopen(path, "re");
    if (f != NULL) {
        if (fgets(name, sizeof name, f) == NULL) {
            snprintf(name, sizeof name, "a process");
        }
        fclose(f);
    }
    name[strcspn(name, "\n")] = 0;
    snprintf(out, out_bytes, "%s (pid %s)", name, pid);
}

bool io_port_owner(u16 port, char *out, size_t out_bytes)
{
    u64 inode = inode_in("/proc/net/tcp", port);
    inode = inode != 0 ? inode : inode_in("/proc/net/tcp6", port);
    DIR *processes = inode == 0 ? NULL : opendir("/proc");
    bool found = false;
    const struct dirent *entry;
    while (processes != NULL && !found && (entry = readdir(processes)) != NULL) {
        if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9' &&
            has_socket(entry->d_name, inode)) {
            name_of(entry->d_name, out, out_bytes);
            found = true;
        }
    }
    if (processes != NULL) {
        closedir(processes);
    }
    return found;
}

/* `odradek serve`: one broker in the foreground. The command line is parsed above (cli); this runs
   it. */
#pragma once

#include "base/base.h"

struct serve_option {
    struct slice key;
    struct slice value;
};
struct serve_options {
    const char *data_directory; /* NULL: ./odradek-data */
    const char *listen;         /* HOST:PORT, NULL: 127.0.0.1:9092 */
    u64 memory_bytes;           /* 0: a quarter of the machine's memory, at most 1 GiB */
    const struct serve_option *sets;
    u32 set_count;
    const char *version;
};

/* Returns the exit code: 0 after a clean stop, 1 when it could not start, 2 usage, 9 when storage
   failed. */
int serve_run(const struct serve_options *options);

enum { SERVE_EXIT_OK = 0, SERVE_EXIT_FAILED = 1, SERVE_EXIT_USAGE = 2, SERVE_EXIT_STORAGE = 9 };

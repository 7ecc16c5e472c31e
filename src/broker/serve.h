/* `odradek serve` and `odradek dev`: one broker in the foreground. The command line is parsed above
   (cli); this runs it. */
#pragma once

#include "broker/config_sources.h"

struct serve_options {
    struct config_sources sources;
    const char *version;
    /* `odradek dev`: records live in memory and go with the process. */
    bool in_memory;
    bool with_parent;      /* stops when the process that started it is gone */
    u32 parent;            /* 0: none; stops when this process is gone, or was gone before */
    bool until_eof;        /* stops when standard input ends */
    const char *port_file; /* HOST:PORT is written there when the broker serves; NULL: nowhere */
};

/* Returns the exit code: 0 after a clean stop, 1 when it could not start, 2 usage or configuration,
   9 when storage failed. */
int serve_run(const struct serve_options *options);

enum { SERVE_EXIT_OK = 0, SERVE_EXIT_FAILED = 1, SERVE_EXIT_USAGE = 2, SERVE_EXIT_STORAGE = 9 };

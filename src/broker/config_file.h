/* Files of settings in Java's properties format, as server.properties is [java.util.Properties].
   Pure: bytes in, keys and values out. Called by config_sources.c and by the fuzzer. */
#pragma once

#include "base/base.h"

/* One setting; key and value last until the call returns. false ends the walk. */
typedef bool (*properties_fn)(void *user, u32 line, struct slice key, struct slice value);

struct properties_error {
    u32 line; /* from 1 */
    const char *what;
};
/* ERR_INVALID with line and reason when a line cannot be understood; what stood before it has been
   handed over. The bytes are UTF-8, with or without its byte order mark. */
MUST_USE err_t properties_parse(struct slice text, properties_fn each, void *user,
                                struct properties_error *error);

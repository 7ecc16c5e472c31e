/* Writing an archive (POSIX ustar) of files that are in memory. */
#pragma once

#include "base/base.h"

#include <stdio.h>

/* A file of mode 0600; name is at most 100 bytes. false: it could not be written. */
MUST_USE bool tar_add(FILE *to, const char *name, struct slice bytes, i64 time_s);
MUST_USE bool tar_end(FILE *to);

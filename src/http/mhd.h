/* libmicrohttpd, loaded at first use (mhd.c): a broker that nobody asks by HTTP never pays
   for it. Functions are called through the table: mhd->MHD_run(...). */
#pragma once

#include <microhttpd.h>

#include "base/base.h"

struct microhttpd {
#define MHD(name) __typeof__(&name) name;
#include "http/mhd.def"
#undef MHD
};
/* NULL: it is not there, or too old; reason says what to install. Called by one thread at a time. A
   library that is not there is looked for again by the next call. */
const struct microhttpd *microhttpd_load(char *reason, size_t reason_bytes);

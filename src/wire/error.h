/* Error codes as they travel on the wire (errors.def). Errors inside the program are err_t. */
#pragma once

#include "base/base.h"

enum kerr {
#define ERR(name, code, flags, doc) KERR_##name = code,
#include "wire/errors.def"
#undef ERR
};

enum kerr_flag {
    KERR_FLAG_NONE = 0,
    KERR_FLAG_RETRIABLE = 1,        /* clients try again */
    KERR_FLAG_REFRESH_METADATA = 2, /* ... after asking for Metadata */
};

struct kerr_row {
    i16 code;
    u8 flags;
    const char *name;
    const char *doc;
};
extern const struct kerr_row kerr_rows[];
extern const u32 kerr_row_count;

/* The row of a code; NULL if there is none. */
const struct kerr_row *kerr_find(i16 code);
/* "OFFSET_OUT_OF_RANGE"; "UNKNOWN" for a code without a row. */
const char *kerr_name(i16 code);

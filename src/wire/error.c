/* The rows of errors.def. */
#include "wire/error.h"

#define NO_FLAGS  KERR_FLAG_NONE
#define RETRIABLE KERR_FLAG_RETRIABLE
#define REFRESH   (KERR_FLAG_RETRIABLE | KERR_FLAG_REFRESH_METADATA)

const struct kerr_row kerr_rows[] = {
#define ERR(name, code, flags, doc) {code, flags, #name, doc},
#include "wire/errors.def"
#undef ERR
};
const u32 kerr_row_count = (u32)ARRAY_LEN(kerr_rows);

const struct kerr_row *kerr_find(i16 code)
{
    /* The codes are consecutive from -1 on; test_error.c holds them to it. */
    i32 index = code - kerr_rows[0].code;
    if (index < 0 || (u32)index >= kerr_row_count) {
        return NULL;
    }
    assert(kerr_rows[index].code == code);
    return &kerr_rows[index];
}

const char *kerr_name(i16 code)
{
    const struct kerr_row *row = kerr_find(code);
    return row != NULL ? row->name : "UNKNOWN";
}

/* The English names of internal errors, for diagnostics. */
#include "err.h"

#include "assert.h"
#include "types.h"

static const char *const names[ERR_MAX] = {
    [OK] = "ok",
    [ERR_TRUNCATED] = "truncated",
    [ERR_INVALID] = "invalid",
    [ERR_LIMIT] = "limit reached",
    [ERR_NO_MEMORY] = "no memory left in the budget",
    [ERR_AGAIN] = "not now",
    [ERR_CLOSED] = "closed",
    [ERR_CANCELLED] = "cancelled",
    [ERR_NOT_FOUND] = "not found",
    [ERR_EXISTS] = "already exists",
    [ERR_LOCKED] = "locked",
    [ERR_IO] = "io error",
    [ERR_NO_SPACE] = "no space left",
    [ERR_CORRUPT] = "corrupt",
    [ERR_VERSION] = "unknown version",
    [ERR_UNSUPPORTED] = "unsupported",
    [ERR_FENCED] = "fenced",
    [ERR_ADDRESS] = "bad address",
    [ERR_DENIED] = "permission denied",
};

const char *err_name(err_t e)
{
    if ((unsigned)e >= ERR_MAX || names[e] == NULL) {
        return "unknown error";
    }
    return names[e];
}

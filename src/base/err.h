/* Errors inside the program. They never go on the wire (that is wire/errors.def); a handler
   decides which wire error a client sees. A function that returns err_t is MUST_USE. */
#pragma once

typedef enum err {
    OK = 0,
    ERR_TRUNCATED,   /* ran out of bytes while decoding */
    ERR_INVALID,     /* bytes or arguments that make no sense */
    ERR_LIMIT,       /* a cap from the configuration was reached */
    ERR_NO_MEMORY,   /* a pool or the budget is full: try later, stop reading */
    ERR_AGAIN,       /* nothing now; an event will follow */
    ERR_CLOSED,      /* the peer or the object is gone */
    ERR_CANCELLED,   /* the operation was cancelled before it finished */
    ERR_NOT_FOUND,   /* no such thing */
    ERR_EXISTS,      /* it is already there */
    ERR_LOCKED,      /* another living process holds it */
    ERR_IO,          /* the medium or the network failed (EIO, failed sync) */
    ERR_NO_SPACE,    /* ENOSPC, EDQUOT */
    ERR_CORRUPT,     /* stored bytes disagree with their checksum or their frame */
    ERR_VERSION,     /* a format or protocol version we do not read */
    ERR_UNSUPPORTED, /* the kernel or file system refuses this way of doing it */
    ERR_FENCED,      /* this session has been replaced, or its home fenced */
    ERR_ADDRESS,     /* address in use, unresolvable or not ours */
    ERR_DENIED,      /* EACCES, EPERM */
    ERR_MAX
} err_t;

/* A short English name ("io error"), never NULL. */
const char *err_name(err_t e);

#define TRY(expr)              \
    do {                       \
        err_t try_e_ = (expr); \
        if (try_e_ != OK) {    \
            return try_e_;     \
        }                      \
    } while (0)

/* Requests that ask the log what it does not know yet: for a moment after a start the index of the
   older packs is still being read (log/older.c), while producers are served. Such a request is held
   back, and so are those behind it on its connection; its handler runs when the log is whole.
   Called by conn.c. How it fails: the connection goes away first, or the log never becomes whole:
   then the process ends. */
#include "broker/whole.h"

#include "broker/conn.h"

/* Those that read, look up or delete. Who asks groups is told that they are loading. */
static bool asks_all(i16 api_key)
{
    static const i16 keys[] = {API_fetch,
                               API_list_offsets,
                               API_delete_records,
                               API_offset_for_leader_epoch,
                               API_describe_log_dirs,
                               API_describe_producers};
    for (u32 i = 0; i < ARRAY_LEN(keys); i++) {
        if (keys[i] == api_key) {
            return true;
        }
    }
    return false;
}

static void held_cancelled(struct request *r)
{
    log_whole_cancel(&r->whole);
}

static void log_is_whole_now(struct log_whole_waiter *w)
{
    struct request *r = CONTAINER_OF(w, struct request, whole);
    r->cancelled = NULL;
    request_unblock(r);
    r->handler(r);
}

bool request_hold(struct request *r, handler_fn handler)
{
    struct log *log = r->broker->log;
    if (LIKELY(log_is_whole(log)) || !asks_all(r->api_key)) {
        return false;
    }
    seen("broker: a request waits for the index of older packs");
    r->handler = handler;
    r->cancelled = held_cancelled;
    r->whole.whole = log_is_whole_now;
    request_block(r);
    log_whole_wait(log, &r->whole);
    return true;
}

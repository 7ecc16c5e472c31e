/* Sending: answers of one connection, in the order of its requests, gathered into one send per
   turn.

   A part of an answer is encoded bytes or a range of the log. A hot range is sent straight from the
   WAL's chunk: the pointer is good until the turn ends and nothing is pinned. A cold one is loaded
   first (log_load), whole batches at a time; a reader that stalls gives the buffer back after a
   second (sooner when others wait for one) and has it read again when its socket drains. */
#include "broker/conn.h"

enum { SEND_VECS_MAX = 128 };
#define SMALL_NS (50ull * 1000 * 1000) /* so long after a small answer more are expected */

static void load_drop(struct request *r)
{
    log_load_release(&r->load);
    r->load_state = LOAD_NONE;
}

/* There is something to send of the current part. */
static void load_arrived(struct request *r)
{
    const struct reply_part *part = &r->parts[r->part_index];
    r->load_state = LOAD_READY;
    if (r->load_from + r->load.bytes <= part->sent) {
        /* All of this was sent while it was hot: go on behind it. */
        r->load_from += r->load.bytes;
        load_drop(r);
    }
}

static void load_done(struct log_load *load, err_t result)
{
    struct request *r = CONTAINER_OF(load, struct request, load);
    r->broker->loads_waiting--;
    if (result == OK) {
        load_arrived(r);
    } else {
        r->load_state = LOAD_FAILED;
    }
    conn_dirty(r->conn);
}

static void load_aim(struct request *r, const struct reply_part *part)
{
    r->load.done = load_done;
    r->load.range = part->range;
    r->load.range.pos += r->load_from;
    r->load.range.bytes -= r->load_from;
}

/* The rest of a cold part, from the last batch boundary on. What was read ahead is there at once.
 */
static void load_start(struct request *r, const struct reply_part *part)
{
    for (load_aim(r, part); log_load_at_hand(r->broker->log, &r->load); load_aim(r, part)) {
        load_arrived(r);
        if (r->load_state == LOAD_READY) {
            return;
        }
    }
    r->load_state = LOAD_WAITING;
    r->broker->loads_waiting++;
    conn_watch_stall(r->conn); /* those who hold buffers and do not read have less time now */
    log_load(r->broker->log, &r->load);
}

void conn_give_back_loads(struct conn *c)
{
    if (list_empty(&c->requests)) {
        return;
    }
    struct request *r = CONTAINER_OF(list_first(&c->requests), struct request, node);
    if (r->load_state == LOAD_READY) {
        load_drop(r);
    }
}

static struct io_vec load_rest(const struct request *r, const struct reply_part *part)
{
    u32 skip = part->sent - r->load_from;
    return (struct io_vec){(void *)(uintptr_t)(r->load.data + skip), r->load.bytes - skip};
}

/* What can be sent of a part now: memory and how much. false: nothing yet (a load is under way) or
   never (*broken). */
static bool part_bytes(struct request *r, const struct reply_part *part, struct io_vec *out,
                       bool *broken)
{
    if (part->data != NULL) {
        *out =
            (struct io_vec){(void *)(uintptr_t)(part->data + part->sent), part->bytes - part->sent};
        return true;
    }
    bool current = part == &r->parts[r->part_index];
    if (current && r->load_state == LOAD_READY) {
        *out = load_rest(r, part);
        return true;
    }
    if (current && r->load_state == LOAD_FAILED) {
        *broken = true;
        return false;
    }
    struct log_range rest = part->range;
    rest.pos += part->sent;
    rest.bytes -= part->sent;
    const u8 *hot = log_peek(r->broker->log, &rest);
    if (hot != NULL) {
        *out = (struct io_vec){(void *)(uintptr_t)hot, rest.bytes};
        return true;
    }
    if (current && r->load_state == LOAD_NONE) {
        load_start(r, part);
        if (r->load_state == LOAD_READY) {
            *out = load_rest(r, part);
            return true;
        }
    }
    return false;
}

/* Collects what is ready, in order, bytes_max at most. *broken: stored bytes could not be read. */
static u32 gather(struct conn *c, struct io_vec *vecs, size_t bytes_max, bool *broken)
{
    u32 count = 0;
    size_t bytes = 0;
    LIST_EACH (&c->requests, node) {
        struct request *r = CONTAINER_OF(node, struct request, node);
        if (r->state != REQUEST_READY) {
            return count;
        }
        for (u32 i = r->part_index; i < r->part_count; i++) {
            if (count == SEND_VECS_MAX || bytes >= bytes_max) {
                return count;
            }
            const struct reply_part *part = &r->parts[i];
            if (!part_bytes(r, part, &vecs[count], broken)) {
                return count;
            }
            vecs[count].len = MIN(vecs[count].len, bytes_max - bytes);
            bytes += vecs[count].len;
            bool whole = vecs[count].len == part->bytes - part->sent;
            count++;
            if (!whole) {
                return count; /* what follows is loaded when this has left, or is too much now */
            }
        }
        if (r->close_after) {
            return count;
        }
    }
    return count;
}

/* Accounts for sent bytes; frees what is complete. Returns false when a request closes the
   connection here. */
static bool advance(struct conn *c, size_t sent)
{
    while (!list_empty(&c->requests)) {
        struct request *r = CONTAINER_OF(list_first(&c->requests), struct request, node);
        if (r->state != REQUEST_READY) {
            break;
        }
        while (r->part_index < r->part_count) {
            struct reply_part *part = &r->parts[r->part_index];
            u32 step = (u32)MIN(sent, (size_t)(part->bytes - part->sent));
            part->sent += step;
            sent -= step;
            c->answer_bytes += step;
            c->bulk = c->bulk || c->answer_bytes > CONN_SMALL_BYTES;
            if (r->load_state == LOAD_READY && part->sent == r->load_from + r->load.bytes) {
                r->load_from = part->sent;
                load_drop(r);
            }
            if (part->sent < part->bytes) {
                break;
            }
            r->part_index++;
            r->load_from = 0;
        }
        if (r->part_index < r->part_count) {
            break;
        }
        bool close = r->close_after;
        c->bulk = c->answer_bytes > CONN_SMALL_BYTES;
        c->answer_bytes = 0;
        conn_request_gone(r);
        if (close) {
            return false;
        }
    }
    assert(sent == 0);
    return true;
}

/* Bytes have left: what that means for those who send after it. */
static void sent_account(struct conn *c, size_t sent)
{
    struct broker *b = c->broker;
    c->progress_ns = io_now_ns(b->io);
    c->sent_bytes += sent;
    conn_touch(c);
    if (c->bulk) {
        b->bulk_left -= MIN(b->bulk_left, sent);
    } else {
        b->small_until_ns = c->progress_ns + SMALL_NS;
    }
}

bool conn_send(struct conn *c)
{
    const struct broker *b = c->broker;
    size_t budget = c->bulk ? MIN(b->send_bytes, b->bulk_left) : b->send_bytes;
    assert(budget > 0);
    for (;;) {
        struct io_vec vecs[SEND_VECS_MAX];
        bool broken = false;
        u32 count = gather(c, vecs, MIN(budget, (size_t)1 << 20), &broken);
        if (broken) {
            return false;
        }
        if (count == 0) {
            /* Answers without bytes (acks=0, failed requests) leave here. */
            return advance(c, 0);
        }
        i64 sent = io_send(c->broker->io, c->sock, vecs, count);
        if (sent == -ERR_AGAIN) {
            c->want_send = true;
            conn_watch_stall(c);
            return true;
        }
        if (sent < 0) {
            return false;
        }
        bool goes_on = advance(c, (size_t)sent);
        sent_account(c, (size_t)sent);
        if (!goes_on) {
            return false;
        }
        if ((size_t)sent >= budget) {
            conn_go_on(c); /* others first */
            return true;
        }
        budget -= (size_t)sent;
    }
}

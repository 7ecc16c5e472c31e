/* A record is read exactly as it was written, in the partition it was written to. What it looks
   like follows from its author and number:

     key       author u32, record u32, their CRC u32
     value     null, or bytes that follow from both; some compress well
     headers   0 to 2 */
#include "sim/check.h"

#include <string.h>

enum { KEY_BYTES = 12, VALUE_AT = 32 };
static const char *const promise = "content is unaltered";

static u64 mix(u64 x)
{
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
    return x ^ (x >> 31);
}

static size_t value_bytes(u64 h, bool big)
{
    if (big && h % 193 == 0) {
        return 64 * 1024 + (h >> 8) % (CONTENT_VALUE_MAX - 64 * 1024);
    }
    if (h % 61 == 0) {
        return 4096 + (h >> 8) % (12 * 1024);
    }
    return (h >> 8) % (h % 5 == 0 ? 1024 : 160);
}

static void value_fill(u8 *out, size_t bytes, u64 h)
{
    bool even = (h >> 4) % 2 == 0;
    for (size_t at = 0; at < bytes; at += 8) {
        u64 word = even ? mix(h) : mix(h + at);
        memcpy(out + at, &word, MIN((size_t)8, bytes - at));
    }
}

void content_init(struct content *c)
{
    *c = (struct content){.room = mem_alloc(VALUE_AT + CONTENT_VALUE_MAX)};
}

void content_fini(struct content *c)
{
    mem_free(c->room);
}

void content_make(const struct author *w, u32 record, struct content *out)
{
    u64 h = mix((u64)w->number << 32 | record);
    u8 *key = out->room;
    store_be32(key, w->number);
    store_be32(key + 4, record);
    store_be32(key + 8, crc32c(key, 8));
    out->key = slice_of(key, KEY_BYTES);
    out->value = (struct slice){0};
    if (h % 17 != 0) {
        size_t bytes = value_bytes(h, w->partition->ledger->big_values);
        value_fill(out->room + VALUE_AT, bytes, h);
        out->value = slice_of(out->room + VALUE_AT, bytes);
    }
    out->header_count = (u32)((h >> 40) % (CONTENT_HEADERS_MAX + 1));
    for (u32 i = 0; i < out->header_count; i++) {
        struct slice value = (h >> 41) % 2 == 0 ? (struct slice){0} : slice_of(key, 4 + 4 * i);
        out->headers[i] =
            (struct record_header){.key = slice_cstr(i == 0 ? "trace" : "odradek"), .value = value};
    }
}

static bool same(struct slice a, struct slice b)
{
    return (a.ptr == NULL) == (b.ptr == NULL) && slice_eq(a, b);
}

static bool headers_same(const struct record *r, const struct content *expected)
{
    struct slice headers = r->headers;
    struct record_header h;
    u32 i = 0;
    while (record_header_next(&headers, &h)) {
        if (i >= expected->header_count || !same(h.key, expected->headers[i].key) ||
            !same(h.value, expected->headers[i].value)) {
            return false;
        }
        i++;
    }
    return i == expected->header_count;
}

bool content_check(struct ledger_partition *p, const struct record *r, const char *who,
                   struct author **author, u32 *record)
{
    struct world *world = p->ledger->world;
    long long offset = (long long)r->offset;
    bool key_good = r->key.len == KEY_BYTES && load_be32(r->key.ptr + 8) == crc32c(r->key.ptr, 8) &&
                    load_be32(r->key.ptr) < p->ledger->author_count;
    if (!key_good) {
        world_fail(world, promise, "%s-%d offset %lld: %s read a key that nobody wrote",
                   p->topic->name, p->index, offset, who);
        return false;
    }
    struct author *w = p->ledger->authors_by_number[load_be32(r->key.ptr)];
    u32 number = load_be32(r->key.ptr + 4);
    if (w->partition != p || number >= w->count || w->records[number].attempts == 0) {
        world_fail(world, promise,
                   "%s-%d offset %lld: %s read record %u of author %u, who writes to %s-%d",
                   p->topic->name, p->index, offset, who, number, w->number,
                   w->partition->topic->name, w->partition->index);
        return false;
    }
    struct content *expected = &p->ledger->expected;
    content_make(w, number, expected);
    bool time_good = p->topic->log_append_time || r->timestamp == w->records[number].timestamp;
    if (!time_good || !same(r->value, expected->value) || !headers_same(r, expected)) {
        world_fail(world, promise,
                   "%s-%d offset %lld: %s read record %u of author %u with another %s",
                   p->topic->name, p->index, offset, who, number, w->number,
                   !time_good                         ? "time"
                   : !same(r->value, expected->value) ? "value"
                                                      : "header");
        return false;
    }
    *author = w;
    *record = number;
    return true;
}

/* Slices, uuids, readers and writers. Everything that takes a length from outside passes through
   take() or room(), which compare it with what is left and remember a failure. */
#include "bytes.h"

#include "assert.h"

#include <string.h>

/* Slices */

struct slice slice_of(const void *ptr, size_t len)
{
    assert(ptr != NULL || len == 0);
    return (struct slice){ptr, len};
}

struct slice slice_cstr(const char *s)
{
    return (struct slice){(const u8 *)s, s == NULL ? 0 : strlen(s)};
}

bool slice_eq(struct slice a, struct slice b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

int slice_cmp(struct slice a, struct slice b)
{
    size_t common = MIN(a.len, b.len);
    int order = common > 0 ? memcmp(a.ptr, b.ptr, common) : 0;
    if (order != 0) {
        return order;
    }
    return a.len < b.len ? -1 : a.len > b.len;
}

bool slice_eq_cstr(struct slice a, const char *s)
{
    return slice_eq(a, slice_cstr(s));
}

struct slice slice_trim(struct slice text)
{
    while (text.len > 0 && text.ptr[0] <= ' ') {
        text = slice_of(text.ptr + 1, text.len - 1);
    }
    while (text.len > 0 && text.ptr[text.len - 1] <= ' ') {
        text.len--;
    }
    return text;
}

/* Folding a 128-bit product spreads every input bit over the whole word. */
static u64 fold(u64 a, u64 b)
{
    unsigned __int128 product = (unsigned __int128)a * b;
    return (u64)product ^ (u64)(product >> 64);
}

u64 slice_hash(struct slice s, u64 seed)
{
    const u64 odd_1 = 0x9e3779b97f4a7c15ull;
    const u64 odd_2 = 0xd6e8feb86659fd93ull;
    u64 hash = fold(seed ^ odd_1, s.len ^ odd_2);
    size_t at = 0;
    for (; s.len - at >= 8; at += 8) {
        hash = fold(hash ^ load_le64(s.ptr + at), odd_2);
        hash += odd_1;
    }
    u64 tail = 0;
    for (u32 shift = 0; at < s.len; at++, shift += 8) {
        tail |= (u64)s.ptr[at] << shift;
    }
    return fold(hash ^ tail, odd_1) ^ hash;
}

/* Uuids */

bool uuid_eq(struct uuid a, struct uuid b)
{
    return memcmp(a.bytes, b.bytes, sizeof(a.bytes)) == 0;
}

bool uuid_is_zero(struct uuid id)
{
    return uuid_eq(id, (struct uuid){{0}});
}

static const char base64url[64] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

void uuid_print(struct uuid id, char out[23])
{
    /* 21 characters of 6 bits and one of 2: 128 bits. */
    for (u32 i = 0; i < 22; i++) {
        u32 bit = 6 * i;
        u32 pair = (u32)id.bytes[bit / 8] << 8;
        if (bit / 8 + 1 < sizeof(id.bytes)) {
            pair |= id.bytes[bit / 8 + 1];
        }
        out[i] = base64url[(pair >> (10 - bit % 8)) & 63u];
    }
    out[22] = '\0';
}

static i32 base64url_value(u8 c)
{
    const char *found = c != '\0' ? memchr(base64url, c, sizeof(base64url)) : NULL;
    return found != NULL ? (i32)(found - base64url) : -1;
}

err_t uuid_parse(struct slice text, struct uuid *out)
{
    if (text.len != 22) {
        return ERR_INVALID;
    }
    struct uuid id = {{0}};
    u32 pending = 0;
    u32 pending_bits = 0;
    u32 count = 0;
    for (u32 i = 0; i < 22; i++) {
        i32 value = base64url_value(text.ptr[i]);
        if (value < 0) {
            return ERR_INVALID;
        }
        pending = (pending << 6) | (u32)value;
        pending_bits += 6;
        if (pending_bits >= 8) {
            pending_bits -= 8;
            id.bytes[count] = (u8)(pending >> pending_bits);
            count++;
            pending &= (1u << pending_bits) - 1;
        }
    }
    assert(count == sizeof(id.bytes));
    if (pending != 0) {
        return ERR_INVALID; /* bits beyond the 128th: not what any uuid prints as */
    }
    *out = id;
    return OK;
}

/* Readers */

struct reader reader_of(struct slice s)
{
    return (struct reader){.pos = s.ptr, .end = s.len > 0 ? s.ptr + s.len : s.ptr};
}

size_t reader_left(const struct reader *r)
{
    return r->failed ? 0 : (size_t)(r->end - r->pos);
}

/* The next len bytes, or NULL after the first failure. */
static const u8 *take(struct reader *r, size_t len)
{
    if (r->failed || len > (size_t)(r->end - r->pos)) {
        r->failed = true;
        return NULL;
    }
    const u8 *at = r->pos;
    r->pos += len;
    return at;
}

u8 read_u8(struct reader *r)
{
    const u8 *at = take(r, 1);
    return at != NULL ? *at : 0;
}

u16 read_be16(struct reader *r)
{
    const u8 *at = take(r, 2);
    return at != NULL ? load_be16(at) : 0;
}

u32 read_be32(struct reader *r)
{
    const u8 *at = take(r, 4);
    return at != NULL ? load_be32(at) : 0;
}

u64 read_be64(struct reader *r)
{
    const u8 *at = take(r, 8);
    return at != NULL ? load_be64(at) : 0;
}

u16 read_le16(struct reader *r)
{
    const u8 *at = take(r, 2);
    return at != NULL ? __builtin_bswap16(load_be16(at)) : 0;
}

u32 read_le32(struct reader *r)
{
    const u8 *at = take(r, 4);
    return at != NULL ? load_le32(at) : 0;
}

u64 read_le64(struct reader *r)
{
    const u8 *at = take(r, 8);
    return at != NULL ? load_le64(at) : 0;
}

struct slice read_bytes(struct reader *r, size_t len)
{
    if (len == 0) {
        return (struct slice){r->failed ? NULL : r->pos, 0};
    }
    const u8 *at = take(r, len);
    return at != NULL ? (struct slice){at, len} : (struct slice){NULL, 0};
}

/* LEB128: seven bits a byte, low ones first, the top bit says "more". A value that does not fit in
   `bits` is a failure, not a wrap; a longer way of writing a small value is accepted, as Kafka
   does. */
static u64 read_leb128(struct reader *r, u32 bits)
{
    u64 value = 0;
    for (u32 shift = 0; shift < bits; shift += 7) {
        u8 byte = read_u8(r);
        u64 part = byte & 0x7fu;
        if (bits - shift < 7 && (part >> (bits - shift)) != 0) {
            r->failed = true;
        }
        value |= part << shift;
        if ((byte & 0x80u) == 0) {
            return r->failed ? 0 : value;
        }
    }
    r->failed = true;
    return 0;
}

u32 read_uvarint(struct reader *r)
{
    return (u32)read_leb128(r, 32);
}

/* Zig-zag: 0, -1, 1, -2 ... are written as 0, 1, 2, 3 ... */
static i64 zigzag_decode(u64 coded)
{
    return (i64)((coded >> 1) ^ (0 - (coded & 1)));
}

static u64 zigzag_encode(i64 v)
{
    return ((u64)v << 1) ^ (v < 0 ? UINT64_MAX : 0);
}

i32 read_varint(struct reader *r)
{
    return (i32)zigzag_decode(read_leb128(r, 32));
}

i64 read_varlong(struct reader *r)
{
    return zigzag_decode(read_leb128(r, 64));
}

/* Writers */

struct writer writer_of(void *buf, size_t cap)
{
    assert(buf != NULL || cap == 0);
    return (struct writer){.start = buf, .cap = cap};
}

/* Where the next len bytes go, or NULL after the first failure. */
static u8 *room(struct writer *w, size_t len)
{
    assert(w->len <= w->cap);
    if (w->failed || len > w->cap - w->len) {
        w->failed = true;
        return NULL;
    }
    u8 *at = w->start + w->len;
    w->len += len;
    return at;
}

void write_u8(struct writer *w, u8 v)
{
    u8 *at = room(w, 1);
    if (at != NULL) {
        *at = v;
    }
}

void write_be16(struct writer *w, u16 v)
{
    u8 *at = room(w, 2);
    if (at != NULL) {
        store_be16(at, v);
    }
}

void write_be32(struct writer *w, u32 v)
{
    u8 *at = room(w, 4);
    if (at != NULL) {
        store_be32(at, v);
    }
}

void write_be64(struct writer *w, u64 v)
{
    u8 *at = room(w, 8);
    if (at != NULL) {
        store_be64(at, v);
    }
}

void write_le16(struct writer *w, u16 v)
{
    write_be16(w, __builtin_bswap16(v));
}

void write_le32(struct writer *w, u32 v)
{
    write_be32(w, __builtin_bswap32(v));
}

void write_le64(struct writer *w, u64 v)
{
    write_be64(w, __builtin_bswap64(v));
}

void write_bytes(struct writer *w, const void *src, size_t len)
{
    assert(src != NULL || len == 0);
    u8 *at = room(w, len);
    if (at != NULL && len > 0) {
        memcpy(at, src, len);
    }
}

void write_zeros(struct writer *w, size_t len)
{
    u8 *at = room(w, len);
    if (at != NULL && len > 0) {
        memset(at, 0, len);
    }
}

static void write_leb128(struct writer *w, u64 v)
{
    while (v >= 0x80u) {
        write_u8(w, (u8)(v | 0x80u));
        v >>= 7;
    }
    write_u8(w, (u8)v);
}

void write_uvarint(struct writer *w, u32 v)
{
    write_leb128(w, v);
}

void write_varint(struct writer *w, i32 v)
{
    write_leb128(w, (u32)zigzag_encode(v));
}

void write_varlong(struct writer *w, i64 v)
{
    write_leb128(w, zigzag_encode(v));
}

static size_t leb128_size(u64 v)
{
    u32 bits = 64 - (u32)__builtin_clzll(v | 1);
    return (bits + 6) / 7;
}

size_t uvarint_size(u32 v)
{
    return leb128_size(v);
}

size_t varint_size(i32 v)
{
    return leb128_size((u32)zigzag_encode(v));
}

size_t varlong_size(i64 v)
{
    return leb128_size(zigzag_encode(v));
}

/* Loads and stores. memcpy is how C says "unaligned"; the compiler makes one instruction of it. */

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "odradek is written for little-endian machines"
#endif

u16 load_be16(const void *p)
{
    u16 v;
    memcpy(&v, p, sizeof(v));
    return __builtin_bswap16(v);
}

u32 load_be32(const void *p)
{
    u32 v;
    memcpy(&v, p, sizeof(v));
    return __builtin_bswap32(v);
}

u64 load_be64(const void *p)
{
    u64 v;
    memcpy(&v, p, sizeof(v));
    return __builtin_bswap64(v);
}

u32 load_le32(const void *p)
{
    u32 v;
    memcpy(&v, p, sizeof(v));
    return v;
}

u64 load_le64(const void *p)
{
    u64 v;
    memcpy(&v, p, sizeof(v));
    return v;
}

void store_be16(void *p, u16 v)
{
    v = __builtin_bswap16(v);
    memcpy(p, &v, sizeof(v));
}

void store_be32(void *p, u32 v)
{
    v = __builtin_bswap32(v);
    memcpy(p, &v, sizeof(v));
}

void store_be64(void *p, u64 v)
{
    v = __builtin_bswap64(v);
    memcpy(p, &v, sizeof(v));
}

void store_le32(void *p, u32 v)
{
    memcpy(p, &v, sizeof(v));
}

void store_le64(void *p, u64 v)
{
    memcpy(p, &v, sizeof(v));
}

size_t utf8_sequence(const u8 *at, size_t left, u32 *point)
{
    static const struct {
        u8 mask, lead;
        u32 min;
    } shapes[] = {{0x80, 0x00, 0}, {0xe0, 0xc0, 0x80}, {0xf0, 0xe0, 0x800}, {0xf8, 0xf0, 0x10000}};
    for (size_t len = 1; len <= ARRAY_LEN(shapes); len++) {
        if ((at[0] & shapes[len - 1].mask) != shapes[len - 1].lead) {
            continue;
        }
        if (len > left) {
            return 0;
        }
        u32 value = at[0] & (u8)~shapes[len - 1].mask;
        for (size_t i = 1; i < len; i++) {
            if ((at[i] & 0xc0u) != 0x80u) {
                return 0;
            }
            value = (value << 6) | (at[i] & 0x3fu);
        }
        bool surrogate = value >= 0xd800 && value <= 0xdfff;
        if (value < shapes[len - 1].min || value > 0x10ffff || surrogate) {
            return 0;
        }
        *point = value;
        return len;
    }
    return 0;
}

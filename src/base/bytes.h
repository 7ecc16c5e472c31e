/* Slices, readers and writers. A reader or writer remembers its first failure and then does
   nothing more, returning zeros: check `failed` once, at the end. Every length from outside is
   compared with what is left before it is believed. be = big-endian (the Kafka wire), le =
   little-endian (our disk formats). */
#pragma once

#include "err.h"
#include "types.h"

#define SLICE_LIT(lit) ((struct slice){(const u8 *)(lit), sizeof(lit) - 1})
struct slice slice_of(const void *ptr, size_t len);
struct slice slice_cstr(const char *s); /* NULL: {NULL,0}, as of a text no arena had room for */
bool slice_eq(struct slice a, struct slice b);
int slice_cmp(struct slice a, struct slice b); /* memcmp order, shorter first */
bool slice_eq_cstr(struct slice a, const char *s);
/* Without blanks, and whatever else sorts below them, at both ends: Java's trim. */
struct slice slice_trim(struct slice text);
u64 slice_hash(struct slice s, u64 seed);
/* The length of the well-formed UTF-8 sequence at `at`, with its code point; 0 if there is none. */
size_t utf8_sequence(const u8 *at, size_t left, u32 *point);
bool uuid_eq(struct uuid a, struct uuid b);
bool uuid_is_zero(struct uuid id);
/* Kafka prints uuids as 22 characters of URL-safe base64 without padding. out has room for 23. */
void uuid_print(struct uuid id, char out[23]);
MUST_USE err_t uuid_parse(struct slice text, struct uuid *out);

struct reader {
    const u8 *pos;
    const u8 *end;
    bool failed;
};
struct reader reader_of(struct slice s);
size_t reader_left(const struct reader *r);
u8 read_u8(struct reader *r);
u16 read_be16(struct reader *r);
u32 read_be32(struct reader *r);
u64 read_be64(struct reader *r);
u16 read_le16(struct reader *r);
u32 read_le32(struct reader *r);
u64 read_le64(struct reader *r);
struct slice read_bytes(struct reader *r, size_t len);
u32 read_uvarint(struct reader *r); /* unsigned LEB128, at most 5 bytes and 32 bits */
i32 read_varint(struct reader *r);  /* zig-zag, 32 bit */
i64 read_varlong(struct reader *r); /* zig-zag, 64 bit, at most 10 bytes */

struct writer {
    u8 *start;
    size_t cap;
    size_t len;
    bool failed;
};
struct writer writer_of(void *buf, size_t cap);
void write_u8(struct writer *w, u8 v);
void write_be16(struct writer *w, u16 v);
void write_be32(struct writer *w, u32 v);
void write_be64(struct writer *w, u64 v);
void write_le16(struct writer *w, u16 v);
void write_le32(struct writer *w, u32 v);
void write_le64(struct writer *w, u64 v);
void write_bytes(struct writer *w, const void *src, size_t len);
void write_zeros(struct writer *w, size_t len);
void write_uvarint(struct writer *w, u32 v);
void write_varint(struct writer *w, i32 v);
void write_varlong(struct writer *w, i64 v);
size_t uvarint_size(u32 v);
size_t varint_size(i32 v);
size_t varlong_size(i64 v);

/* Unaligned loads and stores at a fixed place. */
u16 load_be16(const void *p);
u32 load_be32(const void *p);
u64 load_be64(const void *p);
u32 load_le32(const void *p);
u64 load_le64(const void *p);
void store_be16(void *p, u16 v);
void store_be32(void *p, u32 v);
void store_be64(void *p, u64 v);
void store_le32(void *p, u32 v);
void store_le64(void *p, u64 v);

/* The walker: decode, size and encode of any message by its table. Callers: api.c, the broker's
   handlers, coordinators, tests. Nothing here allocates but from the arena handed in.

   Decoding goes down the rows of a struct: what the version has is read, what it lacks is set to
   its default, and at the end of a struct in a flexible version comes its tagged section. Encoding
   is one walk with two sinks: without a writer it only counts, and that is wire_size; so the size
   cannot disagree with the bytes. */
#include "wire/codec_walk.h"

/* Defaults */

void field_init(const struct field_def *field, void *member)
{
    switch ((enum wire_shape)field->shape) {
    case WIRE_MANY:
        ((struct any_array *)member)->is_null = field->null_by_default;
        return;
    case WIRE_OPTIONAL:
        return;
    case WIRE_ONE:
        break;
    }
    switch ((enum wire_kind)field->kind) {
    case WIRE_STRUCT:
        for (u32 i = 0; i < field->type->field_count; i++) {
            const struct field_def *inner = &field->type->fields[i];
            field_init(inner, (u8 *)member + inner->offset);
        }
        break;
    case WIRE_STRING:
    case WIRE_BYTES:
        if (field->nullable != 0 && !field->null_by_default) {
            *(struct slice *)member = WIRE_EMPTY;
        }
        break;
    case WIRE_UUID:
    case WIRE_RECORDS:
    case WIRE_F64:
        break;
    default:
        if (field->initial != 0) {
            value_set_integer(field, member, field->initial);
        }
        break;
    }
}

void wire_init(const struct struct_def *def, void *out)
{
    memset(out, 0, def->bytes);
    for (u32 i = 0; i < def->field_count; i++) {
        field_init(&def->fields[i], (u8 *)out + def->fields[i].offset);
    }
}

void *wire_new(const struct struct_def *def, struct arena *arena, u32 count)
{
    u8 *items = arena_array(arena, MAX(count, 1u), def->bytes);
    if (items == NULL) {
        return NULL;
    }
    for (u32 i = 0; i < count; i++) {
        wire_init(def, items + (size_t)i * def->bytes);
    }
    return items;
}

static bool struct_is_default(const struct struct_def *def, const u8 *value)
{
    for (u32 i = 0; i < def->field_count; i++) {
        if (!field_is_default(&def->fields[i], value + def->fields[i].offset)) {
            return false;
        }
    }
    return true;
}

static bool slice_is_default(const struct field_def *field, const struct slice *s)
{
    bool null = slice_is_null(field, s);
    return field->null_by_default ? null : !null && s->len == 0;
}

bool field_is_default(const struct field_def *field, const void *member)
{
    switch ((enum wire_shape)field->shape) {
    case WIRE_MANY: {
        const struct any_array *array = member;
        return field->null_by_default ? array->is_null : !array->is_null && array->count == 0;
    }
    case WIRE_OPTIONAL: {
        const void *value = *(const any_pointer *)member;
        return field->null_by_default ? value == NULL
                                      : value != NULL && struct_is_default(field->type, value);
    }
    case WIRE_ONE:
        break;
    }
    switch ((enum wire_kind)field->kind) {
    case WIRE_STRUCT:
        return struct_is_default(field->type, member);
    case WIRE_STRING:
    case WIRE_BYTES:
        return slice_is_default(field, member);
    case WIRE_RECORDS:
        return records_are_null(member);
    case WIRE_UUID:
        return uuid_is_zero(*(const struct uuid *)member);
    case WIRE_F64:
        return *(const f64 *)member == 0.0;
    default:
        return value_integer(field, member) == field->initial;
    }
}

/* The smallest sizes, by which a count from outside is judged */

static size_t value_size_min(const struct walk *walk, const struct field_def *field);

static size_t struct_size_min(const struct walk *walk, const struct struct_def *def)
{
    size_t bytes = walk->flexible ? 1 : 0; /* an empty tagged section */
    for (u32 i = 0; i < def->field_count; i++) {
        const struct field_def *field = &def->fields[i];
        if (!walk_has(walk, field) || field->tagged) {
            continue;
        }
        if (field->shape == WIRE_MANY) {
            bytes += walk_is_compact(walk, field) ? 1 : 4;
        } else if (field->shape == WIRE_OPTIONAL) {
            bytes += 1;
        } else {
            bytes += value_size_min(walk, field);
        }
    }
    return bytes;
}

static size_t value_size_min(const struct walk *walk, const struct field_def *field)
{
    switch ((enum wire_kind)field->kind) {
    case WIRE_BOOL:
    case WIRE_I8:
        return 1;
    case WIRE_I16:
    case WIRE_U16:
        return 2;
    case WIRE_I32:
    case WIRE_U32:
        return 4;
    case WIRE_I64:
    case WIRE_F64:
        return 8;
    case WIRE_UUID:
        return 16;
    case WIRE_STRING:
        return walk_is_compact(walk, field) ? 1 : 2;
    case WIRE_BYTES:
    case WIRE_RECORDS:
        return walk_is_compact(walk, field) ? 1 : 4;
    case WIRE_STRUCT:
        return struct_size_min(walk, field->type);
    case WIRE_KIND_COUNT:
        break;
    }
    assert(false && "a kind without a case");
    return 0;
}

size_t wire_size_min(const struct struct_def *def, i16 version, bool flexible)
{
    struct walk walk = {.version_bit = (version_set)1 << version, .flexible = flexible};
    return struct_size_min(&walk, def);
}

/* Decoding */

struct decoder {
    struct walk walk;
    struct reader reader;
    struct arena *arena;
};

#define NULL_LENGTH (-1)

/* A length or count; NULL_LENGTH where the bytes say null. */
static i64 decode_length(struct decoder *d, const struct field_def *field, bool is_short)
{
    if (walk_is_compact(&d->walk, field)) {
        return (i64)read_uvarint(&d->reader) - 1;
    }
    i32 length = is_short ? (i16)read_be16(&d->reader) : (i32)read_be32(&d->reader);
    return length < 0 ? NULL_LENGTH : length; /* Kafka takes any negative length for null */
}

static err_t decode_slice(struct decoder *d, const struct field_def *field, bool is_string,
                          struct slice *out)
{
    i64 length = decode_length(d, field, is_string);
    if (d->reader.failed) {
        return ERR_TRUNCATED;
    }
    if (length == NULL_LENGTH) {
        *out = (struct slice){NULL, 0};
        return walk_may_be_null(&d->walk, field) ? OK : ERR_INVALID;
    }
    if (is_string && length > INT16_MAX) {
        return ERR_INVALID; /* the limit of int16 lengths holds for compact strings too */
    }
    *out = read_bytes(&d->reader, (size_t)length);
    return d->reader.failed ? ERR_TRUNCATED : OK;
}

static err_t decode_struct(struct decoder *d, const struct struct_def *def, u8 *out);

/* One value: a member of shape WIRE_ONE, or an element. Numbers that are not there read as zero and
   are noticed by the caller. */
static err_t decode_value(struct decoder *d, const struct field_def *field, void *out)
{
    switch ((enum wire_kind)field->kind) {
    case WIRE_BOOL:
        *(bool *)out = read_u8(&d->reader) != 0;
        return OK;
    case WIRE_I8:
        *(i8 *)out = (i8)read_u8(&d->reader);
        return OK;
    case WIRE_I16:
    case WIRE_U16:
        *(u16 *)out = read_be16(&d->reader);
        return OK;
    case WIRE_I32:
    case WIRE_U32:
        *(u32 *)out = read_be32(&d->reader);
        return OK;
    case WIRE_I64:
        *(u64 *)out = read_be64(&d->reader);
        return OK;
    case WIRE_F64: {
        u64 bits = read_be64(&d->reader);
        memcpy(out, &bits, sizeof(bits));
        return OK;
    }
    case WIRE_UUID: {
        struct slice bytes = read_bytes(&d->reader, sizeof(struct uuid));
        if (!d->reader.failed) {
            memcpy(out, bytes.ptr, sizeof(struct uuid));
        }
        return OK;
    }
    case WIRE_STRING:
        return decode_slice(d, field, true, out);
    case WIRE_BYTES:
        return decode_slice(d, field, false, out);
    case WIRE_RECORDS:
        return decode_slice(d, field, false, &((struct wire_records *)out)->bytes);
    case WIRE_STRUCT:
        return decode_struct(d, field->type, out);
    case WIRE_KIND_COUNT:
        break;
    }
    assert(false && "a kind without a case");
    return ERR_INVALID;
}

/* An element is never null, whatever the array may be. */
static err_t decode_array(struct decoder *d, const struct field_def *field, struct any_array *out)
{
    i64 count = decode_length(d, field, false);
    if (d->reader.failed) {
        return ERR_TRUNCATED;
    }
    if (count == NULL_LENGTH) {
        out->is_null = true;
        return walk_may_be_null(&d->walk, field) ? OK : ERR_INVALID;
    }
    out->is_null = false;
    if (count == 0) {
        return OK;
    }
    size_t smallest = MAX(value_size_min(&d->walk, field), 1u);
    if ((u64)count > reader_left(&d->reader) / smallest) {
        return ERR_TRUNCATED;
    }
    if (d->arena == NULL) {
        return ERR_NO_MEMORY;
    }
    struct field_def element = *field;
    element.nullable = 0;
    size_t stride = value_bytes(field);
    u8 *items = arena_array(d->arena, (size_t)count, stride);
    if (items == NULL) {
        return ERR_NO_MEMORY;
    }
    out->items = items;
    for (i64 i = 0; i < count; i++, items += stride) {
        TRY(decode_value(d, &element, items));
    }
    out->count = (u32)count;
    return OK;
}

/* In front of an optional struct stands an int8, -1 for null; in the tagged section it is a
   uvarint, 0 for null. */
static err_t decode_optional(struct decoder *d, const struct field_def *field, any_pointer *out)
{
    bool is_null = field->tagged ? read_uvarint(&d->reader) == 0 : (i8)read_u8(&d->reader) < 0;
    if (d->reader.failed) {
        return ERR_TRUNCATED;
    }
    if (is_null) {
        *out = NULL;
        return walk_may_be_null(&d->walk, field) ? OK : ERR_INVALID;
    }
    void *value = d->arena != NULL ? arena_alloc(d->arena, field->type->bytes) : NULL;
    if (value == NULL) {
        return ERR_NO_MEMORY;
    }
    TRY(decode_struct(d, field->type, value));
    *out = value;
    return OK;
}

static err_t decode_field(struct decoder *d, const struct field_def *field, void *member)
{
    switch ((enum wire_shape)field->shape) {
    case WIRE_ONE:
        return decode_value(d, field, member);
    case WIRE_MANY:
        return decode_array(d, field, member);
    case WIRE_OPTIONAL:
        return decode_optional(d, field, member);
    }
    assert(false && "a shape without a case");
    return ERR_INVALID;
}

static const struct field_def *tagged_field_find(const struct decoder *d,
                                                 const struct struct_def *def, u32 tag)
{
    for (u32 i = def->field_count; i > 0 && def->fields[i - 1].tagged; i--) {
        const struct field_def *field = &def->fields[i - 1];
        if (field->tag == tag && walk_has(&d->walk, field)) {
            return field;
        }
    }
    return NULL;
}

/* KIP-482: unknown tags are skipped, and a known one must fill the size it was announced with. Tags
   should ascend and come once; Kafka's readers do not look, and of one that comes twice the last
   counts. */
static err_t decode_tagged_section(struct decoder *d, const struct struct_def *def, u8 *out)
{
    u32 count = read_uvarint(&d->reader);
    for (u32 i = 0; i < count; i++) {
        u32 tag = read_uvarint(&d->reader);
        u32 size = read_uvarint(&d->reader);
        struct slice payload = read_bytes(&d->reader, size);
        if (d->reader.failed) {
            return ERR_TRUNCATED;
        }
        const struct field_def *field = tagged_field_find(d, def, tag);
        if (field == NULL) {
            continue;
        }
        struct decoder inner = *d;
        inner.reader = reader_of(payload);
        field_init(field, out + field->offset);
        TRY(decode_field(&inner, field, out + field->offset));
        if (inner.reader.failed || reader_left(&inner.reader) > 0) {
            return ERR_INVALID;
        }
    }
    return d->reader.failed ? ERR_TRUNCATED : OK;
}

/* What the bytes do not contain. (One field of Kafka's has a default that needs memory:
   ConsumerGroupMemberMetadataValue's optional struct is not null by default.) */
static err_t decode_default(struct decoder *d, const struct field_def *field, void *member)
{
    field_init(field, member);
    if (field->shape == WIRE_OPTIONAL && !field->null_by_default) {
        void *value = d->arena != NULL ? wire_new(field->type, d->arena, 1) : NULL;
        if (value == NULL) {
            return ERR_NO_MEMORY;
        }
        *(any_pointer *)member = value;
    }
    return OK;
}

/* out is zeroed memory. */
static err_t decode_struct(struct decoder *d, const struct struct_def *def, u8 *out)
{
    for (u32 i = 0; i < def->field_count; i++) {
        const struct field_def *field = &def->fields[i];
        if (walk_has(&d->walk, field) && !field->tagged) {
            TRY(decode_field(d, field, out + field->offset));
        } else {
            TRY(decode_default(d, field, out + field->offset));
        }
    }
    if (d->walk.flexible) {
        TRY(decode_tagged_section(d, def, out));
    }
    return d->reader.failed ? ERR_TRUNCATED : OK;
}

err_t wire_decode(const struct message_def *def, i16 version, struct slice in, struct arena *arena,
                  void *out, size_t *consumed)
{
    struct decoder d = {.walk = walk_of(def, version), .reader = reader_of(in), .arena = arena};
    memset(out, 0, def->body->bytes);
    TRY(decode_struct(&d, def->body, out));
    if (consumed != NULL) {
        *consumed = in.len - reader_left(&d.reader);
    }
    return OK;
}

/* Encoding, or counting what encoding would write */

struct encoder {
    struct walk walk;
    struct writer *writer;    /* NULL: only count */
    struct wire_holes *holes; /* NULL: none expected, or only count */
    size_t counted;
    u64 hole_bytes;
    u32 hole_count;
};

static void put_u8(struct encoder *e, u8 v)
{
    if (e->writer != NULL) {
        write_u8(e->writer, v);
    } else {
        e->counted += 1;
    }
}

static void put_be16(struct encoder *e, u16 v)
{
    if (e->writer != NULL) {
        write_be16(e->writer, v);
    } else {
        e->counted += 2;
    }
}

static void put_be32(struct encoder *e, u32 v)
{
    if (e->writer != NULL) {
        write_be32(e->writer, v);
    } else {
        e->counted += 4;
    }
}

static void put_be64(struct encoder *e, u64 v)
{
    if (e->writer != NULL) {
        write_be64(e->writer, v);
    } else {
        e->counted += 8;
    }
}

static void put_uvarint(struct encoder *e, u32 v)
{
    if (e->writer != NULL) {
        write_uvarint(e->writer, v);
    } else {
        e->counted += uvarint_size(v);
    }
}

static void put_bytes(struct encoder *e, const void *bytes, size_t len)
{
    if (e->writer != NULL) {
        write_bytes(e->writer, bytes, len);
    } else {
        e->counted += len;
    }
}

/* length NULL_LENGTH writes null, whose right was checked by the caller. */
static void put_length(struct encoder *e, const struct field_def *field, bool is_short, i64 length)
{
    if (walk_is_compact(&e->walk, field)) {
        put_uvarint(e, (u32)(length + 1));
    } else if (is_short) {
        put_be16(e, (u16)(i16)length);
    } else {
        put_be32(e, (u32)(i32)length);
    }
}

static err_t encode_slice(struct encoder *e, const struct field_def *field, bool is_string,
                          const struct slice *s)
{
    if (slice_is_null(field, s)) {
        if (!walk_may_be_null(&e->walk, field)) {
            return ERR_INVALID;
        }
        put_length(e, field, is_string, NULL_LENGTH);
        return OK;
    }
    if (s->len > (is_string ? INT16_MAX : INT32_MAX)) {
        return ERR_INVALID;
    }
    put_length(e, field, is_string, (i64)s->len);
    put_bytes(e, s->ptr, s->len);
    return OK;
}

/* The length goes into the bytes, the records themselves are somebody else's to send. */
static err_t encode_hole(struct encoder *e, const struct field_def *field,
                         const struct wire_records *records)
{
    assert(records->bytes.ptr == NULL);
    if (records->hole_bytes > INT32_MAX) {
        return ERR_INVALID;
    }
    put_length(e, field, false, (i64)records->hole_bytes);
    e->hole_bytes += records->hole_bytes;
    e->hole_count += 1;
    if (e->writer == NULL) {
        return OK;
    }
    if (e->holes == NULL || e->holes->count == e->holes->cap) {
        return ERR_LIMIT;
    }
    e->holes->items[e->holes->count] = (struct wire_hole){
        .offset = e->writer->len, .bytes = records->hole_bytes, .id = records->hole_id};
    e->holes->count += 1;
    return OK;
}

static err_t encode_records(struct encoder *e, const struct field_def *field,
                            const struct wire_records *records)
{
    if (records->hole_bytes > 0) {
        return encode_hole(e, field, records);
    }
    return encode_slice(e, field, false, &records->bytes);
}

static err_t encode_struct(struct encoder *e, const struct struct_def *def, const u8 *in);

static err_t encode_value(struct encoder *e, const struct field_def *field, const void *value)
{
    switch ((enum wire_kind)field->kind) {
    case WIRE_BOOL:
        put_u8(e, *(const bool *)value ? 1 : 0);
        return OK;
    case WIRE_I8:
        put_u8(e, *(const u8 *)value);
        return OK;
    case WIRE_I16:
    case WIRE_U16:
        put_be16(e, *(const u16 *)value);
        return OK;
    case WIRE_I32:
    case WIRE_U32:
        put_be32(e, *(const u32 *)value);
        return OK;
    case WIRE_I64:
        put_be64(e, *(const u64 *)value);
        return OK;
    case WIRE_F64: {
        u64 bits;
        memcpy(&bits, value, sizeof(bits));
        put_be64(e, bits);
        return OK;
    }
    case WIRE_UUID:
        put_bytes(e, value, sizeof(struct uuid));
        return OK;
    case WIRE_STRING:
        return encode_slice(e, field, true, value);
    case WIRE_BYTES:
        return encode_slice(e, field, false, value);
    case WIRE_RECORDS:
        return encode_records(e, field, value);
    case WIRE_STRUCT:
        return encode_struct(e, field->type, value);
    case WIRE_KIND_COUNT:
        break;
    }
    assert(false && "a kind without a case");
    return ERR_INVALID;
}

static err_t encode_array(struct encoder *e, const struct field_def *field,
                          const struct any_array *array)
{
    if (array->is_null) {
        if (!walk_may_be_null(&e->walk, field)) {
            return ERR_INVALID;
        }
        put_length(e, field, false, NULL_LENGTH);
        return OK;
    }
    if (array->count > INT32_MAX) {
        return ERR_INVALID;
    }
    put_length(e, field, false, array->count);
    struct field_def element = *field;
    element.nullable = 0;
    size_t stride = value_bytes(field);
    const u8 *item = array->items;
    for (u32 i = 0; i < array->count; i++, item += stride) {
        TRY(encode_value(e, &element, item));
    }
    return OK;
}

static err_t encode_optional(struct encoder *e, const struct field_def *field,
                             const any_pointer *member)
{
    if (*member == NULL) {
        if (!walk_may_be_null(&e->walk, field)) {
            return ERR_INVALID;
        }
        put_u8(e, field->tagged ? 0 : (u8)-1);
        return OK;
    }
    put_u8(e, 1);
    return encode_struct(e, field->type, *member);
}

static err_t encode_field(struct encoder *e, const struct field_def *field, const void *member)
{
    switch ((enum wire_shape)field->shape) {
    case WIRE_ONE:
        return encode_value(e, field, member);
    case WIRE_MANY:
        return encode_array(e, field, member);
    case WIRE_OPTIONAL:
        return encode_optional(e, field, member);
    }
    assert(false && "a shape without a case");
    return ERR_INVALID;
}

/* A tagged field at its default is left out; the others are announced with their size, which is
   counted first. */
static err_t encode_tagged_field(struct encoder *e, const struct field_def *field,
                                 const void *member)
{
    struct encoder counter = {.walk = e->walk};
    TRY(encode_field(&counter, field, member));
    assert(counter.hole_count == 0);
    put_uvarint(e, field->tag);
    put_uvarint(e, (u32)counter.counted);
    return encode_field(e, field, member);
}

static err_t encode_tagged_section(struct encoder *e, const struct struct_def *def, const u8 *in)
{
    u32 present = 0;
    u32 first = def->field_count; /* tagged fields stand last */
    for (; first > 0 && def->fields[first - 1].tagged; first--) {
        const struct field_def *field = &def->fields[first - 1];
        if (walk_has(&e->walk, field) && !field_is_default(field, in + field->offset)) {
            present++;
        }
    }
    put_uvarint(e, present);
    for (u32 i = first; i < def->field_count && present > 0; i++) {
        const struct field_def *field = &def->fields[i];
        if (walk_has(&e->walk, field) && !field_is_default(field, in + field->offset)) {
            TRY(encode_tagged_field(e, field, in + field->offset));
        }
    }
    return OK;
}

static err_t encode_struct(struct encoder *e, const struct struct_def *def, const u8 *in)
{
    for (u32 i = 0; i < def->field_count; i++) {
        const struct field_def *field = &def->fields[i];
        if (!walk_has(&e->walk, field)) {
            if (!field->ignorable && !field_is_default(field, in + field->offset)) {
                return ERR_INVALID;
            }
        } else if (!field->tagged) {
            TRY(encode_field(e, field, in + field->offset));
        }
    }
    return e->walk.flexible ? encode_tagged_section(e, def, in) : OK;
}

size_t wire_size(const struct message_def *def, i16 version, const void *message, u64 *hole_bytes,
                 u32 *hole_count)
{
    struct encoder e = {.walk = walk_of(def, version)};
    /* What is wrong with a message is said by wire_encode, which the caller runs next. */
    err_t ignored = encode_struct(&e, def->body, message);
    (void)ignored;
    if (hole_bytes != NULL) {
        *hole_bytes = e.hole_bytes;
    }
    if (hole_count != NULL) {
        *hole_count = e.hole_count;
    }
    return e.counted;
}

err_t wire_encode(const struct message_def *def, i16 version, const void *message, struct writer *w,
                  struct wire_holes *holes)
{
    assert(!w->failed);
    struct encoder e = {.walk = walk_of(def, version), .writer = w, .holes = holes};
    TRY(encode_struct(&e, def->body, message));
    return w->failed ? ERR_LIMIT : OK;
}

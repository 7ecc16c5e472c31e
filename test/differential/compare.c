/* Two answers, field by field, along the tables of the message.

   Arrays of structs are matched by their key (names, partitions, ids), since Kafka promises no
   order for most of them; what only one side has is a difference of its own. A difference that a
   row of differences.tsv covers is none. */
#include "judge.h"

#include <fnmatch.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- differences.tsv ------------------------------------------------------------------------- */

#define ROWS_MAX 40

struct row {
    char *api;
    char *versions;
    char *path;
    char *condition;
    u64 uses;
    i32 first;
    i32 last;
};
static struct row rows[ROWS_MAX];
static u32 row_count;

static bool parse_versions(struct row *row)
{
    row->first = 0;
    row->last = INT32_MAX;
    if (strcmp(row->versions, "all") == 0) {
        return true;
    }
    char *end = NULL;
    row->first = row->last = (i32)strtol(row->versions, &end, 10);
    if (*end == '-') {
        row->last = end[1] == '\0' ? INT32_MAX : (i32)strtol(end + 1, &end, 10);
        return true;
    }
    return *end == '\0';
}

bool differences_load(const char *path)
{
    FILE *file = fopen(path, "r");
    if (file == NULL) {
        fprintf(stderr, "judge: cannot read %s\n", path);
        return false;
    }
    char line[1024];
    bool good = true;
    while (good && fgets(line, sizeof(line), file) != NULL) {
        if (line[0] == '#' || line[0] == '\n' || strncmp(line, "api\t", 4) == 0) {
            continue;
        }
        if (row_count == ROWS_MAX) {
            fprintf(stderr, "judge: more than %d intended differences\n", ROWS_MAX);
            good = false;
            break;
        }
        struct row *row = &rows[row_count++];
        char *columns[5] = {NULL};
        char *rest = strdup(line);
        for (u32 i = 0; i < ARRAY_LEN(columns); i++) {
            columns[i] = strsep(&rest, "\t\n");
        }
        if (columns[4] == NULL || columns[4][0] == '\0') {
            fprintf(stderr, "judge: a row without all five columns: %s", line);
            good = false;
            break;
        }
        *row = (struct row){columns[0], columns[1], columns[2], columns[3], 0, 0, 0};
        good = parse_versions(row);
    }
    fclose(file);
    return good;
}

void differences_print_unused(void)
{
    for (u32 i = 0; i < row_count; i++) {
        if (rows[i].uses == 0) {
            printf("unused difference: %s %s %s\n", rows[i].api, rows[i].path, rows[i].condition);
        }
    }
}

/* "any", or words ours=PATTERN and kafka=PATTERN that must all hold. */
static bool condition_holds(const char *condition, const char *ours, const char *kafka)
{
    if (strcmp(condition, "any") == 0) {
        return true;
    }
    char words[256];
    snprintf(words, sizeof(words), "%s", condition);
    char *rest = words;
    for (char *word = NULL; (word = strsep(&rest, " ")) != NULL;) {
        if (strncmp(word, "ours=", 5) == 0 && fnmatch(word + 5, ours, 0) != 0) {
            return false;
        }
        if (strncmp(word, "kafka=", 6) == 0 && fnmatch(word + 6, kafka, 0) != 0) {
            return false;
        }
    }
    return true;
}

static bool is_intended(const char *api, i16 version, const char *path, const char *ours,
                        const char *kafka)
{
    for (u32 i = 0; i < row_count; i++) {
        struct row *row = &rows[i];
        if (fnmatch(row->api, api, 0) == 0 && version >= row->first && version <= row->last &&
            fnmatch(row->path, path, 0) == 0 && condition_holds(row->condition, ours, kafka)) {
            row->uses++;
            return true;
        }
    }
    return false;
}

/* ---- what a server chooses ------------------------------------------------------------------- */

/* field names -> what kind of pair their values are; PAIR_KINDS: a moment in time */
static const struct {
    const char *name;
    enum pair_kind kind;
} chosen[] = {
    {"topic_id", PAIR_TOPIC_ID},
    {"member_id", PAIR_MEMBER},
    {"leader", PAIR_MEMBER},
    {"producer_id", PAIR_PRODUCER},
    {"session_id", PAIR_SESSION},
    {"log_append_time_ms", PAIR_KINDS},
    {"last_fetch_timestamp", PAIR_KINDS},
    {"last_caught_up_timestamp", PAIR_KINDS},
};

static bool is_chosen(const struct field_def *field, enum pair_kind *kind)
{
    for (u32 i = 0; i < ARRAY_LEN(chosen); i++) {
        bool text = field->kind == WIRE_STRING;
        if (strcmp(field->name, chosen[i].name) == 0 && text == (chosen[i].kind == PAIR_MEMBER)) {
            *kind = chosen[i].kind;
            return true;
        }
    }
    return false;
}

/* ---- walking --------------------------------------------------------------------------------- */

struct walk {
    const struct api_row *api;
    i16 version;
    struct comparison *out;
    struct arena arena;
    char path[160];
    size_t path_len;
    char keys[160]; /* of the elements on the way */
    size_t keys_len;
};

static void differ(struct walk *walk, const char *ours, const char *kafka)
{
    if (is_intended(walk->api->kafka_name, walk->version, walk->path, ours, kafka)) {
        return;
    }
    if (walk->out->count == DIFFERENCES_MAX) {
        return;
    }
    struct difference *d = &walk->out->items[walk->out->count++];
    snprintf(d->path, sizeof(d->path), "%s", walk->path);
    snprintf(d->keys, sizeof(d->keys), "%s", walk->keys);
    snprintf(d->ours, sizeof(d->ours), "%s", ours);
    snprintf(d->kafka, sizeof(d->kafka), "%s", kafka);
}

static void print_text(char *out, size_t size, struct slice s)
{
    if (s.ptr == NULL) {
        snprintf(out, size, "null");
        return;
    }
    size_t at = 0;
    for (size_t i = 0; i < s.len && at + 5 < size; i++) {
        if (s.ptr[i] >= 0x20 && s.ptr[i] < 0x7f) {
            out[at++] = (char)s.ptr[i];
        } else {
            at += (size_t)snprintf(out + at, size - at, "\\x%02x", s.ptr[i]);
        }
    }
    out[at] = '\0';
}

static size_t element_bytes(const struct field_def *field)
{
    static const size_t sizes[WIRE_KIND_COUNT] = {
        [WIRE_BOOL] = sizeof(bool),
        [WIRE_I8] = 1,
        [WIRE_I16] = 2,
        [WIRE_U16] = 2,
        [WIRE_I32] = 4,
        [WIRE_U32] = 4,
        [WIRE_I64] = 8,
        [WIRE_F64] = 8,
        [WIRE_UUID] = 16,
        [WIRE_STRING] = sizeof(struct slice),
        [WIRE_BYTES] = sizeof(struct slice),
        [WIRE_RECORDS] = sizeof(struct wire_records),
    };
    return field->kind == WIRE_STRUCT ? field->type->bytes : sizes[field->kind];
}

static void print_value(char *out, size_t size, const struct field_def *field, const void *value)
{
    switch ((enum wire_kind)field->kind) {
    case WIRE_BOOL:
        snprintf(out, size, "%s", *(const bool *)value ? "true" : "false");
        break;
    case WIRE_I8:
        snprintf(out, size, "%d", *(const i8 *)value);
        break;
    case WIRE_I16: {
        i16 number = *(const i16 *)value;
        if (strcmp(field->name, "error_code") == 0) {
            snprintf(out, size, "%d_%s", number, kerr_name(number));
        } else {
            snprintf(out, size, "%d", number);
        }
        break;
    }
    case WIRE_U16:
        snprintf(out, size, "%u", *(const u16 *)value);
        break;
    case WIRE_I32:
        snprintf(out, size, "%" PRId32, *(const i32 *)value);
        break;
    case WIRE_U32:
        snprintf(out, size, "%" PRIu32, *(const u32 *)value);
        break;
    case WIRE_I64:
        snprintf(out, size, "%" PRId64, *(const i64 *)value);
        break;
    case WIRE_F64:
        snprintf(out, size, "%g", *(const f64 *)value);
        break;
    case WIRE_UUID: {
        char text[23];
        uuid_print(*(const struct uuid *)value, text);
        snprintf(out, size, "%s", text);
        break;
    }
    case WIRE_STRING:
    case WIRE_BYTES:
        print_text(out, size, *(const struct slice *)value);
        break;
    case WIRE_RECORDS:
    case WIRE_STRUCT:
    case WIRE_KIND_COUNT:
        snprintf(out, size, "?");
        break;
    }
}

/* A moment both sides name, or neither. */
static bool same_moment(const void *ours, const void *kafka)
{
    return (*(const i64 *)ours > 0) == (*(const i64 *)kafka > 0);
}

static bool chosen_equal(const struct field_def *field, enum pair_kind kind, const void *ours,
                         const void *kafka)
{
    if (kind == PAIR_KINDS) {
        return same_moment(ours, kafka);
    }
    if (field->kind == WIRE_STRING) {
        struct slice a = *(const struct slice *)ours;
        struct slice b = *(const struct slice *)kafka;
        if (a.len == 0 || b.len == 0 || slice_eq(a, b)) {
            return a.len == b.len && (a.ptr == NULL) == (b.ptr == NULL);
        }
        return pair_equal(kind, a, b);
    }
    static const u8 zeros[16];
    static const u8 ones[8] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    size_t bytes = element_bytes(field);
    if (memcmp(ours, kafka, bytes) == 0) {
        return true;
    }
    bool none[SIDES];
    const void *values[SIDES] = {ours, kafka};
    for (u32 i = 0; i < SIDES; i++) {
        none[i] = kind == PAIR_PRODUCER ? memcmp(values[i], ones, bytes) == 0
                                        : memcmp(values[i], zeros, bytes) == 0;
    }
    if (none[OURS] || none[KAFKA]) {
        return none[OURS] == none[KAFKA];
    }
    return pair_equal(kind, slice_of(ours, bytes), slice_of(kafka, bytes));
}

static void compare_number(struct walk *walk, const char *what, i64 ours, i64 kafka)
{
    if (ours == kafka) {
        return;
    }
    size_t before = walk->path_len;
    snprintf(walk->path + before, sizeof(walk->path) - before, "<%s>", what);
    char a[32];
    char b[32];
    snprintf(a, sizeof(a), "%" PRId64, ours);
    snprintf(b, sizeof(b), "%" PRId64, kafka);
    differ(walk, a, b);
    walk->path[before] = '\0';
}

/* Batches as they are stored; what an append time changes is not compared. */
static void compare_records(struct walk *walk, struct slice ours, struct slice kafka)
{
    for (bool any = false; ours.len > 0 || kafka.len > 0; any = true) {
        struct batch_view a;
        struct batch_view b;
        err_t first = batch_view_next(&ours, &a);
        err_t second = batch_view_next(&kafka, &b);
        if (first != OK || second != OK) {
            compare_number(walk, any ? "whole batches left" : "any whole batch", first == OK,
                           second == OK);
            return;
        }
        compare_number(walk, "base offset", a.base_offset, b.base_offset);
        compare_number(walk, "last offset delta", a.last_offset_delta, b.last_offset_delta);
        compare_number(walk, "attributes", a.attributes, b.attributes);
        compare_number(walk, "count", a.record_count, b.record_count);
        compare_number(walk, "base timestamp", a.base_timestamp, b.base_timestamp);
        compare_number(walk, "epoch", a.producer_epoch, b.producer_epoch);
        compare_number(walk, "sequence", a.base_sequence, b.base_sequence);
        if (batch_timestamp_type(&a) == TIMESTAMP_CREATE_TIME) {
            compare_number(walk, "max timestamp", a.max_timestamp, b.max_timestamp);
        }
        compare_number(walk, "crc right", batch_crc_ok(&a), batch_crc_ok(&b));
        compare_number(walk, "bytes", (i64)a.records.len, (i64)b.records.len);
        if (a.records.len == b.records.len && !slice_eq(a.records, b.records)) {
            compare_number(walk, "same bytes", 0, 1);
        }
    }
}

static void compare_struct(struct walk *walk, const struct struct_def *def, const u8 *ours,
                           const u8 *kafka);

static void compare_one(struct walk *walk, const struct field_def *field, const void *ours,
                        const void *kafka)
{
    enum pair_kind kind;
    if (field->kind == WIRE_STRUCT) {
        compare_struct(walk, field->type, ours, kafka);
        return;
    }
    if (field->kind == WIRE_RECORDS) {
        compare_records(walk, ((const struct wire_records *)ours)->bytes,
                        ((const struct wire_records *)kafka)->bytes);
        return;
    }
    bool equal = false;
    if (is_chosen(field, &kind)) {
        equal = chosen_equal(field, kind, ours, kafka);
    } else if (field->kind == WIRE_STRING || field->kind == WIRE_BYTES) {
        struct slice a = *(const struct slice *)ours;
        struct slice b = *(const struct slice *)kafka;
        equal = slice_eq(a, b) && (a.ptr == NULL) == (b.ptr == NULL);
    } else {
        equal = memcmp(ours, kafka, element_bytes(field)) == 0;
    }
    if (!equal) {
        char a[120];
        char b[120];
        print_value(a, sizeof(a), field, ours);
        print_value(b, sizeof(b), field, kafka);
        differ(walk, a, b);
    }
}

/* ---- arrays by key --------------------------------------------------------------------------- */

static bool is_key(const struct struct_def *def, const struct field_def *field)
{
    static const char *const names[] = {
        "name",
        "topic",
        "topic_name",
        "group_id",
        "resource_name",
        "member_id",
        "key",
        "transactional_id",
        "feature",
        "user",
        "partition",
        "index",
        "partition_index",
        "partition_id",
        "node_id",
        "broker_id",
        "api_key",
        "resource_type",
        "topic_id",
        "replica_id",
        "log_dir",
        "group_instance_id",
    };
    if (field->shape != WIRE_ONE) {
        return false;
    }
    if (field == &def->fields[0] && strcmp(field->name, "producer_id") == 0) {
        return true; /* elsewhere a value */
    }
    for (u32 i = 0; i < ARRAY_LEN(names); i++) {
        if (strcmp(field->name, names[i]) == 0) {
            return true;
        }
    }
    return false;
}

struct keyed {
    char key[300];
    u32 index;
    const u8 *element;
};

static int keyed_cmp(const void *a, const void *b)
{
    const struct keyed *x = a;
    const struct keyed *y = b;
    int by_key = strcmp(x->key, y->key);
    return by_key != 0 ? by_key : (x->index > y->index) - (x->index < y->index);
}

static void make_key(const struct struct_def *def, i16 version, const u8 *element, enum side side,
                     char *out, size_t size)
{
    size_t at = 0;
    out[0] = '\0';
    for (u32 i = 0; i < def->field_count; i++) {
        const struct field_def *field = &def->fields[i];
        if (!is_key(def, field) || !(field->versions >> version & 1)) {
            continue;
        }
        const void *value = element + field->offset;
        char text[120];
        enum pair_kind kind;
        if (is_chosen(field, &kind)) {
            struct slice bytes = field->kind == WIRE_STRING ? *(const struct slice *)value
                                                            : slice_of(value, element_bytes(field));
            u32 pair = bytes.len == 0 ? PAIR_NONE : pair_find(kind, side, bytes);
            if (pair == PAIR_NONE && kind == PAIR_TOPIC_ID) {
                pair = pair_find(PAIR_INVENTED, side, bytes);
            }
            if (pair != PAIR_NONE) {
                snprintf(text, sizeof(text), "#%u", pair);
            } else {
                snprintf(text, sizeof(text), "%s", bytes.len == 0 ? "" : "?");
            }
        } else {
            print_value(text, sizeof(text), field, value);
        }
        at += (size_t)snprintf(out + at, size - at, "%s%s", at > 0 ? "/" : "", text);
        if (at >= size - 1) {
            return;
        }
    }
}

/* It has arrays, and nothing in them. */
static bool is_empty(const struct struct_def *def, i16 version, const u8 *element)
{
    bool found = false;
    for (u32 i = 0; i < def->field_count; i++) {
        const struct field_def *field = &def->fields[i];
        if (field->shape == WIRE_MANY && (field->versions >> version & 1)) {
            found = true;
            if (((const struct i8_array *)(const void *)(element + field->offset))->count > 0) {
                return false;
            }
        }
    }
    return found;
}

/* The array of partitions that an element of this kind has, or NULL. */
static const struct field_def *partitions_of(const struct struct_def *def)
{
    static const char *const names[] = {"partition", "index", "partition_index", "partition_id"};
    for (u32 i = 0; i < def->field_count; i++) {
        const struct field_def *field = &def->fields[i];
        if (field->shape != WIRE_MANY || field->kind != WIRE_STRUCT) {
            continue;
        }
        for (u32 k = 0; k < field->type->field_count * ARRAY_LEN(names); k++) {
            if (strcmp(field->type->fields[k / ARRAY_LEN(names)].name,
                       names[k % ARRAY_LEN(names)]) == 0) {
                return field;
            }
        }
    }
    return NULL;
}

/* Where a topic is named more than once, its partitions may stand under either: one element with
   all of them. The list is sorted by key; returns how many are left. */
static u32 merge_topics(struct walk *walk, const struct struct_def *def, struct keyed *list,
                        u32 count)
{
    const struct field_def *partitions = partitions_of(def);
    u32 kept = 0;
    for (u32 i = 0; i < count; i++) {
        if (partitions == NULL || kept == 0 || strcmp(list[kept - 1].key, list[i].key) != 0) {
            list[kept++] = list[i];
            continue;
        }
        u8 *merged = arena_alloc(&walk->arena, def->bytes);
        assert(merged != NULL);
        memcpy(merged, list[kept - 1].element, def->bytes);
        struct i8_array *all = (void *)(merged + partitions->offset);
        const struct i8_array *more = (const void *)(list[i].element + partitions->offset);
        size_t bytes = partitions->type->bytes;
        u8 *items = arena_array(&walk->arena, all->count + more->count, bytes);
        assert(items != NULL);
        if (all->count > 0) {
            memcpy(items, all->items, all->count * bytes);
        }
        if (more->count > 0) {
            memcpy(items + all->count * bytes, more->items, more->count * bytes);
        }
        all->items = (void *)items;
        all->count += more->count;
        list[kept - 1].element = merged;
    }
    return kept;
}

static void compare_elements(struct walk *walk, const struct field_def *field,
                             const struct keyed *ours, const struct keyed *kafka)
{
    size_t before = walk->keys_len;
    int more = snprintf(walk->keys + before, sizeof(walk->keys) - before, "[%s]", ours->key);
    walk->keys_len = MIN(before + (size_t)more, sizeof(walk->keys) - 1);
    compare_struct(walk, field->type, ours->element, kafka->element);
    walk->keys_len = before;
    walk->keys[before] = '\0';
}

/* Only one side has it. */
static void differ_by_one(struct walk *walk, const struct field_def *field, enum side side,
                          const struct keyed *only)
{
    bool empty = is_empty(field->type, walk->version, only->element);
    char text[sizeof(only->key) + 10];
    snprintf(text, sizeof(text), "%s%s", only->key, empty ? " (empty)" : "");
    differ(walk, side == OURS ? text : "(missing)", side == KAFKA ? text : "(missing)");
}

static void compare_structs(struct walk *walk, const struct field_def *field, const u8 *ours,
                            u32 our_count, const u8 *kafka, u32 kafka_count)
{
    struct keyed *lists[SIDES];
    const u8 *items[SIDES] = {ours, kafka};
    u32 counts[SIDES] = {our_count, kafka_count};
    for (u32 side = 0; side < SIDES; side++) {
        lists[side] = calloc(counts[side] + 1, sizeof(struct keyed));
        for (u32 i = 0; i < counts[side]; i++) {
            struct keyed *k = &lists[side][i];
            k->index = i;
            k->element = items[side] + (size_t)i * field->type->bytes;
            make_key(field->type, walk->version, k->element, (enum side)side, k->key,
                     sizeof(k->key));
        }
        qsort(lists[side], counts[side], sizeof(struct keyed), keyed_cmp);
        counts[side] = merge_topics(walk, field->type, lists[side], counts[side]);
    }
    u32 a = 0;
    u32 b = 0;
    while (a < counts[OURS] || b < counts[KAFKA]) {
        int order = a == counts[OURS]    ? 1
                    : b == counts[KAFKA] ? -1
                                         : strcmp(lists[OURS][a].key, lists[KAFKA][b].key);
        if (order < 0) {
            differ_by_one(walk, field, OURS, &lists[OURS][a++]);
        } else if (order > 0) {
            differ_by_one(walk, field, KAFKA, &lists[KAFKA][b++]);
        } else {
            compare_elements(walk, field, &lists[OURS][a++], &lists[KAFKA][b++]);
        }
    }
    free(lists[OURS]);
    free(lists[KAFKA]);
}

static void compare_many(struct walk *walk, const struct field_def *field, const void *ours,
                         const void *kafka)
{
    const struct i8_array *a = ours; /* all arrays are {items, count, is_null} */
    const struct i8_array *b = kafka;
    if (a->is_null != b->is_null) {
        differ(walk, a->is_null ? "null" : "array", b->is_null ? "null" : "array");
        return;
    }
    if (field->kind == WIRE_STRUCT) {
        compare_structs(walk, field, (const u8 *)a->items, a->count, (const u8 *)b->items,
                        b->count);
        return;
    }
    if (a->count != b->count) {
        compare_number(walk, "count", a->count, b->count);
        return;
    }
    size_t bytes = element_bytes(field);
    for (u32 i = 0; i < a->count; i++) {
        compare_one(walk, field, (const u8 *)a->items + i * bytes,
                    (const u8 *)b->items + i * bytes);
    }
}

static void compare_field(struct walk *walk, const struct field_def *field, const u8 *ours,
                          const u8 *kafka)
{
    if (field->shape == WIRE_MANY) {
        compare_many(walk, field, ours, kafka);
        return;
    }
    if (field->shape == WIRE_OPTIONAL) {
        const void *a = *(void *const *)ours;
        const void *b = *(void *const *)kafka;
        if (a != NULL && b != NULL) {
            compare_struct(walk, field->type, a, b);
        } else if (a != b) {
            differ(walk, a == NULL ? "null" : "struct", b == NULL ? "null" : "struct");
        }
        return;
    }
    compare_one(walk, field, ours, kafka);
}

static void compare_struct(struct walk *walk, const struct struct_def *def, const u8 *ours,
                           const u8 *kafka)
{
    for (u32 i = 0; i < def->field_count; i++) {
        const struct field_def *field = &def->fields[i];
        if (!(field->versions >> walk->version & 1)) {
            continue;
        }
        size_t before = walk->path_len;
        walk->path_len +=
            (size_t)snprintf(walk->path + before, sizeof(walk->path) - before, ".%s%s", field->name,
                             field->shape == WIRE_MANY ? "[]" : "");
        assert(walk->path_len < sizeof(walk->path));
        compare_field(walk, field, ours + field->offset, kafka + field->offset);
        walk->path_len = before;
        walk->path[before] = '\0';
    }
}

void compare_answers(const struct api_row *api, i16 version, const void *ours, const void *kafka,
                     struct comparison *out)
{
    struct walk walk = {.api = api, .version = version, .out = out};
    out->count = 0;
    walk.path_len = (size_t)snprintf(walk.path, sizeof(walk.path), "%s", api->response->kafka_name);
    arena_init(&walk.arena, NULL, 64 * KIB, 0);
    compare_struct(&walk, api->response->body, ours, kafka);
    arena_fini(&walk.arena);
}

void compare_outcomes(const struct api_row *api, i16 version, const char *ours, const char *kafka,
                      struct comparison *out)
{
    struct walk walk = {.api = api, .version = version, .out = out};
    out->count = 0;
    snprintf(walk.path, sizeof(walk.path), "%s <outcome>", api->kafka_name);
    if (strcmp(ours, kafka) != 0) {
        differ(&walk, ours, kafka);
    }
}

static bool find_error(const struct struct_def *def, i16 version, const void *answer, bool any,
                       i16 code)
{
    for (u32 i = 0; i < def->field_count; i++) {
        const struct field_def *field = &def->fields[i];
        const u8 *value = (const u8 *)answer + field->offset;
        if (!(field->versions >> version & 1)) {
            continue;
        }
        if (field->kind == WIRE_I16 && field->shape == WIRE_ONE &&
            strcmp(field->name, "error_code") == 0 &&
            (any ? *(const i16 *)(const void *)value != 0
                 : *(const i16 *)(const void *)value == code)) {
            return true;
        }
        if (field->kind != WIRE_STRUCT) {
            continue;
        }
        if (field->shape == WIRE_ONE && find_error(field->type, version, value, any, code)) {
            return true;
        }
        if (field->shape == WIRE_MANY) {
            const struct i8_array *array = (const void *)value;
            for (u32 k = 0; k < array->count; k++) {
                if (find_error(field->type, version,
                               (const u8 *)array->items + (size_t)k * field->type->bytes, any,
                               code)) {
                    return true;
                }
            }
        }
    }
    return false;
}

bool answer_has_error(const struct struct_def *def, i16 version, const void *answer)
{
    return find_error(def, version, answer, true, 0);
}

bool answer_has(const struct struct_def *def, i16 version, const void *answer, i16 code)
{
    return find_error(def, version, answer, false, code);
}

/* Our side of the message round trip (run-messages); MessageCheck.java is the other, made of
   Kafka's own classes.

     messages emit SEED COUNT    COUNT random messages of every kind and version
     messages check              reads such lines, decodes and encodes: the bytes must be the same
     messages tables             every API with its versions and every error, for comparison
     messages corpus DIR SEED    seeds for the fuzzers: DIR/fuzz-request and DIR/fuzz-message, one
                                 file for the newest version of each

   A line: Kafka's name of the message, version, bytes in hex, and (emit) the message as JSON.
   check prints "NAME ok COUNT" or "NAME FAIL reason" for each message. */
#include "wire/wire.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void die(const char *what)
{
    fprintf(stderr, "messages: %s\n", what);
    exit(2);
}

static void *must(void *memory)
{
    if (memory == NULL) {
        die("out of memory");
    }
    return memory;
}

static struct slice encode(const struct message_def *def, i16 version, const void *message,
                           struct arena *arena)
{
    size_t size = wire_size(def, version, message, NULL, NULL);
    struct writer w = writer_of(must(arena_alloc(arena, size + 1)), size);
    if (wire_encode(def, version, message, &w, NULL) != OK || w.len != size) {
        die("a message did not encode to its size");
    }
    return (struct slice){w.start, w.len};
}

/* ---- emit ---- */

static void print_hex(struct slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        printf("%02x", s.ptr[i]);
    }
}

static void emit(u64 seed, u32 count)
{
    static char json[4 * MIB];
    struct rng rng;
    rng_seed(&rng, seed);
    struct arena arena;
    arena_init(&arena, NULL, MIB, 0);
    for (u32 i = 0; i < wire_message_count; i++) {
        const struct message_def *def = wire_messages[i];
        for (i16 version = def->min; version <= def->max; version++) {
            for (u32 n = 0; n < count; n++) {
                void *message = must(arena_alloc(&arena, def->body->bytes));
                if (wire_random(def, version, &rng, &arena, message) != OK) {
                    die("out of memory");
                }
                printf("%s %d ", def->kafka_name, version);
                print_hex(encode(def, version, message, &arena));
                struct writer w = writer_of(json, sizeof(json));
                wire_print_json(def, version, message, &w);
                if (w.failed) {
                    die("a message is too long to print");
                }
                printf(" %.*s\n", (int)w.len, json);
                arena_reset(&arena);
            }
        }
    }
    arena_fini(&arena);
}

/* ---- check ---- */

struct tally {
    u32 good;
    char reason[200];
};

static u32 find_message(const char *kafka_name)
{
    for (u32 i = 0; i < wire_message_count; i++) {
        if (strcmp(wire_messages[i]->kafka_name, kafka_name) == 0) {
            return i;
        }
    }
    fprintf(stderr, "messages: what is a %s?\n", kafka_name);
    exit(2);
}

/* In place: the text becomes the bytes. */
static struct slice unhex(char *text)
{
    size_t len = strlen(text) / 2;
    u8 *bytes = (u8 *)text;
    for (size_t i = 0; i < len; i++) {
        unsigned byte;
        if (sscanf(text + 2 * i, "%2x", &byte) != 1) {
            die("not hex");
        }
        bytes[i] = (u8)byte;
    }
    return (struct slice){bytes, len};
}

static void check_line(const struct message_def *def, i16 version, struct slice bytes,
                       struct arena *arena, struct tally *tally)
{
    if (version < def->min || version > def->max) {
        snprintf(tally->reason, sizeof(tally->reason), "v%d: not one of our versions", version);
        return;
    }
    void *message = must(arena_alloc(arena, def->body->bytes));
    err_t e = wire_decode(def, version, bytes, arena, message, NULL);
    if (e != OK) {
        snprintf(tally->reason, sizeof(tally->reason), "v%d: decode says %s", version, err_name(e));
        return;
    }
    if (!slice_eq(encode(def, version, message, arena), bytes)) {
        snprintf(tally->reason, sizeof(tally->reason), "v%d: encodes to other bytes", version);
        return;
    }
    tally->good++;
}

static void check(void)
{
    struct tally *tallies = mem_alloc(wire_message_count * sizeof(*tallies));
    struct arena arena;
    arena_init(&arena, NULL, MIB, 0);
    char *line = NULL;
    size_t cap = 0;
    while (getline(&line, &cap, stdin) > 0) {
        line[strcspn(line, "\n")] = '\0';
        char *rest = line;
        const char *name = strsep(&rest, " ");
        const char *version = strsep(&rest, " ");
        if (version == NULL || rest == NULL) {
            die("not a line of mine");
        }
        u32 index = find_message(name);
        check_line(wire_messages[index], (i16)strtol(version, NULL, 10), unhex(rest), &arena,
                   &tallies[index]);
        arena_reset(&arena);
    }
    for (u32 i = 0; i < wire_message_count; i++) {
        const char *name = wire_messages[i]->kafka_name;
        if (tallies[i].reason[0] != '\0') {
            printf("%s FAIL %s\n", name, tallies[i].reason);
        } else if (tallies[i].good > 0) {
            printf("%s ok %" PRIu32 "\n", name, tallies[i].good);
        }
    }
    free(line);
    arena_fini(&arena);
    mem_free(tallies);
}

/* ---- tables ---- */

static void tables(void)
{
    for (u32 i = 0; i < api_row_count; i++) {
        const struct api_row *api = &api_rows[i];
        printf("api %d %s %d-%d", api->key, api->kafka_name, api->min, api->max);
        for (i16 version = api->min; version <= api->max; version++) {
            printf(" %d/%d", api_request_header_version(api, version),
                   api_response_header_version(api, version));
        }
        printf("\n");
    }
    for (u32 i = 0; i < kerr_row_count; i++) {
        const struct kerr_row *row = &kerr_rows[i];
        printf("error %d %s %s%s\n", row->code, row->name,
               row->flags & KERR_FLAG_RETRIABLE ? "retriable" : "",
               row->flags & KERR_FLAG_REFRESH_METADATA ? " refresh" : "");
    }
}

/* ---- corpus ---- */

static void write_file(const char *dir, const char *kind, const char *name, struct slice bytes)
{
    char path[512];
    snprintf(path, sizeof(path), "%s/%s/%s", dir, kind, name);
    FILE *file = fopen(path, "w");
    if (file == NULL || fwrite(bytes.ptr, bytes.len, 1, file) != 1 || fclose(file) != 0) {
        die(path);
    }
}

static void *random_message(const struct message_def *def, struct rng *rng, struct arena *arena)
{
    void *message = must(arena_alloc(arena, def->body->bytes));
    if (wire_random(def, def->max, rng, arena, message) != OK) {
        die("out of memory");
    }
    return message;
}

/* fuzz_request.c reads a frame without its length. */
static void corpus_request(const char *dir, const struct api_row *api, struct rng *rng,
                           struct arena *arena)
{
    struct slice frame;
    const void *request = random_message(api->request, rng, arena);
    if (request_frame_build(api, api->max, 1, SLICE_LIT("fuzz"), request, arena, &frame) != OK) {
        die("a request did not encode");
    }
    write_file(dir, "fuzz-request", api->name, (struct slice){frame.ptr + 4, frame.len - 4});
}

/* fuzz_message.c reads the index of a message, the index of a version, and the bytes. */
static void corpus_message(const char *dir, u8 index, struct rng *rng, struct arena *arena)
{
    const struct message_def *def = wire_messages[index];
    const void *message = random_message(def, rng, arena);
    size_t size = 2 + wire_size(def, def->max, message, NULL, NULL);
    struct writer w = writer_of(must(arena_alloc(arena, size)), size);
    write_u8(&w, index);
    write_u8(&w, (u8)(def->max - def->min));
    if (wire_encode(def, def->max, message, &w, NULL) != OK) {
        die("a message did not encode");
    }
    write_file(dir, "fuzz-message", def->name, (struct slice){w.start, w.len});
}

static void corpus(const char *dir, u64 seed)
{
    struct rng rng;
    rng_seed(&rng, seed);
    struct arena arena;
    arena_init(&arena, NULL, MIB, 0);
    for (u32 i = 0; i < api_row_count; i++) {
        corpus_request(dir, &api_rows[i], &rng, &arena);
        arena_reset(&arena);
    }
    for (u32 i = 0; i < wire_message_count && i <= UINT8_MAX; i++) {
        corpus_message(dir, (u8)i, &rng, &arena);
        arena_reset(&arena);
    }
    arena_fini(&arena);
}

int main(int argc, char **argv)
{
    if (argc == 4 && strcmp(argv[1], "emit") == 0) {
        emit(strtoull(argv[2], NULL, 0), (u32)strtoul(argv[3], NULL, 0));
    } else if (argc == 2 && strcmp(argv[1], "check") == 0) {
        check();
    } else if (argc == 2 && strcmp(argv[1], "tables") == 0) {
        tables();
    } else if (argc == 4 && strcmp(argv[1], "corpus") == 0) {
        corpus(argv[2], strtoull(argv[3], NULL, 0));
    } else {
        die("emit SEED COUNT | check | tables | corpus DIR SEED");
    }
    return 0;
}

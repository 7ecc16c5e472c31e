/* commands.def as arrays, and finding in them: see commands.h. */
#include "cli/commands.h"

#include <stdio.h>
#include <string.h>

static const struct {
    enum command_id command;
    struct option_row row;
} option_rows[] = {
#define COMMAND(...)
#define OPTION(ident, name, letter, argument, doc) {COMMAND_##ident, {name, letter, argument, doc}},
#include "cli/commands.def"
#undef COMMAND
#undef OPTION
};
const struct command_row command_rows[COMMAND_COUNT] = {
#define COMMAND(ident, words, operands, summary, kind, function) \
    [COMMAND_##ident] = {words, operands, summary, kind, function},
#define OPTION(...)
#include "cli/commands.def"
#undef COMMAND
#undef OPTION
};
/* What every client command takes, and what every command takes. */
static const struct option_row client_rows[] = {
    {"brokers", 'b', "HOST:PORT,...",
     "where brokers listen (default: the context's, else 127.0.0.1:9092)"},
    {"timeout", 0, "DURATION",
     "how long to wait for each answer, as 500ms or 30s (default 10s; pub waits 30s for records)"},
    {"context", 0, "NAME", "the context whose brokers are meant (odradek context ls)"},
};
static const struct option_row help_row = {"help", 'h', NULL, "explain this command"};

u32 command_options(enum command_id id, const struct option_row *out[COMMAND_OPTIONS_MAX])
{
    u32 count = 0;
    for (u32 i = 0; i < ARRAY_LEN(option_rows); i++) {
        if (option_rows[i].command == id) {
            out[count++] = &option_rows[i].row;
        }
    }
    for (u32 i = 0; command_rows[id].kind == CLIENT && i < ARRAY_LEN(client_rows); i++) {
        out[count++] = &client_rows[i];
    }
    out[count++] = &help_row;
    assert(count <= COMMAND_OPTIONS_MAX);
    return count;
}

bool command_find(int argc, char **argv, enum command_id *id, int *used)
{
    for (int words = MIN(argc, (int)COMMAND_WORDS_MAX); words >= 1; words--) {
        char text[128];
        snprintf(text, sizeof text, "%s%s%s", argv[0], words > 1 ? " " : "",
                 words > 1 ? argv[1] : "");
        for (u32 i = 0; i < COMMAND_COUNT; i++) {
            if (strcmp(command_rows[i].words, text) == 0) {
                *id = (enum command_id)i;
                *used = words;
                return true;
            }
        }
    }
    return false;
}

bool command_is_group(const char *word)
{
    size_t len = strlen(word);
    for (u32 i = 0; i < COMMAND_COUNT; i++) {
        if (strncmp(command_rows[i].words, word, len) == 0 && command_rows[i].words[len] == ' ') {
            return true;
        }
    }
    return false;
}

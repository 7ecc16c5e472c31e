/* Error wording of the client commands: see problem.h. */
#include "cli/problem.h"

#include "cli/out.h"
#include "cli/screen.h"
#include "wire/wire.h"

#include <string.h>

int problem_coded(int code, enum diag_code known_as, const char *what, const char *why,
                  const char *next)
{
    screen_end();
    fflush(stdout);
    bool colour = out_colour(stderr);
    fprintf(stderr, "%serror%s ODK-%04d: ", colour ? "\033[31m" : "", colour ? "\033[0m" : "",
            (int)known_as);
    out_text(stderr, slice_cstr(what));
    fputc('\n', stderr);
    if (why != NULL) {
        fputs("  ", stderr);
        out_text(stderr, slice_cstr(why));
        fputc('\n', stderr);
    }
    if (next != NULL) {
        fputs("  next: ", stderr);
        out_text(stderr, slice_cstr(next));
        fputc('\n', stderr);
    }
    return code;
}

void problem_warn(enum diag_code known_as, const char *what)
{
    fflush(stdout);
    bool colour = out_colour(stderr);
    fprintf(stderr, "%swarn%s ODK-%04d: ", colour ? "\033[33m" : "", colour ? "\033[0m" : "",
            (int)known_as);
    out_text(stderr, slice_cstr(what));
    fputc('\n', stderr);
}

/* The catalogue's row of an exit code. */
static enum diag_code code_of_exit(int code)
{
    switch (code) {
    case CLI_USAGE:
        return MSG_command_usage;
    case CLI_NOT_FOUND:
        return MSG_command_not_found;
    case CLI_DENIED:
        return MSG_command_denied;
    case CLI_CONFLICT:
        return MSG_command_conflict;
    case CLI_TIMEOUT:
        return MSG_command_timeout;
    default:
        return MSG_command_failed;
    }
}

int problem(int code, const char *what, const char *why, const char *next)
{
    return problem_coded(code, code_of_exit(code), what, why, next);
}

/* Exit codes by Kafka error; everything else has failed. */
static const struct {
    i16 error;
    int code;
    const char *next;
} kafka_rows[] = {
    {KERR_UNKNOWN_TOPIC_OR_PARTITION, CLI_NOT_FOUND,
     "odradek topic ls   shows the topics there are"},
    {KERR_GROUP_ID_NOT_FOUND, CLI_NOT_FOUND, "odradek group ls   shows the groups there are"},
    {KERR_RESOURCE_NOT_FOUND, CLI_NOT_FOUND, NULL},
    {KERR_TOPIC_ALREADY_EXISTS, CLI_CONFLICT, "odradek topic info NAME   shows it"},
    {KERR_NON_EMPTY_GROUP, CLI_CONFLICT,
     "stop its members first; odradek group info NAME   shows them"},
    {KERR_GROUP_SUBSCRIBED_TO_TOPIC, CLI_CONFLICT,
     "stop its members first; odradek group info NAME   shows them"},
    {KERR_UNKNOWN_MEMBER_ID, CLI_CONFLICT,
     "stop its members first; odradek group info NAME   shows them"},
    {KERR_REBALANCE_IN_PROGRESS, CLI_CONFLICT, "its members are joining: try again, or stop them"},
    {KERR_REQUEST_TIMED_OUT, CLI_TIMEOUT, "try again, or wait longer with --timeout"},
    {KERR_TOPIC_AUTHORIZATION_FAILED, CLI_DENIED, NULL},
    {KERR_GROUP_AUTHORIZATION_FAILED, CLI_DENIED, NULL},
    {KERR_CLUSTER_AUTHORIZATION_FAILED, CLI_DENIED, NULL},
    {KERR_POLICY_VIOLATION, CLI_DENIED, NULL},
    {KERR_INVALID_TOPIC_EXCEPTION, CLI_FAILED,
     "letters, digits, '.', '_' and '-', at most 249 of them"},
    {KERR_INVALID_CONFIG, CLI_FAILED, "odradek config explain KEY   says what it may be"},
    {KERR_MESSAGE_TOO_LARGE, CLI_FAILED,
     "odradek topic edit TOPIC -c max.message.bytes=BYTES   lets it take more"},
    {KERR_INVALID_RECORD, CLI_FAILED, "odradek errors ODK-2202   says what can be wrong with it"},
    {KERR_INVALID_TIMESTAMP, CLI_FAILED, "odradek errors ODK-2204   says which limits there are"},
    {KERR_KAFKA_STORAGE_ERROR, CLI_FAILED, "odradek health   says what is wrong"},
};

int problem_of_kafka(const struct cli_args *a, const char *what, i16 kafka_error,
                     struct slice message)
{
    const struct kerr_row *row = kerr_find(kafka_error);
    const char *name = row != NULL ? row->name : "an error this program does not know";
    bool has_words = message.ptr != NULL && message.len > 0;
    const char *why =
        has_words     ? cli_text(a, "%.*s (%s)", (int)message.len, (const char *)message.ptr, name)
        : row != NULL ? cli_text(a, "%s (%s)", row->doc, name)
                      : cli_text(a, "the broker answered with error %d", kafka_error);
    for (u32 i = 0; i < ARRAY_LEN(kafka_rows); i++) {
        if (kafka_rows[i].error == kafka_error) {
            return problem(kafka_rows[i].code, what, why, kafka_rows[i].next);
        }
    }
    return problem(CLI_FAILED, what, why, NULL);
}

int problem_of_value(const struct cli_args *a, const char *option, const char *value,
                     const char *wanted)
{
    return problem(CLI_USAGE, cli_text(a, "--%s %s is not %s", option, value, wanted), NULL,
                   cli_text(a, "odradek help %s   explains it", a->words));
}
